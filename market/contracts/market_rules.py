"""Rules of the market: genesis parameters, when each phase begins, and what a window pays.

Pure functions of numbers; money in 10⁻⁸ EUR, energy in Wh, prices in 10⁻⁸ EUR per Wh.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from market.abi import Phase
from market.contracts.parameters import read_parameters
from market.units import cost, cost_per_wh_ceil, cost_per_wh_floor, share_floor
from vm.errors import GenesisError
from vm.gas import deadline_entry_gas
from vm.genesis import Genesis, Params

ENTRY_GAS_BASE = 500_000
ENTRY_GAS_PER_MEMBER = 32_000
"""What settling a window costs at most, as a test measures: it must fit into one deadline."""

_NAME = "market"
_KNOWN = {
    # name: (default, least, greatest). The greatest keep every sum inside 64 bits with a sign.
    "retail": (30_000, 1, 10**8),
    "feed_in": (8_000, 0, 10**8),
    "penalty": (2_000, 0, 10**8),
    "k": (14, 1, 20),
    "attest_windows": (1, 1, 1_000),
    "close_windows": (2, 1, 1_000),
    "settle_windows": (3, 1, 1_000),
    "late_windows": (72, 1, 10_000),
    "confirm_fee": (100_000, 0, 10**12),
    "agreements_max": (16, 1, 64),
    "offers_max": (8, 1, 16),
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The market's genesis parameters."""

    retail: int
    """λ_b: what energy costs outside."""
    feed_in: int
    """λ_s: what energy brings outside."""
    penalty: int
    """π: on top, for each Wh sold and not delivered, or bought and not used."""
    k: int
    """Quantities have k bits: Q = 2**k - 1 Wh for one household and window."""
    attest_windows: int
    close_windows: int
    settle_windows: int
    """Deadlines, in windows after the end of delivery."""
    late_windows: int
    """How long late closing stays possible after settlement."""
    confirm_fee: int
    """What a buyer pays for an agreement that it signed and did not confirm in time."""
    agreements_max: int
    """For one household and window, on each side."""
    offers_max: int
    """For one household and window; as many calls."""

    @property
    def quantity_max(self) -> int:
        """Q in Wh."""
        return (1 << self.k) - 1

    @property
    def deposit(self) -> int:
        """D: enough for the worst window, so that no payout can be negative.

        The worst is to sell Q, deliver nothing and import Q: less than 2·Q·(λ_b + π) - Q·λ_s.
        What D holds above that covers the fees (`read_rules` checks it).
        """
        dearest = 3 * self.retail + self.penalty + max(0, self.penalty - self.feed_in)
        return self.quantity_max * dearest

    def reserve(self, members: int) -> int:
        """F: what the external market pays at most for a window."""
        return members * self.quantity_max * self.feed_in


def read_rules(params: Params, genesis: Genesis) -> Rules:
    """Return the rules that genesis sets.

    Raises:
        GenesisError: a parameter unknown or out of range, deadlines out of order, prices that
            cross, fees above what the deposit covers, or too little gas for a deadline.
    """
    rules = Rules(**read_parameters(_NAME, params, _KNOWN))
    if rules.feed_in > rules.retail:
        _refuse("feed_in", f"must be at most retail {rules.retail}, got {rules.feed_in}")
    if not rules.attest_windows <= rules.close_windows <= rules.settle_windows:
        _refuse("close_windows", "must lie between attest_windows and settle_windows")
    fees = rules.agreements_max * rules.confirm_fee
    if fees > cost(rules.quantity_max, rules.retail):
        _refuse("confirm_fee", f"fees of one window may reach {fees}, more than Q at retail")
    if genesis.record_ms >= genesis.window_ms:
        raise GenesisError("record_ms", "must leave time to negotiate")
    needed = ENTRY_GAS_BASE + ENTRY_GAS_PER_MEMBER * len(genesis.members)
    allowed = deadline_entry_gas(genesis.block_gas_limit)
    if allowed < needed:
        message = f"leaves {allowed} for one deadline, settling a window may need {needed}"
        raise GenesisError("block_gas_limit", message)
    return rules


def _refuse(name: str, message: str) -> None:
    raise GenesisError(f"contracts.{_NAME}.{name}", message)


# Time --------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """When the phases of one window begin and end, in Unix milliseconds."""

    opens: int
    """start(w-1): enrolment, offers and negotiation begin."""
    records: int
    starts: int
    """start(w): delivery begins."""
    ends: int
    """start(w+1)."""
    attested: int
    """Meters attest before this."""
    closed: int
    """Households close before this."""
    settled: int
    """From here anyone settles, the deadline queue at the latest."""


