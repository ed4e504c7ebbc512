"""Where a replica's signatures come from: Ed25519 in a node, a keyed hash in the simulator."""

from typing import Protocol, final

from crypto.errors import InvalidSignature
from crypto.keys import NodeKey, verify_ed25519


class Keyring(Protocol):
    """Signs for one member and verifies for all. Pure: no clock, no random source."""

    @property
    def public(self) -> bytes | None:
        """Own public key, which names the member in a `Membership`; None: follow, never vote."""

    def sign(self, payload: bytes) -> bytes:
        """Return the 64-byte signature of `payload`; never called when `public` is None."""

    def verify(self, public: bytes, payload: bytes, signature: bytes) -> bool:
        """Whether `signature` over `payload` is by the holder of `public`."""


@final
class Ed25519Keyring:
    """The keyring of a node. `key` None makes a follower."""

    __slots__ = ("_key",)

    def __init__(self, key: NodeKey | None) -> None:
        self._key = key

    @property
    def public(self) -> bytes | None:
        return None if self._key is None else self._key.public

    def sign(self, payload: bytes) -> bytes:
        if self._key is None:
            raise ValueError("a follower has no key to sign with")
        return self._key.sign(payload)

    def verify(self, public: bytes, payload: bytes, signature: bytes) -> bool:
        try:
            verify_ed25519(public, payload, signature)
        except InvalidSignature:
            return False
        return True
