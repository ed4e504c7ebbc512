"""What the Market keeps: one record for a window, one for a household in it, and the fund."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

from market.abi import AgreementStatus, RevertCode
from market.contracts.market_rules import Calendar, Deviation, Rules, calendar
from market.contracts.storage import Records, split_addresses, u64
from vm.errors import Revert
from vm.native import CallContext


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRecord:
    """Sums over one window. The sums of deviations are over those who closed in time."""

    offers: int = 0
    calls: int = 0
    agreements: int = 0
    pending: int = 0
    """Recorded and neither confirmed nor void."""
    void_cursor: int = 0
    """Agreements that the deadline at the end of recording has looked at."""
    enrolled: int = 0
    closed: int = 0
    """In time."""
    closed_late: int = 0
    sur: int = 0
    unu: int = 0
    ext: int = 0
    sho: int = 0
    pay_net: int = 0
    """Agreements' money of those who closed in time: sales less purchases."""
    fees: int = 0
    exp: int = 0
    """Accounted export of all, Wh; until settlement it lies in the Market's balance."""
    imp: int = 0
    reserve: int = 0
    """What is left of the reserve that was locked for the window."""
    has_reserve: bool = False
    is_settled: bool = False
    is_finished: bool = False
    """Late closing is over and deposits of those who never closed are forfeited."""
    paid_cursor: int = 0
    forfeit_cursor: int = 0
    """Enrolments that the queue has looked at to pay them, or to forfeit their deposits."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """One household in one window."""

    account: bytes
    """W: the account that enrolled, the household's name in the window."""
    household: bytes
    offers: int = 0
    calls: int = 0
    sales: int = 0
    purchases: int = 0
    """How many; recorded ones."""
    offered: int = 0
    called: int = 0
    sold_recorded: int = 0
    bought_recorded: int = 0
    """Wh of agreements that are recorded and not void."""
    sold: int = 0
    bought: int = 0
    """Wh of firm agreements."""
    pay_sold: int = 0
    pay_bought: int = 0
    """Money of firm agreements."""
    fees: int = 0
    lock: int = 0
    """Energy tokens that back its stored offers."""
    is_attested: bool = False
    exp: int = 0
    imp: int = 0
    is_closed: bool = False
    sur: int = 0
    unu: int = 0
    ext: int = 0
    sho: int = 0
    is_paid: bool = False
    payout: int = 0

    @property
    def deviation(self) -> Deviation:
        """How the household split its deviation."""
        return Deviation(sur=self.sur, unu=self.unu, ext=self.ext, sho=self.sho)

    @property
    def net(self) -> int:
        """What the household gave beyond its agreements, Wh; negative where it took."""
        return self.exp - self.imp - self.sold + self.bought

    @property
    def agreed_money(self) -> int:
        """Money of its agreements, less fees; known before it closes."""
        return self.pay_sold - self.pay_bought - self.fees


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Energy for sale in a window."""

    seller: bytes
    household: bytes
    kind: int
    quantity: int
    sold: int = 0
    negotiation_key: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Energy that a household wants to buy in a window."""

    buyer: bytes
    household: bytes
    quantity: int
    negotiation_key: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A sale. `seller` and `buyer` are the enrolled accounts."""

    window: int
    offer_id: int
    seller: bytes
    seller_household: bytes
    buyer: bytes
    buyer_household: bytes
    quantity: int
    price: int
    status: int = AgreementStatus.RECORDED
    fee: int = 0
    """What the buyer pays if it does not confirm."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Fund:
    """The Market's money: its balance is fund + reserve_free + reserve_locked + held."""

    fund: int = 0
    """Belongs to the community; negative while those who owe it have not closed."""
    pledged: int = 0
    """The part of the fund that late sellers are still owed."""
    reserve_free: int = 0
    reserve_locked: int = 0
    """The external market's money."""
    held: int = 0
    """Deposits of open enrolments, and payouts that nobody has triggered yet."""


