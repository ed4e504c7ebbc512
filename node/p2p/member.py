"""What the peer network is told about a member, and what it tells about one."""

from dataclasses import dataclass
from typing import final

from node.p2p.frames import NAME_LENGTH_MAX
from node.p2p.identity import check_certificate


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEndpoint:
    """Where a member is reached and by what it is known."""

    index: int
    """Place in the member set of the epoch; of an observer, among the observers."""
    name: str
    node_key: bytes
    """Ed25519, 32 bytes."""
    certificate: bytes
    """DER, made from the node key (`node.p2p.identity.make_certificate`)."""
    host: str
    port: int

    def __post_init__(self) -> None:
        check_certificate(self.certificate, self.node_key)
        if not 0 < len(self.name) <= NAME_LENGTH_MAX:
            raise ValueError(f"name must have 1 to {NAME_LENGTH_MAX} characters, got {self.name!r}")
        if not 0 < self.port < 1 << 16:
            raise ValueError(f"port must lie in 1..65535, got {self.port}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStats:
    """What is known of one peer at this moment; counters are of this process's life."""

    member: int
    """Its number in the node's roster."""
    name: str
    node_key: bytes
    is_observer: bool
    """Whether it is an accepted candidate rather than a member."""
    is_up: bool
    is_partitioned: bool
    bytes_in: int
    bytes_out: int
    queued_bytes: int
    dropped_frames: int
    links: int
    """How many links were opened so far."""
    score: int
    banned_ms: int
    last_error: str
    """Why the last link ended or could not be opened; empty if never."""
    protocol: int
    """Newest version of the rules that its software supports; 0 as long as it has not said so."""
