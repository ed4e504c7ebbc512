"""Snapshots contain chain, clock, mempool, filters: whatever happens, going back is exact."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cli.node_rotation import rotation_arguments
from crypto.hashing import keccak256
from crypto.keys import NodeKey
from crypto.merkle import Proof, verify_proof
from node.directory import Directory
from node.errors import HistoryUnavailable
from testnet.dev.decrees import impersonate, set_code, set_nonce, set_storage
from testnet.dev.errors import DevRefusal
from testnet.dev.unsigned import send
from tests.testnet.dev.rig import RUNTIME, START_MS, Rig, observed
from vm.contract_state import storage_at
from vm.errors import InvalidTransaction
from vm.transaction import DEADLINE_TYPE

SECONDS = st.sampled_from([0, 1, 59, 3_600])


class GoesBackExactly(RuleBasedStateMachine):
    """Random use, with snapshots; the model is a copy of all that can be observed."""

    @initialize()
    def open(self):
        self.rig = Rig()
        self.filters = self.rig.filters
        self.blocks, self.pending = self.filters.add_blocks(), self.filters.add_pending()
        self.counter = self.rig.deploy()
        self.snapshots = []
        self.reading = self.rig.clock.reading_ms

    def see(self):
        return observed(self.rig.dev) | {"filters": self.filters.snapshot()}

    @rule(sender=st.integers(0, 3), gap=st.sampled_from([0, 0, 1]))
    def transact(self, sender, gap):
        key = self.rig.accounts[sender]
        nonce = self.rig.chain.pending_nonce(key.address) + gap
        with suppress(InvalidTransaction):  # The nonce behind the gap may be taken.
            self.rig.send(sender=sender, to=self.counter, nonce=nonce)

    @rule()
    def mine(self):
        height, expected = self.rig.chain.height, self.rig.clock.now_ms()
        before = self.rig.chain.head.time_ms
        record = self.rig.dev.mine()
        assert record.height == height + 1
        assert record.header.time_ms == max(expected, before + 1)

    @rule(seconds=SECONDS)
    def increase_time(self, seconds):
        before = self.rig.clock.reading_ms
        self.rig.dev.increase_time(seconds)
        assert self.rig.clock.reading_ms == before + seconds * 1_000

    @rule(ahead=st.integers(1, 100_000))
    def set_next_time(self, ahead):
        chosen = self.rig.chain.head.time_ms // 1_000 * 1_000 + ahead * 1_000
        self.rig.dev.set_next_time(chosen)
        assert self.rig.chain.now_ms() == chosen

    @rule(milliseconds=st.sampled_from([1, 999, 60_000]))
    def time_passes(self, milliseconds):
        before = self.rig.clock.reading_ms
        self.rig.wall[0] += milliseconds
        assert self.rig.clock.reading_ms == before + milliseconds

    @rule(is_automine=st.booleans())
    def set_automine(self, is_automine):
        self.rig.dev.is_automine = is_automine

    @rule(slot=st.integers(0, 2), value=st.integers(0, 2))
    def decree(self, slot, value):
        set_storage(self.rig.dev, self.counter, slot, value)

    @rule()
    def act_for_somebody(self):
        impersonate(self.rig.dev, b"\x11" * 20)

    @rule(name=st.sampled_from(["blocks", "pending"]))
    def poll(self, name):
        asyncio.run(self.filters.changes(getattr(self, name)))

    @rule()
    def snapshot(self):
        self.snapshots.append((self.rig.dev.snapshot(), self.see()))

    @precondition(lambda self: self.snapshots)
    @rule(data=st.data())
    def revert(self, data):
        place = data.draw(st.integers(0, len(self.snapshots) - 1))
        number, seen = self.snapshots[place]
        assert self.rig.dev.revert(number)
        assert self.see() == seen
        for used, _ in self.snapshots[place:]:
            assert not self.rig.dev.revert(used), "a snapshot is used up with all later ones"
        del self.snapshots[place:]

    @invariant()
    def the_head_commits_to_the_state(self):
        if hasattr(self, "rig"):
            chain = self.rig.chain
            assert chain.head.state_root == chain.tree.root
            assert chain.head.hash == chain.store.digest(chain.height)
            assert chain.record(chain.height).header == chain.head


TestGoesBackExactly = GoesBackExactly.TestCase
TestGoesBackExactly.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_the_same_steps_after_a_revert_make_the_same_blocks():
    """What a test does after evm_revert does not depend on what was done before it."""
    rig = Rig()
    contract = rig.deploy()

    def steps():
        rig.send(to=contract)
        rig.dev.increase_time(3_600)
        rig.dev.mine()
        rig.dev.set_next_time(rig.chain.head.time_ms // 1_000 * 1_000 + 5_000)
        rig.send(sender=1, to=contract)
        return rig.chain.head.hash, rig.count(contract), rig.clock.reading_ms

    number = rig.dev.snapshot()
    first = steps()
    rig.wall[0] += 86_400_000
    rig.dev.revert(number)
    assert steps() == first


def test_nothing_of_the_other_future_is_left():
    """What a revert puts back beside the state, each once and without dice."""
    rig = Rig()
    number = rig.dev.snapshot()
    rig.dev.is_automine = False
    impersonate(rig.dev, b"\x11" * 20)
    rig.dev.mine()
    assert rig.chain.record(3).header.number == 3, "read, so that it may be remembered"
    past = rig.chain.record(2)
    rig.dev.set_next_time(START_MS + 60_000)
    rig.dev.revert(number)
    assert rig.dev.is_automine
    assert rig.dev.impersonated == set()
    assert rig.clock.next_ms is None
    assert [rig.chain.record(height) for height in (2, 3)] == [None, None]
    rig.dev.mine()
    assert rig.chain.record(2).header == rig.chain.head != past.header
    assert rig.chain.state_at(1).get(b"m") == rig.chain.state().get(b"m")


def test_who_follows_the_members_goes_back_with_the_chain():
    """Found by review: names and links of the other future stayed until members changed again."""
    rig = Rig()
    directory = Directory(rig.chain, name="x", node_key=bytes(32))
    told = []
    directory.on_change(lambda: told.append(directory.community.changes))
    before = directory.community
    number = rig.dev.snapshot()
    account = rig.accounts[0].address
    arguments = rotation_arguments(
        rig.chain.chain_id, account, NodeKey.from_seed(b"n" * 32), "127.0.0.1:1"
    )
    digest = rig.call_native("Membership", "proposeRotation", *arguments)
    rig.dev.seal_pending()
    assert rig.receipt(digest).status == 1
    assert [change.account for change in directory.community.changes] == [account]
    rig.dev.revert(number)
    assert directory.community == before
    assert told[1:] == [()]


def test_what_waits_is_put_back_with_its_gaps():
    rig = Rig()
    rig.dev.is_automine = False
    account = rig.accounts[0].address
    waiting = [rig.send(to=b"\x01" * 20, nonce=nonce) for nonce in (0, 1, 3)]
    pending = rig.filters.add_pending()
    seen = rig.send(sender=1, to=b"\x01" * 20)
    number, pool = rig.dev.snapshot(), rig.chain.pool.snapshot()
    rig.send(to=b"\x01" * 20, nonce=2)
    assert len(asyncio.run(rig.filters.changes(pending))) == 2
    rig.dev.mine()
    assert len(rig.chain.pool) == 0
    rig.dev.revert(number)
    assert rig.chain.pool.snapshot() == pool
    assert rig.chain.pending_nonce(account) == 2
    assert asyncio.run(rig.filters.changes(pending)) == ["0x" + seen.hex()]
    rig.dev.mine()
    assert [rig.chain.transaction(digest) is None for digest in (*waiting, seen)] == [
        False, False, True, False,
    ]  # fmt: skip


def test_old_state_can_be_read_after_a_revert_over_many_blocks():
    """What the history has forgotten by then must be known again."""
    rig = Rig()
    contract = rig.deploy()
    number, height = rig.dev.snapshot(), rig.chain.height
    for _ in range(600):
        rig.dev.mine()
    with pytest.raises(HistoryUnavailable):
        rig.chain.state_at(height)
    rig.dev.revert(number)
    before = rig.chain.state()
    assert storage_at(before, contract, 0) == 0
    rig.send(to=contract)
    assert storage_at(rig.chain.state(), contract, 0) == 1
    assert storage_at(rig.chain.state_at(height), contract, 0) == 0


def test_a_block_is_sealed_by_a_quorum_whose_proof_anybody_verifies():
    rig = Rig()
    rig.dev.mine()
    chain = rig.chain
    key = b"m"
    value = chain.state().get(key)
    verify_proof(chain.head.state_root, key, value, Proof.from_bytes(chain.prove(key)))
    assert len(chain.seal(1).signatures) == chain.membership().quorum.certificate == 8


def test_time_moves_exactly_and_contracts_see_it():
    rig = Rig()
    contract = rig.deploy()
    start = rig.clock.reading_ms
    rig.dev.increase_time(3_600)
    assert rig.count(contract) == (0, start // 1_000 + 3_600)
    assert rig.dev.mine().header.time_ms == start + 3_600_000
    chosen = START_MS + 10_000_000
    rig.dev.set_next_time(chosen)
    rig.wall[0] += 5_000
    digest = rig.send(to=contract)
    assert rig.chain.header(rig.chain.transaction(digest)[0]).time_ms == chosen
    rig.wall[0] += 5_000
    assert rig.clock.reading_ms == chosen + 5_000, "the clock goes on from the chosen time"
    assert rig.count(contract) == (1, (chosen + 5_000) // 1_000)


def test_time_does_not_go_back():
    rig = Rig()
    for wrong in (0, rig.chain.head.time_ms):
        for choose in (rig.dev.set_next_time, rig.dev.set_time, rig.dev.mine):
            with pytest.raises(DevRefusal, match="above the newest block"):
                choose(wrong)
    with pytest.raises(DevRefusal, match="does not go back"):
        rig.dev.increase_time(-1)
    with pytest.raises(DevRefusal, match="2\\*\\*53"):
        rig.dev.increase_time(2**60)
    assert rig.chain.height == 1


def test_deadlines_run_when_time_is_moved_over_them():
    """The market settles a window in which somebody enrolled, without any transaction."""
    rig = Rig()
    genesis = rig.chain.genesis
    rig.clock.set(genesis.time_ms + genesis.window_ms * 40_000)
    window = genesis.window_at(rig.clock.reading_ms) + 1
    assert rig.receipt(rig.call_native("Market", "enrol", window)).status == 1
    due = rig.chain.next_work_ms()
    assert due is not None
    height = rig.chain.height
    seconds = -(-(due - rig.clock.reading_ms) // 1_000)
    rig.dev.increase_time(seconds - 1)
    assert rig.chain.height == height
    rig.dev.increase_time(1)
    assert rig.chain.height == height + 1
    assert rig.chain.record(height + 1).transactions[0][0] == DEADLINE_TYPE
    assert not rig.chain.has_work()


def test_a_decree_runs_what_is_due_first():
    rig = Rig()
    genesis = rig.chain.genesis
    rig.clock.set(genesis.time_ms + genesis.window_ms * 40_000)
    rig.call_native("Market", "enrol", genesis.window_at(rig.clock.reading_ms) + 1)
    rig.dev.is_automine = False
    rig.dev.increase_time(genesis.window_ms // 1_000 * 100)
    height = rig.chain.height
    set_storage(rig.dev, b"\x22" * 20, 0, 1)
    assert rig.chain.record(height + 1).transactions[0][0] == DEADLINE_TYPE
    assert rig.chain.record(rig.chain.height).transactions == ()


async def soon(what):
    return await asyncio.wait_for(what, 5)


def test_filters_follow_a_revert():
    """Old filters are as they were; one made since sees what comes after the head."""
    rig = Rig()
    filters, feed = rig.filters, rig.feed
    old = filters.add_blocks()
    rig.dev.mine()
    number = rig.dev.snapshot()
    rig.dev.mine()
    assert len(asyncio.run(filters.changes(old))) == 2
    new = filters.add_blocks()
    with feed.open(rig.chain.height + 1) as cursor:
        assert feed.record(3) is not None
        rig.dev.revert(number)
        assert feed.record(3) is None
        rig.dev.increase_time(7)
        height = rig.dev.mine().height
        assert height == 3
        assert asyncio.run(soon(cursor.next())).hash == rig.chain.head.hash
        assert feed.record(height).hash == rig.chain.head.hash, "nothing of the other future"
    digests = ["0x" + rig.chain.store.digest(h).hex() for h in (2, 3)]
    assert asyncio.run(filters.changes(old)) == digests
    assert asyncio.run(filters.changes(new)) == digests[1:]


def test_what_waits_is_sealed_when_automine_is_switched_on_again():
    rig = Rig()
    rig.dev.is_automine = False
    digest = rig.send(to=b"\x01" * 20)
    assert rig.chain.transaction(digest) is None
    assert rig.chain.why() == [
        "1 transactions wait for evm_mine: blocks are not sealed by themselves"
    ]
    rig.dev.is_automine = True
    rig.dev.tick()
    assert rig.chain.transaction(digest) is not None
    assert rig.chain.why() == []


def test_decrees_change_code_storage_and_nonce():
    rig = Rig()
    contract = b"\x33" * 20
    set_code(rig.dev, contract, RUNTIME)
    set_storage(rig.dev, contract, 0, 41)
    rig.send(to=contract)
    assert rig.count(contract)[0] == 42
    set_code(rig.dev, contract, b"")
    assert rig.chain.call(contract, b"", sender=bytes(20), gas=100_000).output == b""
    account = rig.accounts[5].address
    set_nonce(rig.dev, account, 9)
    assert rig.chain.pending_nonce(account) == 9
    for nonce in (8, 2**64 - 1):
        with pytest.raises(DevRefusal, match="nonce"):
            set_nonce(rig.dev, account, nonce)
    rig.dev.is_automine = False
    rig.send(sender=5, to=contract)
    with pytest.raises(DevRefusal, match="wait"):
        set_nonce(rig.dev, account, 100)
    with pytest.raises(DevRefusal, match="EIP-170"):
        set_code(rig.dev, contract, bytes(24_577))


def test_native_contracts_obey_nobody():
    rig = Rig()
    native = (0x0103).to_bytes(20, "big")
    for decree, args in (
        (set_code, (b"\x00",)), (set_storage, (0, 1)), (set_nonce, (1,)), (impersonate, ()),
    ):  # fmt: skip
        with pytest.raises(DevRefusal, match="native contract"):
            decree(rig.dev, native, *args)
    assert rig.chain.height == 1


def estimate(_args):
    return hex(200_000)


def test_an_impersonated_address_sends_without_a_key():
    rig = Rig()
    contract, stranger = rig.deploy(), keccak256(b"somebody")[12:]
    asked = {"from": "0x" + stranger.hex(), "to": "0x" + contract.hex()}
    with pytest.raises(DevRefusal, match="unknown account"):
        asyncio.run(send(rig.dev, asked, estimate))
    impersonate(rig.dev, stranger)
    digest = asyncio.run(send(rig.dev, asked, estimate))
    assert rig.receipt(digest).status == 1
    assert rig.dev.senders[digest] == stranger
    assert rig.count(contract)[0] == 1
    assert rig.chain.pending_nonce(stranger) == 1
    with pytest.raises(DevRefusal, match="EIP-3607"):
        impersonate(rig.dev, contract)
    rig.dev.impersonated.clear()
    with pytest.raises(DevRefusal, match="unknown account"):
        asyncio.run(send(rig.dev, asked, estimate))


def test_the_first_contract_of_account_0_is_where_tutorials_show_it():
    rig = Rig()
    assert rig.deploy().hex() == "5fbdb2315678afecb367f032d93f642f64180aa3"
