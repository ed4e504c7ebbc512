"""The errors that this package raises; each names what was expected and what came."""

from typing import final


class CryptoError(Exception):
    """Base of all errors of this package."""


@final
class DecodeError(CryptoError, ValueError):
    """Bytes or text from outside do not have the one form that is allowed.

    Attributes:
        field: name of the field at fault, as a reader of the message knows it ("tx.nonce").
        reason: what was expected and what came.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason

    def __reduce__(self) -> tuple[type["DecodeError"], tuple[str, str]]:
        """Pickle by both arguments: a worker process may hand the error back."""
        return (DecodeError, (self.field, self.reason))


@final
class EncodeError(CryptoError, ValueError):
    """Our own value does not fit the encoding: the caller's mistake."""


@final
class InvalidSignature(CryptoError):
    """A signature does not verify, or is not in its one allowed form."""


class InvalidProof(CryptoError):
    """A proof does not show what it claims, or is not in its one allowed form."""


@final
class StealthError(InvalidProof):
    """An output does not belong to the wallet, or does not hold what its sender says."""


@final
class ClsagError(InvalidProof):
    """A ring signature of an input does not verify."""


@final
class RangeProofError(InvalidProof):
    """A Bulletproof+ does not show that all the committed values lie in 0..2^64-1."""


@final
class MemberRingError(InvalidProof):
    """A scoped ring signature, or a registered key's proof of possession, does not verify."""


@final
class LinearProofError(InvalidProof):
    """A proof of opening, of equality, of a public value or of a product does not verify."""


@final
class MoneroError(InvalidProof):
    """A Monero transaction breaks a rule of its chain, or one of its proofs does not verify."""


@final
class KeystoreError(CryptoError):
    """A key file cannot be written, read or opened."""


class _InvalidElement(CryptoError, ValueError):
    """Shared shape of the two errors below: a field and what was expected of it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason

    def __reduce__(self) -> tuple[type["_InvalidElement"], tuple[str, str]]:
        """Pickle by both arguments: a worker process may hand the error back."""
        return (type(self), (self.field, self.reason))


@final
class InvalidPoint(_InvalidElement):
    """Bytes are not a point of the curve in its one allowed form, or not of the order asked.

    Attributes:
        field: name of the point at fault ("ring.keys[3]").
        reason: what was expected and what came.
    """


@final
class InvalidScalar(_InvalidElement):
    """Bytes are not a scalar below the group order ℓ, or zero where that is not allowed.

    Attributes:
        field: name of the scalar at fault ("s[3]").
        reason: what was expected and what came.
    """
