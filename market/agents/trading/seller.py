"""SA, the seller: answers bids for one offer and alone decides who gets its energy.

Every bid is answered at once: taken at the buyer's price where the strategy accepts it, otherwise
countered with the ask of the round. Signed acceptances are collected for a part of the round and
granted from the highest price down; whoever comes too late learns what is left. The quantity is
reduced here and nowhere else, so it can never be sold twice, whatever the relay loses or repeats.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from crypto.errors import InvalidSignature
from crypto.keys import recover_address
from market.agents.acceptance import AcceptedTerms, acceptance_digest
from market.agents.ontology import Message, Performative, Reason, conversation_of
from market.agents.strategies.protocol import Strategy
from market.agents.trading.agreement import (
    AGREEMENTS_PER_PAIR_MAX,
    COUNTERPARTIES_MAX,
    FEW_SLOTS,
    Agreement,
    Counterparty,
    Pen,
)
from market.agents.trading.schedule import BINDING_ROUNDS, Schedule

COLLECT_PERCENT = 60
"""Part of a round during which acceptances wait for better ones."""
LARGE_LOTS_ROUNDS = 8
"""With more buyers than agreements left, small lots wait for this round: a seller that spent its
agreements on crumbs could not sell the rest, however many would buy it."""
PROPOSALS_KEPT = BINDING_ROUNDS + 1
"""Proposals of a conversation that may still be accepted: this round's and the ones before."""
ACCEPTANCES_PER_BUYER_MAX = 64


@final
@dataclass(frozen=True, slots=True)
class _Proposal:
    sequence: int
    quantity: int
    price: int
    valid_until_ms: int


@final
@dataclass(slots=True)
class _Thread:
    """The conversation with the buyer who holds a key."""

    conversation: bytes
    calls: dict[int, Counterparty] = field(default_factory=dict)
    """By id: all calls that name the key. Anybody may copy a key into a call of its own, but only
    its holder can speak; the signature of its acceptance shows which call is its own."""
    proposals: list[_Proposal] = field(default_factory=list)
    is_open: bool = False
    """Proposed to, and neither accepted nor rejected yet."""
    granted: int = 0
    """Agreements."""
    pending: dict[int, Message] = field(default_factory=dict)
    """Acceptances that wait for the grant, by nonce."""
    answers: dict[int, tuple[Performative, Reason, int, Message]] = field(default_factory=dict)
    """By nonce: what was answered, so that a repeated acceptance gets the same answer."""

    @property
    def called(self) -> int:
        """Wh that the calls ask for."""
        return sum(call.quantity for call in self.calls.values())

    def is_named(self, account: bytes) -> bool:
        """Whether one of the calls is that account's."""
        return any(call.account == account for call in self.calls.values())


