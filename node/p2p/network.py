"""All links of a node: one for each other member, kept open, dialled by the lower node key.

The network moves frames between members whose keys TLS has proved; what a frame means is its
handlers' business. It decides nothing: who is suspected, and who belongs to it, is told to it.

Peers are known by the numbers of a `Roster`, which outlive the epochs. Observers are accepted
candidates: they have a link as members do, on which they may follow the chain and say READY.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import final

import structlog
from aiohttp import web

from node.failure import report, spawn
from node.p2p.config import NetworkConfig
from node.p2p.dialler import Dialler
from node.p2p.errors import LinkRefused
from node.p2p.frames import (
    FRAME_BYTES_MAX,
    GENESIS_PATH,
    PATH,
    SUBPROTOCOL,
    Channel,
    encode_frame,
)
from node.p2p.handshake import Handshake
from node.p2p.identity import NodeIdentity, client_context, load_key, server_context
from node.p2p.link import Link, Socket
from node.p2p.member import MemberEndpoint, PeerStats
from node.p2p.peer import Peer
from node.p2p.refusal import KEY_IN_USE, NOT_A_MEMBER, REASON_HEADER, reason_of
from node.p2p.reputation import Reputation
from node.p2p.roster import Roster

OBSERVER_CHANNELS = frozenset(
    (Channel.CONSENSUS, Channel.CATCH_UP, Channel.READY, Channel.SNAPSHOT)
)
"""What is sent to observers; gossip and negotiation are members' business."""

_log = structlog.get_logger("p2p")


