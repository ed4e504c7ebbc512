import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.hashing import keccak256, pair_hasher, part_hasher, tagged_hash

TAGS = st.sampled_from([b"a", b"ab", b"hearth/test"])
# Few and short, so that the plain concatenations collide.
PARTS = st.lists(st.binary(max_size=2).map(lambda b: bytes(c & 1 for c in b)), max_size=3)


@given(tag=st.binary(min_size=1, max_size=255), parts=st.lists(st.binary(max_size=100), max_size=5))
def test_tagged_hash_is_blake2b_over_lengths_and_contents(tag, parts):
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    expected = hashlib.blake2b(bytes([len(tag)]) + tag + framed, digest_size=32).digest()
    assert tagged_hash(tag, *parts) == expected


@given(one=st.tuples(TAGS, PARTS), other=st.tuples(TAGS, PARTS))
def test_another_tag_or_another_split_is_another_hash(one, other):
    same_input = one == other
    assert (tagged_hash(one[0], *one[1]) == tagged_hash(other[0], *other[1])) is same_input


@pytest.mark.parametrize("tag", [b"", b"t" * 256])
def test_a_tag_has_1_to_255_bytes(tag):
    with pytest.raises(ValueError, match="tag must be 1 to 255 bytes"):
        tagged_hash(tag, b"")


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
    ],
)
def test_keccak_is_the_submission_to_nist_not_the_standard(data, digest):
    """Keccak-256 test vectors of the Keccak team; the empty one is Ethereum's empty code hash."""
    assert keccak256(data).hex() == digest
    assert keccak256(data) != hashlib.sha3_256(data).digest()


@given(st.binary(min_size=1, max_size=255), st.binary(max_size=700))
def test_the_hasher_of_one_part_gives_the_tagged_hash(tag, part):
    assert part_hasher(tag)(part) == tagged_hash(tag, part)


@given(
    st.binary(min_size=1, max_size=255),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
)
def test_the_hasher_of_two_digests_gives_the_tagged_hash(tag, first, second):
    assert pair_hasher(tag)(first, second) == tagged_hash(tag, first, second)
