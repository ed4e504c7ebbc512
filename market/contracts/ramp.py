"""Ramp: euros in and out, by a quorum of equal votes of the members.

Money is minted when enough members saw the same deposit at the bank, and burnt before anybody
pays it out. Only own accounts act here: a stolen agent's key must neither make money nor take it
out of the household.
"""

from dataclasses import dataclass, replace
from typing import Annotated, final

from crypto.hashing import tagged_hash
from market.abi import (
    EVENTS,
    FUNCTIONS,
    MEMBERSHIP,
    MONEY_TOKEN,
    RAMP,
    ZERO_ADDRESS,
    DepositAttested,
    DepositMinted,
    PayoutConfirmed,
    RevertCode,
    WithdrawalPaid,
    WithdrawalRequested,
)
from market.contracts.erc20 import SUPPLY_MAX, check_recipient
from market.contracts.membership import member_of, votes_needed
from market.contracts.money_token import MONEY
from market.contracts.storage import Records, split_addresses, u64
from vm.errors import Revert
from vm.gas import HASH, METHOD
from vm.native import (
    U64,
    U256,
    Abi,
    Address,
    Bool,
    Bytes32,
    CallContext,
    NativeContract,
    external,
    view,
)

PENDING_PER_HOUSEHOLD_MAX = 8
"""Withdrawals of one household or service that wait for their payout: bounds the list of all that
wait, so that nobody can fill it and keep the others from their money."""

_CONTENT_TAG = b"hearth/ramp/deposit"
_COUNT = b"n"
"""The most votes that a reference for one payout has had."""
_VOTERS = b"v"
"""Who voted for one content of a reference, or for one payout under a reference: joined."""
_USED = b"u"
"""Bank references of payouts that are done."""
_NEXT_ID = b"#"
_PENDING = b"p"
"""Ids of unpaid withdrawals, joined, 8 bytes each."""
_PENDING_OF = b"o"
"""Household or service -> how many of them are its own."""

_VIEWS = FUNCTIONS["Ramp"]
WithdrawalRow = tuple[U64, Address, U256, Bytes32, U64, Bool]
"""(id, household, amount, payoutHash, votes, paid)."""
WithdrawalRows = Annotated[list[WithdrawalRow], Abi(_VIEWS["pending"].outputs)]


@final
@dataclass(frozen=True, slots=True)
class Deposit:
    """Money that the members saw arrive; a record exists once it is minted."""

    to: bytes
    amount: int


@final
@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Burnt money that the members owe to a household's bank account."""

    household: bytes
    amount: int
    payout_hash: bytes
    """32 bytes over the bank details, which stay off the chain."""
    paid: bool


_deposits = Records(b"d", Deposit, "20sQ")
_withdrawals = Records(b"w", Withdrawal, "20sQ32s?")


