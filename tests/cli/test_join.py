"""`hearth node join`, `members invite` and `members rotate`, and what voters are told."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from cli.errors import Unusable
from cli.main import main
from cli.members import read_candidate, slack_in_words
from cli.node_rotation import make_next_key, rotation_arguments
from crypto.codec import encode
from crypto.hashing import tagged_hash
from crypto.keys import verify_ed25519
from crypto.keystore import HouseholdKeys, MeterKeys
from market.abi import FUNCTIONS, ROTATION_TAG
from node.config import load
from node.errors import ConfigError
from node.home import Home, load_home_keys
from node.join import Host, Invite
from node.p2p.identity import check_certificate, make_certificate
from tests.node.cluster import node_key
from tests.node.homes import PASSWORD, household, make_homes


def invite_file(folder):
    host = Host(
        name="h0",
        endpoint="192.0.2.1:26600",
        node_key=node_key(0).public,
        certificate=make_certificate(node_key(0)),
    )
    invite = Invite(chain="street", genesis_hash=b"g" * 32, chain_id=99, members=(host,))
    path = folder / "invite.json"
    path.write_bytes(invite.to_json())
    return path


def home_with_keys(folder):
    home = folder / "home"
    home.mkdir()
    HouseholdKeys.generate().save(home / "household.keys", PASSWORD, cost="min")
    MeterKeys.generate().save(home / "meter.keys", PASSWORD, cost="min")
    (home / "password").write_text(PASSWORD)
    (home / "password").chmod(0o600)
    return home


def join(folder, home, *more):
    arguments = ["node", "join", str(invite_file(folder)), "--home", str(home)]
    arguments += ["--name", "mill-7", "--endpoint", "192.0.2.7:26600", "--meter-id", "M7", *more]
    return CliRunner().invoke(main, arguments)


def test_a_newcomer_gets_a_home_and_a_candidate_that_any_member_can_propose(tmp_path):
    home = home_with_keys(tmp_path)
    done = join(tmp_path, home)
    assert done.exit_code == 0, done.output
    assert "hearth members propose" in done.output
    config = load(home / "node.toml")
    assert (config.name, str(config.p2p_listen)) == ("mill-7", "0.0.0.0:26600")
    assert Invite.load(Home(home).invite).chain_id == 99
    candidate = json.loads((home / "candidate.json").read_text())
    assert sorted(candidate) == sorted(FUNCTIONS["Membership"]["propose"].input_names)
    assert (candidate["name"], candidate["meterId"]) == ("mill-7", "M7")
    certificate = bytes.fromhex(candidate["certificate"][2:])
    check_certificate(certificate, bytes.fromhex(candidate["nodeKey"][2:]))


def test_nothing_is_overwritten(tmp_path):
    home = home_with_keys(tmp_path)
    assert join(tmp_path, home).exit_code == 0
    keys = (home / "household.keys").read_bytes()
    again = join(tmp_path, home)
    assert again.exit_code != 0
    assert "nothing is overwritten" in again.output
    assert (home / "household.keys").read_bytes() == keys


def returning(home, invite, *more):
    return CliRunner().invoke(main, ["node", "join", str(invite), "--home", str(home), *more])


def test_a_member_s_home_takes_an_invite_and_nothing_else(tmp_path):
    """Its node knows where to ask, though all others changed their keys while it was away."""
    genesis, homes = make_homes(tmp_path)
    home, path = Home(homes[0]), invite_file(tmp_path)
    other = returning(home.path, path)
    assert other.exit_code != 0
    assert "another chain" in other.output
    assert not home.invite.exists()
    invite = replace(Invite.load(path), genesis_hash=genesis.hash)
    path.write_bytes(invite.to_json())
    newcomer = returning(home.path, path, "--name", "somebody")
    assert newcomer.exit_code != 0
    assert "--name" in newcomer.output
    before = {each.name: each.read_bytes() for each in home.path.iterdir() if each.is_file()}
    assert returning(home.path, path).exit_code == 0
    later = replace(invite, chain="the same, later")
    path.write_bytes(later.to_json())
    done = returning(home.path, path)
    assert done.exit_code == 0, done.output
    assert "hearth node run" in done.output
    assert Invite.load(home.invite) == later
    after = {each.name: each.read_bytes() for each in home.path.iterdir() if each.is_file()}
    assert after == before | {home.invite.name: later.to_json()}


def test_a_newcomer_says_who_it_is(tmp_path):
    home = home_with_keys(tmp_path)
    done = returning(home, invite_file(tmp_path), "--name", "mill-7")
    assert done.exit_code != 0
    assert "--endpoint" in done.output
    assert not Home(home).invite.exists()


def test_an_invite_that_was_changed_is_refused(tmp_path):
    home = home_with_keys(tmp_path)
    path = invite_file(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"26600", b"66600"))
    arguments = ["node", "join", str(path), "--home", str(home), "--name", "x"]
    done = CliRunner().invoke(main, [*arguments, "--endpoint", "a:1", "--meter-id", "M"])
    assert done.exit_code != 0
    assert "endpoint" in done.output
    assert not Home(home).invite.exists()


def test_a_new_node_key_is_sealed_beside_the_old_one_and_signs_for_itself(tmp_path):
    genesis, homes = make_homes(tmp_path)
    home = Home(homes[0])
    key = make_next_key(home, PASSWORD)
    keys = load_home_keys(home, genesis, genesis.members[0].name, None)
    assert keys.household.node.public == household(0).node.public
    following = keys.load_next()
    assert following is not None
    assert following.public == key.public
    account = genesis.members[0].account
    public, certificate, endpoint, signature = rotation_arguments(
        genesis.chain_id, account, key, "192.0.2.1:1"
    )
    digest = tagged_hash(
        ROTATION_TAG, encode([genesis.chain_id, account, public, certificate, endpoint])
    )
    verify_ed25519(public, digest, signature)
    check_certificate(certificate, public)


def test_a_rotation_that_was_interrupted_goes_on_with_the_same_key(tmp_path):
    """Found by review: it was refused until the file was removed, by hand."""
    _, homes = make_homes(tmp_path)
    home = Home(homes[0])
    fresh = make_next_key(home, PASSWORD)
    before = home.next_node_key.read_bytes()
    assert make_next_key(home, PASSWORD).public == fresh.public
    assert home.next_node_key.read_bytes() == before
    with pytest.raises(ConfigError, match="wrong password"):
        make_next_key(home, "another")


def test_the_key_that_is_a_members_is_the_one_in_use(tmp_path):
    """The key of a rotation takes its place when it has taken effect, and stays there."""
    genesis, homes = make_homes(tmp_path)
    home = Home(homes[0])
    fresh = make_next_key(home, PASSWORD)
    old = [member.node_key for member in genesis.members]
    name = genesis.members[0].name
    keys = load_home_keys(home, genesis, name, None)
    assert keys.present(old).public == household(0).node.public
    assert not home.node_key.exists()
    assert keys.present([*old[1:], fresh.public]).public == fresh.public
    assert home.node_key.exists()
    assert not home.next_node_key.exists()
    # Also while the chain is replayed from where the old key was the member's.
    again = load_home_keys(home, genesis, name, None)
    assert again.present(old).public == fresh.public


@pytest.mark.parametrize(
    ("members", "peers", "index", "words"),
    [
        (4, 3, 0, "slack 1 (0 with 5 members"),
        (4, 2, 0, "3 of 4 members are online and 3 are needed to seal a block: slack 0"),
        (5, 4, None, "4 of 5"),
        (7, 6, 2, "slack 2 (3 with 6 members, 1 with 8 members"),
    ],
)
def test_voters_are_told_how_many_may_go_missing(members, peers, index, words):
    """Research rule 31: a member that is not there counts towards the quorum all the same."""
    status = {"members": members, "peersUp": peers, "index": index}
    assert words in slack_in_words(status)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "7", "{}", "name", "number"])
def test_a_file_that_is_no_candidate_is_refused(tmp_path, text):
    names = FUNCTIONS["Membership"]["propose"].input_names
    if text in ("name", "number"):  # All that belongs there, but one of another kind.
        value = dict.fromkeys(names, "0x00")
        value[names[0 if text == "number" else names.index("name")]] = 5
        text = json.dumps(value)
    file = tmp_path / "candidate.json"
    file.write_text(text)
    with pytest.raises(Unusable, match=r"candidate|must have exactly"):
        read_candidate(file)
