"""PeerNetwork over real TLS sockets on loopback: who gets in, what is dropped, what is noticed."""

import asyncio
import dataclasses

import aiohttp
import pytest

from node.p2p.config import NetworkConfig
from node.p2p.frames import PATH, SUBPROTOCOL, Channel, encode_frame
from node.p2p.identity import client_context
from node.relay import Envelope, Relay, RelayConfig
from node.relay_service import RelayService
from tests.node.p2p.rig import (
    FAST,
    GENESIS,
    STRANGER,
    Host,
    RawPeer,
    endpoints,
    identity_of,
    running,
    stats_show,
)

pytestmark = pytest.mark.e2e


def test_four_members_form_a_full_mesh_and_frames_arrive_in_order():
    async def scenario():
        members = endpoints(4)
        hosts = [Host(i, members) for i in range(4)]
        async with running(*hosts):
            for host in hosts:
                await host.until(lambda host=host: len(host.network.up) == 3)
            hosts[0].network.broadcast(Channel.CONSENSUS, b"one")
            hosts[0].network.broadcast(Channel.CONSENSUS, b"two", except_=2)
            assert hosts[3].network.send(2, Channel.CATCH_UP, b"x" * (4 << 20))
            await hosts[1].until(lambda: len(hosts[1].frames) == 2)
            await hosts[2].until(lambda: len(hosts[2].frames) == 2)
            assert hosts[1].frames == [
                (0, Channel.CONSENSUS, b"one"),
                (0, Channel.CONSENSUS, b"two"),
            ]
            assert {(m, c, len(p)) for m, c, p in hosts[2].frames} == {
                (0, Channel.CONSENSUS, 3),
                (3, Channel.CATCH_UP, 4 << 20),
            }
            figures = await stats_show(hosts[3], 2, lambda s: s.bytes_out > 4 << 20)
            assert (figures.links, figures.queued_bytes, figures.dropped_frames) == (1, 0, 0)

    asyncio.run(scenario())


def test_a_stopped_member_is_down_at_once_and_up_again_when_it_is_back():
    async def scenario():
        members = endpoints(2)
        first, second = Host(0, members), Host(1, members)
        async with running(first):
            async with running(second):
                await first.until(lambda: first.changes == [("up", 1)])
            await first.until(lambda: first.changes[-1] == ("down", 1))
            assert not first.network.send(1, Channel.CONSENSUS, b"lost")
            again = Host(1, members)
            async with running(again):
                await first.until(lambda: first.changes[-1] == ("up", 1))

    asyncio.run(scenario())


def test_who_comes_back_knocks_and_need_not_wait_for_the_next_dial():
    """The lower index dials; after a while in vain it pauses far longer than a start takes."""

    async def scenario():
        members = endpoints(2)
        patient = dataclasses.replace(FAST, dial_base_ms=20, dial_cap_ms=60_000)
        first, second = Host(0, members, config=patient), Host(1, members)
        async with running(first):
            await asyncio.sleep(1)  # Six attempts at least: the next pause is a second or more.
            begin = asyncio.get_running_loop().time()
            async with running(second):
                await first.until(lambda: first.changes == [("up", 1)])
                assert asyncio.get_running_loop().time() - begin < 0.5

    asyncio.run(scenario())


def test_a_healed_partition_need_not_wait_for_the_next_dial():
    async def scenario():
        members = endpoints(2)
        patient = dataclasses.replace(FAST, dial_base_ms=20, dial_cap_ms=60_000)
        first, second = Host(0, members, config=patient), Host(1, members)
        async with running(first, second):
            await first.until(lambda: first.changes == [("up", 1)])
            first.network.set_partition(frozenset({1}))
            await first.until(lambda: first.changes[-1] == ("down", 1))
            await asyncio.sleep(1)
            begin = asyncio.get_running_loop().time()
            first.network.set_partition(frozenset())
            await first.until(lambda: first.changes[-1] == ("up", 1))
            assert asyncio.get_running_loop().time() - begin < 0.5

    asyncio.run(scenario())


def test_another_chain_is_refused_with_the_reason():
    async def scenario():
        members = endpoints(2)
        first, second = Host(0, members), Host(1, members, genesis_hash=b"h" * 32)
        async with running(first, second):
            found = await stats_show(first, 1, lambda s: "another chain" in s.last_error)
            assert not found.is_up
            assert first.changes == second.changes == []

    asyncio.run(scenario())


def test_a_key_that_is_not_a_members_gets_no_link():
    async def scenario():
        members = endpoints(2)
        stranger = Host(0, members, identity=STRANGER)
        second = Host(1, members)
        async with running(stranger, second):
            await stats_show(stranger, 1, lambda s: s.last_error != "")
            assert second.changes == []

    asyncio.run(scenario())


