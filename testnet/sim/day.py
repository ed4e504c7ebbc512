"""A whole day of the market in one process, deterministic from one seed.

The real machine and contracts, every agent's real core, houses from the shipped profiles, a relay
with seeded delays, and virtual time. What a demo does in minutes with processes happens here in
seconds, and the same seed gives the same state root on every machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import final

from crypto.hashing import tagged_hash
from crypto.keys import AccountKey
from crypto.keystore import HouseholdKeys, MeterKeys
from market.abi import EXTERNAL_MARKET, OPERATOR
from market.agents.devices.battery import BatteryModel
from market.agents.devices.meter_record import Registers
from market.agents.devices.smart_meter import MeterConfig, SmartMeterAgent
from market.agents.household import Household, HouseholdConfig
from market.agents.observations import ReadingTaken
from market.agents.operator.external_market import ExternalMarketAgent
from market.agents.operator.grid_operator import GridOperatorAgent
from market.agents.terms import QUARTERS_PER_WINDOW, MarketTerms
from market.contracts.invariants import check
from node.natives import NATIVES
from testnet.bank import attesters, opening_deposits
from testnet.genesis import (
    FIRST_WINDOW,
    RECORD_MS,
    SERVICES,
    WINDOW_MS,
    CommunityKeys,
    GenesisOptions,
    make_genesis,
)
from testnet.grid.community import BatterySpec, Community, HouseholdProfile, demo_community
from testnet.grid.house import House
from testnet.sim.local_chain import LocalChain
from testnet.sim.local_world import Actor, LocalWorld
from vm.genesis import Genesis

GENESIS_TIME_MS = 1_700_000_000_000
WINDOWS_AFTER = 4
"""Windows behind the last delivery: attesting, closing, settling, paying."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DayOptions:
    """What one may choose about a simulated day."""

    households: int = 8
    seed: int = 0
    windows: int = 24
    day: str | None = None
    window_ms: int = WINDOW_MS
    record_ms: int = RECORD_MS
    tick_ms: int = 50
    relay_delay_ms: tuple[int, int] = (5, 80)
    relay_loss: float = 0.0
    block_ms: int = 0
    """Least time between two blocks: how slow the chain is."""
    check_every: int = 1
    """Blocks between two checks of the contracts' invariants; they are also checked at the end."""
    cap_wh: int | None = None
    """What the operator lets one household trade in a window; None: as much as the contract."""
    restarts: tuple[tuple[str, int], ...] = ()
    """(household, ms after genesis): its agents start anew with nothing but chain and readings."""
    silent: frozenset[str] = frozenset()
    """Names of actors that do not exist: what they owe, nobody does."""


@final
@dataclass(slots=True)
class Day:
    """A simulated day: what ran, and what came of it."""

    options: DayOptions
    community: Community
    genesis: Genesis
    chain: LocalChain
    world: LocalWorld
    households: dict[str, Household] = field(default_factory=dict)
    meters: dict[str, SmartMeterAgent] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    """What the invariants found wrong; must stay empty."""

    @property
    def state_root(self) -> bytes:
        """Root of the state after the last block."""
        return self.chain.head.state_root

    @property
    def windows(self) -> range:
        """Chain windows of the day."""
        return range(FIRST_WINDOW, FIRST_WINDOW + self.options.windows)


def run_day(options: DayOptions) -> Day:
    """Run the day to its last payment."""
    day = _found(options)
    _fund(day)
    _populate(day)
    _read_meters(day)
    for name, after_ms in options.restarts:
        at_ms = GENESIS_TIME_MS + after_ms
        day.world.interventions.append((at_ms, partial(_restart, day, name)))
    terms = day.world.terms
    day.world.run(until_ms=terms.start(day.windows.stop + WINDOWS_AFTER), tick_ms=options.tick_ms)
    day.violations += _violations(day)
    return day


def _found(options: DayOptions) -> Day:
    name = {} if options.day is None else {"day": options.day}
    community = demo_community(options.households, seed=options.seed, **name)
    keys = community_keys(options.seed, options.households)
    genesis = make_genesis(
        community,
        keys,
        GenesisOptions(
            time_ms=GENESIS_TIME_MS, window_ms=options.window_ms, record_ms=options.record_ms
        ),
    )
    chain = LocalChain(genesis, NATIVES)
    terms = MarketTerms.from_parameters(genesis.chain_id, chain.view("Market", "parameters"))
    world = LocalWorld(
        chain,
        terms,
        seed=options.seed,
        relay_delay_ms=options.relay_delay_ms,
        relay_loss=options.relay_loss,
        block_ms=options.block_ms,
    )
    day = Day(options, community, genesis, chain, world)
    world.after_block = lambda: _check(day)
    return day


def _check(day: Day) -> None:
    if day.chain.head.number % day.options.check_every == 0:
        day.violations += _violations(day)


def community_keys(seed: int, households: int) -> CommunityKeys:
    """Return keys that follow from a seed: for simulations only."""

    def entropy(kind: str, index: int) -> bytes:
        return tagged_hash(b"hearth/sim/entropy", f"{kind}/{seed}/{index}".encode())

    return CommunityKeys(
        tuple(HouseholdKeys.from_entropy(entropy("household", i)) for i in range(households)),
        tuple(MeterKeys.from_entropy(entropy("meter", i)) for i in range(households)),
        tuple(HouseholdKeys.from_entropy(entropy("service", i)) for i in range(len(SERVICES))),
    )


