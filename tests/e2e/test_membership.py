"""Members by vote on real processes: grow, shrink, rotate, lose a disk, run a copy."""

import asyncio
import json
import shutil
import time

import pytest
from click.testing import CliRunner

from cli.main import main
from cli.node_rotation import rotation_arguments
from crypto.keystore import HouseholdKeys
from node.rpc.client import RpcClient
from node.snapshot_service import JOIN_BLOCKS
from testnet.cluster import Cluster
from testnet.launcher import UpOptions, up
from testnet.layout import TestnetLayout, rpc_port
from testnet.processes import node_label
from tests.e2e.community import Community, Traffic, remove_data

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BASE_PORT = 30_600
PAUSE_MAX_S = 3.0
TERM_BLOCKS = 16


@pytest.fixture
def options(tmp_path):
    yield UpOptions(
        name="m", root=tmp_path, base_port=BASE_PORT, window_ms=60_000, has_agents=False
    )
    layout = TestnetLayout.of("m", tmp_path)
    if layout.manifest.exists():
        Cluster(layout).reset()


def quiet(_line):
    """Progress is for people."""


def test_a_community_grows_from_four_to_seven_and_back_under_load(options):
    """Done when 3: no pause longer than 3 s, equal heads."""

    async def run():
        async with await up(options, quiet) as cluster:
            community = Community(cluster, BASE_PORT)
            founders = [cluster.keys(name) for name in cluster.names]
            first = cluster.client(cluster.names[0])
            members = founders[:3]  # Of the fourth is the traffic.
            async with Traffic(community, founders[3], cluster.names[3]) as traffic:
                for size in (5, 6, 7):
                    newcomer = community.newcomer()
                    newcomer.start()
                    await community.admit(newcomer, members[: (size - 1) // 2 + 1])
                    await community.until(
                        first, lambda s, n=size: s["members"] == n, "not admitted"
                    )
                    await community.until(
                        newcomer.client,
                        lambda s, n=size: s["members"] == n and not s["isLearner"],
                        "does not vote",
                    )
                    members.append(newcomer.keys)
                for size, gone in ((6, 0), (5, 1), (4, 2)):
                    evicted = community.newcomers[gone]
                    members.remove(evicted.keys)
                    voters = members[: (size + 1) // 2 + 1]
                    await community.evict(evicted.keys.account.address, voters)
                    await community.until(first, lambda s, n=size: s["members"] == n, "not evicted")
                why = await community.newcomers[2].client.call("hearth_why")
                assert any("not a member any more" in line for line in why), why
            clients = [cluster.client(name) for name in cluster.names]
            await community.equal_heads(clients)
            status = await community.status(first)
            assert (status["epoch"], status["members"]) == (6, 4)
            assert traffic.sealed > 20
            assert traffic.longest_s <= PAUSE_MAX_S
            await community.close()

    asyncio.run(run())


def test_a_member_changes_its_node_key_while_the_chain_runs(options):
    async def run():
        async with await up(options, quiet) as cluster:
            community = Community(cluster, BASE_PORT)
            name = cluster.names[1]
            client, keys = cluster.client(name), cluster.keys(name)
            home = cluster.layout.household(name).home
            before = {row["name"]: row["nodeKey"] for row in await client.call("hearth_members")}
            async with Traffic(community, cluster.keys(cluster.names[3]), cluster.names[3]) as load:
                await rotate(community, name, keys, home)
                first = cluster.client(cluster.names[0])
                await community.until(first, lambda s: s["epoch"] == 1, "no new epoch")
                await community.until(
                    client, lambda s: s["epoch"] == 1 and not s["isLearner"], "does not vote"
                )
            after = {row["name"]: row["nodeKey"] for row in await client.call("hearth_members")}
            assert after.pop(name) != before.pop(name)
            assert after == before
            assert load.longest_s <= PAUSE_MAX_S
            assert (home / "node.keys").exists()
            assert not (home / "node.keys.next").exists()
            # The new key is needed: with another one down, it makes the quorum.
            cluster.stop([node_label(cluster.names[2])])
            await community.send(
                keys, "proposeEviction", cluster.keys(cluster.names[2]).account.address
            )
            await community.close()

    asyncio.run(run())


def keep_only(home, *names):
    for each in home.iterdir():
        if each.name not in names:
            shutil.rmtree(each) if each.is_dir() else each.unlink()


async def rotate(community, name, keys, home, via=None):
    """What `hearth members rotate` does, without its questions."""
    fresh = HouseholdKeys.generate()
    fresh.save(home / "node.keys.next", (home / "password").read_text().strip(), cost="min")
    endpoint = next(m.endpoint for m in community.cluster.genesis.members if m.name == name)
    args = rotation_arguments(
        community.cluster.genesis.chain_id, keys.account.address, fresh.node, endpoint
    )
    await community.send(keys, "proposeRotation", *args, via=via)


def test_a_crash_in_the_middle_of_a_rotation_is_recovered_from(options):
    """It has said READY with the new key, and stops before the block that makes it the member's.

    Its peers refuse the old key by then, and its own state does not know the new one yet.
    """

    async def run():
        async with await up(options, quiet) as cluster:
            community = Community(cluster, BASE_PORT)
            name = cluster.names[1]
            client, label = cluster.client(name), node_label(name)
            home = cluster.layout.household(name).home
            # By itself, so that it holds the proposal; and without a quorum nothing comes of that.
            await rotate(community, name, cluster.keys(name), home, via=name)
            cluster.processes.kill([node_label(other) for other in cluster.names if other != name])
            await community.until(
                client, lambda s: s["epoch"] == 0 and s["peersUp"] == 0, "still linked"
            )
            cluster.processes.kill([label])
            shutil.copytree(home / "data", home / "before")
            for each in cluster.names:
                cluster.start_node(each)
            await community.until(client, lambda s: s["epoch"] == 1 and votes(s), "not rotated")
            cluster.processes.kill([label])
            shutil.rmtree(home / "data")
            (home / "before").rename(home / "data")
            if (home / "node.keys").exists():  # It took the new key before the kill, or would have.
                (home / "node.keys").rename(home / "node.keys.next")
            cluster.start_node(name)
            await community.until(
                client, lambda s: s["epoch"] == 1 and votes(s) and s["peersUp"] == 3, "not back"
            )
            assert (home / "node.keys").exists()
            assert not (home / "node.keys.next").exists()
            await community.send(
                cluster.keys(name),
                "proposeEviction",
                cluster.keys(cluster.names[2]).account.address,
            )

    asyncio.run(run())


def test_a_member_that_was_away_while_all_others_changed_their_keys_returns_by_an_invite(
    options, tmp_path
):
    """It has links with nobody by the keys that its state has, until it is told where to ask."""

    async def run():
        async with await up(options, quiet) as cluster:
            community = Community(cluster, BASE_PORT)
            *others, away = cluster.names
            client, home = cluster.client(away), cluster.layout.household(away).home
            await community.send_any(cluster.keys(away))
            await community.until(client, lambda s: s["height"] > 0, "no first block")
            cluster.processes.kill([node_label(away)])
            for epoch, name in enumerate(others, 1):
                keys = cluster.keys(name)
                await rotate(community, name, keys, cluster.layout.household(name).home, via=name)
                for each in others:
                    await community.until(
                        cluster.client(each), lambda s, e=epoch: s["epoch"] == e, "no new epoch"
                    )
            await community.until(
                cluster.client(others[-1]), lambda s: s["peersUp"] == 2 and votes(s), "not up"
            )
            await community.send_any(cluster.keys(away))
            cluster.start_node(away)
            await community.until(client, lambda s: s["height"] > 0, "does not start")
            await asyncio.sleep(8)
            status = await community.status(client)
            assert (status["epoch"], status["peersUp"]) == (0, 0), "came back without an invite"
            cluster.processes.kill([node_label(away)])
            invite = tmp_path / "invite.json"
            member = cluster.layout.household(others[0]).home
            await asyncio.to_thread(hearth, "members", "invite", "--home", member, "--out", invite)
            hearth("node", "join", invite, "--home", home)
            cluster.start_node(away)
            await community.until(
                client, lambda s: s["epoch"] == 3 and s["peersUp"] == 3 and votes(s), "not back"
            )
            # Its vote counts: with another one down, it makes the quorum.
            cluster.stop([node_label(others[1])])
            await community.send_any(cluster.keys(others[0]))
            heads = [cluster.client(each) for each in (others[0], others[2], away)]
            await community.equal_heads(heads)
            cluster.start_node(others[1])
            # And with nothing left but its keys: nobody has to propose it.
            cluster.processes.kill([node_label(away)])
            mine = next(m for m in cluster.genesis.members if m.name == away)
            keep_only(home, "household.keys", "password", "rpc.token")
            rpc = f"127.0.0.1:{rpc_port(cluster.names.index(away), BASE_PORT)}"
            names = ("--name", away, "--endpoint", mine.endpoint, "--meter-id", "M", "--rpc", rpc)
            hearth("node", "join", invite, "--home", home, *names)
            cluster.start_node(away)
            await community.until(
                client,
                lambda s: s["epoch"] >= 3 and s["peersUp"] == 3 and votes(s),
                "not back with its keys alone",
                timeout_s=60,
            )

    asyncio.run(run())


def test_a_node_that_lost_its_disk_comes_back_by_itself(options):
    """It asks q others what they hold of it, which needs all of three; then it votes again."""

    async def run():
        async with await up(options, quiet) as cluster:
            community = Community(cluster, BASE_PORT)
            name = cluster.names[1]
            client = cluster.client(name)
            async with Traffic(community, cluster.keys(cluster.names[3]), cluster.names[3]) as load:
                await load.reach(20)
                await lose_disk(cluster, name)
                await community.until(client, votes, "does not vote")
            assert load.longest_s <= PAUSE_MAX_S
            await community.equal_heads([cluster.client(each) for each in cluster.names])
            await lose_disk(cluster, name)  # While nothing goes on, as well.
            await community.until(client, votes, "does not vote")
            # Its vote counts again: with another one down, it makes the quorum.
            cluster.stop([node_label(cluster.names[2])])
            keys = cluster.keys(cluster.names[0])
            victim = cluster.keys(cluster.names[2]).account.address
            await community.send(keys, "proposeEviction", victim)
            await community.close()

    asyncio.run(run())


async def make_it_sign_in_this_term(community, name):
    """Have blocks made until a seal of the present term holds a COMMIT by `name`."""
    client = community.cluster.client(community.cluster.names[0])
    index = (await community.status(community.cluster.client(name)))["index"]
    while True:
        height = (await community.status(client))["height"]
        seals = [
            await client.call("hearth_getSeal", each)
            for each in range(height - (height - 1) % TERM_BLOCKS, height + 1)
        ]
        is_full = height % TERM_BLOCKS == 0  # The next block begins another term.
        if not is_full and any(
            each["member"] == index for seal in seals for each in seal["signatures"]
        ):
            return
        keys = community.cluster.keys(community.cluster.names[0])
        await community.send_any(keys)


def votes(status):
    return not status["isLearner"] and status["height"] > 0


async def lose_disk(cluster, name):
    cluster.processes.kill([node_label(name)])
    remove_data(cluster.layout.household(name).home)
    await asyncio.sleep(0.5)
    cluster.start_node(name)


def test_a_copy_is_refused_beside_the_original_and_quarantined_in_its_place(options):
    async def run():
        async with await up(options, quiet) as cluster:
            community = Community(cluster, BASE_PORT)
            name = cluster.names[1]
            label, home = node_label(name), cluster.layout.household(name).home
            await asyncio.sleep(1)
            # A copy of a running database is torn: so the node stands still for it.
            cluster.stop([label])
            copy = home.with_name("copy")
            shutil.copytree(home, copy)
            cluster.start_node(name)
            client = cluster.client(name)
            await community.until(client, lambda s: not s["isLearner"], "does not vote")
            beside = run_beside(community, copy)
            await community.says(beside, "Another node runs with this household's node key")
            assert (await beside.call("hearth_status"))["isLearner"]
            await beside.close()
            cluster.processes.stop(["node-copy"])
            # The original goes on and votes; then the copy takes its place.
            async with Traffic(community, cluster.keys(cluster.names[3]), cluster.names[3]) as load:
                await load.reach(40)
            await make_it_sign_in_this_term(community, name)
            cluster.processes.kill([label])
            shutil.rmtree(home / "data")
            shutil.copytree(copy / "data", home / "data")
            cluster.start_node(name)
            await community.says(client, "its vote log does not know")
            seen = await community.until(client, lambda s: s["epoch"] == 1, "no incarnation")
            assert seen["members"] == 4
            rows = await client.call("hearth_members")
            assert [row["incarnation"] for row in rows if row["name"] == name] == [1]
            await community.close()

    asyncio.run(run())


def run_beside(community, copy):
    """Start the copy with ports of its own."""
    config = (copy / "node.toml").read_text()
    (copy / "node.toml").write_text(config.replace(":306", ":326").replace(":307", ":327"))
    community.cluster.processes.start("node-copy", ["node", "run", "--home", str(copy)])
    token = (copy / "rpc.token").read_text().strip()
    return RpcClient("http://127.0.0.1:32701", token)


def test_a_newcomer_finds_a_chain_whose_founders_have_all_changed_their_keys(options):
    """The genesis file names nobody whom it could link with; its invite does."""

    async def run():
        async with await up(options, quiet) as cluster:
            community = Community(cluster, BASE_PORT)
            founders = [cluster.keys(name) for name in cluster.names]
            for epoch, name in enumerate(cluster.names, 1):
                home = cluster.layout.household(name).home
                await rotate(community, name, cluster.keys(name), home)
                for each in cluster.names:
                    await community.until(
                        cluster.client(each),
                        lambda s, n=epoch: s["epoch"] == n and votes(s) and s["peersUp"] == 3,
                        "not rotated",
                    )
            via = cluster.names[3]
            async with Traffic(community, founders[3], via) as load:
                await load.reach(JOIN_BLOCKS + 100, timeout_s=120)
            newcomer = community.newcomer()
            folder = cluster.layout.home
            first = str(cluster.layout.household(cluster.names[0]).home)
            await asyncio.to_thread(
                hearth,
                "members",
                "invite",
                "--out",
                folder / "new0" / "invite.json",
                "--home",
                first,
            )
            newcomer.start()
            await community.admit(newcomer, founders[:3])
            await community.until(
                newcomer.client, lambda s: s["members"] == 5 and votes(s), "does not vote"
            )
            await community.close()

    asyncio.run(run())


def test_the_commands_bring_a_household_in_and_give_it_a_new_key(options):
    """`members invite`, `node join`, `propose`, `vote`, `list`, `rotate`, as people use them."""
    asyncio.run(bring_up(options))
    cluster = Cluster(TestnetLayout.of("m", options.root))
    founders = [str(cluster.layout.household(name).home) for name in cluster.names]
    folder = cluster.layout.home
    hearth("members", "invite", "--out", folder / "invite.json", "--home", founders[0])
    home = home_with_password(folder / "mill-7")
    host = f"127.0.0.1:{BASE_PORT + 50}"
    hearth(
        *("node", "join", folder / "invite.json", "--home", home, "--name", "mill-7"),
        *("--endpoint", host, "--p2p", host, "--meter-id", "M7"),
        *("--rpc", f"127.0.0.1:{BASE_PORT + 150}"),
    )
    cluster.processes.start(node_label("mill-7"), ["node", "run", "--home", str(home)])
    said = hearth("members", "propose", home / "candidate.json", "--home", founders[0])
    assert "4 of 4 members are online" in said
    for founder in founders[:3]:
        hearth("members", "vote", "1", "yes", "--home", founder)
    rows = wait_for(founders[0], lambda rows: len(rows) == 5)
    key = next(row["nodeKey"] for row in rows if row["name"] == "mill-7")
    wait_until_it_votes(home)
    hearth("members", "rotate", "--home", home)
    rows = wait_for(
        founders[0],
        lambda rows: next(row["nodeKey"] for row in rows if row["name"] == "mill-7") != key,
    )
    wait_until_it_votes(home)
    assert "5 of 5 members are online" in hearth("members", "list", "--home", home)


async def bring_up(options):
    await (await up(options, quiet)).close()


def hearth(*arguments):
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    assert done.exit_code == 0, (arguments, done.output)
    return " ".join(done.output.split())


def home_with_password(home):
    home.mkdir()
    (home / "password").write_text("pw")
    (home / "password").chmod(0o600)
    return home


def wait_for(home, condition):
    """Poll the member list of a node until the condition holds."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        rows = json.loads(
            CliRunner().invoke(main, ["members", "list", "--json", "--home", home]).stdout
        )
        if condition(rows):
            return rows
        time.sleep(0.1)
    raise AssertionError(rows)


def wait_until_it_votes(home):
    deadline = time.monotonic() + 30
    said = ""
    while time.monotonic() < deadline:
        done = CliRunner().invoke(main, ["node", "status", "--json", "--home", str(home)])
        said = done.output
        if done.exit_code == 0:
            status = json.loads(done.stdout)
            if status["peersUp"] == 4 and not status["isLearner"] and status["index"] is not None:
                return
        time.sleep(0.1)
    raise AssertionError(said)
