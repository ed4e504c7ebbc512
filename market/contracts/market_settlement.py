"""The end of a window: totals, prices, payouts, consumption; and those who close late or never."""

from dataclasses import replace

from market.abi import (
    ENERGY_TOKEN,
    MARKET,
    MONEY_TOKEN,
    OPERATOR,
    Closed,
    ExternalSettled,
    Forfeited,
    FundChanged,
    Paid,
    ReserveReleased,
    RevertCode,
    Settled,
)
from market.contracts.energy_token import ENERGY
from market.contracts.market_enrolment import SETTLE_DUE, require_service
from market.contracts.market_rules import (
    Clearing,
    Deviation,
    Rules,
    clear,
    clear_late,
    shares,
)
from market.contracts.market_store import (
    Enrolment,
    WindowRecord,
    all_enrolments,
    book,
    delete_window,
    households_of,
    load_calendar,
    load_enrolment,
    load_enrolment_of,
    load_rules,
    load_window,
    save_enrolment,
    save_window,
)
from market.contracts.money_token import MONEY
from market.contracts.storage import u64
from market.units import cost
from vm.errors import Revert
from vm.native import CallContext

FORFEIT_DUE = b"l"
"""Payload of the deadline at which late closing ends, followed by the window."""
PAYMENTS_PER_ENTRY = 8
"""Households that one run of a deadline pays or looks at; see ENTRY_GAS_BASE."""
DELETE_DUE = b"d"
"""Payload of the deadline at which a window's records are deleted, followed by the window."""
DELETIONS_PER_ENTRY = 20
"""Records that one run of that deadline deletes."""


def settle(ctx: CallContext, window: int) -> None:
    """Settle: the operator once it can be done, anybody after the deadline."""
    rules, record = load_rules(ctx), load_window(ctx, window)
    if record.enrolled == 0:
        raise Revert(RevertCode.NOT_ENROLLED, f"nobody is enrolled in window {window}")
    if record.is_settled:
        raise Revert(RevertCode.ALREADY_SETTLED, f"window {window}")
    times = load_calendar(ctx, rules, window)
    if record.closed < record.enrolled and ctx.time_ms < times.closed:
        missing = record.enrolled - record.closed
        raise Revert(RevertCode.WRONG_PHASE, f"{missing} households may still close in time")
    if record.pending:
        # After a standstill of the chain: fees of voids that come later would not be counted.
        raise Revert(RevertCode.WRONG_PHASE, "unconfirmed agreements are not all void yet")
    if ctx.time_ms < times.settled:
        require_service(ctx, OPERATOR)
    _settle(ctx, rules, window, record)


def clearing_of(rules: Rules, record: WindowRecord) -> Clearing:
    """Return the prices of a settled window; they follow from its sums."""
    surplus, deficit = record.sur + record.unu, record.ext + record.sho
    return clear(rules, surplus, deficit, has_reserve=record.has_reserve)


def payout_of(rules: Rules, clearing: Clearing, enrolment: Enrolment) -> int:
    """Return C_W: deposit, agreements, deviations, fees, in one payment."""
    payout = rules.deposit + enrolment.agreed_money + clearing.price(enrolment.deviation)
    assert payout >= 0, "the deposit covers the worst window"
    return payout


def _settle(ctx: CallContext, rules: Rules, window: int, record: WindowRecord) -> None:
    clearing = clearing_of(rules, record)
    everybody = list(all_enrolments(ctx, window))
    unclosed = [enrolment for enrolment in everybody if not enrolment.is_closed]
    totals = Deviation(sur=record.sur, unu=record.unu, ext=record.ext, sho=record.sho)
    kept = record.pay_net - record.fees + clearing.price(totals)  # C_W less D, over the closed.
    delta = clearing.external_pays - clearing.external_receives - kept
    # Late deviations go through the external market, whose share is known already: the net of a
    # household that has not closed cannot change any more.
    reserve = _late_reserve(rules, record, unclosed)
    released = record.reserve - clearing.external_pays - reserve
    assert released >= 0, "the reserve covers the worst window"
    book(
        ctx,
        fund=delta,
        pledged=sum(max(0, enrolment.agreed_money) for enrolment in unclosed),
        held=kept,
        reserve_locked=reserve - record.reserve,
        reserve_free=released + clearing.external_receives,
    )
    _release_locks(ctx, window, everybody)
    _consume(ctx, record, everybody)
    record = replace(record, is_settled=True, is_finished=not unclosed, reserve=reserve)
    save_window(ctx, window, record)
    if unclosed:
        # Counted from here and not from the deadline: if the chain stood still, those who could
        # not close have as long as ever.
        patience = rules.late_windows * ctx.genesis.window_ms
        ctx.schedule(ctx.time_ms + patience, FORFEIT_DUE + u64(window))
    _emit_settled(ctx, window, clearing, delta, released)


