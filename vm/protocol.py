"""Which rules are in force at which height: a schedule in the state, changed by vote.

The version of block h + 1 is a function of the state after h, as its member set is, so all
replicas agree on it before they execute the block, and its header says it. A light client reads
it there, or proves the schedule under PROTOCOL_KEY to see what is to come.

Version v + 1 follows v and none is left out: who implements it implements the way there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, final

from crypto import codec
from crypto.errors import DecodeError
from vm.state import Journal, StateReader
from vm.versions import PROTOCOL_MAX

PROTOCOL_KEY: Final = b"v"
"""State key of the schedule."""
STEPS_MAX: Final = 256
"""Upgrades that a chain can see, and one for each year is many."""

_VALUE_BYTES_MAX = 8 * 1024
_U63 = 2**63


@final
@dataclass(frozen=True, slots=True)
class Step:
    """From `first_height` on blocks are made by the rules of `version`."""

    version: int
    first_height: int


@final
@dataclass(frozen=True, slots=True)
class Schedule:
    """All versions of a chain up to the newest that was voted for; never empty.

    Raises:
        DecodeError: from the constructor: a number out of range, or steps that do not ascend.
    """

    steps: tuple[Step, ...]
    """The first from height 0 on; versions without a gap, heights strictly ascending."""

    def __post_init__(self) -> None:
        if not 0 < len(self.steps) <= STEPS_MAX:
            raise DecodeError("protocol", f"must have 1 to {STEPS_MAX} steps")
        if self.steps[0].first_height != 0:
            raise DecodeError("protocol.height", "must begin at 0")
        for step in self.steps:
            if not 1 <= step.version <= PROTOCOL_MAX:
                message = f"must lie in 1..{PROTOCOL_MAX}, got {step.version}"
                raise DecodeError("protocol.version", message)
            if not 0 <= step.first_height < _U63:
                message = f"must lie in 0..2**63-1, got {step.first_height}"
                raise DecodeError("protocol.height", message)
        for before, after in zip(self.steps, self.steps[1:], strict=False):
            if after.version != before.version + 1:
                raise DecodeError("protocol.version", f"must be {before.version + 1} next")
            if after.first_height <= before.first_height:
                raise DecodeError("protocol.height", "must be ascending")

    def at(self, height: int) -> Step:
        """Return the step by whose version the block at `height` is made."""
        assert height >= 0, "heights begin at 0"
        return next(step for step in reversed(self.steps) if step.first_height <= height)

    def after(self, height: int) -> Step | None:
        """Return the first step above `height`, if one was voted for."""
        return next((step for step in self.steps if step.first_height > height), None)

    def then(self, step: Step) -> "Schedule":
        """Return this with one step more, or raise DecodeError."""
        return Schedule((*self.steps, step))


def first_schedule(version: int) -> Schedule:
    """Return the schedule of genesis."""
    return Schedule((Step(version, 0),))


def encode_schedule(schedule: Schedule) -> bytes:
    """Return canonical [[version, first height], …]."""
    return codec.encode([[step.version, step.first_height] for step in schedule.steps])


def decode_schedule(data: bytes) -> Schedule:
    """Return the schedule whose one encoding is `data`, or raise DecodeError naming the field."""
    value = codec.decode(data, field="protocol", max_bytes=_VALUE_BYTES_MAX)
    return Schedule(tuple(map(_read_step, codec.as_list(value, "protocol", max_length=STEPS_MAX))))


def _read_step(value: codec.Value) -> Step:
    version, height = codec.as_list(value, "protocol.step", length=2)
    return Step(codec.as_int(version, "protocol.version"), codec.as_int(height, "protocol.height"))


_decode = lru_cache(maxsize=16)(decode_schedule)  # Every block asks, and almost none changes it.


def read_schedule(state: StateReader | Journal) -> Schedule:
    """Return the schedule in a state."""
    value = state.get(PROTOCOL_KEY)
    assert value is not None, "the genesis state has a schedule, and nothing deletes it"
    return _decode(value)


def write_schedule(journal: Journal, schedule: Schedule) -> None:
    """Store the schedule."""
    journal.put(PROTOCOL_KEY, encode_schedule(schedule))


def missing_step(schedule: Schedule, height: int, supported: Sequence[int]) -> Step | None:
    """Return the step in force at `height` if its version is not among the supported ones."""
    step = schedule.at(height)
    return None if step.version in supported else step
