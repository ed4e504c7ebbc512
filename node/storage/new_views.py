"""The NEW-VIEWs that this node accepted, for forensics: who forked the chain is named by them.

One file each, the newest NEW_VIEWS_KEPT of them. Nothing of the protocol rests on these files, so
they are not synced, and a disk without room only costs the evidence of a later crime.
"""

from pathlib import Path
from typing import Final, final

import structlog

from consensus.config import MAX_NEW_VIEW_BYTES
from consensus.errors import MalformedMessage
from consensus.messages import NewView
from consensus.wire import decode_message, encode_message
from crypto.errors import DecodeError

NEW_VIEWS_KEPT: Final = 1024
"""Far more than views change in the weeks in which evidence counts, and 3 MB at n = 4."""
BYTES_MAX: Final = 32 << 20
"""Of all files together: NEW-VIEWs of large communities are large."""
_SUFFIX: Final = ".newview"

_log = structlog.get_logger("forensics")


@final
class NewViewStore:
    """A directory of accepted NEW-VIEWs; it makes itself."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def keep(self, new_view: NewView) -> None:
        """Write it down, and forget the oldest beyond the bounds."""
        slot = new_view.slot
        name = f"{slot.epoch:08}-{slot.term:012}-{slot.view:08}{_SUFFIX}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(encode_message(new_view))
            self._prune()
        except OSError as error:
            _log.warning("NEW-VIEW not kept", reason=str(error))

    def _prune(self) -> None:
        files = sorted(self.path.glob(f"*{_SUFFIX}"), reverse=True)
        total = 0
        for place, file in enumerate(files):
            total += file.stat().st_size
            if place >= NEW_VIEWS_KEPT or total > BYTES_MAX:
                file.unlink(missing_ok=True)


def load_new_views(path: Path) -> list[NewView]:
    """Return the NEW-VIEWs in a file, or in the files of a directory, oldest first.

    Raises:
        DecodeError: a file is not one.
        OSError: it cannot be read.
    """
    files = sorted(path.glob(f"*{_SUFFIX}")) if path.is_dir() else [path]
    found = []
    for file in files:
        if file.stat().st_size > MAX_NEW_VIEW_BYTES:
            raise DecodeError(file.name, f"must be at most {MAX_NEW_VIEW_BYTES} bytes")
        try:
            message = decode_message(file.read_bytes())
        except MalformedMessage as error:
            raise DecodeError(file.name, str(error)) from None
        if not isinstance(message, NewView):
            raise DecodeError(file.name, "is not a NEW-VIEW")
        found.append(message)
    return found
