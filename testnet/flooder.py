"""A member that sends everything it can, as fast as its peers take it: the attacker of the flood.

It holds the keys of a real household and stands in its node's place. It dials every member that a
node of its index dials. Three of four links are polite: nothing that is sent there is forbidden.
From the fourth it is cut off and banned, and comes back.
"""

import asyncio
import json
import logging
import random
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import aiohttp

from consensus.config import MAX_MESSAGE_BYTES
from consensus.errors import MalformedMessage
from consensus.wire import (
    decode_message,
)
from crypto.errors import DecodeError
from crypto.hashing import Digest
from crypto.keystore import HouseholdKeys
from node.config import Address, parse_address
from node.natives import NATIVES
from node.p2p.errors import LinkRefused
from node.p2p.frames import PATH, SUBPROTOCOL, Channel, decode_frame
from node.p2p.handshake import Handshake
from node.p2p.identity import NodeIdentity, client_context
from node.rpc.client import RpcClient, RpcError, Unreachable
from testnet.ammunition import Ammunition
from testnet.layout import TestnetLayout
from testnet.manifest import Manifest
from testnet.setup import load_household_keys
from vm.genesis import Genesis
from vm.machine import Machine
from vm.versions import SUPPORTED_PROTOCOLS

_PAUSE_S = 0.2
"""Between attempts to open a link that was refused."""
_LINK_S = 15.0
"""How long a link is used that nobody ends."""
_NONCE_S = 1.0


@final
@dataclass(frozen=True, slots=True)
class Victim:
    """A member that is flooded."""

    index: int
    name: str
    certificate: bytes
    address: Address


@final
@dataclass(slots=True)
class Sent:
    """What a flood amounted to."""

    frames: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    links: int = 0
    refused: int = 0


async def flood(
    peers: list[Victim],
    ammunition: Ammunition,
    *,
    identity: NodeIdentity,
    genesis_hash: bytes,
    name: str,
    until_s: float,
) -> Sent:
    """Send to all peers until the loop's time is `until_s`; links that end are opened again."""
    sent = Sent()
    handshake = Handshake(genesis_hash, name, max(SUPPORTED_PROTOCOLS))
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def attack(peer: Victim) -> None:
            context = client_context(identity, (peer.certificate,))
            loop = asyncio.get_running_loop()
            turn = peer.index
            while loop.time() < until_s:
                try:
                    async with _open(session, peer, context) as socket:
                        await handshake.dial(socket)
                        sent.links += 1
                        end_s = min(until_s, loop.time() + _LINK_S)
                        await _shoot(socket, ammunition, sent, turn=turn, until_s=end_s)
                        turn += 1
                except (aiohttp.ClientError, OSError, TimeoutError, LinkRefused):
                    sent.refused += 1
                await asyncio.sleep(_PAUSE_S)

        await asyncio.gather(*(attack(peer) for peer in peers))
    return sent


async def _shoot(
    socket: aiohttp.ClientWebSocketResponse,
    ammunition: Ammunition,
    sent: Sent,
    *,
    turn: int,
    until_s: float,
) -> None:
    """Send until the peer has had enough, politely on three links of four; one of these is deaf."""
    loop = asyncio.get_running_loop()
    kinds = ammunition.kinds(is_polite=turn % 4 != 3)
    listener = None if turn % 4 == 2 else asyncio.create_task(_listen(socket, ammunition))
    names = sorted(kinds)
    dice = random.Random(sent.links)
    try:
        while loop.time() < until_s and not socket.closed:
            kind = dice.choice(names)
            for frame in kinds[kind]():
                await asyncio.wait_for(socket.send_bytes(frame), 30)
                sent.frames[kind] += 1
                sent.bytes += len(frame)
            await asyncio.sleep(0)
    except (ConnectionError, RuntimeError):
        pass  # Closed in our face.
    finally:
        if listener is not None:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener


