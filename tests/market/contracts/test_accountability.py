"""Offences against consensus on the chain: the same law as `consensus.evidence`, byte for byte."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.certificates import Head, Kind, SignedVote, SigningDomain, Slot
from consensus.evidence import (
    DoubleVote,
    HiddenCertificate,
    InvalidEvidence,
    SplitVote,
    decode_evidence,
    encode_evidence,
    verify_evidence,
)
from consensus.keyring import Ed25519Keyring
from consensus.membership import Membership
from consensus.messages import ViewChange
from consensus.wire import signed_vote_to_value, to_value, view_change_digest
from crypto.codec import encode
from crypto.errors import DecodeError
from market.abi import ADDRESSES
from market.contracts.accountability import EVIDENCE_TERMS, OFFENCES_PER_MEMBER_MAX
from market.contracts.evidence import read_evidence
from tests.consensus.strategies import digests, view_changes
from tests.consensus.test_evidence import GUILTY
from tests.market.contracts.chain import Chain, Reverted, account, ed25519, home
from tests.market.contracts.members import accept, activate, admit, node, rotation
from tests.market.contracts.members import members as members_of
from tests.market.contracts.recovered import recover, staying
from vm.errors import Revert

A, B = b"a" * 32, b"b" * 32
KEYS = {ed25519(f"node {i}").public: ed25519(f"node {i}") for i in range(4)}
NODES = [KEYS[public] for public in sorted(KEYS)]


def members(epoch=0):
    return Membership(epoch=epoch, members=tuple(key.public for key in NODES))


def signed(chain, kind, digest, *, sender=1, view=0, height=1, term=0, epoch=0):
    slot = Slot(epoch=epoch, term=term, view=view, height=height)
    domain = SigningDomain(chain.machine.genesis_execution().header.hash, members(epoch).hash())
    signature = NODES[sender].sign(domain.payload(kind, slot, digest))
    return SignedVote(kind=kind, slot=slot, digest=digest, sender=sender, signature=signature)


def double(chain, **where):
    one, two = (signed(chain, Kind.COMMIT, digest, **where) for digest in (A, B))
    return encode_evidence(DoubleVote(one, two))


def hidden(chain):
    genesis = chain.machine.genesis_execution().header.hash
    head = Head(height=0, digest=genesis, seal=None)
    slot = Slot(epoch=0, term=0, view=1, height=0)
    domain = SigningDomain(genesis, members().hash())
    payload = domain.payload(Kind.VIEW_CHANGE, slot, view_change_digest(head, None))
    asked = ViewChange(
        slot=slot, head=head, prepared=None, sender=1, signature=NODES[1].sign(payload)
    )
    return encode_evidence(HiddenCertificate(signed(chain, Kind.COMMIT, A), asked))


def owner(place):
    """Account of the household at this place among the founders' keys."""
    (index,) = (i for i in range(4) if ed25519(f"node {i}") is NODES[place])
    return home(index).address


def report(chain, evidence, key=None):
    return chain.send(key or home(0), "Accountability", "reportEvidence", evidence)


def refused(code, chain, evidence, key=None):
    with pytest.raises(Reverted) as caught:
        report(chain, evidence, key)
    assert caught.value.code == code, str(caught.value)


def test_a_conviction_is_on_record_for_all_to_see():
    chain = Chain()
    evidence = double(chain, view=3, height=7)
    assert not chain.one("Accountability", "isRecorded", evidence)
    (receipt,) = chain.block([(home(0), "Accountability", "reportEvidence", (evidence,))])
    assert receipt.status
    (log,) = receipt.logs
    assert (log.address, log.topics[1]) == (ADDRESSES["Accountability"], NODES[1].public)
    (row,) = chain.one("Accountability", "offences", 0)
    assert tuple(row)[:8] == (NODES[1].public, owner(1), 1, Kind.COMMIT, 0, 0, 3, 7)
    assert chain.one("Accountability", "isRecorded", evidence)
    assert chain.one("Accountability", "offencesOf", NODES[1].public) == 1
    assert chain.one("Accountability", "offencesOf", NODES[2].public) == 0
    assert chain.one("Accountability", "count") == 1


def test_every_kind_of_offence_is_taken():
    chain = Chain()
    split = SplitVote(signed(chain, Kind.PREPARE, A), signed(chain, Kind.COMMIT, B))
    for evidence in (double(chain), encode_evidence(split), hidden(chain)):
        report(chain, evidence)
    assert [row[2] for row in chain.one("Accountability", "offences", 0)] == [1, 2, 3]


def test_a_household_that_changed_its_key_or_was_evicted_is_found_all_the_same():
    chain, signers = Chain(5, checked=False), [node(i) for i in range(5)]
    places = {key.public: key for key in signers}
    keys = tuple(sorted(places))
    domain = SigningDomain(
        chain.machine.genesis_execution().header.hash, Membership(epoch=0, members=keys).hash()
    )

    def offence(who, view):
        slot = Slot(epoch=0, term=0, view=view, height=1)
        kind, sender = Kind.COMMIT, keys.index(node(who).public)
        votes = [
            SignedVote(
                kind=kind,
                slot=slot,
                digest=digest,
                sender=sender,
                signature=node(who).sign(domain.payload(kind, slot, digest)),
            )
            for digest in (A, B)
        ]
        return encode_evidence(DoubleVote(*votes))

    def change_key(who, old, new):
        args = rotation(chain, home(who), new)
        (proposal_id,) = chain.send(home(who), "Membership", "proposeRotation", *args)
        activate(chain, proposal_id, [new, *(key for key in signers if key is not old)])
        signers[who] = new

    change_key(1, node(1), ed25519("other node"))
    change_key(2, node(2), node(1))  # Somebody else takes that key, however it came to know it.
    (proposal_id,) = chain.send(home(0), "Membership", "proposeEviction", home(3).address)
    accept(chain, proposal_id, [home(i) for i in (0, 1, 2)])
    activate(chain, proposal_id, [node(0), ed25519("other node"), node(1), node(4)])
    for who in range(5):
        report(chain, offence(who, who), home(4))
    rows = chain.one("Accountability", "offences", 0)
    assert [row[0] for row in rows] == [node(i).public for i in range(5)]
    assert [row[1] for row in rows] == [home(i).address for i in range(5)]


