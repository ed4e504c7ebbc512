"""The asyncio shell: the past comes first, order is kept, every answer goes back to the core."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from crypto import abi
from crypto.hashing import keccak256
from crypto.keys import AccountKey
from market.abi import FUNCTIONS
from market.agents.actions import (
    AskNonce,
    CallView,
    RelayListen,
    RelaySend,
    Report,
    SendTransaction,
)
from market.agents.devices.readings import QuarterReading
from market.agents.errors import CallFailed, PortUnavailable, TransactionRefused
from market.agents.observations import (
    BlockSeen,
    MessageArrived,
    NonceAnswer,
    ReadingTaken,
    SendRefused,
    Tick,
    TransactionSealed,
    TransactionStatus,
    ViewAnswer,
    ViewFailed,
)
from market.agents.runtime import AgentRuntime, Ports

KEY = AccountKey(bytes([1]) * 32)
READING = QuarterReading(
    quarter=0,
    load_wh=0,
    pv_wh=0,
    charged_wh=0,
    discharged_wh=0,
    loss_wh=0,
    soc_wh=0,
    export_wh=0,
    import_wh=0,
)


class FakeClock:
    """Sleeping takes no time, but lets others run."""

    def __init__(self) -> None:
        self.now = 1_000

    def now_ms(self) -> int:
        return self.now

    async def sleep_ms(self, duration_ms: int) -> None:
        self.now += duration_ms
        await asyncio.sleep(0)


class FakeChain:
    def __init__(self, past: int = 0) -> None:
        self.past = past
        self.sent: list[bytes] = []
        self.refuse: list[Exception] = []
        self.is_down = 0
        self.queue: asyncio.Queue[BlockSeen] = asyncio.Queue()

    async def head(self) -> int:
        if self.is_down:
            self.is_down -= 1
            raise PortUnavailable("not yet")
        return self.past

    async def call(self, to: bytes, data: bytes) -> bytes:
        if data.startswith(abi.selector("totals(uint64)")):
            raise CallFailed("reverted")
        if data.startswith(abi.selector("phase(uint64)")):
            return b"not a word"
        return abi.encode(FUNCTIONS["Market"]["escrow"].output_types, (42,))

    async def nonce(self, address: bytes) -> int:
        return 5

    async def send_raw(self, raw: bytes) -> bytes:
        if self.refuse:
            raise self.refuse.pop(0)
        self.sent.append(raw)
        # Sealed and seen before the answer comes back: the shell must know the hash already.
        status = TransactionStatus(hash=keccak256(raw), sender=KEY.address, is_success=True)
        block = BlockSeen(height=self.past + 1, time_ms=0, transactions=(status,), events=())
        self.past += 1
        self.queue.put_nowait(block)
        await asyncio.sleep(0)
        return keccak256(raw)

    async def blocks(self, from_height: int) -> AsyncIterator[BlockSeen]:
        for height in range(from_height, self.past + 1):
            yield BlockSeen(height=height, time_ms=0, transactions=(), events=())
            await asyncio.sleep(0)
        while True:
            yield await self.queue.get()


class FakeRelay:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send(self, to_key: bytes, window: int, payload: bytes) -> None:
        if payload == b"too much":
            raise TransactionRefused("quota")
        self.sent.append(payload)

    async def listen(self, key: bytes) -> AsyncIterator[bytes]:
        yield b"held for " + key
        await asyncio.Event().wait()


class FakeDevices:
    async def readings(self) -> AsyncIterator[QuarterReading]:
        yield READING
        await asyncio.Event().wait()


class Recorder:
    """A core that notes what it sees and does what the test says, once, at the first tick."""

    def __init__(self, *actions) -> None:
        self.actions = actions
        self.seen: list = []

    def step(self, observation, now_ms):
        self.seen.append(observation)
        if isinstance(observation, Tick) and self.actions:
            actions, self.actions = self.actions, ()
            return actions
        return ()

    def others(self) -> list:
        return [each for each in self.seen if not isinstance(each, Tick)]


def run(core: Recorder, chain: FakeChain, until, **extra) -> AgentRuntime:
    """Run the shell until `until()` holds; fails if it never does."""

    async def main() -> AgentRuntime:
        runtime = AgentRuntime(
            core,
            accounts={"a": KEY},
            ports=Ports(
                chain=chain, clock=FakeClock(), relay=extra.get("relay"), devices=extra.get("dev")
            ),
            sign=lambda key, nonce, to, data, gas: b"%d|" % nonce + to + data,
            tick_ms=10,
            on_report=extra.get("on_report", lambda _: None),
        )
        task = asyncio.create_task(runtime.run())
        for _ in range(500):
            await asyncio.sleep(0)
            if until():
                break
        else:
            pytest.fail(f"never happened; seen: {core.others()}")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return runtime

    return asyncio.run(main())


def send(nonce: int) -> SendTransaction:
    return SendTransaction(
        account="a", nonce=nonce, contract="Market", function="enrol", args=(nonce,)
    )


def test_the_past_is_shown_before_the_first_tick() -> None:
    core, chain = Recorder(), FakeChain(past=3)
    chain.is_down = 2
    runtime = run(core, chain, lambda: any(isinstance(each, Tick) for each in core.seen))
    heights = [each.height for each in core.seen if isinstance(each, BlockSeen)]
    assert heights == [1, 2, 3]
    first_tick = next(i for i, each in enumerate(core.seen) if isinstance(each, Tick))
    assert all(isinstance(each, BlockSeen) for each in core.seen[:first_tick])
    assert first_tick == 3
    assert runtime.height == 3


def test_transactions_go_in_order_and_come_back_as_sealed() -> None:
    core, chain = Recorder(send(0), send(1), send(2)), FakeChain()
    run(core, chain, lambda: sum(isinstance(each, TransactionSealed) for each in core.seen) == 3)
    assert [raw.split(b"|")[0] for raw in chain.sent] == [b"0", b"1", b"2"]
    sealed = [each for each in core.seen if isinstance(each, TransactionSealed)]
    assert sealed == [TransactionSealed("a", n, is_success=True) for n in range(3)]


@pytest.mark.parametrize("error", [TransactionRefused("nonce too low"), PortUnavailable("down")])
def test_a_refusal_goes_back_into_the_core(error) -> None:
    core, chain = Recorder(send(0)), FakeChain()
    chain.refuse = [error]
    run(core, chain, lambda: any(isinstance(each, SendRefused) for each in core.seen))
    assert SendRefused("a", 0, error.reason) in core.seen


def test_nonces_views_relay_and_devices_are_served() -> None:
    reports: list[Report] = []
    core, chain, relay = (
        Recorder(
            AskNonce("a"),
            CallView(("ok", 1), "Market", "escrow", (1,)),
            CallView(("reverts", 1), "Market", "totals", (1,)),
            CallView(("malformed", 1), "Market", "phase", (1,)),
            RelaySend(b"k", 1, b"hello"),
            RelaySend(b"k", 1, b"too much"),
            RelayListen(b"key", 2**60),
            RelayListen(b"past", 0),
            Report("line", (("n", 1),)),
        ),
        FakeChain(),
        FakeRelay(),
    )
    run(
        core,
        chain,
        lambda: len(core.others()) >= 6 and len(reports) == 2,
        relay=relay,
        dev=FakeDevices(),
        on_report=reports.append,
    )
    others = core.others()
    assert NonceAnswer("a", 5) in others
    assert ViewAnswer(("ok", 1), (42,)) in others
    failed = {each.tag[0] for each in others if isinstance(each, ViewFailed)}
    assert failed == {"reverts", "malformed"}
    assert MessageArrived(b"key", b"held for key") in others
    assert ReadingTaken(READING) in others
    assert relay.sent == [b"hello"]
    assert {report.kind for report in reports} == {"line", "relay-refused"}


def test_an_error_in_the_core_ends_the_run() -> None:
    class Broken:
        def step(self, observation, now_ms):
            raise AssertionError("a bug of ours")

    runtime = AgentRuntime(
        Broken(),
        accounts={},
        ports=Ports(chain=FakeChain(), clock=FakeClock()),
        sign=lambda *_: b"",
        tick_ms=10,
    )
    with pytest.raises(ExceptionGroup, match="TaskGroup"):
        asyncio.run(runtime.run())
