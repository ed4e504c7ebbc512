"""What the owner of tokens signs so that another may spend them (EIP-2612, EIP-712, EIP-5267).

    separator = H(H("EIP712Domain(…)") | H(name) | H(version) | chain id | token's address)
    permit    = H(H("Permit(…)") | owner | spender | value | nonce | deadline)
    digest    = H(0x1901 | separator | permit)

with H = Keccak-256 and every item in a word of its own, as EIP-712's `encodeData` says.
"""

from functools import lru_cache

from crypto import abi
from crypto.hashing import keccak256

DOMAIN_VERSION = "1"
DOMAIN_FIELDS = bytes((0b01111,))
"""EIP-5267: name, version, chain id and contract stand in the domain; a salt does not."""
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
PERMIT_TYPE = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
SEPARATOR_HASHES = 4
"""Of the type, the name, the version and all; charged whether or not they are remembered."""
PERMIT_HASHES = SEPARATOR_HASHES + 2
V_OFFSET = 27
"""Ethereum's `v` is 27 or 28: the parity of the signature's point, plus this."""

_DOMAIN_TYPE_HASH = keccak256(DOMAIN_TYPE.encode("ascii"))
_PERMIT_TYPE_HASH = keccak256(PERMIT_TYPE.encode("ascii"))
_VERSION_HASH = keccak256(DOMAIN_VERSION.encode("ascii"))


@lru_cache(maxsize=64)
def domain_separator(name: str, chain_id: int, token: bytes) -> bytes:
    """Return the 32 bytes that bind a signature to one token of one chain.

    Args:
        name: the token's, as `name()` answers.
        chain_id: EIP-155.
        token: 20 bytes: the token's address.
    """
    words = (_DOMAIN_TYPE_HASH, keccak256(name.encode()), _VERSION_HASH, chain_id, token)
    return keccak256(abi.encode(("bytes32", "bytes32", "bytes32", "uint256", "address"), words))


def permit_digest(
    separator: bytes, *, owner: bytes, spender: bytes, value: int, nonce: int, deadline: int
) -> bytes:
    """Return the 32 bytes that `owner` signs with its account's key.

    Args:
        separator: of the token (`domain_separator`).
        owner: 20 bytes: whose tokens.
        spender: 20 bytes: who may spend them.
        value: the allowance, in token units.
        nonce: `nonces(owner)`.
        deadline: Unix seconds: the last block time at which it serves.
    """
    types = ("bytes32", "address", "address", "uint256", "uint256", "uint256")
    words = (_PERMIT_TYPE_HASH, owner, spender, value, nonce, deadline)
    return keccak256(b"\x19\x01" + separator + keccak256(abi.encode(types, words)))
