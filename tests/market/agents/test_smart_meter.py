"""The meter's core: signed records, one attestation a window, in order, caught up after silence."""

from dataclasses import astuple

from crypto import abi_event
from crypto.hashing import tagged_hash
from crypto.keys import AccountKey
from market.abi import MARKET, Attested, Enrolled
from market.agents.actions import AskNonce, SendTransaction
from market.agents.devices.meter_record import Registers, verify_chain
from market.agents.devices.readings import QuarterReading
from market.agents.devices.smart_meter import MeterConfig, SmartMeterAgent
from market.agents.observations import (
    BlockSeen,
    NonceAnswer,
    ReadingTaken,
    Tick,
    TransactionSealed,
)
from market.agents.terms import MarketTerms

KEY = AccountKey(tagged_hash(b"test/meter", b"1"))
HOUSEHOLD = bytes([1]) * 20
W = bytes([2]) * 20
TERMS = MarketTerms(
    chain_id=7,
    retail=30_000,
    feed_in=8_000,
    penalty=2_000,
    quantity_max=16_383,
    agreements_max=16,
    genesis_time_ms=1_000_000,
    window_ms=8_000,
    record_ms=2_000,
    attest_windows=1,
    close_windows=2,
    settle_windows=3,
)
FIRST = 100  # Quarter at which the meter was installed: the start of window 2.


def meter() -> SmartMeterAgent:
    config = MeterConfig(
        meter_id="H-1",
        household=HOUSEHOLD,
        quarter_of_window_0=FIRST - 8,
        first_quarter=FIRST,
        installed=Registers(charged_wh=500),
    )
    return SmartMeterAgent(config, TERMS, KEY)


def reading(quarter: int, **changes: int) -> ReadingTaken:
    values = {
        "quarter": quarter,
        "load_wh": 30,
        "pv_wh": 100,
        "charged_wh": 20,
        "discharged_wh": 0,
        "loss_wh": 1,
        "soc_wh": 500 + 19 * (quarter - FIRST + 1),
        "export_wh": 50,
        "import_wh": 0,
    }
    return ReadingTaken(QuarterReading(**{**values, **changes}))


def block(*events) -> BlockSeen:
    encoded = []
    for event in events:
        topics, data = abi_event.encode_event(event.SIGNATURE, astuple(event))
        encoded.append((MARKET, topics, data))
    return BlockSeen(height=1, time_ms=0, transactions=(), events=tuple(encoded))


def enrolled(window: int, household: bytes = HOUSEHOLD) -> BlockSeen:
    return block(Enrolled(window, W, household, 1))


def run(agent: SmartMeterAgent, now_ms: int) -> list[SendTransaction]:
    """Tick, and answer the nonce if it is asked for."""
    sent = []
    for action in agent.step(Tick(), now_ms):
        more = agent.step(NonceAnswer("meter", 0), now_ms) if isinstance(action, AskNonce) else ()
        sent += [each for each in (action, *more) if isinstance(each, SendTransaction)]
    return sent


def test_a_window_is_attested_from_the_record_at_its_end() -> None:
    agent, end = meter(), TERMS.start(3)
    agent.step(enrolled(2), end - 9_000)
    for quarter in range(FIRST, FIRST + 4):
        assert agent.step(reading(quarter), end) == ()
    assert run(agent, end) == [], "the phase begins with the next block's clock"
    (sent,) = run(agent, end + TERMS.margin_ms)
    window, account, exp, imp, charged, discharged, loss, pagination, record_hash = sent.args
    assert (sent.contract, sent.function) == ("Market", "attest")
    assert (window, account, exp, imp) == (2, W, 200, 0)
    # 500 Wh were in the battery at the installation.
    assert (charged, discharged, loss) == (500 + 80, 0, 4)
    assert (pagination, record_hash) == (4, agent.records[-1].hash)
    assert charged - discharged - loss == 500 + 19 * 4, "registers give the state of charge"


def test_records_form_a_signed_chain_on_the_windows_clock() -> None:
    agent = meter()
    for quarter in range(FIRST, FIRST + 6):
        agent.step(reading(quarter), 0)
    verify_chain(list(agent.records), KEY.address)
    assert agent.records[3].time_ms == TERMS.start(3)
    assert agent.records[4].time_ms == TERMS.start(3) + 2_000


def test_earlier_and_skipped_quarter_hours_are_not_signed() -> None:
    agent = meter()
    agent.step(reading(FIRST - 1), 0)
    (report,) = agent.step(reading(FIRST + 1), 0)
    assert report.kind == "meter-gap"
    assert not agent.records
    agent.step(reading(FIRST), 0)
    agent.step(reading(FIRST), 0)
    assert len(agent.records) == 1


def test_others_enrolments_are_not_attested() -> None:
    agent, end = meter(), TERMS.start(3)
    agent.step(enrolled(2, household=bytes([9]) * 20), 0)
    for quarter in range(FIRST, FIRST + 4):
        agent.step(reading(quarter), end)
    assert run(agent, end + 1_000) == []


def test_a_window_is_attested_once_and_again_if_it_failed() -> None:
    agent, now = meter(), TERMS.start(3) + TERMS.margin_ms
    agent.step(enrolled(2), 0)
    for quarter in range(FIRST, FIRST + 4):
        agent.step(reading(quarter), now)
    assert len(run(agent, now)) == 1
    assert run(agent, now + 1) == []
    agent.step(TransactionSealed("meter", 0, is_success=False), now + 2)
    (again,) = run(agent, now + 1_000)
    assert again.nonce == 1
    agent.step(block(Attested(2, W, 200, 0, 580, 0, 4)), now + 1_001)
    agent.step(TransactionSealed("meter", 1, is_success=True), now + 1_002)
    assert run(agent, now + 3_000) == []


def test_windows_are_attested_in_order_and_a_missed_one_is_left_behind() -> None:
    """A later register takes the missed energy with it, so order matters until it is too late."""
    agent = meter()
    agent.step(enrolled(2), 0)
    agent.step(enrolled(3), 0)
    for quarter in range(FIRST, FIRST + 8):
        agent.step(reading(quarter), 0)
    first, second = run(agent, TERMS.start(4) - 1), run(agent, TERMS.start(4) + TERMS.margin_ms)
    assert [each.args[0] for each in first] == [2]
    assert [each.args[0] for each in second] == [3]
    assert second[0].args[7] == 8


def test_it_waits_for_the_past_before_it_acts() -> None:
    """Blocks of the past come before the first tick: what they show as done is not done again."""
    agent, now = meter(), TERMS.start(3) + TERMS.margin_ms
    for quarter in range(FIRST, FIRST + 4):
        agent.step(reading(quarter), now)
    assert agent.step(enrolled(2), now) == ()
    assert agent.step(block(Attested(2, W, 200, 0, 580, 0, 4)), now) == ()
    assert run(agent, now) == []
