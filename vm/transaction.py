"""Transactions: Ethereum's signed kinds 0, 1 and 2, and our own for due deadlines.

Each kind has exactly one valid encoding (EIP-2718 envelope, strict RLP inside); a legacy
transaction must name the chain (EIP-155), and s must be low (EIP-2). Fees are accepted and
ignored: there is no coin, gas is bounded by a quota (`vm.accounts`).
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Self, TypeAlias, final

from crypto import codec, rlp
from crypto.errors import DecodeError, InvalidSignature
from crypto.hashing import keccak256
from crypto.keys import ADDRESS_BYTES, SECP256K1_ORDER, AccountKey, recover_address
from vm.errors import InvalidTransaction, TxReason
from vm.value import value

TX_BYTES_MAX = 128 * 1024
"""As geth's pool: no wallet sends more."""
DEADLINE_TYPE = 0x7E
"""First byte of a deadline transaction; no Ethereum type may reach 0x80 (EIP-2718)."""

_U64 = 2**64
_U256 = 2**256
_HALF_ORDER = SECP256K1_ORDER // 2
_LEGACY_FIRST_BYTE = 0xC0  # RLP lists start here; smaller first bytes are types.
_DEADLINE_BYTES_MAX = 16

AccessList: TypeAlias = "tuple[tuple[bytes, tuple[bytes, ...]], ...]"
"""Pairs of an address (20 bytes) and its storage keys (32 bytes each), EIP-2930. Priced only."""


class TxKind(IntEnum):
    """Ethereum's transaction types that we accept."""

    LEGACY = 0
    ACCESS_LIST = 1
    DYNAMIC_FEE = 2


_FIELDS = {TxKind.LEGACY: 9, TxKind.ACCESS_LIST: 11, TxKind.DYNAMIC_FEE: 12}


@final
@value(kw_only=True)
class Transaction:
    """A decoded public transaction. Fees are in wei as the wallet wrote them; we ignore them."""

    kind: TxKind
    chain_id: int
    nonce: int
    """Below 2**64 - 1 (EIP-2681)."""
    gas_limit: int
    to: bytes | None
    """20 bytes; None asks for contract creation."""
    value: int
    data: bytes
    access_list: AccessList
    gas_price: int
    """Types 0 and 1; for type 2 it equals `max_fee`."""
    max_fee: int
    max_priority: int
    y_parity: int
    r: int
    s: int
    raw: bytes
    """The one encoding, as it came."""
    hash: bytes
    """Keccak-256 of `raw`."""
    _sender: list[bytes] = field(default_factory=list, repr=False, compare=False)

    def sender(self) -> bytes:
        """Return the 20-byte address that signed; recovered once, then remembered.

        Raises:
            InvalidTransaction: INVALID_SENDER, no key could have made this signature.
        """
        if not self._sender:
            try:
                address = recover_address(_signed_part(self), self.r, self.s, self.y_parity)
            except InvalidSignature as error:
                raise InvalidTransaction(TxReason.INVALID_SENDER, "tx.r", str(error)) from None
            self._sender.append(address)
        return self._sender[0]

    def with_sender(self, address: bytes) -> Self:
        """Return the same transaction with the sender that a batch verifier recovered."""
        assert len(address) == ADDRESS_BYTES
        return replace(self, _sender=[address])


@final
@dataclass(frozen=True, slots=True)
class DeadlineTransaction:
    """Runs the deadlines that are due: unsigned, made by the proposer, first in its block.

    Its height makes the hash unique. It is a rule of validity that a block holds one exactly
    if something is due at the block's time, so no proposer can skip or invent it.
    """

    height: int

    def __post_init__(self) -> None:
        if not 0 < self.height < _U64:
            raise DecodeError("deadline.height", f"must lie in 1..2**64-1, got {self.height}")

    @property
    def raw(self) -> bytes:
        """The one encoding: the type byte and canonical [height]."""
        return bytes((DEADLINE_TYPE,)) + codec.encode([self.height])

    @property
    def hash(self) -> bytes:
        """Keccak-256 of `raw`, as for every other transaction."""
        return keccak256(self.raw)


