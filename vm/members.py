"""The member set in the state: who seals the next block."""

from collections.abc import Sequence

from crypto import codec
from crypto.hashing import Digest, tagged_hash
from vm.state import StateReader

MEMBERS_KEY = b"m"
"""State key of the canonical list of node keys, in the order of the members' indexes."""
MEMBERS_MIN = 4
"""PBFT tolerates no fault below."""
MEMBERS_MAX = 128

_VALUE_BYTES_MAX = 8 * 1024
_MEMBERS_TAG = b"hearth/members"


def encode_members(node_keys: Sequence[bytes]) -> bytes:
    """Return the value under MEMBERS_KEY."""
    return codec.encode(list(node_keys))


def member_keys(state: StateReader) -> tuple[bytes, ...]:
    """Return the Ed25519 node keys (32 bytes each) of the members, in order."""
    value = codec.decode(_stored(state), field="members", max_bytes=_VALUE_BYTES_MAX)
    keys = codec.as_list(value, "members", max_length=MEMBERS_MAX)
    return tuple(codec.as_bytes(key, "members.node_key", length=32) for key in keys)


def members_hash(state: StateReader) -> Digest:
    """Return what a header's `next_members_hash` must be."""
    return tagged_hash(_MEMBERS_TAG, _stored(state))


def _stored(state: StateReader) -> bytes:
    value = state.get(MEMBERS_KEY)
    assert value is not None, "the genesis state has a member set, and nothing deletes it"
    return value
