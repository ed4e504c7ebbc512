"""Files for decoders that read a path: one folder of the process, gone when it ends."""

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108  Files of a second's life, thousands of them.


@cache
def folder() -> Path:
    """Return a folder that only this process uses."""
    parent = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="hearth-decoders-", dir=parent))
    atexit.register(_remove, path, os.getpid())
    return path


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # Not a fork of it.
        shutil.rmtree(path, ignore_errors=True)


def clear() -> None:
    """Remove what is in the folder."""
    for each in folder().iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink()


def file(name: str, data: bytes) -> Path:
    """Return a file with this content, readable by its owner alone, as key files must be."""
    path = folder() / name
    path.touch(mode=0o600)
    path.write_bytes(data)
    return path
