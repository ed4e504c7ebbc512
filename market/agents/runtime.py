"""The shell of the agents: drives a core over its ports with asyncio, and decides nothing.

One runtime a core. It first shows the core every past block, then lets it act: ticks, messages and
readings go in, actions come out and are performed in order for each account. What cannot be
reached is tried again; a refused transaction goes back into the core as an observation.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, final

from crypto.errors import DecodeError
from crypto.hashing import keccak256
from crypto.keys import AccountKey
from market.agents.actions import (
    Action,
    AskNonce,
    CallView,
    RelayListen,
    RelaySend,
    Report,
    SendTransaction,
)
from market.agents.errors import CallFailed, PortUnavailable, TransactionRefused
from market.agents.events import decode_result, encode_call
from market.agents.observations import (
    MessageArrived,
    NonceAnswer,
    Observation,
    ReadingTaken,
    SendRefused,
    Tick,
    TransactionSealed,
    ViewAnswer,
    ViewFailed,
)
from market.agents.ports import ChainPort, Clock, DevicePort, RelayPort

Sign: TypeAlias = Callable[[AccountKey, int, bytes, bytes, int], bytes]
"""(key, nonce, to, data, gas limit) → raw signed transaction."""

GAS_LIMIT = 5_000_000
"""Of every transaction; only what is used is charged to the quota."""
RETRY_MS = 250
"""Rest before a port that could not be reached is tried again."""
SENDS_QUEUED_MAX = 4096
"""Relay messages that wait for a slow node; further ones are dropped, as a lossy relay would."""
IN_FLIGHT_MAX = 1024
"""Sent and not seen in a block; older ones were dropped by the node and are forgotten."""


class Core(Protocol):
    """Any agent's core."""

    def step(self, observation: Observation, now_ms: int) -> tuple[Action, ...]:
        """Take what happened and return what to do."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The world of one core; a core without devices or messages needs no port for them."""

    chain: ChainPort
    clock: Clock
    relay: RelayPort | None = None
    devices: DevicePort | None = None