def _late_reserve(rules: Rules, record: WindowRecord, unclosed: list[Enrolment]) -> int:
    if not record.has_reserve:
        return 0
    surplus = sum(max(0, enrolment.net) for enrolment in unclosed)
    return cost(surplus, rules.feed_in)


def _release_locks(ctx: CallContext, window: int, everybody: list[Enrolment]) -> None:
    """Give back what backs the stored offers of households whose meter was silent."""
    for enrolment in everybody:
        if enrolment.lock:
            ENERGY.move(ctx.at(ENERGY_TOKEN), MARKET, enrolment.household, enrolment.lock)
            save_enrolment(ctx, window, replace(enrolment, lock=0))


def _consume(ctx: CallContext, record: WindowRecord, everybody: list[Enrolment]) -> None:
    """Burn the exported energy: at those who imported it, the rest as export to the grid.

    Energy from outside never becomes a token, so importers together burn at most what was
    exported, each its share by its import.
    """
    if record.exp == 0:
        return
    inside = min(record.exp, record.imp)
    portions = shares(inside, [enrolment.imp for enrolment in everybody])
    parts = [
        (enrolment.household, portion)
        for enrolment, portion in zip(everybody, portions, strict=True)
        if portion
    ]
    if record.exp > inside:
        parts.append((MARKET, record.exp - inside))
    ENERGY.burn_through(ctx.at(ENERGY_TOKEN), MARKET, parts)


def _emit_settled(
    ctx: CallContext, window: int, clearing: Clearing, delta: int, released: int
) -> None:
    ctx.emit(
        Settled(
            window,
            clearing.surplus,
            clearing.deficit,
            clearing.matched,
            clearing.p_sur,
            clearing.p_ext,
            clearing.p_unu,
            clearing.p_sho,
        )
    )
    ctx.emit(FundChanged(window, delta))
    _emit_external(ctx, window, clearing, released)


def _emit_external(ctx: CallContext, window: int, clearing: Clearing, released: int) -> None:
    if clearing.external_pays or clearing.external_receives:
        ctx.emit(ExternalSettled(window, clearing.external_pays, clearing.external_receives))
    if released:
        ctx.emit(ReserveReleased(window, released))


# Paying ------------------------------------------------------------------------------------------


def make_transaction(ctx: CallContext, window: int, account: bytes) -> None:
    """Pay the household named W, once; anybody may trigger it."""
    rules, record = load_rules(ctx), load_window(ctx, window)
    enrolment = load_enrolment_of(ctx, window, account)
    if not record.is_settled:
        raise Revert(RevertCode.NOT_SETTLED, f"window {window}")
    if not enrolment.is_closed:
        raise Revert(RevertCode.NOT_CLOSED, f"0x{account.hex()} in window {window}")
    if enrolment.is_paid:
        raise Revert(RevertCode.ALREADY_PAID, f"0x{account.hex()} in window {window}")
    _pay(ctx, rules, window, clearing_of(rules, record), enrolment)


def _pay(
    ctx: CallContext, rules: Rules, window: int, clearing: Clearing, enrolment: Enrolment
) -> None:
    payout = payout_of(rules, clearing, enrolment)
    book(ctx, held=-payout)
    MONEY.move(ctx.at(MONEY_TOKEN), MARKET, enrolment.household, payout)
    save_enrolment(ctx, window, replace(enrolment, is_paid=True, payout=payout))
    ctx.emit(Paid(window, enrolment.account, enrolment.household, payout, payout - rules.deposit))


def settle_due(ctx: CallContext, window: int) -> None:
    """Settle if nobody has, then pay whom nobody has paid, a few at a time; for the queue."""
    rules, record = load_rules(ctx), load_window(ctx, window)
    if not record.is_settled:
        _settle(ctx, rules, window, record)
        _schedule_again(ctx, rules, window)
        return
    clearing = clearing_of(rules, record)
    households = households_of(ctx, window)
    end = min(record.paid_cursor + PAYMENTS_PER_ENTRY, len(households))
    for household in households[record.paid_cursor : end]:
        enrolment = load_enrolment(ctx, window, household)
        if enrolment.is_closed and not enrolment.is_paid:
            _pay(ctx, rules, window, clearing, enrolment)
    if end < len(households):
        save_window(ctx, window, replace(record, paid_cursor=end))
        _schedule_again(ctx, rules, window)
        return
    # Twice the patience with late closing: as long again as anything can still change.
    patience = 2 * rules.late_windows * ctx.genesis.window_ms
    ctx.schedule(ctx.time_ms + patience, DELETE_DUE + u64(window))


