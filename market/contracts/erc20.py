"""A whole ERC-20 (EIP-20) over a ledger that other native contracts may mint on, burn and move."""

from typing import ClassVar

from market.abi import (
    NATIVE_ADDRESS_MAX,
    NATIVE_ADDRESS_MIN,
    ZERO_ADDRESS,
    Approval,
    RevertCode,
    Transfer,
)
from vm.errors import Revert
from vm.gas import METHOD
from vm.native import U8, U256, Address, Bool, CallContext, NativeContract, Str, external, view

SUPPLY_MAX = 2**63 - 1
"""Records of the market hold amounts in 64 bits with a sign; minting past it is refused."""
ALLOWANCE_UNLIMITED = 2**256 - 1
"""Approving this much is approving everything: spending does not lower it."""

_BALANCE = b"b"
_ALLOWANCE = b"a"
_SUPPLY = b"s"


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
        ctx.put_int(_BALANCE + to, ctx.get_int(_BALANCE + to) + amount)
        ctx.emit(Transfer(ZERO_ADDRESS, to, amount))

    def burn(self, ctx: CallContext, owner: bytes, amount: int) -> None:
        """Destroy `amount` of the balance of `owner`; reverts with SHORT if it is not there."""
        self._take(ctx, owner, amount)
        ctx.put_int(_SUPPLY, ctx.get_int(_SUPPLY) - amount)
        ctx.emit(Transfer(owner, ZERO_ADDRESS, amount))

    def move(self, ctx: CallContext, source: bytes, to: bytes, amount: int) -> None:
        """Move `amount`; reverts with SHORT if `source` does not hold it."""
        self._take(ctx, source, amount)
        ctx.put_int(_BALANCE + to, ctx.get_int(_BALANCE + to) + amount)
        ctx.emit(Transfer(source, to, amount))

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
        held = ctx.get_int(_BALANCE + owner)
        if held < amount:
            detail = f"0x{owner.hex()} holds {held} {self.SYMBOL} units, needs {amount}"
            raise Revert(self.SHORT, detail)
        ctx.put_int(_BALANCE + owner, held - amount)

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
        if spender == ZERO_ADDRESS:
            raise Revert(RevertCode.BAD_RECIPIENT, "spender is the zero address")
        ctx.put_int(_ALLOWANCE + ctx.caller + spender, amount)
        ctx.emit(Approval(ctx.caller, spender, amount))
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
