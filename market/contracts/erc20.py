"""A whole ERC-20 (EIP-20) over a ledger that other native contracts may mint on, burn and move.

Approvals may be signed instead of sent (EIP-2612); `market.contracts.permit` has the digests.
"""

from typing import Annotated, ClassVar

from market.abi import (
    NATIVE_ADDRESS_MAX,
    NATIVE_ADDRESS_MIN,
    ZERO_ADDRESS,
    Approval,
    RevertCode,
    Transfer,
)
from market.contracts.permit import (
    DOMAIN_FIELDS,
    DOMAIN_VERSION,
    PERMIT_HASHES,
    SEPARATOR_HASHES,
    V_OFFSET,
    domain_separator,
    permit_digest,
)
from market.contracts.signed import signer_of
from vm.errors import Revert
from vm.gas import HASH, METHOD
from vm.native import (
    U8,
    U256,
    Abi,
    Address,
    Bool,
    Bytes32,
    CallContext,
    NativeContract,
    Str,
    external,
    view,
)

SUPPLY_MAX = 2**63 - 1
"""Records of the market hold amounts in 64 bits with a sign; minting past it is refused."""
ALLOWANCE_UNLIMITED = 2**256 - 1
"""Approving this much is approving everything: spending does not lower it."""

_BALANCE = b"b"
_ALLOWANCE = b"a"
_SUPPLY = b"s"
_NONCE = b"n"

Bytes1 = Annotated[bytes, Abi("bytes1")]
Numbers = Annotated[list[int], Abi("uint256[]")]


