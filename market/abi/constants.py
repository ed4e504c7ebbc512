"""Addresses, names in genesis, signed messages, limits, enumerations and revert codes."""

from enum import IntEnum, StrEnum

# Addresses ---------------------------------------------------------------------------------------

ZERO_ADDRESS = bytes(20)
MEMBERSHIP = (0x0100).to_bytes(20, "big")
REGISTRY = (0x0101).to_bytes(20, "big")
ENERGY_TOKEN = (0x0102).to_bytes(20, "big")
MONEY_TOKEN = (0x0103).to_bytes(20, "big")
RAMP = (0x0104).to_bytes(20, "big")
METERS = (0x0105).to_bytes(20, "big")
MARKET = (0x0107).to_bytes(20, "big")
ACCOUNTABILITY = (0x010B).to_bytes(20, "big")

ADDRESSES: dict[str, bytes] = {
    "Membership": MEMBERSHIP,
    "Registry": REGISTRY,
    "EnergyToken": ENERGY_TOKEN,
    "MoneyToken": MONEY_TOKEN,
    "Ramp": RAMP,
    "Meters": METERS,
    "Market": MARKET,
    "Accountability": ACCOUNTABILITY,
}
"""Contract name to address, in the order of the addresses."""

EVIDENCE_BYTES_MAX = 20 * 1024
"""Of `reportEvidence`: a VIEW-CHANGE with the proofs of the largest member set, and a vote."""

NATIVE_ADDRESS_MIN = (0x0100).to_bytes(20, "big")
NATIVE_ADDRESS_MAX = (0x01FF).to_bytes(20, "big")
"""Contracts live in this range; a token transfer to it is refused, for it could never return."""

OPERATOR = "operator"
EXTERNAL_MARKET = "external_market"
"""Names of the two service accounts in genesis."""

# Signed messages: digest = tagged_hash(TAG, canonical encoding of the list of FIELDS) -------------

ACCEPTANCE_TAG = b"hearth/market/acceptance"
ACCEPTANCE_FIELDS = (
    "chain_id",
    "window",
    "offer_id",
    "seller",
    "buyer",
    "quantity",
    "price",
    "nonce",
)
"""`seller` and `buyer` are the enrolled accounts (W); the digest is the agreement's id, and the
acceptance is a 65-byte signature over it by any account of the buyer's household."""

AGENT_CONSENT_TAG = b"hearth/registry/agent"
AGENT_CONSENT_FIELDS = ("chain_id", "household", "agent")

CANDIDATE_TAG = b"hearth/membership/candidate"
CANDIDATE_FIELDS = (
    "chain_id",
    "node_key",
    "account",
    "ring_key",
    "ring_proof",
    "wallet",
    "endpoint",
    "meter",
    "meter_ring_key",
    "meter_id",
    "certificate",
    "name",
)

ROTATION_TAG = b"hearth/membership/rotation"
ROTATION_FIELDS = ("chain_id", "account", "node_key", "certificate", "endpoint")
"""Signed by the new node key; the member's account sends the transaction."""

RING_PROOF_TAG = b"hearth/membership/ring"
"""A ring proof is an Ed25519 signature by the ring key over tagged_hash(TAG, account)."""

# Limits ------------------------------------------------------------------------------------------

AGENTS_PER_HOUSEHOLD_MAX = 16
SEALED_HOUSEHOLD_BYTES_MAX = 256
CONDITIONS_BYTES_MAX = 256
ENDPOINT_CHARS_MAX = 128
MEMBER_NAME_CHARS_MAX = 64
"""ASCII."""
METER_ID_CHARS_MAX = 64
PROPOSALS_OPEN_PER_MEMBER_MAX = 4
PROPOSALS_KEPT = 256
"""The newest, over or not; an older one only while it is not over."""
OWN_CHANGES_PER_WINDOW_MAX = 4
"""Rotations and reincarnations that one member proposes."""
OWN_EPOCHS_BURST = 4
"""Epochs that one member may begin by them at once: each is one for all."""
OWN_EPOCH_WINDOWS = 24
"""So long each of these counts: a day of windows of an hour."""
ACCOUNT_SIGNATURE_BYTES = 65
RING_PROOF_BYTES = 64
WALLET_BYTES = 64

# Enumerations (numbers are stable) ---------------------------------------------------------------


class OfferKind(IntEnum):
    """What backs an offer."""

    FORECAST = 0
    """Energy that the seller expects to produce."""
    STORED = 1
    """Energy in a battery: its tokens are locked while the offer stands."""


class Phase(IntEnum):
    """Where window w stands (`phase(w)`): by block time, and by whether it is settled."""

    FUTURE = 0
    """Before start(w-1)."""
    NEGOTIATE = 1
    """Enrol, offer, call: until record_ms before start(w)."""
    RECORD = 2
    """Allow and confirm agreements: until start(w)."""
    DELIVER = 3
    ATTEST = 4
    """Meters attest; who is attested may close."""
    CLOSE = 5
    """No attestation any more; everybody may close."""
    SETTLE = 6
    """Closing is over; the window waits for its settlement."""
    LATE = 7
    """Settled, but somebody has not closed: it may, at external prices."""
    DONE = 8
    """Settled; all closed, or their deposits forfeited."""


