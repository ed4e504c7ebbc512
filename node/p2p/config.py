"""Limits and patience of the peer network; local to a node, not shared through genesis."""

from dataclasses import dataclass
from typing import final

from node.p2p.frames import FRAME_BYTES_MAX, Channel
from vm.versions import SUPPORTED_PROTOCOLS


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Times in milliseconds, sizes in bytes."""

    protocol: int = SUPPORTED_PROTOCOLS[-1]
    """Newest version of the rules of blocks that this node supports: its hello says so."""
    dial_base_ms: int = 100
    """First pause between attempts to dial; doubles, with jitter."""
    dial_cap_ms: int = 2_000
    handshake_ms: int = 5_000
    """TLS, WebSocket upgrade and hello together."""
    silence_ms: int = 5_000
    """A link on which nothing came for so long is dead. Ten heartbeats of consensus."""
    replace_ms: int = 1_500
    """A second link for a key is refused unless nothing came on the first for so long."""
    stuck_ms: int = 10_000
    """A peer that takes nothing from its socket for so long is disconnected."""
    housekeeping_ms: int = 1_000
    inbound_bytes_per_s: int = 16 << 20
    """Above it the node stops reading from that peer, and TCP slows the peer down."""
    inbound_burst_bytes: int = 32 << 20
    consensus_queue_bytes: int = 12 << 20
    """A peer whose votes pile up so far is disconnected: it catches up when it is back."""
    catch_up_queue_bytes: int = 9 << 20
    """Further replies are not queued: the peer asks again."""
    gossip_queue_bytes: int = 4 << 20
    """Transactions; the oldest are dropped."""
    relay_queue_bytes: int = 2 << 20
    """Negotiation envelopes; the oldest are dropped."""
    snapshot_queue_bytes: int = 5 << 20
    """Parts of snapshots; further ones are not queued: the peer asks again."""
    ready_queue_bytes: int = 256 << 10
    """READYs; the oldest are dropped, and what is missing is told again."""
    score_limit: int = 100
    """Points of suspicion at which a peer is disconnected."""
    score_decay_per_s: int = 1
    ban_ms: int = 30_000
    """How long links of a peer over the limit are refused."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if min(self.consensus_queue_bytes, self.catch_up_queue_bytes) < FRAME_BYTES_MAX:
            raise ValueError(f"queues must hold the largest frame, {FRAME_BYTES_MAX} bytes")
        if self.replace_ms > self.silence_ms:
            raise ValueError("replace_ms must be at most silence_ms: a dead link is replaceable")

    def queue_bytes(self, channel: Channel) -> int:
        """Return the bound of a channel's outbound queue to one peer."""
        match channel:
            case Channel.HELLO | Channel.CONSENSUS:
                return self.consensus_queue_bytes
            case Channel.CATCH_UP:
                return self.catch_up_queue_bytes
            case Channel.TRANSACTIONS:
                return self.gossip_queue_bytes
            case Channel.RELAY:
                return self.relay_queue_bytes
            case Channel.READY:
                return self.ready_queue_bytes
            case Channel.SNAPSHOT:
                return self.snapshot_queue_bytes
