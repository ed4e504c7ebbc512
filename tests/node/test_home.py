"""The home directory: what cannot be used is named, with what to do about it."""

import json

import pytest

from crypto.keystore import HouseholdKeys
from node.app import open_node
from node.config import Address, NodeConfig, load, render
from node.errors import ConfigError, StoreLocked
from node.home import Home, endpoints, load_config, load_genesis, load_keys, load_token
from tests.node.homes import PASSWORD, household, make_homes


@pytest.fixture
def home(tmp_path):
    _, homes = make_homes(tmp_path)
    return Home(homes[0])


def test_a_good_home_opens(home):
    genesis = load_genesis(home.genesis)
    config = load_config(home, genesis)
    keys = load_keys(home, genesis, config.name, None)
    assert keys.node.public == household(0).node.public
    assert load_keys(home, genesis, config.name, PASSWORD).account.address == (
        genesis.members[0].account
    )


def test_members_are_numbered_by_their_keys(home):
    genesis = load_genesis(home.genesis)
    found = endpoints(genesis, load(home.config))
    assert [m.index for m in found] == [0, 1, 2, 3]
    assert [m.node_key for m in found] == sorted(m.node_key for m in genesis.members)


def test_a_peer_is_reached_where_the_settings_say(home):
    config = load(home.config)
    moved = NodeConfig(
        name=config.name,
        p2p_listen=config.p2p_listen,
        rpc_listen=config.rpc_listen,
        peers={"house-2": Address("10.1.2.3", 5)},
    )
    home.config.write_text(render(moved))
    genesis = load_genesis(home.genesis)
    found = {m.name: (m.host, m.port) for m in endpoints(genesis, load_config(home, genesis))}
    assert found["house-2"] == ("10.1.2.3", 5)
    assert found["house-1"][0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('name = "house-0"', 'name = "nobody"', "node.name"),
        ("\n[rpc]", '\nx = "h:1"\n[rpc]', "p2p.peers"),
    ],
)
def test_a_name_that_genesis_does_not_know_is_refused(home, old, new, field):
    home.config.write_text(home.config.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match="not a member") as caught:
        load_config(home, load_genesis(home.genesis))
    assert caught.value.field == field


def test_a_certificate_of_another_key_is_refused_by_name(home):
    value = json.loads(home.genesis.read_bytes())
    members = value["members"]
    members[0]["certificate"] = members[1]["certificate"]
    home.genesis.write_text(json.dumps(value))
    with pytest.raises(ConfigError, match="house-0"):
        load_genesis(home.genesis)


def test_a_member_without_certificate_is_refused(home):
    value = json.loads(home.genesis.read_bytes())
    value["members"][3]["certificate"] = ""
    home.genesis.write_text(json.dumps(value))
    with pytest.raises(ConfigError, match="house-3"):
        load_genesis(home.genesis)


def test_a_genesis_that_is_missing_or_wrong_is_named(home):
    home.genesis.write_text("{}")
    with pytest.raises(ConfigError, match=r"genesis\.json"):
        load_genesis(home.genesis)
    home.genesis.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_genesis(home.genesis)


def test_keys_are_checked_against_the_member(home):
    genesis = load_genesis(home.genesis)
    with pytest.raises(ConfigError, match="wrong password"):
        load_keys(home, genesis, "house-0", "wrong")
    with pytest.raises(ConfigError, match="another node key"):
        load_keys(home, genesis, "house-1", PASSWORD)
    home.keys.unlink()
    HouseholdKeys.generate().save(home.keys, PASSWORD, cost="min")
    with pytest.raises(ConfigError, match="another node key"):
        load_keys(home, genesis, "house-0", None)
    home.keys.unlink()
    with pytest.raises(ConfigError, match=r"household\.keys"):
        load_keys(home, genesis, "house-0", None)


def test_a_password_file_that_others_can_read_is_refused(home):
    home.password.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_keys(home, load_genesis(home.genesis), "house-0", None)


def test_the_token_is_made_once_and_only_its_owner_reads_it(home):
    token = load_token(home)
    assert len(bytes.fromhex(token)) == 32
    assert home.token.stat().st_mode & 0o777 == 0o600
    assert load_token(home) == token
    home.token.write_text("short")
    with pytest.raises(ConfigError, match="64 lower-case hex digits"):
        load_token(home)


def test_a_second_node_on_one_home_is_refused(home):
    node = open_node(home.path, (), lambda _: None)
    with pytest.raises(StoreLocked, match="another node"):
        open_node(home.path, (), lambda _: None)
    node.vote_log.close()
    node.store.close()