def test_a_member_at_another_members_address_is_refused():
    async def scenario():
        members = endpoints(3)
        misled = dataclasses.replace(members[1], port=members[2].port)
        wrong = [members[0], misled, members[2]]
        first, third = Host(0, wrong), Host(2, members)
        async with running(first, third):
            await stats_show(first, 1, lambda s: "another one's" in s.last_error)
            assert ("up", 1) not in first.changes

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "first_words",
    [
        b"",
        b"\x09unknown channel",
        encode_frame(Channel.CONSENSUS, b"a vote before the hello"),
        encode_frame(Channel.HELLO, b"\xc0"),
        encode_frame(Channel.HELLO, b"\x94\x03\xc4\x20" + GENESIS + b"\xa0\x01"),
    ],
)
def test_wrong_first_words_end_the_link(first_words):
    async def scenario():
        members = endpoints(2)
        second = Host(1, members)
        async with running(second), RawPeer(members) as raw:
            link = await raw.dial()
            await link.send_bytes(first_words)
            reply = await link.receive(timeout=5)
            assert reply.type is aiohttp.WSMsgType.CLOSE
            assert reply.extra
            assert second.changes == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x09no such channel",
        encode_frame(Channel.HELLO, b"again"),
        bytes((Channel.RELAY,)) + b"x" * (17 << 10),
    ],
)
def test_a_broken_frame_ends_the_link_and_is_charged(frame):
    async def scenario():
        members = endpoints(2)
        second = Host(1, members)
        async with running(second), RawPeer(members) as raw:
            link = await raw.greet()
            await link.send_bytes(frame)
            await second.until(lambda: second.changes == [("up", 0), ("down", 0)])
            assert second.network.stats()[0].score == 25
            assert second.frames == []

    asyncio.run(scenario())


def test_too_many_faults_ban_a_member_for_a_time():
    async def scenario():
        members = endpoints(2)
        second = Host(1, members, config=FAST)
        async with running(second), RawPeer(members) as raw:
            await raw.greet()
            await second.until(lambda: second.changes == [("up", 0)])
            for _ in range(10):
                second.network.suspect(0, "a signature does not verify")
            await second.until(lambda: second.changes[-1] == ("down", 0))
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await raw.dial()
            assert refusal.value.status == 403
            await stats_show(second, 0, lambda s: s.banned_ms == 0)
            await raw.greet()

    asyncio.run(scenario())


def test_a_second_link_for_a_key_is_refused_while_the_first_lives():
    async def scenario():
        members = endpoints(2)
        second = Host(1, members)
        async with running(second), RawPeer(members) as raw:
            first_link = await raw.greet()
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await raw.dial()
            assert "a second node" in refusal.value.headers["X-Hearth-Reason"]
            await first_link.send_bytes(encode_frame(Channel.CONSENSUS, b"still here"))
            await second.until(lambda: second.frames == [(0, Channel.CONSENSUS, b"still here")])

    asyncio.run(scenario())


def test_the_higher_index_may_not_dial():
    async def scenario():
        members = endpoints(2)
        first = Host(0, members)
        context = client_context(identity_of(1), [m.certificate for m in members])
        connector = aiohttp.TCPConnector(ssl=context)
        async with running(first), aiohttp.ClientSession(connector=connector) as session:
            url = f"wss://127.0.0.1:{members[0].port}{PATH}"
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(url, protocols=(SUBPROTOCOL,))

    asyncio.run(scenario())


def test_a_silent_link_is_given_up():
    async def scenario():
        members = endpoints(2)
        second = Host(1, members, config=FAST)
        async with running(second), RawPeer(members) as raw:
            await raw.greet()
            await second.until(lambda: second.changes == [("up", 0), ("down", 0)])
            assert "nothing came" in second.network.stats()[0].last_error

    asyncio.run(scenario())


def test_a_peer_that_takes_nothing_is_disconnected():
    async def scenario():
        members = endpoints(2)
        second = Host(1, members)
        async with running(second), RawPeer(members) as raw:
            link = await raw.greet()
            await second.until(lambda: second.changes == [("up", 0)])
            payload = b"v" * (1 << 20)
            for _ in range(64):  # Never read by the peer: the sockets fill, then the queue.
                second.network.broadcast(Channel.CONSENSUS, payload)
                await asyncio.sleep(0)
            await second.until(lambda: second.changes[-1] == ("down", 0))
            assert "does not take its votes" in second.network.stats()[0].last_error
            assert not link.closed

    asyncio.run(scenario())