@final
class PeerNetwork:
    """Start it inside a running loop; callbacks come on that loop and must not block."""

    def __init__(
        self,
        *,
        identity: NodeIdentity,
        name: str,
        members: Sequence[MemberEndpoint],
        listen: tuple[str, int],
        genesis_hash: bytes,
        on_frame: Callable[[int, Channel, bytes], None],
        on_up: Callable[[int], None],
        on_down: Callable[[int], None],
        roster: Roster | None = None,
        genesis: bytes = b"",
        config: NetworkConfig | None = None,
    ) -> None:
        """Nothing is opened before `start`.

        Args:
            identity: this node's key and certificate.
            name: of this household, for people.
            members: all members of the epoch; this node need not be among them.
            listen: host and port to accept links at.
            genesis_hash: 32 bytes; a peer of another chain is refused.
            on_frame: called with (peer, channel, payload) for each frame.
            on_up: called when a peer's link is open, before its first frame; once more when an
                observer has become a member.
            on_down: called when it has ended, after its last frame.
            roster: numbers the peers; None numbers `members` in their order.
            genesis: the genesis file, which a newcomer asks for.
            config: limits and patience.
        """
        self._identity = identity
        self._listen = listen
        self._on_frame = on_frame
        self._on_up = on_up
        self._on_down = on_down
        self._config = config or NetworkConfig()
        self._roster = roster or Roster(member.node_key for member in members)
        self._genesis = genesis
        self._handshake = Handshake(genesis_hash, name, self._config.protocol)
        self._peers: dict[int, Peer] = {}
        self._by_certificate: dict[bytes, int] = {}
        self._trusted: list[bytes] = [identity.certificate]
        self._reputation = Reputation(self._config)
        self._partitioned: frozenset[int] = frozenset()
        self._house: asyncio.Task[None] | None = None
        self._context: ssl.SSLContext | None = None
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._dialler: Dialler | None = None
        self._is_stopping = False
        self.set_members(members, ())

    def set_members(
        self, members: Sequence[MemberEndpoint], observers: Sequence[MemberEndpoint]
    ) -> None:
        """Keep links with these and nobody else; a link whose peer stays is not touched.

        Args:
            members: of the present epoch; this node is left out.
            observers: accepted candidates, which follow before they are members.
        """
        wanted = {o.node_key: (o, True) for o in observers} | {
            m.node_key: (m, False) for m in members
        }
        wanted.pop(self._identity.key.public, None)
        for peer in [p for p in self._peers.values() if p.endpoint.node_key not in wanted]:
            self._drop(peer)
        for endpoint, is_observer in wanted.values():
            self._trust(endpoint.certificate)
            number = self._roster.number(endpoint.node_key)
            if number not in self._peers:
                self._peers[number] = Peer(number, endpoint)
                self._begin(self._peers[number])
            peer = self._peers[number]
            is_admitted = peer.is_observer and not is_observer and peer.link is not None
            peer.endpoint, peer.is_observer = endpoint, is_observer
            if is_admitted:
                self._on_up(number)  # Gossip and relay have not heard of it while it observed.
        self._by_certificate = {p.endpoint.certificate: n for n, p in self._peers.items()}

    def show(self, identity: NodeIdentity) -> None:
        """Be known to the peers by another key from now on.

        All links end; `set_members` says with whom new ones are wanted.
        """
        for peer in list(self._peers.values()):
            self._drop(peer)
        self._by_certificate = {}
        self._identity = identity
        if self._context is not None:
            load_key(self._context, identity)

    def _drop(self, peer: Peer) -> None:
        del self._peers[peer.number]
        if peer.task is not None and peer.link is None:
            peer.task.cancel()  # Otherwise it ends with the link, and says goodbye first.
        if peer.link is not None:
            peer.link.end("no longer a member")

    def _trust(self, certificate: bytes) -> None:
        """Let TLS pass the key; whether it may have a link is asked after that, each time.

        OpenSSL forgets no root, so a former member still gets an answer that tells it why.
        """
        if certificate not in self._trusted:
            self._trusted.append(certificate)
            if self._context is not None:
                self._context.load_verify_locations(cadata=certificate)

    def _begin(self, peer: Peer) -> None:
        """Dial the peer, or show it that we are up, if the network runs."""
        if self._dialler is None or self._is_stopping:
            return
        # A root for each: another member that answers at this address fails in the handshake.
        context = client_context(self._identity, (peer.endpoint.certificate,))
        if peer.endpoint.node_key > self._identity.key.public:
            peer.task = spawn(self._dialler.keep_dialling(peer, context), "dialling failed")
        else:
            peer.task = spawn(self._dialler.knock_at(peer, context), "knocking failed")

    async def start(self) -> None:
        """Listen, and begin to dial the peers above. Raises OSError if the port is taken."""
        self._context = server_context(self._identity, self._trusted)
        app = web.Application()
        app.router.add_get(PATH, self._accept)
        app.router.add_get(GENESIS_PATH, self._give_genesis)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        protocol = self._runner.server
        assert protocol is not None, "setup() makes it"
        loop = asyncio.get_running_loop()
        host, port = self._listen
        self._server = await loop.create_server(
            protocol,
            host,
            port,
            ssl=self._context,
            ssl_handshake_timeout=self._config.handshake_ms / 1000,
        )
        self._dialler = Dialler(
            self._config,
            self._handshake,
            check_welcome=self._check_welcome,
            is_kept=lambda peer: self._peers.get(peer.number) is peer,
            serve=self._serve,
            on_failure=self._note_failure,
        )
        self._house = spawn(self._keep_house(), "the watch over links failed")
        for peer in self._peers.values():
            self._begin(peer)

    async def stop(self) -> None:
        """Close all links and stop listening. Callbacks end before it returns."""
        self._is_stopping = True
        for link in self._links():
            link.end("the node stops")
        tasks = [self._house, *(peer.task for peer in self._peers.values())]
        running = [task for task in tasks if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()
        if self._dialler is not None:
            await self._dialler.close()

    def send(self, member: int, channel: Channel, payload: bytes) -> bool:
        """Queue for one peer; False if its link is down or the frame was dropped."""
        peer = self._peers.get(member)
        if peer is None or peer.link is None or member in self._partitioned:
            return False
        return peer.link.send(channel, encode_frame(channel, payload))

    def broadcast(self, channel: Channel, payload: bytes, except_: int | None = None) -> None:
        """Queue for all peers whose link is up, but for `except_`; encoded once.

        Observers follow the chain: they get what it is decided by, and nothing else.
        """
        frame = encode_frame(channel, payload)
        for member, peer in self._peers.items():
            if peer.is_observer and channel not in OBSERVER_CHANNELS:
                continue
            if peer.link is not None and member != except_ and member not in self._partitioned:
                peer.link.send(channel, frame)

    def suspect(self, member: int, reason: str, points: int = 10) -> None:
        """Charge a peer for bad input; at the limit its links are refused for a while."""
        peer = self._peers.get(member)
        if peer is None:
            return  # Its link ended, and this was still on its way.
        _log.info("peer suspected", peer=peer.endpoint.name, reason=reason)
        is_over = self._reputation.add(member, points, self._now_ms())
        if is_over and peer.link is not None:
            peer.link.end(f"too many faults, the last: {reason}")

    def set_partition(self, members: frozenset[int]) -> None:
        """Drop all frames from and to `members`, both ways, until called again (testnets only).

        As in a real partition their links fall silent first and are closed for it later.
        """
        healed = self._partitioned - members
        self._partitioned = members
        for member in healed & self._peers.keys():
            self._peers[member].knock.set()

    @property
    def up(self) -> frozenset[int]:
        """The members whose links are open."""
        return frozenset(
            n for n, peer in self._peers.items() if peer.link is not None and not peer.is_observer
        )

    def is_up(self, node_key: bytes) -> bool:
        """Whether the link with the peer that has this key is open."""
        number = self.number_of(node_key)
        return number is not None and self._peers[number].link is not None

    def is_observer(self, member: int) -> bool:
        """Whether the peer is none of the members, or has gone."""
        peer = self._peers.get(member)
        return peer is None or peer.is_observer

    def number_of(self, node_key: bytes) -> int | None:
        """Return the number of the peer with this key; None for nobody's, or this node's own."""
        number = self._roster.find(node_key)
        return number if number in self._peers else None

    def stats(self) -> tuple[PeerStats, ...]:
        """Return the figures of each peer, by node key: the members in the order of indexes."""
        peers = sorted(self._peers.values(), key=lambda peer: peer.endpoint.node_key)
        cut, now_ms = self._partitioned, self._now_ms()
        return tuple(
            p.stats(self._reputation, now_ms, is_partitioned=p.number in cut) for p in peers
        )

    async def _give_genesis(self, _: web.Request) -> web.Response:
        """Hand out the genesis file: TLS has let in members and accepted candidates only."""
        return web.Response(body=self._genesis, content_type="application/json")

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        """Answer a link that a peer below dials."""
        transport = request.transport
        tls = transport.get_extra_info("ssl_object") if transport is not None else None
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        member = self._by_certificate.get(certificate or b"")
        try:
            peer = self._check_caller(member)
        except LinkRefused as refusal:
            headers = {REASON_HEADER: str(refusal)}
            return web.Response(status=403, text=str(refusal), headers=headers)
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), compress=False, max_msg_size=FRAME_BYTES_MAX, timeout=1
        )
        await socket.prepare(request)
        try:
            async with asyncio.timeout(self._config.handshake_ms / 1000):
                peer.protocol = (await self._handshake.accept(socket)).protocol
            self._check_caller(member)  # Another link may have come during the handshake.
        except (LinkRefused, TimeoutError, ConnectionError) as error:
            self._note_failure(peer, error)
            await socket.close(message=str(error).encode()[:100])
        else:
            await self._serve(peer, socket)
        return socket

    def _check_caller(self, member: int | None) -> Peer:
        """Return the peer whose link may be accepted now, or raise LinkRefused."""
        if member is None or member not in self._peers:
            raise LinkRefused(NOT_A_MEMBER)
        peer = self._peers[member]
        is_alive = peer.link is not None and peer.link.silent_ms < self._config.replace_ms
        if peer.endpoint.node_key > self._identity.key.public:
            self._hear_knock(peer)
            raise LinkRefused(
                KEY_IN_USE if is_alive else "the member with the lower node key dials"
            )
        self._check_welcome(member)
        if peer.link is not None:
            if is_alive:
                raise LinkRefused(KEY_IN_USE)
            peer.link.end("replaced: silent while the peer dialled anew")
            raise LinkRefused("a dead link is being closed: dial again")
        return peer

    def _check_welcome(self, member: int) -> None:
        if self._reputation.banned_ms(member, self._now_ms()):
            raise LinkRefused("too many faults lately")
        if member in self._partitioned or self._is_stopping:
            raise LinkRefused("not reachable")

    def _hear_knock(self, peer: Peer) -> None:
        if peer.link is None:
            peer.knock.set()
        elif peer.link.silent_ms >= self._config.replace_ms:
            peer.link.end("replaced: silent while the peer knocked")

    async def _serve(self, peer: Peer, socket: Socket) -> None:
        """Run an open link: up, its frames, down."""
        member = peer.number
        link = Link(socket, member, self._config)
        peer.link = link
        peer.links += 1
        _log.info("peer up", peer=peer.endpoint.name)

        def on_frame(channel: Channel, payload: bytes) -> None:
            if member not in self._partitioned:
                self._on_frame(member, channel, payload)

        try:
            self._on_up(member)
            await link.run(on_frame)
        except Exception as error:  # noqa: BLE001  The edge of a task: the loop's handler decides.
            link.end(f"our own failure: {error!r}")
            report("a link's handler failed", error)
        finally:
            self._retire(peer, link)
            await link.close()

    def _retire(self, peer: Peer, link: Link) -> None:
        """Keep the figures of a link that ended, and tell that the member is down."""
        peer.retire(link)
        successor = self._peers.get(peer.number)
        if successor is not peer and successor is not None and successor.link is not None:
            return  # Went and came back as a member before the old link had closed.
        _log.info("peer down", peer=peer.endpoint.name, reason=link.end_reason)
        if link.is_fault:
            self.suspect(peer.number, link.end_reason, points=25)
        try:
            self._on_down(peer.number)
        except Exception as error:  # noqa: BLE001  The web server would only log it.
            report("a link's handler failed", error)

    async def _keep_house(self) -> None:
        """End links that are dead without having said so."""
        while True:
            await asyncio.sleep(self._config.housekeeping_ms / 1000)
            for link in self._links():
                if link.silent_ms > self._config.silence_ms:
                    link.end(f"nothing came for {link.silent_ms} ms")
                elif link.stuck_ms > self._config.stuck_ms:
                    link.end(f"the peer took nothing for {link.stuck_ms} ms")

    def _note_failure(self, peer: Peer, error: BaseException) -> None:
        """Remember why no link was made; log it when the reason is a new one."""
        reason = reason_of(error)
        if reason != peer.last_error:
            peer.last_error = reason
            _log.info("peer not linked", peer=peer.endpoint.name, reason=reason)

    def _links(self) -> list[Link]:
        return [peer.link for peer in self._peers.values() if peer.link is not None]

    def _now_ms(self) -> int:
        return int(asyncio.get_running_loop().time() * 1000)
