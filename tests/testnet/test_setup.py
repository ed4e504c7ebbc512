"""Genesis, bank statement and files of a new testnet."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.hashing import tagged_hash
from crypto.keys import verify_ed25519
from crypto.keystore import MeterKeys
from market.abi import RING_PROOF_TAG
from market.units import EUR
from node.config import load
from node.p2p.identity import check_certificate
from testnet.bank import BankFile, attesters, opening_deposits
from testnet.errors import AlreadyExists, BadFile
from testnet.genesis import GenesisOptions
from testnet.grid.community import demo_community
from testnet.home_files import AgentFile, MeterFile
from testnet.layout import TestnetLayout
from testnet.manifest import Manifest
from testnet.setup import load_household_keys, write_testnet
from vm.genesis import Genesis

TIME_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    layout = TestnetLayout.of("t", tmp_path_factory.mktemp("root"))
    return write_testnet(layout, demo_community(4), GenesisOptions(time_ms=TIME_MS), seed=3)


def test_the_genesis_is_the_one_of_the_demo(made):
    genesis = made.genesis
    assert (genesis.window_ms, genesis.record_ms) == (9_000, 2_500)
    assert genesis.quota_gas == 200_000_000
    market = genesis.contracts["market"]
    assert (market["retail"], market["feed_in"], market["penalty"]) == (30_000, 8_000, 2_000)
    assert [name for name, _ in genesis.services] == ["operator", "external_market"]


def test_every_member_proves_its_keys(made):
    for member in made.genesis.members:
        digest = tagged_hash(RING_PROOF_TAG, member.account)
        verify_ed25519(member.ring_key, digest, member.ring_proof)
        check_certificate(member.certificate, member.node_key)
        assert len({member.node_key, member.ring_key, member.wallet[:32], member.wallet[32:]}) == 4


def test_every_file_reads_back(made):
    layout, manifest = made.layout, Manifest.load(made.layout.manifest)
    assert manifest == made.manifest
    assert Genesis.from_json(layout.genesis.read_bytes()) == made.genesis
    for index, entry in enumerate(manifest.households):
        home = layout.household(entry.name)
        assert load_household_keys(home).account.address == entry.account
        meter = MeterKeys.load(home.meter.keys, home.meter.password.read_text().strip())
        assert meter.account.address == entry.meter_account
        config = load(home.node_toml)
        assert (config.name, config.testnet) == (entry.name, True)
        assert config.rpc_listen.port == entry.rpc_port
        assert str(config.p2p_listen) == made.genesis.members[index].endpoint
        assert Genesis.from_json(home.genesis.read_bytes()).hash == made.genesis.hash
        profile = MeterFile.load(home.meter.profile)
        assert profile.profile == demo_community(4).households[index]
        assert AgentFile.load(home.agent_settings).battery == profile.profile.battery
    for entry in manifest.services:
        keys = load_household_keys(layout.service(entry.name))
        assert keys.account.address == entry.account


def test_secrets_are_the_owners_alone(made):
    home = made.layout.household("h39")
    secret = [home.keys, home.password, home.token, home.meter.keys, home.meter.password]
    for path in [*secret, home.meter.profile]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_agents_draw_from_different_seeds(made):
    homes = [made.layout.household(entry.name) for entry in made.manifest.households]
    assert len({AgentFile.load(home.agent_settings).seed for home in homes}) == len(homes)


def test_a_second_testnet_in_the_folder_is_refused(made):
    with pytest.raises(AlreadyExists):
        write_testnet(made.layout, demo_community(4), GenesisOptions(time_ms=TIME_MS))


def test_the_bank_has_200_eur_a_household_and_1000_for_the_outside(made):
    bank = BankFile.load(made.layout.bank)
    assert bank == opening_deposits(made.genesis)
    assert [deposit.amount for deposit in bank.deposits] == [200 * EUR] * 4 + [1_000 * EUR]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"200.00", b"200.0"),
        (b"200.00", b"-200.00"),
        (b'"eur"', b'"usd"'),
        (b'"version": 1', b'"version": 2'),
    ],
)
def test_a_changed_bank_file_is_refused(made, old, new):
    with pytest.raises(BadFile, match=r"bank\.json"):
        BankFile.from_json(made.layout.bank.read_bytes().replace(old, new))


def test_a_reference_may_stand_once(made):
    bank = opening_deposits(made.genesis)
    with pytest.raises(BadFile, match="reference"):
        BankFile.from_json(BankFile(bank.deposits[:1] * 2).to_json())


@given(st.integers(0, 200), st.integers(4, 64))
def test_as_many_members_vote_as_are_needed(index, members):
    """More than half, no member twice."""
    chosen = attesters(index, members)
    assert len(set(chosen)) == len(chosen) == members // 2 + 1
    assert all(0 <= member < members for member in chosen)
