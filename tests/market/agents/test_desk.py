"""The trading desk against strangers: whatever arrives, it neither stops nor believes it."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.hashing import tagged_hash
from crypto.keys import AccountKey
from market.agents.actions import RelayListen, RelaySend, Report
from market.agents.directory import HouseholdDirectory
from market.agents.observations import MessageArrived
from market.agents.ontology import (
    Acceptance,
    Message,
    Performative,
    Reason,
    conversation_of,
    decode_message,
    encode_message,
)
from market.agents.relay_box import RelayBox
from market.agents.strategies.protocol import Side
from market.agents.trading.agreement import AGREEMENTS_PER_PAIR_MAX
from market.agents.trading.desk import MESSAGES_PER_SENDER_MAX, TradingDesk, schedule_of
from tests.market.agents.test_ontology import messages
from tests.market.agents.test_smart_meter import TERMS

WINDOW, OFFER_ID = 5, 3
SELLER, BUYER = bytes([7]) * 20, bytes([8]) * 20
SCHEDULE = schedule_of(TERMS, WINDOW)
NOW = SCHEDULE.open_ms + 10
PEER = RelayBox(tagged_hash(b"test/peer", b""))


def key(name: str) -> AccountKey:
    return AccountKey(tagged_hash(b"test/account", name.encode()))


def desk(side: Side = Side.SELLER, quantity: int = 1_000) -> TradingDesk:
    made = TradingDesk(TERMS, HouseholdDirectory(), signer=key("b"), secret=bytes(32))
    (listen,) = made.open(WINDOW, side, account=SELLER, offer_id=OFFER_ID, quantity=quantity)
    assert listen == RelayListen(made.negotiation_key(WINDOW), TERMS.start(WINDOW))
    made.meet_buyers(WINDOW, [(1, BUYER, 700, 0, PEER.public)])
    made.meet_sellers(WINDOW, [(1, BUYER, 0, 700, 0, PEER.public, b"")])
    return made


def bid(to: TradingDesk, **changes) -> Message:
    receiver = to.negotiation_key(WINDOW)
    message = Message(
        performative=Performative.CFP,
        sender=PEER.public,
        receiver=receiver,
        conversation=conversation_of(PEER.public, receiver, WINDOW, OFFER_ID),
        window=WINDOW,
        offer_id=OFFER_ID,
        sequence=1,
        in_reply_to=0,
        round=0,
        quantity=500,
        price=29_000,
        valid_until_ms=0,
    )
    return replace(message, **changes)


def tell(to: TradingDesk, message: Message, now_ms: int = NOW, box: RelayBox = PEER):
    payload = box.seal(to.negotiation_key(WINDOW), encode_message(message))
    return to.receive(MessageArrived(to.negotiation_key(WINDOW), payload), now_ms)


def heard(actions) -> list[Message]:
    return [
        decode_message(RelayBox(tagged_hash(b"test/peer", b"")).open(action.payload).plaintext)
        for action in actions
        if isinstance(action, RelaySend)
    ]


def accept(proposal: Message, signer: AccountKey, nonce: int = 9, **changes) -> Message:
    from market.agents.acceptance import AcceptedTerms, acceptance_digest

    terms = AcceptedTerms(
        chain_id=TERMS.chain_id,
        window=WINDOW,
        offer_id=OFFER_ID,
        seller=SELLER,
        buyer=BUYER,
        quantity=proposal.quantity,
        price=proposal.price,
        nonce=nonce,
    )
    acceptance = Acceptance(
        seller=SELLER, buyer=BUYER, nonce=nonce, signature=signer.sign65(acceptance_digest(terms))
    )
    message = replace(
        proposal,
        performative=Performative.ACCEPT_PROPOSAL,
        sender=proposal.receiver,
        receiver=proposal.sender,
        sequence=2,
        in_reply_to=proposal.sequence,
        valid_until_ms=NOW + 1_000,
        acceptance=acceptance,
    )
    return replace(message, **changes)


def test_a_bid_is_answered_at_its_price() -> None:
    seller = desk()
    (proposal,) = heard(tell(seller, bid(seller)))
    assert (proposal.performative, proposal.quantity, proposal.price) == (
        Performative.PROPOSE,
        500,
        29_000,
    )


def test_a_bid_above_the_band_is_taken_at_its_edge() -> None:
    seller = desk()
    (proposal,) = heard(tell(seller, bid(seller, price=10**9)))
    assert proposal.price == TERMS.retail


def test_only_an_account_of_the_buyers_household_can_accept() -> None:
    """Otherwise the recording would revert and the quantity be lost for the window."""
    seller = desk()
    (proposal,) = heard(tell(seller, bid(seller)))
    (failure,) = heard(tell(seller, accept(proposal, key("somebody"))))
    assert failure.performative is Performative.FAILURE
    assert not seller.to_record(WINDOW)


def household_knows(seller: TradingDesk, signer: AccountKey) -> None:
    from market.abi import AgentRegistered, Enrolled

    home = bytes([5]) * 20
    seller._directory.learn(Enrolled(WINDOW, BUYER, home, 1))
    seller._directory.learn(AgentRegistered(home, signer.address))


def test_an_acceptance_is_granted_once_however_often_it_comes() -> None:
    seller, signer = desk(), key("buyer")
    household_knows(seller, signer)
    (proposal,) = heard(tell(seller, bid(seller)))
    acceptance = accept(proposal, signer)
    (inform,) = heard(tell(seller, acceptance))
    assert inform.performative is Performative.INFORM
    (again,) = heard(tell(seller, replace(acceptance, sequence=3)))
    assert (again.performative, again.quantity) == (Performative.INFORM, 500)
    assert [each.terms.quantity for each in seller.to_record(WINDOW)] == [500]


def test_other_terms_under_a_used_nonce_are_refused() -> None:
    seller, signer = desk(), key("buyer")
    household_knows(seller, signer)
    (proposal,) = heard(tell(seller, bid(seller)))
    tell(seller, accept(proposal, signer))
    (refusal,) = heard(tell(seller, accept(proposal, signer, quantity=1, sequence=4)))
    assert refusal.performative is Performative.REFUSE


def test_late_unproposed_and_lapsed_acceptances_fail() -> None:
    seller, signer = desk(), key("buyer")
    household_knows(seller, signer)
    (proposal,) = heard(tell(seller, bid(seller)))
    for number, (changes, now_ms) in enumerate(
        [
            ({"price": 28_000}, NOW),
            ({"quantity": 501}, NOW),
            ({"in_reply_to": 77}, NOW),
            ({"offer_id": 4}, NOW),
            ({"valid_until_ms": NOW - 1}, NOW),
            ({}, SCHEDULE.grace_ms),
        ],
        start=10,
    ):
        message = accept(proposal, signer, sequence=number, **changes)
        (answer,) = heard(tell(seller, message, now_ms))
        assert answer.performative is Performative.FAILURE, changes
    assert not seller.to_record(WINDOW)


def test_strangers_and_liars_are_refused() -> None:
    seller, stranger = desk(), RelayBox(tagged_hash(b"test/stranger", b""))
    (actions,) = tell(seller, bid(seller), box=stranger)
    assert isinstance(actions, Report), "the message names a key that did not seal it"
    (ignored,) = tell(seller, bid(seller, sender=stranger.public), box=stranger)
    assert isinstance(ignored, Report), "no call names the key"
    (reply,) = heard(tell(seller, bid(seller, conversation=bytes(16))))
    assert (reply.performative, reply.reason) == (Performative.REFUSE, Reason.UNKNOWN_COUNTERPARTY)
    (other_window,) = tell(seller, bid(seller, window=6))
    assert isinstance(other_window, Report)


@settings(max_examples=200)
@given(messages(), st.sampled_from(Side), st.integers(0, 2**44))
def test_no_message_stops_the_desk(message, side, now_ms) -> None:
    to = desk(side)
    receiver = to.negotiation_key(WINDOW)
    pair = (PEER.public, receiver) if side is Side.SELLER else (receiver, PEER.public)
    offer_id = OFFER_ID if side is Side.SELLER else 1
    for changed in (
        message,
        replace(
            message,
            sender=PEER.public,
            receiver=receiver,
            window=WINDOW,
            conversation=conversation_of(*pair, WINDOW, offer_id),
        ),
    ):
        tell(to, changed, now_ms)
        to.tick(now_ms)
    assert not to.to_record(WINDOW)


@given(st.binary(max_size=1_300))
def test_no_bytes_stop_the_desk(payload) -> None:
    to = desk()
    (report,) = to.receive(MessageArrived(to.negotiation_key(WINDOW), payload), NOW)
    assert isinstance(report, Report)
    assert to.receive(MessageArrived(bytes(32), payload), NOW) == ()


def test_a_worthless_key_in_a_call_is_skipped() -> None:
    """Anybody can publish a call whose key nothing can be sealed to."""
    buyer = desk(Side.BUYER)
    buyer.meet_sellers(WINDOW, [(2, bytes([9]) * 20, 0, 50, 0, bytes(32), b"")])
    actions = buyer.tick(SCHEDULE.open_ms)
    assert [message.performative for message in heard(actions)] == [Performative.CFP]


def test_own_offers_are_not_traded_with() -> None:
    buyer = desk(Side.BUYER)
    own = RelayBox(tagged_hash(b"test/own", b""))
    buyer.meet_sellers(WINDOW, [(4, SELLER, 0, 50, 0, own.public, b"")])
    assert len(buyer.tick(SCHEDULE.open_ms)) == 1


def test_sessions_end_with_their_window() -> None:
    seller = desk()
    seller.tick(TERMS.start(WINDOW + 1))
    assert tell(seller, bid(seller)) == ()


def test_a_flood_is_not_answered_message_by_message() -> None:
    """Answers are sent under the household's own relay limit: strangers must not spend it."""
    seller = desk()
    answers = 0
    for i in range(300):
        stranger = RelayBox(tagged_hash(b"test/stranger", i.to_bytes(2, "big")))
        flood = bid(seller, sender=stranger.public, sequence=1)
        answers += len(sent(tell(seller, flood, box=stranger)))
    assert answers == 0
    for sequence in range(1, 301):
        answers += len(sent(tell(seller, bid(seller, sequence=sequence))))
    assert answers == MESSAGES_PER_SENDER_MAX


def sent(actions) -> list[RelaySend]:
    return [action for action in actions if isinstance(action, RelaySend)]


def test_one_buyer_cannot_use_up_a_sellers_agreements_with_crumbs() -> None:
    """Each agreement takes one of the few that the contract allows, however small it is."""
    seller = desk()
    household_knows(seller, key("b"))
    for nonce in range(1, 20):
        (proposal,) = heard(tell(seller, bid(seller, sequence=2 * nonce)))
        if proposal.performative is Performative.PROPOSE:
            crumb = accept(replace(proposal, quantity=1), key("b"), nonce=nonce)
            tell(seller, replace(crumb, sequence=2 * nonce + 1))
    assert len(seller.to_record(WINDOW)) == AGREEMENTS_PER_PAIR_MAX
