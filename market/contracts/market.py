"""The Market: the functions of a window in the order of their use. Read this first.

A window w is traded while w-1 is delivered: enrol, offer, call, negotiate (off chain), record;
then the energy flows, meters attest, households close, the window is settled and paid. The steps
are in `market_enrolment`, `market_agreements`, `market_metering` and `market_settlement`, the
formulas in `market_rules`, the records in `market_store`. docs/spec/market.md has the whole.
"""

from typing import final

from market.abi import EVENTS, MARKET, ZERO_ADDRESS, RevertCode
from market.contracts import (
    market_agreements,
    market_enrolment,
    market_metering,
    market_settlement,
    market_views,
)
from market.contracts.market_rules import Deviation, read_rules
from market.contracts.market_store import (
    all_enrolments,
    energy_debt,
    enrolments,
    load_rules,
    load_window,
    rules_records,
)
from market.contracts.meters import Registers
from market.contracts.storage import u64
from vm.errors import Revert
from vm.gas import METHOD
from vm.native import (
    U8,
    U64,
    U256,
    Address,
    Bytes,
    Bytes32,
    CallContext,
    NativeContract,
    Params,
    external,
    view,
)


@final
class Market(NativeContract):
    """Trade, metering and settlement of electricity, window by window."""

    ADDRESS = MARKET
    NAME = "market"
    EVENTS = EVENTS["Market"]

    def genesis(self, ctx: CallContext, params: Params) -> None:
        """Check and write the rules."""
        rules_records.put(ctx, read_rules(params, ctx.genesis))

    def on_deadline(self, ctx: CallContext, payload: bytes) -> None:
        """End recording, settle and pay, forfeit, delete. Never reverts: nothing may be stuck."""
        due, window = payload[:1], int.from_bytes(payload[1:], "big")
        if due == market_agreements.VOID_DUE:
            market_agreements.void_unconfirmed(ctx, window)
        elif due == market_enrolment.SETTLE_DUE:
            market_settlement.settle_due(ctx, window)
        elif due == market_settlement.FORFEIT_DUE:
            market_settlement.forfeit_due(ctx, window)
        else:
            assert due == market_settlement.DELETE_DUE, f"unknown deadline {payload!r}"
            market_settlement.delete_due(ctx, window)

    # Before delivery --------------------------------------------------------------------------

    @external(gas=METHOD)
    def enrol(self, ctx: CallContext, window: U64) -> None:
        """Take part in `window`: lock the deposit D of the caller's household.

        The calling account becomes W, the household's name in the window; every account of the
        household acts for it. The first enrolment also locks the external market's reserve, if
        it suffices.

        Reverts:
            WRONG_PHASE: not while the window is negotiated.
            NOT_HOUSEHOLD, ALREADY_ENROLLED, INSUFFICIENT_FUNDS.
            INSUFFICIENT_RESERVE, TOO_MANY: somebody joined after the window was opened.

        Emits: Enrolled; with the first ReserveLocked or ReserveMissing, and ReserveLocked for one
            household more than there were members then.
        """
        market_enrolment.enrol(ctx, window)

    @external(gas=METHOD)
    def make_offer(  # noqa: PLR0917 (a transaction has no keywords)
        self,
        ctx: CallContext,
        window: U64,
        kind: U8,
        quantity: U64,
        negotiation_key: Bytes32,
        conditions: Bytes,
    ) -> U64:
        """Offer `quantity` Wh; the tokens of a stored offer are locked until the meter attests.

        Args:
            kind: `OfferKind`.
            negotiation_key: X25519 key to which proposals are boxed.
            conditions: at most CONDITIONS_BYTES_MAX, for the agents.

        Returns:
            The offer's id, counted from 1 in the window.

        Reverts:
            WRONG_PHASE, NOT_ENROLLED, BAD_ARGUMENT.
            TOO_MANY: offers_max. CAP_EXCEEDED: the sum of offers.
            INSUFFICIENT_ENERGY: a stored offer without the tokens.

        Emits: OfferMade.
        """
        return market_enrolment.make_offer(
            ctx,
            window,
            kind=kind,
            quantity=quantity,
            negotiation_key=negotiation_key,
            conditions=conditions,
        )

    @external(gas=METHOD)
    def make_call(
        self, ctx: CallContext, window: U64, quantity: U64, negotiation_key: Bytes32
    ) -> U64:
        """Declare a demand of `quantity` Wh; the mirror of an offer.

        Returns:
            The call's id, counted from 1 in the window.

        Reverts:
            WRONG_PHASE, NOT_ENROLLED, BAD_ARGUMENT, TOO_MANY, CAP_EXCEEDED: as `makeOffer`.

        Emits: CallMade.
        """
        return market_enrolment.make_call(
            ctx, window, quantity=quantity, negotiation_key=negotiation_key
        )

    @external(gas=METHOD)
    def allow_transaction(  # noqa: PLR0917 (a transaction has no keywords)
        self,
        ctx: CallContext,
        window: U64,
        offer_id: U64,
        buyer: Address,
        quantity: U64,
        price: U64,
        nonce: U64,
        acceptance: Bytes,
    ) -> Bytes32:
        """Record a sale from an offer of the caller's household.

        Args:
            buyer: W of the buyer's household.
            price: in 10⁻⁸ EUR per Wh, between feed-in and retail.
            nonce: as signed.
            acceptance: 65-byte signature by an account of the buyer's household over the
                agreement's id (`market_agreements.acceptance_digest`).

        Returns:
            The agreement's id.

        Reverts:
            WRONG_PHASE: not in the recording phase.
            NOT_ENROLLED: either side. UNKNOWN_OFFER, NOT_SELLER, SAME_HOUSEHOLD, BAD_ARGUMENT.
            PRICE_OUT_OF_BAND, OFFER_EXHAUSTED, TOO_MANY (agreements_max), CAP_EXCEEDED.
            BAD_SIGNATURE, ALREADY_RECORDED.

        Emits: TransactionAllowed.
        """
        return market_agreements.allow(
            ctx,
            window,
            offer_id=offer_id,
            buyer=buyer,
            quantity=quantity,
            price=price,
            nonce=nonce,
            acceptance=acceptance,
        )

    @external(gas=METHOD)
    def confirm(self, ctx: CallContext, agreement_id: Bytes32) -> None:
        """Make an agreement firm: quantity and price are due whatever happens.

        What is not confirmed when recording ends is void. The buyer then pays confirm_fee, if
        the seller recorded in the first half of the phase.

        Reverts:
            UNKNOWN_AGREEMENT, NOT_BUYER, WRONG_PHASE, ALREADY_CONFIRMED.

        Emits: TransactionConfirmed.
        """
        market_agreements.confirm(ctx, agreement_id)

    # After delivery ---------------------------------------------------------------------------

    @external(gas=METHOD)
    def attest(  # noqa: PLR0917 (a transaction has no keywords)
        self,
        ctx: CallContext,
        window: U64,
        account: Address,
        exp_register: U64,
        imp_register: U64,
        charged_register: U64,
        discharged_register: U64,
        loss_register: U64,
        pagination: U64,
        record_hash: Bytes32,
    ) -> None:
        """Account for `window` by the registers at its end, cumulative Wh; by the meter itself.

        Export and import count up to Q each, the rest with the next attestation. Locks of stored
        offers are released; charging mints, discharging and losses burn; the export is minted
        and held by the Market until settlement.

        Args:
            account: W of the meter's household.
            pagination: of the meter's record, above the last one.
            record_hash: binds the signed record, which stays with the household.

        Reverts:
            WRONG_PHASE: not between the end of delivery and the deadline for attesting.
            NOT_METER, CERTIFICATE_EXPIRED, PAGINATION_REPEATED, REGISTER_DECREASED.
            NOT_ENROLLED, ALREADY_ATTESTED, BAD_ARGUMENT.

        Emits: Attested, Transfer, EnergyDebt.
        """
        if not any(record_hash):
            raise Revert(RevertCode.BAD_ARGUMENT, "recordHash is zero")
        registers = Registers(
            exp=exp_register,
            imp=imp_register,
            charged=charged_register,
            discharged=discharged_register,
            loss=loss_register,
        )
        market_metering.attest(ctx, window, account, registers, pagination)

    @external(gas=METHOD)
    def close(  # noqa: PLR0917 (a transaction has no keywords)
        self, ctx: CallContext, window: U64, sur: U64, unu: U64, ext: U64, sho: U64
    ) -> None:
        """Split the household's deviation: exp - imp - sold + bought = sur + unu - ext - sho.

        From its attestation (without one, from the deadline for attesting, with exp = imp = 0)
        until the deadline for closing. After settlement, for late_windows, it is closed and paid
        at external prices in one step.

        Reverts:
            NOT_ENROLLED, ALREADY_CLOSED, WRONG_PHASE.
            CLOSING_UNBALANCED: the equation, sur > exp, ext > imp, or both signs at once.

        Emits: Closed; if late, also FundChanged, ExternalSettled, Paid.
        """
        deviation = Deviation(sur=sur, unu=unu, ext=ext, sho=sho)
        market_metering.close(ctx, window, deviation)

    @external(gas=METHOD)
    def settle(self, ctx: CallContext, window: U64) -> None:
        """Fix totals and prices, burn what was consumed and exported, release the reserve.

        The operator may when all have closed or the deadline for closing has passed, anybody
        after the deadline for settling; the deadline queue does it at that moment.

        Reverts:
            NOT_ENROLLED: nobody is. ALREADY_SETTLED, WRONG_PHASE, NOT_OPERATOR.

        Emits: Settled, FundChanged, ExternalSettled, ReserveReleased, Transfer.
        """
        market_settlement.settle(ctx, window)

    @external(gas=METHOD)
    def make_transaction(self, ctx: CallContext, window: U64, account: Address) -> None:
        """Pay C_W to the household named `account`, once; anybody may trigger it.

        Reverts:
            NOT_ENROLLED, NOT_SETTLED, NOT_CLOSED, ALREADY_PAID.

        Emits: Paid, Transfer.
        """
        market_settlement.make_transaction(ctx, window, account)

    # The services -----------------------------------------------------------------------------

    @external(gas=METHOD)
    def deposit_reserve(self, ctx: CallContext, amount: U256) -> None:
        """Add the external market's money to the free reserve.

        Reverts:
            NOT_EXTERNAL_MARKET, INSUFFICIENT_FUNDS.
        """
        market_enrolment.deposit_reserve(ctx, amount)

    @external(gas=METHOD)
    def withdraw_reserve(self, ctx: CallContext, amount: U256) -> None:
        """Take free reserve back.

        Reverts:
            NOT_EXTERNAL_MARKET, INSUFFICIENT_RESERVE.
        """
        market_enrolment.withdraw_reserve(ctx, amount)

    @external(gas=METHOD)
    def withdraw_fund(self, ctx: CallContext, amount: U256) -> None:
        """Pay the operator from the fund, never below what late sellers are owed.

        Reverts:
            NOT_OPERATOR, INSUFFICIENT_FUND.
        """
        market_enrolment.withdraw_fund(ctx, amount)

    @external(gas=METHOD)
    def set_cap(self, ctx: CallContext, window: U64, cap: U64) -> None:
        """Bound what one household may offer, call for, sell and buy in `window`: Q_w in Wh.

        Reverts:
            NOT_OPERATOR; WRONG_PHASE: its negotiation has begun; BAD_ARGUMENT: above Q.

        Emits: CapSet.
        """
        market_enrolment.set_window_cap(ctx, window, cap)

    # Views ------------------------------------------------------------------------------------

    @view(gas=METHOD)
    def get_offers(self, ctx: CallContext, window: U64) -> market_views.OfferRows:
        """Return all offers of a window; `sold` counts recorded agreements that are not void."""
        return market_views.offer_rows(ctx, window)

    @view(gas=METHOD)
    def get_calls(self, ctx: CallContext, window: U64) -> market_views.CallRows:
        """Return all calls of a window; `bought` as `sold` in `getOffers`."""
        return market_views.call_rows(ctx, window)

    @view(gas=METHOD)
    def phase(self, ctx: CallContext, window: U64) -> U8:
        """Return the `Phase` of a window."""
        return market_views.phase_of(ctx, window)

    @view(gas=METHOD)
    def parameters(self, ctx: CallContext) -> market_views.ParameterRow:
        """Return what genesis fixes."""
        return market_views.parameter_row(ctx, load_rules(ctx))

    @view(gas=METHOD)
    def terms(self, ctx: CallContext, window: U64) -> market_views.TermsRow:
        """Return (retail, feedIn, penalty, cap, deposit, reserveLocked)."""
        return market_views.terms_row(ctx, window)

    @view(gas=METHOD)
    def enrolments(self, ctx: CallContext, window: U64) -> market_views.AddressList:
        """Return W of all who are enrolled, in order."""
        return [enrolment.account for enrolment in all_enrolments(ctx, window)]

    @view(gas=METHOD)
    def enrolment_of(self, ctx: CallContext, window: U64, household: Address) -> Address:
        """Return W of a household; zero if it is not enrolled."""
        enrolment = enrolments.get(ctx, u64(window) + household)
        return enrolment.account if enrolment else ZERO_ADDRESS

    @view(gas=METHOD)
    def enrolment(
        self, ctx: CallContext, window: U64, account: Address
    ) -> market_views.EnrolmentRow:
        """Return the window of the household named `account`.

        Reverts:
            NOT_ENROLLED.
        """
        return market_views.enrolment_row(ctx, window, account)

    @view(gas=METHOD)
    def agreement(self, ctx: CallContext, id_: Bytes32) -> market_views.AgreementRow:
        """Return (id, window, offerId, seller, buyer, quantity, price, status).

        Reverts:
            UNKNOWN_AGREEMENT.
        """
        return market_views.agreement_row(ctx, id_)

    @view(gas=METHOD)
    def agreements(self, ctx: CallContext, window: U64) -> market_views.AgreementRows:
        """Return all agreements of a window in the order of recording."""
        return market_views.agreement_rows(ctx, window)

    @view(gas=METHOD)
    def totals(self, ctx: CallContext, window: U64) -> market_views.TotalsRow:
        """Return (settled, U, T, M, pSur, pExt, pUnu, pSho)."""
        return market_views.totals_row(ctx, window)

    @view(gas=METHOD)
    def fund(self, ctx: CallContext) -> market_views.FundRow:
        """Return (fund, reserveFree, reserveLocked, depositsLocked); they sum to the balance."""
        return market_views.fund_row(ctx)

    @view(gas=METHOD)
    def escrow(self, ctx: CallContext, window: U64) -> U256:
        """Return the exported energy that the Market holds for a window until it is settled."""
        record = load_window(ctx, window)
        return 0 if record.is_settled else record.exp

    @view(gas=METHOD)
    def energy_debt(self, ctx: CallContext, household: Address) -> U256:
        """Return stored energy that left the battery and could not be burnt yet, Wh."""
        return energy_debt(ctx, household)
