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


@final
class InvalidProof(CryptoError):
    """A Merkle proof does not lead to the root, or is not in its one allowed form."""


@final
class KeystoreError(CryptoError):
    """A key file cannot be written, read or opened."""
