"""Signatures of the simulator: a fast keyed-hash stand-in, and real Ed25519.

The stand-in is unforgeable inside a run because a Byzantine instance runs our code and holds
only its own keyring: it never sees another member's secret.
"""

from functools import lru_cache
from hashlib import blake2b
from typing import final

from consensus.keyring import Ed25519Keyring, Keyring
from crypto.hashing import tagged_hash
from crypto.keys import NodeKey


@final
class StandInKeyring:
    """Signs with BLAKE2b keyed by the member's secret; verifies by recomputing."""

    __slots__ = ("_secret", "_secrets", "public")

    public: bytes | None

    def __init__(self, public: bytes, secret: bytes, secrets: dict[bytes, bytes]) -> None:
        self.public = public
        self._secret = secret
        self._secrets = secrets

    def __deepcopy__(self, memo: dict[int, object]) -> "StandInKeyring":
        return self  # Immutable.

    def sign(self, payload: bytes) -> bytes:
        return blake2b(payload, key=self._secret).digest()

    def verify(self, public: bytes, payload: bytes, signature: bytes) -> bool:
        secret = self._secrets.get(public)
        return secret is not None and blake2b(payload, key=secret).digest() == signature


@final
class ClusterKeys:
    """Keys of a run: of its `n` founders in the order of their public keys, then `more`."""

    def __init__(self, n: int, *, more: int = 0, is_real: bool) -> None:
        seeds = [tagged_hash(b"hearth/sim/key", i.to_bytes(2, "big")) for i in range(n + more)]
        self._real: list[NodeKey] | None = None
        if is_real:
            keys = [NodeKey.from_seed(seed) for seed in seeds]
            self._real = sorted(keys[:n], key=lambda k: k.public) + keys[n:]
            self.public = tuple(key.public for key in self._real)
            return
        self._secrets: dict[bytes, bytes] = {tagged_hash(b"hearth/sim/public", s): s for s in seeds}
        names = list(self._secrets)
        self.public = (*sorted(names[:n]), *names[n:])

    def keyring(self, member: int) -> Keyring:
        """Return what the instances of `member` sign and verify with."""
        if self._real is not None:
            return Ed25519Keyring(self._real[member])
        return StandInKeyring(
            self.public[member], self._secrets[self.public[member]], self._secrets
        )


@lru_cache(maxsize=64)
def cluster_keys(n: int, more: int = 0, *, is_real: bool = False) -> ClusterKeys:
    """Return the keys of every run with `n` founders (they are the same for each seed)."""
    return ClusterKeys(n, more=more, is_real=is_real)
