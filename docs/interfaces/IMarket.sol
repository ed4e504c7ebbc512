// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.0;

/// Native contract Market of every Hearth chain.
/// Made by `hearth contract abi Market --format sol`.
interface IMarket {
    struct Offer {
        uint64 id;
        address seller;
        uint8 kind;
        uint64 quantity;
        uint64 sold;
        bytes32 negotiationKey;
        bytes conditions;
    }

    struct Call {
        uint64 id;
        address buyer;
        uint64 quantity;
        uint64 bought;
        bytes32 negotiationKey;
    }

    struct Agreement {
        bytes32 id;
        uint64 window;
        uint64 offerId;
        address seller;
        address buyer;
        uint64 quantity;
        uint64 price;
        uint8 status;
    }

    /// `account` is the household's W in this window; `deposit` is locked.
    event Enrolled(
        uint64 indexed window,
        address indexed account,
        address indexed household,
        uint256 deposit
    );

    /// `seller` offers `quantity` Wh; `kind` is an `OfferKind`.
    event OfferMade(
        uint64 indexed window,
        address indexed seller,
        uint64 offerId,
        uint8 kind,
        uint64 quantity
    );

    /// `buyer` asks for `quantity` Wh.
    event CallMade(uint64 indexed window, address indexed buyer, uint64 callId, uint64 quantity);

    /// The seller recorded an agreement that the buyer signed.
    event TransactionAllowed(
        uint64 indexed window,
        address indexed seller,
        address indexed buyer,
        bytes32 agreementId,
        uint64 offerId,
        uint64 quantity,
        uint64 price
    );

    /// The agreement is firm.
    event TransactionConfirmed(uint64 indexed window, bytes32 indexed agreementId);

    /// The buyer did not confirm: the agreement does not exist.
    event TransactionVoided(uint64 indexed window, bytes32 indexed agreementId);

    /// Accounted energy of the window and changes of the battery, in Wh.
    event Attested(
        uint64 indexed window,
        address indexed account,
        uint64 exp,
        uint64 imp,
        uint64 charged,
        uint64 discharged,
        uint64 loss
    );

    /// The household split its deviation.
    event Closed(
        uint64 indexed window,
        address indexed account,
        uint64 sur,
        uint64 unu,
        uint64 ext,
        uint64 sho
    );

    /// Totals and the prices that follow from them.
    event Settled(
        uint64 indexed window,
        uint64 surplus,
        uint64 deficit,
        uint64 matched,
        uint64 pSur,
        uint64 pExt,
        uint64 pUnu,
        uint64 pSho
    );

    /// The one payment of the window: `net` is `payout` less the deposit.
    event Paid(
        uint64 indexed window,
        address indexed account,
        address indexed household,
        uint256 payout,
        int256 net
    );

    /// The household never closed: its deposit went to the fund.
    event Forfeited(
        uint64 indexed window,
        address indexed account,
        address indexed household,
        uint256 deposit
    );

    /// The market fund changed by `delta`.
    event FundChanged(uint64 indexed window, int256 delta);

    /// The external market's money backs what this window exports.
    event ReserveLocked(uint64 indexed window, uint256 amount);

    /// The free reserve was below `amount`: surplus of this window is not paid.
    event ReserveMissing(uint64 indexed window, uint256 amount);

    /// What is left of the window's reserve is free again.
    event ReserveReleased(uint64 indexed window, uint256 amount);

    /// The external market paid `paid` and received `received` for a window.
    event ExternalSettled(uint64 indexed window, uint256 paid, uint256 received);

    /// At most `cap` Wh may be offered, sold, called for or bought by one household.
    event CapSet(uint64 indexed window, uint64 cap);

    /// Stored energy that the meter saw leave and the balance did not cover.
    event EnergyDebt(address indexed household, uint256 debt);

    /// Take part in `window`: lock the deposit D of the caller's household.
    ///
    /// The calling account becomes W, the household's name in the window; every account of the
    /// household acts for it. The first enrolment also locks the external market's reserve, if
    /// it suffices.
    ///
    /// Reverts:
    ///     WRONG_PHASE: not while the window is negotiated.
    ///     NOT_HOUSEHOLD, ALREADY_ENROLLED, INSUFFICIENT_FUNDS.
    ///     INSUFFICIENT_RESERVE, TOO_MANY: somebody joined after the window was opened.
    ///
    /// Emits: Enrolled; with the first ReserveLocked or ReserveMissing, and ReserveLocked for one
    ///     household more than there were members then.
    function enrol(uint64 window) external;

