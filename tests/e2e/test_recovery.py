"""Two of five nodes are gone for good; the others go on with a newcomer, on real processes."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from market.abi import MONEY_TOKEN
from node.home import load_genesis
from node.rpc.client import RpcClient, RpcError, Unreachable
from testnet.cluster import Cluster
from testnet.launcher import UpOptions, up
from testnet.layout import TestnetLayout, p2p_port, rpc_port
from testnet.processes import node_label
from tests.cli.street import run, run_json
from tests.e2e.community import Community, Traffic

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

BASE_PORT = 29_000
PASSWORD = "only for tests"
N, GONE = 5, 2
PAUSE_S = 0.02


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("cli.keys.COST", "min")
    for name in ("HEARTH_HOME", "HEARTH_TESTNET"):
        monkeypatch.delenv(name, raising=False)
    layout = TestnetLayout.of("r", tmp_path)
    yield layout
    if layout.manifest.exists():
        Cluster(layout).reset()


async def lose_two_under_load(layout):
    """Return what everybody had when nothing could be sealed any more."""
    options = UpOptions(
        name="r",
        root=layout.home.parent,
        base_port=BASE_PORT,
        households=N,
        window_ms=60_000,
        has_agents=False,
    )
    async with await up(options, lambda _: None) as cluster:
        load = asyncio.create_task(keep_busy(cluster))
        first = cluster.client(cluster.names[0])
        start = (await first.call("hearth_status"))["height"]
        async with asyncio.timeout(30):
            while (await first.call("hearth_status"))["height"] < start + 20:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        cluster.processes.kill([node_label(name) for name in cluster.names[N - GONE :]])
        await asyncio.sleep(2)
        height = (await first.call("hearth_status"))["height"]
        await asyncio.sleep(2)
        assert (await first.call("hearth_status"))["height"] == height, "no quorum, no block"
        load.cancel()
        return cluster.names


async def keep_busy(cluster):
    """Transfers of the first household, one after another, whether they are sealed or not."""
    keys, name = cluster.keys(cluster.names[0]), cluster.names[0]
    nonce = await cluster.nonce(name, keys.account.address)
    to = cluster.keys(cluster.names[1]).account.address
    while True:
        raw = cluster.sign_call(keys, nonce, "MoneyToken", "transfer", to, 1)
        try:
            await cluster.client(name).call("eth_sendRawTransaction", "0x" + raw.hex())
            nonce += 1
        except (RpcError, Unreachable):
            pass
        await asyncio.sleep(PAUSE_S)


async def holdings(cluster, name):
    """Money of each household and of the market, and how much there is."""
    accounts = [cluster.keys(each).account.address for each in cluster.names]
    rows = [
        (await cluster.view(name, "MoneyToken", "balanceOf", account))[0]
        for account in (*accounts, bytes.fromhex(MONEY_TOKEN.hex()))
    ]
    return rows, (await cluster.view(name, "MoneyToken", "totalSupply"))[0]


def test_a_community_goes_on_after_it_lost_its_quorum(layout, tmp_path):
    names = asyncio.run(lose_two_under_load(layout))
    homes = {name: layout.household(name).home for name in names}
    survivors, gone = names[: N - GONE], names[N - GONE :]
    status = run_json("recover", "status", "--home", homes[survivors[0]])
    assert (status["is_below_quorum"], status["there"]) == (True, N - GONE)
    heights = asyncio.run(stop(layout, survivors))
    best = max(survivors, key=lambda name: heights[name])
    before, old_genesis = asyncio.run(tally(layout, best)), layout.genesis

    found = run_json("recover", "status", "--home", homes[best])
    assert found["is_below_quorum"]
    assert found["height"] == heights[best]
    run("backup", "best.backup", "--state-only", "--home", homes[best])
    late = newcomer(homes[best])
    missing = [part for name in gone for part in ("--missing", name)]
    run("recover", "propose", "--home", homes[best], *missing, "--member", "late.member.json")
    behind = {
        name: ("--state", "best.backup") for name in survivors if heights[name] < heights[best]
    }
    for name in survivors:
        state = behind.get(name, ())
        run("recover", "sign", "recovery.json", "--home", homes[name], "--yes", *state)
    homes["late"] = late
    new = {name: tmp_path / f"{name}-anew" for name in (*survivors, "late")}
    behind["late"] = (
        *("--state", "best.backup", "--p2p", f"127.0.0.1:{p2p_port(N, BASE_PORT)}"),
        *("--rpc", f"127.0.0.1:{rpc_port(N, BASE_PORT)}"),
    )
    hashes = set()
    for name, home in new.items():
        args = ("recover", "apply", "recovery.json", "--home", homes[name], "--into", home)
        hashes.add(json.loads(run(*args, *behind.get(name, ()), "--json").stdout)["genesis"])
    assert len(hashes) == 1

    run("recover", "genesis", "recovery.json", old_genesis, "--out", "followed.json")
    assert Path("followed.json").read_bytes() == (new["late"] / "genesis.json").read_bytes()
    asyncio.run(go_on(layout, new, before))
    home = new[survivors[0]]
    run("chain", "proof", "--balance", "late", "--home", home, "--out", "late.json")
    proven = run_json("chain", "verify-proof", "late.json", "--genesis", home / "genesis.json")
    assert (proven["account"], proven["units"]) == ("late", 0)
    assert len(run_json("chain", "block", "1", "--home", home)["sealed_by"]) == 3
    shown = run_json("chain", "verify", "--home", new[survivors[0]], "--after", old_genesis)
    assert shown["height"] > 0
    assert shown["follows"]["is_shown"]
    assert shown["follows"]["height"] == heights[best]
    Cluster(layout).stop()
    refused = run("node", "run", "--home", homes[survivors[0]], code=None)
    assert "another chain follows" in refused.output


async def stop(layout, names):
    """End the survivors' nodes; return where each stands."""
    cluster = Cluster(layout)
    heights = {}
    for name in names:
        heights[name] = (await cluster.client(name).call("hearth_status"))["height"]
    await cluster.close()
    cluster.stop()
    return heights


