"""Rows of the chain's database whose form others need: seals, and values of the state."""

from struct import Struct
from typing import Final

from consensus.certificates import SIGNATURE_BYTES, Seal
from consensus.membership import MemberIndex, View
from crypto.codec import as_bytes, as_int, as_list, decode, encode
from crypto.merkle import key_hash

SEAL_BYTES_MAX: Final = 16 << 10
"""Bound of an encoded seal: MAX_MEMBERS signatures with their indexes."""
STATE_PREFIX: Final = b"s"
NODE_PREFIX: Final = b"n"
_LENGTH: Final = Struct(">H")


def state_row(key: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Return the row of a state key: under its hash, as the tree orders it; key, then value.

    So the keys of a subtree lie side by side, and a snapshot of them is one scan.
    """
    return STATE_PREFIX + key_hash(key), row_value(key, value)


def row_value(key: bytes, value: bytes) -> bytes:
    """Return what the row of a state key holds."""
    return _LENGTH.pack(len(key)) + key + value


def read_state_row(row: bytes) -> tuple[bytes, bytes]:
    """Return key and value of a row of the state."""
    end = _LENGTH.size + int.from_bytes(row[: _LENGTH.size], "big")
    return row[_LENGTH.size : end], row[end:]


def value_in(row: bytes, key: bytes) -> bytes:
    """Return the value in the row of `key`."""
    return row[_LENGTH.size + len(key) :]


def encode_seal(seal: Seal) -> bytes:
    """Return the canonical bytes of a seal: [view, [[member, signature], ...]]."""
    return encode([seal.view, [[member, signature] for member, signature in seal.signatures]])


def decode_seal(data: bytes) -> Seal:
    """Return the seal whose one encoding is `data`.

    Raises:
        DecodeError, MalformedMessage: another form, or a field out of range.
    """
    view, rows = as_list(decode(data, field="seal", max_bytes=SEAL_BYTES_MAX), "seal", length=2)
    signatures = []
    for place, row in enumerate(as_list(rows, "seal.signatures")):
        field = f"seal.signatures[{place}]"
        member, signature = as_list(row, field, length=2)
        signatures.append(
            (MemberIndex(as_int(member, field)), as_bytes(signature, field, SIGNATURE_BYTES))
        )
    return Seal(view=View(as_int(view, "seal.view")), signatures=tuple(signatures))
