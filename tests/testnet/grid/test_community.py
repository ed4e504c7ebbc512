"""The shipped extract, cut into households."""

import pytest

from testnet.grid.community import DEMO_LOADS, demo_community
from testnet.grid.extract import load_extract


def test_the_demo_is_the_eight_households_of_the_feeder():
    community = demo_community()
    assert [h.bus for h in community.households] == [bus for bus, _ in DEMO_LOADS]
    kinds = {h.bus: h.kind for h in community.households}
    assert {bus for bus, kind in kinds.items() if kind == "PV"} == {39, 83}
    assert {bus for bus, kind in kinds.items() if kind == "PV + battery"} == {12, 47}
    assert community.history_quarters == 7 * 96
    assert all(len(h.load_wh) == 10 * 96 for h in community.households)


def test_energies_follow_the_series():
    """The day's sum equals the series' sum to half a watt-hour at each end."""
    extract = load_extract()
    first = extract.first_quarter("2016-05-18")
    house = next(h for h in demo_community().households if h.bus == 37)
    (load,) = [x for x in extract.loads if x.bus == 37 and x.series == "H0-B"]
    exact = extract.series["H0-B"][first : first + 96].sum() * load.rated_w / 4
    assert abs(sum(house.load_wh[7 * 96 : 8 * 96]) - exact) <= 1


def test_a_battery_is_read_as_pv_and_battery_not_by_its_own_series():
    house = next(h for h in demo_community().households if h.bus == 12)
    assert house.battery is not None
    assert (house.battery.capacity_wh, house.battery.power_w) == (6800, 3400)
    assert max(house.pv_wh) <= 3400 // 4 + 1


def test_more_households_come_from_the_seed():
    one, two = demo_community(12, seed=1), demo_community(12, seed=2)
    assert one == demo_community(12, seed=1)
    assert one.households[:8] == two.households[:8]
    assert one.households[8:] != two.households[8:]
    assert len({h.name for h in demo_community(64).households}) == 64


@pytest.mark.parametrize(
    ("households", "day", "said"),
    [
        (3, "2016-05-18", "households must be 4 to 64, got 3"),
        (65, "2016-05-18", "households must be 4 to 64, got 65"),
        (8, "2016-01-03", "7 days before"),
        (8, "2016-12-30", "2 after it"),
        (8, "18 May", "day must be a date of 2016"),
        (8, "2017-05-18", "day must be a date of 2016"),
    ],
)
def test_bad_choices_say_what_is_wrong(households, day, said):
    with pytest.raises(ValueError, match=said):
        demo_community(households, day)