def _violations(day: Day) -> list[str]:
    members, services = day.genesis.members, day.genesis.services
    last = day.world.terms.window_at(day.chain.head.time_ms) + 1
    found = check(
        day.chain.view,
        accounts=[*(member.account for member in members), *(account for _, account in services)],
        meters=[member.meter.account for member in members],
        windows=range(FIRST_WINDOW, min(last + 1, day.windows.stop)),
    )
    return [f"block {day.chain.head.number}: {each}" for each in found]


# Money ------------------------------------------------------------------------------------------


def _fund(day: Day) -> None:
    """Let the members attest the bank's opening deposits: nobody starts with money."""
    keys = community_keys(day.options.seed, day.options.households)
    deposits = opening_deposits(day.genesis).deposits
    for index, deposit in enumerate(deposits):
        for voter in attesters(index, day.options.households):
            args = (deposit.reference, deposit.account, deposit.amount)
            key = keys.households[voter].account
            day.world.submit_as(key, "Ramp", "attestDeposit", args)
        day.world.mine()


# Agents -----------------------------------------------------------------------------------------


def _populate(day: Day) -> None:
    keys = community_keys(day.options.seed, day.options.households)
    terms = day.world.terms
    series_start = day.community.history_quarters - QUARTERS_PER_WINDOW * FIRST_WINDOW
    for index, profile in enumerate(day.community.households):
        household_keys, meter_keys = keys.households[index], keys.meters[index]
        config = _config(household_keys, profile, series_start, day.options.windows)
        household = Household(config, terms)
        day.households[profile.name] = household
        meter = SmartMeterAgent(
            MeterConfig(
                meter_id=day.genesis.members[index].meter.meter_id,
                household=household_keys.account.address,
                quarter_of_window_0=series_start,
                first_quarter=day.community.history_quarters,
                installed=Registers(charged_wh=_stored_at_start(day.community, profile)),
            ),
            terms,
            meter_keys.account,
        )
        day.meters[profile.name] = meter
        _add(day, profile.name, household, config.accounts)
        _add(day, f"meter {profile.name}", meter, {"meter": meter_keys.account})
    operator, external = (service.account for service in keys.services)
    _add(day, OPERATOR, GridOperatorAgent(terms, cap_wh=day.options.cap_wh), {OPERATOR: operator})
    reserve = ExternalMarketAgent(terms, account=external.address, members=len(day.genesis.members))
    _add(day, EXTERNAL_MARKET, reserve, {EXTERNAL_MARKET: external})


def _stored_at_start(community: Community, profile: HouseholdProfile) -> int:
    """What the battery holds when the meter is installed, in Wh."""
    house = House(profile, restart_quarter=community.history_quarters)
    for _ in range(community.history_quarters):
        house.step()
    return house.soc_wh


def _add(day: Day, name: str, core: Actor, accounts: dict[str, AccountKey]) -> None:
    if name not in day.options.silent:
        day.world.add(name, core, accounts)


def _config(
    keys: HouseholdKeys, profile: HouseholdProfile, series_start: int, windows: int
) -> HouseholdConfig:
    return HouseholdConfig(
        household=keys.account,
        seller=keys.agent("seller"),
        buyer=keys.agent("buyer"),
        secret=keys.relay_box_key,
        data_key=keys.data_key,
        endpoint="in process",
        battery=_model(profile.battery),
        quarter_of_window_0=series_start,
        first_window=FIRST_WINDOW,
        windows=windows,
    )


def _model(spec: BatterySpec | None) -> BatteryModel | None:
    if spec is None:
        return None
    return BatteryModel(
        capacity_wh=spec.capacity_wh, power_w=spec.power_w, efficiency_ppm=spec.efficiency_ppm
    )


def _readings(day: Day, profile: HouseholdProfile) -> Iterator[tuple[int, ReadingTaken]]:
    """Yield (time, reading) of every quarter-hour: history at once, the day in its time."""
    terms, history = day.world.terms, day.community.history_quarters
    begin = terms.start(FIRST_WINDOW)
    house = House(profile, restart_quarter=history)
    for quarter in range(history + QUARTERS_PER_WINDOW * (day.options.windows + 2)):
        passed = max(0, quarter + 1 - history)
        at_ms = begin + passed * terms.window_ms // QUARTERS_PER_WINDOW
        yield at_ms if passed else 0, ReadingTaken(house.step())


def _read_meters(day: Day) -> None:
    for profile in day.community.households:
        for at_ms, reading in _readings(day, profile):
            for name in (profile.name, f"meter {profile.name}"):
                day.world.deliver(max(at_ms, day.world.now_ms), name, reading)


def _restart(day: Day, name: str) -> None:
    """Start a household's agents anew, as after a crash: they remember nothing themselves."""
    index = [profile.name for profile in day.community.households].index(name)
    keys = community_keys(day.options.seed, day.options.households).households[index]
    profile = day.community.households[index]
    series_start = day.community.history_quarters - QUARTERS_PER_WINDOW * FIRST_WINDOW
    core = Household(_config(keys, profile, series_start, day.options.windows), day.world.terms)
    day.households[name] = core
    past = [each for at_ms, each in _readings(day, profile) if at_ms <= day.world.now_ms]
    day.world.restart(name, core, past)
