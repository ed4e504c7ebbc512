"""Values that are made for every transaction, several times: frozen for mypy, plain at run time.

A frozen dataclass sets each field through a call of `object.__setattr__`, which takes about six
times as long as an assignment; a transaction makes dozens of such fields.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """Make a class a dataclass with slots, equality and hash, whose fields mypy keeps frozen."""
    return dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)