def decode_deadline(raw: bytes) -> DeadlineTransaction:
    """Return the deadline transaction whose one encoding is `raw`, or raise DecodeError."""
    if raw[:1] != bytes((DEADLINE_TYPE,)):
        raise DecodeError("deadline.type", f"must be {DEADLINE_TYPE:#x}")
    value = codec.decode(raw[1:], field="deadline", max_bytes=_DEADLINE_BYTES_MAX)
    items = codec.as_list(value, "deadline", length=1)
    return DeadlineTransaction(codec.as_int(items[0], "deadline.height"))


def decode(raw: bytes, sender: bytes = b"") -> Transaction:
    """Return the transaction whose one encoding is `raw`; the signer is not recovered yet.

    Args:
        raw: bytes from anywhere.
        sender: its 20 bytes, where they have been recovered from `raw` before.

    Raises:
        InvalidTransaction: OVERSIZED, TYPE_NOT_SUPPORTED, UNPROTECTED, INVALID_SENDER (r, s or
            y_parity out of range), TIP_ABOVE_FEE_CAP, or MALFORMED with the field's name.
    """
    if len(raw) > TX_BYTES_MAX:
        message = f"must be at most {TX_BYTES_MAX} bytes, got {len(raw)}"
        raise InvalidTransaction(TxReason.OVERSIZED, "tx", message)
    if not raw:
        raise InvalidTransaction(TxReason.MALFORMED, "tx", "must not be empty")
    kind, payload = _split_envelope(raw)
    try:
        tx = _READERS[kind](raw, _items(payload, _FIELDS[kind]))
    except DecodeError as error:
        raise InvalidTransaction(TxReason.MALFORMED, error.field, error.reason) from None
    _check_signature_ranges(tx)
    if sender:
        tx._sender.append(sender)
    return tx


def _split_envelope(raw: bytes) -> tuple[TxKind, bytes]:
    first = raw[0]
    if first >= _LEGACY_FIRST_BYTE:
        return TxKind.LEGACY, raw
    if first in (TxKind.ACCESS_LIST, TxKind.DYNAMIC_FEE):
        return TxKind(first), raw[1:]
    message = f"must be 0, 1 or 2, got {first:#x}"
    raise InvalidTransaction(TxReason.TYPE_NOT_SUPPORTED, "tx.type", message)


def _items(payload: bytes, count: int) -> list[rlp.Item]:
    items = rlp.decode(payload, field="tx", max_bytes=TX_BYTES_MAX)
    if not isinstance(items, list):
        raise DecodeError("tx", "must be a list")
    if len(items) != count:
        raise DecodeError("tx", f"must have {count} fields, got {len(items)}")
    return items


def _read_legacy(raw: bytes, items: list[rlp.Item]) -> Transaction:
    v = _uint(items[6], "tx.v", _U256)
    if v in (27, 28):
        message = "must name the chain: v = 35 + 2 * chain_id + y_parity (EIP-155)"
        raise InvalidTransaction(TxReason.UNPROTECTED, "tx.v", message)
    if v < 35:
        raise InvalidTransaction(TxReason.INVALID_SENDER, "tx.v", f"must be at least 35, got {v}")
    gas_price = _uint(items[1], "tx.gas_price", _U256)
    return Transaction(
        kind=TxKind.LEGACY,
        chain_id=(v - 35) // 2,
        nonce=_uint(items[0], "tx.nonce", _U64 - 1),
        gas_limit=_uint(items[2], "tx.gas_limit", _U64),
        to=_to(items[3]),
        value=_uint(items[4], "tx.value", _U256),
        data=_bytes(items[5], "tx.data"),
        access_list=(),
        gas_price=gas_price,
        max_fee=gas_price,
        max_priority=gas_price,
        y_parity=(v - 35) % 2,
        r=_uint(items[7], "tx.r", _U256),
        s=_uint(items[8], "tx.s", _U256),
        raw=raw,
        hash=keccak256(raw),
    )


