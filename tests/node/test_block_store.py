"""The chain on disk: whole blocks or nothing, and damage is told, not executed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.certificates import Seal
from consensus.membership import MemberIndex, View
from crypto.errors import DecodeError
from crypto.hashing import Digest, tagged_hash
from crypto.merkle import key_hash
from node.errors import CorruptStore, StorageError, StoreLocked
from node.storage.block_store import ChainStore
from node.storage.block_write import BlockWrite
from node.storage.rows import decode_seal, encode_seal, read_state_row, state_row
from vm.versions import STORAGE_VERSION

GENESIS = tagged_hash(b"test/genesis")
SEAL = Seal(view=View(2), signatures=tuple((MemberIndex(i), bytes([i]) * 64) for i in range(3)))


def digest_of(height: int) -> Digest:
    return tagged_hash(b"test/block", height.to_bytes(8, "big"))


def block(height: int, **changes) -> BlockWrite:
    values = {
        "height": height,
        "digest": digest_of(height),
        "body": b"body %d" % height,
        "seal": SEAL if height else None,
        "receipts": b"receipts %d" % height,
        "transaction_hashes": (tagged_hash(b"tx", b"%d" % height),),
        "bloom": bytes(255) + bytes([height % 256]) if height % 2 else None,
        "changes": ((b"balance", b"%d" % height), (b"old%d" % (height - 1), None)),
        "nodes": {b"": b"root %d" % height},
    }
    return BlockWrite(**(values | changes))


def filled(path: Path, blocks: int) -> ChainStore:
    store = ChainStore(path, GENESIS)
    for height in range(blocks):
        store.write(block(height))
    return store


def test_everything_of_a_block_is_there_after_a_restart(tmp_path):
    filled(tmp_path / "chain", 4).close()
    store = ChainStore(tmp_path / "chain", GENESIS)
    assert store.head == (3, digest_of(3))
    assert store.get(b"balance") == b"3"
    assert store.node(b"") == b"root 3"
    assert store.body(2) == b"body 2"
    assert store.receipts(2) == b"receipts 2"
    assert store.seal(2) == SEAL
    assert store.seal(0) is None
    assert store.height_of(digest_of(2)) == 2
    assert store.digest(1) == digest_of(1)
    assert store.transaction(tagged_hash(b"tx", b"1")) == (1, 0)
    assert store.transaction(bytes(32)) is None
    assert list(store.blooms(0, 9)) == [(h, bytes(255) + bytes([h])) for h in (1, 3)]
    store.close()


def test_none_deletes_a_value_and_a_node(tmp_path):
    store = filled(tmp_path / "chain", 1)
    store.write(block(1, changes=((b"balance", None),), nodes={b"": None}))
    assert store.get(b"balance") is None
    assert store.node(b"") is None
    store.close()


def test_only_the_block_after_the_head_is_written(tmp_path):
    store = filled(tmp_path / "chain", 2)
    for height in (0, 1, 3):
        with pytest.raises(StorageError, match="expected 2"):
            store.write(block(height))
    assert store.head == (1, digest_of(1))
    store.close()


def test_served_blocks_stop_at_the_limit_the_bytes_and_the_head(tmp_path):
    store = filled(tmp_path / "chain", 6)
    assert [b.height for b in store.sealed_blocks(0, 3, 1 << 20)] == [1, 2, 3]
    assert [b.height for b in store.sealed_blocks(4, 9, 1 << 20)] == [4, 5]
    assert [b.height for b in store.sealed_blocks(2, 9, 1)] == [2]
    assert store.sealed_blocks(6, 9, 1 << 20) == ()
    assert store.sealed_blocks(5, 1, 1 << 20)[0].digest == digest_of(5)
    store.close()


def test_a_second_process_is_refused(tmp_path):
    store = filled(tmp_path / "chain", 1)
    with pytest.raises(StoreLocked, match="another node"):
        ChainStore(tmp_path / "chain", GENESIS)
    store.close()


def test_another_chain_and_another_version_are_refused(tmp_path, monkeypatch):
    filled(tmp_path / "chain", 1).close()
    with pytest.raises(StorageError, match="belongs to the chain with genesis"):
        ChainStore(tmp_path / "chain", tagged_hash(b"other"))
    monkeypatch.setattr("node.storage.block_store.STORAGE_VERSION", STORAGE_VERSION + 1)
    with pytest.raises(
        StorageError,
        match=rf"storage version {STORAGE_VERSION}, this program reads {STORAGE_VERSION + 1}"
        ".*fetches the chain",
    ):
        ChainStore(tmp_path / "chain", GENESIS)


def newest_log(path: Path) -> Path:
    return max(path.glob("*.log"))


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_torn_last_batch_leaves_the_block_before(tmp_path, cut):
    filled(tmp_path / "chain", 5).close()
    log = newest_log(tmp_path / "chain")
    log.write_bytes(log.read_bytes()[:-cut])
    store = ChainStore(tmp_path / "chain", GENESIS)
    assert store.head == (3, digest_of(3))
    assert store.get(b"balance") == b"3"
    assert store.body(4) is None
    store.close()


def test_damage_below_the_head_is_found(tmp_path):
    """LevelDB drops a damaged record and goes on; the gap that it leaves must not pass."""
    filled(tmp_path / "chain", 200).close()
    log = newest_log(tmp_path / "chain")
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 0xFF
    log.write_bytes(data)
    with pytest.raises(CorruptStore, match="fetches the chain from its peers"):
        ChainStore(tmp_path / "chain", GENESIS)


@given(
    view=st.integers(0, 2**62),
    members=st.sets(st.integers(0, 127), max_size=20),
    filler=st.binary(min_size=64, max_size=64),
)
def test_a_seal_reads_back(view, members, filler):
    seal = Seal(
        view=View(view), signatures=tuple((MemberIndex(m), filler) for m in sorted(members))
    )
    assert decode_seal(encode_seal(seal)) == seal


@given(
    st.binary(max_size=200) | st.integers(0, 500).map(lambda at: _flipped(encode_seal(SEAL), at))
)
def test_what_decodes_as_a_seal_has_no_other_encoding(data):
    try:
        seal = decode_seal(data)
    except (DecodeError, ValueError):
        return
    assert encode_seal(seal) == data


def _flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# Member sets, and the state in the order of the tree ---------------------------------------------


def test_member_sets_are_kept_from_their_first_height_on(tmp_path):
    store = ChainStore(tmp_path / "chain", GENESIS)
    assert store.hand_overs() == ()
    store.write(block(0, hand_over=b"founders"))
    store.write(block(1))
    store.write(block(2, hand_over=b"one more"))
    assert store.hand_overs() == ((1, b"founders"), (3, b"one more"))


def test_the_values_of_a_subtree_lie_side_by_side(tmp_path):
    keys = [b"key %d" % i for i in range(50)]
    store = ChainStore(tmp_path / "chain", GENESIS)
    store.write(block(0, changes=tuple((key, b"of " + key) for key in keys)))
    rows = [state_row(key, store.get(key)) for key in sorted(keys, key=key_hash)]
    assert [row for row, _ in rows] == sorted(row for row, _ in rows)
    assert [read_state_row(value)[0] for _, value in rows] == sorted(keys, key=key_hash)
    assert read_state_row(state_row(b"k", b"v")[1]) == (b"k", b"v")