    /// Offer `quantity` Wh; the tokens of a stored offer are locked until the meter attests.
    ///
    /// Args:
    ///     kind: `OfferKind`.
    ///     negotiation_key: X25519 key to which proposals are boxed.
    ///     conditions: at most CONDITIONS_BYTES_MAX, for the agents.
    ///
    /// Returns:
    ///     The offer's id, counted from 1 in the window.
    ///
    /// Reverts:
    ///     WRONG_PHASE, NOT_ENROLLED, BAD_ARGUMENT.
    ///     TOO_MANY: offers_max. CAP_EXCEEDED: the sum of offers.
    ///     INSUFFICIENT_ENERGY: a stored offer without the tokens.
    ///
    /// Emits: OfferMade.
    function makeOffer(
        uint64 window,
        uint8 kind,
        uint64 quantity,
        bytes32 negotiationKey,
        bytes calldata conditions
    ) external returns (uint64 offerId);

    /// Declare a demand of `quantity` Wh; the mirror of an offer.
    ///
    /// Returns:
    ///     The call's id, counted from 1 in the window.
    ///
    /// Reverts:
    ///     WRONG_PHASE, NOT_ENROLLED, BAD_ARGUMENT, TOO_MANY, CAP_EXCEEDED: as `makeOffer`.
    ///
    /// Emits: CallMade.
    function makeCall(uint64 window, uint64 quantity, bytes32 negotiationKey) external returns (
        uint64 callId
    );

    /// Record a sale from an offer of the caller's household.
    ///
    /// Args:
    ///     buyer: W of the buyer's household.
    ///     price: in 10⁻⁸ EUR per Wh, between feed-in and retail.
    ///     nonce: as signed.
    ///     acceptance: 65-byte signature by an account of the buyer's household over the
    ///         agreement's id (`market_agreements.acceptance_digest`).
    ///
    /// Returns:
    ///     The agreement's id.
    ///
    /// Reverts:
    ///     WRONG_PHASE: not in the recording phase.
    ///     NOT_ENROLLED: either side. UNKNOWN_OFFER, NOT_SELLER, SAME_HOUSEHOLD, BAD_ARGUMENT.
    ///     PRICE_OUT_OF_BAND, OFFER_EXHAUSTED, TOO_MANY (agreements_max), CAP_EXCEEDED.
    ///     BAD_SIGNATURE, ALREADY_RECORDED.
    ///
    /// Emits: TransactionAllowed.
    function allowTransaction(
        uint64 window,
        uint64 offerId,
        address buyer,
        uint64 quantity,
        uint64 price,
        uint64 nonce,
        bytes calldata acceptance
    ) external returns (bytes32 agreementId);

    /// Make an agreement firm: quantity and price are due whatever happens.
    ///
    /// What is not confirmed when recording ends is void. The buyer then pays confirm_fee, if
    /// the seller recorded in the first half of the phase.
    ///
    /// Reverts:
    ///     UNKNOWN_AGREEMENT, NOT_BUYER, WRONG_PHASE, ALREADY_CONFIRMED.
    ///
    /// Emits: TransactionConfirmed.
    function confirm(bytes32 agreementId) external;

    /// Account for `window` by the registers at its end, cumulative Wh; by the meter itself.
    ///
    /// Export and import count up to Q each, the rest with the next attestation. Locks of stored
    /// offers are released; charging mints, discharging and losses burn; the export is minted
    /// and held by the Market until settlement.
    ///
    /// Args:
    ///     account: W of the meter's household.
    ///     pagination: of the meter's record, above the last one.
    ///     record_hash: binds the signed record, which stays with the household.
    ///
    /// Reverts:
    ///     WRONG_PHASE: not between the end of delivery and the deadline for attesting.
    ///     NOT_METER, CERTIFICATE_EXPIRED, PAGINATION_REPEATED, REGISTER_DECREASED.
    ///     NOT_ENROLLED, ALREADY_ATTESTED, BAD_ARGUMENT.
    ///
    /// Emits: Attested, Transfer, EnergyDebt.
    function attest(
        uint64 window,
        address account,
        uint64 expRegister,
        uint64 impRegister,
        uint64 chargedRegister,
        uint64 dischargedRegister,
        uint64 lossRegister,
        uint64 pagination,
        bytes32 recordHash
    ) external;

    /// Split the household's deviation: exp - imp - sold + bought = sur + unu - ext - sho.
    ///
    /// From its attestation (without one, from the deadline for attesting, with exp = imp = 0)
    /// until the deadline for closing. After settlement, for late_windows, it is closed and paid
    /// at external prices in one step.
    ///
    /// Reverts:
    ///     NOT_ENROLLED, ALREADY_CLOSED, WRONG_PHASE.
    ///     CLOSING_UNBALANCED: the equation, sur > exp, ext > imp, or both signs at once.
    ///
    /// Emits: Closed; if late, also FundChanged, ExternalSettled, Paid.
    function close(uint64 window, uint64 sur, uint64 unu, uint64 ext, uint64 sho) external;

