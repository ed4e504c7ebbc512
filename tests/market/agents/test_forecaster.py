"""Forecasts: the mean of seven days, the battery's run, and never a look ahead."""

from hypothesis import given
from hypothesis import strategies as st

from market.agents.analytics.data_reader import DataReader
from market.agents.analytics.forecaster import Forecaster
from market.agents.devices.battery import BatteryModel, BatteryStateAgent
from market.agents.devices.readings import QuarterReading

MODEL = BatteryModel(capacity_wh=5_000, power_w=2_000, efficiency_ppm=950_000)


def reading(quarter: int, load_wh: int, pv_wh: int, soc_wh: int = 0) -> QuarterReading:
    net = pv_wh - load_wh
    return QuarterReading(
        quarter=quarter,
        load_wh=load_wh,
        pv_wh=pv_wh,
        charged_wh=0,
        discharged_wh=0,
        loss_wh=0,
        soc_wh=soc_wh,
        export_wh=max(net, 0),
        import_wh=max(-net, 0),
    )


def forecaster(readings, model=None) -> Forecaster:
    data, battery = DataReader(), BatteryStateAgent(model)
    for each in readings:
        assert data.take(each)
        battery.take(each)
    return Forecaster(data, battery)


def test_the_mean_of_the_same_quarter_hour_over_seven_days() -> None:
    days = [
        reading(day * 96 + quarter, load_wh=10 * day + quarter, pv_wh=quarter % 2 * day)
        for day in range(9)
        for quarter in range(96)
    ]
    expected = sum(10 * day + 5 for day in range(2, 9)) // 7
    assert forecaster(days).load_wh(9 * 96 + 5) == expected
    assert forecaster(days).pv_wh(9 * 96 + 5) == sum(range(2, 9)) // 7
    assert forecaster(days).pv_wh(9 * 96 + 4) == 0


def test_fewer_days_are_enough_and_none_gives_zero() -> None:
    assert forecaster([]).load_wh(96) == 0
    assert forecaster([]).net_wh(range(4, 8)) == 0
    one_day = [reading(quarter, load_wh=7, pv_wh=0) for quarter in range(96)]
    assert forecaster(one_day).load_wh(96) == 7


@given(st.lists(st.integers(0, 900), min_size=96 * 2, max_size=96 * 2), st.integers(0, 90))
def test_the_future_changes_no_forecast(loads, seen) -> None:
    """Two futures, one past: the forecast made in the past is the same."""
    past = [reading(q, load_wh=load, pv_wh=0) for q, load in enumerate(loads[: 96 + seen])]
    other = [reading(q, load_wh=load + (q >= 96 + seen), pv_wh=0) for q, load in enumerate(loads)]
    window = range(96 + seen + 4, 96 + seen + 8)
    made = forecaster(past).net_wh(window)
    again = forecaster(other[: 96 + seen]).net_wh(window)
    assert made == again


def test_gaps_and_repetitions_are_not_taken() -> None:
    data = DataReader()
    assert data.take(reading(0, 1, 0))
    assert not data.take(reading(0, 2, 0))
    assert not data.take(reading(2, 3, 0))
    assert data.next_quarter == 1


def test_the_battery_runs_through_the_rest_of_the_current_window() -> None:
    """Four quarter-hours of surplus before the window fill the battery; then all is exported."""
    days = [
        reading(day * 96 + q, load_wh=0, pv_wh=500 if q < 20 else 0, soc_wh=4_000)
        for day in range(2)
        for q in range(96)
    ]
    known = [*days, reading(192, load_wh=0, pv_wh=500, soc_wh=4_000)]
    empty_model = forecaster(known).net_wh(range(197, 201))
    assert empty_model == 2_000
    # 1,000 Wh of room are full after quarters 193 and 194: nothing is left to charge at 197.
    lossless = BatteryModel(capacity_wh=5_000, power_w=2_000, efficiency_ppm=1_000_000)
    assert forecaster(known, lossless).net_wh(range(197, 201)) == 2_000
    assert forecaster(known, lossless).net_wh(range(193, 197)) == 1_000


@given(
    st.integers(0, 5_000),
    st.lists(st.integers(-3_000, 3_000), max_size=30),
    st.integers(500_000, 1_000_000),
)
def test_the_battery_model_gives_no_more_than_it_holds(soc, nets, efficiency_ppm) -> None:
    model = BatteryModel(capacity_wh=5_000, power_w=2_000, efficiency_ppm=efficiency_ppm)
    crossing, after = model.crossing(soc, nets)
    assert 0 <= after <= model.capacity_wh
    for net, crossed in zip(nets, crossing, strict=True):
        assert abs(crossed) <= abs(net)
        assert crossed * net >= 0
        assert abs(net - crossed) <= model.power_w // 4
    moved = sum(nets) - sum(crossing)
    assert after - soc <= max(moved, 0) or moved < 0


def test_capability() -> None:
    agent = BatteryStateAgent(MODEL)
    assert agent.capability_wh() == (500, 0)
    agent.take(reading(0, 0, 0, soc_wh=5_000))
    assert agent.capability_wh() == (0, 500)
    assert BatteryStateAgent(None).capability_wh() == (0, 0)
