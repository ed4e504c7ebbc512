"""What the node's parts need of the peer network: the real one, or one in memory for tests."""

from typing import Protocol

from node.p2p.frames import Channel


class Links(Protocol):
    """Authenticated links to the other members, addressed by index; sending never waits."""

    def send(self, member: int, channel: Channel, payload: bytes) -> bool:
        """Queue for one member; False if its link is down or the frame was dropped."""

    def broadcast(self, channel: Channel, payload: bytes, except_: int | None = None) -> None:
        """Queue for all members whose link is up, but for `except_`."""

    def suspect(self, member: int, reason: str, points: int = 10) -> None:
        """Charge a member for bad input."""

    @property
    def up(self) -> frozenset[int]:
        """The members whose links are open."""
