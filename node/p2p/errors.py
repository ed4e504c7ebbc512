"""Errors of the peer network that callers may catch."""

from typing import final


class PeerError(Exception):
    """Base of the errors of this package."""


@final
class CertificateError(PeerError, ValueError):
    """A member's certificate is not the one form that its node key allows."""


class LinkRefused(PeerError):
    """One side refuses the link; the text is the reason that the other side is told."""


@final
class OtherWireVersion(LinkRefused):
    """The two ends do not speak the same version; the text says which of them is too old.

    Attributes:
        ours, theirs: the versions.
    """

    def __init__(self, ours: int, theirs: int) -> None:
        super().__init__(
            f"hello.version must be {ours}, got {theirs}: {needs_update(min(ours, theirs))}"
        )
        self.ours = ours
        self.theirs = theirs


def needs_update(version: int) -> str:
    """Return the words for a node of the older wire version; `node.obstacles` looks for them."""
    return f"the node of wire version {version} needs an update"
