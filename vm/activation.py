"""Activations: the transaction by which an accepted change of the member set takes effect.

It carries READY signatures from a quorum of the *new* set (research rule 29): whoever signs has
the chain up to a recent height, so the change cannot stop it. Unsigned as a whole, it needs no
account, no nonce and no quota; a block holds at most one, before everything but due deadlines.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, final

from crypto import codec
from crypto.errors import DecodeError, InvalidSignature
from crypto.hashing import Digest, keccak256, tagged_hash
from crypto.keys import ED25519_SIGNATURE_BYTES, verify_ed25519
from vm.members import MEMBERS_MAX, NODE_KEY_BYTES

ACTIVATION_TYPE: Final = 0x7D
"""First byte of an activation; no Ethereum type may reach 0x80 (EIP-2718)."""
READY_SPAN: Final = 64
"""A READY names one of so many heights below the block that carries it."""
ACTIVATION_BYTES_MAX: Final = 32 * 1024

_READY_TAG = b"hearth/ready"
_U64 = 2**64


def ready_digest(genesis_hash: bytes, proposal_id: int, keys: Digest, height: int) -> Digest:
    """Return what a READY signs.

    Args:
        genesis_hash: 32 bytes; binds it to this chain.
        proposal_id: of the accepted proposal, below 2**64.
        keys: `vm.members.keys_hash` of the new set's keys.
        height: of a block that the signer holds, state included; below 2**64.
    """
    numbers = (proposal_id.to_bytes(8, "big"), height.to_bytes(8, "big"))
    return tagged_hash(_READY_TAG, genesis_hash, numbers[0], keys, numbers[1])


@final
@dataclass(frozen=True, slots=True)
class Ready:
    """A node of the new set says: I hold the chain up to `height` and shall vote."""

    node_key: bytes
    """32 bytes."""
    height: int
    signature: bytes
    """64 bytes, Ed25519 by `node_key` over `ready_digest`."""

    def __post_init__(self) -> None:
        if len(self.node_key) != NODE_KEY_BYTES:
            raise DecodeError("ready.node_key", f"must be 32 bytes, got {len(self.node_key)}")
        if not 0 <= self.height < _U64:
            raise DecodeError("ready.height", f"must lie in 0..2**64-1, got {self.height}")
        if len(self.signature) != ED25519_SIGNATURE_BYTES:
            raise DecodeError("ready.signature", f"must be 64 bytes, got {len(self.signature)}")

    def verify(self, genesis_hash: bytes, proposal_id: int, keys: Digest) -> None:
        """Accept the signature for a proposal and a new set, or raise InvalidSignature."""
        digest = ready_digest(genesis_hash, proposal_id, keys, self.height)
        verify_ed25519(self.node_key, digest, self.signature)

    def is_signed(self, genesis_hash: bytes, proposal_id: int, keys: Digest) -> bool:
        """Return whether `verify` accepts it."""
        try:
            self.verify(genesis_hash, proposal_id, keys)
        except InvalidSignature:
            return False
        return True


@final
@dataclass(frozen=True)
class ActivationTransaction:
    """An accepted proposal and the READYs that make it take effect.

    Raises:
        DecodeError: from the constructor: a number out of range, no READY, or their order.
    """

    proposal_id: int
    readies: tuple[Ready, ...]
    """Ascending by node key, distinct."""

    def __post_init__(self) -> None:
        if not 0 < self.proposal_id < _U64:
            message = f"must lie in 1..2**64-1, got {self.proposal_id}"
            raise DecodeError("activation.proposal_id", message)
        count = len(self.readies)
        if not 0 < count <= MEMBERS_MAX:
            raise DecodeError("activation.readies", f"must be 1 to {MEMBERS_MAX}, got {count}")
        keys = [ready.node_key for ready in self.readies]
        if any(keys[i] >= keys[i + 1] for i in range(count - 1)):
            raise DecodeError("activation.readies", "must be ascending by node key, distinct")

    @cached_property
    def raw(self) -> bytes:
        """The one encoding: the type byte and [proposal_id, [[node_key, height, signature], …]]."""
        rows: list[codec.Encodable] = [
            [ready.node_key, ready.height, ready.signature] for ready in self.readies
        ]
        return bytes((ACTIVATION_TYPE,)) + codec.encode([self.proposal_id, rows])

    @cached_property
    def hash(self) -> bytes:
        """Keccak-256 of `raw`, as for every other transaction."""
        return keccak256(self.raw)


def is_activation(raw: bytes) -> bool:
    """Return whether raw bytes claim to be an activation."""
    return raw[:1] == bytes((ACTIVATION_TYPE,))


def decode_activation(raw: bytes) -> ActivationTransaction:
    """Return the activation whose one encoding is `raw`, or raise DecodeError naming the field."""
    if not is_activation(raw):
        raise DecodeError("activation.type", f"must be {ACTIVATION_TYPE:#x}")
    value = codec.decode(raw[1:], field="activation", max_bytes=ACTIVATION_BYTES_MAX - 1)
    proposal_id, rows = codec.as_list(value, "activation", length=2)
    items = codec.as_list(rows, "activation.readies", max_length=MEMBERS_MAX)
    return ActivationTransaction(
        codec.as_int(proposal_id, "activation.proposal_id"),
        tuple(_read_ready(item) for item in items),
    )


def _read_ready(value: codec.Value) -> Ready:
    node_key, height, signature = codec.as_list(value, "ready", length=3)
    return Ready(
        codec.as_bytes(node_key, "ready.node_key", NODE_KEY_BYTES),
        codec.as_int(height, "ready.height"),
        codec.as_bytes(signature, "ready.signature", ED25519_SIGNATURE_BYTES),
    )
