"""The physical household: nothing is lost, the battery stays within its limits."""

from hypothesis import given
from hypothesis import strategies as st

from testnet.grid.community import BatterySpec, HouseholdProfile
from testnet.grid.house import House

ENERGY = st.integers(0, 3000)
BATTERY = st.none() | st.builds(
    BatterySpec,
    capacity_wh=st.integers(1, 9000),
    power_w=st.integers(1, 5000),
    efficiency_ppm=st.integers(500_000, 1_000_000),
)


@given(st.lists(st.tuples(ENERGY, ENERGY), min_size=1, max_size=200), BATTERY)
def test_registers_add_up_and_the_battery_stays_within_its_limits(pairs, battery):
    house = House(
        HouseholdProfile(
            name="h",
            bus=1,
            load_wh=tuple(load for load, _ in pairs),
            pv_wh=tuple(pv for _, pv in pairs),
            battery=battery,
        )
    )
    stored = 0
    for _ in pairs:
        reading = house.step()  # Its constructor checks the balance of the quarter-hour.
        stored += reading.charged_wh - reading.discharged_wh - reading.loss_wh
        assert reading.soc_wh == stored
        assert 0 <= stored <= (battery.capacity_wh if battery else 0)
        assert not (reading.export_wh and reading.import_wh)
        if battery:
            assert max(reading.charged_wh, reading.discharged_wh) <= battery.power_w // 4


def test_losses_follow_the_efficiency_over_many_small_steps():
    """1 Wh at a time loses 5 % of what goes in, although each step alone would round to 0."""
    battery = BatterySpec(capacity_wh=100_000, power_w=4, efficiency_ppm=950_000)
    profile = HouseholdProfile(
        name="h", bus=1, load_wh=(0,) * 1000, pv_wh=(1,) * 1000, battery=battery
    )
    house = House(profile)
    assert sum(house.step().loss_wh for _ in range(1000)) == 50


def test_the_series_begin_again_behind_their_end():
    profile = HouseholdProfile(name="h", bus=1, load_wh=(1, 2, 3), pv_wh=(0, 0, 0), battery=None)
    house = House(profile, restart_quarter=1)
    assert [house.step().load_wh for _ in range(7)] == [1, 2, 3, 2, 3, 2, 3]
