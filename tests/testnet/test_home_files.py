"""The files that a testnet's processes share: strict, and one form each."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.agents.devices.readings import QuarterReading
from testnet.errors import BadFile, TestnetError
from testnet.grid.community import BatterySpec, HouseholdProfile
from testnet.home_files import AgentFile, MeterFile, parse_reading, reading_line
from testnet.layout import BASE_PORT, TestnetLayout, p2p_port, rpc_port
from testnet.manifest import HouseholdEntry, Manifest, ServiceEntry

BATTERY = BatterySpec(capacity_wh=9000, power_w=3000, efficiency_ppm=950_000)
MANIFEST = Manifest(
    day="2016-05-18",
    seed=1,
    base_port=BASE_PORT,
    window_ms=9000,
    record_ms=2500,
    genesis_time_ms=1_700_000_000_000,
    first_window=2,
    history_quarters=672,
    households=(
        HouseholdEntry(
            name="h39",
            kind="PV",
            account=b"\1" * 20,
            meter_account=b"\2" * 20,
            p2p_port=26600,
            rpc_port=8545,
        ),
    ),
    services=(ServiceEntry(name="operator", account=b"\3" * 20, via="h39"),),
)
METER = MeterFile(
    household=b"\1" * 20,
    meter_id="HEARTH-h39",
    rpc_url="http://127.0.0.1:8545",
    first_window=2,
    history_quarters=4,
    profile=HouseholdProfile(
        name="h39", bus=39, load_wh=(1, 2, 3, 4), pv_wh=(0, 0, 5, 6), battery=BATTERY
    ),
)
AGENT = AgentFile(
    household="h39", seed=7, first_window=2, history_quarters=4, battery=None, windows=24
)
FILES = [(Manifest, MANIFEST), (MeterFile, METER), (AgentFile, AGENT)]


@pytest.mark.parametrize(("kind", "value"), FILES)
def test_a_file_reads_back_as_it_was_written(kind, value):
    assert kind.from_json(value.to_json()) == value


@pytest.mark.parametrize(("kind", "value"), FILES)
def test_a_file_with_an_unknown_a_missing_or_a_wrong_entry_is_refused_by_name(kind, value):
    good = json.loads(value.to_json())
    for key in good:
        with pytest.raises(BadFile, match=key):
            kind.from_json(json.dumps({k: v for k, v in good.items() if k != key}).encode())
        with pytest.raises(BadFile, match=key):
            kind.from_json(json.dumps(good | {key: [-1]}).encode())
    with pytest.raises(BadFile, match="surplus"):
        kind.from_json(json.dumps(good | {"surplus": 1}).encode())


@given(st.data())
def test_what_a_reader_accepts_is_written_to_the_same_bytes(data):
    """Flip, cut or insert a byte: refused, or it means and writes exactly itself."""
    kind, value = data.draw(st.sampled_from(FILES))
    raw = bytearray(value.to_json())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at : at + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=1))
    try:
        parsed = kind.from_json(bytes(raw))
    except BadFile:
        return
    assert parsed.to_json() == bytes(raw)


@given(st.lists(st.integers(0, 10_000), min_size=7, max_size=7))
def test_a_reading_travels_as_one_line(numbers):
    quarter, load, charged, pv, discharged, loss, soc = numbers
    net = pv + discharged - load - charged
    reading = QuarterReading(
        quarter=quarter,
        load_wh=load,
        pv_wh=pv,
        charged_wh=charged,
        discharged_wh=discharged,
        loss_wh=loss,
        soc_wh=soc,
        export_wh=max(net, 0),
        import_wh=max(-net, 0),
    )
    line = reading_line(reading)
    assert line.count(b"\n") == 1
    assert parse_reading(line) == reading
    with pytest.raises(BadFile, match="energy must balance"):
        parse_reading(line.replace(b'"load_wh":', b'"load_wh":9'))


@pytest.mark.parametrize("line", [b"", b"{}\n", b"[]\n", b"1\n", b"{" * 2000, b'{"quarter":1.5}\n'])
def test_a_broken_line_is_refused(line):
    with pytest.raises(BadFile):
        parse_reading(line)


def test_names_that_leave_the_folder_are_refused():
    for name in ("..", "", "a/b", ".hidden", "x" * 65):
        with pytest.raises(TestnetError):
            TestnetLayout.of(name)
    assert TestnetLayout.of("a", Path("r")).household("h39").meter.keys == Path(
        "r/a/h39/meter/meter.keys"
    )


def test_ports_are_the_documented_ones_unless_a_base_is_given():
    assert (p2p_port(3, BASE_PORT), rpc_port(3, BASE_PORT)) == (26603, 8548)
    assert (p2p_port(3, 30_000), rpc_port(3, 30_000)) == (30_003, 30_103)


def test_a_household_is_found_by_name_and_by_index():
    assert MANIFEST.household("0") is MANIFEST.household("h39")
    with pytest.raises(TestnetError, match="h39"):
        MANIFEST.household("h40")
