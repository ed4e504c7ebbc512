"""BA, the buyer: bids to all sellers round by round and accepts the lowest asks with a signature.

What it has accepted counts as bought until the seller answers or the acceptance has lapsed, so it
never commits itself twice for the same demand. A seller that has sold elsewhere says what is left;
the buyer then takes the rest or goes to its next best offer at once.
"""

from dataclasses import dataclass
from typing import final

from crypto.hashing import tagged_hash
from crypto.keys import AccountKey
from market.agents.acceptance import AcceptedTerms, acceptance_digest
from market.agents.ontology import (
    Acceptance,
    Message,
    Performative,
    Reason,
    conversation_of,
)
from market.agents.strategies.protocol import Strategy
from market.agents.trading.agreement import (
    AGREEMENTS_PER_PAIR_MAX,
    COUNTERPARTIES_MAX,
    FEW_SLOTS,
    Agreement,
    Counterparty,
    Pen,
)
from market.agents.trading.schedule import Schedule

DECIDE_PERCENT = 30
"""Part of a round during which proposals wait for better ones."""
RESEND_PERCENT = 50
"""Of a round: an acceptance without an answer is sent again after that."""
SILENCES_MAX = 2
"""Acceptances that a seller may leave unanswered; then it is not asked any more."""


@final
@dataclass(slots=True)
class _Proposal:
    sequence: int
    quantity: int
    price: int
    valid_until_ms: int


@final
@dataclass(slots=True)
class _Thread:
    """The conversation with one seller."""

    seller: Counterparty
    conversation: bytes
    tie: bytes
    """Order among equal prices: differs from buyer to buyer, so they do not all ask the same."""
    proposal: _Proposal | None = None
    asked_round: int = -1
    asked_quantity: int = 0
    is_awaited: bool = False
    """Asked in this round and not answered yet."""
    is_exhausted: bool = False
    silences: int = 0


@final
@dataclass(slots=True)
class _Outstanding:
    """An acceptance that the seller has not answered."""

    thread: _Thread
    agreement: Agreement
    proposal: _Proposal
    round: int
    sent_ms: int
    valid_until_ms: int
    lapse_ms: int
    """When the quantity is free again: the seller may no longer agree, and its answer is due."""