class AgreementStatus(IntEnum):
    """State of one recorded agreement."""

    RECORDED = 1
    CONFIRMED = 2
    VOID = 3
    """Not confirmed before the recording phase ended."""


class ProposalKind(IntEnum):
    """What changes the member set, or the rules; members vote on the first two and the last."""

    ADMIT = 1
    EVICT = 2
    ROTATE = 3
    """A member's own new node key."""
    REINCARNATE = 4
    """The same key, votes of older epochs void: the member lost its vote log."""
    UPGRADE = 5
    """Not of the set: other rules from a height on; members vote."""


class ProposalStatus(IntEnum):
    """State of a proposal."""

    OPEN = 1
    ACCEPTED = 2
    """It waits for READYs of the new set."""
    REJECTED = 3
    EXPIRED = 4
    """Not decided, not activated or replaced by a newer one of the member's own."""
    ACTIVE = 5
    """The member set has changed, or the upgrade stands in the schedule."""


class RevertCode(StrEnum):
    """The word before the colon in a revert reason."""

    ALREADY_ANCHORED = "ALREADY_ANCHORED"
    ALREADY_ATTESTED = "ALREADY_ATTESTED"
    ALREADY_CERTIFIED = "ALREADY_CERTIFIED"
    ALREADY_CLOSED = "ALREADY_CLOSED"
    ALREADY_CONFIRMED = "ALREADY_CONFIRMED"
    ALREADY_DEALT = "ALREADY_DEALT"
    ALREADY_ENROLLED = "ALREADY_ENROLLED"
    ALREADY_MEMBER = "ALREADY_MEMBER"
    ALREADY_PAID = "ALREADY_PAID"
    ALREADY_PROPOSED = "ALREADY_PROPOSED"
    ALREADY_PUBLISHED = "ALREADY_PUBLISHED"
    ALREADY_RECORDED = "ALREADY_RECORDED"
    ALREADY_REGISTERED = "ALREADY_REGISTERED"
    ALREADY_SCHEDULED = "ALREADY_SCHEDULED"
    ALREADY_SETTLED = "ALREADY_SETTLED"
    ALREADY_VOTED = "ALREADY_VOTED"
    BAD_ARGUMENT = "BAD_ARGUMENT"
    BAD_PROOF = "BAD_PROOF"
    BAD_RECIPIENT = "BAD_RECIPIENT"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    BOX_OPENS = "BOX_OPENS"
    CAP_EXCEEDED = "CAP_EXCEEDED"
    CERTIFICATE_EXPIRED = "CERTIFICATE_EXPIRED"
    CLOSING_UNBALANCED = "CLOSING_UNBALANCED"
    DEADLINE_PASSED = "DEADLINE_PASSED"
    DEALER_BARRED = "DEALER_BARRED"
    INSUFFICIENT_ALLOWANCE = "INSUFFICIENT_ALLOWANCE"
    INSUFFICIENT_ENERGY = "INSUFFICIENT_ENERGY"
    INSUFFICIENT_FUND = "INSUFFICIENT_FUND"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    INSUFFICIENT_RESERVE = "INSUFFICIENT_RESERVE"
    NAME_TAKEN = "NAME_TAKEN"
    NODE_KEY_TAKEN = "NODE_KEY_TAKEN"
    NOT_ACCEPTED = "NOT_ACCEPTED"
    NOT_BUYER = "NOT_BUYER"
    NOT_CLOSED = "NOT_CLOSED"
    NOT_DEALT = "NOT_DEALT"
    NOT_ENROLLED = "NOT_ENROLLED"
    NOT_EXTERNAL_MARKET = "NOT_EXTERNAL_MARKET"
    NOT_HOUSEHOLD = "NOT_HOUSEHOLD"
    NOT_MEMBER = "NOT_MEMBER"
    NOT_METER = "NOT_METER"
    NOT_OPERATOR = "NOT_OPERATOR"
    NOT_REGISTERED = "NOT_REGISTERED"
    NOT_SELLER = "NOT_SELLER"
    NOT_SETTLED = "NOT_SETTLED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    OFFER_EXHAUSTED = "OFFER_EXHAUSTED"
    PAGINATION_REPEATED = "PAGINATION_REPEATED"
    PRICE_OUT_OF_BAND = "PRICE_OUT_OF_BAND"
    PROPOSAL_DECIDED = "PROPOSAL_DECIDED"
    REFERENCE_USED = "REFERENCE_USED"
    REGISTER_DECREASED = "REGISTER_DECREASED"
    RING_KEY_TAKEN = "RING_KEY_TAKEN"
    SAME_HOUSEHOLD = "SAME_HOUSEHOLD"
    TOO_FEW_MEMBERS = "TOO_FEW_MEMBERS"
    TOO_MANY = "TOO_MANY"
    UNKNOWN_AGREEMENT = "UNKNOWN_AGREEMENT"
    UNKNOWN_METER = "UNKNOWN_METER"
    UNKNOWN_OFFER = "UNKNOWN_OFFER"
    UNKNOWN_PROPOSAL = "UNKNOWN_PROPOSAL"
    UNKNOWN_WITHDRAWAL = "UNKNOWN_WITHDRAWAL"
    WRONG_EPOCH = "WRONG_EPOCH"
    WRONG_PHASE = "WRONG_PHASE"
