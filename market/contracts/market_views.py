"""What the Market answers without a transaction: rows as `market.abi.FUNCTIONS` names them."""

from typing import Annotated

from market.abi import FUNCTIONS, Phase
from market.contracts.market_rules import Rules, phase_by_time
from market.contracts.market_settlement import clearing_of, payout_of
from market.contracts.market_store import (
    agreement_id_at,
    all_enrolments,
    calls,
    cap_of,
    conditions_of,
    load_agreement,
    load_calendar,
    load_enrolment_of,
    load_fund,
    load_rules,
    load_window,
    offers,
)
from market.contracts.storage import u64
from vm.native import U8, U64, U256, Abi, Address, Bool, Bytes32, CallContext

_VIEWS = FUNCTIONS["Market"]

OfferRow = tuple[int, bytes, int, int, int, bytes, bytes]
OfferRows = Annotated[list[OfferRow], Abi(_VIEWS["getOffers"].outputs)]
CallRow = tuple[int, bytes, int, int, bytes]
CallRows = Annotated[list[CallRow], Abi(_VIEWS["getCalls"].outputs)]
AgreementRow = tuple[Bytes32, U64, U64, Address, Address, U64, U64, U8]
AgreementRows = Annotated[list[AgreementRow], Abi(_VIEWS["agreements"].outputs)]
AddressList = Annotated[list[bytes], Abi("address[]")]
I256 = Annotated[int, Abi("int256")]
ParameterRow = tuple[
    U64, U64, U64, U64, U64, U64, U64, U64, U64, U64, U64, U64, U256, U64, U64, U64
]
TermsRow = tuple[U64, U64, U64, U64, U256, Bool]
EnrolmentRow = tuple[Address, U64, U64, Bool, U64, U64, Bool, U64, U64, U64, U64, Bool, U256]
TotalsRow = tuple[Bool, U64, U64, U64, U64, U64, U64, U64]
FundRow = tuple[I256, U256, U256, U256]


def offer_rows(ctx: CallContext, window: int) -> list[OfferRow]:
    """Return (id, seller, kind, quantity, sold, negotiationKey, conditions) of each offer."""
    rows = []
    for offer_id in range(1, load_window(ctx, window).offers + 1):
        offer = offers.get(ctx, u64(window) + u64(offer_id))
        assert offer is not None, "offers are numbered without gaps"
        conditions = conditions_of(ctx, window, offer_id)
        row = (offer_id, offer.seller, offer.kind, offer.quantity, offer.sold)
        rows.append((*row, offer.negotiation_key, conditions))
    return rows


def call_rows(ctx: CallContext, window: int) -> list[CallRow]:
    """Return (id, buyer, quantity, bought, negotiationKey) of each call.

    Agreements name no call: what a household bought fills its calls in order.
    """
    left = {each.household: each.bought_recorded for each in all_enrolments(ctx, window)}
    rows = []
    for call_id in range(1, load_window(ctx, window).calls + 1):
        call = calls.get(ctx, u64(window) + u64(call_id))
        assert call is not None, "calls are numbered without gaps"
        bought = min(call.quantity, left[call.household])
        left[call.household] -= bought
        rows.append((call_id, call.buyer, call.quantity, bought, call.negotiation_key))
    return rows


def phase_of(ctx: CallContext, window: int) -> Phase:
    """Return the phase by time, and by settlement."""
    rules, record = load_rules(ctx), load_window(ctx, window)
    if record.is_settled:
        return Phase.DONE if record.is_finished else Phase.LATE
    phase = phase_by_time(load_calendar(ctx, rules, window), ctx.time_ms)
    if phase == Phase.SETTLE and record.enrolled == 0:
        return Phase.DONE  # There is nothing to settle.
    return phase


def parameter_row(ctx: CallContext, rules: Rules) -> ParameterRow:
    """Return the genesis parameters, Q, D and the lengths of time."""
    genesis = ctx.genesis
    return (
        rules.retail,
        rules.feed_in,
        rules.penalty,
        rules.k,
        rules.attest_windows,
        rules.close_windows,
        rules.settle_windows,
        rules.late_windows,
        rules.confirm_fee,
        rules.agreements_max,
        rules.offers_max,
        rules.quantity_max,
        rules.deposit,
        genesis.time_ms,
        genesis.window_ms,
        genesis.record_ms,
    )


def terms_row(ctx: CallContext, window: int) -> TermsRow:
    """Return (retail, feedIn, penalty, cap, deposit, reserveLocked) of a window."""
    rules = load_rules(ctx)
    cap = cap_of(ctx, rules, window)
    has_reserve = load_window(ctx, window).has_reserve
    return rules.retail, rules.feed_in, rules.penalty, cap, rules.deposit, has_reserve


def enrolment_row(ctx: CallContext, window: int, account: bytes) -> EnrolmentRow:
    """Return the household's window.

    `sold` and `bought` are those of firm agreements; `payout` is what was paid or, once the
    window is settled, what is due, and 0 before.
    """
    e = load_enrolment_of(ctx, window, account)
    payout, record = e.payout, load_window(ctx, window)
    if record.is_settled and e.is_closed and not e.is_paid:
        rules = load_rules(ctx)
        payout = payout_of(rules, clearing_of(rules, record), e)
    return (
        e.household,
        e.sold,
        e.bought,
        e.is_attested,
        e.exp,
        e.imp,
        e.is_closed,
        e.sur,
        e.unu,
        e.ext,
        e.sho,
        e.is_paid,
        payout,
    )


def agreement_row(ctx: CallContext, agreement_id: bytes) -> AgreementRow:
    """Return (id, window, offerId, seller, buyer, quantity, price, status)."""
    a = load_agreement(ctx, agreement_id)
    parties = (a.seller, a.buyer)
    return agreement_id, a.window, a.offer_id, *parties, a.quantity, a.price, a.status


def agreement_rows(ctx: CallContext, window: int) -> list[AgreementRow]:
    """Return all agreements of a window in the order of recording."""
    count = load_window(ctx, window).agreements
    return [agreement_row(ctx, agreement_id_at(ctx, window, index)) for index in range(count)]


def totals_row(ctx: CallContext, window: int) -> TotalsRow:
    """Return (settled, U, T, M, pSur, pExt, pUnu, pSho); zeros before settlement."""
    record = load_window(ctx, window)
    if not record.is_settled:
        return False, 0, 0, 0, 0, 0, 0, 0
    c = clearing_of(load_rules(ctx), record)
    return True, c.surplus, c.deficit, c.matched, c.p_sur, c.p_ext, c.p_unu, c.p_sho


def fund_row(ctx: CallContext) -> FundRow:
    """Return (fund, reserveFree, reserveLocked, depositsLocked)."""
    money = load_fund(ctx)
    return money.fund, money.reserve_free, money.reserve_locked, money.held