async def _listen(socket: aiohttp.ClientWebSocketResponse, ammunition: Ammunition) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            with suppress(DecodeError, MalformedMessage):
                channel, payload = decode_frame(message.data)
                if channel is Channel.CONSENSUS:
                    ammunition.hear(decode_message(payload))


async def _follow_nonce(ammunition: Ammunition, url: str, keys: HouseholdKeys) -> None:
    """Ask a victim for the account's nonce, so that the transactions are worth keeping."""
    client = RpcClient(url)
    address = f"0x{keys.account.address.hex()}"
    try:
        while True:
            with suppress(RpcError, Unreachable, TimeoutError):
                found = await client.call("eth_getTransactionCount", address, "latest")
                ammunition.nonce = int(found, 16)
            await asyncio.sleep(_NONCE_S)
    finally:
        await client.close()


async def speak(
    layout: TestnetLayout,
    name: str,
    make: Callable[[Ammunition], Awaitable[list[bytes]]],
) -> None:
    """Send a few frames, in the name of household `name`, to the members above it."""
    genesis = Genesis.from_json(layout.genesis.read_bytes())
    keys = load_household_keys(layout.household(name))
    frames = await make(Ammunition(keys, genesis, _first_hash(genesis), seed=1))
    handshake = Handshake(genesis.hash, name, max(SUPPORTED_PROTOCOLS))
    identity = NodeIdentity.from_key(keys.node)
    async with aiohttp.ClientSession() as session:
        for peer in _victims(genesis, keys):
            context = client_context(identity, (peer.certificate,))
            async with _open(session, peer, context) as socket:
                await handshake.dial(socket)
                for frame in frames:
                    await socket.send_bytes(frame)
                await asyncio.sleep(_PAUSE_S)


def _first_hash(genesis: Genesis) -> Digest:
    return Machine(genesis, NATIVES).first_header.hash


def _victims(genesis: Genesis, keys: HouseholdKeys) -> list[Victim]:
    """Return the members that a node with these keys dials: those above it."""
    return [
        Victim(index, member.name, member.certificate, parse_address(member.endpoint, "endpoint"))
        for index, member in enumerate(sorted(genesis.members, key=lambda m: m.node_key))
        if member.node_key > keys.node.public
    ]


@asynccontextmanager
async def _open(
    session: aiohttp.ClientSession, peer: Victim, context: ssl.SSLContext
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with session.ws_connect(
        f"wss://{peer.address}{PATH}",
        ssl=context,
        protocols=(SUBPROTOCOL,),
        compress=0,
        max_msg_size=MAX_MESSAGE_BYTES + 1024,
        timeout=aiohttp.ClientWSTimeout(ws_close=1),
    ) as socket:
        yield socket


def run(layout: TestnetLayout, name: str, seconds: float, seed: int) -> Sent:
    """Flood the members of a testnet above household `name`, whose node must not run."""
    genesis = Genesis.from_json(layout.genesis.read_bytes())
    keys = load_household_keys(layout.household(name))
    peers = _victims(genesis, keys)

    async def main() -> Sent:
        ammunition = Ammunition(keys, genesis, _first_hash(genesis), seed=seed)
        victim = Manifest.load(layout.manifest).household(peers[0].name)
        polling = asyncio.create_task(_follow_nonce(ammunition, victim.rpc_url, keys))
        try:
            return await flood(
                peers,
                ammunition,
                identity=NodeIdentity.from_key(keys.node),
                genesis_hash=genesis.hash,
                name=name,
                until_s=asyncio.get_running_loop().time() + seconds,
            )
        finally:
            polling.cancel()

    return asyncio.run(main())


def main(arguments: list[str]) -> None:
    """Flood, and print what was sent as JSON. Arguments: root, testnet, household, seconds."""
    root, testnet, name, seconds = arguments
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # It warns of each write to a closed link.
    sent = run(TestnetLayout.of(testnet, Path(root)), name, float(seconds), seed=1)
    report = {
        "frames": dict(sorted(sent.frames.items())),
        "megabytes": round(sent.bytes / 1e6, 1),
        "links": sent.links,
        "refused": sent.refused,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
