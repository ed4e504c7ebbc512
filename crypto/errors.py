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
class KeystoreError(CryptoError):
    """A key file cannot be written, read or opened."""
