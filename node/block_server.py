"""Serves stored blocks to whoever follows the chain, each peer at a bounded rate."""

from typing import Final, final

from consensus.config import MAX_BLOCKS_BYTES, MAX_BLOCKS_PER_REPLY
from consensus.membership import Height
from consensus.messages import Blocks, BodyReply, GetBlocks, GetBody, Message, Status
from consensus.wire import encode_message
from crypto.hashing import Digest
from node.p2p.frames import Channel
from node.storage.block_store import ChainStore

SERVE_BYTES_PER_S: Final = 8 << 20
"""Blocks read for one peer that asks again and again; who catches up needs longer to execute
them."""
ASK_INTERVAL_S: Final = 0.1

Reply = tuple[int, Channel, bytes]
"""Peer, channel, payload."""


@final
class BlockServer:
    """Of one node. Peers are numbers of its roster; `now_s` is the loop's time."""

    def __init__(self, store: ChainStore) -> None:
        self._store = store
        self._free_at_s: dict[int, float] = {}
        """When a peer may be served again."""
        self._ask_at_s: dict[int, float] = {}
        """When a peer may be asked again."""

    def answer(self, peer: int, message: Message, now_s: float) -> list[Reply]:
        """Return what an observer gets: it follows without being a member.

        It may have entered an epoch before us in which it is a member: then its votes come again,
        and where it shows a higher head it is asked for blocks, since nobody else may have the last
        one of this epoch. All else that it says is without weight.
        """
        match message:
            case GetBlocks(from_height):
                return self.serve(peer, from_height, MAX_BLOCKS_PER_REPLY, now_s)
            case GetBody(digest):
                return self._serve_body(peer, digest, now_s)
            case Status(slot=slot):
                return self._ask(peer, slot.height, now_s)
            case _:
                return []

    def _ask(self, peer: int, height: int, now_s: float) -> list[Reply]:
        head = self._store.head
        own = 0 if head is None else head[0]
        if height <= own or now_s < self._ask_at_s.get(peer, 0):
            return []
        self._ask_at_s[peer] = now_s + ASK_INTERVAL_S
        request = GetBlocks(Height(own + 1))
        return [(peer, Channel.CONSENSUS, encode_message(request))]

    def serve(self, peer: int, from_height: int, limit: int, now_s: float) -> list[Reply]:
        """Return sealed blocks from `from_height` on, if there are any and the quota allows."""
        if now_s < self._free_at_s.get(peer, 0):
            return []
        blocks = self._store.sealed_blocks(from_height, limit, MAX_BLOCKS_BYTES)
        return [self._charge(peer, Blocks(blocks), now_s)] if blocks else []

    def _serve_body(self, peer: int, digest: Digest, now_s: float) -> list[Reply]:
        if now_s < self._free_at_s.get(peer, 0):
            return []
        height = self._store.height_of(digest)
        body = None if height is None else self._store.body(height)
        return [] if body is None else [self._charge(peer, BodyReply(digest, body), now_s)]

    def _charge(self, peer: int, message: Message, now_s: float) -> Reply:
        payload = encode_message(message)
        self._free_at_s[peer] = now_s + len(payload) / SERVE_BYTES_PER_S
        return peer, Channel.CATCH_UP, payload


def channel_of(message: Message) -> Channel:
    """Bodies and blocks that somebody asked for must not stand before votes in a queue."""
    return Channel.CATCH_UP if isinstance(message, Blocks | BodyReply) else Channel.CONSENSUS
