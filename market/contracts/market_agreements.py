"""The recording phase: sellers record agreements, buyers confirm them, the rest becomes void."""

from dataclasses import replace

from market.abi import (
    ACCEPTANCE_FIELDS,
    ACCEPTANCE_TAG,
    AgreementStatus,
    Phase,
    RevertCode,
    TransactionAllowed,
    TransactionConfirmed,
    TransactionVoided,
)
from market.contracts.market_enrolment import require_phase
from market.contracts.market_rules import Calendar, Rules
from market.contracts.market_store import (
    Agreement,
    Enrolment,
    Offer,
    add_agreement,
    agreement_id_at,
    agreements,
    cap_of,
    load_agreement,
    load_calendar,
    load_enrolment,
    load_enrolment_of,
    load_rules,
    load_window,
    offers,
    save_enrolment,
    save_window,
)
from market.contracts.signed import digest_of, signer_of
from market.contracts.storage import u64
from market.units import cost
from vm.errors import Revert
from vm.gas import HASH
from vm.native import CallContext

VOID_DUE = b"v"
"""Payload of the deadline at the end of recording, followed by the window."""
VOIDS_PER_ENTRY = 8
"""Agreements that one run of that deadline looks at; see ENTRY_GAS_BASE."""


def acceptance_digest(
    *,
    chain_id: int,
    window: int,
    offer_id: int,
    seller: bytes,
    buyer: bytes,
    quantity: int,
    price: int,
    nonce: int,
) -> bytes:
    """Return the 32 bytes that the buyer signs: also the agreement's id.

    Args:
        seller: W of the seller's household, as is `buyer` of the buyer's.
        nonce: lets the same terms be agreed upon twice.
    """
    values: dict[str, int | bytes | str] = {
        "chain_id": chain_id,
        "window": window,
        "offer_id": offer_id,
        "seller": seller,
        "buyer": buyer,
        "quantity": quantity,
        "price": price,
        "nonce": nonce,
    }
    return digest_of(ACCEPTANCE_TAG, ACCEPTANCE_FIELDS, values)


def allow(
    ctx: CallContext,
    window: int,
    *,
    offer_id: int,
    buyer: bytes,
    quantity: int,
    price: int,
    nonce: int,
    acceptance: bytes,
) -> bytes:
    """Record a sale that the buyer signed; return the agreement's id."""
    rules = load_rules(ctx)
    require_phase(ctx, rules, window, Phase.RECORD)
    seller_side = load_enrolment(ctx, window, ctx.sponsor)
    buyer_side = load_enrolment_of(ctx, window, buyer)
    offer = _load_offer(ctx, window, offer_id)
    _check_terms(rules, offer, seller_side, buyer_side, quantity=quantity, price=price)
    _check_limits(rules, cap_of(ctx, rules, window), seller_side, buyer_side, quantity)
    ctx.charge(HASH)
    agreement_id = acceptance_digest(
        chain_id=ctx.chain_id,
        window=window,
        offer_id=offer_id,
        seller=seller_side.account,
        buyer=buyer,
        quantity=quantity,
        price=price,
        nonce=nonce,
    )
    signer = signer_of(ctx, agreement_id, acceptance)
    if ctx.sponsor_of(signer) != buyer_side.household:
        detail = f"0x{signer.hex()} does not act for the buyer's household"
        raise Revert(RevertCode.BAD_SIGNATURE, detail)
    if agreements.get(ctx, agreement_id) is not None:
        raise Revert(RevertCode.ALREADY_RECORDED, agreement_id.hex())
    agreement = Agreement(
        window=window,
        offer_id=offer_id,
        seller=seller_side.account,
        seller_household=seller_side.household,
        buyer=buyer,
        buyer_household=buyer_side.household,
        quantity=quantity,
        price=price,
        fee=_fee(rules, load_calendar(ctx, rules, window), ctx.time_ms),
    )
    _record(ctx, agreement_id, agreement)
    offer = replace(offer, sold=offer.sold + quantity)
    offers.put(ctx, offer, u64(window) + u64(offer_id))
    seller_side = replace(
        seller_side,
        sales=seller_side.sales + 1,
        sold_recorded=seller_side.sold_recorded + quantity,
    )
    save_enrolment(ctx, window, seller_side)
    buyer_side = replace(
        buyer_side,
        purchases=buyer_side.purchases + 1,
        bought_recorded=buyer_side.bought_recorded + quantity,
    )
    save_enrolment(ctx, window, buyer_side)
    ctx.emit(
        TransactionAllowed(
            window, seller_side.account, buyer, agreement_id, offer_id, quantity, price
        )
    )
    return agreement_id


def _load_offer(ctx: CallContext, window: int, offer_id: int) -> Offer:
    offer = offers.get(ctx, u64(window) + u64(offer_id))
    if offer is None:
        raise Revert(RevertCode.UNKNOWN_OFFER, f"no offer {offer_id} in window {window}")
    return offer


