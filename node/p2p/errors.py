"""Errors of the peer network that callers may catch."""

from typing import final


class PeerError(Exception):
    """Base of the errors of this package."""


@final
class CertificateError(PeerError, ValueError):
    """A member's certificate is not the one form that its node key allows."""


@final
class LinkRefused(PeerError):
    """One side refuses the link; the text is the reason that the other side is told."""