def calendar(rules: Rules, genesis: Genesis, window: int) -> Calendar:
    """Return the times of `window` (0 or more)."""
    length = genesis.window_ms
    starts = genesis.time_ms + window * length
    ends = starts + length
    return Calendar(
        opens=starts - length,
        records=starts - genesis.record_ms,
        starts=starts,
        ends=ends,
        attested=ends + rules.attest_windows * length,
        closed=ends + rules.close_windows * length,
        settled=ends + rules.settle_windows * length,
    )


def phase_by_time(times: Calendar, now_ms: int) -> Phase:
    """Return the phase of a window that is not settled."""
    steps = (
        (times.opens, Phase.FUTURE),
        (times.records, Phase.NEGOTIATE),
        (times.starts, Phase.RECORD),
        (times.ends, Phase.DELIVER),
        (times.attested, Phase.ATTEST),
        (times.closed, Phase.CLOSE),
    )
    for end_ms, phase in steps:
        if now_ms < end_ms:
            return phase
    return Phase.SETTLE


# Money -------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """How a household's net deviation splits; at most one side is not zero."""

    sur: int = 0
    """Surplus: exported beyond what it sold."""
    unu: int = 0
    """Bought and left unused."""
    ext: int = 0
    """Imported beyond what it bought."""
    sho: int = 0
    """Sold and not delivered."""

    @property
    def surplus(self) -> int:
        """What it leaves to the community."""
        return self.sur + self.unu

    @property
    def deficit(self) -> int:
        """What it takes from the community."""
        return self.ext + self.sho


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Clearing:
    """Prices of a window's deviations, and what goes through the external market."""

    surplus: int
    """U, Wh."""
    deficit: int
    """T, Wh."""
    p_sur: int
    p_unu: int
    p_ext: int
    p_sho: int
    external_pays: int
    """Money for what leaves the community."""
    external_receives: int
    """Money for what comes in."""

    @property
    def matched(self) -> int:
        """M: what trades inside the community, Wh."""
        return min(self.surplus, self.deficit)

    def price(self, deviation: Deviation) -> int:
        """Return what the deviation brings; negative where it costs."""
        return (
            cost(deviation.sur, self.p_sur)
            + cost(deviation.unu, self.p_unu)
            - cost(deviation.ext, self.p_ext)
            - cost(deviation.sho, self.p_sho)
        )


def clear(rules: Rules, surplus: int, deficit: int, *, has_reserve: bool) -> Clearing:
    """Price the residue of the community: inside first at the middle price, the rest outside.

    p_sur = ⌊(M·m + (U-M)·λ_s)/U⌋ and p_ext = ⌈(M·m + (T-M)·λ_b)/T⌉ with m = ⌊(λ_s + λ_b)/2⌋, so
    the roundings leave something for the fund and never take from it. Without a reserve nobody
    can pay for what leaves the community, and surplus brings nothing.
    """
    matched = min(surplus, deficit)
    inside = cost(matched, (rules.feed_in + rules.retail) // 2)
    exported, imported = surplus - matched, deficit - matched
    p_sur, p_ext = rules.feed_in, rules.retail
    if surplus:
        p_sur = cost_per_wh_floor(inside + cost(exported, rules.feed_in), surplus)
    if deficit:
        p_ext = cost_per_wh_ceil(inside + cost(imported, rules.retail), deficit)
    return Clearing(
        surplus=surplus,
        deficit=deficit,
        p_sur=p_sur if has_reserve else 0,
        p_unu=max(0, rules.feed_in - rules.penalty) if has_reserve else 0,
        p_ext=p_ext,
        p_sho=rules.retail + rules.penalty,
        external_pays=cost(exported, rules.feed_in) if has_reserve else 0,
        external_receives=cost(imported, rules.retail),
    )


def clear_late(rules: Rules, deviation: Deviation, *, has_reserve: bool) -> Clearing:
    """Price one late deviation outside: nothing of it meets the community's."""
    if deviation.surplus:
        return clear(rules, deviation.surplus, 0, has_reserve=has_reserve)
    return clear(rules, 0, deviation.deficit, has_reserve=has_reserve)


def shares(total: int, parts: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `parts` by cumulative rounding: sums to it exactly.

    Each share lies within 1 of the exact one. Zeros if the parts sum to 0.
    """
    whole, so_far, given, result = sum(parts), 0, 0, []
    for part in parts:
        so_far += part
        up_to_here = share_floor(total, so_far, whole)
        result.append(up_to_here - given)
        given = up_to_here
    return result
