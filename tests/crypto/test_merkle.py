import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from crypto import merkle
from crypto.errors import DecodeError, InvalidProof
from crypto.merkle import EMPTY, Level, Proof, SparseMerkleTree, verify_proof


def tagged(tag, *parts):
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hashlib.blake2b(bytes([len(tag)]) + tag + framed, digest_size=32).digest()


def reference_root(contents):
    """The tree's definition, one subtree at a time, with nothing shared with the code."""
    leaves = []
    for key, value in contents.items():
        digest = tagged(b"hearth/state/key", key)
        leaf = tagged(b"hearth/state/leaf", digest, tagged(b"hearth/state/value", value))
        leaves.append((digest.hex(), leaf))

    def subtree(group, depth):
        if not group:
            return bytes(32)
        if len(group) == 1:
            return group[0][1]
        children = [
            subtree([leaf for leaf in group if leaf[0][depth] == digit], depth + 1)
            for digit in "0123456789abcdef"
        ]
        return tagged(b"hearth/state/node", b"".join(children))

    return subtree(leaves, 0)


def close_keys():
    """Keys whose hashes share their first four nibbles, by pairs or more, and some that do not."""
    families = {}
    for number in range(12_000):
        key = b"k%d" % number
        families.setdefault(tagged(b"hearth/state/key", key)[:2], []).append(key)
    pairs = sorted((f for f in families.values() if len(f) > 1), key=len, reverse=True)
    return [key for family in pairs[:4] for key in family[:3]] + [b"a", b"b", b"c", b"d"]


KEYS = close_keys()
CHANGES = st.lists(
    st.tuples(st.sampled_from(KEYS), st.none() | st.sampled_from([b"", b"1", b"2"])), max_size=12
)


def written(store, update):
    for path, node in update.nodes.items():
        if node is None:
            store.pop(path, None)
        else:
            store[path] = node
    return store


def tree_of(contents):
    store = {}
    written(store, SparseMerkleTree(store).update(contents.items()))
    return SparseMerkleTree(store)


class TreeMatchesDict(RuleBasedStateMachine):
    """Root, and even the stored nodes, depend on the contents alone."""

    def __init__(self):
        super().__init__()
        self.store = {}
        self.model = {}

    @rule(changes=CHANGES)
    def update(self, changes):
        before = dict(self.store)
        update = SparseMerkleTree(self.store).update(changes)
        assert self.store == before, "update must not write"
        written(self.store, update)
        assert SparseMerkleTree(self.store).root == update.root
        for key, value in changes:
            self.model.pop(key, None)
            if value is not None:
                self.model[key] = value

    @invariant()
    def root_is_the_definition_s(self):
        assert SparseMerkleTree(self.store).root == reference_root(self.model)

    @invariant()
    def nodes_are_those_of_a_tree_built_at_once(self):
        fresh = SparseMerkleTree({}).update(self.model.items())
        assert self.store == fresh.nodes

    @rule(key=st.sampled_from(KEYS))
    def prove(self, key):
        tree = SparseMerkleTree(self.store)
        proof = Proof.from_bytes(tree.prove(key).to_bytes())
        value = self.model.get(key)
        verify_proof(tree.root, key, value, proof)
        for wrong in (b"", b"1", b"2", b"3", None):
            if wrong != value:
                with pytest.raises(InvalidProof):
                    verify_proof(tree.root, key, wrong, proof)


TestTree = TreeMatchesDict.TestCase


def test_the_model_sees_a_tree_that_does_not_collapse(monkeypatch):
    """The mutant: a deletion leaves its inner nodes behind, so history shows in the root."""
    first, second = KEYS[:2]

    def root_after_deletion():
        store = {}
        for changes in ([(first, b"1"), (second, b"1")], [(second, None)]):
            written(store, SparseMerkleTree(store).update(changes))
        return SparseMerkleTree(store).root

    assert root_after_deletion() == reference_root({first: b"1"})
    monkeypatch.setattr(merkle._Batch, "_collapse", lambda *_: None)
    assert root_after_deletion() != reference_root({first: b"1"})


def test_the_empty_tree():
    tree = SparseMerkleTree({})
    assert tree.root == EMPTY == bytes(32)
    assert tree.update([]).nodes == {}
    assert tree.update([(b"k", None)]).root == EMPTY
    assert tree.prove(b"k") == Proof((), None)
    verify_proof(EMPTY, b"k", None, tree.prove(b"k"))


def test_the_last_of_two_changes_wins():
    update = SparseMerkleTree({}).update([(b"k", b"1"), (b"k", b"2")])
    assert update.root == reference_root({b"k": b"2"})


