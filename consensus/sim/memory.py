"""Counts what a replica holds, so that no table grows with time or with a peer's messages."""

from typing import Final

from consensus.sim.violation import InvariantViolation

OBJECTS_BASE: Final = 1_000
OBJECTS_PER_MEMBER_SQUARED: Final = 60
"""A NEW-VIEW of q VIEW-CHANGES, each with q signatures, is the largest thing held: n squared."""

_LEAVES = (int, bytes, str, float, type(None), type)


def require_bounded(instance: int, replica: object, n: int) -> int:
    """Return how many objects `replica` reaches; raise if they are too many (rules 13, 33)."""
    bound = OBJECTS_BASE + OBJECTS_PER_MEMBER_SQUARED * n * n
    seen: dict[int, object] = {}
    stack = [replica]
    while stack:
        item = stack.pop()
        if isinstance(item, _LEAVES) or callable(item) or id(item) in seen:
            continue
        seen[id(item)] = item
        if len(seen) > bound:
            raise InvariantViolation("memory", f"instance {instance} holds over {bound} objects")
        stack.extend(_children(item))
    return len(seen)


def _children(item: object) -> list[object]:
    if isinstance(item, dict):
        return [*item.keys(), *item.values()]
    if isinstance(item, list | tuple | set | frozenset):
        return list(item)
    found: list[object] = list(vars(item).values()) if hasattr(item, "__dict__") else []
    for kind in type(item).__mro__:
        names = getattr(kind, "__slots__", ())
        slots = (names,) if isinstance(names, str) else names
        found += [getattr(item, name) for name in slots if hasattr(item, name)]
    return found