class Erc20(NativeContract):
    """The standard's functions; a token is a subclass that holds constants only."""

    EVENTS = (Transfer, Approval)
    TOKEN_NAME: ClassVar[str]
    SYMBOL: ClassVar[str]
    DECIMALS: ClassVar[int]
    SHORT: ClassVar[RevertCode]
    """Code of the revert when a balance does not cover an amount."""

    # For other native contracts, with this token's own context --------------------------------

    def balance(self, ctx: CallContext, account: bytes) -> int:
        """Return what `account` holds."""
        return ctx.get_int(_BALANCE + account)

    def supply(self, ctx: CallContext) -> int:
        """Return the sum of all balances."""
        return ctx.get_int(_SUPPLY)

    def mint(self, ctx: CallContext, to: bytes, amount: int) -> None:
        """Create `amount` in the balance of `to`.

        Reverts:
            BAD_ARGUMENT: the supply would exceed SUPPLY_MAX.
        """
        supply = ctx.get_int(_SUPPLY) + amount
        if supply > SUPPLY_MAX:
            raise Revert(RevertCode.BAD_ARGUMENT, f"supply would exceed {SUPPLY_MAX}")
        ctx.put_int(_SUPPLY, supply)
        ctx.add_int(_BALANCE + to, amount)
        ctx.emit(Transfer(ZERO_ADDRESS, to, amount))

    def burn(self, ctx: CallContext, owner: bytes, amount: int) -> None:
        """Destroy `amount` of the balance of `owner`; reverts with SHORT if it is not there."""
        self._take(ctx, owner, amount)
        ctx.put_int(_SUPPLY, ctx.get_int(_SUPPLY) - amount)
        ctx.emit(Transfer(owner, ZERO_ADDRESS, amount))

    def move(self, ctx: CallContext, source: bytes, to: bytes, amount: int) -> None:
        """Move `amount`; reverts with SHORT if `source` does not hold it."""
        self._take(ctx, source, amount)
        ctx.add_int(_BALANCE + to, amount)
        ctx.emit_values(Transfer, (source, to, amount))

    def burn_through(self, ctx: CallContext, source: bytes, parts: list[tuple[bytes, int]]) -> None:
        """Move each part from `source` to its account and burn it there, in one pass.

        The logs are those of moves and burns, one after the other; the balances between them
        would cancel, so only the sum is written. A part whose account is `source` is only burnt.
        """
        total = sum(amount for _, amount in parts)
        self._take(ctx, source, total)
        ctx.put_int(_SUPPLY, ctx.get_int(_SUPPLY) - total)
        for account, amount in parts:
            if account != source:
                ctx.emit(Transfer(source, account, amount))
            ctx.emit(Transfer(account, ZERO_ADDRESS, amount))

    def _take(self, ctx: CallContext, owner: bytes, amount: int) -> None:
        left = ctx.add_int(_BALANCE + owner, -amount)
        if left < 0:
            held = left + amount
            detail = f"0x{owner.hex()} holds {held} {self.SYMBOL} units, needs {amount}"
            raise Revert(self.SHORT, detail)

    # The standard -----------------------------------------------------------------------------

    @view(gas=METHOD)
    def name(self, ctx: CallContext) -> Str:
        """Return the token's name."""
        return self.TOKEN_NAME

    @view(gas=METHOD)
    def symbol(self, ctx: CallContext) -> Str:
        """Return the token's symbol."""
        return self.SYMBOL

    @view(gas=METHOD)
    def decimals(self, ctx: CallContext) -> U8:
        """Return how many decimal places a unit of display has."""
        return self.DECIMALS

    @view(gas=METHOD)
    def total_supply(self, ctx: CallContext) -> U256:
        """Return the sum of all balances."""
        return ctx.get_int(_SUPPLY)

    @view(gas=METHOD)
    def balance_of(self, ctx: CallContext, account: Address) -> U256:
        """Return what `account` holds."""
        return ctx.get_int(_BALANCE + account)

    @view(gas=METHOD)
    def allowance(self, ctx: CallContext, owner: Address, spender: Address) -> U256:
        """Return what `spender` may still move of `owner`."""
        return ctx.get_int(_ALLOWANCE + owner + spender)

    @external(gas=METHOD)
    def transfer(self, ctx: CallContext, to: Address, amount: U256) -> Bool:
        """Move `amount` from the caller's own account to `to`.

        Reverts:
            BAD_RECIPIENT: zero or a native contract.
            INSUFFICIENT_FUNDS or INSUFFICIENT_ENERGY: the caller holds less.

        Emits: Transfer.
        """
        if to <= NATIVE_ADDRESS_MAX:  # Hardly ever: a look that saves a call.
            check_recipient(to)
        self.move(ctx, ctx.caller, to, amount)
        return True

    @external(gas=METHOD)
    def approve(self, ctx: CallContext, spender: Address, amount: U256) -> Bool:
        """Let `spender` move up to `amount` of the caller's account, whatever it was before.

        Reverts:
            BAD_RECIPIENT: the spender is zero.

        Emits: Approval.
        """
        _approve(ctx, ctx.caller, spender, amount)
        return True

    @external(gas=METHOD)
    def transfer_from(self, ctx: CallContext, owner: Address, to: Address, amount: U256) -> Bool:
        """Move `amount` of `owner`, who approved the caller for it, to `to`.

        Reverts:
            BAD_RECIPIENT: zero or a native contract.
            INSUFFICIENT_ALLOWANCE: the caller is approved for less.
            INSUFFICIENT_FUNDS or INSUFFICIENT_ENERGY: the owner holds less.

        Emits: Transfer.
        """
        check_recipient(to)
        key = _ALLOWANCE + owner + ctx.caller
        allowed = ctx.get_int(key)
        if allowed < amount:
            detail = f"may move {allowed} of 0x{owner.hex()}, asked for {amount}"
            raise Revert(RevertCode.INSUFFICIENT_ALLOWANCE, detail)
        if allowed != ALLOWANCE_UNLIMITED:
            ctx.put_int(key, allowed - amount)
        self.move(ctx, owner, to, amount)
        return True

    # Signed approvals -------------------------------------------------------------------------

    @external(gas=METHOD + PERMIT_HASHES * HASH)
    def permit(  # noqa: PLR0917 (a transaction has no keywords)
        self,
        ctx: CallContext,
        owner: Address,
        spender: Address,
        value: U256,
        deadline: U256,
        v: U8,
        r: Bytes32,
        s: Bytes32,
    ) -> None:
        """Approve `spender` by the signature of `owner`; whoever has it may send it, once.

        Reverts:
            DEADLINE_PASSED: the block's time in whole seconds is past `deadline`.
            BAD_SIGNATURE: v is neither 27 nor 28, s is high (EIP-2), or it is not the owner's
                over these values and the owner's present nonce.
            BAD_RECIPIENT: the spender is zero.

        Emits: Approval.
        """
        now = ctx.time_ms // 1000
        if now > deadline:
            raise Revert(RevertCode.DEADLINE_PASSED, f"was {deadline}, the block's time is {now}")
        if v not in (V_OFFSET, V_OFFSET + 1):
            raise Revert(RevertCode.BAD_SIGNATURE, f"v must be 27 or 28, got {v}")
        nonce = ctx.get_int(_NONCE + owner)
        digest = permit_digest(
            domain_separator(self.TOKEN_NAME, ctx.chain_id, self.ADDRESS),
            owner=owner,
            spender=spender,
            value=value,
            nonce=nonce,
            deadline=deadline,
        )
        signer = signer_of(ctx, digest, r + s + bytes((v - V_OFFSET,)))
        if signer != owner:
            detail = f"0x{signer.hex()} signed, or other values than these with nonce {nonce}"
            raise Revert(RevertCode.BAD_SIGNATURE, detail)
        ctx.put_int(_NONCE + owner, nonce + 1)
        _approve(ctx, owner, spender, value)

    @view(gas=METHOD)
    def nonces(self, ctx: CallContext, owner: Address) -> U256:
        """Return how many permits of `owner` have been used: the nonce of its next."""
        return ctx.get_int(_NONCE + owner)

    @view(gas=METHOD + SEPARATOR_HASHES * HASH, name="DOMAIN_SEPARATOR")
    def domain_separator(self, ctx: CallContext) -> Bytes32:
        """Return what binds permits to this token of this chain (EIP-712)."""
        return domain_separator(self.TOKEN_NAME, ctx.chain_id, self.ADDRESS)

    @view(gas=METHOD, name="eip712Domain")
    def eip712_domain(
        self, ctx: CallContext
    ) -> tuple[Bytes1, Str, Str, U256, Address, Bytes32, Numbers]:
        """Return the separator's parts, so that a wallet can show them (EIP-5267)."""
        domain = (DOMAIN_FIELDS, self.TOKEN_NAME, DOMAIN_VERSION, ctx.chain_id, self.ADDRESS)
        return (*domain, bytes(32), [])


def _approve(ctx: CallContext, owner: bytes, spender: bytes, amount: int) -> None:
    if spender == ZERO_ADDRESS:
        raise Revert(RevertCode.BAD_RECIPIENT, "spender is the zero address")
    ctx.put_int(_ALLOWANCE + owner + spender, amount)
    ctx.emit(Approval(owner, spender, amount))


def balance_key(account: bytes) -> bytes:
    """Return the key of an account's balance in a token's storage, for proofs."""
    return _BALANCE + account


def check_recipient(to: bytes) -> None:
    """Refuse an account from which tokens could never return.

    Reverts:
        BAD_RECIPIENT: zero or a native contract.
    """
    if to == ZERO_ADDRESS:
        raise Revert(RevertCode.BAD_RECIPIENT, "recipient is the zero address")
    if NATIVE_ADDRESS_MIN <= to <= NATIVE_ADDRESS_MAX:
        raise Revert(RevertCode.BAD_RECIPIENT, f"0x{to.hex()} is a native contract")