@final
class SellerAgent:
    """Sells one offer in one window; stepped with messages and ticks, returns messages."""

    def __init__(
        self,
        *,
        chain_id: int,
        schedule: Schedule,
        key: bytes,
        account: bytes,
        offer_id: int,
        quantity: int,
        strategy: Strategy,
        agreements_max: int,
        band: tuple[int, int],
        may_sign: Callable[[bytes, bytes], bool],
    ) -> None:
        """Start with the whole offer unsold.

        Args:
            band: feed-in and retail price, between which the contract records.
            may_sign: (signer, account) → whether signer is an account of account's household.
        """
        self._chain_id = chain_id
        self._schedule = schedule
        self._key = key
        self._account = account
        self._offer_id = offer_id
        self._remaining = quantity
        self._strategy = strategy
        self._slots = agreements_max
        self._may_sign = may_sign
        self._band = band
        self._pen = Pen(key, schedule.window)
        self._threads: dict[bytes, _Thread] = {}
        self.agreements: list[Agreement] = []
        """Granted, in order."""

    @property
    def remaining(self) -> int:
        """Wh not sold yet."""
        return self._remaining

    @property
    def _left(self) -> int:
        """Wh that can still be sold: nothing once the number of agreements is used up."""
        return self._remaining if self._slots else 0

    def meet(self, buyers: list[Counterparty]) -> None:
        """Learn the published calls; only their keys are talked to."""
        for buyer in buyers:
            if buyer.key not in self._threads and len(self._threads) < COUNTERPARTIES_MAX:
                conversation = conversation_of(
                    buyer.key, self._key, self._schedule.window, self._offer_id
                )
                self._threads[buyer.key] = _Thread(conversation)
            if buyer.key in self._threads:
                self._threads[buyer.key].calls[buyer.offer_id] = buyer

    def knows(self, key: bytes) -> bool:
        """Whether a call names the key."""
        return key in self._threads

    def receive(self, message: Message, now_ms: int) -> tuple[Message, ...]:
        """Answer one authentic message; what makes no sense is refused or ignored."""
        thread = self._threads.get(message.sender)
        if thread is None or message.conversation != thread.conversation:
            return (self._reply(message, Performative.REFUSE, Reason.UNKNOWN_COUNTERPARTY),)
        match message.performative:
            case Performative.CFP:
                return self._answer_bid(thread, message, now_ms)
            case Performative.ACCEPT_PROPOSAL:
                return self._take_acceptance(thread, message, now_ms)
            case Performative.REJECT_PROPOSAL:
                thread.is_open = False
                return self._grant_if_due(now_ms)
            case Performative.CANCEL:
                thread.is_open = False
                thread.pending.clear()
                return self._grant_if_due(now_ms)
            case _:
                return ()

    def tick(self, now_ms: int) -> tuple[Message, ...]:
        """Grant what was collected once its time has come."""
        return self._grant_if_due(now_ms)

    def _answer_bid(self, thread: _Thread, bid: Message, now_ms: int) -> tuple[Message, ...]:
        schedule = self._schedule
        if not schedule.is_open(now_ms):
            return (self._reply(bid, Performative.REFUSE, Reason.CLOSED),)
        quantity = min(self._left, bid.quantity, thread.called)
        if not quantity or thread.granted >= AGREEMENTS_PER_PAIR_MAX:
            return (self._reply(bid, Performative.REFUSE, Reason.EXHAUSTED),)
        round_ = schedule.round_at(now_ms)
        if round_ < LARGE_LOTS_ROUNDS and self._is_crumb(quantity):
            return (self._reply(bid, Performative.REFUSE, Reason.TOO_SMALL),)
        low, high = self._band
        is_taken = bid.price >= low and self._strategy.accepts(round_, bid.price)
        price = min(max(bid.price if is_taken else self._strategy.price(round_), low), high)
        valid_until_ms = now_ms + schedule.binding_ms
        answer = self._pen.write(
            Performative.PROPOSE,
            receiver=bid.sender,
            conversation=bid.conversation,
            offer_id=self._offer_id,
            round_=round_,
            in_reply_to=bid.sequence,
            quantity=quantity,
            price=price,
            valid_until_ms=valid_until_ms,
        )
        thread.proposals.append(_Proposal(answer.sequence, quantity, price, valid_until_ms))
        del thread.proposals[:-PROPOSALS_KEPT]
        thread.is_open = True
        return (answer,)

    def _is_crumb(self, quantity: int) -> bool:
        """Whether agreements of this size could use up their number before the offer is sold."""
        return len(self._threads) > self._slots and quantity * self._slots < self._remaining

    def _take_acceptance(
        self, thread: _Thread, message: Message, now_ms: int
    ) -> tuple[Message, ...]:
        assert message.acceptance is not None, "the message's own rule"
        nonce = message.acceptance.nonce
        if nonce in thread.answers:
            performative, reason, quantity, original = thread.answers[nonce]
            if self._terms(original) != self._terms(message):
                return (self._reply(message, Performative.REFUSE, Reason.MALFORMED),)
            return (self._reply(message, performative, reason, quantity),)
        if nonce in thread.pending:
            return ()
        reason = self._flaw(thread, message, now_ms)
        if reason is not Reason.NONE:
            return (self._reply(message, Performative.FAILURE, reason, self._left),)
        thread.pending[nonce] = message
        thread.is_open = False
        return self._grant_if_due(now_ms)

    def _flaw(self, thread: _Thread, message: Message, now_ms: int) -> Reason:
        """Why the acceptance cannot be considered; NONE if it can."""
        assert message.acceptance is not None, "the message's own rule"
        if now_ms >= self._schedule.grace_ms:
            return Reason.CLOSED
        if now_ms > message.valid_until_ms:
            return Reason.EXPIRED
        if len(thread.answers) + len(thread.pending) >= ACCEPTANCES_PER_BUYER_MAX:
            return Reason.MALFORMED
        if thread.granted + len(thread.pending) >= AGREEMENTS_PER_PAIR_MAX:
            return Reason.EXHAUSTED
        is_proposed = any(
            proposal.sequence == message.in_reply_to
            and proposal.price == message.price
            and 0 < message.quantity <= proposal.quantity
            and now_ms <= proposal.valid_until_ms
            for proposal in thread.proposals
        )
        if not is_proposed or message.offer_id != self._offer_id:
            return Reason.NO_SUCH_PROPOSAL
        terms = self._terms(message)
        acceptance = message.acceptance
        if acceptance.seller != self._account or not thread.is_named(acceptance.buyer):
            return Reason.BAD_SIGNATURE
        # Otherwise the recording would revert, and the quantity would be lost for the window.
        signer = _signer(terms, acceptance.signature)
        is_theirs = signer is not None and self._may_sign(signer, acceptance.buyer)
        return Reason.NONE if is_theirs else Reason.BAD_SIGNATURE

    def _terms(self, message: Message) -> AcceptedTerms:
        assert message.acceptance is not None, "only acceptances have terms"
        return AcceptedTerms(
            chain_id=self._chain_id,
            window=self._schedule.window,
            offer_id=self._offer_id,
            seller=self._account,
            buyer=message.acceptance.buyer,
            quantity=message.quantity,
            price=message.price,
            nonce=message.acceptance.nonce,
        )

    def _grant_if_due(self, now_ms: int) -> tuple[Message, ...]:
        """Grant when everybody asked has answered, or when the collecting time is over."""
        waiting = [
            (thread, message)
            for thread in self._threads.values()
            for message in thread.pending.values()
        ]
        if not waiting:
            return ()
        has_answered = not any(thread.is_open for thread in self._threads.values())
        if not has_answered and not self._schedule.part_passed(now_ms, COLLECT_PERCENT):
            return ()
        answers: list[Message] = []
        while waiting:
            best = max(waiting, key=self._rank)
            waiting.remove(best)
            answers.append(self._grant(*best))
        return tuple(answers)

    def _rank(self, waiting: tuple[_Thread, Message]) -> tuple[int, int, int, bytes]:
        """Highest price first, then the larger; the larger first when few agreements are left."""
        _, message = waiting
        by_size = message.quantity if self._slots <= FEW_SLOTS else 0
        return by_size, message.price, message.quantity, message.sender

    def _grant(self, thread: _Thread, message: Message) -> Message:
        assert message.acceptance is not None, "only acceptances are pending"
        del thread.pending[message.acceptance.nonce]
        performative, reason = Performative.FAILURE, Reason.OTHERS_WERE_BETTER
        left = self._left
        if message.quantity <= left:
            self._remaining -= message.quantity
            self._slots -= 1
            thread.granted += 1
            terms = self._terms(message)
            self.agreements.append(Agreement(terms, message.acceptance.signature))
            performative, reason, left = Performative.INFORM, Reason.NONE, message.quantity
        thread.answers[message.acceptance.nonce] = (performative, reason, left, message)
        return self._reply(message, performative, reason, left)

    def _reply(
        self, message: Message, performative: Performative, reason: Reason, quantity: int = 0
    ) -> Message:
        return self._pen.write(
            performative,
            receiver=message.sender,
            conversation=message.conversation,
            offer_id=self._offer_id,
            round_=message.round,
            in_reply_to=message.sequence,
            quantity=quantity,
            price=message.price,
            reason=reason,
        )


def _signer(terms: AcceptedTerms, signature: bytes) -> bytes | None:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    try:
        return recover_address(acceptance_digest(terms), r, s, signature[64])
    except InvalidSignature:
        return None
