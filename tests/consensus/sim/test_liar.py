"""What a liar may say by its kind: floods have an end, answers fit their questions."""

import random
from collections import Counter

import pytest

from consensus.certificates import Head, Kind, SigningDomain, Slot
from consensus.events import Receive, Send
from consensus.membership import Epoch, Height, MemberIndex, Membership
from consensus.messages import Blocks, GetBlocks, GetHead, HeadReply, Prepare, ViewChange
from consensus.sim.app import GENESIS_DIGEST
from consensus.sim.keys import cluster_keys
from consensus.sim.liar import FLOOD_BURST, FLOOD_MESSAGES, Liar
from crypto.hashing import Digest

ASKER = MemberIndex(1)
NONCE = Digest(b"n" * 32)
KEYS = cluster_keys(4)
MEMBERSHIP = Membership(epoch=Epoch(0), members=KEYS.public)
DOMAIN = SigningDomain(GENESIS_DIGEST, MEMBERSHIP.hash())


def liar(seed: int, fired: Counter[str], *, is_flooder: bool) -> Liar:
    return Liar(
        random.Random(seed),
        me=MemberIndex(3),
        keyring=KEYS.keyring(3),
        domain=DOMAIN,
        membership=MEMBERSHIP,
        head=Head(height=Height(0), digest=GENESIS_DIGEST, seal=None),
        fired=fired,
        is_flooder=is_flooder,
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_flood_goes_to_one_victim_signed_and_ends(seed):
    fired: Counter[str] = Counter()
    speaker = liar(seed, fired, is_flooder=True)
    steps = [speaker.step(Receive(ASKER, GetHead(NONCE)), 0) for _ in range(2_000)]
    flood = [effect for effects in steps if len(effects) == FLOOD_BURST for effect in effects]
    assert all(isinstance(e, Send) for e in flood)
    assert fired["flood"] == FLOOD_MESSAGES == len(flood)
    votes = [e.message for e in flood if isinstance(e.message, Prepare)]
    assert len({vote.slot for vote in votes}) == len(votes)
    assert len({e.to for e in flood}) == 1
    assert all(isinstance(e.message, Prepare | ViewChange) for e in flood)
    for vote in votes[:20]:
        payload = DOMAIN.payload(Kind.PREPARE, vote.slot, vote.digest)
        assert KEYS.keyring(0).verify(KEYS.public[3], payload, vote.signature)


def test_no_flood_by_another_liar():
    fired: Counter[str] = Counter()
    speaker = liar(0, fired, is_flooder=False)
    for _ in range(500):
        speaker.step(Receive(ASKER, GetHead(NONCE)), 0)
    assert fired["flood"] == 0


def test_false_answers_fit_the_question_and_prove_nothing():
    fired: Counter[str] = Counter()
    speaker = liar(0, fired, is_flooder=False)
    for request in (GetHead(NONCE), GetBlocks(Height(7))):
        before = fired["false_answer"]
        while fired["false_answer"] == before:
            effects = speaker.step(Receive(ASKER, request), 0)
        (effect,) = effects
        assert isinstance(effect, Send)
        assert effect.to == ASKER
        answer = effect.message
        if isinstance(answer, HeadReply):
            assert answer.nonce == NONCE
            head = answer.head
        else:
            assert isinstance(answer, Blocks)
            assert answer.blocks[0].height == 7
            head = answer.blocks[0].head
        seal = head.seal
        assert seal is not None
        slot = Slot(
            epoch=MEMBERSHIP.epoch,
            term=MEMBERSHIP.term(head.height),
            view=seal.view,
            height=head.height,
        )
        payload = DOMAIN.payload(Kind.COMMIT, slot, head.digest)
        assert len(seal.signatures) == MEMBERSHIP.quorum.certificate
        assert not any(
            KEYS.keyring(0).verify(KEYS.public[member], payload, signature)
            for member, signature in seal.signatures
        )
