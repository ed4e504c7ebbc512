"""Many seeds on many processes: what `hearth fuzz --evm` runs."""

import importlib
import multiprocessing
import re
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, final

from testnet.evm_fuzz import both_tiers, ours
from testnet.evm_fuzz.assembly import NAMES, disassemble
from testnet.evm_fuzz.case import Case, Outcome, Status, differences
from testnet.evm_fuzz.generate import generate
from testnet.evm_fuzz.minimise import RUNS_MAX, minimise

Judge: TypeAlias = Callable[[Case, Outcome], list[str]]
"""From a case and what ours made of it to differences in words; empty if there are none."""

ORACLES = ("revm", "py-evm", "tiers")
"""What ours can be compared with: two other EVMs, and our interpreter with our compiler."""
SEEDS_PER_TASK = 50
WATCHED_EVERY = 25
"""Of so many cases one is traced, to tell which instructions the cases reach."""

_ENGINES = {"revm": "testnet.evm_fuzz.revm", "py-evm": "testnet.evm_fuzz.pyevm"}


def judge(oracle: str) -> Judge:
    """Return the judge that asks an oracle.

    Raises:
        ImportError: its package is not installed.
    """
    if oracle == "tiers":
        return lambda case, _: both_tiers.compare(case)
    run: Callable[[Case], Outcome] = importlib.import_module(_ENGINES[oracle]).run
    return lambda case, mine: differences(mine, run(case))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One seed."""

    seed: int
    status: Status | None
    """Ours; None if the case calls a precompile that is left out."""
    gas_used: int
    opcodes: frozenset[int]
    """What was executed, if the case was traced."""
    differences: tuple[str, ...]
    """Empty: the engines agree."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignReport:
    """A campaign."""

    oracle: str
    first_seed: int
    cases: int
    left_out: int
    """Cases that call 0x06 to 0x0a, which this chain does not have: not compared."""
    mismatches: tuple[CaseResult, ...]
    statuses: dict[str, int]
    opcodes: int
    """Different instructions executed, among the cases traced."""
    gas_used: int
    seconds: float

    def to_json(self) -> dict[str, object]:
        return {
            "oracle": self.oracle,
            "first_seed": self.first_seed,
            "last_seed": self.first_seed + self.cases - 1,
            "cases": self.cases,
            "compared": self.cases - self.left_out,
            "left_out": self.left_out,
            "mismatches": len(self.mismatches),
            "mismatch_list": [
                {"seed": each.seed, "differences": list(each.differences)}
                for each in self.mismatches
            ],
            "statuses": self.statuses,
            "opcodes_executed": self.opcodes,
            "gas_used": self.gas_used,
            "seconds": round(self.seconds, 1),
            "cases_per_s": round(self.cases / self.seconds) if self.seconds else 0,
        }


def run_seed(seed: int, compare: Judge, *, is_watched: bool = False) -> CaseResult:
    """Give the case of `seed` to ours and a judge; what differs is in the result, never raised."""
    case = generate(seed)
    opcodes = ours.opcodes_executed(case) if is_watched else frozenset[int]()
    result = partial(CaseResult, seed=seed, opcodes=opcodes)
    try:
        mine = ours.run(case)
        found = compare(case, mine)
    except ours.CalledPrecompileLeftOut:
        return result(status=None, gas_used=0, differences=())
    except Exception:  # noqa: BLE001  # An EVM that raises has failed, whatever it raises.
        text = traceback.format_exc(limit=-4)
        return result(status=None, gas_used=0, differences=(f"raised: {text}",))
    return result(status=mine.status, gas_used=mine.gas_used, differences=tuple(found))


def run_seeds(
    first_seed: int,
    cases: int,
    oracle: str,
    workers: int,
    on_results: Callable[[Sequence[CaseResult]], None] | None = None,
) -> CampaignReport:
    """Run `cases` seeds from `first_seed` on.

    Args:
        first_seed: and the seeds that follow it.
        cases: how many.
        oracle: one of ORACLES.
        workers: processes; 1 stays in this one.
        on_results: called in this process, for progress.

    Raises:
        ImportError: the oracle's package is not installed.
    """
    judge(oracle)
    began = time.perf_counter()
    tally = _Tally(on_results)
    tasks = list(_tasks(first_seed, cases, oracle))
    if workers <= 1:
        for task in tasks:
            tally.add(_run_chunk(task))
    else:
        # Spawned, not forked: each worker has its own PYTHONHASHSEED.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            for results in pool.map(_run_chunk, tasks):
                tally.add(results)
    return CampaignReport(
        oracle=oracle,
        first_seed=first_seed,
        cases=cases,
        left_out=tally.left_out,
        mismatches=tuple(tally.mismatches),
        statuses=dict(sorted(tally.statuses.items())),
        opcodes=len(tally.opcodes & NAMES.keys()),
        gas_used=tally.gas_used,
        seconds=time.perf_counter() - began,
    )


