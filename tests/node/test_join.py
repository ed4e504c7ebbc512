"""Invites: written and read in one form, refused by the name of the entry at fault."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import ConfigError
from node.join import INVITE_BYTES_MAX, Host, Invite
from node.p2p.identity import make_certificate
from tests.node.cluster import node_key

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
