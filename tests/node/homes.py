"""Homes of real nodes on loopback: genesis, keys, settings, as the command line writes them."""

import socket
from dataclasses import replace
from pathlib import Path

from crypto.keystore import HouseholdKeys
from node.config import Address, NodeConfig, render
from node.p2p.identity import make_certificate
from tests.node.cluster import make_genesis
from vm.genesis import Genesis

PASSWORD = "only for tests"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def household(i: int) -> HouseholdKeys:
    return HouseholdKeys.from_entropy(b"household".ljust(31, b"\0") + bytes([i]))


def make_homes(root: Path, n: int = 4, **changes) -> tuple[Genesis, list[Path]]:
    ports = free_ports(2 * n)
    plain = make_genesis(n, **changes)
    members = tuple(
        replace(
            member,
            node_key=household(i).node.public,
            account=household(i).account.address,
            certificate=make_certificate(household(i).node),
            endpoint=f"127.0.0.1:{ports[i]}",
        )
        for i, member in enumerate(plain.members)
    )
    genesis = replace(plain, members=members)
    homes = []
    for i, member in enumerate(members):
        home = root / member.name
        home.mkdir(parents=True)
        (home / "genesis.json").write_bytes(genesis.to_json())
        config = NodeConfig(
            name=member.name,
            p2p_listen=Address("127.0.0.1", ports[i]),
            rpc_listen=Address("127.0.0.1", ports[n + i]),
            testnet=True,
        )
        (home / "node.toml").write_text(render(config))
        household(i).save(home / "household.keys", PASSWORD, cost="min")
        (home / "password").write_text(PASSWORD + "\n")
        (home / "password").chmod(0o600)
        homes.append(home)
    return genesis, homes
