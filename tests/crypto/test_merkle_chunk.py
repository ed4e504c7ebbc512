"""Chunks of the state tree: each stands by itself, and together they are the tree."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DecodeError, InvalidProof
from crypto.merkle import EMPTY, Level, Proof, SparseMerkleTree, key_hash
from crypto.merkle_chunk import CHUNKS, ChunkTop, join_chunks, prove_chunk, verify_chunk

STATES = st.dictionaries(st.binary(min_size=1, max_size=4), st.binary(min_size=1, max_size=3))


def filled(state):
    nodes = {}
    tree = SparseMerkleTree(nodes)
    nodes |= {path: node for path, node in tree.update(state.items()).nodes.items() if node}
    return tree, nodes


def entries_of(state, chunk):
    return [(k, state[k]) for k in sorted(state, key=key_hash) if key_hash(k)[0] == chunk]


def crowded(keys):
    """A state with several keys in the chunk of the first one."""
    state = {b"key %d" % i: b"value %d" % i for i in range(keys)}
    return state, key_hash(b"key 0")[0]


@given(STATES)
def test_all_chunks_together_are_the_tree(state):
    tree, nodes = filled(state)
    chunks = [
        verify_chunk(tree.root, c, entries_of(state, c), prove_chunk(tree, c))
        for c in range(CHUNKS)
    ]
    root, joined = join_chunks([chunk.top for chunk in chunks])
    for chunk in chunks:
        joined |= chunk.nodes
        assert ChunkTop.from_bytes(chunk.top.to_bytes()) == chunk.top
    assert root == tree.root
    assert joined == nodes


@given(st.integers(0, 3000), st.data())
def test_nothing_can_be_left_out_added_or_changed(keys, data):
    state, _ = crowded(keys)
    tree, _ = filled(state)
    chunk = data.draw(st.integers(0, 255))
    proof, entries = prove_chunk(tree, chunk), entries_of(state, chunk)
    verify_chunk(tree.root, chunk, entries, proof)
    stranger = next(k for k in (b"no %d" % i for i in range(10_000)) if key_hash(k)[0] == chunk)
    more = sorted([*entries, (stranger, b"x")], key=lambda entry: key_hash(entry[0]))
    wrong = [more]
    for at, (key, value) in enumerate(entries[:3]):
        wrong.append([*entries[:at], *entries[at + 1 :]])
        wrong.append([*entries[:at], (key, value + b"!"), *entries[at + 1 :]])
        wrong.append([*entries[: at + 1], *entries[at:]])
    if len(entries) > 1:
        wrong.append(entries[::-1])
    for each in wrong:
        with pytest.raises(InvalidProof):
            verify_chunk(tree.root, chunk, each, proof)
    with pytest.raises(InvalidProof):
        verify_chunk(b"\1" * 32, chunk, entries, proof)


@pytest.mark.parametrize("keys", [1, 2, 40, 2000])
def test_no_proof_hides_a_chunk(keys):
    """An empty chunk cannot be claimed where there are keys, however the proof is bent."""
    state, chunk = crowded(keys)
    tree, _ = filled(state)
    proof = prove_chunk(tree, chunk)
    other = next(c for c in range(256) if c != chunk)
    bent = [
        proof,
        replace(proof, leaf=None),
        replace(proof, levels=proof.levels[:1]),
        replace(proof, levels=()),
        prove_chunk(tree, other),
        Proof((), None),
        Proof((Level(0, ()),) * 3, None),
    ]
    for each in bent:
        with pytest.raises(InvalidProof):
            verify_chunk(tree.root, chunk, [], each)


def test_a_subtree_of_several_keys_does_not_end_higher():
    """Two keys' subtree hash, claimed as if nothing else were in the tree."""
    state, chunk = crowded(2000)
    entries = entries_of(state, chunk)
    assert len(entries) > 1
    top = verify_chunk(
        filled(state)[0].root, chunk, entries, prove_chunk(filled(state)[0], chunk)
    ).top
    with pytest.raises(InvalidProof, match="ends above"):
        verify_chunk(top.root, chunk, entries, Proof((), None))


def test_keys_of_another_chunk_and_empty_values():
    state, chunk = crowded(2000)
    tree, _ = filled(state)
    entries = entries_of(state, chunk)
    with pytest.raises(InvalidProof, match="another chunk"):
        verify_chunk(tree.root, (chunk + 1) % 256, entries, prove_chunk(tree, chunk))
    with pytest.raises(InvalidProof, match="without a value"):
        verify_chunk(tree.root, chunk, [(entries[0][0], b"")], prove_chunk(tree, chunk))


def test_an_empty_tree():
    tree, _ = filled({})
    tops = [verify_chunk(EMPTY, c, [], prove_chunk(tree, c)).top for c in range(CHUNKS)]
    assert join_chunks(tops) == (EMPTY, {})


@pytest.mark.parametrize("size", [0, 8, 39, 41, 103, 105])
def test_the_top_of_a_chunk_has_two_lengths(size):
    with pytest.raises(DecodeError, match="chunk_top"):
        ChunkTop.from_bytes(bytes(size))
