"""What a node answers to a light client, read strictly: a stranger's JSON becomes values here."""

from typing import Any

from consensus.certificates import COUNTER_MAX, SIGNATURE_BYTES, Seal
from consensus.config import MAX_MEMBERS
from consensus.errors import MalformedMessage
from consensus.light import Attestation
from consensus.membership import Height, MemberIndex, View
from crypto.errors import DecodeError
from crypto.hashing import DIGEST_BYTES, Digest
from node.hand_over import MEMBERS_BYTES_MAX, HandOver
from vm.block import BLOCK_TXS_MAX, HEADER_BYTES, Header, decode_header
from vm.members import decode_members
from vm.receipt import RECEIPT_BYTES_MAX

PATH_MAX = 32


def read_object(value: Any, field: str) -> dict[str, Any]:
    """Return a JSON object, or raise DecodeError, as all of these do."""
    if not isinstance(value, dict):
        raise DecodeError(field, "must be an object")
    return value


def read_list(value: Any, field: str, length_max: int) -> list[Any]:
    """Return a JSON array of at most so many items."""
    if not isinstance(value, list) or len(value) > length_max:
        raise DecodeError(field, f"must be an array of at most {length_max}")
    return value


def read_int(value: Any, field: str, high: int = COUNTER_MAX) -> int:
    """Return an integer in 0..high."""
    if type(value) is not int or not 0 <= value <= high:
        raise DecodeError(field, f"must be an integer in 0..{high}")
    return value


def read_hex(
    value: Any, field: str, *, length: int | None = None, length_max: int = RECEIPT_BYTES_MAX
) -> bytes:
    """Return the bytes of 0x-hex."""
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 2 + 2 * length_max:
        raise DecodeError(field, f"must be 0x-hex of at most {length_max} bytes")
    try:
        data = bytes.fromhex(value[2:])
    except ValueError:
        raise DecodeError(field, "must be 0x-hex") from None
    if length is not None and len(data) != length:
        raise DecodeError(field, f"must be {length} bytes, got {len(data)}")
    return data


def read_items(value: Any, field: str) -> tuple[bytes, ...]:
    """Return what a block holds a list of."""
    items = read_list(value, field, BLOCK_TXS_MAX)
    return tuple(read_hex(item, f"{field}[{place}]") for place, item in enumerate(items))


def read_path(value: Any, field: str) -> tuple[bytes, ...]:
    """Return the digests on the way from an item of a list to its root."""
    items = read_list(value, field, PATH_MAX)
    return tuple(read_hex(item, field, length=DIGEST_BYTES) for item in items)


def read_header(value: Any) -> Header:
    """Return a header from its `bytes`; the fields beside them are for people."""
    data = read_object(value, "header").get("bytes")
    return decode_header(read_hex(data, "header.bytes", length=HEADER_BYTES))


def read_seal(value: Any) -> Seal | None:
    """Return a seal; None for null."""
    if value is None:
        return None
    given = read_object(value, "seal")
    signatures = []
    for item in read_list(given.get("signatures"), "seal.signatures", MAX_MEMBERS):
        row = read_object(item, "seal.signatures")
        member = read_int(row.get("member"), "seal.member", MAX_MEMBERS - 1)
        signature = read_hex(row.get("signature"), "seal.signature", length=SIGNATURE_BYTES)
        signatures.append((MemberIndex(member), signature))
    try:
        return Seal(
            view=View(read_int(given.get("view"), "seal.view")), signatures=tuple(signatures)
        )
    except MalformedMessage as error:
        raise DecodeError("seal", str(error)) from None


def read_hand_over(value: Any) -> HandOver:
    """Return the step into an epoch; its seal is not verified."""
    given = read_object(value, "epoch")
    record = read_hex(given.get("members"), "epoch.members", length_max=MEMBERS_BYTES_MAX)
    return HandOver(
        read_header(given.get("header")), read_seal(given.get("seal")), decode_members(record)
    )


def read_attestation(value: dict[str, Any], header: Header, nonce: bytes) -> Attestation:
    """Return the attestation of `nonce` about `header`; its signature is not verified."""
    return Attestation(
        height=Height(header.number),
        digest=header.hash,
        state_root=Digest(header.state_root),
        nonce=nonce,
        member=MemberIndex(read_int(value.get("member"), "member", MAX_MEMBERS - 1)),
        signature=read_hex(value.get("signature"), "signature", length=SIGNATURE_BYTES),
    )