def _check_terms(
    rules: Rules,
    offer: Offer,
    seller_side: Enrolment,
    buyer_side: Enrolment,
    *,
    quantity: int,
    price: int,
) -> None:
    if offer.household != seller_side.household:
        raise Revert(RevertCode.NOT_SELLER, "the offer is another household's")
    if buyer_side.household == seller_side.household:
        raise Revert(RevertCode.SAME_HOUSEHOLD, "nobody sells to itself")
    if not rules.feed_in <= price <= rules.retail:
        detail = f"price must lie in {rules.feed_in}..{rules.retail}, got {price}"
        raise Revert(RevertCode.PRICE_OUT_OF_BAND, detail)
    if quantity < 1:
        raise Revert(RevertCode.BAD_ARGUMENT, "quantity must be at least 1 Wh")
    if offer.sold + quantity > offer.quantity:
        detail = f"{offer.quantity - offer.sold} Wh are left of the offer, asked for {quantity}"
        raise Revert(RevertCode.OFFER_EXHAUSTED, detail)


def _check_limits(
    rules: Rules, cap: int, seller_side: Enrolment, buyer_side: Enrolment, quantity: int
) -> None:
    if max(seller_side.sales, buyer_side.purchases) >= rules.agreements_max:
        raise Revert(RevertCode.TOO_MANY, f"{rules.agreements_max} agreements on one side")
    if max(seller_side.sold_recorded, buyer_side.bought_recorded) + quantity > cap:
        raise Revert(RevertCode.CAP_EXCEEDED, f"the cap of the window is {cap} Wh a side")


def _fee(rules: Rules, times: Calendar, now_ms: int) -> int:
    """Return what not confirming costs: nothing if the seller left too little time for it.

    Otherwise a seller could record in the last block of the phase and have the buyer fined.
    """
    halfway = (times.records + times.starts) // 2
    return rules.confirm_fee if now_ms < halfway else 0


def _record(ctx: CallContext, agreement_id: bytes, agreement: Agreement) -> None:
    window = agreement.window
    record = load_window(ctx, window)
    if record.agreements == 0:
        starts = load_calendar(ctx, load_rules(ctx), window).starts
        ctx.schedule(starts, VOID_DUE + u64(window))
    add_agreement(ctx, window, record.agreements, agreement_id, agreement)
    record = replace(record, agreements=record.agreements + 1, pending=record.pending + 1)
    save_window(ctx, window, record)


def confirm(ctx: CallContext, agreement_id: bytes) -> None:
    """Make an agreement firm."""
    agreement = load_agreement(ctx, agreement_id)
    window, quantity = agreement.window, agreement.quantity
    if ctx.sponsor != agreement.buyer_household:
        raise Revert(RevertCode.NOT_BUYER, "the buyer's household confirms")
    require_phase(ctx, load_rules(ctx), window, Phase.RECORD)
    if agreement.status != AgreementStatus.RECORDED:
        raise Revert(RevertCode.ALREADY_CONFIRMED, agreement_id.hex())
    agreements.put(ctx, replace(agreement, status=AgreementStatus.CONFIRMED), agreement_id)
    pay = cost(quantity, agreement.price)
    seller_side = load_enrolment(ctx, window, agreement.seller_household)
    seller_side = replace(
        seller_side, sold=seller_side.sold + quantity, pay_sold=seller_side.pay_sold + pay
    )
    save_enrolment(ctx, window, seller_side)
    buyer_side = load_enrolment(ctx, window, agreement.buyer_household)
    buyer_side = replace(
        buyer_side, bought=buyer_side.bought + quantity, pay_bought=buyer_side.pay_bought + pay
    )
    save_enrolment(ctx, window, buyer_side)
    record = load_window(ctx, window)
    save_window(ctx, window, replace(record, pending=record.pending - 1))
    ctx.emit(TransactionConfirmed(window, agreement_id))


def void_unconfirmed(ctx: CallContext, window: int) -> None:
    """Undo what was not confirmed, a few agreements at a time; for the deadline queue."""
    record = load_window(ctx, window)
    if record.pending == 0:
        return
    end = min(record.void_cursor + VOIDS_PER_ENTRY, record.agreements)
    pending = record.pending
    for index in range(record.void_cursor, end):
        agreement_id = agreement_id_at(ctx, window, index)
        agreement = load_agreement(ctx, agreement_id)
        if agreement.status == AgreementStatus.RECORDED:
            _void(ctx, agreement_id, agreement)
            pending -= 1
    save_window(ctx, window, replace(record, void_cursor=end, pending=pending))
    if pending:
        # At its own time, which has passed: due at once, and before anything that is due later.
        starts = load_calendar(ctx, load_rules(ctx), window).starts
        ctx.schedule(starts, VOID_DUE + u64(window))


def _void(ctx: CallContext, agreement_id: bytes, agreement: Agreement) -> None:
    window, quantity = agreement.window, agreement.quantity
    agreements.put(ctx, replace(agreement, status=AgreementStatus.VOID), agreement_id)
    offer = _load_offer(ctx, window, agreement.offer_id)
    offer = replace(offer, sold=offer.sold - quantity)
    offers.put(ctx, offer, u64(window) + u64(agreement.offer_id))
    seller_side = load_enrolment(ctx, window, agreement.seller_household)
    seller_side = replace(seller_side, sold_recorded=seller_side.sold_recorded - quantity)
    save_enrolment(ctx, window, seller_side)
    buyer_side = load_enrolment(ctx, window, agreement.buyer_household)
    buyer_side = replace(
        buyer_side,
        bought_recorded=buyer_side.bought_recorded - quantity,
        fees=buyer_side.fees + agreement.fee,
    )
    save_enrolment(ctx, window, buyer_side)
    ctx.emit(TransactionVoided(window, agreement_id))
