"""A chain follows another on its state: what is carried over, what is void, and who is a member."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crypto.community_box import deal, deal_context, key_hash
from crypto.hashing import Digest
from crypto.merkle import SparseMerkleTree
from market.abi import MEMBERSHIP, ProposalStatus
from tests.market.contracts.chain import EUR, Chain, Reverted, account, ed25519, home
from tests.market.contracts.members import accept, admit, candidate, members, node
from tests.market.contracts.recovered import carried, record, recover, staying, successor
from tests.market.contracts.test_market import Neighbourhood
from vm.accounts import account_key
from vm.context import storage_key
from vm.errors import InvalidTransaction, Revert, TxReason
from vm.first_block import carry_over, founders
from vm.genesis import Genesis
from vm.machine import Machine
from vm.members import MEMBERS_KEY
from vm.protocol import PROTOCOL_KEY, Step, first_schedule, read_schedule, write_schedule
from vm.state import Journal

TABLES = storage_key(MEMBERSHIP, b"")


def moved(n=6):
    """A chain with some history: money, an open and an accepted proposal."""
    chain = Chain(n)
    chain.pay_in(home(0), 100 * EUR)
    chain.send(home(0), "MoneyToken", "transfer", home(n - 1).address, 30 * EUR)
    return chain


def changed_keys(chain, new):
    return {key for key in {*chain.state, *new.state} if chain.state.get(key) != new.state.get(key)}


def test_nothing_changes_but_who_the_members_are():
    chain = moved()
    new = recover(chain, [*staying(chain, 3, 4, 5), record("late")])
    assert (new.head.number, new.head.time_ms) == (0, chain.head.time_ms)
    newcomer = account_key(account("late").address)
    for key in changed_keys(chain, new):
        assert key in (MEMBERS_KEY, newcomer) or key.startswith(TABLES), key
    assert [row[0] for row in new.one("Membership", "members")] == [
        *(home(i).address for i in range(3)),
        account("late").address,
    ]
    new.check()


def test_the_set_of_block_1_goes_on_counting_epochs_and_terms():
    chain = moved()
    old = members(chain)
    new = recover(chain, staying(chain, 4, 5))
    found = members(new)
    assert (found.epoch, found.first_height) == (old.epoch + 1, 1)
    assert found.first_term == old.term(chain.head.number + 1) + 1
    assert found.keys == tuple(sorted(ed25519(f"node {i}").public for i in range(4)))
    assert founders(new.machine.genesis) == found
    assert new.head.next_members_hash == found.hash()


def test_the_checkpoint_may_be_the_block_that_changed_the_members():
    chain = moved()
    admit(chain, "new", [node(i) for i in range(5)])
    assert members(chain).first_height == chain.head.number + 1
    new = recover(chain, staying(chain, 4, 5))
    assert members(new).epoch == 2
    new.send(home(0), "MoneyToken", "approve", home(1).address, 1)


def test_the_genesis_file_alone_gives_block_0():
    new = recover(moved(), staying(moved(), 4, 5))
    read = Genesis.from_json(new.machine.genesis.to_json())
    assert read == new.machine.genesis
    assert Machine(read, tuple(new.machine.contracts.values())).first_header == new.head


def test_who_stays_spends_what_it_had_and_who_left_keeps_what_it_has():
    chain = moved()
    new = recover(chain, staying(chain, 4, 5))
    new.send(home(0), "MoneyToken", "transfer", home(1).address, 70 * EUR)
    assert (new.money(home(1)), new.money(home(5))) == (70 * EUR, 30 * EUR)
    new.send(home(5), "MoneyToken", "transfer", home(1).address, 30 * EUR)
    with pytest.raises(Reverted, match="NOT_MEMBER"):
        new.send(home(5), "Membership", "proposeEviction", home(1).address)


def test_a_transaction_of_the_old_chain_is_void():
    chain = moved()
    tx = chain.transaction(home(0), "MoneyToken", "transfer", home(1).address, 1)
    new = recover(chain, staying(chain, 4, 5))
    with pytest.raises(InvalidTransaction) as refused:
        new.machine.check_transaction(tx, new.state, new.now)
    assert refused.value.reason is TxReason.WRONG_CHAIN


def test_open_and_accepted_proposals_are_void_and_made_anew():
    chain = moved()
    chain.send(home(0), "Membership", "propose", *candidate(chain))
    accept(chain, 1, [home(i) for i in range(4)])
    chain.send(home(1), "Membership", "proposeEviction", home(2).address)
    chain.send(home(3), "Membership", "vote", 2, True)
    chain.send(home(2), "Membership", "proposeReincarnation")
    new = recover(chain, staying(chain, 4, 5))
    rows = new.one("Membership", "proposals")
    assert [row[5] for row in rows] == [ProposalStatus.EXPIRED] * 3
    assert new.one("Membership", "waiting") == []
    for _ in range(4):  # The bound on open ones is free again.
        who = f"fresh {_}"
        new.send(home(0), "Membership", "propose", *candidate(new, who))
    new.advance(new.start(400))  # Deadlines of the void ones find nothing to do.


def test_members_come_and_go_by_vote_again():
    chain = moved()
    new = recover(chain, [*staying(chain, 3, 4, 5), record("late")])
    admit(new, "again", [node(0), node(1), node(2)])
    assert len(members(new).keys) == 5


def test_a_key_that_somebody_who_left_knows_serves_no_more():
    chain = moved()
    context, key = deal_context(chain.machine.genesis.hash, 0), b"\5" * 32
    boxes = deal(context, home(0).address, key, members(chain).keys)
    chain.send(home(0), "Membership", "rekey", 0, key_hash(context, key), boxes)
    assert chain.view("Membership", "communityKey")[0]
    new = recover(chain, staying(chain, 4, 5))
    is_dealt, is_due, *_ = new.view("Membership", "communityKey")
    assert (is_dealt, is_due) == (False, True)


@pytest.mark.parametrize("field", ["node_key", "wallet", "endpoint", "name", "ring_key"])
def test_who_stays_is_as_the_state_knows_it(field):
    chain = moved()
    given = staying(chain, 4, 5)
    other = getattr(record("late"), field)
    with pytest.raises(Revert) as refused:
        carried(chain, [replace(given[0], **{field: other}), *given[1:]])
    assert refused.value.code == "BAD_ARGUMENT"


def test_three_members_are_no_community():
    chain = moved()
    with pytest.raises(Revert) as refused:
        carried(chain, staying(chain, 3, 4, 5))
    assert refused.value.code == "TOO_FEW_MEMBERS"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ring_proof": b"\1" * 64}, "BAD_SIGNATURE"),
        ({"node_key": ed25519("node 5").public}, "NODE_KEY_TAKEN"),
        ({"name": "home 1"}, "NAME_TAKEN"),
        ({"account": account("operator").address}, "ALREADY_REGISTERED"),
    ],
)
def test_a_newcomer_is_checked_as_a_candidate_is(changes, code):
    chain = moved()
    newcomer = replace(record("late"), **changes)
    with pytest.raises(Revert) as refused:
        carried(chain, [*staying(chain, 4, 5), newcomer])
    assert refused.value.code == code


def test_rules_that_were_to_come_are_voted_for_anew():
    chain = moved()
    journal = Journal(chain.state)
    later = Step(2, chain.head.number + 2)
    write_schedule(journal, first_schedule(1).then(later))
    chain.state |= dict(journal.changes())
    new = recover_state(chain, staying(chain, 4, 5))
    assert read_schedule(new) == first_schedule(1)


def recover_state(chain, given):
    tree = SparseMerkleTree(chain.nodes)
    found = carry_over(chain.machine.host, chain.head, chain.state, tree, given)
    state = {**chain.state, **dict(found.changes)}
    assert found.protocol_version == 1
    assert state[PROTOCOL_KEY]
    return {key: value for key, value in state.items() if value is not None}


def test_a_recovered_chain_can_be_recovered():
    chain = moved()
    once = recover(chain, [*staying(chain, 3, 4, 5), record("late"), record("later")])
    once.send(home(0), "MoneyToken", "transfer", home(1).address, EUR)
    given = [m for m in once.machine.genesis.members if m.name != "late"]
    twice = recover(once, given)
    since = twice.machine.genesis.recovered
    assert since.genesis_hash == once.machine.genesis.hash
    assert since.number == chain.head.number + once.head.number
    assert twice.one("Membership", "threshold") == 3
    twice.send(account("later"), "MoneyToken", "approve", home(1).address, 1)


def test_the_new_genesis_is_another_chain():
    chain = moved()
    given = staying(chain, 4, 5)
    found = carried(chain, given)
    one = successor(chain, given, found)
    other = successor(chain, given, found, Digest(bytes(32)))
    assert len({one.hash, other.hash, chain.machine.genesis.hash}) == 3
    assert len({one.chain_id, other.chain_id, chain.machine.genesis.chain_id}) == 3


class Interrupted(Neighbourhood):
    """Its community loses its quorum at some moment, and goes on as another."""

    def __init__(self, rng, n, gone, at):
        super().__init__(rng, n, 1000 * EUR)
        self.gone, self.at = gone, at

    def services(self):
        super().services()
        self.at -= 1
        if self.at == 0:
            self.pass_over()

    def pass_over(self):
        before = self.balances()
        newcomers = [record(f"late {i}") for i in range(self.rng.randint(0, 2))]
        self.chain = recover(self.chain, [*staying(self.chain, *self.gone), *newcomers])
        self.chain.check()
        assert self.balances() == before
        # As after a long outage: all that fell due meanwhile comes with the first blocks.
        self.chain.now += self.rng.choice([0, 1, 5_000, 40_000])

    def balances(self):
        return [(self.chain.money(home(i)), self.chain.energy(home(i))) for i in self.homes]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False), st.integers(1, 9))
def test_a_neighbourhood_trades_on_over_a_recovery(rng, at):
    """Money and energy are conserved in every block, and nothing is stuck at the end."""
    play(rng, at)


def play(rng, at):
    gone = rng.sample(range(6), 2)
    neighbourhood = Interrupted(rng, 6, gone, at)
    neighbourhood.play()
    neighbourhood.check_end()
    assert neighbourhood.at < 0, "the recovery happened"
    assert neighbourhood.chain.machine.genesis.recovered is not None
    return neighbourhood


def test_the_neighbourhoods_are_not_idle():
    did = [play(Random(seed), 3 + seed).did for seed in range(3)]
    for name in ("agreements", "closed", "late"):
        assert sum(each[name] for each in did), name
