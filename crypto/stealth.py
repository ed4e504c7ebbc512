"""Stealth outputs as Monero's: one-time keys, view tags, hidden amounts, key images, scanning.

Symbols (docs/spec/privacy.md): wallet secrets a (view), b (spend); A = a·G, B = b·G; sender's
secret r, R = r·G; D8 = 8·a·R = 8·r·A; s_i = Hs(D8 | varint i); P_i = s_i·G + B; x_i = s_i + b;
I_i = x_i·Hp(P_i). There are no subaddresses: one account for each identity leaves nothing that
a Janus attack could link. Source: CryptoNote 2.0, section 4; formulas of Monero 0.18.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

from crypto import curve
from crypto.errors import DecodeError, StealthError
from crypto.hashing import keccak256
from crypto.pedersen import AMOUNT_MAX, MONEY, AssetId, Opening, commit, is_opened_by
from crypto.transcript import SYSTEM_RNG, Rng, hedged_scalars
from crypto.varint import write_varint

AMOUNT_BYTES = 8
OUTPUT_INDEX_MAX = 2**32 - 1

_VIEW_TAG = b"view_tag"
_AMOUNT = b"amount"
_MASK = b"commitment_mask"
_SENDER_SECRET = b"hearth/stealth/tx_secret/v1"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where to pay: public spend key B and public view key A, 32 bytes each, of prime order."""

    spend: bytes
    view: bytes

    def __post_init__(self) -> None:
        curve.check_prime_order(self.spend, "address.spend")
        curve.check_prime_order(self.view, "address.view")

    def to_bytes(self) -> bytes:
        """Return B | A, 64 bytes."""
        return self.spend + self.view

    @classmethod
    def from_bytes(cls, data: bytes) -> "Address":
        """Parse B | A.

        Raises:
            DecodeError: not 64 bytes.
            InvalidPoint: a key is not canonical, is the identity, or is not of prime order.
        """
        if len(data) != 64:
            raise DecodeError("address", f"must be 64 bytes, got {len(data)}")
        return cls(spend=data[:32], view=data[32:])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WalletKeys:
    """The wallet's secrets b and a: non-zero scalars, independent of each other."""

    spend_secret: bytes = field(repr=False)
    view_secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        for name, secret in (("spend", self.spend_secret), ("view", self.view_secret)):
            curve.check_scalar(secret, f"wallet.{name}_secret")
            if secret == curve.ZERO:
                raise DecodeError(f"wallet.{name}_secret", "must not be zero")

    @property
    def address(self) -> Address:
        """B and A."""
        return Address(
            spend=curve.base_mul(self.spend_secret), view=curve.base_mul(self.view_secret)
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What is published of an output; all of it is a stranger's claim until it is received."""

    tx_key: bytes
    """R, the sender's public key."""
    index: int
    """i, place in the transaction."""
    key: bytes
    """P_i, the one-time key."""
    view_tag: int
    """0..255."""
    encrypted_amount: bytes
    """8 bytes."""
    commitment: bytes
    """C_i."""
    asset: AssetId = MONEY

    def __post_init__(self) -> None:
        for name, value in (("tx_key", self.tx_key), ("key", self.key), ("c", self.commitment)):
            if len(value) != 32:
                raise DecodeError(f"output.{name}", f"must be 32 bytes, got {len(value)}")
        if len(self.encrypted_amount) != AMOUNT_BYTES:
            raise DecodeError(
                "output.encrypted_amount", f"must be 8 bytes, got {len(self.encrypted_amount)}"
            )
        if not 0 <= self.view_tag <= 255 or not 0 <= self.index <= OUTPUT_INDEX_MAX:
            raise DecodeError("output", "view tag or index out of range")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedOutput:
    """An output that the wallet can spend. Secret."""

    output: Output
    secret: bytes = field(repr=False)
    """x_i, with P_i = x_i·G."""
    opening: Opening
    key_image: bytes


def sender_secret(keys: WalletKeys, key_images: Sequence[bytes], *, rng: Rng = SYSTEM_RNG) -> bytes:
    """Return a transaction's secret r, bound to the inputs that it spends.

    Two transactions of a wallet never spend the same inputs, so they never share r, even where
    the random source fails; a repeated r to one receiver repeats a one-time key, and of outputs
    with equal keys only one can ever be spent (the burning bug, 2018).
    """
    secrets = keys.spend_secret + keys.view_secret
    (secret,) = hedged_scalars(
        _SENDER_SECRET, secrets=secrets, message=b"".join(key_images), count=1, rng=rng
    )
    return secret


def derivation(secret: bytes, point: bytes) -> bytes:
    """Return D8 = 8·(secret·point): of (a, R) for the receiver, of (r, A) for the sender.

    Constant time. `secret` and the result are secret.

    Raises:
        InvalidPoint: `point` does not decode.
        InvalidScalar: `secret` is not canonical.
    """
    return curve.mul8(curve.mul(secret, point))


def output_scalar(shared: bytes, index: int) -> bytes:
    """Return s_i = Hs(D8 | varint i). `shared` is D8. Secret."""
    return curve.hash_to_scalar(shared + write_varint(index))


def view_tag(shared: bytes, index: int) -> int:
    """Return the first byte of K("view_tag" | D8 | varint i): it spares 255 of 256 attempts."""
    return keccak256(_VIEW_TAG + shared + write_varint(index))[0]


def one_time_key(shared: bytes, index: int, spend: bytes) -> bytes:
    """Return P_i = s_i·G + B."""
    return curve.add(curve.base_mul(output_scalar(shared, index)), spend)


def one_time_secret(shared: bytes, index: int, spend_secret: bytes) -> bytes:
    """Return x_i = s_i + b."""
    return curve.sc_add(output_scalar(shared, index), spend_secret)


def spend_key_of(shared: bytes, index: int, key: bytes) -> bytes:
    """Return B' = P_i - s_i·G, the spend key that an output with key P_i is for."""
    return curve.sub(key, curve.base_mul(output_scalar(shared, index)))


def encrypt_amount(scalar: bytes, amount: int) -> bytes:
    """Return LE64(amount) xor the first 8 bytes of K("amount" | s_i)."""
    if not 0 <= amount <= AMOUNT_MAX:
        raise DecodeError("amount", f"must lie in 0..2^64-1, got {amount}")
    pad = keccak256(_AMOUNT + scalar)[:AMOUNT_BYTES]
    return bytes(
        left ^ right for left, right in zip(amount.to_bytes(8, "little"), pad, strict=True)
    )


def decrypt_amount(scalar: bytes, encrypted: bytes) -> int:
    """Return the amount that `encrypt_amount` hid; anything at all if it was not made for s_i."""
    if len(encrypted) != AMOUNT_BYTES:
        raise DecodeError("encrypted_amount", f"must be 8 bytes, got {len(encrypted)}")
    pad = keccak256(_AMOUNT + scalar)[:AMOUNT_BYTES]
    plain = bytes(left ^ right for left, right in zip(encrypted, pad, strict=True))
    return int.from_bytes(plain, "little")


def commitment_mask(scalar: bytes) -> bytes:
    """Return m_i = Hs("commitment_mask" | s_i). Secret."""
    return curve.hash_to_scalar(_MASK + scalar)


def key_image(secret: bytes, key: bytes) -> bytes:
    """Return I = x·Hp(P), the same in every spend of P and linkable to nothing else.

    Constant time in `secret`.
    """
    return curve.mul(secret, curve.hash_to_point(key))


def check_key_image(image: bytes) -> None:
    """Accept a canonical encoding of a point of prime order other than the identity, or raise.

    Each point of small order added to I would be one more spend of the same output (Monero,
    2017); two encodings of one point would be two key images.

    Raises:
        InvalidPoint: it is not one.
    """
    curve.check_prime_order(image, "key_image")


def make_output(
    to: Address, *, tx_secret: bytes, index: int, amount: int, asset: AssetId = MONEY
) -> tuple[Output, Opening]:
    """Return output `index` of a transaction with secret r = `tx_secret`, and its opening.

    Raises:
        DecodeError: amount or index out of range.
        InvalidScalar: `tx_secret` is not canonical.
    """
    shared = derivation(tx_secret, to.view)
    scalar = output_scalar(shared, index)
    opening = Opening(mask=commitment_mask(scalar), amount=amount)
    output = Output(
        tx_key=curve.base_mul(tx_secret),
        index=index,
        key=one_time_key(shared, index, to.spend),
        view_tag=view_tag(shared, index),
        encrypted_amount=encrypt_amount(scalar, amount),
        commitment=commit(opening, asset),
        asset=asset,
    )
    return output, opening


def receive(keys: WalletKeys, output: Output) -> OwnedOutput:
    """Return what the wallet needs to spend `output`, or raise.

    The commitment is opened before anything is credited: the amount of a stranger's output is
    what C_i holds, never what its encrypted field says. The caller credits a one-time key once
    only, whatever the number of outputs that carry it.

    Raises:
        StealthError: the output is for somebody else, or its commitment does not open.
        InvalidPoint: R or P_i is not a point.
    """
    shared = derivation(keys.view_secret, output.tx_key)
    if view_tag(shared, output.index) != output.view_tag:
        raise StealthError("view tag is of another wallet")
    return _open(keys, output, shared)


def scan_block(keys: WalletKeys, outputs: Sequence[Output]) -> list[OwnedOutput]:
    """Return the outputs that the wallet can spend, in order, as `receive` would one by one.

    One call of the backend for all; outputs of one transaction, side by side, share their
    derivation. An output that is for the wallet but does not open is left out. Time tells how
    many were found: to be run where no stranger sees an answer come sooner or later.
    """
    found = curve.scan(
        keys.view_secret,
        curve.base_mul(keys.spend_secret),
        tx_pubkeys=b"".join(output.tx_key for output in outputs),
        output_indexes=[output.index for output in outputs],
        output_keys=b"".join(output.key for output in outputs),
        view_tags=bytes(output.view_tag for output in outputs),
    )
    owned: list[OwnedOutput] = []
    for position, shared in found:
        try:
            owned.append(_open(keys, outputs[position], shared))
        except StealthError:
            continue
    return owned


def _open(keys: WalletKeys, output: Output, shared: bytes) -> OwnedOutput:
    """Check key and commitment against D8 = `shared`."""
    secret = one_time_secret(shared, output.index, keys.spend_secret)
    if curve.base_mul(secret) != output.key:
        raise StealthError("one-time key is of another wallet")
    scalar = output_scalar(shared, output.index)
    amount = decrypt_amount(scalar, output.encrypted_amount)
    opening = Opening(mask=commitment_mask(scalar), amount=amount)
    if not is_opened_by(output.commitment, opening, output.asset):
        raise StealthError("commitment does not open to the amount that the output states")
    return OwnedOutput(
        output=output, secret=secret, opening=opening, key_image=key_image(secret, output.key)
    )
