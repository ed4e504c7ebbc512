"""What Membership keeps is bounded, and so is how often members begin epochs by themselves."""

from contextlib import suppress

import pytest

from market.abi import (
    OWN_CHANGES_PER_WINDOW_MAX,
    OWN_EPOCH_WINDOWS,
    OWN_EPOCHS_BURST,
    PROPOSALS_KEPT,
    PROPOSALS_OPEN_PER_MEMBER_MAX,
    ProposalStatus,
)
from market.contracts import membership_proposals, past_sets
from tests.market.contracts.chain import Chain, Reverted, account, ed25519, home
from tests.market.contracts.members import (
    accept,
    activate,
    admit,
    candidate,
    members,
    node,
    rotation,
)
from tests.market.contracts.recovered import carried, staying
from tests.market.contracts.test_community_key import deal, dispute
from vm import deadlines

M = "Membership"
FEW = 8
"""Stands for PROPOSALS_KEPT where a test would be slow."""


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(membership_proposals, "PROPOSALS_KEPT", FEW)


def refused(code, chain, key, function, *args):
    with pytest.raises(Reverted) as reverted:
        chain.send(key, M, function, *args)
    assert reverted.value.code == code


def ids(chain):
    return [row[0] for row in chain.one(M, "proposals")]


def status(chain, proposal_id):
    return chain.view(M, "proposal", proposal_id)[5]


