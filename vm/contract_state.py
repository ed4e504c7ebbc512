"""Where the state keeps what bytecode needs: code, storage slots, and the newest block hashes.

Code is stored under its hash, once however many contracts share it, and never deleted: since
EIP-6780 a contract outlives its transaction or has never had a record. So a light client proves a
contract's code in two steps, the account with its code hash and the code under that hash.
"""

from crypto.codec import int_to_bytes
from vm import accounts
from vm.state import Journal, StateReader

BLOCK_HASHES = 256
"""Blocks whose hashes BLOCKHASH can return (Yellow Paper, appendix H)."""

_CODE = b"c"
_SLOT = b"e"
_BLOCK_HASH = b"h"


def code_key(code_hash: bytes) -> bytes:
    """Return the state key of the code whose Keccak-256 is `code_hash` (32 bytes)."""
    return _CODE + code_hash


def slot_key(address: bytes, slot: int) -> bytes:
    """Return the state key of a storage slot (below 2**256) of the contract at `address`."""
    return _SLOT + address + slot.to_bytes(32, "big")


def block_hash_key(number: int) -> bytes:
    """Return the state key in the ring of block hashes for the block with this number."""
    return _BLOCK_HASH + bytes((number % BLOCK_HASHES,))


def read_code(state: StateReader | Journal, code_hash: bytes) -> bytes:
    """Return the code with this hash, which an account has; empty for the empty hash."""
    if not code_hash:
        return b""
    code = state.get(code_key(code_hash))
    assert code is not None, "an account with a code hash was written together with its code"
    return code


def code_at(state: StateReader | Journal, address: bytes) -> bytes:
    """Return the bytecode at an address (20 bytes); empty if nobody created any there."""
    return read_code(state, accounts.read_account(state, address).code_hash)


def storage_at(state: StateReader | Journal, address: bytes, slot: int) -> int:
    """Return the value in a storage slot; 0 if nothing was stored."""
    value = state.get(slot_key(address, slot))
    return 0 if value is None else int.from_bytes(value, "big")


def write_storage(journal: Journal, address: bytes, slot: int, value: int) -> None:
    """Store a value below 2**256, big-endian without leading zeros; 0 deletes."""
    journal.put(slot_key(address, slot), int_to_bytes(value))


def remember_parent(journal: Journal, height: int, parent_hash: bytes) -> None:
    """Enter the parent's hash into the ring, before anything in the block at `height` runs.

    As EIP-2935 does: so BLOCKHASH depends on nothing but the state, also on a node that has
    begun with a snapshot of it.
    """
    journal.put(block_hash_key(height - 1), parent_hash)


def block_hash(state: StateReader | Journal, height: int, number: int) -> int:
    """Return what BLOCKHASH gives in the block at `height`: 0 but for the 256 blocks before it."""
    if not max(0, height - BLOCK_HASHES) <= number < height:
        return 0
    value = state.get(block_hash_key(number))
    return 0 if value is None else int.from_bytes(value, "big")
