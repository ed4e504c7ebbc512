"""What both trading agents share: an agreement, a counterparty, and how they write messages."""

from dataclasses import dataclass
from typing import final

from crypto.hashing import Digest
from market.agents.acceptance import AcceptedTerms, acceptance_digest
from market.agents.ontology import Acceptance, Message, Performative, Reason

COUNTERPARTIES_MAX = 128
"""As many members as a community can have; further offers or calls are ignored."""
AGREEMENTS_PER_PAIR_MAX = 4
"""With one counterparty. Honest ones need one, or two after a lost message; who trades watt-hour by
watt-hour must not use up the agreements that the contract allows with everybody."""
FEW_SLOTS = 4
"""With so few agreements left the larger quantity goes first, so that nothing is left over."""


@final
@dataclass(frozen=True, slots=True)
class Counterparty:
    """A published offer or call of somebody else, as the chain shows it."""

    key: bytes
    """Negotiation key (32 bytes)."""
    account: bytes
    """Enrolled account (20 bytes)."""
    quantity: int
    """Wh offered or called for."""
    offer_id: int
    """Id of the offer; of a call, its own id."""


@final
@dataclass(frozen=True, slots=True)
class Agreement:
    """Terms with the buyer's signature: what `allowTransaction` records."""

    terms: AcceptedTerms
    signature: bytes

    @property
    def id(self) -> Digest:
        """The agreement's id on the chain."""
        return acceptance_digest(self.terms)


@final
class Pen:
    """Writes the messages of one agent in one window and numbers them."""

    __slots__ = ("_key", "_sequence", "_window")

    def __init__(self, key: bytes, window: int) -> None:
        self._key = key
        self._window = window
        self._sequence = 0

    def write(
        self,
        performative: Performative,
        *,
        receiver: bytes,
        conversation: bytes,
        offer_id: int,
        round_: int,
        in_reply_to: int = 0,
        quantity: int = 0,
        price: int = 0,
        valid_until_ms: int = 0,
        reason: Reason = Reason.NONE,
        acceptance: Acceptance | None = None,
    ) -> Message:
        """Return the next message; its sequence number makes even a repetition unique."""
        self._sequence += 1
        return Message(
            performative=performative,
            sender=self._key,
            receiver=receiver,
            conversation=conversation,
            window=self._window,
            offer_id=offer_id,
            sequence=self._sequence,
            in_reply_to=in_reply_to,
            round=max(round_, 0),
            quantity=quantity,
            price=price,
            valid_until_ms=valid_until_ms,
            reason=reason,
            acceptance=acceptance,
        )
