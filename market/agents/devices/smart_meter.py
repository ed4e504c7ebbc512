"""SMA, the smart meter's agent: turns readings into signed records and attests each window.

It runs in the meter's process with the meter's key; the household cannot sign for it. A window is
attested from the record at its end, in order, to the account that the household enrolled. Windows
without an enrolment are not attested: their energy is caught up by the next attestation.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import final

from crypto.keys import AccountKey
from market.abi import Attested, Enrolled
from market.agents.actions import Action, Report
from market.agents.devices.meter_record import GENESIS_HASH, MeterRecord, Registers
from market.agents.devices.readings import QuarterReading
from market.agents.events import decode_events
from market.agents.observations import BlockSeen, Observation, ReadingTaken, Tick
from market.agents.outbox import Outbox
from market.agents.terms import QUARTERS_PER_WINDOW, MarketTerms

RECORDS_KEPT = 96 * 31
"""A month of quarter-hours in memory."""
ACCOUNT = "meter"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MeterConfig:
    """Which meter this is, and how its series lies in the market's windows."""

    meter_id: str
    household: bytes
    """20 bytes: the member whose connection it measures."""
    quarter_of_window_0: int
    """Index of the series at the market's genesis time; negative if the series begins later."""
    first_quarter: int
    """The first that the meter measures: earlier readings were before its installation."""
    installed: Registers = field(default_factory=Registers)
    """Where the registers stand then; what the battery holds at that time counts as charged."""


@final
class SmartMeterAgent:
    """The meter's core: steps with readings, blocks and ticks.

    It begins to act with its first tick, which comes when the past blocks are seen.
    """

    def __init__(self, config: MeterConfig, terms: MarketTerms, key: AccountKey) -> None:
        self._config = config
        self._terms = terms
        self._key = key
        self._outbox = Outbox(
            (ACCOUNT,), patience_ms=terms.window_ms, retry_ms=max(1, terms.window_ms // 20)
        )
        self._registers = config.installed
        self._next_quarter = config.first_quarter
        self._enrolled: dict[int, bytes] = {}
        """Window to the household's enrolled account, until it is attested or too late."""
        self._at_end: dict[int, MeterRecord] = {}
        """Window to the record at its end, likewise."""
        self.records: deque[MeterRecord] = deque(maxlen=RECORDS_KEPT)
        self._last: MeterRecord | None = None
        self._is_live = False

    def step(self, observation: Observation, now_ms: int) -> tuple[Action, ...]:
        """Take what happened and do what is due."""
        actions = list(self._outbox.step(observation, now_ms))
        match observation:
            case ReadingTaken(reading):
                actions += self._take(reading)
            case BlockSeen():
                self._see(observation)
            case Tick():
                self._is_live = True
            case _:
                pass
        if self._is_live:
            actions += self._attest_due(now_ms)
        return tuple(actions)

    def _take(self, reading: QuarterReading) -> tuple[Action, ...]:
        if reading.quarter < self._next_quarter:
            return ()
        if reading.quarter > self._next_quarter:
            # A meter that skipped a quarter-hour would sign a register it did not measure.
            return (Report("meter-gap", (("quarter", self._next_quarter),)),)
        self._next_quarter += 1
        before = self._registers
        self._registers = Registers(
            import_wh=before.import_wh + reading.import_wh,
            export_wh=before.export_wh + reading.export_wh,
            charged_wh=before.charged_wh + reading.charged_wh,
            discharged_wh=before.discharged_wh + reading.discharged_wh,
            loss_wh=before.loss_wh + reading.loss_wh,
        )
        passed = self._next_quarter - self._config.quarter_of_window_0
        terms = self._terms
        record = MeterRecord.sign(
            self._key,
            meter_id=self._config.meter_id,
            pagination=self._last.pagination + 1 if self._last else 1,
            time_ms=terms.genesis_time_ms + passed * terms.window_ms // QUARTERS_PER_WINDOW,
            registers=self._registers,
            previous=self._last.hash if self._last else GENESIS_HASH,
        )
        self._last = record
        self.records.append(record)
        if passed % QUARTERS_PER_WINDOW == 0:
            self._at_end[passed // QUARTERS_PER_WINDOW - 1] = record
        return ()

    def _see(self, block: BlockSeen) -> None:
        for event in decode_events(block):
            if isinstance(event, Enrolled) and event.household == self._config.household:
                self._enrolled[event.window] = event.account
            elif isinstance(event, Attested) and self._enrolled.get(event.window) == event.account:
                self._outbox.done(("attest", event.window))

    def _attest_due(self, now_ms: int) -> list[Action]:
        actions: list[Action] = []
        for window in sorted(self._enrolled):
            tag = ("attest", window)
            if self._outbox.is_done(tag) or now_ms >= self._terms.attest_end(window):
                self._forget(window)
                continue
            record = self._at_end.get(window)
            if record is None or now_ms < self._terms.start(window + 1) + self._terms.margin_ms:
                break  # In order: a later register would take this window's energy with it.
            registers = record.registers
            args = (
                window,
                self._enrolled[window],
                registers.export_wh,
                registers.import_wh,
                registers.charged_wh,
                registers.discharged_wh,
                registers.loss_wh,
                record.pagination,
                record.hash,
            )
            actions += self._outbox.attempt(
                tag, now_ms, account=ACCOUNT, contract="Market", function="attest", args=args
            )
        return actions

    def _forget(self, window: int) -> None:
        del self._enrolled[window]
        for past in [each for each in self._at_end if each <= window]:
            del self._at_end[past]