def own_changes(chain, count, by=1):
    """`count` proposals of one member, each in place of the one before."""
    for i in range(count):
        if i % OWN_CHANGES_PER_WINDOW_MAX == 0:
            chain.advance((chain.now // 9_000 + 1) * 9_000)
        chain.send(home(by), M, "proposeReincarnation")


def kept(chain):
    """Keys of the contracts, and the bytes of all their values."""
    rows = [(key, value) for key, value in chain.state.items() if key[:1] == b"s"]
    return len(rows), sum(len(value) for _, value in rows)


def assert_no_larger(chain, before):
    keys, size = kept(chain)
    assert keys == before[0]
    assert size <= before[1] + 8, "numbers grow by a digit"


def test_whoever_proposes_without_end_the_state_stays_as_large_as_it_is():
    chain = Chain(checked=False)
    own_changes(chain, PROPOSALS_KEPT + 4)
    before = kept(chain)
    own_changes(chain, 60)
    assert_no_larger(chain, before)
    assert ids(chain) == list(range(65, 65 + PROPOSALS_KEPT))
    refused("UNKNOWN_PROPOSAL", chain, home(0), "vote", 64, True)


def play(chain, name):
    """Somebody comes and goes, somebody is refused, and of an eviction nobody decides."""
    admit(chain, name, [node(i) for i in range(3)])
    (leaving,) = chain.send(home(0), M, "proposeEviction", account(name).address)
    accept(chain, leaving, [home(0), home(1), home(2)])
    activate(chain, leaving, [node(i) for i in range(4)])
    (refusal,) = chain.send(home(1), M, "propose", *candidate(chain, "unwelcome"))
    for i in range(2):
        chain.send(home(i), M, "vote", refusal, False)
    (stale,) = chain.send(home(1), M, "proposeEviction", home(3).address)
    accept(chain, stale, [home(2)])
    chain.advance(chain.now + 4 * 9_000)
    assert status(chain, stale) == ProposalStatus.EXPIRED


def test_votes_and_what_is_proposed_are_gone_with_the_proposal(few, monkeypatch):
    """Votes on what was accepted, rejected and expired, and of eras that are over."""
    monkeypatch.setattr(past_sets, "EPOCHS_KEPT", 4)
    chain = Chain(checked=False, membership={"proposal_windows": 2, "activation_windows": 2})
    for _ in range(3):
        play(chain, "comes and goes")
    before = kept(chain)
    for _ in range(3):
        play(chain, "comes and goes")
    assert_no_larger(chain, before)


def test_what_is_open_is_kept_until_it_is_over(few):
    chain = Chain(5, checked=False)
    chain.send(home(0), M, "proposeEviction", home(4).address)
    chain.send(home(2), M, "proposeReincarnation")
    own_changes(chain, FEW + 4)
    assert ids(chain) == [1, 2, *range(7, 15)]
    assert [row[0] for row in chain.one(M, "waiting")] == [2, 14]
    refused("ALREADY_PROPOSED", chain, home(0), "proposeEviction", home(4).address)
    accept(chain, 1, [home(0), home(1)])
    refused("ALREADY_VOTED", chain, home(1), "vote", 1, False)
    accept(chain, 1, [home(2)])
    assert status(chain, 1) == ProposalStatus.ACCEPTED
    activate(chain, 1, [node(i) for i in range(4)])
    assert ids(chain) == [2, *range(7, 15)]
    refused("UNKNOWN_PROPOSAL", chain, home(1), "vote", 1, True)
    activate(chain, 2, [node(i) for i in range(3)])
    assert ids(chain) == list(range(7, 15))
    chain.advance(chain.start(500))  # The deadlines of the first find it gone.
    assert status(chain, 14) == ProposalStatus.EXPIRED


def test_a_change_of_its_own_that_is_too_late_goes_at_once(few):
    """No deadline ends it, since it has none."""
    chain = Chain(checked=False, membership={"activation_windows": 1})
    chain.send(home(2), M, "proposeReincarnation")
    chain.advance(chain.start(4))
    own_changes(chain, FEW)
    assert ids(chain) == list(range(2, 2 + FEW))
    assert [row[0] for row in chain.one(M, "waiting")] == [1 + FEW]


def test_a_community_that_lost_its_quorum_leaves_late_proposals_behind(few):
    chain = Chain(5, checked=False)
    chain.send(home(0), M, "proposeEviction", home(4).address)
    own_changes(chain, FEW + 1)
    assert ids(chain)[0] == 1
    found = carried(chain, staying(chain, 4))
    for key, value in found.changes:
        chain.state[key] = value
        if value is None:
            del chain.state[key]
    assert ids(chain) == list(range(3, 3 + FEW))
    assert {status(chain, each) for each in ids(chain)} == {ProposalStatus.EXPIRED}


def test_upgrades_whose_height_comes_do_not_fill_the_queue(few):
    """One could be proposed in each block, and each has a deadline a week away."""
    chain = Chain(checked=False, membership={"proposal_windows": 3})
    for _ in range(PROPOSALS_OPEN_PER_MEMBER_MAX):
        chain.send(home(0), M, "proposeUpgrade", 2, chain.head.number + 2)
    refused("TOO_MANY", chain, home(0), "proposeUpgrade", 2, chain.head.number + 2)
    waiting = int.from_bytes(chain.state[deadlines._COUNTERS][:8], "big")
    assert waiting <= PROPOSALS_OPEN_PER_MEMBER_MAX
    chain.advance(chain.start(5))
    for _ in range(3):
        for _ in range(PROPOSALS_OPEN_PER_MEMBER_MAX):
            chain.send(home(0), M, "proposeUpgrade", 2, chain.head.number + 2)
        chain.advance(chain.now + 5 * 9_000)
    assert len(ids(chain)) == FEW
    assert chain.machine.next_due(chain.state) is None
    refused("UNKNOWN_PROPOSAL", chain, home(0), "supportUpgrade", 1, 2)
    with pytest.raises(Reverted):
        chain.view(M, "upgrade", 1)


def test_who_was_barred_in_an_epoch_is_forgotten_with_it():
    """The bar is for one epoch; a member that is dealt with in each leaves nothing behind."""
    chain = Chain(checked=False)

    def bar(epoch):
        chain.send(home(0), M, "rekey", *deal(chain, spoil=3)[1])
        chain.send(home(3), M, "disputeBox", *dispute(chain, epoch, 3))
        assert chain.one(M, "isBarred", epoch, home(0).address)
        assert not chain.one(M, "isBarred", epoch, home(1).address)

    bar(0)
    rise(chain)
    before = kept(chain)
    bar(1)
    assert not chain.one(M, "isBarred", 0, home(0).address)
    assert_no_larger(chain, before)


# How often ----------------------------------------------------------------------------------------


def rise(chain, by=1):
    (proposal_id,) = chain.send(home(by), M, "proposeReincarnation")
    others = [node(i) for i in range(4) if i != by]
    activate(chain, proposal_id, [node(by), *others[:2]])


def test_a_member_begins_a_few_epochs_at_once_and_then_one_a_day():
    chain = Chain(checked=False)
    for _ in range(OWN_EPOCHS_BURST):
        rise(chain)
        chain.advance(chain.now + 9_000)
    refused("TOO_MANY", chain, home(1), "proposeReincarnation")
    args = rotation(chain, home(1), ed25519("fresh"))
    refused("TOO_MANY", chain, home(1), "proposeRotation", *args)
    rise(chain, by=2)  # The others' are their own.
    chain.advance(chain.start(OWN_EPOCH_WINDOWS - 1))
    refused("TOO_MANY", chain, home(1), "proposeReincarnation")
    chain.advance(chain.start(OWN_EPOCH_WINDOWS))
    rise(chain)
    refused("TOO_MANY", chain, home(1), "proposeReincarnation")


def test_over_a_long_time_it_is_one_a_day_however_they_are_placed():
    chain = Chain(checked=False)
    days, begun = 12, 0
    for window in range(1, days * OWN_EPOCH_WINDOWS, 5):
        chain.advance(chain.start(window))
        with suppress(Reverted):
            rise(chain)
            begun += 1
    assert OWN_EPOCHS_BURST + days - 2 <= begun <= OWN_EPOCHS_BURST + days
    chain.advance(chain.start(3 * days * OWN_EPOCH_WINDOWS))
    for _ in range(OWN_EPOCHS_BURST):  # Who was quiet has all of them again, and no more.
        rise(chain)
        chain.advance(chain.now + 9_000)
    refused("TOO_MANY", chain, home(1), "proposeReincarnation")


def test_a_change_that_did_not_come_to_be_is_made_anew_at_once():
    """A key that is lost before it serves, or a wrong endpoint, must not cost a day."""
    chain = Chain(checked=False)
    own_changes(chain, 5 * OWN_CHANGES_PER_WINDOW_MAX)
    chain.advance(chain.now + 9_000)
    for _ in range(OWN_EPOCHS_BURST):
        rise(chain)


def test_who_left_and_was_admitted_again_begins_with_all_of_them():
    chain = Chain(5, checked=False)
    for _ in range(OWN_EPOCHS_BURST):
        (proposal_id,) = chain.send(home(4), M, "proposeReincarnation")
        activate(chain, proposal_id, [node(i) for i in range(1, 5)])
        chain.advance(chain.now + 9_000)
    keys = len([key for key in chain.state if key.endswith(b"k" + home(4).address)])
    assert keys == 1
    (leaving,) = chain.send(home(0), M, "proposeEviction", home(4).address)
    accept(chain, leaving, [home(i) for i in range(3)])
    activate(chain, leaving, [node(i) for i in range(4)])
    assert not [key for key in chain.state if key.endswith(b"k" + home(4).address)]
    assert members(chain).epoch == OWN_EPOCHS_BURST + 1
