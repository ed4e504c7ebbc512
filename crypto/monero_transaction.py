"""The bytes of a Monero transaction of RingCT type 6 (CLSAG, Bulletproofs+), and its hashes.

This is syntax only: no point is decoded and no rule of the chain is checked here; see
`crypto.monero` for both. What `parse_transaction` accepts, `Transaction.to_bytes` writes again
byte for byte. Source: docs/spec/privacy.md, "Monero transactions".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, final

from crypto.errors import DecodeError
from crypto.hashing import keccak256
from crypto.varint import VARINT_MAX, write_varint

TRANSACTION_BYTES_MAX = 1_000_000
"""Monero's limit of one transaction; checked before anything is decoded."""
INPUTS_MAX = 1_024
"""Far above what the weight limit of Monero's blocks lets in."""
RING_MEMBERS_MAX = 1_024
OUTPUTS_MAX = 16
"""As many values as one aggregated range proof holds."""
ROUNDS_MAX = 10
"""log2 of 64 bits times 16 values."""

_VERSION = 2
_RCT_TYPE = 6
_INPUT_TO_KEY = 0x02
_OUTPUT_TO_KEY = 0x02
_OUTPUT_TO_TAGGED_KEY = 0x03
_FIELD_BYTES = 32
_AMOUNT = 8

