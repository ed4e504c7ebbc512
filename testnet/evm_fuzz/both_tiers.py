"""Tier 1 against tier 2 of our own EVM: all that a result holds, compute and error included."""

from dataclasses import fields

from testnet.evm_fuzz.case import Case
from testnet.evm_fuzz.ours import CalledPrecompileLeftOut, CaseState, environment
from vm.evm import tiers
from vm.evm.compiled import Compiler
from vm.evm.interpreter import execute
from vm.evm.message import Message, Result
from vm.evm.program import Watch
from vm.evm.world import World, WorldChanges

COMPUTE_LIMITS = (None, None, 200, 2_000, 20_000)
"""One for each seed in turn: with a limit, the transaction ends in the middle of something."""
RUNS_BEFORE_COMPILING = (1, 2, 3)

_PARTS = tuple(field.name for field in fields(Result))


def compare(case: Case) -> list[str]:
    """Return in words where the tiers differ; empty if they agree.

    The case runs twice in each tier, so that the second run finds everything compiled.
    """
    runs = RUNS_BEFORE_COMPILING[case.seed % len(RUNS_BEFORE_COMPILING)]
    compiler = Compiler(runs, price=0)
    try:
        first, compiled = _run_twice(case, None), _run_twice(case, compiler)
    except CalledPrecompileLeftOut:
        return []
    found = []
    for (mine, changes), (theirs, other_changes) in zip(first, compiled, strict=True):
        for name in _PARTS:
            left, right = getattr(mine, name), getattr(theirs, name)
            if left != right:
                found.append(f"{name}: tier 1 {left!r}, tier 2 {right!r}")
        if changes != other_changes:
            found.append(f"changes: tier 1 {changes}, tier 2 {other_changes}")
    return found


def _run_twice(case: Case, watch: "Watch | None") -> list[tuple[Result, WorldChanges]]:
    with tiers.using(watch):
        return [_run(case), _run(case)]


def _run(case: Case) -> tuple[Result, WorldChanges]:
    world = World(CaseState(case))
    message = Message(caller=case.sender, to=case.to, value=0, data=case.data, gas=case.gas_limit)
    limit = COMPUTE_LIMITS[case.seed % len(COMPUTE_LIMITS)]
    result = execute(world, environment(case), message, compute_limit=limit)
    return result, world.changes()