def _read_access_list_kind(raw: bytes, items: list[rlp.Item]) -> Transaction:
    gas_price = _uint(items[2], "tx.gas_price", _U256)
    return _read_typed(raw, items[:2], items[3:], (TxKind.ACCESS_LIST, gas_price, gas_price))


def _read_dynamic_fee(raw: bytes, items: list[rlp.Item]) -> Transaction:
    tip = _uint(items[2], "tx.max_priority", _U256)
    cap = _uint(items[3], "tx.max_fee", _U256)
    if tip > cap:
        raise InvalidTransaction(TxReason.TIP_ABOVE_FEE_CAP, "tx.max_priority", f"{tip} > {cap}")
    return _read_typed(raw, items[:2], items[4:], (TxKind.DYNAMIC_FEE, cap, tip))


def _read_typed(
    raw: bytes, head: list[rlp.Item], tail: list[rlp.Item], fees: tuple[TxKind, int, int]
) -> Transaction:
    """Read what types 1 and 2 share: `head` before the fees, `tail` after them."""
    kind, cap, tip = fees
    return Transaction(
        kind=kind,
        chain_id=_uint(head[0], "tx.chain_id", _U256),
        nonce=_uint(head[1], "tx.nonce", _U64 - 1),
        gas_limit=_uint(tail[0], "tx.gas_limit", _U64),
        to=_to(tail[1]),
        value=_uint(tail[2], "tx.value", _U256),
        data=_bytes(tail[3], "tx.data"),
        access_list=_access_list(tail[4]),
        gas_price=cap,
        max_fee=cap,
        max_priority=tip,
        y_parity=_uint(tail[5], "tx.y_parity", _U256),
        r=_uint(tail[6], "tx.r", _U256),
        s=_uint(tail[7], "tx.s", _U256),
        raw=raw,
        hash=keccak256(raw),
    )


_READERS = {
    TxKind.LEGACY: _read_legacy,
    TxKind.ACCESS_LIST: _read_access_list_kind,
    TxKind.DYNAMIC_FEE: _read_dynamic_fee,
}


def _bytes(item: rlp.Item, name: str) -> bytes:
    if not isinstance(item, bytes):
        raise DecodeError(name, "must be a byte string, got a list")
    return item


def _uint(item: rlp.Item, name: str, bound: int) -> int:
    number = rlp.decode_int(item, name)
    if number >= bound:
        raise DecodeError(name, f"must be below {bound:#x}")
    return number


def _to(item: rlp.Item) -> bytes | None:
    to = _bytes(item, "tx.to")
    if len(to) not in (0, ADDRESS_BYTES):
        raise DecodeError("tx.to", f"must be 0 or {ADDRESS_BYTES} bytes, got {len(to)}")
    return to or None


def _access_list(item: rlp.Item) -> AccessList:
    name = "tx.access_list"
    if not isinstance(item, list):
        raise DecodeError(name, "must be a list")
    entries = []
    for entry in item:
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[1], list):
            raise DecodeError(name, "must hold pairs of an address and a list of keys")
        address = _sized(entry[0], f"{name}.address", ADDRESS_BYTES)
        keys = tuple(_sized(key, f"{name}.storage_key", 32) for key in entry[1])
        entries.append((address, keys))
    return tuple(entries)


def _sized(item: rlp.Item, name: str, length: int) -> bytes:
    data = _bytes(item, name)
    if len(data) != length:
        raise DecodeError(name, f"must be {length} bytes, got {len(data)}")
    return data


