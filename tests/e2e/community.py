"""A testnet that households join and leave: homes of newcomers, proposals, votes, and traffic."""

import asyncio
import json
import secrets
import shutil
import time
from pathlib import Path

from cli.members import make_candidate
from crypto.keystore import HouseholdKeys, MeterKeys
from node.config import Address, NodeConfig, render
from node.join import Host, Invite
from node.rpc.client import RpcClient, RpcError, Unreachable
from testnet.cluster import Cluster
from testnet.layout import p2p_port, rpc_port
from testnet.processes import node_label

ARGUMENTS = (
    "nodeKey",
    "account",
    "ringKey",
    "ringProof",
    "wallet",
    "endpoint",
    "meter",
    "meterRingKey",
    "meterId",
    "certificate",
    "name",
    "nodeSignature",
    "accountSignature",
)
TEXTS = ("endpoint", "meterId", "name")


def invite_of(genesis):
    hosts = (
        Host(
            name=member.name,
            endpoint=member.endpoint,
            node_key=member.node_key,
            certificate=member.certificate,
        )
        for member in genesis.members
    )
    return Invite(
        chain=genesis.name,
        genesis_hash=genesis.hash,
        chain_id=genesis.chain_id,
        members=tuple(hosts),
    )


class Newcomer:
    """A home that was made with an invite; its process is one of the testnet's."""

    def __init__(self, cluster, index, base_port):
        self.cluster = cluster
        self.name = f"new{index}"
        self.keys = HouseholdKeys.generate()
        self.meter = MeterKeys.generate()
        self.home = cluster.layout.home / self.name
        self.home.mkdir()
        place = len(cluster.names) + index
        self.endpoint = f"127.0.0.1:{p2p_port(place, base_port)}"
        self.rpc = Address("127.0.0.1", rpc_port(place, base_port))
        config = NodeConfig(
            name=self.name,
            p2p_listen=Address("127.0.0.1", p2p_port(place, base_port)),
            rpc_listen=self.rpc,
            testnet=True,
        )
        self.token = secrets.token_hex(32)
        (self.home / "node.toml").write_text(render(config))
        (self.home / "invite.json").write_bytes(invite_of(cluster.genesis).to_json())
        self.keys.save(self.home / "household.keys", "pw", cost="min")
        for name, text in (("password", "pw"), ("rpc.token", self.token)):
            (self.home / name).write_text(text + "\n")
            (self.home / name).chmod(0o600)
        self.client = RpcClient(f"http://{self.rpc}", self.token)

    def start(self):
        self.cluster.processes.start(
            node_label(self.name), ["node", "run", "--home", str(self.home)]
        )

    def stop(self):
        self.cluster.processes.stop([node_label(self.name)])

    def candidate(self):
        fields = make_candidate(
            self.keys,
            self.meter,
            endpoint=self.endpoint,
            meter_id=f"M-{self.name}",
            name=self.name,
            chain_id=self.cluster.genesis.chain_id,
        )
        return [
            fields[name] if name in TEXTS else bytes.fromhex(fields[name][2:]) for name in ARGUMENTS
        ]


class Community:
    """The founders' cluster and whoever has joined it."""

    def __init__(self, cluster: Cluster, base_port: int) -> None:
        self.cluster = cluster
        self.base_port = base_port
        self.newcomers: list[Newcomer] = []

    def newcomer(self):
        made = Newcomer(self.cluster, len(self.newcomers), self.base_port)
        self.newcomers.append(made)
        return made

    async def close(self):
        for each in self.newcomers:
            await each.client.close()

    async def send(self, keys, function, *args, via=None):
        """Send a call of Membership and wait until it is sealed; returns the receipt."""
        via = via or self.cluster.names[0]
        nonce = await self.cluster.nonce(via, keys.account.address)
        raw = self.cluster.sign_call(keys, nonce, "Membership", function, *args)
        receipt = await self.cluster.client(via).call("hearth_submit", f"0x{raw.hex()}")
        assert receipt["status"] == "0x1", (function, receipt)
        return receipt

    async def send_any(self, keys):
        """Have a block made."""
        via = self.cluster.names[0]
        nonce = await self.cluster.nonce(via, keys.account.address)
        raw = self.cluster.sign_call(keys, nonce, "MoneyToken", "approve", bytes(19) + b"\x01", 1)
        await self.cluster.client(via).call("hearth_submit", f"0x{raw.hex()}")

    async def last_proposal(self):
        (rows,) = await self.cluster.view(self.cluster.names[0], "Membership", "proposals")
        return rows[-1][0]

    async def vote(self, voters):
        id_ = await self.last_proposal()
        for keys in voters:
            await self.send(keys, "vote", id_, True)
        return id_

    async def admit(self, newcomer, voters):
        await self.send(voters[0], "propose", *newcomer.candidate())
        return await self.vote(voters)

    async def evict(self, account, voters):
        await self.send(voters[0], "proposeEviction", account)
        return await self.vote(voters)

    async def status(self, client):
        return await client.call("hearth_status")

    async def until(self, client, condition, what, timeout_s=30.0):
        """Poll a node's status until the condition holds."""
        status = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        status = await client.call("hearth_status")
                        if condition(status):
                            return status
                    except (Unreachable, RpcError):
                        pass
                    await asyncio.sleep(0.05)
        except TimeoutError:
            why = None
            try:
                why = await client.call("hearth_why")
            except (Unreachable, RpcError) as error:
                why = repr(error)
            tails = [
                self.cluster.processes.log_tail(label) for label in self.cluster.processes.labels()
            ]
            raise AssertionError(f"{what}: {json.dumps(status)} {why} {tails}") from None

    async def says(self, client, words, timeout_s=20.0):
        """Wait until `hearth node why` has the words."""
        why = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        why = await client.call("hearth_why")
                        if any(words in line for line in why):
                            return
                    except (Unreachable, RpcError):
                        pass
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{words!r} is not in {why}") from None

    async def equal_heads(self, clients, timeout_s=20.0):
        """Wait until all show the same block at the same height."""
        heads = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    rows = [await self.status(client) for client in clients]
                    heads = {(row["height"], row["hash"]) for row in rows}
                    if len(heads) == 1:
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"heads differ: {heads}") from None


class Traffic:
    """Calls that are sealed one after another, and the longest pause between two of them."""

    def __init__(self, community, keys, via):
        self.community = community
        self.keys = keys
        self.via = via
        self.sealed = 0
        self.longest_s = 0.0
        self._is_over = False

    async def run(self):
        cluster = self.community.cluster
        nonce = await cluster.nonce(self.via, self.keys.account.address)
        last = time.monotonic()
        while not self._is_over:
            raw = cluster.sign_call(
                self.keys, nonce, "MoneyToken", "approve", bytes(19) + b"\x01", nonce
            )
            receipt = await cluster.client(self.via).call("hearth_submit", f"0x{raw.hex()}")
            assert receipt["status"] == "0x1"
            now = time.monotonic()
            self.longest_s = max(self.longest_s, now - last)
            last = now
            self.sealed += 1
            nonce += 1

    async def reach(self, count, timeout_s=30):
        """Wait until so many calls are sealed."""
        async with asyncio.timeout(timeout_s):
            while self.sealed < count:  # noqa: ASYNC110  What is awaited is another process.
                await asyncio.sleep(0.05)

    async def __aenter__(self):
        self._task = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_):
        self._is_over = True
        await self._task


def remove_data(home: Path) -> None:
    """What a broken disk leaves: the keys, which were elsewhere, and nothing else."""
    shutil.rmtree(home / "data")
