"""All keys of a household from one 32-byte entropy, which 24 words restore; and a meter's keys.

Each key is derived under a tag of its own, so none reveals another. A meter's entropy is its own
and never the household's: the household must not be able to sign readings.
"""

from pathlib import Path
from typing import Self, final

from mnemonic import Mnemonic
from nacl.utils import random as random_bytes

from crypto.errors import DecodeError, KeystoreError
from crypto.hashing import Digest, tagged_hash
from crypto.keyfile import Cost, Kind, create, open_keystore
from crypto.keys import SECP256K1_ORDER, AccountKey, NodeKey

__all__ = ["HouseholdKeys", "MeterKeys", "create", "open_keystore"]

ENTROPY_BYTES = 32
WORDS = 24
AGENT_NAME_CHARS_MAX = 64


@final
class HouseholdKeys:
    """A household's keys; `agent` gives one more account for each agent that it names."""

    __slots__ = ("_entropy", "account", "node")

    node: NodeKey
    """Signs votes and authenticates the household's node to its peers."""
    account: AccountKey
    """The member's own account: votes in governance, registers agents."""

    def __init__(self, entropy: bytes) -> None:
        self._entropy = _check_entropy(entropy)
        self.node = NodeKey.from_seed(self._derive(b"hearth/keys/node"))
        self.account = _account(self._derive(b"hearth/keys/account"))

    @classmethod
    def from_entropy(cls, entropy: bytes) -> Self:
        """Return the keys of 32 secret bytes."""
        return cls(entropy)

    @classmethod
    def generate(cls) -> Self:
        """Return fresh keys from the system's random source."""
        return cls(random_bytes(ENTROPY_BYTES))

    @classmethod
    def from_words(cls, words: str) -> Self:
        """Return the keys of a backup: 24 English words (BIP-39), in any case and spacing.

        Raises:
            DecodeError: another number of words, a word that is not in the list (it is named),
                or a wrong checksum.
        """
        book = Mnemonic("english")
        listed = words.lower().split()
        if len(listed) != WORDS:
            raise DecodeError("words", f"must be {WORDS}, got {len(listed)}")
        for place, word in enumerate(listed, start=1):
            if word not in book.wordlist:
                raise DecodeError("words", f"word {place}, {word[:32]!r}, is not in the list")
        try:
            return cls(bytes(book.to_entropy(listed)))
        except ValueError:
            raise DecodeError("words", "checksum is wrong: a word or the order is") from None

    def words(self) -> str:
        """Return the backup: 24 English words (BIP-39). SECRET: they are all keys."""
        return str(Mnemonic("english").to_mnemonic(self._entropy))

    def agent(self, name: str) -> AccountKey:
        """Return the account of an agent: "seller", "buyer", "operator", "external_market"."""
        if not 0 < len(name) <= AGENT_NAME_CHARS_MAX:
            raise DecodeError("name", f"must be 1 to {AGENT_NAME_CHARS_MAX} characters")
        return _account(tagged_hash(b"hearth/keys/agent", self._entropy, name.encode("utf-8")))

    @property
    def wallet_view(self) -> bytes:
        """32 secret bytes from which the wallet's view key is made."""
        return self._derive(b"hearth/keys/wallet/view")

    @property
    def wallet_spend(self) -> bytes:
        """32 secret bytes from which the wallet's spend key is made."""
        return self._derive(b"hearth/keys/wallet/spend")

    @property
    def ring_seed(self) -> bytes:
        """32 secret bytes from which the member's ring key is made."""
        return self._derive(b"hearth/keys/ring")

    @property
    def data_key(self) -> bytes:
        """32-byte key of the household's encrypted data store."""
        return self._derive(b"hearth/keys/data")

    @property
    def relay_box_key(self) -> bytes:
        """32-byte X25519 secret: negotiation messages are boxed to its public key."""
        return self._derive(b"hearth/keys/relay-box")

    def save(self, path: Path, password: str, *, cost: Cost = "moderate") -> None:
        """Write a new key file (`keyfile.create`)."""
        create(path, kind="household", secret=self._entropy, password=password, cost=cost)

    @classmethod
    def load(cls, path: Path, password: str) -> Self:
        """Read a key file (`keyfile.open_keystore`)."""
        return cls(_load(path, password, "household"))

    def _derive(self, tag: bytes) -> Digest:
        return tagged_hash(tag, self._entropy)

    def __repr__(self) -> str:
        return f"HouseholdKeys(node={self.node!r}, account={self.account!r})"


@final
class MeterKeys:
    """A meter's keys, held by the meter's process alone."""

    __slots__ = ("_entropy", "account")

    account: AccountKey
    """Signs the meter's records, and its transactions."""

    def __init__(self, entropy: bytes) -> None:
        self._entropy = _check_entropy(entropy)
        self.account = _account(tagged_hash(b"hearth/keys/meter/account", entropy))

    @classmethod
    def from_entropy(cls, entropy: bytes) -> Self:
        """Return the keys of 32 secret bytes, which must not be the household's."""
        return cls(entropy)

    @classmethod
    def generate(cls) -> Self:
        """Return fresh keys from the system's random source."""
        return cls(random_bytes(ENTROPY_BYTES))

    @property
    def ring_seed(self) -> bytes:
        """32 secret bytes from which the meter's ring key is made."""
        return tagged_hash(b"hearth/keys/meter/ring", self._entropy)

    def save(self, path: Path, password: str, *, cost: Cost = "moderate") -> None:
        """Write a new key file (`keyfile.create`)."""
        create(path, kind="meter", secret=self._entropy, password=password, cost=cost)

    @classmethod
    def load(cls, path: Path, password: str) -> Self:
        """Read a key file (`keyfile.open_keystore`)."""
        return cls(_load(path, password, "meter"))

    def __repr__(self) -> str:
        return f"MeterKeys(account={self.account!r})"


def _account(digest: Digest) -> AccountKey:
    """Return the account of a derived secret, brought into 1..n-1 (bias below 2**-127)."""
    scalar = int.from_bytes(digest, "big") % (SECP256K1_ORDER - 1) + 1
    return AccountKey.from_secret(scalar.to_bytes(32, "big"))


def _check_entropy(entropy: bytes) -> bytes:
    if len(entropy) != ENTROPY_BYTES:
        raise DecodeError("entropy", f"must be {ENTROPY_BYTES} bytes, got {len(entropy)}")
    return bytes(entropy)


def _load(path: Path, password: str, kind: Kind) -> bytes:
    secret = open_keystore(path, password, kind=kind)
    if len(secret) != ENTROPY_BYTES:
        raise KeystoreError(f"{path} holds {len(secret)} bytes, expected {ENTROPY_BYTES}")
    return secret