    /// Fix totals and prices, burn what was consumed and exported, release the reserve.
    ///
    /// The operator may when all have closed or the deadline for closing has passed, anybody
    /// after the deadline for settling; the deadline queue does it at that moment.
    ///
    /// Reverts:
    ///     NOT_ENROLLED: nobody is. ALREADY_SETTLED, WRONG_PHASE, NOT_OPERATOR.
    ///
    /// Emits: Settled, FundChanged, ExternalSettled, ReserveReleased, Transfer.
    function settle(uint64 window) external;

    /// Pay C_W to the household named `account`, once; anybody may trigger it.
    ///
    /// Reverts:
    ///     NOT_ENROLLED, NOT_SETTLED, NOT_CLOSED, ALREADY_PAID.
    ///
    /// Emits: Paid, Transfer.
    function makeTransaction(uint64 window, address account) external;

    /// Add the external market's money to the free reserve.
    ///
    /// Reverts:
    ///     NOT_EXTERNAL_MARKET, INSUFFICIENT_FUNDS.
    function depositReserve(uint256 amount) external;

    /// Take free reserve back.
    ///
    /// Reverts:
    ///     NOT_EXTERNAL_MARKET, INSUFFICIENT_RESERVE.
    function withdrawReserve(uint256 amount) external;

    /// Pay the operator from the fund, never below what late sellers are owed.
    ///
    /// Reverts:
    ///     NOT_OPERATOR, INSUFFICIENT_FUND.
    function withdrawFund(uint256 amount) external;

    /// Bound what one household may offer, call for, sell and buy in `window`: Q_w in Wh.
    ///
    /// Reverts:
    ///     NOT_OPERATOR; WRONG_PHASE: its negotiation has begun; BAD_ARGUMENT: above Q.
    ///
    /// Emits: CapSet.
    function setCap(uint64 window, uint64 cap) external;

    /// Return all offers of a window; `sold` counts recorded agreements that are not void.
    function getOffers(uint64 window) external view returns (Offer[] memory);

    /// Return all calls of a window; `bought` as `sold` in `getOffers`.
    function getCalls(uint64 window) external view returns (Call[] memory);

    /// Return the `Phase` of a window.
    function phase(uint64 window) external view returns (uint8 phase);

    /// Return what genesis fixes.
    function parameters() external view returns (
        uint64 retail,
        uint64 feedIn,
        uint64 penalty,
        uint64 k,
        uint64 attestWindows,
        uint64 closeWindows,
        uint64 settleWindows,
        uint64 lateWindows,
        uint64 confirmFee,
        uint64 agreementsMax,
        uint64 offersMax,
        uint64 quantityMax,
        uint256 deposit,
        uint64 genesisTimeMs,
        uint64 windowMs,
        uint64 recordMs
    );

    /// Return (retail, feedIn, penalty, cap, deposit, reserveLocked).
    function terms(uint64 window) external view returns (
        uint64 retail,
        uint64 feedIn,
        uint64 penalty,
        uint64 cap,
        uint256 deposit,
        bool reserveLocked
    );

    /// Return W of all who are enrolled, in order.
    function enrolments(uint64 window) external view returns (address[] memory accounts);

    /// Return W of a household; zero if it is not enrolled.
    function enrolmentOf(uint64 window, address household) external view returns (address account);

    /// Return the window of the household named `account`.
    ///
    /// Reverts:
    ///     NOT_ENROLLED.
    function enrolment(uint64 window, address account) external view returns (
        address household,
        uint64 sold,
        uint64 bought,
        bool attested,
        uint64 exp,
        uint64 imp,
        bool closed,
        uint64 sur,
        uint64 unu,
        uint64 ext,
        uint64 sho,
        bool paid,
        uint256 payout
    );

    /// Return (id, window, offerId, seller, buyer, quantity, price, status).
    ///
    /// Reverts:
    ///     UNKNOWN_AGREEMENT.
    function agreement(bytes32 id) external view returns (
        bytes32 id_,
        uint64 window,
        uint64 offerId,
        address seller,
        address buyer,
        uint64 quantity,
        uint64 price,
        uint8 status
    );

    /// Return all agreements of a window in the order of recording.
    function agreements(uint64 window) external view returns (Agreement[] memory);

    /// Return (settled, U, T, M, pSur, pExt, pUnu, pSho).
    function totals(uint64 window) external view returns (
        bool settled,
        uint64 surplus,
        uint64 deficit,
        uint64 matched,
        uint64 pSur,
        uint64 pExt,
        uint64 pUnu,
        uint64 pSho
    );

    /// Return (fund, reserveFree, reserveLocked, depositsLocked); they sum to the balance.
    function fund() external view returns (
        int256 fund,
        uint256 reserveFree,
        uint256 reserveLocked,
        uint256 depositsLocked
    );

    /// Return the exported energy that the Market holds for a window until it is settled.
    function escrow(uint64 window) external view returns (uint256 energy);

    /// Return stored energy that left the battery and could not be burnt yet, Wh.
    function energyDebt(address household) external view returns (uint256 debt);
}

IMarket constant MARKET = IMarket(0x0000000000000000000000000000000000000107);
