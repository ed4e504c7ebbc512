"""Links between nodes of one event loop, with the interface of `node.p2p.network.PeerNetwork`."""

import asyncio
from collections.abc import Callable

from node.p2p.frames import Channel, decode_frame, encode_frame


class MemoryLinks:
    """One node's end. Frames arrive in a later turn of the loop, in order, or not at all."""

    def __init__(self, hub: "MemoryNetwork", me: int) -> None:
        self._hub = hub
        self._me = me
        self.on_frame: Callable[[int, Channel, bytes], None] = lambda *_: None
        self.on_up: Callable[[int], None] = lambda _: None
        self.on_down: Callable[[int], None] = lambda _: None
        self.suspicions: list[tuple[int, str]] = []
        self.frames_out = 0

    def send(self, member: int, channel: Channel, payload: bytes) -> bool:
        self.frames_out += 1
        return self._hub.carry(self._me, member, encode_frame(channel, payload))

    def broadcast(self, channel: Channel, payload: bytes, except_: int | None = None) -> None:
        for member in self.up:
            if member != except_:
                self.send(member, channel, payload)

    def suspect(self, member: int, reason: str, points: int = 10) -> None:
        self.suspicions.append((member, reason))

    @property
    def up(self) -> frozenset[int]:
        return self._hub.reachable(self._me)


class MemoryNetwork:
    """Joins the ends that are attached; a cut link is closed at once on both sides."""

    def __init__(self) -> None:
        self._ends: dict[int, MemoryLinks] = {}
        self._cut: set[frozenset[int]] = set()

    def links(self, me: int) -> MemoryLinks:
        return MemoryLinks(self, me)

    def attach(self, me: int, end: MemoryLinks) -> None:
        self._ends[me] = end
        for other in self.reachable(me):
            self._tell(me, other, is_up=True)

    def detach(self, me: int) -> None:
        """As when the process is killed."""
        others = self.reachable(me)
        del self._ends[me]
        for other in others:
            self._ends[other].on_down(me)

    def cut(self, a: int, b: int) -> None:
        if b in self.reachable(a):
            self._cut.add(frozenset((a, b)))
            self._tell(a, b, is_up=False)

    def heal(self, a: int, b: int) -> None:
        self._cut.discard(frozenset((a, b)))
        if b in self.reachable(a):
            self._tell(a, b, is_up=True)

    def reachable(self, me: int) -> frozenset[int]:
        if me not in self._ends:
            return frozenset()
        return frozenset(m for m in self._ends if m != me and frozenset((m, me)) not in self._cut)

    def carry(self, source: int, target: int, frame: bytes) -> bool:
        if target not in self.reachable(source):
            return False
        end = self._ends[target]
        channel, payload = decode_frame(frame)

        def deliver() -> None:
            if self._ends.get(target) is end and target in self.reachable(source):
                end.on_frame(source, channel, payload)

        asyncio.get_running_loop().call_soon(deliver)
        return True

    def _tell(self, a: int, b: int, *, is_up: bool) -> None:
        for me, other in ((a, b), (b, a)):
            end = self._ends[me]
            (end.on_up if is_up else end.on_down)(other)
