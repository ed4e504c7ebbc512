"""Ethereum's state root (Yellow Paper, section 4.1 and appendix D), for judging by official tests.

The chain itself keeps its state in `crypto.merkle`; nothing but the check of test vectors needs
this trie, so it is built anew from all its leaves each time.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from crypto import rlp
from crypto.hashing import keccak256

EMPTY_ROOT = keccak256(rlp.encode(b""))
EMPTY_CODE_HASH = keccak256(b"")

_HASHED_FROM_BYTES = 32  # A shorter node stands in its parent itself (appendix D).


def trie_root(leaves: Mapping[bytes, bytes]) -> bytes:
    """Return the root of the secure trie that maps keccak256(key) to each value.

    Args:
        leaves: no value is empty: an absent key is one without an entry.
    """
    if not leaves:
        return EMPTY_ROOT
    paths = sorted((_path(key), value) for key, value in leaves.items())
    return keccak256(rlp.encode(_node(paths, 0)))


def storage_root(storage: Mapping[int, int]) -> bytes:
    """Return the root of an account's storage; slots that hold 0 are not in the trie."""
    return trie_root(
        {
            slot.to_bytes(32, "big"): rlp.encode(rlp.encode_int(value))
            for slot, value in storage.items()
            if value
        }
    )


def account_leaf(*, nonce: int, balance: int, storage: Mapping[int, int], code: bytes) -> bytes:
    """Return the value that stands at an account's address in the state trie."""
    return rlp.encode(
        [
            rlp.encode_int(nonce),
            rlp.encode_int(balance),
            storage_root(storage),
            keccak256(code) if code else EMPTY_CODE_HASH,
        ]
    )


@lru_cache(maxsize=1 << 16)
def _path(key: bytes) -> str:
    """Return the 64 nibbles of the hashed key, as hex digits."""
    return keccak256(key).hex()


def _node(paths: Sequence[tuple[str, bytes]], at: int) -> list[rlp.Encodable]:
    """Return the node under which all `paths`, sorted and equal up to nibble `at`, hang."""
    first = paths[0][0]
    if len(paths) == 1:
        return [_compact(first[at:], is_leaf=True), paths[0][1]]
    last, shared = paths[-1][0], at
    while first[shared] == last[shared]:
        shared += 1
    branch: list[rlp.Encodable] = [b""] * 17
    start = 0
    while start < len(paths):
        nibble = paths[start][0][shared]
        end = start + 1
        while end < len(paths) and paths[end][0][shared] == nibble:
            end += 1
        branch[int(nibble, 16)] = _reference(_node(paths[start:end], shared + 1))
        start = end
    if shared == at:
        return branch
    return [_compact(first[at:shared], is_leaf=False), _reference(branch)]


def _reference(node: list[rlp.Encodable]) -> rlp.Encodable:
    encoded = rlp.encode(node)
    return node if len(encoded) < _HASHED_FROM_BYTES else keccak256(encoded)


def _compact(nibbles: str, *, is_leaf: bool) -> bytes:
    """Return the hex-prefix encoding (appendix C): a flag nibble, then the nibbles."""
    flag = 2 * is_leaf + len(nibbles) % 2
    return bytes.fromhex(f"{flag:x}{'' if len(nibbles) % 2 else '0'}{nibbles}")