@final
class AgentRuntime:
    """Runs one core until it is cancelled."""

    def __init__(
        self,
        core: Core,
        *,
        accounts: Mapping[str, AccountKey],
        ports: Ports,
        sign: Sign,
        tick_ms: int,
        from_height: int = 1,
        on_report: Callable[[Report], None] = lambda _: None,
    ) -> None:
        """Wire a core to its world.

        Args:
            core: steps synchronously and fast.
            accounts: keys by the account names in the core's actions.
            ports: chain, clock, and what else the core uses.
            sign: binds the chain's transaction format.
            tick_ms: how often time is shown to the core.
            from_height: first block to show; the core must have seen those before it.
            on_report: gets the core's reports, for logs and displays.
        """
        self._core = core
        self._accounts = accounts
        self._ports = ports
        self._sign = sign
        self._tick_ms = tick_ms
        self._from_height = from_height
        self._on_report = on_report
        self._group: asyncio.TaskGroup | None = None
        self._caught_up = asyncio.Event()
        self._sends: dict[str, asyncio.Queue[SendTransaction | AskNonce]] = {
            name: asyncio.Queue() for name in accounts
        }
        self._relayed: asyncio.Queue[RelaySend] = asyncio.Queue(SENDS_QUEUED_MAX)
        self._in_flight: dict[bytes, tuple[str, int]] = {}
        """Transaction hash to (account, nonce)."""
        self.height = from_height - 1
        """Last block that the core has seen: where a later run may go on."""

    async def run(self) -> None:
        """Run for ever; cancel the task to stop. An error in the core ends it."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._follow_blocks())
            group.create_task(self._tick())
            for account in self._accounts:
                group.create_task(self._serve_account(account))
            if self._ports.relay is not None:
                group.create_task(self._serve_relay(self._ports.relay))
            if self._ports.devices is not None:
                group.create_task(self._follow_devices(self._ports.devices))

    # Into the core -------------------------------------------------------------------------------

    async def _follow_blocks(self) -> None:
        head = await self._persist(self._ports.chain.head)
        if head < self._from_height:
            self._caught_up.set()
        async for block in self._ports.chain.blocks(self._from_height):
            for status in block.transactions:
                sent = self._in_flight.pop(status.hash, None)
                if sent is not None:
                    self._step(TransactionSealed(*sent, status.is_success))
            self._step(block)
            self.height = block.height
            if block.height >= head:
                self._caught_up.set()

    async def _follow_devices(self, devices: DevicePort) -> None:
        async for reading in devices.readings():
            self._step(ReadingTaken(reading))

    async def _tick(self) -> None:
        await self._caught_up.wait()
        while True:
            self._step(Tick())
            await self._ports.clock.sleep_ms(self._tick_ms)

    async def _listen(self, relay: RelayPort, action: RelayListen) -> None:
        left_ms = action.until_ms - self._ports.clock.now_ms()
        try:
            async with asyncio.timeout(max(0, left_ms) / 1000):
                async for payload in relay.listen(action.key):
                    self._step(MessageArrived(action.key, payload))
        except TimeoutError:
            return

    # Out of the core -----------------------------------------------------------------------------

    def _step(self, observation: Observation) -> None:
        for action in self._core.step(observation, self._ports.clock.now_ms()):
            self._perform(action)

    def _perform(self, action: Action) -> None:
        match action:
            case SendTransaction() | AskNonce():
                self._sends[action.account].put_nowait(action)
            case CallView():
                self._spawn(self._answer(action))
            case RelaySend():
                if not self._relayed.full():
                    self._relayed.put_nowait(action)
            case RelayListen():
                if self._ports.relay is not None:
                    self._spawn(self._listen(self._ports.relay, action))
            case Report():
                self._on_report(action)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._group is not None, "actions come out of a running core"
        self._group.create_task(work)

    async def _serve_account(self, account: str) -> None:
        """Send an account's transactions one after the other, so that they arrive in order."""
        queue, key = self._sends[account], self._accounts[account]
        while True:
            action = await queue.get()
            if isinstance(action, AskNonce):
                nonce = await self._persist(lambda: self._ports.chain.nonce(key.address))
                self._step(NonceAnswer(account, nonce))
            else:
                await self._send(key, action)

    async def _send(self, key: AccountKey, action: SendTransaction) -> None:
        to, data = encode_call(action.contract, action.function, action.args)
        raw = self._sign(key, action.nonce, to, data, GAS_LIMIT)
        # Known by its hash before it is sent: the block may be seen before the node answers.
        tx_hash = keccak256(raw)
        self._in_flight[tx_hash] = (action.account, action.nonce)
        if len(self._in_flight) > IN_FLIGHT_MAX:
            del self._in_flight[next(iter(self._in_flight))]
        try:
            await self._ports.chain.send_raw(raw)
        except (TransactionRefused, PortUnavailable) as error:
            if self._in_flight.pop(tx_hash, None) is not None:
                self._step(SendRefused(action.account, action.nonce, error.reason))

    async def _answer(self, action: CallView) -> None:
        to, data = encode_call(action.contract, action.function, action.args)
        try:
            output = await self._ports.chain.call(to, data)
            values = decode_result(action.contract, action.function, output)
        except (CallFailed, PortUnavailable) as error:
            self._step(ViewFailed(action.tag, error.reason))
        except DecodeError as error:
            self._step(ViewFailed(action.tag, str(error)))
        else:
            self._step(ViewAnswer(action.tag, values))

    async def _serve_relay(self, relay: RelayPort) -> None:
        while True:
            action = await self._relayed.get()
            try:
                await relay.send(action.to_key, action.window, action.payload)
            except (TransactionRefused, PortUnavailable) as error:
                # Lost, as messages may be: whoever misses the answer sends again.
                self._on_report(Report("relay-refused", (("reason", error.reason),)))

    async def _persist(self, ask: Callable[[], Coroutine[Any, Any, int]]) -> int:
        """Ask until the node can be reached."""
        while True:
            try:
                return await ask()
            except PortUnavailable:
                await self._ports.clock.sleep_ms(RETRY_MS)
