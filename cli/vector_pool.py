"""Many files of test vectors on all processors, and how far the work is."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from cli.output import progress
from cli.vector_files import FileResult, check_file, check_part, merge
from crypto import curve

_ALONE_BYTES_MAX = 128 * 1024
"""Less than this is read before another process has started."""
_PART_BYTES, _PARTS_MAX = 64 * 1024, 16
"""A large file is dealt out, so that no process works on the last one alone."""
_SAY_EVERY_S = 2


def check_files(paths: Sequence[Path], *, backend: str) -> list[FileResult]:
    """Return what came of each file, in the order given."""
    sizes = [path.stat().st_size for path in paths]
    workers = min(os.cpu_count() or 1, 1 + sum(sizes) // _ALONE_BYTES_MAX)
    if workers == 1:
        with curve.using(backend):
            return [check_file(path) for path in paths]
    parts = [min(_PARTS_MAX, 1 + size // _PART_BYTES) for size in sizes]
    found: list[list[FileResult | None]] = [[None] * count for count in parts]
    # Not forked: a copy of threads' locks, held by nobody, could stop a child for good.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {
            pool.submit(_check, path, part, parts[i], backend): (i, part)
            for i, path in enumerate(paths)
            for part in range(parts[i])
        }
        last = time.monotonic()
        for done, future in enumerate(as_completed(futures), start=1):
            i, part = futures[future]
            found[i][part] = future.result()
            if time.monotonic() - last > _SAY_EVERY_S:
                last = time.monotonic()
                progress(f"{done} of {len(futures)} pieces are checked")
    return [merge([part for part in file if part is not None]) for file in found]


def _check(path: Path, part: int, parts: int, backend: str) -> FileResult:
    with curve.using(backend):
        return check_part(path, part, parts)