windows = Records(b"w", WindowRecord, "QQQQQHHHQQQQqQQQQ???HH")
enrolments = Records(b"e", Enrolment, "20s20sBBBBQQQQQQQQQQ?QQ?QQQQ?Q")
offers = Records(b"o", Offer, "20s20sBQQ32s")
calls = Records(b"c", Call, "20s20sQ32s")
agreements = Records(b"a", Agreement, "QQ20s20s20s20sQQBQ")
funds = Records(b"f", Fund, "qQQQQ")
rules_records = Records(b"r", Rules, "QQQQQQQQQQQ")

_HOUSEHOLDS = b"l"
"""Households of a window, joined, in order of enrolment."""
_HOUSEHOLD_OF = b"W"
_AGREEMENT_AT = b"i"
_CONDITIONS = b"x"
_CAP = b"q"
_DEBT = b"d"


def load_rules(ctx: CallContext) -> Rules:
    """Return the rules that genesis wrote."""
    rules = rules_records.get(ctx)
    assert rules is not None, "genesis writes the rules"
    return rules


def load_calendar(ctx: CallContext, rules: Rules, window: int) -> Calendar:
    """Return the times of `window`."""
    return calendar(rules, ctx.genesis, window)


def load_window(ctx: CallContext, window: int) -> WindowRecord:
    """Return the record of `window`; an empty one if nobody has enrolled."""
    return windows.get(ctx, u64(window)) or WindowRecord()


def save_window(ctx: CallContext, window: int, record: WindowRecord) -> None:
    """Write the record of `window`."""
    windows.put(ctx, record, u64(window))


def load_enrolment(ctx: CallContext, window: int, household: bytes) -> Enrolment:
    """Return the enrolment of `household` in `window`.

    Reverts:
        NOT_ENROLLED.
    """
    enrolment = enrolments.get(ctx, u64(window) + household)
    if enrolment is None:
        detail = f"0x{household.hex()} is not enrolled in window {window}"
        raise Revert(RevertCode.NOT_ENROLLED, detail)
    return enrolment


def household_named(ctx: CallContext, window: int, account: bytes) -> bytes:
    """Return the household whose W is `account`; empty if there is none."""
    return ctx.get(_HOUSEHOLD_OF + u64(window) + account)


def load_enrolment_of(ctx: CallContext, window: int, account: bytes) -> Enrolment:
    """Return the enrolment whose W is `account`.

    Reverts:
        NOT_ENROLLED.
    """
    household = household_named(ctx, window, account)
    if not household:
        detail = f"0x{account.hex()} is not enrolled in window {window}"
        raise Revert(RevertCode.NOT_ENROLLED, detail)
    return load_enrolment(ctx, window, household)


def save_enrolment(ctx: CallContext, window: int, enrolment: Enrolment) -> None:
    """Write an enrolment."""
    enrolments.put(ctx, enrolment, u64(window) + enrolment.household)


def add_enrolment(ctx: CallContext, window: int, enrolment: Enrolment) -> None:
    """Write a new enrolment and enter it into the window's list."""
    save_enrolment(ctx, window, enrolment)
    ctx.put(_HOUSEHOLD_OF + u64(window) + enrolment.account, enrolment.household)
    key = _HOUSEHOLDS + u64(window)
    ctx.put(key, ctx.get(key) + enrolment.household)


def households_of(ctx: CallContext, window: int) -> list[bytes]:
    """Return the households that are enrolled, in order of enrolment."""
    return split_addresses(ctx.get(_HOUSEHOLDS + u64(window)))


def all_enrolments(ctx: CallContext, window: int) -> Iterator[Enrolment]:
    """Return the enrolments in order."""
    for household in households_of(ctx, window):
        yield load_enrolment(ctx, window, household)


def add_agreement(
    ctx: CallContext, window: int, index: int, agreement_id: bytes, agreement: Agreement
) -> None:
    """Write a new agreement as number `index` (from 0) of its window."""
    agreements.put(ctx, agreement, agreement_id)
    ctx.put(_AGREEMENT_AT + u64(window) + u64(index), agreement_id)


def agreement_id_at(ctx: CallContext, window: int, index: int) -> bytes:
    """Return the id of agreement number `index` of `window`."""
    return ctx.get(_AGREEMENT_AT + u64(window) + u64(index))