def _check_signature_ranges(tx: Transaction) -> None:
    if tx.y_parity > 1:
        message = f"must be 0 or 1, got {tx.y_parity}"
        raise InvalidTransaction(TxReason.INVALID_SENDER, "tx.y_parity", message)
    if not 0 < tx.r < SECP256K1_ORDER:
        raise InvalidTransaction(TxReason.INVALID_SENDER, "tx.r", "must lie in 1..n-1")
    if not 0 < tx.s <= _HALF_ORDER:
        message = "must lie in 1..n/2: the other half is a second form of the same (EIP-2)"
        raise InvalidTransaction(TxReason.INVALID_SENDER, "tx.s", message)


def signing_hash(tx: Transaction) -> bytes:
    """Return the 32-byte digest that the sender signed (EIP-155, EIP-2930, EIP-1559)."""
    number = rlp.encode_int
    tail: list[rlp.Encodable] = [number(tx.gas_limit), tx.to or b"", number(tx.value), tx.data]
    if tx.kind is TxKind.LEGACY:
        chain: list[rlp.Encodable] = [number(tx.chain_id), b"", b""]
        return keccak256(rlp.encode([number(tx.nonce), number(tx.gas_price), *tail, *chain]))
    if tx.kind is TxKind.ACCESS_LIST:
        fees = [number(tx.gas_price)]
    else:
        fees = [number(tx.max_priority), number(tx.max_fee)]
    head = [number(tx.chain_id), number(tx.nonce), *fees]
    return keccak256(bytes((tx.kind,)) + rlp.encode([*head, *tail, tx.access_list]))


def _signed_part(tx: Transaction) -> bytes:
    """Return `signing_hash` of a transaction that was decoded: what it signs stands in `raw`.

    The one encoding of the fields before the signature is at hand, so nothing is encoded again.
    """
    size = rlp.int_size
    tail = size(tx.r) + size(tx.s)
    if tx.kind is TxKind.LEGACY:
        tail += size(35 + 2 * tx.chain_id + tx.y_parity)
        chain = rlp.encode(rlp.encode_int(tx.chain_id)) + b"\x80\x80"
        return keccak256(rlp.encode_list(tx.raw[rlp.list_start(tx.raw) : -tail] + chain))
    payload = tx.raw[1:]
    tail += size(tx.y_parity)
    return keccak256(tx.raw[:1] + rlp.encode_list(payload[rlp.list_start(payload) : -tail]))


def sign_transaction(
    key: AccountKey,
    *,
    chain_id: int,
    nonce: int,
    to: bytes | None,
    gas_limit: int,
    data: bytes = b"",
    value: int = 0,
    kind: int = TxKind.DYNAMIC_FEE,
    access_list: AccessList = (),
) -> bytes:
    """Return the raw bytes of a transaction of `kind` 0, 1 or 2 signed by `key`, all fees 0.

    `to` None asks for the creation of a contract, whose init code is `data`; kind 0 has no
    access list.
    """
    draft = Transaction(
        kind=TxKind(kind),
        chain_id=chain_id,
        nonce=nonce,
        gas_limit=gas_limit,
        to=to,
        value=value,
        data=data,
        access_list=access_list,
        gas_price=0,
        max_fee=0,
        max_priority=0,
        y_parity=0,
        r=0,
        s=0,
        raw=b"",
        hash=b"",
    )
    r, s, y_parity = key.sign_digest(signing_hash(draft))
    number = rlp.encode_int
    tail = [number(gas_limit), to or b"", number(value), data]
    if kind == TxKind.LEGACY:
        v = 35 + 2 * chain_id + y_parity
        return rlp.encode([number(nonce), b"", *tail, number(v), number(r), number(s)])
    fees = [b""] if kind == TxKind.ACCESS_LIST else [b"", b""]
    head = [number(chain_id), number(nonce), *fees]
    signature = [number(y_parity), number(r), number(s)]
    return bytes((kind,)) + rlp.encode([*head, *tail, access_list, *signature])
