"""After delivery: the meter attests, the household closes."""

from dataclasses import replace

from market.abi import (
    ENERGY_TOKEN,
    MARKET,
    METERS,
    Attested,
    Closed,
    EnergyDebt,
    Phase,
    RevertCode,
)
from market.contracts.energy_token import ENERGY
from market.contracts.market_enrolment import require_phase
from market.contracts.market_rules import Deviation, phase_by_time
from market.contracts.market_settlement import close_late
from market.contracts.market_store import (
    Enrolment,
    energy_debt,
    load_calendar,
    load_enrolment,
    load_rules,
    load_window,
    save_enrolment,
    save_window,
    set_energy_debt,
)
from market.contracts.meters import Reading, Registers, record_reading
from vm.errors import Revert
from vm.native import CallContext


def attest(
    ctx: CallContext, window: int, account: bytes, registers: Registers, pagination: int
) -> None:
    """Account for what flowed in `window`; by the certified meter of the household named W."""
    rules = load_rules(ctx)
    require_phase(ctx, rules, window, Phase.ATTEST)
    reading = record_reading(
        ctx.at(METERS),
        ctx.caller,
        registers,
        window=window,
        pagination=pagination,
        quantity_max=rules.quantity_max,
    )
    enrolment = load_enrolment(ctx, window, reading.household)
    if enrolment.account != account:
        detail = f"0x{account.hex()} is not W of the meter's household in window {window}"
        raise Revert(RevertCode.NOT_METER, detail)
    if enrolment.is_attested:
        raise Revert(RevertCode.ALREADY_ATTESTED, f"window {window}")
    release_lock(ctx, enrolment)
    _move_energy(ctx, reading)
    enrolment = replace(enrolment, is_attested=True, exp=reading.exp, imp=reading.imp, lock=0)
    save_enrolment(ctx, window, enrolment)
    record = load_window(ctx, window)
    record = replace(record, exp=record.exp + reading.exp, imp=record.imp + reading.imp)
    save_window(ctx, window, record)
    ctx.emit(
        Attested(
            window,
            account,
            reading.exp,
            reading.imp,
            reading.charged,
            reading.discharged,
            reading.loss,
        )
    )


def release_lock(ctx: CallContext, enrolment: Enrolment) -> None:
    """Give back the tokens that backed stored offers; the caller clears `lock`."""
    if enrolment.lock:
        ENERGY.move(ctx.at(ENERGY_TOKEN), MARKET, enrolment.household, enrolment.lock)


def _move_energy(ctx: CallContext, reading: Reading) -> None:
    """Mint and burn stored energy, then mint the export into the Market's hands.

    What left the battery and is not in the balance any more (the household gave its tokens away)
    becomes a debt that its next tokens repay.
    """
    tokens, household = ctx.at(ENERGY_TOKEN), reading.household
    if reading.charged:
        ENERGY.mint(tokens, household, reading.charged)
    debt = energy_debt(ctx, household)
    owed = debt + reading.discharged + reading.loss
    burnt = min(owed, ENERGY.balance(tokens, household))
    if burnt:
        ENERGY.burn(tokens, household, burnt)
    if owed - burnt != debt:
        set_energy_debt(ctx, household, owed - burnt)
        ctx.emit(EnergyDebt(household, owed - burnt))
    if reading.exp:
        ENERGY.mint(tokens, household, reading.exp)
        ENERGY.move(tokens, household, MARKET, reading.exp)


def close(ctx: CallContext, window: int, deviation: Deviation) -> None:
    """Take the household's split of its deviation; late, it is paid at external prices."""
    rules = load_rules(ctx)
    enrolment = load_enrolment(ctx, window, ctx.sponsor)
    if enrolment.is_closed:
        raise Revert(RevertCode.ALREADY_CLOSED, f"window {window}")
    record = load_window(ctx, window)
    if record.is_settled and not record.is_finished:
        _check_deviation(enrolment, deviation)
        close_late(ctx, window, record, enrolment, deviation)
        return
    phase = phase_by_time(load_calendar(ctx, rules, window), ctx.time_ms)
    if phase != Phase.CLOSE and not (phase == Phase.ATTEST and enrolment.is_attested):
        detail = f"window {window} is in {phase.name}; its meter has "
        detail += "attested" if enrolment.is_attested else "not attested"
        raise Revert(RevertCode.WRONG_PHASE, detail)
    if record.pending:
        raise Revert(RevertCode.WRONG_PHASE, "unconfirmed agreements are not all void yet")
    _check_deviation(enrolment, deviation)
    enrolment = replace(
        enrolment,
        is_closed=True,
        sur=deviation.sur,
        unu=deviation.unu,
        ext=deviation.ext,
        sho=deviation.sho,
    )
    save_enrolment(ctx, window, enrolment)
    record = replace(
        record,
        closed=record.closed + 1,
        sur=record.sur + deviation.sur,
        unu=record.unu + deviation.unu,
        ext=record.ext + deviation.ext,
        sho=record.sho + deviation.sho,
        pay_net=record.pay_net + enrolment.pay_sold - enrolment.pay_bought,
        fees=record.fees + enrolment.fees,
    )
    save_window(ctx, window, record)
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


def _check_deviation(enrolment: Enrolment, deviation: Deviation) -> None:
    """Revert with CLOSING_UNBALANCED unless the four account for the household's net."""
    if deviation.surplus and deviation.deficit:
        detail = "sur + unu and ext + sho must not both be positive"
        raise Revert(RevertCode.CLOSING_UNBALANCED, detail)
    if deviation.surplus - deviation.deficit != enrolment.net:
        detail = f"sur + unu - ext - sho must be {enrolment.net}"
        raise Revert(RevertCode.CLOSING_UNBALANCED, detail)
    if deviation.sur > enrolment.exp:
        detail = f"sur must be at most the export {enrolment.exp}, got {deviation.sur}"
        raise Revert(RevertCode.CLOSING_UNBALANCED, detail)
    if deviation.ext > enrolment.imp:
        detail = f"ext must be at most the import {enrolment.imp}, got {deviation.ext}"
        raise Revert(RevertCode.CLOSING_UNBALANCED, detail)
