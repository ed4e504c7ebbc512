"""Writes the files of a new testnet: genesis, homes, keys, bank statement."""

import secrets
import shutil
from dataclasses import dataclass
from typing import final

from crypto.keystore import HouseholdKeys, MeterKeys
from node.config import Address, NodeConfig, render
from node.home import Home
from node.storage.vote_log import begin_log
from testnet.bank import opening_deposits
from testnet.errors import AlreadyExists
from testnet.genesis import (
    FIRST_WINDOW,
    SERVICES,
    CommunityKeys,
    GenesisOptions,
    make_genesis,
)
from testnet.grid.community import Community, HouseholdProfile
from testnet.home_files import AgentFile, MeterFile
from testnet.layout import (
    HOST,
    HouseholdLayout,
    MeterLayout,
    ServiceLayout,
    TestnetLayout,
    p2p_port,
    rpc_port,
)
from testnet.manifest import HouseholdEntry, Manifest, ServiceEntry
from testnet.strict_json import write_file
from vm.genesis import Genesis

SECRET_MODE = 0o600


@final
@dataclass(frozen=True, slots=True)
class NewTestnet:
    """A testnet whose files are written; nothing runs yet."""

    layout: TestnetLayout
    manifest: Manifest
    genesis: Genesis
    keys: CommunityKeys


def write_testnet(
    layout: TestnetLayout,
    community: Community,
    options: GenesisOptions,
    *,
    seed: int = 0,
    windows: int | None = None,
) -> NewTestnet:
    """Make keys and genesis of `community` and write every file that its processes read.

    Args:
        layout: where.
        community: who.
        options: of the chain.
        seed: for what the agents draw.
        windows: how many the agents trade; None for ever.

    Raises:
        AlreadyExists: there is a testnet in the folder.
        GenesisError: an option out of range.
    """
    if layout.manifest.exists():
        raise AlreadyExists(
            f"{layout.home} holds a testnet: `hearth testnet stop` and `reset` remove it"
        )
    keys = CommunityKeys.generate(len(community.households))
    genesis = make_genesis(community, keys, options)
    manifest = _manifest(community, genesis, options, seed)
    shutil.rmtree(layout.home, ignore_errors=True)  # What a crash of this function left.
    layout.logs.mkdir(parents=True)
    write_file(layout.genesis, genesis.to_json())
    write_file(layout.bank, opening_deposits(genesis).to_json())
    for index, profile in enumerate(community.households):
        home = layout.household(profile.name)
        entry = manifest.households[index]
        _write_household(home, keys.households[index], entry, genesis)
        _write_agent_file(home, profile, manifest, index, windows)
        _write_meter(home.meter, keys.meters[index], profile, entry, manifest)
    for name, service in zip(SERVICES, keys.services, strict=True):
        _write_service(layout.service(name), service)
    # Last: its presence says that all the rest is there.
    write_file(layout.manifest, manifest.to_json())
    return NewTestnet(layout, manifest, genesis, keys)


def load_household_keys(home: HouseholdLayout | ServiceLayout) -> HouseholdKeys:
    """Open the keys of a household or a service of a testnet; raises KeystoreError."""
    return HouseholdKeys.load(home.keys, home.password.read_text().strip())


def _manifest(
    community: Community, genesis: Genesis, options: GenesisOptions, seed: int
) -> Manifest:
    households = tuple(
        HouseholdEntry(
            name=profile.name,
            kind=profile.kind,
            account=member.account,
            meter_account=member.meter.account,
            p2p_port=p2p_port(index, options.base_port),
            rpc_port=rpc_port(index, options.base_port),
        )
        for index, (profile, member) in enumerate(
            zip(community.households, genesis.members, strict=True)
        )
    )
    services = tuple(
        ServiceEntry(name=name, account=account, via=households[index].name)
        for index, (name, account) in enumerate(genesis.services)
    )
    return Manifest(
        day=community.day,
        seed=seed,
        base_port=options.base_port,
        window_ms=genesis.window_ms,
        record_ms=genesis.record_ms,
        genesis_time_ms=genesis.time_ms,
        first_window=FIRST_WINDOW,
        history_quarters=community.history_quarters,
        households=households,
        services=services,
    )


def _write_household(
    home: HouseholdLayout, keys: HouseholdKeys, entry: HouseholdEntry, genesis: Genesis
) -> None:
    home.home.mkdir()
    config = NodeConfig(
        name=entry.name,
        p2p_listen=Address(HOST, entry.p2p_port),
        rpc_listen=Address(HOST, entry.rpc_port),
        testnet=True,
    )
    write_file(home.node_toml, render(config).encode())
    write_file(home.genesis, genesis.to_json())
    keys.save(home.keys, _write_password(home), cost="min")
    begin_log(Home(home.home).votes)
    write_file(home.token, f"{secrets.token_hex(32)}\n".encode(), mode=SECRET_MODE)


def _write_agent_file(
    home: HouseholdLayout,
    profile: HouseholdProfile,
    manifest: Manifest,
    index: int,
    windows: int | None,
) -> None:
    settings = AgentFile(
        household=profile.name,
        seed=manifest.seed * len(manifest.households) + index,
        first_window=manifest.first_window,
        history_quarters=manifest.history_quarters,
        battery=profile.battery,
        windows=windows,
    )
    write_file(home.agent_settings, settings.to_json())


def _write_meter(
    meter: MeterLayout,
    keys: MeterKeys,
    profile: HouseholdProfile,
    entry: HouseholdEntry,
    manifest: Manifest,
) -> None:
    meter.home.mkdir()
    keys.save(meter.keys, _write_password(meter), cost="min")
    file = MeterFile(
        household=entry.account,
        meter_id=f"HEARTH-{profile.name}",
        rpc_url=entry.rpc_url,
        first_window=manifest.first_window,
        history_quarters=manifest.history_quarters,
        profile=profile,
    )
    write_file(meter.profile, file.to_json(), mode=SECRET_MODE)


def _write_service(service: ServiceLayout, keys: HouseholdKeys) -> None:
    service.home.mkdir(parents=True)
    keys.save(service.keys, _write_password(service), cost="min")


def _write_password(home: HouseholdLayout | MeterLayout | ServiceLayout) -> str:
    password = secrets.token_hex(16)
    write_file(home.password, f"{password}\n".encode(), mode=SECRET_MODE)
    return password
