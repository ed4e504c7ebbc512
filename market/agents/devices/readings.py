"""What a household's devices report of one quarter-hour."""

from dataclasses import dataclass, fields
from typing import final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class QuarterReading:
    """Energies of one quarter-hour in Wh, and the battery's state at its end.

    `quarter` counts quarter-hours since the series began, 96 a day. Charged and discharged energy
    is measured at the battery's terminals; `loss_wh` is what the battery lost of it, so the
    state of charge changes by charged − discharged − loss.
    """

    quarter: int
    load_wh: int
    pv_wh: int
    charged_wh: int
    discharged_wh: int
    loss_wh: int
    soc_wh: int
    export_wh: int
    import_wh: int

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 0:
                raise ValueError(f"{field.name} must not be negative")
        supplied = self.pv_wh + self.discharged_wh + self.import_wh
        used = self.load_wh + self.charged_wh + self.export_wh
        if supplied != used:
            raise ValueError(f"energy must balance: {supplied} Wh in, {used} Wh out")
