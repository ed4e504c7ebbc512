import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import InvalidProof
from crypto.merkle_list import COUNT_LIMIT, list_root, prove_item, verify_item

ITEMS = st.lists(st.binary(max_size=3), min_size=1, max_size=40)


def tagged(tag, *parts):
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hashlib.blake2b(bytes([len(tag)]) + tag + framed, digest_size=32).digest()


def tree_head(items):
    """RFC 6962, section 2.1: split at the largest power of two smaller than n."""
    if len(items) == 1:
        return tagged(b"hearth/list/leaf", items[0])
    k = 1 << (len(items) - 1).bit_length() - 1
    return tagged(b"hearth/list/node", tree_head(items[:k]), tree_head(items[k:]))


@given(ITEMS)
def test_root_is_the_rfc_s_tree_head_and_the_count(items):
    count = len(items).to_bytes(8, "big")
    assert list_root(items) == tagged(b"hearth/list/root", count, tree_head(items))


def test_the_root_of_nothing():
    assert list_root([]) == tagged(b"hearth/list/empty")


@given(items=ITEMS, data=st.data())
def test_each_item_has_a_path(items, data):
    index = data.draw(st.integers(0, len(items) - 1))
    path = prove_item(items, index)
    assert len(path) <= (len(items) - 1).bit_length()
    verify_item(list_root(items), index, len(items), items[index], path)


@given(items=ITEMS, data=st.data())
def test_a_path_proves_one_item_at_one_index_of_one_count(items, data):
    index = data.draw(st.integers(0, len(items) - 1))
    other = data.draw(st.integers(-1, len(items) + 1))
    count = data.draw(st.integers(0, len(items) + 2))
    item = data.draw(st.sampled_from(items) | st.binary(max_size=3))
    if (other, count, item) == (index, len(items), items[index]):
        return
    with pytest.raises(InvalidProof):
        verify_item(list_root(items), other, count, item, prove_item(items, index))


@given(items=ITEMS, data=st.data())
def test_an_altered_path_proves_nothing(items, data):
    index = data.draw(st.integers(0, len(items) - 1))
    path = prove_item(items, index)
    at = data.draw(st.integers(0, len(path)))
    bad = data.draw(st.sampled_from([bytes(32), b"", bytes(31), bytes(33)]))
    for altered in ([*path[:at], bad, *path[at:]], [*path[:at], bad, *path[at + 1 :]], path[:at]):
        if altered != path:
            with pytest.raises(InvalidProof):
                verify_item(list_root(items), index, len(items), items[index], altered)


def test_a_count_beyond_any_block_is_refused():
    with pytest.raises(InvalidProof, match="index must lie in"):
        verify_item(bytes(32), 0, COUNT_LIMIT, b"", [])


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_path_for_what_is_not_there(index):
    with pytest.raises(IndexError, match=r"index must lie in 0\.\.2"):
        prove_item([b"a", b"b", b"c"], index)