def test_a_partition_drops_frames_both_ways_and_heals():
    async def scenario():
        members = endpoints(2)
        first, second = Host(0, members), Host(1, members)
        async with running(first, second):
            await first.until(lambda: first.changes == [("up", 1)])
            await second.until(lambda: second.changes == [("up", 0)])
            first.network.set_partition(frozenset({1}))
            assert not first.network.send(1, Channel.CONSENSUS, b"out")
            assert second.network.send(0, Channel.CONSENSUS, b"in")
            await stats_show(first, 1, lambda s: s.bytes_in > 0)
            first.network.set_partition(frozenset())
            assert second.network.send(0, Channel.CONSENSUS, b"after")
            await first.until(lambda: bool(first.frames))
            assert first.frames == [(1, Channel.CONSENSUS, b"after")]
            assert second.frames == []

    asyncio.run(scenario())


def test_a_long_partition_takes_the_links_down_and_healing_brings_them_back():
    async def scenario():
        members = endpoints(2)
        first, second = Host(0, members, config=FAST), Host(1, members, config=FAST)
        async with running(first, second):
            await first.until(lambda: first.changes[:1] == [("up", 1)])
            first.network.set_partition(frozenset({1}))
            await first.until(lambda: first.changes[-1] == ("down", 1))
            await stats_show(first, 1, lambda s: "not reachable" in s.last_error)
            first.network.set_partition(frozenset())
            await first.until(lambda: first.changes[-1] == ("up", 1))

    asyncio.run(scenario())


def test_a_flood_is_slowed_to_the_allowed_rate():
    async def scenario():
        config = NetworkConfig(inbound_bytes_per_s=4 << 20, inbound_burst_bytes=1 << 20)
        members = endpoints(2)
        second = Host(1, members, config=config)
        async with running(second), RawPeer(members) as raw:
            link = await raw.greet()
            loop = asyncio.get_running_loop()
            start_s = loop.time()
            for _ in range(3):
                await link.send_bytes(encode_frame(Channel.CONSENSUS, b"f" * (1 << 20)))
            await second.until(lambda: len(second.frames) == 3)
            # The burst is free; the second frame is paid for before the third is read.
            assert loop.time() - start_s >= 0.2

    asyncio.run(scenario())


def test_what_a_handler_raises_is_not_swallowed():
    async def scenario():
        failures = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
        members = endpoints(2)
        second = Host(1, members)

        def broken(*_):
            raise ZeroDivisionError

        second.network._on_frame = broken
        async with running(second), RawPeer(members) as raw:
            link = await raw.greet()
            await link.send_bytes(encode_frame(Channel.CONSENSUS, b"vote"))
            await second.until(lambda: second.changes == [("up", 0), ("down", 0)])
            assert [type(error) for error in failures] == [ZeroDivisionError]
            assert second.network.stats()[0].score == 0

    asyncio.run(scenario())


def test_sealed_messages_reach_a_subscriber_over_real_links():
    async def scenario():
        members = endpoints(3)
        hosts = [Host(i, members) for i in range(3)]
        now_ms = 1_000
        relays, inboxes = [], []
        for host in hosts:
            core = Relay(RelayConfig(window_ms=10_000), me=len(relays), members=range(3))
            service = RelayService(core, host.network, lambda: now_ms)
            inbox = []
            service.listen(service.open(inbox.append), [bytes([len(relays)]) * 32])
            relays.append(service)
            inboxes.append(inbox)
            wire_up(host, service)

        def sealed(to, text):
            return Envelope(to_key=bytes([to]) * 32, window=0, expires_ms=9_000, payload=text)

        async with running(hosts[0], hosts[1]):
            await hosts[1].until(lambda: hosts[1].network.up == {0})
            relays[0].send(sealed(1, b"to one"))
            relays[0].send(sealed(2, b"to two, who is away"))
            await hosts[1].until(lambda: [e.payload for e in inboxes[1]] == [b"to one"])
            async with running(hosts[2]):
                await hosts[2].until(lambda: len(inboxes[2]) == 1)
                assert inboxes[2][0].payload == b"to two, who is away"
                assert inboxes[0] == []

    asyncio.run(scenario())


def wire_up(host, service):
    """Give the relay's frames to the service, before the host notes them."""
    network = host.network
    note_frame, note_up, note_down = network._on_frame, network._on_up, network._on_down

    def on_frame(member, channel, payload):
        service.on_frame(member, payload)
        note_frame(member, channel, payload)

    def on_up(member):
        service.on_up(member)
        note_up(member)

    def on_down(member):
        service.on_down(member)
        note_down(member)

    network._on_frame, network._on_up, network._on_down = on_frame, on_up, on_down
