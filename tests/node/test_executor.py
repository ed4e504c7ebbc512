"""Blocks are executed once each, written whole, and never written if they differ."""

import pytest

from consensus.certificates import Seal
from consensus.membership import Height, MemberIndex, View
from consensus.messages import SealedBlock
from crypto.hashing import Digest
from crypto.merkle import Proof, verify_proof
from node.chain import Chain
from node.errors import CorruptStore
from node.executor import NO_BLOCK, Divergence, digest_of
from node.storage.block_store import ChainStore
from tests.node.cluster import account_key, make_genesis, make_tx
from vm.block import Block, decode_block, encode_block
from vm.errors import InvalidBlock, InvalidTransaction, TxReason
from vm.machine import Machine
from vm.transaction import decode

GENESIS = make_genesis()
NOW = GENESIS.time_ms + 1_000
SEAL = Seal(view=View(0), signatures=tuple((MemberIndex(i), bytes(64)) for i in range(3)))


class CountingMachine:
    """The real rules; counts how often a block is executed."""

    def __init__(self) -> None:
        self._machine = Machine(GENESIS, ())
        self.executed = 0

    def __getattr__(self, name):
        return getattr(self._machine, name)

    def build_block(self, *args, **options):
        self.executed += 1
        return self._machine.build_block(*args, **options)

    def execute_block(self, *args):
        self.executed += 1
        return self._machine.execute_block(*args)


class Clock:
    def __init__(self) -> None:
        self.ms = NOW

    def __call__(self) -> int:
        return self.ms


def open_chain(path):
    return Chain(CountingMachine(), ChainStore(path, GENESIS.hash), now_ms=Clock())


@pytest.fixture
def chain(tmp_path):
    chain = open_chain(tmp_path / "chain")
    yield chain
    chain.store.close()


def sealed(executed) -> SealedBlock:
    return SealedBlock(
        height=Height(executed.block.header.number),
        digest=executed.digest,
        body=executed.body,
        seal=SEAL,
    )


def commit(chain, *senders):
    """Submit the next transaction of each sender and make a block of what waits."""
    for sender in senders:
        nonce = chain.pending_nonce(account_key(sender).address)
        chain.submit(make_tx(GENESIS, sender, nonce))
    executed = chain.build()
    chain.now_ms.ms += 10
    return chain.apply(sealed(executed))


def test_the_primary_and_the_backup_execute_a_block_once(tmp_path):
    primary, backup = open_chain(tmp_path / "a"), open_chain(tmp_path / "b")
    primary.submit(make_tx(GENESIS, 0, 0))
    executed = primary.build()
    again = backup.executor.validate(executed.body, fresh_at_ms=NOW)
    assert again.digest == executed.digest == digest_of(executed.body)
    for chain in (primary, backup):
        record = chain.apply(sealed(executed))
        assert record is not None
        assert chain.machine.executed == 1
        assert (chain.height, chain.head.hash) == (1, executed.digest)
        chain.store.close()


def test_a_block_from_catch_up_is_executed_when_it_is_applied(tmp_path, chain):
    record = commit(chain, 0, 1)
    other = open_chain(tmp_path / "other")
    assert other.apply(chain.store.sealed_block(1)).hash == record.hash
    assert other.machine.executed == 1
    assert other.tree.root == chain.tree.root == chain.head.state_root
    other.store.close()


def test_applying_again_changes_nothing(chain):
    commit(chain, 0)
    block = chain.store.sealed_block(1)
    assert chain.apply(block) is None
    assert chain.height == 1


def test_another_decided_block_at_a_height_stops_the_node(chain):
    commit(chain, 0)
    block = chain.store.sealed_block(1)
    with pytest.raises(Divergence, match="decided twice"):
        chain.apply(
            SealedBlock(height=block.height, digest=Digest(bytes(32)), body=block.body, seal=SEAL)
        )


def test_a_sealed_block_that_does_not_execute_here_stops_the_node(chain):
    chain.submit(make_tx(GENESIS, 0, 0))
    good = chain.build()
    header = good.block.header
    forged = encode_block(Block(header, (make_tx(GENESIS, 1, 0),)))
    before = chain.tree.root
    for body in (forged, b"", good.body + b"\0"):
        block = SealedBlock(height=Height(1), digest=Digest(b"x" * 32), body=body, seal=SEAL)
        with pytest.raises(Divergence):
            chain.apply(block)
    other_name = SealedBlock(height=Height(1), digest=Digest(b"x" * 32), body=good.body, seal=SEAL)
    with pytest.raises(Divergence, match="has the hash"):
        chain.apply(other_name)
    assert (chain.height, chain.tree.root) == (0, before)


def test_only_fresh_proposals_are_held_against_the_clock(chain):
    chain.now_ms.ms = NOW + 60_000
    chain.submit(make_tx(GENESIS, 0, 0))
    body = chain.build().body
    with pytest.raises(InvalidBlock, match="time_ms"):
        chain.executor.validate(body, fresh_at_ms=NOW)
    assert chain.executor.validate(body, fresh_at_ms=None).body == body


