"""Sealing of negotiation messages: padded to fixed sizes and boxed to the receiver's window key.

Two layers of NaCl boxes (X25519, XSalsa20-Poly1305). The inner one, from the sender's window key,
tells the receiver who speaks; the outer one, from a key used once, hides the sender from the nodes
that pass it on. Layout: once key (32) | outer nonce (24) | box(sender key (32) | inner nonce (24) |
box(length u16 | message | zeros)). Nonces and the once key are derived from the message under the
sender's secret, so no random source is needed and no nonce serves two messages.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from nacl import bindings as sodium
from nacl.exceptions import CryptoError as SodiumError

from crypto.hashing import tagged_hash
from market.agents.errors import BoxRefused

SIZES = (512, 1024, 2048)
"""Padded plaintext sizes, the length prefix included."""
KEY_BYTES = 32
REPLAYS_MAX = 8192
"""Messages that one window key accepts: 64 counterparties, 128 messages of each."""

_NONCE_BYTES = 24
_MAC_BYTES = 16
_LENGTH_BYTES = 2
_OVERHEAD = KEY_BYTES + _NONCE_BYTES + _MAC_BYTES
PAYLOAD_SIZES = tuple(2 * _OVERHEAD + size for size in SIZES)
"""What the relay sees: one of these lengths, nothing else."""


@final
@dataclass(frozen=True, slots=True)
class Opened:
    """An authentic message: `sender` is the window key that sealed it."""

    sender: bytes
    plaintext: bytes


@final
class RelayBox:
    """One window key: seals to others, opens what is sealed to it, each message once."""

    __slots__ = ("_opened", "_secret", "public")

    public: bytes
    """32 bytes: the negotiation key in the offer or call."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"secret must be {KEY_BYTES} bytes, got {len(secret)}")
        self._secret = secret
        self.public: bytes = sodium.crypto_scalarmult_base(secret)
        self._opened: set[bytes] = set()

    def seal(self, to_key: bytes, plaintext: bytes) -> bytes:
        """Return the payload for the relay; equal messages give equal payloads.

        Raises:
            BoxRefused: longer than the largest size holds, or `to_key` is no key: it stands in
                somebody's offer or call and may be anything.
        """
        size = next((s for s in SIZES if s >= len(plaintext) + _LENGTH_BYTES), None)
        if size is None:
            limit = SIZES[-1] - _LENGTH_BYTES
            raise BoxRefused("plaintext", f"must be at most {limit} bytes, got {len(plaintext)}")
        padded = (len(plaintext).to_bytes(_LENGTH_BYTES, "big") + plaintext).ljust(size, b"\0")
        once = tagged_hash(b"hearth/relay/once", self._secret, to_key, padded)
        nonce = tagged_hash(b"hearth/relay/nonce", self._secret, to_key, padded)[:_NONCE_BYTES]
        try:
            inner = sodium.crypto_box(padded, nonce, to_key, self._secret)
            outer = sodium.crypto_box(self.public + nonce + inner, nonce, to_key, once)
        except SodiumError:
            raise BoxRefused("to_key", "must be an X25519 key of large order") from None
        once_public: bytes = sodium.crypto_scalarmult_base(once)
        return once_public + nonce + outer

    def open(
        self, payload: bytes, admits: Callable[[bytes], bool] = lambda _sender: True
    ) -> Opened:
        """Open a payload from the relay.

        Args:
            payload: from anybody.
            admits: asked about the sender's key before the message counts, so that strangers,
                whose keys cost nothing, cannot use up what the key opens.

        Raises:
            BoxRefused: not one of the sizes, not sealed to this key, by nobody's key, not in its
                one form, opened before, not admitted, or one message too many.
        """
        if len(payload) not in PAYLOAD_SIZES:
            raise BoxRefused("payload", f"must be one of {PAYLOAD_SIZES} bytes, got {len(payload)}")
        content = self._unbox("payload", payload)
        sender, nonce = content[:KEY_BYTES], content[KEY_BYTES : KEY_BYTES + _NONCE_BYTES]
        if nonce != payload[KEY_BYTES : KEY_BYTES + _NONCE_BYTES]:
            raise BoxRefused("nonce", "differs between the layers")
        padded = self._unbox("inner", content)
        length = int.from_bytes(padded[:_LENGTH_BYTES], "big")
        plaintext, rest = padded[_LENGTH_BYTES:][:length], padded[_LENGTH_BYTES + length :]
        shortest = next(s for s in SIZES if s >= length + _LENGTH_BYTES or s == SIZES[-1])
        if len(plaintext) != length or any(rest) or len(padded) != shortest:
            raise BoxRefused("padding", "must be zeros up to the next size")
        # The inner box, not the payload: whoever passes it on cannot rewrap it into a new message.
        digest = tagged_hash(b"hearth/relay/seen", sender, padded)
        if digest in self._opened:
            raise BoxRefused("payload", "is a replay")
        if not admits(sender):
            raise BoxRefused("sender", "is not listened to")
        if len(self._opened) >= REPLAYS_MAX:
            raise BoxRefused("payload", f"this key has opened {REPLAYS_MAX} messages already")
        self._opened.add(digest)
        return Opened(sender, plaintext)

    def _unbox(self, field: str, data: bytes) -> bytes:
        key, nonce = data[:KEY_BYTES], data[KEY_BYTES : KEY_BYTES + _NONCE_BYTES]
        try:
            opened: bytes = sodium.crypto_box_open(
                data[KEY_BYTES + _NONCE_BYTES :], nonce, key, self._secret
            )
        except SodiumError:
            raise BoxRefused(field, "is not sealed to this key by the key it names") from None
        return opened
