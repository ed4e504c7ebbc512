"""Digests that accounts sign off chain and contracts check: one tag and field order for each.

`market.agents` makes the same digests from the same constants of `market.abi`; a test compares.
"""

from collections.abc import Mapping

from crypto import codec
from crypto.errors import DecodeError, InvalidSignature
from crypto.hashing import Digest, tagged_hash
from crypto.keys import recover_address, verify_account, verify_ed25519
from market.abi import ACCOUNT_SIGNATURE_BYTES, RevertCode
from vm import gas
from vm.errors import Revert
from vm.native import CallContext


def digest_of(
    tag: bytes, names: tuple[str, ...], values: Mapping[str, int | bytes | str]
) -> Digest:
    """Return tagged_hash(tag, canonical list of the values in the order of `names`)."""
    return tagged_hash(tag, codec.encode([values[name] for name in names]))


def signer_of(ctx: CallContext, digest: bytes, signature: bytes) -> bytes:
    """Return the account (20 bytes) that made the 65-byte `signature` over `digest`.

    Reverts:
        BAD_SIGNATURE: a wrong length or not a signature.
    """
    ctx.charge(gas.SECP256K1_VERIFY)
    if len(signature) != ACCOUNT_SIGNATURE_BYTES:
        detail = f"signature must be {ACCOUNT_SIGNATURE_BYTES} bytes, got {len(signature)}"
        raise Revert(RevertCode.BAD_SIGNATURE, detail)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    try:
        return recover_address(digest, r, s, signature[64])
    except InvalidSignature as error:
        raise Revert(RevertCode.BAD_SIGNATURE, str(error)) from None


def check_account(ctx: CallContext, account: bytes, digest: bytes, signature: bytes) -> None:
    """Accept the 65-byte signature of `account` over `digest`, or revert with BAD_SIGNATURE."""
    ctx.charge(gas.SECP256K1_VERIFY)
    try:
        verify_account(account, digest, signature)
    except (InvalidSignature, DecodeError) as error:
        raise Revert(RevertCode.BAD_SIGNATURE, str(error)) from None


def check_ed25519(ctx: CallContext, key: bytes, digest: bytes, signature: bytes) -> None:
    """Accept the 64-byte Ed25519 signature of `key` over `digest`, or revert with BAD_SIGNATURE."""
    ctx.charge(gas.ED25519_VERIFY)
    try:
        verify_ed25519(key, digest, signature)
    except (InvalidSignature, DecodeError) as error:
        raise Revert(RevertCode.BAD_SIGNATURE, str(error)) from None
