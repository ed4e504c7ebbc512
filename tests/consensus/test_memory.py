"""A flooding member cannot make a replica grow (rules 33 to 36)."""

import random

import pytest

from consensus.certificates import Head
from consensus.events import Suspect
from consensus.membership import View
from consensus.messages import Blocks, BodyReply, GetHead, HeadReply, SealedBlock, Status
from consensus.state import VERIFIED_MAX
from tests.consensus.net import CONFIG, GENESIS, digest_of, slot
from tests.consensus.test_normal_case import backup, receive
from tests.consensus.test_recovery import sealed
from tests.consensus.test_view_change import certificate, new_view, view_change

FLOODER = 3


def flood(net, rng):
    """One of everything that a member may sign or say, at random places."""
    at = slot(
        view=rng.randrange(50),
        height=rng.randrange(1, 5),
        term=rng.randrange(2),
        epoch=rng.randrange(2),
    )
    body = b"%d" % rng.randrange(10**9)
    sign = net.signatory
    block = sealed(net, rng.randrange(1, 9), body, members=(1, 2, FLOODER))
    view = rng.randrange(1, 10**6)
    return rng.choice(
        [
            lambda: sign.pre_prepare(FLOODER, at, body),
            lambda: sign.prepare(FLOODER, at, digest_of(body)),
            lambda: sign.commit(FLOODER, at, digest_of(body)),
            lambda: view_change(net, FLOODER, view=view, prepared=certificate(net, body=body)),
            lambda: new_view(net, [view_change(net, FLOODER)], view=3),
            lambda: Blocks((block,)),
            lambda: BodyReply(digest_of(body), body),
            lambda: GetHead(digest_of(body)),
            lambda: HeadReply(nonce=GENESIS, epoch=0, head=block.head, yours=()),
            lambda: Status(
                slot=at,
                head_digest=digest_of(body),
                asked=View(at.view),
                proposal=None,
                prepares=0,
                commits=0,
                view_changes=(),
                is_learner=False,
            ),
        ]
    )()


@pytest.mark.parametrize("seed", range(3))
def test_tables_stay_bounded_under_a_flood(seed):
    net, replica = backup(index=2)
    rng = random.Random(seed)
    for _ in range(3000):
        receive(net, replica, FLOODER, flood(net, rng))
        net.now += 1
    sizes = replica.table_sizes
    assert sizes["pre_prepares"] <= 2
    assert sizes["prepares"] == sizes["commits"] == sizes["view_changes"] == net.n
    assert sizes["stash"] <= 3
    assert sizes["buffered"] <= 1
    assert sizes["verified"] <= VERIFIED_MAX
    assert sizes["verdicts"] <= 2
    assert sizes["accused"] <= 5
    assert sizes["heads"] <= net.n
    assert replica.halted is None
    assert replica.asked == 0, "one member alone changes no view"


def test_heads_that_were_verified_are_remembered_up_to_a_bound():
    net, replica = backup(index=2)
    for view in range(1, VERIFIED_MAX + 50):
        change = view_change(net, FLOODER, view=view, prepared=certificate(net, body=b"%d" % view))
        net.now += CONFIG.retransmit_ms
        effects = receive(net, replica, FLOODER, change)
        assert not [e for e in effects if isinstance(e, Suspect)]
    assert replica.table_sizes["verified"] == VERIFIED_MAX


def test_a_stranger_index_in_a_certificate_is_refused():
    net, replica = backup(index=2)
    whole = sealed(net, 1, b"A")
    from dataclasses import replace

    strange = replace(whole.seal, signatures=(*whole.seal.signatures[:2], (9, b"s" * 64)))
    head = Head(height=1, digest=whole.digest, seal=strange)
    effects = receive(net, replica, FLOODER, view_change(net, FLOODER, head=head))
    assert effects[0].detail.endswith("its head is not proven")
    assert isinstance(whole, SealedBlock)


class CountingKeyring:
    """Passes on to another keyring and counts the signatures that are checked."""

    def __init__(self, keyring) -> None:
        self._keyring = keyring
        self.public = keyring.public
        self.checked = 0

    def sign(self, payload):
        return self._keyring.sign(payload)

    def verify(self, public, payload, signature):
        self.checked += 1
        return self._keyring.verify(public, payload, signature)


FLOODS = {
    "view changes": lambda net, i: view_change(
        net, FLOODER, view=i, prepared=certificate(net, body=b"%d" % i)
    ),
    "new views": lambda net, i: new_view(net, [view_change(net, FLOODER)], view=3 + 4 * i),
    "prepares": lambda net, i: net.signatory.prepare(FLOODER, slot(view=i), digest_of(b"x")),
    "commits": lambda net, i: net.signatory.commit(FLOODER, slot(view=i), digest_of(b"x")),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_signed_messages_costs_few_checks(kind):
    """Each is new and validly signed, so nothing but a quota bounds the work (rules 34, 35)."""
    net, replica = backup(index=2)
    keyring = replica._s.keyring = CountingKeyring(replica._s.keyring)
    for i in range(1, 1001):
        net.now += 1
        receive(net, replica, FLOODER, FLOODS[kind](net, i))
    passed = 2 * net.n + 1000 // CONFIG.retransmit_ms + 1
    quorum = net.membership.quorum.certificate
    assert 0 < keyring.checked <= passed * (2 * quorum + 1)
    before = keyring.checked
    receive(net, replica, 1, view_change(net, 1))
    assert keyring.checked > before, "who floods uses up its own quota only"


def test_a_correct_member_that_changes_views_fast_is_heard():
    """One change of view for each member in turn, within one moment."""
    net, replica = backup(n=7, index=2)
    for view in range(1, net.n + 1):
        receive(net, replica, FLOODER, view_change(net, FLOODER, view=view))
    assert replica._s.view_changes[FLOODER].slot.view == net.n


def test_after_a_flood_a_member_is_heard_again():
    net, replica = backup(index=2)
    for view in range(1, 100):
        receive(net, replica, FLOODER, view_change(net, FLOODER, view=view))
    assert replica._s.view_changes[FLOODER].slot.view < 99
    net.now += CONFIG.retransmit_ms
    receive(net, replica, FLOODER, view_change(net, FLOODER, view=99))
    assert replica._s.view_changes[FLOODER].slot.view == 99
