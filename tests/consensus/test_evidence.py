"""Rule 36: evidence convicts before anybody, has one encoding, and never touches an innocent."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.certificates import (
    Head,
    Kind,
    PreparedCertificate,
    Seal,
    SignedVote,
    SigningDomain,
    Slot,
)
from consensus.errors import MalformedMessage
from consensus.evidence import (
    EVIDENCE_BYTES_MAX,
    DoubleVote,
    HiddenCertificate,
    InvalidEvidence,
    Offence,
    SplitVote,
    decode_evidence,
    encode_evidence,
    offence_key,
    offender,
    proof_from,
    verify_evidence,
)
from consensus.membership import Epoch, Membership
from consensus.messages import ViewChange
from consensus.sim.app import GENESIS_DIGEST
from consensus.sim.keys import cluster_keys
from consensus.wire import signed_core, view_change_digest
from crypto.codec import decode, encode
from crypto.errors import DecodeError
from tests.consensus.strategies import digests, signatures, signed_votes, view_changes

KEYS = cluster_keys(4)
SET = Membership(epoch=Epoch(0), members=KEYS.public)
DOMAIN = SigningDomain(GENESIS_DIGEST, SET.hash())
A, B = b"a" * 32, b"b" * 32
GENESIS = Head(height=0, digest=GENESIS_DIGEST, seal=None)


def vote(kind, digest, *, view=0, height=1, sender=2, term=0):
    slot = slot_of(view=view, height=height, term=term)
    return signed(
        SignedVote(kind=kind, slot=slot, digest=digest, sender=sender, signature=b"x" * 64)
    )


def slot_of(*, view=0, height=1, term=0):
    return Slot(epoch=0, term=term, view=view, height=height)


def signed(core):
    payload = DOMAIN.payload(core.kind, core.slot, core.digest)
    return replace(core, signature=KEYS.keyring(core.sender).sign(payload))


def certificate(digest, *, view=0, height=1):
    prepares = tuple(
        (i, vote(Kind.PREPARE, digest, view=view, height=height, sender=i).signature)
        for i in (1, 2)
    )
    return PreparedCertificate(
        pre_prepare=vote(Kind.PRE_PREPARE, digest, view=view, height=height, sender=0),
        prepares=prepares,
    )


def asks(view, *, head=GENESIS, prepared=None, sender=2):
    slot = slot_of(view=view, height=head.height)
    digest = view_change_digest(head, prepared)
    payload = DOMAIN.payload(Kind.VIEW_CHANGE, slot, digest)
    return ViewChange(
        slot=slot,
        head=head,
        prepared=prepared,
        sender=sender,
        signature=KEYS.keyring(sender).sign(payload),
    )


def judge(proof, membership=SET):
    return verify_evidence(
        proof, genesis_hash=GENESIS_DIGEST, membership=membership, keyring=KEYS.keyring(0)
    )


SEALED = Head(height=1, digest=A, seal=Seal(view=0, signatures=()))
GUILTY = [
    DoubleVote(vote(Kind.PRE_PREPARE, A), vote(Kind.PRE_PREPARE, B)),
    DoubleVote(vote(Kind.PREPARE, A), vote(Kind.PREPARE, B)),
    DoubleVote(vote(Kind.COMMIT, A), vote(Kind.COMMIT, B)),
    DoubleVote(vote(Kind.NEW_VIEW, A, height=0), vote(Kind.NEW_VIEW, B, height=0)),
    DoubleVote(signed_core(asks(1)), signed_core(asks(1, head=SEALED))),
    SplitVote(vote(Kind.PRE_PREPARE, A), vote(Kind.COMMIT, B)),
    SplitVote(vote(Kind.PREPARE, B), vote(Kind.COMMIT, A)),
    HiddenCertificate(vote(Kind.COMMIT, A), asks(1)),
    HiddenCertificate(vote(Kind.COMMIT, A, view=2), asks(5, prepared=certificate(A, view=1))),
    HiddenCertificate(vote(Kind.COMMIT, A), asks(1, prepared=certificate(B))),
    HiddenCertificate(vote(Kind.COMMIT, A, height=2), asks(1, prepared=certificate(A))),
]


@pytest.mark.parametrize("proof", GUILTY, ids=lambda p: f"{p.TAG.name}-{p.votes[1].kind.name}")
def test_every_offence_convicts_its_member_by_its_bytes_alone(proof):
    again = decode_evidence(encode_evidence(proof))
    assert again == proof
    assert judge(again) == SET.members[2]
    assert offender(proof) == 2


@pytest.mark.parametrize("proof", GUILTY, ids=lambda p: f"{p.TAG.name}-{p.votes[1].kind.name}")
def test_a_signature_that_is_not_the_members_convicts_nobody(proof):
    first, second = proof.votes
    forged = replace(first, signature=bytes(64))
    match proof:
        case DoubleVote():
            bad = DoubleVote(forged, second)
        case SplitVote():
            bad = SplitVote(forged, second)
        case HiddenCertificate():
            bad = HiddenCertificate(first, replace(proof.view_change, signature=bytes(64)))
    with pytest.raises(InvalidEvidence):
        judge(bad)


@pytest.mark.parametrize("proof", GUILTY, ids=lambda p: f"{p.TAG.name}-{p.votes[1].kind.name}")
def test_evidence_of_another_epoch_or_chain_convicts_nobody(proof):
    later = Membership(epoch=Epoch(1), members=KEYS.public)
    with pytest.raises(InvalidEvidence, match="epoch"):
        judge(proof, later)
    with pytest.raises(InvalidEvidence):
        verify_evidence(proof, genesis_hash=B, membership=SET, keyring=KEYS.keyring(0))


@pytest.mark.parametrize(
    ("first", "second", "asked"),
    [
        (vote(Kind.PREPARE, A), vote(Kind.PREPARE, A), None),
        (vote(Kind.PREPARE, A), vote(Kind.PREPARE, B, view=1), None),
        (vote(Kind.PREPARE, A), vote(Kind.PREPARE, B, height=2), None),
        (vote(Kind.PREPARE, A), vote(Kind.PREPARE, B, sender=3), None),
        (vote(Kind.PREPARE, A), vote(Kind.COMMIT, A), None),
        (vote(Kind.COMMIT, A), vote(Kind.PREPARE, B, view=1), None),
        (vote(Kind.PRE_PREPARE, A), vote(Kind.PREPARE, B), None),
        (vote(Kind.COMMIT, A), signed_core(asks(1)), None),
        (vote(Kind.COMMIT, A, view=1), signed_core(asks(1)), asks(1)),
        (vote(Kind.COMMIT, A, term=1, height=17), signed_core(asks(1)), asks(1)),
        *(
            (vote(Kind.COMMIT, A), signed_core(shown), shown)
            for shown in (
                asks(1, prepared=certificate(A)),
                asks(3, prepared=certificate(A, view=1)),
                asks(3, prepared=certificate(B, view=1)),
                asks(1, head=SEALED),
                asks(1, sender=3),
            )
        ),
    ],
)
def test_what_a_correct_member_may_sign_is_no_evidence(first, second, asked):
    """Among them: committing to another block in a later view that was bound to it."""
    assert proof_from(first, second, asked) is None
    assert proof_from(second, first, asked) is None


@pytest.mark.parametrize("proof", GUILTY, ids=lambda p: f"{p.TAG.name}-{p.votes[1].kind.name}")
def test_the_order_in_which_messages_came_does_not_matter(proof):
    asked = proof.view_change if isinstance(proof, HiddenCertificate) else None
    first, second = proof.votes
    assert proof_from(first, second, asked) == proof_from(second, first, asked) == proof


def test_offences_are_told_apart_by_member_and_slot_and_not_by_digest():
    one = DoubleVote(vote(Kind.COMMIT, A), vote(Kind.COMMIT, B))
    other = DoubleVote(vote(Kind.COMMIT, A), vote(Kind.COMMIT, b"c" * 32))
    assert offence_key(one) == offence_key(other)
    later = DoubleVote(vote(Kind.COMMIT, A, view=1), vote(Kind.COMMIT, B, view=1))
    assert offence_key(one) != offence_key(later)


def test_the_largest_evidence_fits():
    everybody = tuple((i, bytes(64)) for i in range(128))
    top = 2**62
    seal = Seal(view=top, signatures=everybody)
    head = Head(height=top - 2, digest=A, seal=seal)
    pre_prepare = SignedVote(
        kind=Kind.PRE_PREPARE,
        slot=slot_of(view=top - 1, height=top, term=top),
        digest=B,
        sender=127,
        signature=bytes(64),
    )
    asked = ViewChange(
        slot=slot_of(view=top, height=top - 2, term=top),
        head=head,
        prepared=PreparedCertificate(pre_prepare=pre_prepare, prepares=everybody),
        sender=127,
        signature=bytes(64),
    )
    commit = SignedVote(
        kind=Kind.COMMIT,
        slot=slot_of(view=3, height=top - 1, term=top),
        digest=A,
        sender=127,
        signature=bytes(64),
    )
    data = encode_evidence(HiddenCertificate(commit, asked))
    assert len(data) <= EVIDENCE_BYTES_MAX


@given(st.binary(max_size=300))
def test_strangers_bytes_are_refused_with_a_typed_error(data):
    try:
        proof = decode_evidence(data)
    except DecodeError:
        return
    assert encode_evidence(proof) == data


@st.composite
def proofs(draw):
    offence = draw(st.sampled_from(Offence))
    try:
        one = draw(signed_votes)
        if offence is Offence.HIDDEN_CERTIFICATE:
            asked = draw(view_changes())
            slot = replace(asked.slot, view=draw(st.integers(0, asked.slot.view - 1)), height=1)
            commit = replace(one, kind=Kind.COMMIT, slot=slot, sender=asked.sender)
            return HiddenCertificate(commit, asked)
        other = replace(one, digest=draw(digests), signature=draw(signatures))
        if offence is Offence.SPLIT_VOTE:
            return SplitVote(replace(one, kind=Kind.PREPARE), replace(other, kind=Kind.COMMIT))
        return DoubleVote(one, other)
    except MalformedMessage:
        return None


@given(proofs())
def test_what_is_evidence_is_encoded_in_one_way(proof):
    if proof is not None:
        data = encode_evidence(proof)
        assert decode_evidence(data) == proof
        assert encode(decode(data, field="e", max_bytes=EVIDENCE_BYTES_MAX)) == data


@pytest.mark.parametrize("offence", Offence)
def test_bytes_whose_messages_agree_are_refused(offence):
    value = decode(encode_evidence(GUILTY[2]), field="e", max_bytes=EVIDENCE_BYTES_MAX)
    value[0], value[2] = int(offence), value[1]
    with pytest.raises(DecodeError, match="evidence"):
        decode_evidence(encode(value))
