"""Pedersen commitments C = m·G + v·H_a, and the generators H_a of the assets.

`m` is the mask (a scalar, secret), `v` the amount (64 bits, secret). Money's generator is
Monero's H. Every other asset has H_a = U(asset id), of which nobody knows a multiple in terms of
G, H or another H_b; so sums of different assets never balance, even where a comparison of ids
were forgotten. A generator is never taken from outside, always made from the id: H_b = k·H_a
would turn k of one asset into one of another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NewType, final

from crypto import curve
from crypto.errors import DecodeError

AssetId = NewType("AssetId", bytes)
"""32 bytes; for all but money the hash of network, issuer and name."""

MONEY = AssetId(bytes(32))
"""Asset 0, whose generator is Monero's H."""

AMOUNT_MAX = 2**64 - 1

_ASSET_PERSON = b"hearth/asset/v1"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What opens a commitment: the witness of most proofs. Secret."""

    mask: bytes = field(repr=False)
    amount: int = field(repr=False)

    def __post_init__(self) -> None:
        curve.check_scalar(self.mask, "opening.mask")
        if not 0 <= self.amount <= AMOUNT_MAX:
            raise DecodeError("opening.amount", "must lie in 0..2^64-1")


@lru_cache(maxsize=1024)
def value_generator(asset: AssetId) -> bytes:
    """Return H_a: Monero's H for money, else U(asset id) with this use's own domain.

    Raises:
        DecodeError: the id is not 32 bytes.
    """
    if len(asset) != 32:
        raise DecodeError("asset", f"must be 32 bytes, got {len(asset)}")
    return curve.H if asset == MONEY else curve.hash_to_point_unbiased(_ASSET_PERSON, asset)


def commit(opening: Opening, asset: AssetId = MONEY) -> bytes:
    """Return C = m·G + v·H_a. Constant time in the opening."""
    return curve.commit(opening.mask, opening.amount, value_generator(asset))


def zero_commitment(amount: int, asset: AssetId = MONEY) -> bytes:
    """Return G + v·H_a: the commitment of a public amount, with mask 1 as in Monero."""
    return commit(Opening(mask=curve.ONE, amount=amount), asset)


def is_opened_by(commitment: bytes, opening: Opening, asset: AssetId = MONEY) -> bool:
    """Return whether `opening` opens `commitment`. What a receiver must check of every output."""
    return commit(opening, asset) == commitment


def is_balanced(
    inputs: Sequence[bytes], outputs: Sequence[bytes], *, fee: int = 0, asset: AssetId = MONEY
) -> bool:
    """Return whether the inputs' sum is the outputs' sum + fee·H_a, all of one asset.

    It shows that no amount is created only together with a range proof of every output: without
    one, an output of ℓ - 1 would pay for another of 1.

    Args:
        inputs: commitments, or pseudo-outputs, 32 bytes each; sums are compared as encodings.
        outputs: commitments of the outputs.
        fee: public amount, 0..2^64-1.
        asset: the asset of all of them.

    Raises:
        DecodeError: the fee is out of range.
        InvalidPoint: one of them is not an encoding of a point.
    """
    burnt = curve.commit(curve.ZERO, _checked_amount("fee", fee), value_generator(asset))
    return curve.sum_points(b"".join(inputs)) == curve.sum_points(b"".join((*outputs, burnt)))


def _checked_amount(name: str, amount: int) -> int:
    if not 0 <= amount <= AMOUNT_MAX:
        raise DecodeError(name, f"must lie in 0..2^64-1, got {amount}")
    return amount
