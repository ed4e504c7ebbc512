"""The negotiation language: a FIPA-ACL subset in canonical msgpack (docs/spec/ontology.md).

One message shape for all performatives; what a field means under each is in the specification.
Any algorithm that speaks this can trade.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import final

from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import tagged_hash

VERSION = 1
MESSAGE_BYTES_MAX = 1024
CONVERSATION_BYTES = 16
ROUND_MAX = 255

_KEY_BYTES = 32
_U63 = 2**63 - 1
_KEYS = (
    "acceptance",
    "conversation",
    "in_reply_to",
    "offer_id",
    "performative",
    "price",
    "quantity",
    "reason",
    "receiver",
    "round",
    "sender",
    "sequence",
    "valid_until_ms",
    "version",
    "window",
)


class Performative(StrEnum):
    """Communicative acts (FIPA SC00037J), as the iterated contract net uses them (SC00030H)."""

    CFP = "cfp"
    PROPOSE = "propose"
    ACCEPT_PROPOSAL = "accept-proposal"
    REJECT_PROPOSAL = "reject-proposal"
    REFUSE = "refuse"
    CANCEL = "cancel"
    INFORM = "inform"
    FAILURE = "failure"
    NOT_UNDERSTOOD = "not-understood"


class Reason(IntEnum):
    """Why; numbers are stable."""

    NONE = 0
    EXHAUSTED = 1
    """The seller has nothing left, or no room for one more agreement."""
    UNKNOWN_COUNTERPARTY = 2
    """The conversation is not about an offer of the receiver."""
    NO_SUCH_PROPOSAL = 3
    """Nothing with that number, price and quantity was proposed, or it has expired."""
    EXPIRED = 4
    """The acceptance came after its own `valid_until_ms`."""
    BAD_SIGNATURE = 5
    CLOSED = 6
    """Negotiation of the window is over."""
    OTHERS_WERE_BETTER = 7
    """Acceptances at a higher price took the quantity."""
    MALFORMED = 8
    TOO_SMALL = 9
    """Larger lots are served first; a later round may do."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """What only `accept-proposal` carries: the signed part of the terms."""

    seller: bytes
    """20 bytes: the seller's enrolled account."""
    buyer: bytes
    nonce: int
    signature: bytes
    """65 bytes over `market.agents.acceptance.acceptance_digest`."""

    def __post_init__(self) -> None:
        _length("acceptance.seller", self.seller, 20)
        _length("acceptance.buyer", self.buyer, 20)
        _length("acceptance.signature", self.signature, 65)
        _range("acceptance.nonce", self.nonce, _U63)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One speech act. `sequence` counts a sender's messages of the window from 1."""

    performative: Performative
    sender: bytes
    """32 bytes: the sender's negotiation key of the window."""
    receiver: bytes
    conversation: bytes
    """16 bytes; see `conversation_of`."""
    window: int
    offer_id: int
    sequence: int
    in_reply_to: int
    """`sequence` of the message that this answers; 0 where it answers none."""
    round: int
    quantity: int
    """Wh; in `failure`, what the seller has left."""
    price: int
    """10⁻⁸ EUR per Wh; 0 where there is none."""
    valid_until_ms: int
    """Unix ms until which a proposal or an acceptance binds; 0 where nothing binds."""
    reason: Reason = Reason.NONE
    acceptance: Acceptance | None = None

    def __post_init__(self) -> None:
        _length("sender", self.sender, _KEY_BYTES)
        _length("receiver", self.receiver, _KEY_BYTES)
        _length("conversation", self.conversation, CONVERSATION_BYTES)
        _range("round", self.round, ROUND_MAX)
        for name in ("window", "offer_id", "in_reply_to", "quantity", "price", "valid_until_ms"):
            _range(name, getattr(self, name), _U63)
        if not 1 <= self.sequence <= _U63:
            raise DecodeError("sequence", f"must lie in 1..{_U63}, got {self.sequence}")
        if (self.acceptance is None) == (self.performative is Performative.ACCEPT_PROPOSAL):
            raise DecodeError("acceptance", "must be there in accept-proposal, and only there")


def conversation_of(buyer_key: bytes, seller_key: bytes, window: int, offer_id: int) -> bytes:
    """Return the 16 bytes under which a buyer talks about an offer."""
    numbers = codec.encode([window, offer_id])
    digest = tagged_hash(b"hearth/market/conversation", buyer_key, seller_key, numbers)
    return digest[:CONVERSATION_BYTES]


def encode_message(message: Message) -> bytes:
    """Return the one encoding of `message`."""
    acceptance = message.acceptance
    return codec.encode(
        {
            "version": VERSION,
            "performative": message.performative.value,
            "sender": message.sender,
            "receiver": message.receiver,
            "conversation": message.conversation,
            "window": message.window,
            "offer_id": message.offer_id,
            "sequence": message.sequence,
            "in_reply_to": message.in_reply_to,
            "round": message.round,
            "quantity": message.quantity,
            "price": message.price,
            "valid_until_ms": message.valid_until_ms,
            "reason": message.reason.value,
            "acceptance": acceptance
            and [acceptance.seller, acceptance.buyer, acceptance.nonce, acceptance.signature],
        }
    )


def decode_message(data: bytes) -> Message:
    """Return the message whose one encoding is `data`.

    Raises:
        DecodeError: naming the field; another `version` too.
    """
    fields = codec.as_map(
        codec.decode(data, field="message", max_bytes=MESSAGE_BYTES_MAX), "message", _KEYS
    )
    codec.as_int(fields["version"], "version", VERSION, VERSION)
    name = codec.as_str(fields["performative"], "performative", 16)
    if name not in set(Performative):
        raise DecodeError("performative", f"unknown performative {name!r}")
    reason = codec.as_int(fields["reason"], "reason", 0, max(Reason))
    numbers = {
        key: codec.as_int(fields[key], key, 0, _U63)
        for key in (
            "window",
            "offer_id",
            "sequence",
            "in_reply_to",
            "round",
            "quantity",
            "price",
            "valid_until_ms",
        )
    }
    return Message(
        performative=Performative(name),
        sender=codec.as_bytes(fields["sender"], "sender", _KEY_BYTES),
        receiver=codec.as_bytes(fields["receiver"], "receiver", _KEY_BYTES),
        conversation=codec.as_bytes(fields["conversation"], "conversation", CONVERSATION_BYTES),
        reason=Reason(reason),
        acceptance=_read_acceptance(fields["acceptance"]),
        **numbers,
    )


def _read_acceptance(value: codec.Value) -> Acceptance | None:
    if value is None:
        return None
    seller, buyer, nonce, signature = codec.as_list(value, "acceptance", 4)
    return Acceptance(
        seller=codec.as_bytes(seller, "acceptance.seller", 20),
        buyer=codec.as_bytes(buyer, "acceptance.buyer", 20),
        nonce=codec.as_int(nonce, "acceptance.nonce", 0, _U63),
        signature=codec.as_bytes(signature, "acceptance.signature", 65),
    )


def _length(field: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise DecodeError(field, f"must be {length} bytes, got {len(value)}")


def _range(field: str, value: int, high: int) -> None:
    if not 0 <= value <= high:
        raise DecodeError(field, f"must lie in 0..{high}, got {value}")
