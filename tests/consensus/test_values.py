"""A value that exists is a valid one."""

from dataclasses import replace

import pytest

from consensus.certificates import Head, Kind, PreparedCertificate, Seal
from consensus.config import MAX_BODY_BYTES, MAX_MEMBERS
from consensus.errors import MalformedMessage
from consensus.membership import View
from consensus.messages import Blocks, HeadReply, SealedBlock, Status, ViewChange
from tests.consensus.net import GENESIS, Signatory, digest_of, make_membership, slot

SIGN = Signatory(make_membership(4))
SIGNATURE = b"s" * 64
DIGEST = digest_of(b"A")
SEAL = Seal(view=View(0), signatures=((0, SIGNATURE), (1, SIGNATURE)))
HEAD = Head(height=1, digest=DIGEST, seal=SEAL)
BLOCK = SealedBlock(height=1, digest=DIGEST, body=b"A", seal=SEAL)
CHANGE = ViewChange(slot=slot(view=1), head=HEAD, prepared=None, sender=1, signature=SIGNATURE)
STATUS = Status(
    slot=slot(),
    head_digest=DIGEST,
    asked=View(0),
    proposal=None,
    prepares=0,
    commits=0,
    view_changes=(),
    is_learner=False,
)


def many(count):
    return tuple((i, SIGNATURE) for i in range(count))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: replace(SEAL, view=-1), "seal.view must be in"),
        (lambda: replace(SEAL, signatures=((1, SIGNATURE), (1, SIGNATURE))), "ascending"),
        (lambda: replace(SEAL, signatures=((0, b"short"),)), "64 bytes, got 5"),
        (lambda: replace(SEAL, signatures=many(MAX_MEMBERS + 1)), "at most 128, got 129"),
        (lambda: replace(SEAL, signatures=((-1, SIGNATURE),)), "sender must be in"),
        (lambda: replace(HEAD, digest=b""), "digest must be 32 bytes, got 0"),
        (lambda: replace(HEAD, height=2**62 + 1), "head.height must be in"),
        (lambda: replace(HEAD, height=0), "except for genesis"),
        (lambda: replace(BLOCK, height=0), "block.height must be in"),
        (lambda: replace(BLOCK, body=b"x" * (MAX_BODY_BYTES + 1)), "block.body must be at most"),
        (lambda: Blocks((BLOCK, BLOCK)), "consecutive heights"),
        (lambda: Blocks((BLOCK,) * 33), "got 33"),
        (lambda: replace(CHANGE, slot=slot(view=0)), "view must be at least 1, got 0"),
        (lambda: replace(CHANGE, slot=slot(view=1, height=2)), "must be the head's"),
        (lambda: replace(STATUS, prepares=1 << MAX_MEMBERS), "prepares must be a bitmap"),
        (lambda: replace(STATUS, commits=-1), "commits must be a bitmap"),
        (lambda: replace(STATUS, view_changes=(0,) * 129), "at most 128 entries"),
        (lambda: replace(STATUS, view_changes=(-1,)), "must hold views"),
        (lambda: replace(STATUS, proposal=b"x"), "digest must be 32 bytes, got 1"),
        (lambda: SIGN.pre_prepare(0, slot(), b"x" * (MAX_BODY_BYTES + 1)), "body must be at most"),
        (
            lambda: PreparedCertificate(
                pre_prepare=SIGN.core(1, Kind.PREPARE, slot(), DIGEST), prepares=()
            ),
            "must start with a PRE-PREPARE",
        ),
        (
            lambda: HeadReply(nonce=GENESIS, epoch=-1, head=HEAD, yours=()),
            "epoch must be in",
        ),
        (
            lambda: HeadReply(
                nonce=GENESIS,
                epoch=0,
                head=HEAD,
                yours=(SIGN.core(1, Kind.PREPARE, slot(), DIGEST),) * 2,
            ),
            "yours must be distinct and ascending",
        ),
    ],
)
def test_an_impossible_value_is_refused_with_the_name_of_its_field(make, text):
    with pytest.raises(MalformedMessage, match=text):
        make()
