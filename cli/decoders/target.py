"""One decoder under the fuzzer, and the oracle that judges what it does with any bytes.

A decoder either refuses with one of its typed errors, or accepts; what it accepts, written again,
is what it read. Both take time and memory in proportion to the input, whatever the input says.
"""

import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Final, final

SECONDS: Final = 0.25
"""Processor time for an input, beside what each of its bytes may take."""
SECONDS_PER_BYTE: Final = 20e-6
MEMORY_BYTES: Final = 8 << 20
"""Memory of Python's allocator for an input, beside what each of its bytes may take."""
MEMORY_PER_BYTE: Final = 256
INPUT_BYTES_MAX: Final = 4096
"""Unless a target says otherwise."""
CASES: Final = 200
_TRIES: Final = 4
"""Runs of an input that was slow: a machine pauses, a decoder is slow each time."""

Covered = Callable[..., object] | type | ModuleType
"""A decoder; or a class, or a module, whose decoders are all meant."""


class Finding(Exception):
    """A decoder broke its promise: this input shows it."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A decoder and what the fuzzer needs to know of it."""

    name: str
    """For the command line, and of the folder of its corpus."""
    covers: tuple[Covered, ...]
    """Public decoders that `run` drives; a test looks for those that no target drives."""
    run: Callable[[bytes], bytes | None]
    """Decode, and return what was read as bytes again; None where the form is free. Then `run`
    itself compares what can be compared, and raises Finding."""
    refuses: tuple[type[Exception], ...]
    """The typed errors that the decoder promises; of exactly these classes."""
    seeds: Callable[[], Sequence[bytes]]
    """Inputs that the decoder accepts, made of real objects."""
    bytes_max: int = INPUT_BYTES_MAX
    """Of an input; above what the decoder takes it only costs time."""
    seconds: float = SECONDS
    memory_bytes: int = MEMORY_BYTES
    cases: int = CASES
    """Mutations of the fast mode; fewer where one takes long."""


def accepts(target: Target, data: bytes) -> bool:
    """Return whether the decoder takes `data`.

    Raises:
        Finding: an error that it does not promise, or what it read is written otherwise.
    """
    try:
        again = target.run(data)
    except Finding:
        raise
    except Exception as error:  # That no other error comes is what is tested.
        if type(error) in target.refuses:
            return False
        raise Finding(f"{type(error).__name__} is not a typed refusal: {error}"[:500]) from error
    if again is not None and again != data:
        raise Finding(f"reads {len(data)} bytes and writes {len(again)} others: {again[:64].hex()}")
    return True


def judge(target: Target, data: bytes, *, is_traced: bool = True) -> bool:
    """Return whether the decoder takes `data`, after measuring what that costs.

    Args:
        target: the decoder.
        data: any bytes.
        is_traced: whether memory is measured, too, which makes it several times slower.

    Raises:
        Finding: as `accepts`, or it takes too much time or memory.
    """
    if is_traced:
        _check_memory(target, data)
    limit = target.seconds + SECONDS_PER_BYTE * len(data)
    least = limit
    for _ in range(_TRIES):
        began = time.thread_time()
        is_accepted = accepts(target, data)
        least = time.thread_time() - began
        if least <= limit:
            return is_accepted
    raise Finding(f"takes {least:.2f} s for {len(data)} bytes; {limit:.2f} s are allowed")


def _check_memory(target: Target, data: bytes) -> None:
    limit = target.memory_bytes + MEMORY_PER_BYTE * len(data)
    tracemalloc.start(1)
    try:
        accepts(target, data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if peak > limit:
        raise Finding(f"takes {peak} bytes of memory for {len(data)}; {limit} are allowed")