@final
class Ramp(NativeContract):
    """The only place where money tokens are made and destroyed."""

    ADDRESS = RAMP
    NAME = "ramp"
    EVENTS = EVENTS["Ramp"]

    @external(gas=METHOD)
    def attest_deposit(
        self, ctx: CallContext, reference: Bytes32, to: Address, amount: U256
    ) -> None:
        """Vote that `amount` arrived at the bank for `to` under `reference`.

        Votes count for exactly the same three values. Where members disagree about a reference,
        each version gathers its own votes, and the first that has enough closes the reference.

        Reverts:
            NOT_MEMBER: the caller is not a member's own account.
            BAD_RECIPIENT: `to` is zero or a native contract.
            BAD_ARGUMENT: amount zero or above SUPPLY_MAX.
            REFERENCE_USED: minted already.
            ALREADY_VOTED: for these values.

        Emits: DepositAttested; with the last vote needed DepositMinted, and Transfer.
        """
        member = _require_member(ctx)
        check_recipient(to)
        if not 0 < amount <= SUPPLY_MAX:
            detail = f"amount must lie in 1..{SUPPLY_MAX}, got {amount}"
            raise Revert(RevertCode.BAD_ARGUMENT, detail)
        if _deposits.get(ctx, reference) is not None:
            raise Revert(RevertCode.REFERENCE_USED, f"deposit {reference.hex()} is minted")
        ctx.charge(HASH)
        content = tagged_hash(_CONTENT_TAG, reference, to, amount.to_bytes(32, "big"))
        votes = _count_vote(ctx, content, member)
        ctx.emit(DepositAttested(reference, member, to, amount))
        if votes >= votes_needed(ctx.at(MEMBERSHIP)):
            _deposits.put(ctx, Deposit(to, amount), reference)
            MONEY.mint(ctx.at(MONEY_TOKEN), to, amount)
            ctx.emit(DepositMinted(reference, to, amount))

    @external(gas=METHOD)
    def request_withdrawal(self, ctx: CallContext, amount: U256, payout_hash: Bytes32) -> U64:
        """Burn `amount` of the caller, a household or service; the members owe the payout.

        Args:
            payout_hash: binds the bank details, which the household tells the members off chain.

        Returns:
            The withdrawal's id, counted from 1.

        Reverts:
            BAD_ARGUMENT: amount zero or above SUPPLY_MAX.
            INSUFFICIENT_FUNDS.
            NOT_HOUSEHOLD: the caller is an agent.
            TOO_MANY: PENDING_PER_HOUSEHOLD_MAX of its own wait for their payout.

        Emits: WithdrawalRequested, Transfer.
        """
        if ctx.caller != ctx.sponsor:
            raise Revert(RevertCode.NOT_HOUSEHOLD, "only the household's own account withdraws")
        if not 0 < amount <= SUPPLY_MAX:
            detail = f"amount must lie in 1..{SUPPLY_MAX}, got {amount}"
            raise Revert(RevertCode.BAD_ARGUMENT, detail)
        own = ctx.get_int(_PENDING_OF + ctx.sponsor)
        if own >= PENDING_PER_HOUSEHOLD_MAX:
            raise Revert(RevertCode.TOO_MANY, f"{own} withdrawals of this household wait")
        MONEY.burn(ctx.at(MONEY_TOKEN), ctx.sponsor, amount)
        withdrawal_id = ctx.get_int(_NEXT_ID) + 1
        ctx.put_int(_NEXT_ID, withdrawal_id)
        withdrawal = Withdrawal(ctx.sponsor, amount, payout_hash, paid=False)
        _withdrawals.put(ctx, withdrawal, u64(withdrawal_id))
        ctx.put(_PENDING, ctx.get(_PENDING) + u64(withdrawal_id))
        ctx.put_int(_PENDING_OF + ctx.sponsor, own + 1)
        ctx.emit(WithdrawalRequested(withdrawal_id, ctx.sponsor, amount, payout_hash))
        return withdrawal_id

    @external(gas=METHOD)
    def confirm_payout(self, ctx: CallContext, id_: U64, reference: Bytes32) -> None:
        """Vote that withdrawal `id_` left the bank under `reference`.

        Reverts:
            NOT_MEMBER, UNKNOWN_WITHDRAWAL.
            ALREADY_PAID: enough members have confirmed.
            REFERENCE_USED: the reference paid another withdrawal.
            ALREADY_VOTED: for this reference.

        Emits: PayoutConfirmed; with the last vote needed WithdrawalPaid.
        """
        member = _require_member(ctx)
        withdrawal = _load(ctx, id_)
        if withdrawal.paid:
            raise Revert(RevertCode.ALREADY_PAID, f"withdrawal {id_}")
        if ctx.get(_USED + reference):
            raise Revert(RevertCode.REFERENCE_USED, f"payout {reference.hex()}")
        votes = _count_vote(ctx, u64(id_) + reference, member)
        _raise_most_votes(ctx, id_, votes)
        ctx.emit(PayoutConfirmed(id_, member))
        if votes >= votes_needed(ctx.at(MEMBERSHIP)):
            _withdrawals.put(ctx, replace(withdrawal, paid=True), u64(id_))
            ctx.put(_USED + reference, b"\1")
            waiting = _split_ids(ctx.get(_PENDING))
            ctx.put(_PENDING, b"".join(u64(other) for other in waiting if other != id_))
            own = _PENDING_OF + withdrawal.household
            ctx.put_int(own, ctx.get_int(own) - 1)
            ctx.emit(WithdrawalPaid(id_))

    @view(gas=METHOD)
    def deposit(self, ctx: CallContext, reference: Bytes32) -> tuple[Bool, Address, U256]:
        """Return (minted, to, amount); false and zeros while votes are missing."""
        deposit = _deposits.get(ctx, reference)
        return (True, deposit.to, deposit.amount) if deposit else (False, ZERO_ADDRESS, 0)

    @view(gas=METHOD)
    def withdrawal(self, ctx: CallContext, id_: U64) -> WithdrawalRow:
        """Return (id, household, amount, payoutHash, votes, paid).

        `votes` is the most that any bank reference has.

        Reverts:
            UNKNOWN_WITHDRAWAL.
        """
        return _row(ctx, id_)

    @view(gas=METHOD)
    def pending(self, ctx: CallContext) -> WithdrawalRows:
        """Return the withdrawals that wait for their payout, oldest first, as `withdrawal`."""
        return [_row(ctx, withdrawal_id) for withdrawal_id in _split_ids(ctx.get(_PENDING))]


def _require_member(ctx: CallContext) -> bytes:
    if member_of(ctx.at(MEMBERSHIP), ctx.caller) is None:
        raise Revert(RevertCode.NOT_MEMBER, f"0x{ctx.caller.hex()} is no member")
    return ctx.caller


def _count_vote(ctx: CallContext, subject: bytes, member: bytes) -> int:
    """Record the member's vote on `subject` (at most 40 bytes); return how many count now.

    Votes of those who are members no more do not: they were evicted perhaps for this one.
    """
    scope = ctx.at(MEMBERSHIP)
    voters = [
        voter
        for voter in split_addresses(ctx.get(_VOTERS + subject))
        if member_of(scope, voter) is not None
    ]
    if member in voters:
        raise Revert(RevertCode.ALREADY_VOTED, f"0x{member.hex()} has voted for this")
    voters.append(member)
    ctx.put(_VOTERS + subject, b"".join(voters))
    return len(voters)


def _raise_most_votes(ctx: CallContext, withdrawal_id: int, votes: int) -> None:
    key = _COUNT + u64(withdrawal_id)
    if votes > ctx.get_int(key):
        ctx.put_int(key, votes)


def _load(ctx: CallContext, withdrawal_id: int) -> Withdrawal:
    withdrawal = _withdrawals.get(ctx, u64(withdrawal_id))
    if withdrawal is None:
        raise Revert(RevertCode.UNKNOWN_WITHDRAWAL, f"no withdrawal {withdrawal_id}")
    return withdrawal


def _split_ids(joined: bytes) -> list[int]:
    return [int.from_bytes(joined[at : at + 8], "big") for at in range(0, len(joined), 8)]


def _row(ctx: CallContext, withdrawal_id: int) -> WithdrawalRow:
    w = _load(ctx, withdrawal_id)
    votes = ctx.get_int(_COUNT + u64(withdrawal_id))
    return withdrawal_id, w.household, w.amount, w.payout_hash, votes, w.paid
