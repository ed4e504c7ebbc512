"""Which tier runs bytecode in this process: a choice of the node, not of the chain.

Tier 1 is the interpreter. Tier 2 compiles what runs often (`vm.evm.compiled`) and leaves the rest
to tier 1. Both give the same results.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from vm.evm.compiled import Compiler
from vm.evm.interpreter import PROGRAMS
from vm.evm.program import Watch

TIERS = (1, 2)
DEFAULT = 2
"""Of a node; where nobody chooses (tools, tests), tier 1 runs."""


def use(tier: int) -> None:
    """Run bytecode in `tier` from now on; what was decoded before is forgotten."""
    _use(compiler(tier))


def compiler(tier: int) -> "Watch | None":
    """Return what a tier watches programs with: `using` takes it."""
    assert tier in TIERS, f"there is no tier {tier}"
    return Compiler() if tier == 2 else None


@contextmanager
def using(watch: "Watch | None") -> Iterator[None]:
    """Run bytecode with a compiler of one's own, or with none, for tests and benches."""
    before = PROGRAMS.watch
    _use(watch)
    try:
        yield
    finally:
        _use(before)


def _use(watch: "Watch | None") -> None:
    PROGRAMS.clear()
    PROGRAMS.watch = watch
