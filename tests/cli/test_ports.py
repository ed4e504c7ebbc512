"""The agents' ports: chain over RPC, readings and records through the meter's files."""

import asyncio
import json
from contextlib import aclosing

import pytest

from cli import meter_process, ports
from cli.agent_process import ReportLog, household_config, load_terms, service_core
from cli.ports import MeterFileDevices, RpcChain, SimulatedHouse, count_lines, patiently, signer
from market.abi import EXTERNAL_MARKET, OPERATOR
from market.agents.actions import Report
from market.agents.devices.meter_record import Registers, from_ocmf, verify_chain
from market.agents.devices.readings import QuarterReading
from market.agents.devices.smart_meter import MeterConfig, SmartMeterAgent
from market.agents.errors import CallFailed, PortUnavailable, TransactionRefused
from market.agents.events import decode_events, encode_call
from market.agents.observations import ReadingTaken
from node.rpc.client import Unreachable
from testnet.errors import BadFile
from testnet.grid.community import demo_community
from testnet.grid.house import House
from testnet.home_files import AgentFile, reading_line
from tests.cli.street import Client
from vm.transaction import decode


def chain_of(street):
    return RpcChain(Client(street, "http://node", "token"))


# Chain -------------------------------------------------------------------------------------------


def test_what_agents_ask_of_the_chain(here):
    async def scenario():
        chain = chain_of(here)
        account = here.household(0).address
        assert await chain.head() == here.chain.height
        to, data = encode_call("MoneyToken", "balanceOf", (account,))
        assert int.from_bytes(await chain.call(to, data), "big") > 0
        nonce = await chain.nonce(account)
        to, data = encode_call("MoneyToken", "transfer", (here.household(1).address, 3))
        raw = signer(here.genesis.chain_id)(here.household(0), nonce, to, data, 200_000)
        assert await chain.send_raw(raw) == decode(raw).hash
        assert await chain.nonce(account) == nonce + 1
        with pytest.raises(TransactionRefused, match="already known"):
            await chain.send_raw(raw)
        with pytest.raises(CallFailed):
            await chain.call(to, b"\0\0\0\0")
        record = here.seal()
        async with aclosing(chain.blocks(record.height)) as blocks:
            seen = await anext(blocks)
        assert (seen.height, seen.time_ms) == (record.height, record.header.time_ms)
        assert [(t.hash, t.sender, t.is_success) for t in seen.transactions] == [
            (decode(raw).hash, account, True)
        ]
        (transfer,) = decode_events(seen)
        assert transfer.value == 3

    asyncio.run(scenario())


def test_a_node_that_is_down_is_a_port_that_is_unavailable(here):
    async def scenario():
        chain = chain_of(here)
        here.is_reachable = False
        for work in (chain.head(), chain.call(b"", b""), chain.nonce(b""), chain.send_raw(b"")):
            with pytest.raises(PortUnavailable):
                await work

    asyncio.run(scenario())


def test_asking_patiently(monkeypatch):
    monkeypatch.setattr(ports, "RETRY_S", 0)
    answers = [Unreachable("no"), PortUnavailable("no"), 7]

    async def ask():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert asyncio.run(patiently(ask)) == 7


def test_terms_come_from_the_chain(here):
    terms = asyncio.run(load_terms(Client(here, "", None)))
    assert (terms.chain_id, terms.retail) == (here.genesis.chain_id, 30_000)
    assert terms.genesis_time_ms == here.genesis.time_ms


# Readings ----------------------------------------------------------------------------------------


def reading(quarter):
    return QuarterReading(
        quarter=quarter, load_wh=10 + quarter, pv_wh=5, import_wh=5 + quarter, export_wh=0,
        charged_wh=0, discharged_wh=0, loss_wh=0, soc_wh=0,
    )  # fmt: skip


def test_readings_follow_the_file_a_line_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(ports, "READINGS_POLL_S", 0)
    path = tmp_path / "readings.jsonl"

    async def scenario():
        async with aclosing(MeterFileDevices(path).readings()) as readings:
            first = asyncio.ensure_future(anext(readings))
            await asyncio.sleep(0)
            line = reading_line(reading(0))
            with path.open("ab") as file:
                file.write(line[:20])
                file.flush()
                for _ in range(5):
                    await asyncio.sleep(0)
                assert not first.done()  # Half a line is no reading.
                file.write(line[20:] + reading_line(reading(1)))
            assert await first == reading(0)
            assert await anext(readings) == reading(1)
            with path.open("ab") as file:
                file.write(b'{"quarter": 2}\n')
            with pytest.raises(BadFile):
                await anext(readings)

    asyncio.run(scenario())


