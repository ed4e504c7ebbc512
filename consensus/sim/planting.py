"""Puts a deliberate bug into the core and takes it out again.

Modules of the core import each other's functions by name, so a replacement must be made in
every module that holds the original, and in tables of functions.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

_JUDGES = ("bugs", "checkers", "epochs", "hunt", "mutants", "planting", "proofs")
_KEPT = frozenset(f"consensus.sim.{name}" for name in _JUDGES)
"""They hold the originals whatever is planted."""


def _modules() -> list[ModuleType]:
    names = sorted(name for name in sys.modules if name.startswith("consensus."))
    return [sys.modules[name] for name in names if name not in _KEPT]


@contextmanager
def function(original: Callable[..., object], bug: Callable[..., object]) -> Iterator[None]:
    """Replace a function in every module, and in every tuple of functions, that holds it."""
    changed: list[tuple[ModuleType, str, object]] = []
    for module in _modules():
        for name, value in sorted(vars(module).items()):
            if value is original:
                changed.append((module, name, value))
                setattr(module, name, bug)
            elif isinstance(value, tuple) and any(item is original for item in value):
                changed.append((module, name, value))
                swapped = tuple(bug if item is original else item for item in value)
                setattr(module, name, swapped)
    if not changed:
        raise LookupError(f"nothing holds {original}")
    try:
        yield
    finally:
        for module, name, value in reversed(changed):
            setattr(module, name, value)


@contextmanager
def attribute(owner: type, name: str, bug: object) -> Iterator[None]:
    """Replace a method or property of a class."""
    original = vars(owner)[name]
    setattr(owner, name, bug)
    try:
        yield
    finally:
        setattr(owner, name, original)