def test_a_large_tree_in_batches():
    """Ten batches of a hundred new keys, with deletions, against the definition."""
    rng = random.Random(5)
    store, model = {}, {}
    for _ in range(10):
        changes = [(rng.randbytes(3), rng.randbytes(4)) for _ in range(100)]
        changes += [(key, None) for key in rng.sample(sorted(model), len(model) // 8)]
        written(store, SparseMerkleTree(store).update(changes))
        model.update(changes)
        model = {key: value for key, value in model.items() if value is not None}
        assert SparseMerkleTree(store).root == reference_root(model)
    assert len(model) > 500


def test_hashes_that_differ_in_the_last_nibble_only(monkeypatch):
    """The deepest tree and the largest depth of a proof: 64 levels."""
    monkeypatch.setattr(merkle, "key_hash", lambda key: key)
    keys = [bytes(31) + bytes([n]) for n in (0, 1, 15)]
    tree = tree_of(dict.fromkeys(keys, b"v"))
    for key in keys:
        proof = tree.prove(key)
        assert len(proof.levels) == merkle.LEVELS_MAX
        verify_proof(tree.root, key, b"v", Proof.from_bytes(proof.to_bytes()))
    verify_proof(tree.root, bytes(31) + b"\2", None, tree.prove(bytes(31) + b"\2"))
    store = tree._store
    written(store, tree.update([(keys[1], None), (keys[2], None)]))
    assert list(store) == [b""]
    assert len(store[b""]) == 64


CONTENTS = {key: b"v%d" % n for n, key in enumerate(KEYS)}
TREE = tree_of(CONTENTS)


@given(key=st.sampled_from(KEYS) | st.binary(max_size=3), random=st.randoms(use_true_random=False))
def test_an_altered_proof_shows_nothing(key, random):
    """One flipped bit anywhere, and it is refused or does not lead to the root."""
    value = CONTENTS.get(key)
    data = bytearray(TREE.prove(key).to_bytes())
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    try:
        proof = Proof.from_bytes(bytes(data))
    except DecodeError:
        return
    assert proof.to_bytes() == data
    with pytest.raises(InvalidProof):
        verify_proof(TREE.root, key, value, proof)


HASHES = st.binary(min_size=32, max_size=32)


@st.composite
def levels(draw):
    siblings = draw(st.lists(HASHES.filter(any), max_size=16))
    places = draw(st.sets(st.integers(0, 15), min_size=len(siblings), max_size=len(siblings)))
    return Level(sum(1 << place for place in places), tuple(siblings))


PROOFS = st.builds(
    Proof,
    st.lists(levels(), max_size=6).map(tuple),
    st.none() | st.binary(min_size=64, max_size=64),
)


@given(PROOFS)
def test_proofs_round_trip(proof):
    assert Proof.from_bytes(proof.to_bytes()) == proof


@given(st.binary(max_size=200))
def test_whatever_decodes_as_a_proof_is_canonical(data):
    try:
        proof = Proof.from_bytes(data)
    except DecodeError:
        return
    assert proof.to_bytes() == data


def test_the_largest_proof_fits():
    level = Level(0x7FFF, (b"\1" * 32,) * 15)
    data = Proof((level,) * merkle.LEVELS_MAX, b"\1" * 64).to_bytes()
    assert len(data) == merkle.PROOF_BYTES_MAX
    assert len(Proof.from_bytes(data).levels) == merkle.LEVELS_MAX
    with pytest.raises(DecodeError, match="proof: must be at most"):
        Proof.from_bytes(data + b"\0")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "proof.levels: must be a byte in 0..64"),
        (b"\x41", "proof.levels: must be a byte in 0..64"),
        (b"\0", "proof.leaf: must be 0, or 1 and 64 bytes"),
        (b"\0\2" + bytes(64), "proof.leaf: must be"),
        (b"\0\1" + bytes(63), "proof.leaf: must be"),
        (b"\0\0\0", "proof.leaf: must be"),
        (b"\1\0", "proof.levels[0]: ends early"),
        (b"\1\0\1" + bytes([1] * 31), "proof.levels[0]: ends early"),
        (b"\2\0\0\0\1" + bytes(32) + b"\0", "proof.levels[1]: an empty sibling"),
    ],
)
def test_refused_proofs(data, message):
    with pytest.raises(DecodeError) as caught:
        Proof.from_bytes(data)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("proof", "reason"),
    [
        (Proof((Level(0, ()),) * 65, None), "levels must be at most 64"),
        (Proof((), b"short"), "leaf must be 64 bytes"),
        (Proof((Level(0xFFFF, (b"\1" * 32,) * 16),), None), "at the place of the way"),
        (Proof((Level(0, (b"\1" * 32,)),), None), "do not agree"),
        (Proof((Level(1 << 16, (b"\1" * 32,)),), None), "do not agree"),
        (Proof((Level(0, ()),), None), "leads to root"),
        (Proof((), None), "leads to root"),
    ],
)
def test_proofs_made_by_hand_are_checked_too(proof, reason):
    """A light client may get its proof as values, not as bytes."""
    with pytest.raises(InvalidProof, match=reason):
        verify_proof(TREE.root, b"absent", None, proof)


def test_a_leaf_beside_the_way_proves_no_absence():
    """A prover may not answer with the way to another key."""
    key, other = KEYS[0], b"a"
    proof = TREE.prove(other)
    assert proof.levels
    with pytest.raises(InvalidProof, match="not on the key's way"):
        verify_proof(TREE.root, b"absent", None, proof)
    with pytest.raises(InvalidProof, match="shows that the key is present"):
        verify_proof(TREE.root, other, None, proof)
    with pytest.raises(InvalidProof, match="shows that the key is absent"):
        verify_proof(TREE.root, key, CONTENTS[key], proof)
    with pytest.raises(InvalidProof, match="shows another value"):
        verify_proof(TREE.root, other, b"other", proof)


def test_siblings_of_a_wrong_length_are_refused():
    nibble = merkle.path_of(merkle.key_hash(b"absent"))[0]
    level = Level(1 << (nibble ^ 1), (b"\1" * 31,))
    with pytest.raises(InvalidProof, match="siblings must be 32 bytes each"):
        verify_proof(TREE.root, b"absent", None, Proof((level,), None))
