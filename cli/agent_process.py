"""The processes of agents: one for a household's, one for those of the community's services."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from cli.ports import MeterFileDevices, RpcChain, RpcRelay, WallClock, patiently, signer
from cli.target import Target, view
from crypto.keystore import HouseholdKeys
from market.abi import EXTERNAL_MARKET, OPERATOR
from market.agents.actions import Report
from market.agents.devices.battery import BatteryModel
from market.agents.household import Household, HouseholdConfig
from market.agents.operator.external_market import ExternalMarketAgent
from market.agents.operator.grid_operator import GridOperatorAgent
from market.agents.runtime import AgentRuntime, Core, Ports
from market.agents.terms import QUARTERS_PER_WINDOW, MarketTerms
from node.home import Home
from node.rpc.client import RpcClient
from testnet.grid.community import BatterySpec
from testnet.home_files import AgentFile
from testnet.layout import HouseholdLayout, TestnetLayout
from testnet.manifest import Manifest

TICKS_PER_WINDOW = 180
"""How often time is shown to a core: every 50 ms of a 9-second window, 20 s of an hour."""


@final
class ReportLog:
    """Appends an agent's reports as JSON lines."""

    def __init__(self, path: Path, clock: WallClock) -> None:
        self._path = path
        self._clock = clock

    def __call__(self, report: Report) -> None:
        line = {"time_ms": self._clock.now_ms(), "kind": report.kind, **dict(report.fields)}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


async def load_terms(client: RpcClient) -> MarketTerms:
    """Read the market's terms from the node; waits until it answers."""
    chain_id = int(await patiently(lambda: client.call("eth_chainId")), 16)
    return MarketTerms.from_parameters(
        chain_id, await patiently(lambda: view(client, "Market", "parameters"))
    )


def run_household(home: Path) -> None:
    """Run all agents of the household whose home this is, until cancelled."""
    asyncio.run(_run_household(HouseholdLayout(home), Target(Home(home))))


async def _run_household(layout: HouseholdLayout, target: Target) -> None:
    settings = AgentFile.load(layout.agent_settings)
    keys = target.keys
    async with target.client() as client:
        terms = await load_terms(client)
        config = household_config(settings, keys, target.config.rpc_listen.host)
        clock = WallClock()
        runtime = AgentRuntime(
            Household(config, terms),
            accounts=config.accounts,
            ports=Ports(
                chain=RpcChain(client),
                clock=clock,
                relay=RpcRelay(client),
                devices=MeterFileDevices(layout.meter.readings),
            ),
            sign=signer(terms.chain_id),
            tick_ms=max(10, terms.window_ms // TICKS_PER_WINDOW),
            on_report=ReportLog(layout.agent_log, clock),
        )
        await runtime.run()


def household_config(settings: AgentFile, keys: HouseholdKeys, endpoint: str) -> HouseholdConfig:
    """Return what the household's core is made of."""
    return HouseholdConfig(
        household=keys.account,
        seller=keys.agent("seller"),
        buyer=keys.agent("buyer"),
        secret=keys.relay_box_key,
        data_key=keys.data_key,
        endpoint=endpoint,
        battery=_battery(settings.battery),
        quarter_of_window_0=settings.history_quarters - QUARTERS_PER_WINDOW * settings.first_window,
        first_window=settings.first_window,
        windows=settings.windows,
    )


def _battery(spec: BatterySpec | None) -> BatteryModel | None:
    if spec is None:
        return None
    return BatteryModel(
        capacity_wh=spec.capacity_wh, power_w=spec.power_w, efficiency_ppm=spec.efficiency_ppm
    )


def run_services(testnet_home: Path) -> None:
    """Run the agents of the operator and the external market of a testnet, until cancelled."""
    asyncio.run(_run_services(TestnetLayout(testnet_home)))


async def _run_services(layout: TestnetLayout) -> None:
    manifest = Manifest.load(layout.manifest)
    async with asyncio.TaskGroup() as group:
        for service in manifest.services:
            folder = layout.service(service.name)
            keys = HouseholdKeys.load(folder.keys, folder.password.read_text().strip())
            url = manifest.household(service.via).rpc_url
            log = ReportLog(folder.home / "agent.log", WallClock())
            members = len(manifest.households)
            group.create_task(_run_service(service.name, keys, url, members, log))


async def _run_service(
    name: str,
    keys: HouseholdKeys,
    url: str,
    members: int,
    on_report: Callable[[Report], Any],
) -> None:
    async with RpcClient(url) as client:
        terms = await load_terms(client)
        runtime = AgentRuntime(
            service_core(name, terms, keys.account.address, members),
            accounts={name: keys.account},
            ports=Ports(chain=RpcChain(client), clock=WallClock()),
            sign=signer(terms.chain_id),
            tick_ms=max(10, terms.window_ms // TICKS_PER_WINDOW),
            on_report=on_report,
        )
        await runtime.run()


def service_core(name: str, terms: MarketTerms, account: bytes, members: int) -> Core:
    """Return the agent of a service account.

    Raises:
        ValueError: no agent belongs to that name.
    """
    if name == OPERATOR:
        return GridOperatorAgent(terms)
    if name == EXTERNAL_MARKET:
        return ExternalMarketAgent(terms, account=account, members=members)
    raise ValueError(f"no agent serves the account {name!r}")
