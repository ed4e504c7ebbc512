"""Before delivery: enrolment with its deposit, offers, calls, the cap and the reserve."""

from dataclasses import replace

from market.abi import (
    CONDITIONS_BYTES_MAX,
    ENERGY_TOKEN,
    EXTERNAL_MARKET,
    MARKET,
    MEMBERSHIP,
    MONEY_TOKEN,
    OPERATOR,
    CallMade,
    CapSet,
    Enrolled,
    OfferKind,
    OfferMade,
    Phase,
    ReserveLocked,
    ReserveMissing,
    RevertCode,
)
from market.contracts.energy_token import ENERGY
from market.contracts.market_rules import Rules, phase_by_time
from market.contracts.market_store import (
    Call,
    Enrolment,
    Offer,
    WindowRecord,
    add_enrolment,
    book,
    calls,
    cap_of,
    enrolments,
    household_named,
    load_calendar,
    load_enrolment,
    load_fund,
    load_rules,
    load_window,
    offers,
    save_enrolment,
    save_window,
    set_cap,
    set_conditions,
)
from market.contracts.membership import member_accounts, member_of
from market.contracts.membership_change import capacity
from market.contracts.meters import service_account
from market.contracts.money_token import MONEY
from market.contracts.storage import u64
from vm.errors import Revert
from vm.native import CallContext

SETTLE_DUE = b"s"
"""Payload of the deadline for settling, followed by the window."""


def require_phase(ctx: CallContext, rules: Rules, window: int, *allowed: Phase) -> None:
    """Revert with WRONG_PHASE unless `window` is in one of `allowed`, by time."""
    phase = phase_by_time(load_calendar(ctx, rules, window), ctx.time_ms)
    if phase not in allowed:
        wanted = " or ".join(each.name for each in allowed)
        detail = f"window {window} is in {phase.name}, this needs {wanted}"
        raise Revert(RevertCode.WRONG_PHASE, detail)


def enrol(ctx: CallContext, window: int) -> None:
    """Lock the household's deposit; the calling account becomes its name W in the window."""
    rules, household = load_rules(ctx), ctx.sponsor
    require_phase(ctx, rules, window, Phase.NEGOTIATE)
    if member_of(ctx.at(MEMBERSHIP), household) is None:
        raise Revert(RevertCode.NOT_HOUSEHOLD, f"0x{household.hex()} is no member")
    if enrolments.get(ctx, u64(window) + household) is not None:
        raise Revert(RevertCode.ALREADY_ENROLLED, f"in window {window}")
    if household_named(ctx, window, ctx.caller):
        # Revoked by the household that enrolled with it, and registered by another one since.
        detail = f"0x{ctx.caller.hex()} names another household in window {window}"
        raise Revert(RevertCode.ALREADY_ENROLLED, detail)
    record = load_window(ctx, window)
    if record.enrolled == 0:
        # The first one opens the window: an idle community makes no blocks for empty windows.
        record = _lock_reserve(ctx, rules, window, record)
        ctx.schedule(load_calendar(ctx, rules, window).settled, SETTLE_DUE + u64(window))
    record = _make_room(ctx, rules, window, record)
    MONEY.move(ctx.at(MONEY_TOKEN), household, MARKET, rules.deposit)
    book(ctx, held=rules.deposit)
    add_enrolment(ctx, window, Enrolment(account=ctx.caller, household=household))
    save_window(ctx, window, replace(record, enrolled=record.enrolled + 1))
    ctx.emit(Enrolled(window, ctx.caller, household, rules.deposit))


def _make_room(ctx: CallContext, rules: Rules, window: int, record: WindowRecord) -> WindowRecord:
    """Lock what one household more may cost, if members have come since the window was opened."""
    if record.enrolled >= capacity(ctx.genesis):
        raise Revert(RevertCode.TOO_MANY, f"{record.enrolled} households in window {window}")
    more = rules.reserve(record.enrolled + 1) - record.reserve
    if not record.has_reserve or more <= 0:
        return record
    if load_fund(ctx).reserve_free < more:
        detail = f"the reserve of window {window} covers {record.enrolled} households"
        raise Revert(RevertCode.INSUFFICIENT_RESERVE, detail)
    book(ctx, reserve_free=-more, reserve_locked=more)
    ctx.emit(ReserveLocked(window, more))
    return replace(record, reserve=record.reserve + more)


def _lock_reserve(
    ctx: CallContext, rules: Rules, window: int, record: WindowRecord
) -> WindowRecord:
    """Set aside what the external market may have to pay, before anybody negotiates."""
    needed = rules.reserve(len(member_accounts(ctx.at(MEMBERSHIP))))
    if load_fund(ctx).reserve_free < needed:
        ctx.emit(ReserveMissing(window, needed))
        return record
    book(ctx, reserve_free=-needed, reserve_locked=needed)
    ctx.emit(ReserveLocked(window, needed))
    return replace(record, reserve=needed, has_reserve=True)