def test_what_is_no_block_has_no_digest(chain):
    assert digest_of(b"") == NO_BLOCK
    assert digest_of(b"\x90") == NO_BLOCK


def test_the_chain_goes_on_after_a_restart(tmp_path):
    chain = open_chain(tmp_path / "chain")
    first = commit(chain, 0, 1, 2)
    chain.store.close()
    again = open_chain(tmp_path / "chain")
    assert again.head.hash == first.hash
    assert again.record(1) == first
    second = commit(again, 0)
    assert second.header.parent_hash == first.hash
    assert again.sealed_head().seal == SEAL
    again.store.close()


def test_a_state_that_does_not_belong_to_the_head_is_found_at_the_start(tmp_path):
    chain = open_chain(tmp_path / "chain")
    commit(chain, 0)
    root = chain.store.node(b"")
    chain.store._db.put(b"n", root[:-1] + bytes([root[-1] ^ 1]), sync=True)
    chain.store.close()
    with pytest.raises(CorruptStore, match="does not belong to head block 1"):
        open_chain(tmp_path / "chain")


def test_readers_see_blocks_transactions_receipts_and_proofs(chain):
    digest = chain.submit(make_tx(GENESIS, 0, 0))
    assert chain.pending_transaction(digest) is not None
    assert chain.transaction(digest) is None
    seen = []
    chain.on_block(seen.append)
    record = chain.apply(sealed(chain.build()))
    assert seen == [record]
    assert chain.pending_transaction(digest) is None
    height, index, raw = chain.transaction(digest)
    assert (height, index) == (1, 0)
    assert raw == record.transactions[0] == chain.block(record.hash).transactions[0]
    assert chain.receipts(1) == record.receipts
    assert chain.header(1) == chain.header(record.hash) == record.header
    assert chain.header(2) is chain.block(bytes(32)) is chain.receipts(9) is None
    assert decode_block(chain.store.body(1)).transactions == record.transactions
    key = b"a" + account_key(0).address
    value = chain.state().get(key)
    verify_proof(chain.head.state_root, key, value, Proof.from_bytes(chain.prove(key)))


def test_nonces_move_with_what_waits_and_with_the_head(chain):
    address = account_key(0).address
    assert chain.pending_nonce(address) == 0
    chain.submit(make_tx(GENESIS, 0, 0))
    assert chain.pending_nonce(address) == 1
    assert chain.account(address).nonce == 0
    chain.apply(sealed(chain.build()))
    assert chain.pending_nonce(address) == chain.account(address).nonce == 1


def test_work_is_what_can_run_now_or_after_the_window(chain):
    assert not chain.has_work()
    assert chain.next_work_ms() is None
    chain.submit(make_tx(GENESIS, 0, 1))  # A gap: nothing can run.
    assert not chain.has_work()
    assert chain.next_work_ms() == GENESIS.time_ms + GENESIS.window_ms
    chain.submit(make_tx(GENESIS, 0, 0))
    assert chain.has_work()


def test_admission_refuses_what_no_block_may_hold(chain):
    other = make_genesis(name="other")
    for raw, reason in (
        (make_tx(other, 0, 0), TxReason.WRONG_CHAIN),
        (make_tx(GENESIS, 0, 0, gas=20_999), TxReason.INTRINSIC_GAS),
        (make_tx(GENESIS, 100, 0), TxReason.UNREGISTERED),
        (b"\x02", TxReason.MALFORMED),
    ):
        with pytest.raises(InvalidTransaction) as caught:
            chain.submit(raw)
        assert caught.value.reason is reason
    raw = make_tx(GENESIS, 0, 0)
    chain.submit(raw)
    with pytest.raises(InvalidTransaction, match="already known"):
        chain.submit(raw)


def test_a_candidate_that_can_never_run_leaves_the_pool(chain):
    """The nonce was used by another transaction that this node did not know."""
    chain.submit(make_tx(GENESIS, 0, 0))
    chain.submit(make_tx(GENESIS, 0, 1))
    stranger = open_chain(chain.store.path.parent / "stranger")
    stranger.submit(make_tx(GENESIS, 0, 0, data=b"another"))
    executed = stranger.build()
    chain.apply(sealed(executed))
    assert [tx.nonce for tx in chain.pool.transactions()] == [1]
    stranger.store.close()


def test_what_the_rules_refuse_at_its_place_leaves_the_pool_and_a_gap_waits(chain):
    """Admission refuses such transactions; should one get in all the same, it must not stay."""
    other = make_genesis(name="other")
    chain.pool.add(decode(make_tx(other, 0, 0)), NOW)
    chain.pool.add(decode(make_tx(GENESIS, 0, 1)), NOW)
    assert chain.build() is None
    assert [tx.nonce for tx in chain.pool.transactions()] == [1]
    assert not chain.has_work()
