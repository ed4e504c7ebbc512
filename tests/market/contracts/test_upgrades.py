"""Upgrades by vote: who counts, how many are needed, and when the rules are in force."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.abi import ProposalKind, ProposalStatus
from node.natives import NATIVES
from tests.market.contracts.chain import Chain, account, ed25519, home
from tests.market.contracts.members import accept, activation, admit, build, candidate, node
from tests.market.contracts.test_governance import refused, status
from vm.errors import UnsupportedProtocol
from vm.machine import Machine
from vm.members import quorum
from vm.protocol import Schedule, Step, read_schedule

M = "Membership"


def street(n=4, protocols=(1, 2), **params):
    chain = Chain(n, **params)
    chain.machine = Machine(chain.machine.genesis, NATIVES, protocols=protocols)
    return chain


def propose(chain, version=2, ahead=20, by=0):
    height = chain.head.number + ahead
    (proposal_id,) = chain.send(home(by), M, "proposeUpgrade", version, height)
    return proposal_id, height


def support(chain, i, proposal_id, version=2):
    chain.send(home(i), M, "supportUpgrade", proposal_id, version)


def needed(chain):
    return chain.view(M, "protocol")[4]


def steps(chain):
    return read_schedule(chain.state).steps


def grow(chain, height):
    """Make blocks up to and with that height."""
    while chain.head.number < height:
        chain.send(home(0), "MoneyToken", "approve", home(1).address, chain.head.number)


def test_a_quorum_that_supports_it_schedules_the_next_version():
    chain = street()
    proposal_id, height = propose(chain)
    assert chain.view(M, "proposal", proposal_id)[1:3] == [ProposalKind.UPGRADE, bytes(20)]
    assert chain.view(M, "upgrade", proposal_id) == [2, height]
    for i in range(3):
        assert status(chain, proposal_id) == ProposalStatus.OPEN
        assert steps(chain) == (Step(1, 0),)
        support(chain, i, proposal_id)
    assert status(chain, proposal_id) == ProposalStatus.ACTIVE
    assert steps(chain) == (Step(1, 0), Step(2, height))
    assert chain.view(M, "protocol") == [1, 0, 2, height, 3]
    grow(chain, height - 1)
    assert chain.head.version == 1
    grow(chain, height)
    assert chain.head.version == 2
    assert chain.view(M, "protocol") == [2, height, 0, 0, 3]


def test_software_of_the_old_rules_stops_below_the_height_and_not_earlier():
    chain = street()
    proposal_id, height = propose(chain, ahead=6)
    for i in range(3):
        support(chain, i, proposal_id)
    chain.machine = Machine(chain.machine.genesis, NATIVES)
    grow(chain, height - 1)
    with pytest.raises(UnsupportedProtocol):
        grow(chain, height)
    assert chain.view(M, "protocol")[2:4] == [2, height], "it still answers"


@pytest.mark.parametrize("n", range(4, 14))
def test_as_many_votes_as_seal_a_block_are_needed_at_least(n):
    """More than half would do for an admission; from the height on q must know the rules."""
    chain = Chain(n, checked=False)
    assert needed(chain) == max(n // 2 + 1, quorum(n))
    strict = Chain(n, checked=False, membership={"votes_needed_percent": 99})
    assert needed(strict) == n


def test_seven_members_need_five():
    chain = street(7)
    assert chain.one(M, "threshold") == 4
    proposal_id, height = propose(chain)
    for i in range(4):
        support(chain, i, proposal_id)
    assert status(chain, proposal_id) == ProposalStatus.OPEN
    support(chain, 4, proposal_id)
    assert steps(chain)[-1] == Step(2, height)


def test_a_vote_counts_only_with_the_word_that_the_node_knows_the_rules():
    chain = street()
    proposal_id, _ = propose(chain)
    refused("NOT_SUPPORTED", chain, home(0), M, "vote", proposal_id, True)
    refused("NOT_SUPPORTED", chain, home(0), M, "supportUpgrade", proposal_id, 1)
    support(chain, 0, proposal_id, version=9)
    refused("ALREADY_VOTED", chain, home(0), M, "supportUpgrade", proposal_id, 2)
    refused("ALREADY_VOTED", chain, home(0), M, "vote", proposal_id, False)
    assert chain.view(M, "proposal", proposal_id)[3:5] == [1, 0]


def test_votes_against_reject_it_as_soon_as_it_cannot_pass():
    chain = street(7)
    proposal_id, _ = propose(chain)
    for i in range(2):
        chain.send(home(i), M, "vote", proposal_id, False)
    assert status(chain, proposal_id) == ProposalStatus.OPEN
    chain.send(home(2), M, "vote", proposal_id, False)
    assert status(chain, proposal_id) == ProposalStatus.REJECTED, "five cannot be had any more"
    refused("PROPOSAL_DECIDED", chain, home(3), M, "supportUpgrade", proposal_id, 2)
    propose(chain)


def test_only_members_own_accounts_take_part():
    chain = street()
    agent = chain.agent(home(0), "agent")
    refused("NOT_MEMBER", chain, agent, M, "proposeUpgrade", 2, 100)
    proposal_id, _ = propose(chain)
    refused("NOT_MEMBER", chain, agent, M, "supportUpgrade", proposal_id, 2)


@pytest.mark.parametrize(
    ("version", "ahead", "code"),
    [
        (1, 20, "BAD_ARGUMENT"),
        (3, 20, "BAD_ARGUMENT"),
        (0, 20, "BAD_ARGUMENT"),
        (2, 2**63, "BAD_ARGUMENT"),
        (2, 1, "DEADLINE_PASSED"),
        (2, 0, "DEADLINE_PASSED"),
    ],
)
def test_what_cannot_follow_is_not_proposed(version, ahead, code):
    """`ahead` of the head; the proposal itself stands in the next block."""
    chain = street()
    height = chain.head.number + ahead
    refused(code, chain, home(0), M, "proposeUpgrade", version, height)


def test_the_very_next_block_can_be_the_first():
    chain = street()
    proposal_id, height = propose(chain, ahead=5)
    for i in range(3):
        support(chain, i, proposal_id)
    assert chain.head.number == height - 1
    grow(chain, height)
    assert chain.head.version == 2


def test_one_at_a_time_and_one_after_the_other():
    chain = street(protocols=(1, 2, 3))
    proposal_id, height = propose(chain)
    refused("ALREADY_PROPOSED", chain, home(1), M, "proposeUpgrade", 2, height + 5)
    for i in range(3):
        support(chain, i, proposal_id)
    refused("ALREADY_SCHEDULED", chain, home(1), M, "proposeUpgrade", 3, height + 5)
    grow(chain, height)
    second, later = propose(chain, version=3)
    for i in range(3):
        support(chain, i, second, version=3)
    assert read_schedule(chain.state) == Schedule((Step(1, 0), Step(2, height), Step(3, later)))


def test_an_upgrade_whose_height_has_come_is_over_and_makes_room():
    chain = street()
    stale, height = propose(chain, ahead=4)
    support(chain, 0, stale)
    grow(chain, height - 1)
    refused("DEADLINE_PASSED", chain, home(1), M, "supportUpgrade", stale, 2)
    fresh, _ = propose(chain, by=1)
    assert status(chain, stale) == ProposalStatus.EXPIRED
    assert status(chain, fresh) == ProposalStatus.OPEN
    assert steps(chain) == (Step(1, 0),)
    for i in (2, 3):
        chain.send(home(0), M, "proposeEviction", home(i).address)
    chain.send(home(0), M, "propose", *candidate(chain, "a"))
    # Its place among the proposer's open ones is taken as long as its deadline stands.
    refused("TOO_MANY", chain, home(0), M, "propose", *candidate(chain, "b"))
    chain.advance(chain.start(200))
    for who in ("b", "c", "d", "e"):
        chain.send(home(0), M, "propose", *candidate(chain, who))
    refused("TOO_MANY", chain, home(0), M, "propose", *candidate(chain, "f"))


def test_it_expires_with_its_windows():
    chain = street(membership={"proposal_windows": 2})
    proposal_id, _ = propose(chain, ahead=10**6)
    chain.advance(chain.start(4))
    assert status(chain, proposal_id) == ProposalStatus.EXPIRED
    refused("PROPOSAL_DECIDED", chain, home(0), M, "supportUpgrade", proposal_id, 2)
    propose(chain, ahead=10**6)


def test_votes_are_void_when_somebody_comes():
    """Whoever has come has not said what its node knows, and the quorum is another one."""
    chain = street()
    proposal_id, height = propose(chain, ahead=100)
    for i in range(2):
        support(chain, i, proposal_id)
    admit(chain, "new", [node(i) for i in range(4)])
    assert chain.view(M, "proposal", proposal_id)[3:5] == [0, 0]
    assert needed(chain) == 4
    for i in range(3):
        support(chain, i, proposal_id)
    assert status(chain, proposal_id) == ProposalStatus.OPEN
    chain.send(account("new"), M, "supportUpgrade", proposal_id, 2)
    assert steps(chain)[-1] == Step(2, height)


def test_an_upgrade_is_not_activated_by_readies_and_changes_no_member():
    chain = street()
    proposal_id, _ = propose(chain)
    refused("BAD_ARGUMENT", chain, home(0), M, "supportUpgrade", _eviction(chain), 2)
    for i in range(3):
        support(chain, i, proposal_id)
    with pytest.raises(AssertionError, match="not valid here"):
        _activate_blindly(chain, proposal_id)
    assert chain.view(M, "epoch")[0] == 0
    assert chain.one(M, "waiting") == []


def _eviction(chain):
    (proposal_id,) = chain.send(home(0), M, "proposeEviction", home(3).address)
    return proposal_id


def _activate_blindly(chain, proposal_id):
    tx = activation(
        chain,
        proposal_id,
        [ed25519(f"node {i}") for i in range(3)],
        keys=tuple(sorted(ed25519(f"node {i}").public for i in range(4))),
    )
    assert build(chain, tx) is not None, "not valid here"


def test_unknown_proposals_are_named():
    chain = street()
    refused("UNKNOWN_PROPOSAL", chain, home(0), M, "supportUpgrade", 9, 2)
    proposal_id = _eviction(chain)
    accept(chain, proposal_id, [home(0)])
    refused("BAD_ARGUMENT", chain, home(1), M, "supportUpgrade", proposal_id, 2)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.sampled_from(["support", "old", "no", "yes"])),
        max_size=24,
    )
)
def test_whatever_is_voted_the_schedule_has_it_only_with_a_quorum_of_supporters(votes):
    """The invariant of the vote, against a count of our own."""
    chain = street(7, checked=False)
    proposal_id, height = propose(chain, ahead=1000)
    supporters, against = set(), set()
    for i, how in votes:
        calls = {
            "support": ("supportUpgrade", (proposal_id, 2)),
            "old": ("supportUpgrade", (proposal_id, 1)),
            "no": ("vote", (proposal_id, False)),
            "yes": ("vote", (proposal_id, True)),
        }
        function, args = calls[how]
        is_open = len(supporters) < 5 and len(against) < 3
        (receipt,) = chain.block([(home(i), M, function, args)])
        counts = is_open and how in ("support", "no") and i not in supporters | against
        assert receipt.status == int(counts)
        if counts:
            (supporters if how == "support" else against).add(i)
    expected = (Step(1, 0),) + ((Step(2, height),) if len(supporters) >= 5 else ())
    assert steps(chain) == expected