def load_agreement(ctx: CallContext, agreement_id: bytes) -> Agreement:
    """Return an agreement.

    Reverts:
        UNKNOWN_AGREEMENT.
    """
    agreement = agreements.get(ctx, agreement_id)
    if agreement is None:
        raise Revert(RevertCode.UNKNOWN_AGREEMENT, agreement_id.hex())
    return agreement


def conditions_of(ctx: CallContext, window: int, offer_id: int) -> bytes:
    """Return the conditions of an offer."""
    return ctx.get(_CONDITIONS + u64(window) + u64(offer_id))


def set_conditions(ctx: CallContext, window: int, offer_id: int, conditions: bytes) -> None:
    """Write the conditions of an offer."""
    ctx.put(_CONDITIONS + u64(window) + u64(offer_id), conditions)


def cap_of(ctx: CallContext, rules: Rules, window: int) -> int:
    """Return Q_w in Wh."""
    cap = ctx.get(_CAP + u64(window))
    return int.from_bytes(cap, "big") if cap else rules.quantity_max


def set_cap(ctx: CallContext, window: int, cap: int) -> None:
    """Write Q_w; 0 forbids trade."""
    ctx.put(_CAP + u64(window), u64(cap))


def energy_debt(ctx: CallContext, household: bytes) -> int:
    """Return energy that left the household's battery and was not burnt yet, Wh."""
    return ctx.get_int(_DEBT + household)


def set_energy_debt(ctx: CallContext, household: bytes, debt: int) -> None:
    """Write a household's energy debt."""
    ctx.put_int(_DEBT + household, debt)


def delete_window(ctx: CallContext, window: int, record: WindowRecord, budget: int) -> bool:
    """Delete up to `budget` offers, calls, agreements and enrolments, and then the window itself.

    In this order, so that what is left can still be viewed. Returns whether nothing is left.
    """
    number = u64(window)
    offers_left = max(0, record.offers - budget)
    for offer_id in range(record.offers, offers_left, -1):
        offers.delete(ctx, number + u64(offer_id))
        if conditions_of(ctx, window, offer_id):
            set_conditions(ctx, window, offer_id, b"")
    budget -= record.offers - offers_left
    calls_left = max(0, record.calls - budget)
    for call_id in range(record.calls, calls_left, -1):
        calls.delete(ctx, number + u64(call_id))
    budget -= record.calls - calls_left
    agreements_left = max(0, record.agreements - budget)
    for index in range(record.agreements, agreements_left, -1):
        agreements.delete(ctx, agreement_id_at(ctx, window, index - 1))
        ctx.put(_AGREEMENT_AT + number + u64(index - 1), b"")
    budget -= record.agreements - agreements_left
    households = households_of(ctx, window)
    kept = households[: max(0, len(households) - budget)]
    for household in households[len(kept) :]:
        account = load_enrolment(ctx, window, household).account
        enrolments.delete(ctx, number + household)
        ctx.put(_HOUSEHOLD_OF + number + account, b"")
    ctx.put(_HOUSEHOLDS + number, b"".join(kept))
    if kept:
        left = replace(record, offers=offers_left, calls=calls_left, agreements=agreements_left)
        save_window(ctx, window, left)
        return False
    if ctx.get(_CAP + number):
        ctx.put(_CAP + number, b"")
    windows.delete(ctx, number)
    return True


def load_fund(ctx: CallContext) -> Fund:
    """Return the Market's money as it is divided."""
    return funds.get(ctx) or Fund()


def book(
    ctx: CallContext,
    *,
    fund: int = 0,
    pledged: int = 0,
    reserve_free: int = 0,
    reserve_locked: int = 0,
    held: int = 0,
) -> None:
    """Add these differences to the Market's division of its money."""
    old = load_fund(ctx)
    new = replace(
        old,
        fund=old.fund + fund,
        pledged=old.pledged + pledged,
        reserve_free=old.reserve_free + reserve_free,
        reserve_locked=old.reserve_locked + reserve_locked,
        held=old.held + held,
    )
    assert min(new.pledged, new.reserve_free, new.reserve_locked, new.held) >= 0, f"{new}"
    funds.put(ctx, new)
