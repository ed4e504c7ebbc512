"""Ethereum's state root: against published roots, an independent library, and itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trie import HexaryTrie

from cli.state_trie import EMPTY_ROOT, account_leaf, storage_root, trie_root
from crypto import rlp
from crypto.hashing import keccak256

WORDS = st.integers(0, 2**256 - 1)


def independent_root(leaves):
    trie = HexaryTrie({})
    for key, value in leaves.items():
        trie[keccak256(key)] = value
    return trie.root_hash


def test_nothing_has_the_root_of_the_empty_string():
    assert trie_root({}) == storage_root({}) == storage_root({5: 0}) == EMPTY_ROOT
    assert EMPTY_ROOT.hex().startswith("56e81f171bcc55a6")  # Yellow Paper, KEC(RLP(())).


@given(st.dictionaries(st.binary(max_size=4), st.binary(min_size=1, max_size=70), max_size=60))
def test_every_trie_has_the_root_that_another_library_finds(leaves):
    assert trie_root(leaves) == independent_root(leaves)


@given(st.dictionaries(WORDS, WORDS, max_size=8))
def test_storage_is_a_trie_of_the_slots_that_hold_something(storage):
    leaves = {
        slot.to_bytes(32, "big"): rlp.encode(rlp.encode_int(value))
        for slot, value in storage.items()
        if value
    }
    assert storage_root(storage) == independent_root(leaves)


@given(st.dictionaries(WORDS, WORDS, min_size=1, max_size=8), st.data())
def test_every_word_and_field_counts(storage, data):
    fields = {"nonce": 1, "balance": 2, "storage": storage, "code": b"\0"}
    name = data.draw(st.sampled_from(sorted(fields)))
    if name == "storage":
        slot = data.draw(st.sampled_from(sorted(storage)))
        other = {"storage": {**storage, slot: storage[slot] ^ 1}}
    else:
        other = {name: fields[name] + (b"\1" if name == "code" else 1)}
    assert account_leaf(**fields) != account_leaf(**{**fields, **other})


@pytest.mark.parametrize(("kind", "count"), [("branch", 2), ("deep", 400)])
def test_many_leaves_are_found_whatever_their_order(kind, count):
    leaves = {i.to_bytes(2, "big"): bytes((1 + i % 255,)) * (1 + i % 40) for i in range(count)}
    turned = dict(reversed(leaves.items()))
    assert trie_root(leaves) == trie_root(turned) == independent_root(leaves), kind
