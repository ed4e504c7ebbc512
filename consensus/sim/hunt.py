"""Hunts the mutants: plants each bug and looks for it, as `hearth fuzz --mutants` does."""

import multiprocessing
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import final

from consensus.sim.fuzz import run_seed
from consensus.sim.mutants import MUTANTS, Mutant
from consensus.sim.scenarios import SCENARIOS
from consensus.sim.violation import InvariantViolation

BUDGET_S = 60
"""A bug that survives more processor time than this counts as not caught."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MutantResult:
    """What became of a mutant."""

    name: str
    rule: str
    how: str
    caught: bool
    profile: str
    """What the seeds draw from: `hearth fuzz --seed SEED --profile NAME`."""
    seed: int | None
    """The first seed that caught it; None if a directed history did, or nothing."""
    seconds: float
    """Of processor time until it was caught."""
    by: str
    """Name of the history, or of the checker."""
    message: str

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "rule": self.rule,
            "how": self.how,
            "caught": self.caught,
            "profile": self.profile,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "by": self.by,
        }


def hunt(mutant: Mutant, *, first_seed: int = 0, budget_s: float = BUDGET_S) -> MutantResult:
    """Plant one bug and look for it seed after seed; if none finds it, by a directed history."""
    began = time.process_time()
    with ExitStack() as planted:
        for plant in mutant.plants:
            planted.enter_context(plant())
        seed = first_seed
        while time.process_time() - began < budget_s:
            violation = run_seed(seed, profile=mutant.profile).violation
            if violation is not None:
                return _caught(
                    mutant, began, seed, f"checker {violation.checker}", violation.message
                )
            seed += 1
        if mutant.scenario is not None:
            message = _play(mutant.scenario)
            if message is not None:
                return _caught(mutant, began, None, f"history {mutant.scenario}", message)
    return MutantResult(
        name=mutant.name,
        rule=mutant.rule,
        how=mutant.how,
        profile=mutant.profile.name,
        caught=False,
        seed=None,
        seconds=time.process_time() - began,
        by="",
        message="",
    )


def _play(scenario: str) -> str | None:
    """What is wrong in a directed history, or None."""
    try:
        SCENARIOS[scenario]()
    except InvariantViolation as violation:
        return str(violation)
    except Exception:  # noqa: BLE001  # A core that raises has failed, whatever it raises.
        return traceback.format_exc(limit=-3)
    return None


def _caught(mutant: Mutant, began: float, seed: int | None, by: str, message: str) -> MutantResult:
    return MutantResult(
        name=mutant.name,
        rule=mutant.rule,
        how=mutant.how,
        profile=mutant.profile.name,
        caught=True,
        seed=seed,
        seconds=time.process_time() - began,
        by=by,
        message=message,
    )


def _hunt_by_place(place: int) -> MutantResult:
    return hunt(MUTANTS[place])


def run_mutants(
    *, workers: int = 1, on_result: Callable[[MutantResult], None] | None = None
) -> list[MutantResult]:
    """Hunt every mutant; results in the order of the table."""
    places = range(len(MUTANTS))
    results: list[MutantResult] = []
    if workers <= 1:
        for place in places:
            results.append(_hunt_by_place(place))
            if on_result is not None:
                on_result(results[-1])
        return results
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for result in pool.map(_hunt_by_place, places):
            results.append(result)
            if on_result is not None:
                on_result(result)
    return results
