"""What waits to be sent to one peer: a bounded queue for each channel, votes before bulk."""

from collections import deque
from enum import Enum, auto
from typing import final

from node.p2p.config import NetworkConfig
from node.p2p.frames import Channel


class Push(Enum):
    """What became of a frame."""

    QUEUED = auto()
    REFUSED = auto()
    """The channel is full and its frames are not worth more than those that wait."""
    STUCK = auto()
    """The peer does not take what it must have: close the link."""


@final
class Outbox:
    """Pure; at most `NetworkConfig.queue_bytes` a channel."""

    __slots__ = ("_bytes", "_config", "_queues", "dropped")

    def __init__(self, config: NetworkConfig) -> None:
        self._config = config
        self._queues: dict[Channel, deque[bytes]] = {channel: deque() for channel in Channel}
        self._bytes = dict.fromkeys(Channel, 0)
        self.dropped = 0
        """Frames refused or pushed out so far."""

    def __bool__(self) -> bool:
        return any(self._queues.values())

    @property
    def queued_bytes(self) -> int:
        return sum(self._bytes.values())

    def push(self, channel: Channel, frame: bytes) -> Push:
        """Queue a frame; when its channel is full, follow the channel's policy.

        Votes: the peer is stuck. Replies: the new one is refused, it will be asked for again.
        Gossip, relay and READYs: the oldest go, since what is new is worth more.
        """
        limit = self._config.queue_bytes(channel)
        if self._bytes[channel] + len(frame) > limit:
            match channel:
                case Channel.HELLO | Channel.CONSENSUS:
                    return Push.STUCK
                case Channel.CATCH_UP | Channel.SNAPSHOT:
                    self.dropped += 1
                    return Push.REFUSED
                case Channel.TRANSACTIONS | Channel.RELAY | Channel.READY:
                    self._make_room(channel, limit - len(frame))
        self._queues[channel].append(frame)
        self._bytes[channel] += len(frame)
        return Push.QUEUED

    def pop(self) -> bytes | None:
        """Return the next frame: the first of the lowest channel that has one."""
        for channel, queue in self._queues.items():
            if queue:
                frame = queue.popleft()
                self._bytes[channel] -= len(frame)
                return frame
        return None

    def _make_room(self, channel: Channel, limit: int) -> None:
        queue = self._queues[channel]
        while queue and self._bytes[channel] > limit:
            self._bytes[channel] -= len(queue.popleft())
            self.dropped += 1
