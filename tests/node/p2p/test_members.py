"""Links follow the member set: who comes gets one, who goes loses it, observers only follow."""

import asyncio
from dataclasses import replace

import aiohttp
import pytest

from crypto.keystore import HouseholdKeys
from node.home import Home
from node.join import Host as InviteHost
from node.join import Invite, fetch_genesis
from node.p2p.frames import GENESIS_PATH, Channel
from node.p2p.identity import client_context, make_certificate
from tests.node.homes import PASSWORD, make_homes
from tests.node.p2p.rig import FAST, Host, endpoints, identity_of, running, stats_show

pytestmark = pytest.mark.e2e


def test_a_member_that_comes_gets_links_and_those_that_stay_keep_theirs():
    async def scenario():
        members = endpoints(4)
        three = [members[0], members[1], members[3]]
        hosts = {i: Host(i, members) for i in range(4)}
        for i in (0, 1, 3):
            hosts[i].network.set_members(three, ())
        async with running(*hosts.values()):
            for i in (0, 1, 3):
                await hosts[i].until(lambda i=i: len(hosts[i].network.up) == 2)
            for i in (0, 1, 3):
                hosts[i].network.set_members(members, ())
            for host in hosts.values():
                await host.until(lambda host=host: len(host.network.up) == 3)
            assert all(stats.links == 1 for stats in hosts[0].network.stats())

    asyncio.run(scenario())


def test_a_member_that_goes_loses_its_links_and_is_told_why():
    async def scenario():
        members = endpoints(3)
        hosts = [Host(i, members, config=FAST) for i in range(3)]
        async with running(*hosts):
            for host in hosts:
                await host.until(lambda host=host: len(host.network.up) == 2)
            for host in hosts[1:]:
                host.network.set_members(members[1:], ())
            await hosts[0].until(lambda: not hosts[0].network.up)
            await hosts[1].until(lambda: ("down", 0) in hosts[1].changes)
            await stats_show(hosts[0], 1, lambda s: "not another member's" in s.last_error)
            assert hosts[1].network.up == {2}
            assert not hosts[1].network.send(0, Channel.CONSENSUS, b"x")
            hosts[1].network.suspect(0, "late")  # What was still on its way breaks nothing.

    asyncio.run(scenario())


def test_a_node_that_shows_another_key_is_linked_with_as_its_holder():
    """The others know it by the key that it was to have; under its old one nobody does."""

    async def scenario():
        members = endpoints(4)
        for old, new in ((0, 3), (3, 0)):  # The key decides who dials: both ways round.
            port = members[old].port
            now = [replace(members[new], port=port), members[1], members[2]]
            changing = Host(old, members, config=FAST)
            changing.network.set_members([members[old], *members[1:3]], ())
            others = [Host(i, members, config=FAST) for i in (1, 2)]
            for host in others:
                host.network.set_members(now, ())
            async with running(changing, *others):
                for host in others:
                    await host.until(lambda host=host: len(host.network.up) == 1)
                assert not changing.network.up
                changing.network.show(identity_of(new))
                changing.network.set_members([members[old], *members[1:3]], [now[0]])
                await changing.until(lambda c=changing: c.network.up == {1, 2})
                for host in others:
                    await host.until(lambda host=host: len(host.network.up) == 2)
                changing.network.show(identity_of(old))
                changing.network.set_members([members[old], *members[1:3]], ())
                for host in others:
                    await host.until(lambda host=host: len(host.network.up) == 1)

    asyncio.run(scenario())


def test_an_observer_hears_what_the_chain_is_decided_by_and_nothing_else():
    async def scenario():
        members = endpoints(3)
        hosts = [Host(i, members) for i in range(3)]
        for host in hosts[:2]:
            host.network.set_members(members[:2], members[2:])
        hosts[2].network.set_members(members[:2], ())
        async with running(*hosts):
            first, second, observer = hosts
            await observer.until(lambda: len(observer.network.up) == 2)
            await first.until(lambda: len(first.changes) == 2)
            assert first.network.up == {1}, "observers are no members"
            assert first.network.is_observer(2)
            assert not first.network.is_observer(1)
            for channel in (Channel.TRANSACTIONS, Channel.RELAY, Channel.READY, Channel.CONSENSUS):
                first.network.broadcast(channel, b"x")
            await second.until(lambda: len(second.frames) == 4)
            await observer.until(lambda: len(observer.frames) == 2)
            assert [frame[1] for frame in observer.frames] == [Channel.CONSENSUS, Channel.READY]
            first.network.set_members(members, ())
            assert first.network.up == {1, 2}
            assert first.changes.count(("up", 2)) == 2, "gossip and relay have to be told"
            assert next(s.links for s in first.network.stats() if s.member == 2) == 1

    asyncio.run(scenario())


def test_an_invite_leads_to_the_genesis_file_once_the_members_let_the_newcomer_in(tmp_path):
    async def scenario():
        genesis, homes = make_homes(tmp_path, 4)
        members = endpoints(2)
        newcomer = identity_of(5)
        host = Host(0, members, genesis=genesis.to_json())
        async with running(host):
            context = client_context(newcomer, (members[0].certificate,))
            url = f"https://127.0.0.1:{members[0].port}{GENESIS_PATH}"
            async with aiohttp.ClientSession() as session:
                with pytest.raises((aiohttp.ClientError, OSError)):
                    await session.get(url, ssl=context)
            home = joiner(tmp_path, genesis, members[0], homes[3])
            asked = asyncio.create_task(fetch_genesis(home, PASSWORD, asyncio.Future()))
            await asyncio.sleep(0.2)
            assert not home.genesis.exists()
            let_in(host, members, homes[3])
            async with asyncio.timeout(10):
                await asked
            assert home.genesis.read_bytes() == genesis.to_json()

    asyncio.run(scenario())


def joiner(tmp_path, genesis, member, keys_of):
    home = Home(tmp_path / "joiner")
    home.path.mkdir()
    home.keys.write_bytes((keys_of / "household.keys").read_bytes())
    home.keys.chmod(0o600)
    host = InviteHost(
        name=member.name,
        endpoint=f"127.0.0.1:{member.port}",
        node_key=member.node_key,
        certificate=member.certificate,
    )
    invite = Invite(
        chain="c", genesis_hash=genesis.hash, chain_id=genesis.chain_id, members=(host,)
    )
    home.invite.write_bytes(invite.to_json())
    return home


def let_in(host, members, keys_of):
    key = HouseholdKeys.load(keys_of / "household.keys", PASSWORD).node
    observer = replace(members[1], node_key=key.public, certificate=make_certificate(key))
    host.network.set_members(members, [observer])