def _tasks(first_seed: int, cases: int, name: str) -> Iterator[tuple[range, str]]:
    end = first_seed + cases
    for start in range(first_seed, end, SEEDS_PER_TASK):
        yield range(start, min(start + SEEDS_PER_TASK, end)), name


def _run_chunk(task: tuple[range, str]) -> list[CaseResult]:
    seeds, name = task
    compare = judge(name)
    return [
        run_seed(seed, compare, is_watched=not place % WATCHED_EVERY)
        for place, seed in enumerate(seeds)
    ]


@final
class _Tally:
    """Sums over the results of a campaign."""

    def __init__(self, on_results: Callable[[Sequence[CaseResult]], None] | None) -> None:
        self._on_results = on_results
        self.left_out = self.gas_used = 0
        self.mismatches: list[CaseResult] = []
        self.statuses: Counter[str] = Counter()
        self.opcodes: set[int] = set()

    def add(self, results: list[CaseResult]) -> None:
        for result in results:
            self.gas_used += result.gas_used
            self.opcodes |= result.opcodes
            if result.differences:
                self.mismatches.append(result)
            if result.status is not None:
                self.statuses[result.status.name.lower()] += 1
            elif not result.differences:
                self.left_out += 1
        if self._on_results is not None:
            self._on_results(results)


def explain(seed: int, oracle: str, runs_max: int | None = None) -> list[str]:
    """Return the shortest case found that still fails like the one of `seed`, as lines."""
    compare = judge(oracle)
    case = generate(seed)
    kinds = _kinds(case, compare)
    if not kinds:
        return ["the engines agree"]
    short = minimise(case, lambda smaller: _kinds(smaller, compare) == kinds, runs_max or RUNS_MAX)
    return [*describe(short), *_judgement(short, oracle)]


_AMOUNTS = re.compile(r"^gas_used: ours (\d+), theirs (\d+)$")


def _kinds(case: Case, compare: Judge) -> list[str]:
    """Return in which respects the engines differ, and by how much gas, or what was raised."""
    try:
        lines = compare(case, ours.run(case))
    except ours.CalledPrecompileLeftOut:
        return []
    except Exception as error:  # noqa: BLE001  # As in `run_seed`.
        return [type(error).__name__]
    kinds = [line.split(":")[0] for line in lines]
    amounts = [match for line in lines if (match := _AMOUNTS.match(line))]
    return [*kinds, *(str(int(match[1]) - int(match[2])) for match in amounts)]


def _judgement(case: Case, oracle: str) -> list[str]:
    """Return what each oracle at hand says of a case."""
    lines = []
    for name in (oracle, *(other for other in ORACLES if other != oracle)):
        try:
            found = judge(name)(case, ours.run(case))
        except ImportError:
            continue
        except Exception as error:  # noqa: BLE001  # As in `run_seed`.
            found = [f"raised {error!r}"]
        lines += [f"{name}: {line}" for line in found or ["agrees with ours"]]
    return lines


def describe(case: Case) -> list[str]:
    """Return a case as lines for people."""
    to = "a new contract" if case.to is None else f"0x{case.to.hex()}"
    lines = [
        f"block {case.block}",
        f"transaction to {to}, value {case.value}, gas {case.gas_limit}, data 0x{case.data.hex()}",
    ]
    lines += [f"access 0x{address.hex()} {slots}" for address, slots in case.access_list]
    for address, account in case.accounts.items():
        lines.append(
            f"0x{address.hex()}: nonce {account.nonce}, balance {account.balance}, "
            f"storage {account.storage}"
        )
        lines += [f"    {line}" for line in disassemble(account.code)]
    if case.to is None:
        lines += ["init code:", *(f"    {line}" for line in disassemble(case.data))]
    return lines
