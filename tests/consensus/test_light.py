"""Seals, epochs and attestations as a client without a replica sees them."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.certificates import Kind, Seal, SigningDomain, Slot
from consensus.errors import MalformedMessage
from consensus.events import Applied, Broadcast, Tick
from consensus.light import (
    Attestation,
    EpochChain,
    attestation_payload,
    verify_attestation,
    verify_seal,
)
from consensus.membership import Epoch, Height, MemberIndex, Membership, Term, View
from consensus.messages import Commit
from crypto.errors import InvalidProof
from crypto.hashing import tagged_hash
from crypto.keys import NodeKey
from tests.consensus.net import Net

GENESIS = tagged_hash(b"test/genesis")
NONCE = bytes(range(32))
KEYS = {key.public: key for key in (NodeKey.from_seed(bytes([i + 1]) * 32) for i in range(20))}


def members(*numbers, epoch=0, first_height=1, first_term=0):
    publics = tuple(sorted(list(KEYS)[i] for i in numbers))
    return Membership(
        Epoch(epoch), publics, first_height=Height(first_height), first_term=Term(first_term)
    )


def digest(height):
    return tagged_hash(b"test/block", height.to_bytes(8, "big"))


def seal(by, height, view=0, of=None):
    slot = Slot(epoch=by.epoch, term=by.term(height), view=View(view), height=Height(height))
    payload = SigningDomain(GENESIS, by.hash()).payload(Kind.COMMIT, slot, of or digest(height))
    quorum = by.members[: by.quorum.certificate]
    return Seal(
        view=View(view),
        signatures=tuple((MemberIndex(i), KEYS[p].sign(payload)) for i, p in enumerate(quorum)),
    )


def attestation(by, member, height):
    payload = attestation_payload(
        SigningDomain(GENESIS, by.hash()),
        height=height,
        digest=digest(height),
        state_root=digest(99),
        nonce=NONCE,
    )
    return Attestation(
        height=Height(height),
        digest=digest(height),
        state_root=digest(99),
        nonce=NONCE,
        member=MemberIndex(member),
        signature=KEYS[by.members[member]].sign(payload),
    )


@given(st.integers(4, 13), st.integers(1, 100), st.integers(0, 5))
def test_a_quorum_seals_and_nothing_else_is_taken_for_it(n, height, view):
    by = members(*range(n))
    whole = seal(by, height, view)
    verify_seal(GENESIS, by, height, digest(height), whole)
    for wrong in (
        {"genesis_digest": digest(0)},
        {"members": members(*range(n), epoch=1)},
        {"members": members(*range(1, n + 1))},
        {"height": height + 1},
        {"digest": digest(height + 1)},
        {"seal": replace(whole, view=View(view + 1))},
        {"seal": replace(whole, signatures=whole.signatures[1:])},
    ):
        given_ = {
            "genesis_digest": GENESIS,
            "members": by,
            "height": height,
            "digest": digest(height),
            "seal": whole,
        }
        with pytest.raises(InvalidProof):
            verify_seal(**(given_ | wrong))


def test_sets_follow_each_other_by_their_seals():
    first = members(0, 1, 2, 3)
    second = members(0, 1, 2, 3, 4, epoch=1, first_height=21, first_term=2)
    chain = EpochChain(GENESIS, first)
    chain.hand_over(20, digest(20), seal(first, 20), second)
    assert (chain.at(20), chain.at(21), chain.newest) == (first, second, second)
    chain.verify(20, digest(20), seal(first, 20))
    chain.verify(25, digest(25), seal(second, 25))
    with pytest.raises(InvalidProof):
        chain.verify(25, digest(25), seal(first, 25))  # The former members, later.
    with pytest.raises(InvalidProof, match="before what is trusted"):
        EpochChain(GENESIS, second).at(20)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 2}, "does not follow"),
        ({"first_height": 22}, "does not follow"),
        ({"first_term": 3}, "another term"),
    ],
)
def test_a_hand_over_whose_numbers_do_not_follow(changes, message):
    first = members(0, 1, 2, 3)
    numbers = {"epoch": 1, "first_height": 21, "first_term": 2} | changes
    chain = EpochChain(GENESIS, first)
    with pytest.raises(InvalidProof, match=message):
        chain.hand_over(20, digest(20), seal(first, 20), members(4, 5, 6, 7, **numbers))
    assert chain.newest is first


def test_an_attestation_is_its_member_s_alone():
    by = members(0, 1, 2, 3)
    good = attestation(by, 2, 7)
    verify_attestation(GENESIS, by, good)
    for wrong in (
        {"height": Height(8)},
        {"digest": digest(8)},
        {"state_root": digest(8)},
        {"nonce": bytes(32)},
        {"member": MemberIndex(1)},
        {"member": MemberIndex(9)},
        {"signature": bytes(64)},
    ):
        with pytest.raises(InvalidProof):
            verify_attestation(GENESIS, by, replace(good, **wrong))
    with pytest.raises(InvalidProof):
        verify_attestation(digest(1), by, good)
    with pytest.raises(InvalidProof, match="not of epoch"):
        verify_attestation(GENESIS, members(0, 1, 2, 3, epoch=1, first_height=20), good)


@pytest.mark.parametrize(
    "changes",
    [{"height": -1}, {"digest": b""}, {"nonce": b"x"}, {"member": -1}, {"signature": b""}],
)
def test_what_is_no_attestation_is_not_made(changes):
    with pytest.raises(MalformedMessage):
        replace(attestation(members(0, 1, 2, 3), 0, 1), **changes)


def test_no_vote_has_the_payload_of_an_attestation():
    domain = SigningDomain(GENESIS, members(0, 1, 2, 3).hash())
    mine = attestation_payload(
        domain, height=3, digest=digest(3), state_root=digest(4), nonce=NONCE
    )
    slot = Slot(epoch=Epoch(0), term=Term(0), view=View(0), height=Height(3))
    assert mine not in {domain.payload(kind, slot, digest(3)) for kind in Kind}


# The replica's own knowledge ---------------------------------------------------------------------


def test_a_replica_attests_only_while_it_has_sent_no_commit_above_its_head():
    net = Net().start()
    assert all(node.replica.may_attest for node in net.nodes)
    net.submit(b"x")
    net.deliver(lambda *m: not isinstance(m[2], Commit))  # COMMITs are sent, and lost.
    committed = [node for node in net.nodes if any(_is_commit(e) for e in node.seen)]
    assert committed
    for node in net.nodes:
        assert node.replica.may_attest == (node not in committed)
        node.restart()
        assert not node.replica.may_attest  # The log says so, and it is a learner at first.
    net.deliver()
    net.run(2000)
    assert net.heights() == [1, 1, 1, 1]
    assert all(node.replica.may_attest for node in net.nodes)


def test_a_learner_and_a_halted_replica_attest_nothing():
    net = Net()
    net.nodes[0].step(Tick())
    assert net.nodes[0].replica.is_learner
    assert not net.nodes[0].replica.may_attest
    net.start()
    assert net.nodes[0].replica.may_attest
    net.nodes[0].step(Applied(Height(9), digest(9), net.membership))
    assert net.nodes[0].replica.halted
    assert not net.nodes[0].replica.may_attest


def _is_commit(effect):
    return isinstance(effect, Broadcast) and isinstance(effect.message, Commit)


@pytest.mark.parametrize("seed", range(60))
def test_what_a_quorum_attests_is_the_newest_decision_whatever_is_lost(seed):
    """At any moment: where q replicas would attest heights up to h, nobody has decided more."""
    rng = random.Random(seed)
    net = Net(rng.randint(4, 7)).start()
    for turn in range(30):
        if rng.random() < 0.5:
            net.submit(b"%d" % turn)
        kept = rng.random()
        net.deliver(lambda *_, kept=kept: rng.random() < kept, hold=rng.random() < 0.3)
        if rng.random() < 0.2:
            rng.choice(net.nodes).restart()
        if rng.random() < 0.3:
            net.run(rng.choice((50, 400)), lambda *_, kept=kept: rng.random() < kept)
        attested = sorted(r.head.height for r in _replicas(net) if r.may_attest)
        quorum = net.membership.quorum.certificate
        if len(attested) >= quorum:
            assert max(net.heights()) <= attested[quorum - 1]


def _replicas(net):
    return [node.replica for node in net.nodes]