def make_offer(
    ctx: CallContext,
    window: int,
    *,
    kind: int,
    quantity: int,
    negotiation_key: bytes,
    conditions: bytes,
) -> int:
    """Publish energy for sale; return the offer's id, counted from 1 in the window."""
    rules = load_rules(ctx)
    require_phase(ctx, rules, window, Phase.NEGOTIATE)
    enrolment = load_enrolment(ctx, window, ctx.sponsor)
    if kind not in (OfferKind.FORECAST, OfferKind.STORED):
        raise Revert(RevertCode.BAD_ARGUMENT, f"kind must be 0 or 1, got {kind}")
    if len(conditions) > CONDITIONS_BYTES_MAX:
        detail = f"conditions must be at most {CONDITIONS_BYTES_MAX} bytes, got {len(conditions)}"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    if enrolment.offers >= rules.offers_max:
        raise Revert(RevertCode.TOO_MANY, f"{rules.offers_max} offers in window {window}")
    _check_quantity(ctx, rules, window, quantity, enrolment.offered)
    lock = quantity if kind == OfferKind.STORED else 0
    if lock:
        ENERGY.move(ctx.at(ENERGY_TOKEN), enrolment.household, MARKET, lock)
    enrolment = replace(
        enrolment,
        offers=enrolment.offers + 1,
        offered=enrolment.offered + quantity,
        lock=enrolment.lock + lock,
    )
    save_enrolment(ctx, window, enrolment)
    record = load_window(ctx, window)
    offer_id = record.offers + 1
    save_window(ctx, window, replace(record, offers=offer_id))
    offer = Offer(
        seller=enrolment.account,
        household=enrolment.household,
        kind=kind,
        quantity=quantity,
        negotiation_key=negotiation_key,
    )
    offers.put(ctx, offer, u64(window) + u64(offer_id))
    if conditions:
        set_conditions(ctx, window, offer_id, conditions)
    ctx.emit(OfferMade(window, enrolment.account, offer_id, kind, quantity))
    return offer_id


def make_call(ctx: CallContext, window: int, *, quantity: int, negotiation_key: bytes) -> int:
    """Publish demand; return the call's id, counted from 1 in the window."""
    rules = load_rules(ctx)
    require_phase(ctx, rules, window, Phase.NEGOTIATE)
    enrolment = load_enrolment(ctx, window, ctx.sponsor)
    if enrolment.calls >= rules.offers_max:
        raise Revert(RevertCode.TOO_MANY, f"{rules.offers_max} calls in window {window}")
    _check_quantity(ctx, rules, window, quantity, enrolment.called)
    enrolment = replace(enrolment, calls=enrolment.calls + 1, called=enrolment.called + quantity)
    save_enrolment(ctx, window, enrolment)
    record = load_window(ctx, window)
    call_id = record.calls + 1
    save_window(ctx, window, replace(record, calls=call_id))
    call = Call(
        buyer=enrolment.account,
        household=enrolment.household,
        quantity=quantity,
        negotiation_key=negotiation_key,
    )
    calls.put(ctx, call, u64(window) + u64(call_id))
    ctx.emit(CallMade(window, enrolment.account, call_id, quantity))
    return call_id


def _check_quantity(
    ctx: CallContext, rules: Rules, window: int, quantity: int, before: int
) -> None:
    if quantity < 1:
        raise Revert(RevertCode.BAD_ARGUMENT, "quantity must be at least 1 Wh")
    cap = cap_of(ctx, rules, window)
    if before + quantity > cap:
        detail = f"{before} and {quantity} Wh exceed the cap {cap} of window {window}"
        raise Revert(RevertCode.CAP_EXCEEDED, detail)


def set_window_cap(ctx: CallContext, window: int, cap: int) -> None:
    """Set Q_w, before anybody can trade in the window."""
    rules = load_rules(ctx)
    require_service(ctx, OPERATOR)
    require_phase(ctx, rules, window, Phase.FUTURE)
    if cap > rules.quantity_max:
        detail = f"cap must be at most {rules.quantity_max} Wh, got {cap}"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    set_cap(ctx, window, cap)
    ctx.emit(CapSet(window, cap))


# The money of the services -----------------------------------------------------------------------


def deposit_reserve(ctx: CallContext, amount: int) -> None:
    """Move the external market's money into the free reserve."""
    require_service(ctx, EXTERNAL_MARKET)
    MONEY.move(ctx.at(MONEY_TOKEN), ctx.sponsor, MARKET, amount)
    book(ctx, reserve_free=amount)


def withdraw_reserve(ctx: CallContext, amount: int) -> None:
    """Move free reserve back to the external market."""
    require_service(ctx, EXTERNAL_MARKET)
    free = load_fund(ctx).reserve_free
    if amount > free:
        raise Revert(RevertCode.INSUFFICIENT_RESERVE, f"{free} is free, asked for {amount}")
    book(ctx, reserve_free=-amount)
    MONEY.move(ctx.at(MONEY_TOKEN), MARKET, ctx.sponsor, amount)


def withdraw_fund(ctx: CallContext, amount: int) -> None:
    """Move what the fund owes nobody to the operator."""
    require_service(ctx, OPERATOR)
    money = load_fund(ctx)
    free = max(0, money.fund - money.pledged)
    if amount > free:
        raise Revert(RevertCode.INSUFFICIENT_FUND, f"{free} is free, asked for {amount}")
    book(ctx, fund=-amount)
    MONEY.move(ctx.at(MONEY_TOKEN), MARKET, ctx.sponsor, amount)


def require_service(ctx: CallContext, name: str) -> None:
    """Revert unless the caller is the service `name` or one of its agents.

    Reverts:
        NOT_OPERATOR or NOT_EXTERNAL_MARKET.
    """
    if ctx.sponsor != service_account(ctx, name):
        code = RevertCode.NOT_OPERATOR if name == OPERATOR else RevertCode.NOT_EXTERNAL_MARKET
        raise Revert(code, f"only {name} may do this")