def test_a_key_that_a_new_beginning_left_out_stops_nobody():
    """It can still sign in the name of a set that is kept, and convict itself."""
    old = Chain(6, checked=False)
    keys = members_of(old).keys
    admit(old, "new", [node(i) for i in range(5)])
    chain = recover(old, staying(old, 4, 5))
    domain = SigningDomain(chain.head.hash, Membership(epoch=0, members=keys).hash())
    slot, sender = Slot(epoch=0, term=0, view=0, height=1), keys.index(node(5).public)
    votes = [
        SignedVote(
            kind=Kind.COMMIT,
            slot=slot,
            digest=digest,
            sender=sender,
            signature=node(5).sign(domain.payload(Kind.COMMIT, slot, digest)),
        )
        for digest in (A, B)
    ]
    report(chain, encode_evidence(DoubleVote(*votes)))
    (row,) = chain.one("Accountability", "offences", 0)
    assert tuple(row)[:2] == (node(5).public, bytes(20))


def test_an_offence_is_recorded_once_whatever_it_is_proven_by():
    chain = Chain()
    report(chain, double(chain))
    other = DoubleVote(signed(chain, Kind.COMMIT, A), signed(chain, Kind.COMMIT, b"c" * 32))
    for evidence in (double(chain), encode_evidence(other)):
        refused("ALREADY_RECORDED", chain, evidence, home(1))
    report(chain, double(chain, view=1))
    report(chain, double(chain, sender=2))


def test_forged_evidence_convicts_nobody():
    chain = Chain()
    one, two = signed(chain, Kind.COMMIT, A), signed(chain, Kind.COMMIT, B)
    for pair in (
        (replace(one, signature=bytes(64)), two),
        (one, replace(two, signature=bytes(64))),
    ):
        refused("BAD_SIGNATURE", chain, encode_evidence(DoubleVote(*pair)))
    assert chain.one("Accountability", "count") == 0


def test_evidence_of_a_set_that_never_was_is_refused():
    chain = Chain()
    refused("BAD_ARGUMENT", chain, double(chain, epoch=1))


def test_a_stranger_may_not_report_and_noise_is_refused():
    chain = Chain()
    refused("BAD_ARGUMENT", chain, b"noise")
    with pytest.raises(AssertionError, match="nothing was executable"):
        report(chain, double(chain), account("stranger"))


def test_what_lies_too_far_back_is_refused():
    chain = Chain()
    evidence = double(chain)
    chain.head = replace(chain.head, number=(EVIDENCE_TERMS + 2) * 16)
    refused("DEADLINE_PASSED", chain, evidence)


def test_one_member_fills_no_list():
    chain = Chain()
    for view in range(OFFENCES_PER_MEMBER_MAX):
        report(chain, double(chain, view=view))
    refused("TOO_MANY", chain, double(chain, view=99))
    report(chain, double(chain, sender=2))
    rows = chain.one("Accountability", "offences", 0)
    assert len(rows) == 64
    assert len(chain.one("Accountability", "offences", 64)) == 1


def _consensus_judges(data):
    try:
        return decode_evidence(data).votes[0].sender
    except DecodeError:
        return None


def _chain_judges(data):
    try:
        return read_evidence(data).votes[0].sender
    except Revert:
        return None


@pytest.mark.parametrize("proof", GUILTY, ids=lambda p: f"{p.TAG.name}-{p.votes[1].kind.name}")
def test_both_read_every_kind_alike(proof):
    data = encode_evidence(proof)
    read = read_evidence(data)
    assert read.offence == proof.TAG
    assert [vote.digest for vote in read.votes] == [vote.digest for vote in proof.votes]
    assert [vote.sender for vote in read.votes] == [vote.sender for vote in proof.votes]


@settings(max_examples=300)
@given(st.sampled_from(GUILTY), st.data())
def test_what_one_of_them_refuses_the_other_does_too(proof, data):
    raw = bytearray(encode_evidence(proof))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.integers(0, 255))
    assert _consensus_judges(bytes(raw)) == _chain_judges(bytes(raw))


@settings(max_examples=200)
@given(view_changes(), digests, st.integers(0, 3), st.integers(1, 5), st.sampled_from(Kind))
def test_they_judge_every_view_change_alike(asked, digest, back, height, kind):
    view = max(asked.slot.view - back, 0)
    vote = SignedVote(
        kind=kind,
        slot=replace(asked.slot, view=view, height=height),
        digest=digest,
        sender=asked.sender,
        signature=bytes(64),
    )
    data = encode([3, signed_vote_to_value(vote), to_value(asked)])
    assert _consensus_judges(data) == _chain_judges(data)


def test_the_signatures_are_judged_alike():
    chain = Chain()
    for proof in (decode_evidence(double(chain)), decode_evidence(hidden(chain))):
        key = verify_evidence(
            proof,
            genesis_hash=chain.machine.genesis_execution().header.hash,
            membership=members(),
            keyring=Ed25519Keyring(None),
        )
        assert key == NODES[1].public
        with pytest.raises(InvalidEvidence):
            verify_evidence(
                proof, genesis_hash=A, membership=members(), keyring=Ed25519Keyring(None)
            )
