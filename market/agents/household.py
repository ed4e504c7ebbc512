"""A household's software as one stepped core: forecasting, trading, closing, in the right order.

It composes FA, DRA, PVA, BSA, SA and BA. The sub-accounts "seller" and "buyer" each send their own
transactions, so nonces never race; the member's own account only registers them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final

from crypto.hashing import tagged_hash
from crypto.keys import AccountKey
from market.abi import Settled
from market.agents.actions import Action
from market.agents.analytics.data_reader import DataReader
from market.agents.analytics.forecaster import Forecaster
from market.agents.devices.battery import BatteryModel, BatteryStateAgent
from market.agents.devices.pv import PhotovoltaicAgent
from market.agents.devices.readings import QuarterReading
from market.agents.directory import HouseholdDirectory
from market.agents.events import decode_events
from market.agents.observations import (
    BlockSeen,
    MessageArrived,
    Observation,
    ReadingTaken,
    Tick,
    ViewAnswer,
)
from market.agents.outbox import Outbox
from market.agents.relay_box import RelayBox
from market.agents.setup import VIEW, AgentIdentity, AgentSetup
from market.agents.terms import QUARTERS_PER_WINDOW, MarketTerms
from market.agents.trading.desk import TradingDesk
from market.agents.window_duties import WindowDuties

ACCOUNTS = ("household", "seller", "buyer")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HouseholdConfig:
    """One household: its keys, its devices, and how its series lies in the market's windows."""

    household: AccountKey
    seller: AccountKey
    buyer: AccountKey
    secret: bytes = field(repr=False)
    """32 bytes: negotiation keys and the household's prices follow from it."""
    data_key: bytes = field(repr=False)
    """32 bytes: keys of anchored batches and of the sealed household."""
    endpoint: str
    battery: BatteryModel | None
    quarter_of_window_0: int
    """Index of the series at the market's genesis time; negative if the series begins later."""
    first_window: int
    windows: int | None = None
    """How many windows to trade; None for ever."""

    @property
    def accounts(self) -> dict[str, AccountKey]:
        """Keys by the account names that the core's actions use."""
        return {"household": self.household, "seller": self.seller, "buyer": self.buyer}


@final
class Household:
    """The core: `step` takes what happened and returns what to do.

    It begins to act with its first tick, which comes when the past blocks are seen: until then it
    only learns what was already done.
    """

    def __init__(self, config: HouseholdConfig, terms: MarketTerms) -> None:
        self._config = config
        self._terms = terms
        self._retry_ms = max(1, terms.window_ms // 20)
        self._outbox = Outbox(ACCOUNTS, patience_ms=terms.window_ms // 3, retry_ms=self._retry_ms)
        self._setup = AgentSetup(_identity(config, terms), self._outbox)
        self._directory = HouseholdDirectory()
        self._is_live = False
        self._data = DataReader()
        self._battery = BatteryStateAgent(config.battery)
        self._panel = PhotovoltaicAgent(config.data_key)
        self._forecaster = Forecaster(self._data, self._battery)
        desk_secret = tagged_hash(b"hearth/agents/desk", config.secret)
        self._desk = TradingDesk(terms, self._directory, signer=config.buyer, secret=desk_secret)
        self._duties = WindowDuties(
            terms,
            household=config.household.address,
            first_window=config.first_window,
            windows=config.windows,
            outbox=self._outbox,
            desk=self._desk,
            is_read=self._is_read,
            net_wh=lambda window: self._forecaster.net_wh(self._quarters(window)),
            batch_hash=self._panel.batch_hash,
        )

    def step(self, observation: Observation, now_ms: int) -> tuple[Action, ...]:
        """Take what happened and do what is due."""
        actions = list(self._outbox.step(observation, now_ms))
        match observation:
            case BlockSeen():
                actions += self._see(observation, now_ms)
            case MessageArrived():
                actions += self._desk.receive(observation, now_ms)
            case ReadingTaken(reading):
                self._take(reading)
            case ViewAnswer():
                if observation.tag == VIEW:
                    self._setup.answer(observation)
                else:
                    actions += self._duties.answer(observation, now_ms)
            case Tick():
                self._is_live = True
                self._duties.start(now_ms)
                actions += self._desk.tick(now_ms)
            case _:
                pass
        if self._is_live:
            actions += self._setup.tick(now_ms, self._retry_ms)
        if self._is_live and self._setup.is_complete:
            actions += self._duties.tick(now_ms)
        return tuple(actions)

    def _see(self, block: BlockSeen, now_ms: int) -> Iterable[Action]:
        actions: list[Action] = []
        for event in decode_events(block):
            self._directory.learn(event)
            self._setup.see(event)
            if isinstance(event, Settled):
                self._data.note_settled(event)
            actions += self._duties.see(event, now_ms)
        return actions

    def _take(self, reading: QuarterReading) -> None:
        if self._data.take(reading):
            self._battery.take(reading)
            passed = reading.quarter - self._config.quarter_of_window_0
            if passed >= 0:
                self._panel.take(passed // QUARTERS_PER_WINDOW, reading)

    def _quarters(self, window: int) -> range:
        first = self._config.quarter_of_window_0 + window * QUARTERS_PER_WINDOW
        return range(first, first + QUARTERS_PER_WINDOW)

    def _is_read(self, window: int) -> bool:
        return self._data.next_quarter >= self._quarters(window).stop

    @property
    def duties(self) -> WindowDuties:
        """Where each window stands, for displays and tests."""
        return self._duties

    @property
    def battery(self) -> BatteryStateAgent:
        """The battery's agent, for displays."""
        return self._battery


def _identity(config: HouseholdConfig, terms: MarketTerms) -> AgentIdentity:
    box = RelayBox(tagged_hash(b"hearth/agents/box", config.secret))
    return AgentIdentity(
        chain_id=terms.chain_id,
        household=config.household,
        agents={"seller": config.seller, "buyer": config.buyer},
        box_key=box.public,
        data_key=config.data_key,
        endpoint=config.endpoint,
    )