def _schedule_again(ctx: CallContext, rules: Rules, window: int) -> None:
    # At its own time, which has passed: due at once, and before anything that is due later.
    settled = load_calendar(ctx, rules, window).settled
    ctx.schedule(settled, SETTLE_DUE + u64(window))


# Late and never ----------------------------------------------------------------------------------


def close_late(
    ctx: CallContext, window: int, record: WindowRecord, enrolment: Enrolment, deviation: Deviation
) -> None:
    """Close and pay a household after settlement: its deviation goes through the outside."""
    rules = load_rules(ctx)
    clearing = clear_late(rules, deviation, has_reserve=record.has_reserve)
    enrolment = replace(
        enrolment,
        is_closed=True,
        sur=deviation.sur,
        unu=deviation.unu,
        ext=deviation.ext,
        sho=deviation.sho,
    )
    payout = payout_of(rules, clearing, enrolment)
    delta = rules.deposit - payout + clearing.external_pays - clearing.external_receives
    closed_late = record.closed_late + 1
    record = replace(
        record,
        closed_late=closed_late,
        is_finished=record.closed + closed_late == record.enrolled,
        reserve=record.reserve - clearing.external_pays,
    )
    save_window(ctx, window, record)
    book(
        ctx,
        fund=delta,
        pledged=-max(0, enrolment.agreed_money),
        held=payout - rules.deposit,
        reserve_locked=-clearing.external_pays,
        reserve_free=clearing.external_receives,
    )
    ctx.emit(
        Closed(
            window,
            enrolment.account,
            deviation.sur,
            deviation.unu,
            deviation.ext,
            deviation.sho,
        )
    )
    ctx.emit(FundChanged(window, delta))
    _emit_external(ctx, window, clearing, 0)
    _pay(ctx, rules, window, clearing, enrolment)


def forfeit_due(ctx: CallContext, window: int) -> None:
    """Give the deposits of those who never closed to the fund, a few at a time; for the queue."""
    rules, record = load_rules(ctx), load_window(ctx, window)
    if record.is_finished and record.forfeit_cursor == 0:
        return  # Everybody has closed.
    households = households_of(ctx, window)
    end = min(record.forfeit_cursor + PAYMENTS_PER_ENTRY, len(households))
    released = 0
    for household in households[record.forfeit_cursor : end]:
        enrolment = load_enrolment(ctx, window, household)
        if not enrolment.is_closed:
            released += _forfeit(ctx, rules, window, record, enrolment)
    is_last = end == len(households)
    record = replace(
        record,
        reserve=record.reserve - released,
        is_finished=True,
        forfeit_cursor=0 if is_last else end,
    )
    save_window(ctx, window, record)
    if released:
        ctx.emit(ReserveReleased(window, released))
    if not is_last:
        ctx.schedule(ctx.time_ms, FORFEIT_DUE + u64(window))


def _forfeit(
    ctx: CallContext, rules: Rules, window: int, record: WindowRecord, enrolment: Enrolment
) -> int:
    """Forfeit one deposit; return the part of the reserve that nobody can claim any more."""
    released = _late_reserve(rules, record, [enrolment])
    book(
        ctx,
        fund=rules.deposit,
        pledged=-max(0, enrolment.agreed_money),
        held=-rules.deposit,
        reserve_locked=-released,
        reserve_free=released,
    )
    ctx.emit(Forfeited(window, enrolment.account, enrolment.household, rules.deposit))
    ctx.emit(FundChanged(window, rules.deposit))
    return released


def delete_due(ctx: CallContext, window: int) -> None:
    """Delete the records of a finished window, a few at a time; for the queue.

    Everybody is paid or has forfeited: late closing ends late_windows after the settlement, this
    comes twice as long after the last payment. The events stay in the history.
    """
    record = load_window(ctx, window)
    # After a standstill of the chain, forfeiting in chunks may be under way; it goes first.
    is_deletable = record.is_finished and record.forfeit_cursor == 0
    if not is_deletable or not delete_window(ctx, window, record, DELETIONS_PER_ENTRY):
        ctx.schedule(ctx.time_ms, DELETE_DUE + u64(window))