async def tally(layout, name):
    """Start a survivor alone, for its balances, and end it."""
    cluster = Cluster(layout)
    cluster.start_node(name)
    async with asyncio.timeout(30):
        while True:
            try:
                await cluster.client(name).call("hearth_status")
                break
            except (RpcError, Unreachable):
                await asyncio.sleep(0.1)
    found = await holdings(cluster, name)
    await cluster.close()
    cluster.stop()
    return found


def newcomer(old_home):
    """Make a home with keys and the old genesis file, and the newcomer's record."""
    run("keys", "new", "--home", "late", input=f"{PASSWORD}\n" * 4)
    endpoint = f"127.0.0.1:{p2p_port(N, BASE_PORT)}"
    args = ("keys", "member", "--home", "late", "--name", "late", "--endpoint", endpoint)
    run(*args, "--meter-id", "M-late", input=f"{PASSWORD}\n" * 2)
    shutil.copy(old_home / "genesis.json", "late/genesis.json")
    Path("late/password").write_text(f"{PASSWORD}\n")
    Path("late/password").chmod(0o600)
    return Path("late")


async def go_on(layout, new, before):
    """The new chain seals, tolerates a fault, and everybody has what it had."""
    cluster = Cluster(layout)
    cluster.genesis = load_genesis(new["late"] / "genesis.json")
    for name, home in new.items():
        cluster.processes.start(node_label(name), ["node", "run", "--home", str(home)])
    late = RpcClient(f"http://127.0.0.1:{rpc_port(N, BASE_PORT)}")
    community = Community(cluster, BASE_PORT)
    survivors = [name for name in new if name != "late"]
    clients = [*(cluster.client(name) for name in survivors), late]
    for client in clients:
        await community.until(client, lambda s: s["peersUp"] == 3, "peers are missing", 60.0)
    assert await holdings(cluster, survivors[0]) == before
    async with Traffic(community, cluster.keys(survivors[1]), survivors[1]) as traffic:
        await traffic.reach(10)
        cluster.processes.kill([node_label(survivors[0])])
        await traffic.reach(traffic.sealed + 10)
    cluster.processes.start(
        node_label(survivors[0]), ["node", "run", "--home", str(new[survivors[0]])]
    )
    await community.until(clients[0], lambda s: s["peersUp"] == 3, "does not come back", 60.0)
    await community.equal_heads(clients)
    assert await holdings(cluster, survivors[1]) == before
    await late.close()
    await cluster.close()
