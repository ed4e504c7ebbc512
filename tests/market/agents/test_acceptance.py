"""Both halves of the market sign and check the same digests, though neither imports the other."""

from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from crypto.keys import AccountKey, verify_account
from market.abi import (
    ACCEPTANCE_FIELDS,
    ACCEPTANCE_TAG,
    AGENT_CONSENT_FIELDS,
    AGENT_CONSENT_TAG,
    AgentRegistered,
    InfoPublished,
)
from market.agents.acceptance import AcceptedTerms, acceptance_digest
from market.agents.actions import AskNonce, CallView, SendTransaction
from market.agents.observations import NonceAnswer, ViewAnswer
from market.agents.outbox import Outbox
from market.agents.setup import VIEW, AgentIdentity, AgentSetup
from market.contracts.signed import digest_of

U63 = st.integers(0, 2**63 - 1)
ADDRESS = st.binary(min_size=20, max_size=20)


@given(
    st.builds(
        AcceptedTerms,
        chain_id=st.integers(1, 2**52 - 1),
        window=U63,
        offer_id=U63,
        seller=ADDRESS,
        buyer=ADDRESS,
        quantity=U63,
        price=U63,
        nonce=U63,
    )
)
def test_agents_and_contracts_make_the_same_acceptance_digest(terms) -> None:
    values = asdict(terms)
    assert acceptance_digest(terms) == digest_of(ACCEPTANCE_TAG, ACCEPTANCE_FIELDS, values)


def key(number: int) -> AccountKey:
    return AccountKey(bytes([number]) * 32)


def setup() -> tuple[AgentSetup, Outbox]:
    outbox = Outbox(("household", "seller", "buyer"), patience_ms=1_000, retry_ms=100)
    identity = AgentIdentity(
        chain_id=7,
        household=key(1),
        agents={"seller": key(2), "buyer": key(3)},
        box_key=bytes(32),
        data_key=bytes(32),
        endpoint="here",
    )
    return AgentSetup(identity, outbox), outbox


def sent(outbox: Outbox, actions) -> list[SendTransaction]:
    answers = [
        outbox.step(NonceAnswer(action.account, 0), 0)
        for action in actions
        if isinstance(action, AskNonce)
    ]
    found = [*actions, *(each for answer in answers for each in answer)]
    return [each for each in found if isinstance(each, SendTransaction)]


def test_agents_are_registered_with_a_consent_that_the_contract_accepts() -> None:
    made, outbox = setup()
    (ask,) = made.tick(0, 100)
    assert ask == CallView(VIEW, "Registry", "agentsOf", (key(1).address,))
    assert made.tick(50, 100) == ()
    assert made.tick(100, 100) == (ask,), "asked again when no answer came"
    made.answer(ViewAnswer(VIEW, ([key(3).address],)))
    (register,) = sent(outbox, made.tick(110, 100))
    assert (register.account, register.function) == ("household", "registerAgent")
    agent, consent = register.args
    values = {"chain_id": 7, "household": key(1).address, "agent": agent}
    verify_account(
        key(2).address, digest_of(AGENT_CONSENT_TAG, AGENT_CONSENT_FIELDS, values), consent
    )
    assert not made.is_complete


def test_keys_are_published_once_by_the_registered_agent() -> None:
    made, outbox = setup()
    made.answer(ViewAnswer(VIEW, ([key(3).address],)))
    made.see(AgentRegistered(key(1).address, key(2).address))
    assert made.is_complete
    (publish,) = sent(outbox, made.tick(0, 100))
    assert (publish.account, publish.function) == ("seller", "publishInfo")
    _, sealed, endpoint = publish.args
    assert endpoint == "here"
    assert len(sealed) <= 256
    assert key(1).address not in sealed
    made.see(InfoPublished(key(2).address, bytes(32)))
    assert made.tick(5_000, 100) == ()


def test_others_events_change_nothing() -> None:
    made, _ = setup()
    made.answer(ViewAnswer(VIEW, ([key(2).address],)))
    made.see(AgentRegistered(key(1).address, key(9).address))
    assert not made.is_complete