def test_a_torn_last_line_is_cut_off(tmp_path):
    path = tmp_path / "lines"
    assert count_lines(path) == 0
    path.write_bytes(b"one\ntwo\nthr")
    assert count_lines(path) == 2
    assert path.read_bytes() == b"one\ntwo\n"
    path.write_bytes(b"torn")
    assert count_lines(path) == 0
    assert path.read_bytes() == b""


@pytest.fixture
def terms(here):
    """Terms whose windows are long over, so that no reading has to be waited for."""
    return asyncio.run(load_terms(Client(here, "", None)))


def house_of(history_quarters=4):
    house = House(demo_community(4).households[0], restart_quarter=history_quarters)
    return house, tuple(house.step() for _ in range(history_quarters))


async def take(devices, count):
    async with aclosing(devices.readings()) as readings:
        return [await anext(readings) for _ in range(count)]


def test_the_meter_writes_history_first_and_each_reading_once(tmp_path, terms):
    path = tmp_path / "readings.jsonl"

    def devices():
        house, history = house_of()
        return SimulatedHouse(house, history=history, first_window=2, terms=terms, readings=path)

    first = asyncio.run(take(devices(), 3))
    assert [r.quarter for r in first] == [4, 5, 6]
    lines = path.read_bytes()
    assert lines.count(b"\n") == 7
    path.write_bytes(lines[:-10])  # A crash tears the last line.
    again = asyncio.run(take(devices(), 5))
    assert again[:3] == first
    assert path.read_bytes().startswith(lines)
    assert [json.loads(line)["quarter"] for line in path.read_text().splitlines()] == list(range(9))


def test_records_are_appended_and_make_a_chain(tmp_path, here, terms):
    path = tmp_path / "records.ocmf"
    key = here.keys.meters[0].account
    house, _ = house_of()
    readings = [house.step() for _ in range(12)]

    def meter():
        config = MeterConfig(
            meter_id="M-1",
            household=here.household(0).address,
            quarter_of_window_0=-4,
            first_quarter=4,
            installed=Registers(),
        )
        return meter_process.RecordingMeter(SmartMeterAgent(config, terms, key), path)

    recorder = meter()
    for each in readings[:8]:
        recorder.step(ReadingTaken(each), 0)
    written = path.read_text()
    assert written.count("\n") >= 2
    recorder = meter()  # A restart measures the same again, and writes only what is new.
    for each in readings:
        recorder.step(ReadingTaken(each), 0)
    assert path.read_text().startswith(written)
    lines = path.read_text().splitlines()
    assert len(lines) > written.count("\n")
    verify_chain([from_ocmf(line, key.address) for line in lines], key.address)


# Agents' processes -------------------------------------------------------------------------------


def test_what_a_household_core_is_made_of(here):
    layout = here.layout.household(here.names[0])
    settings = AgentFile.load(layout.agent_settings)
    keys = here.keys.households[0]
    config = household_config(settings, keys, "127.0.0.1")
    assert config.household.address == keys.account.address
    assert config.quarter_of_window_0 == settings.history_quarters - 4 * settings.first_window
    assert len({key.address for key in config.accounts.values()}) == len(config.accounts)


def test_each_service_has_its_agent(here, terms):
    for name in (OPERATOR, EXTERNAL_MARKET):
        assert service_core(name, terms, b"\1" * 20, 4).step is not None
    with pytest.raises(ValueError, match="nobody"):
        service_core("nobody", terms, b"\1" * 20, 4)


def test_reports_are_json_lines(tmp_path):
    class Clock:
        def now_ms(self):
            return 5

    log = ReportLog(tmp_path / "agent.log", Clock())
    log(Report("offered", (("window", 3), ("wh", 10))))
    log(Report("sold", ()))
    lines = [json.loads(line) for line in (tmp_path / "agent.log").read_text().splitlines()]
    assert lines == [
        {"time_ms": 5, "kind": "offered", "window": 3, "wh": 10},
        {"time_ms": 5, "kind": "sold"},
    ]