@final
class BuyerAgent:
    """Buys for one call in one window; stepped with messages and ticks, returns messages."""

    def __init__(
        self,
        *,
        chain_id: int,
        schedule: Schedule,
        key: bytes,
        account: bytes,
        signer: AccountKey,
        quantity: int,
        strategy: Strategy,
        agreements_max: int,
        band: tuple[int, int],
    ) -> None:
        """`band`: feed-in and retail price, between which the contract records."""
        self._chain_id = chain_id
        self._schedule = schedule
        self._key = key
        self._account = account
        self._signer = signer
        self._demand = quantity
        self._strategy = strategy
        self._slots = agreements_max
        self._band = band
        self._pen = Pen(key, schedule.window)
        self._threads: dict[bytes, _Thread] = {}
        """By conversation and not by key: anybody may copy a seller's key into an offer of its own,
        but only the holder of the key can answer, and it answers for its own offer."""
        self._outstanding: dict[int, _Outstanding] = {}
        self._lapsed: dict[int, Agreement] = {}
        """By nonce: acceptances without an answer, which the seller could still record."""
        self._acceptances: dict[tuple[bytes, int], int] = {}
        """(seller's key, our message's sequence) to nonce: which acceptance an answer is for."""
        self._round = -1
        self._count = 0
        self.agreements: dict[bytes, Agreement] = {}
        """By id: what the sellers agreed to, in order."""

    @property
    def bought(self) -> int:
        """Wh agreed."""
        return sum(agreement.terms.quantity for agreement in self.agreements.values())

    @property
    def uncommitted(self) -> int:
        """Wh neither agreed nor in an acceptance that waits for its answer."""
        waiting = sum(each.agreement.terms.quantity for each in self._outstanding.values())
        return self._demand - self.bought - waiting

    def meet(self, sellers: list[Counterparty]) -> None:
        """Learn the published offers."""
        for seller in sellers:
            conversation = conversation_of(
                self._key, seller.key, self._schedule.window, seller.offer_id
            )
            if conversation not in self._threads and len(self._threads) < COUNTERPARTIES_MAX:
                tie = tagged_hash(b"hearth/agents/tie", conversation)
                self._threads[conversation] = _Thread(seller, conversation, tie)

    def knows(self, key: bytes) -> bool:
        """Whether an offer names the key."""
        return any(thread.seller.key == key for thread in self._threads.values())

    def tick(self, now_ms: int) -> tuple[Message, ...]:
        """Bid when a round begins, decide when its time has come, mind the time-outs."""
        messages = [*self._mind_outstanding(now_ms)]
        if self._schedule.is_open(now_ms):
            self._begin_round(self._schedule.round_at(now_ms))
            messages += self._bid()
            messages += self._decide(now_ms)
        return tuple(messages)

    def receive(self, message: Message, now_ms: int) -> tuple[Message, ...]:
        """Take a seller's answer; what makes no sense is ignored."""
        thread = self._threads.get(message.conversation)
        if thread is None or message.sender != thread.seller.key:
            return ()
        match message.performative:
            case Performative.PROPOSE:
                thread.is_awaited = False
                thread.proposal = _Proposal(
                    message.sequence, message.quantity, message.price, message.valid_until_ms
                )
            case Performative.REFUSE:
                thread.is_awaited = False
                thread.is_exhausted |= message.reason is Reason.EXHAUSTED
            case Performative.INFORM:
                self._take_inform(message)
            case Performative.FAILURE:
                self._take_failure(message)
            case _:
                return ()
        return self._decide(now_ms) if self._schedule.is_open(now_ms) else ()

    def confirms(self, agreement_id: bytes) -> bool:
        """Whether a recorded agreement is ours to confirm; the record counts as the answer.

        A recorded acceptance that had lapsed is confirmed only if the demand still has room.
        """
        for nonce, waiting in tuple(self._outstanding.items()):
            if waiting.agreement.id == agreement_id:
                del self._outstanding[nonce]
                self.agreements[agreement_id] = waiting.agreement
        for nonce, lapsed in tuple(self._lapsed.items()):
            if lapsed.id == agreement_id:
                return self._take_late(nonce)
        return agreement_id in self.agreements

    # Rounds --------------------------------------------------------------------------------------

    def _begin_round(self, round_: int) -> None:
        if round_ == self._round:
            return
        self._round = round_
        for thread in self._threads.values():
            thread.is_awaited = False
            thread.proposal = None

    def _bid(self) -> list[Message]:
        """Ask every seller that was not asked in this round yet, also one that came late."""
        quantity = self.uncommitted
        if not quantity or not self._slots:
            return []
        bids = []
        for thread in self._threads.values():
            if thread.asked_round == self._round or not self._is_worth_asking(thread):
                continue
            thread.asked_round = self._round
            thread.asked_quantity = quantity
            thread.is_awaited = True
            bids.append(
                self._pen.write(
                    Performative.CFP,
                    receiver=thread.seller.key,
                    conversation=thread.conversation,
                    offer_id=thread.seller.offer_id,
                    round_=self._round,
                    quantity=quantity,
                    price=max(self._strategy.price(self._round), self._band[0]),
                )
            )
        return bids

    @staticmethod
    def _is_worth_asking(thread: _Thread) -> bool:
        return not thread.is_exhausted and thread.silences < SILENCES_MAX

    def _decide(self, now_ms: int) -> tuple[Message, ...]:
        """Accept the lowest asks once all have answered or the waiting time is over."""
        is_awaiting = any(thread.is_awaited for thread in self._threads.values())
        if is_awaiting and not self._schedule.part_passed(now_ms, DECIDE_PERCENT):
            return ()
        messages: list[Message] = []
        for thread in sorted(self._threads.values(), key=self._rank):
            proposal = thread.proposal
            if proposal is None or self._is_accepting(thread):
                continue
            if not proposal.quantity or now_ms > proposal.valid_until_ms:
                continue
            if not self._takes(proposal.price):
                messages.append(self._reject(thread, proposal))
                proposal.quantity = 0
            elif self.uncommitted and self._may_add(thread, proposal):
                messages.append(self._accept(thread, proposal, now_ms))
        return tuple(messages)

    def _takes(self, price: int) -> bool:
        """Whether the strategy takes an ask; outside the public band it could not be recorded."""
        low, high = self._band
        return low <= price <= high and self._strategy.accepts(self._round, price)

    def _rank(self, thread: _Thread) -> tuple[int, int, bytes]:
        """Lowest ask first; the largest first when few agreements are left."""
        proposal = thread.proposal
        if proposal is None:
            return 0, 0, thread.tie
        by_size = -proposal.quantity if self._slots <= FEW_SLOTS else 0
        return by_size, proposal.price, thread.tie

    def _may_add(self, thread: _Thread, proposal: _Proposal) -> bool:
        """Whether one more agreement is not too many; the last one is not spent on a crumb.

        While another acceptance may fail, or the seller could propose more than was asked for, the
        last agreement with the account could be wanted for much more; in the last round it cannot.
        """
        waiting = [each.agreement for each in self._outstanding.values()]
        agreed = (*self.agreements.values(), *waiting)
        account = thread.seller.account
        among_pair = sum(each.terms.seller == account for each in agreed)
        left = min(self._slots, AGREEMENTS_PER_PAIR_MAX - among_pair)
        if left != 1 or self._round == self._schedule.rounds - 1:
            return left > 0
        is_all_it_has = proposal.quantity < thread.asked_quantity
        return not waiting and (is_all_it_has or proposal.quantity >= self.uncommitted)

    def _is_accepting(self, thread: _Thread) -> bool:
        return any(each.thread is thread for each in self._outstanding.values())

    def _accept(self, thread: _Thread, proposal: _Proposal, now_ms: int) -> Message:
        schedule = self._schedule
        self._count += 1
        counter = self._count.to_bytes(8, "big")
        nonce = tagged_hash(b"hearth/agents/nonce", thread.conversation, counter)
        terms = AcceptedTerms(
            chain_id=self._chain_id,
            window=schedule.window,
            offer_id=thread.seller.offer_id,
            seller=thread.seller.account,
            buyer=self._account,
            quantity=min(proposal.quantity, self.uncommitted),
            price=proposal.price,
            nonce=int.from_bytes(nonce[:7], "big"),
        )
        signature = self._signer.sign65(acceptance_digest(terms))
        valid_until_ms = min(now_ms + schedule.binding_ms, schedule.grace_ms)
        waiting = _Outstanding(
            thread=thread,
            agreement=Agreement(terms, signature),
            proposal=proposal,
            round=self._round,
            sent_ms=now_ms,
            valid_until_ms=valid_until_ms,
            lapse_ms=valid_until_ms + 2 * schedule.round_ms,
        )
        self._outstanding[terms.nonce] = waiting
        self._slots -= 1
        return self._write_acceptance(waiting)

    def _write_acceptance(self, waiting: _Outstanding) -> Message:
        terms = waiting.agreement.terms
        message = self._pen.write(
            Performative.ACCEPT_PROPOSAL,
            receiver=waiting.thread.seller.key,
            conversation=waiting.thread.conversation,
            offer_id=terms.offer_id,
            round_=waiting.round,
            in_reply_to=waiting.proposal.sequence,
            quantity=terms.quantity,
            price=terms.price,
            valid_until_ms=waiting.valid_until_ms,
            acceptance=Acceptance(
                seller=terms.seller,
                buyer=terms.buyer,
                nonce=terms.nonce,
                signature=waiting.agreement.signature,
            ),
        )
        self._acceptances[message.receiver, message.sequence] = terms.nonce
        return message

    def _reject(self, thread: _Thread, proposal: _Proposal) -> Message:
        return self._pen.write(
            Performative.REJECT_PROPOSAL,
            receiver=thread.seller.key,
            conversation=thread.conversation,
            offer_id=thread.seller.offer_id,
            round_=self._round,
            in_reply_to=proposal.sequence,
            price=self._strategy.price(self._round),
        )

    # Answers and time-outs -----------------------------------------------------------------------

    def _take_inform(self, message: Message) -> None:
        nonce = self._acceptances.get((message.sender, message.in_reply_to))
        if nonce in self._outstanding:
            waiting = self._outstanding.pop(nonce)
            waiting.thread.silences = 0
            self.agreements[waiting.agreement.id] = waiting.agreement
            self._note_less(waiting, waiting.proposal.quantity - waiting.agreement.terms.quantity)
        elif nonce in self._lapsed:
            self._take_late(nonce)

    def _take_failure(self, message: Message) -> None:
        nonce = self._acceptances.get((message.sender, message.in_reply_to))
        waiting = self._outstanding.pop(nonce, None) if nonce is not None else None
        if waiting is None:
            return
        waiting.thread.silences = 0
        self._slots += 1
        is_outbid = message.reason is Reason.OTHERS_WERE_BETTER
        # After any other reason the proposal is void; the next round brings a new one.
        self._note_less(waiting, message.quantity if is_outbid else 0)
        waiting.thread.is_exhausted |= is_outbid and message.quantity == 0

    def _take_late(self, nonce: int) -> bool:
        """The seller agreed although we had given up: keep to it if the demand still has room."""
        lapsed = self._lapsed[nonce]
        if lapsed.terms.quantity > self.uncommitted or not self._slots:
            return False
        self._slots -= 1
        self.agreements[lapsed.id] = self._lapsed.pop(nonce)
        return True

    @staticmethod
    def _note_less(waiting: _Outstanding, left: int) -> None:
        """Remember what may still be accepted of the proposal that the acceptance answered."""
        if waiting.thread.proposal is waiting.proposal:
            waiting.proposal.quantity = min(waiting.proposal.quantity, left)

    def _mind_outstanding(self, now_ms: int) -> list[Message]:
        """Send again what is unanswered; give up what has lapsed."""
        messages = []
        for nonce, waiting in tuple(self._outstanding.items()):
            is_due = (now_ms - waiting.sent_ms) * 100 >= self._schedule.round_ms * RESEND_PERCENT
            if now_ms >= waiting.lapse_ms:
                del self._outstanding[nonce]
                self._slots += 1
                waiting.thread.silences += 1
                self._lapsed[nonce] = waiting.agreement
                messages.append(self._cancel(waiting))
            elif is_due:
                waiting.sent_ms = now_ms
                messages.append(self._write_acceptance(waiting))
        return messages

    def _cancel(self, waiting: _Outstanding) -> Message:
        return self._pen.write(
            Performative.CANCEL,
            receiver=waiting.thread.seller.key,
            conversation=waiting.thread.conversation,
            offer_id=waiting.agreement.terms.offer_id,
            round_=max(self._round, 0),
            in_reply_to=waiting.proposal.sequence,
        )
