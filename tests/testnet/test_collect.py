"""What the report takes from the meters' files: verified, or refused."""

from types import SimpleNamespace

import pytest

from crypto.errors import DecodeError
from crypto.keys import AccountKey
from market.agents.devices.meter_record import GENESIS_HASH, MeterRecord, Registers, to_ocmf
from market.agents.devices.readings import QuarterReading
from market.agents.errors import RecordRefused
from testnet.collect import log_line, meter_day, readings_of_day
from testnet.errors import BadFile
from testnet.home_files import reading_line
from testnet.layout import HouseholdLayout

KEY = AccountKey.from_secret(bytes(31) + b"\5")
WINDOWS = 2


def records():
    """Two windows: each quarter-hour imports one and exports two more; 40 Wh were stored."""
    made, previous = [], GENESIS_HASH
    for place in range(1, 4 * WINDOWS + 1):
        record = MeterRecord.sign(
            KEY,
            meter_id="M",
            pagination=place,
            time_ms=1_000 * place,
            registers=Registers(
                import_wh=place, export_wh=2 * place, charged_wh=40, discharged_wh=place, loss_wh=1
            ),
            previous=previous,
        )
        made.append(record)
        previous = record.hash
    return made


@pytest.fixture
def cluster(tmp_path):
    home = HouseholdLayout(tmp_path)
    home.meter.home.mkdir()
    return SimpleNamespace(
        layout=SimpleNamespace(household=lambda _: home),
        manifest=SimpleNamespace(
            household=lambda _: SimpleNamespace(meter_account=KEY.address), history_quarters=3
        ),
    )


def write(cluster, lines):
    path = cluster.layout.household("h").meter.records
    path.write_text("".join(f"{line}\n" for line in lines))


def test_windows_are_differences_of_the_registers_at_their_ends(cluster):
    write(cluster, map(to_ocmf, records()))
    day = meter_day(cluster, "h", WINDOWS)
    assert (day.import_wh, day.export_wh) == ((4, 4), (8, 8))
    assert day.stored_wh == 40 - 8 - 1


def test_records_of_another_key_a_gap_or_a_changed_number_are_refused(cluster):
    lines = [to_ocmf(record) for record in records()]
    write(cluster, [*lines[:3], *lines[4:]])
    with pytest.raises(RecordRefused, match="pagination"):
        meter_day(cluster, "h", WINDOWS)
    write(cluster, [lines[0].replace('"RV":1,', '"RV":0,'), *lines[1:]])
    with pytest.raises((RecordRefused, DecodeError)):
        meter_day(cluster, "h", WINDOWS)


def test_a_day_that_is_not_all_there_is_refused(cluster):
    write(cluster, map(to_ocmf, records()[:-1]))
    with pytest.raises(BadFile, match=r"records\.ocmf.*8 records, got 7"):
        meter_day(cluster, "h", WINDOWS)


def test_the_plots_day_begins_after_the_history_and_ends_before_a_torn_line(cluster):
    def reading(quarter):
        return QuarterReading(
            quarter=quarter,
            load_wh=1,
            pv_wh=0,
            charged_wh=0,
            discharged_wh=0,
            loss_wh=0,
            soc_wh=0,
            export_wh=0,
            import_wh=1,
        )

    lines = b"".join(reading_line(reading(quarter)) for quarter in range(6))
    cluster.layout.household("h").meter.readings.write_bytes(lines + b'{"quarter":6')
    assert [r.quarter for r in readings_of_day(cluster, "h", WINDOWS)] == [3, 4, 5]


def test_a_log_comes_as_bytes():
    answer = {"address": "0x01", "topics": ["0x02", "0x03"], "data": "0x"}
    assert log_line(answer) == (b"\1", (b"\2", b"\3"), b"")
