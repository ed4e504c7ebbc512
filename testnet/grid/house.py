"""One household's electricity, stepped a quarter-hour at a time: load, PV and battery.

The battery maximises the household's own consumption: surplus charges it, deficit discharges it,
within its power and capacity; the rest crosses the connection. Integer watt-hours; the part of a
loss that is below one watt-hour is carried to the next step, so the registers add up exactly:
state of charge = charged − discharged − losses.
"""

from typing import final

from market.agents.devices.readings import QuarterReading
from testnet.grid.community import BatterySpec, HouseholdProfile

_PPM = 1_000_000


@final
class Battery:
    """State of charge in Wh, with losses in both directions."""

    def __init__(self, spec: BatterySpec, soc_wh: int = 0) -> None:
        self._spec = spec
        self.soc_wh = soc_wh
        self._charge_carry = 0
        self._discharge_carry = 0

    def charge(self, surplus_wh: int) -> tuple[int, int]:
        """Take up to `surplus_wh` from the house; returns (taken, lost) in Wh."""
        eff = self._spec.efficiency_ppm
        room = (self._spec.capacity_wh - self.soc_wh) * _PPM // eff
        taken = min(surplus_wh, self._spec.power_w // 4, room)
        lost, self._charge_carry = divmod(taken * (_PPM - eff) + self._charge_carry, _PPM)
        # The carry can make the stored part one Wh more than there is room for.
        taken -= max(0, self.soc_wh + taken - lost - self._spec.capacity_wh)
        self.soc_wh += taken - lost
        return taken, lost

    def discharge(self, deficit_wh: int) -> tuple[int, int]:
        """Give up to `deficit_wh` to the house; returns (given, lost) in Wh."""
        eff = self._spec.efficiency_ppm
        given = min(deficit_wh, self._spec.power_w // 4, self.soc_wh * eff // _PPM)
        lost, carry = divmod(given * (_PPM - eff) + self._discharge_carry, eff)
        if given + lost > self.soc_wh:
            given, lost, carry = max(0, self.soc_wh - lost), min(lost, self.soc_wh), 0
        self._discharge_carry = carry
        self.soc_wh -= given + lost
        return given, lost


@final
class House:
    """Steps through a profile; after its end it begins again at the day after the history."""

    def __init__(self, profile: HouseholdProfile, *, restart_quarter: int = 0) -> None:
        self._profile = profile
        self._restart = restart_quarter
        self._quarter = 0
        self._battery = Battery(profile.battery) if profile.battery else None

    @property
    def soc_wh(self) -> int:
        return self._battery.soc_wh if self._battery else 0

    def step(self) -> QuarterReading:
        """Return what happened in the next quarter-hour."""
        quarter, length = self._quarter, len(self._profile.load_wh)
        self._quarter += 1
        at = quarter
        if at >= length:
            at = self._restart + (quarter - length) % (length - self._restart)
        load_wh, pv_wh = self._profile.load_wh[at], self._profile.pv_wh[at]
        net = pv_wh - load_wh
        charged = discharged = lost = 0
        if self._battery is not None and net > 0:
            charged, lost = self._battery.charge(net)
        elif self._battery is not None and net < 0:
            discharged, lost = self._battery.discharge(-net)
        crossing = net - charged + discharged
        return QuarterReading(
            quarter=quarter,
            load_wh=load_wh,
            pv_wh=pv_wh,
            charged_wh=charged,
            discharged_wh=discharged,
            loss_wh=lost,
            soc_wh=self.soc_wh,
            export_wh=max(crossing, 0),
            import_wh=max(-crossing, 0),
        )
