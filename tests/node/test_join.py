"""Invites: written and read in one form, refused by the name of the entry at fault."""

import asyncio
import json
import os

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from node.config import Address
from node.errors import ConfigError
from node.home import Home
from node.join import INVITE_BYTES_MAX, Host, Invite, ask_genesis, keep_genesis
from node.p2p.frames import GENESIS_PATH
from node.p2p.identity import NodeIdentity, client_context, make_certificate, server_context
from tests.node.cluster import node_key
from vm.genesis import GENESIS_BYTES_MAX

PORT = 31_900
HOST = Host(
    name="house",
    endpoint="192.0.2.1:26600",
    node_key=node_key(1).public,
    certificate=make_certificate(node_key(1)),
)
INVITE = Invite(chain="Mill Lane", genesis_hash=b"g" * 32, chain_id=1234, members=(HOST,))

NAMES = st.text(min_size=1, max_size=40).filter(str.isprintable)


@given(chain=NAMES, name=NAMES, chain_id=st.integers(1, 2**53 - 1))
def test_an_invite_survives_its_file(chain, name, chain_id):
    host = Host(
        name=name, endpoint=HOST.endpoint, node_key=HOST.node_key, certificate=HOST.certificate
    )
    invite = Invite(chain=chain, genesis_hash=b"g" * 32, chain_id=chain_id, members=(host,))
    assert Invite.from_json(invite.to_json()) == invite


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_are_the_one_form(data):
    try:
        invite = Invite.from_json(data)
    except ConfigError:
        return
    assert invite.to_json() == data


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("version", 2, "invite.version"),
        ("chain", "", "invite.chain"),
        ("genesis_hash", "0x00", "invite.genesis_hash: must be 32 bytes"),
        ("genesis_hash", "zz", "invite.genesis_hash: must be hexadecimal"),
        ("chain_id", -1, "invite.chain_id"),
        ("members", [], "invite.members"),
        ("members", [{}], r"invite.members\[0\]"),
    ],
)
def test_a_wrong_entry_is_named(field, value, words):
    entries = json.loads(INVITE.to_json())
    entries[field] = value
    with pytest.raises(ConfigError, match=words):
        Invite.from_json(json.dumps(entries, indent=1).encode())


def test_a_certificate_of_another_key_is_refused():
    entries = json.loads(INVITE.to_json())
    entries["members"][0]["certificate"] = "0x" + make_certificate(node_key(2)).hex()
    with pytest.raises(ConfigError, match="certificate"):
        Invite.from_json(json.dumps(entries, indent=1).encode())


def test_another_spelling_and_a_flood_are_refused():
    with pytest.raises(ConfigError, match="form"):
        Invite.from_json(INVITE.to_json().replace(b"\n", b""))
    with pytest.raises(ConfigError, match="at most"):
        Invite.from_json(b" " * (INVITE_BYTES_MAX + 1))


@pytest.mark.parametrize("size", [10, 100_000, GENESIS_BYTES_MAX + 1, 2 * GENESIS_BYTES_MAX])
def test_a_genesis_file_that_comes_in_pieces_is_read_whole(size):
    """TLS alone cuts it into pieces of 16 kB: a community of thirty did not fit into one."""
    data = os.urandom(size)
    member, newcomer = NodeIdentity.from_key(node_key(1)), NodeIdentity.from_key(node_key(2))

    async def give(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for at in range(0, size, 64 << 10):
            await response.write(data[at : at + (64 << 10)])
            await asyncio.sleep(0.01)
        return response

    async def run():
        app = web.Application()
        app.router.add_get(GENESIS_PATH, give)
        runner = web.AppRunner(app)
        await runner.setup()
        context = server_context(member, [newcomer.certificate])
        await web.TCPSite(runner, "127.0.0.1", PORT, ssl_context=context).start()
        try:
            async with aiohttp.ClientSession() as session:
                context = client_context(newcomer, (member.certificate,))
                return await ask_genesis(session, context, Address("127.0.0.1", PORT))
        finally:
            await runner.cleanup()

    assert asyncio.run(run()) == data[: GENESIS_BYTES_MAX + 1]


def test_a_genesis_file_is_there_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    """Else a power cut left a piece of one, with which the node would never start again."""
    home = Home(tmp_path)

    def cut(_):
        raise OSError("power cut")

    monkeypatch.setattr("node.join.os.fsync", cut)
    with pytest.raises(OSError, match="power cut"):
        keep_genesis(home, b"genesis")
    assert not home.genesis.exists()
    monkeypatch.undo()
    keep_genesis(home, b"genesis")
    assert home.genesis.read_bytes() == b"genesis"
