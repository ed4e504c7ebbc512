"""The idempotent signer (rules 23, 24)."""

import pytest

from consensus.certificates import Kind, SigningDomain
from consensus.errors import DoubleSign
from consensus.keyring import Ed25519Keyring
from consensus.membership import MemberIndex
from consensus.signer import Signer
from crypto.keys import NodeKey
from tests.consensus.net import GENESIS, HashKeyring, Signatory, digest_of, make_membership, slot

MEMBERS = make_membership(4)
DOMAIN = SigningDomain(GENESIS, MEMBERS.hash())
A, B = digest_of(b"A"), digest_of(b"B")


def make_signer():
    return Signer(HashKeyring(MEMBERS.members[1]), DOMAIN, MemberIndex(1))


@pytest.mark.parametrize("kind", list(Kind))
def test_the_same_bytes_get_the_stored_signature(kind):
    signer = make_signer()
    assert signer.sign(kind, slot(), A) == signer.sign(kind, slot(), A)
    assert len(signer) == 1


@pytest.mark.parametrize("kind", list(Kind))
def test_other_bytes_for_a_slot_are_refused_and_raised(kind):
    signer = make_signer()
    signer.sign(kind, slot(), A)
    with pytest.raises(DoubleSign, match=kind.name):
        signer.sign(kind, slot(), B)


@pytest.mark.parametrize("kind", [Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT])
def test_another_view_or_height_is_another_slot(kind):
    signer = make_signer()
    for place in (slot(), slot(view=1), slot(height=2), slot(term=1), slot(epoch=1)):
        signer.sign(kind, place, A)
    assert len(signer) == 5


@pytest.mark.parametrize("kind", [Kind.VIEW_CHANGE, Kind.NEW_VIEW])
def test_a_view_change_is_frozen_for_its_view_whatever_head_it_speaks_of(kind):
    signer = make_signer()
    signer.sign(kind, slot(view=1, height=3), A)
    with pytest.raises(DoubleSign):
        signer.sign(kind, slot(view=1, height=4), A)


def test_what_the_log_remembers_is_binding():
    signer = make_signer()
    vote = Signatory(MEMBERS).core(1, Kind.PREPARE, slot(), A)
    signer.remember(vote)
    assert signer.knows(vote)
    assert signer.sign(Kind.PREPARE, slot(), A) == vote.signature
    with pytest.raises(DoubleSign):
        signer.sign(Kind.PREPARE, slot(), B)
    with pytest.raises(DoubleSign):
        signer.remember(Signatory(MEMBERS).core(1, Kind.PREPARE, slot(), B))


def test_decided_heights_and_past_terms_are_forgotten_and_nothing_else():
    signer = make_signer()
    signer.sign(Kind.COMMIT, slot(height=1), A)
    signer.sign(Kind.COMMIT, slot(height=2), A)
    signer.sign(Kind.VIEW_CHANGE, slot(view=1, term=0), A)
    signer.sign(Kind.VIEW_CHANGE, slot(view=1, term=1), A)
    signer.forget_decided(height=1, term=1)
    assert len(signer) == 2
    with pytest.raises(DoubleSign):
        signer.sign(Kind.COMMIT, slot(height=2), B)
    with pytest.raises(DoubleSign):
        signer.sign(Kind.VIEW_CHANGE, slot(view=1, term=1), B)


def test_a_signature_stands_for_one_kind_slot_chain_and_member_set():
    payloads = {
        domain.payload(kind, place, digest)
        for domain in (DOMAIN, SigningDomain(A, MEMBERS.hash()), SigningDomain(GENESIS, A))
        for kind in Kind
        for place in (slot(), slot(view=1), slot(height=2), slot(term=1), slot(epoch=1))
        for digest in (A, B)
    }
    assert len(payloads) == 3 * 5 * 5 * 2


def test_the_ed25519_keyring_verifies_its_own_and_no_other():
    ring = Ed25519Keyring(NodeKey.from_seed(b"\1" * 32))
    signature = ring.sign(A)
    assert ring.verify(ring.public, A, signature)
    assert not ring.verify(ring.public, B, signature)
    assert not ring.verify(NodeKey.from_seed(b"\2" * 32).public, A, signature)
    assert not ring.verify(ring.public, A, signature[:-1])


def test_a_follower_has_no_key():
    ring = Ed25519Keyring(None)
    assert ring.public is None
    with pytest.raises(ValueError, match="follower"):
        ring.sign(A)
