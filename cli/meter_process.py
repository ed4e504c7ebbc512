"""The meter's own process: measures the simulated house, signs, attests.

It holds the meter's key, which neither the node nor the household's agents ever open. Its folder
is described in `testnet.layout`.
"""

import asyncio
from pathlib import Path
from typing import final

from cli.ports import RpcChain, SimulatedHouse, WallClock, count_lines, patiently, signer
from cli.target import view
from crypto.keystore import MeterKeys
from market.agents.actions import Action
from market.agents.devices.meter_record import Registers, to_ocmf
from market.agents.devices.smart_meter import ACCOUNT, MeterConfig, SmartMeterAgent
from market.agents.observations import Observation, ReadingTaken
from market.agents.runtime import AgentRuntime, Ports
from market.agents.terms import QUARTERS_PER_WINDOW, MarketTerms
from node.rpc.client import RpcClient
from testnet.grid.house import House
from testnet.home_files import MeterFile
from testnet.layout import MeterLayout

TICKS_PER_WINDOW = 100


@final
class RecordingMeter:
    """The meter's core, whose every new record is appended to `records.ocmf`."""

    def __init__(self, core: SmartMeterAgent, path: Path) -> None:
        self._core = core
        self._path = path
        self._written = count_lines(path)

    def step(self, observation: Observation, now_ms: int) -> tuple[Action, ...]:
        """Step the core; write the record that a reading made."""
        before = self._core.records[-1] if self._core.records else None
        actions = self._core.step(observation, now_ms)
        if isinstance(observation, ReadingTaken) and self._core.records:
            record = self._core.records[-1]
            if record is not before and record.pagination > self._written:
                with self._path.open("a") as file:
                    file.write(to_ocmf(record) + "\n")
                self._written = record.pagination
        return actions


def run(home: Path) -> None:
    """Run the meter in `home` until it is cancelled."""
    asyncio.run(_run(MeterLayout(home)))


async def _run(layout: MeterLayout) -> None:
    file = MeterFile.load(layout.profile)
    keys = MeterKeys.load(layout.keys, layout.password.read_text().strip())
    async with RpcClient(file.rpc_url) as client:
        chain_id = int(await patiently(lambda: client.call("eth_chainId")), 16)
        values = await patiently(lambda: view(client, "Market", "parameters"))
        terms = MarketTerms.from_parameters(chain_id, values)
        house = House(file.profile, restart_quarter=file.history_quarters)
        history = tuple(house.step() for _ in range(file.history_quarters))
        core = SmartMeterAgent(
            MeterConfig(
                meter_id=file.meter_id,
                household=file.household,
                quarter_of_window_0=file.history_quarters - QUARTERS_PER_WINDOW * file.first_window,
                first_quarter=file.history_quarters,
                installed=Registers(charged_wh=house.soc_wh),
            ),
            terms,
            keys.account,
        )
        devices = SimulatedHouse(
            house,
            history=history,
            first_window=file.first_window,
            terms=terms,
            readings=layout.readings,
        )
        runtime = AgentRuntime(
            RecordingMeter(core, layout.records),
            accounts={ACCOUNT: keys.account},
            ports=Ports(chain=RpcChain(client), clock=WallClock(), devices=devices),
            sign=signer(chain_id),
            tick_ms=max(10, terms.window_ms // TICKS_PER_WINDOW),
        )
        await runtime.run()
