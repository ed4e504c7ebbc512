"""Raw transactions as Ethereum's mainnet reads them, for judging by official tests.

`vm.transaction` decides the form. Two rules differ there on purpose: production refuses a legacy
transaction that names no chain, and has no fees that could overflow.
"""

from dataclasses import dataclass
from typing import final

from crypto import rlp
from crypto.errors import DecodeError, InvalidSignature
from crypto.hashing import keccak256
from crypto.keys import recover_address
from vm.transaction import TX_BYTES_MAX, Transaction, decode

CHAIN_ID = 1
INITCODE_BYTES_MAX = 49_152
"""EIP-3860."""

_BASE, _CREATE, _INITCODE_WORD = 21_000, 32_000, 2
_ZERO_BYTE, _BYTE = 4, 16
_ACCESS_ADDRESS, _ACCESS_KEY = 2_400, 1_900
_UNPROTECTED = (b"\x1b", b"\x1c")  # v 27 and 28, from before EIP-155.
_V, _LEGACY_FIELDS = 6, 9
_FIRST_PROTECTED_V = 35 + 2 * CHAIN_ID


class NotOnMainnet(Exception):
    """Mainnet's rules refuse this transaction whatever the state is."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Mainnet:
    """A transaction that mainnet reads, and what only mainnet's rules say of it."""

    tx: Transaction
    """Its `raw` and `hash` are of another `v` where the original named no chain."""
    sender: bytes
    hash: bytes


def read(raw: bytes) -> Mainnet:
    """Return the signed transaction in `raw`; gas and fees are not judged.

    Raises:
        InvalidTransaction: refused by `vm.transaction`.
        NotOnMainnet: of another chain, or no key could have signed it.
    """
    unprotected = _unprotected_items(raw)
    if unprotected is None:
        tx = decode(raw)
        if tx.chain_id != CHAIN_ID:
            raise NotOnMainnet(f"chain id must be {CHAIN_ID}, got {tx.chain_id}")
        return Mainnet(tx=tx, sender=tx.sender(), hash=tx.hash)
    # The same fields under a `v` that names the chain, so that one decoder judges the form.
    v = rlp.encode_int(_FIRST_PROTECTED_V + (unprotected[_V] == _UNPROTECTED[1]))
    tx = decode(rlp.encode([*unprotected[:_V], v, *unprotected[_V + 1 :]]))
    try:
        sender = recover_address(keccak256(rlp.encode(unprotected[:_V])), tx.r, tx.s, tx.y_parity)
    except InvalidSignature as error:
        raise NotOnMainnet(str(error)) from None
    return Mainnet(tx=tx, sender=sender, hash=keccak256(raw))


def _unprotected_items(raw: bytes) -> list[rlp.Item] | None:
    try:
        items = rlp.decode(raw, field="tx", max_bytes=TX_BYTES_MAX)
    except DecodeError:
        return None
    if not isinstance(items, list) or len(items) != _LEGACY_FIELDS:
        return None
    return items if items[_V] in _UNPROTECTED else None


def check_stateless(tx: Transaction) -> int:
    """Return the intrinsic gas, after all rules of the Cancun fork that need no state.

    Raises:
        NotOnMainnet: gas below the intrinsic, init code too long, or fees beyond 256 bits.
    """
    if tx.to is None and len(tx.data) > INITCODE_BYTES_MAX:
        raise NotOnMainnet(f"init code must be at most {INITCODE_BYTES_MAX} bytes")
    if tx.gas_limit * tx.max_fee >= 2**256:
        raise NotOnMainnet("gas limit times fee must be below 2**256")
    gas = intrinsic_gas(tx)
    if gas > tx.gas_limit:
        raise NotOnMainnet(f"intrinsic gas is {gas}, the limit {tx.gas_limit}")
    return gas


def intrinsic_gas(tx: Transaction) -> int:
    """Return what mainnet charges before execution (Yellow Paper 6.2; EIP-2930; EIP-3860)."""
    zeros = tx.data.count(0)
    gas = _BASE + _ZERO_BYTE * zeros + _BYTE * (len(tx.data) - zeros)
    if tx.to is None:
        gas += _CREATE + _INITCODE_WORD * ((len(tx.data) + 31) // 32)
    return gas + sum(_ACCESS_ADDRESS + _ACCESS_KEY * len(keys) for _, keys in tx.access_list)