_Item = TypeVar("_Item")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionInput:
    """One spent output, hidden among the members of a ring.

    Attributes:
        key_offsets: global indexes of the ring's members; the first absolute, each other one
            relative to the one before.
        key_image: 32 bytes, the same for every spend of the same output.
    """

    key_offsets: tuple[int, ...]
    key_image: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionOutput:
    """One new output.

    Attributes:
        key: one-time key P, 32 bytes.
        view_tag: one byte; None in the untagged form of the first blocks of type 6.
        encrypted_amount: 8 bytes.
        commitment: C, 32 bytes.
    """

    key: bytes
    view_tag: int | None
    encrypted_amount: bytes
    commitment: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RangeProofFields:
    """A Bulletproof+ as it is sent: points carry the factor 1/8; L, R are packed."""

    A: bytes
    A1: bytes
    B: bytes
    r1: bytes
    s1: bytes
    d1: bytes
    L: bytes
    R: bytes

    @property
    def hashed(self) -> bytes:
        """The fields as the signature hash takes them: no lengths."""
        return self._head + self.L + self.R

    @property
    def sent(self) -> bytes:
        """The fields as the transaction carries them: L and R with their number of points."""
        L = write_varint(len(self.L) // _FIELD_BYTES) + self.L
        return self._head + L + write_varint(len(self.R) // _FIELD_BYTES) + self.R

    @property
    def _head(self) -> bytes:
        return self.A + self.A1 + self.B + self.r1 + self.s1 + self.d1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RingSignatureFields:
    """A CLSAG as it is sent: s packed, one for each ring member; D carries the factor 1/8."""

    s: bytes
    c1: bytes
    D: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A RingCT type 6 transaction; `fee` in atomic units, `extra` is free text of the sender."""

    unlock_time: int
    inputs: tuple[TransactionInput, ...]
    outputs: tuple[TransactionOutput, ...]
    extra: bytes
    fee: int
    range_proof: RangeProofFields
    signatures: tuple[RingSignatureFields, ...]
    pseudo_outs: tuple[bytes, ...]

    def prefix(self) -> bytes:
        """Everything but amounts and proofs."""
        parts = [write_varint(_VERSION), write_varint(self.unlock_time)]
        parts.append(write_varint(len(self.inputs)))
        for spent in self.inputs:
            parts += [bytes((_INPUT_TO_KEY,)), write_varint(0)]
            parts.append(write_varint(len(spent.key_offsets)))
            parts += [write_varint(offset) for offset in spent.key_offsets]
            parts.append(spent.key_image)
        parts.append(write_varint(len(self.outputs)))
        for output in self.outputs:
            tagged = output.view_tag is not None
            kind = _OUTPUT_TO_TAGGED_KEY if tagged else _OUTPUT_TO_KEY
            parts += [write_varint(0), bytes((kind,)), output.key]
            if output.view_tag is not None:
                parts.append(bytes((output.view_tag,)))
        parts += [write_varint(len(self.extra)), self.extra]
        return b"".join(parts)

    def rct_base(self) -> bytes:
        """Type, fee, encrypted amounts and commitments of the outputs."""
        amounts = b"".join(output.encrypted_amount for output in self.outputs)
        commitments = b"".join(output.commitment for output in self.outputs)
        return bytes((_RCT_TYPE,)) + write_varint(self.fee) + amounts + commitments

    def prunable(self) -> bytes:
        """Range proof, ring signatures and pseudo-outputs."""
        signatures = b"".join(sig.s + sig.c1 + sig.D for sig in self.signatures)
        return write_varint(1) + self.range_proof.sent + signatures + b"".join(self.pseudo_outs)

    def to_bytes(self) -> bytes:
        return self.prefix() + self.rct_base() + self.prunable()

    def id(self) -> bytes:
        """Return the transaction's id, 32 bytes."""
        parts = (self.prefix(), self.rct_base(), self.prunable())
        return keccak256(b"".join(keccak256(part) for part in parts))

    def signature_hash(self) -> bytes:
        """Return what every ring signature signs, 32 bytes.

        The commitments that the range proof is about are not among its own fields: they are
        bound through `rct_base`.
        """
        parts = (self.prefix(), self.rct_base(), self.range_proof.hashed)
        return keccak256(b"".join(keccak256(part) for part in parts))


def parse_transaction(data: bytes) -> Transaction:
    """Read a whole RingCT type 6 transaction; every byte has one meaning and none is left over.

    Raises:
        DecodeError: not the one form allowed; the field is named ("tx.inputs[0].key_image").
    """
    if len(data) > TRANSACTION_BYTES_MAX:
        raise DecodeError("tx", f"must be at most {TRANSACTION_BYTES_MAX} bytes, got {len(data)}")
    reader = _Reader(data)
    reader.constant("tx.version", reader.varint("tx.version"), _VERSION)
    unlock_time = reader.varint("tx.unlock_time")
    inputs = reader.items("tx.inputs", INPUTS_MAX, _read_input)
    bare_outputs = reader.items("tx.outputs", OUTPUTS_MAX, _read_output)
    if len({tag is None for _, tag in bare_outputs}) > 1:
        raise DecodeError("tx.outputs", "must all have a view tag, or none of them")
    extra = reader.take("tx.extra", reader.count("tx.extra", TRANSACTION_BYTES_MAX))
    reader.constant("tx.rct_type", reader.varint("tx.rct_type"), _RCT_TYPE)
    fee = reader.varint("tx.fee")
    amounts = [reader.take("tx.encrypted_amount", _AMOUNT) for _ in bare_outputs]
    commitments = [reader.take("tx.commitment", _FIELD_BYTES) for _ in bare_outputs]
    reader.constant("tx.range_proofs", reader.varint("tx.range_proofs"), 1)
    range_proof = _read_range_proof(reader)
    signatures = tuple(_read_signature(reader, len(spent.key_offsets)) for spent in inputs)
    pseudo_outs = tuple(reader.take("tx.pseudo_outs", _FIELD_BYTES) for _ in inputs)
    reader.end()
    return Transaction(
        unlock_time=unlock_time,
        inputs=inputs,
        outputs=tuple(
            TransactionOutput(key=key, view_tag=tag, encrypted_amount=amount, commitment=C)
            for (key, tag), amount, C in zip(bare_outputs, amounts, commitments, strict=True)
        ),
        extra=extra,
        fee=fee,
        range_proof=range_proof,
        signatures=signatures,
        pseudo_outs=pseudo_outs,
    )


def _read_input(reader: "_Reader", field: str) -> TransactionInput:
    reader.constant(f"{field}.type", reader.take(f"{field}.type", 1)[0], _INPUT_TO_KEY)
    reader.constant(f"{field}.amount", reader.varint(f"{field}.amount"), 0)
    offsets = reader.items(
        f"{field}.key_offsets", RING_MEMBERS_MAX, lambda inner, name: inner.varint(name)
    )
    return TransactionInput(
        key_offsets=offsets, key_image=reader.take(f"{field}.key_image", _FIELD_BYTES)
    )


def _read_output(reader: "_Reader", field: str) -> tuple[bytes, int | None]:
    reader.constant(f"{field}.amount", reader.varint(f"{field}.amount"), 0)
    kind = reader.take(f"{field}.type", 1)[0]
    if kind not in {_OUTPUT_TO_KEY, _OUTPUT_TO_TAGGED_KEY}:
        raise DecodeError(f"{field}.type", f"must be 2 or 3, got {kind}")
    key = reader.take(f"{field}.key", _FIELD_BYTES)
    if kind == _OUTPUT_TO_KEY:
        return key, None
    return key, reader.take(f"{field}.view_tag", 1)[0]


def _read_range_proof(reader: "_Reader") -> RangeProofFields:
    A, A1, B, r1, s1, d1 = (
        reader.take(f"tx.range_proof.{name}", _FIELD_BYTES)
        for name in ("A", "A1", "B", "r1", "s1", "d1")
    )
    L, R = (
        reader.take(
            f"tx.range_proof.{name}",
            _FIELD_BYTES * reader.count(f"tx.range_proof.{name}", ROUNDS_MAX),
        )
        for name in ("L", "R")
    )
    return RangeProofFields(A=A, A1=A1, B=B, r1=r1, s1=s1, d1=d1, L=L, R=R)


def _read_signature(reader: "_Reader", ring_size: int) -> RingSignatureFields:
    return RingSignatureFields(
        s=reader.take("tx.signatures.s", _FIELD_BYTES * ring_size),
        c1=reader.take("tx.signatures.c1", _FIELD_BYTES),
        D=reader.take("tx.signatures.D", _FIELD_BYTES),
    )


@final
class _Reader:
    """A cursor over the bytes that never reads past their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, field: str, size: int) -> bytes:
        left = len(self._data) - self._at
        if size > left:
            raise DecodeError(field, f"must be {size} bytes, only {left} are left")
        self._at += size
        return self._data[self._at - size : self._at]

    def varint(self, field: str) -> int:
        value = shift = 0
        while True:
            byte = self.take(field, 1)[0]
            if byte == 0 and shift:
                raise DecodeError(field, "must have no empty last group")
            value |= (byte & 0x7F) << shift
            if value > VARINT_MAX:
                raise DecodeError(field, "must fit 64 bits")
            if byte < 0x80:
                return value
            shift += 7

    def count(self, field: str, maximum: int) -> int:
        """Read a number of things that follow."""
        count = self.varint(field)
        if count > maximum:
            raise DecodeError(field, f"must be at most {maximum} items, got {count}")
        return count

    def items(
        self, field: str, maximum: int, read: Callable[["_Reader", str], _Item]
    ) -> tuple[_Item, ...]:
        count = self.count(field, maximum)
        return tuple(read(self, f"{field}[{i}]") for i in range(count))

    def constant(self, field: str, value: int, expected: int) -> None:
        if value != expected:
            raise DecodeError(field, f"must be {expected}, got {value}")

    def end(self) -> None:
        left = len(self._data) - self._at
        if left:
            raise DecodeError("tx", f"{left} bytes are left over")
