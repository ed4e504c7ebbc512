"""What the network keeps of one peer: its link, and the sums of links that ended."""

import asyncio
from dataclasses import dataclass, field
from typing import final

import aiohttp

from node.p2p.errors import LinkRefused
from node.p2p.link import Link
from node.p2p.member import MemberEndpoint, PeerStats
from node.p2p.reputation import Reputation


@final
@dataclass(slots=True)
class Peer:
    """A member or observer with its link, if there is one, and the sums of links that ended."""

    number: int
    endpoint: MemberEndpoint
    is_observer: bool = False
    link: Link | None = None
    task: asyncio.Task[None] | None = None
    """Dials it or knocks at it."""
    bytes_in: int = 0
    bytes_out: int = 0
    dropped: int = 0
    links: int = 0
    last_error: str = ""
    protocol: int = 0
    """As its last hello said; 0 before one."""
    knock: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is known to be up, so that the next attempt to dial it need not wait."""

    def retire(self, link: Link) -> None:
        """Keep the figures of a link that has ended."""
        self.link = None
        self.bytes_in += link.bytes_in
        self.bytes_out += link.bytes_out
        self.dropped += link.outbox.dropped
        self.last_error = link.end_reason

    def stats(self, reputation: Reputation, now_ms: int, *, is_partitioned: bool) -> PeerStats:
        """Return its figures at this moment."""
        link = self.link
        return PeerStats(
            member=self.number,
            name=self.endpoint.name,
            node_key=self.endpoint.node_key,
            is_observer=self.is_observer,
            is_up=link is not None,
            is_partitioned=is_partitioned,
            bytes_in=self.bytes_in + (link.bytes_in if link else 0),
            bytes_out=self.bytes_out + (link.bytes_out if link else 0),
            queued_bytes=link.outbox.queued_bytes if link else 0,
            dropped_frames=self.dropped + (link.outbox.dropped if link else 0),
            links=self.links,
            score=reputation.score(self.number, now_ms),
            banned_ms=reputation.banned_ms(self.number, now_ms),
            last_error=self.last_error,
            protocol=self.protocol,
        )


def check_callee(endpoint: MemberEndpoint, socket: aiohttp.ClientWebSocketResponse) -> None:
    """Raise LinkRefused unless who answers at the endpoint's address shows its certificate."""
    tls = socket.get_extra_info("ssl_object")
    if tls is None or tls.getpeercert(binary_form=True) != endpoint.certificate:
        raise LinkRefused("the certificate at its address is another one's")
