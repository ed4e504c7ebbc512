"""Structured logs: JSON lines in node.log, readable lines on a terminal.

One line for a block and one for a view change; nothing for a message, or a flooding peer would
turn the file, which is bounded (`node.log_file`), over and over. Secrets are never given to the
logger: keys show their public part only.
"""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import structlog

from node.log_file import LogFile
from node.records import BlockRecord

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_files: dict[Path, LogFile] = {}
"""Of this process: a node that is opened anew goes on with its file, as its loggers do."""

_log = structlog.get_logger("chain")


def set_up(path: Path, level: str) -> None:
    """Send all log lines of this process to `path`, and to standard error if it is a terminal."""
    if path not in _files:
        _files[path] = LogFile(path)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _Console(),
            structlog.processors.JSONRenderer(default=repr),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_Factory(_files[path]),
        cache_logger_on_first_use=True,
    )


def log_block(record: BlockRecord, names: Sequence[str], now_ms: int) -> None:
    """Write the one line of a new block."""
    signers = () if record.seal is None else record.seal.signatures
    _log.info(
        "block",
        height=record.height,
        hash=record.hash.hex()[:16],
        txs=len(record.transactions),
        gas=record.header.gas_used,
        ms=now_ms - record.header.time_ms,
        signers=[names[member] for member, _ in signers],
    )


@final
class _Factory:
    """Makes the loggers, which all write to one file."""

    def __init__(self, file: LogFile) -> None:
        self._file = file

    def __call__(self, *_: Any) -> "_Lines":
        return _Lines(self._file)


@final
class _Lines:
    """A logger as structlog wants it: a method for each level, all the same here."""

    def __init__(self, file: LogFile) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = file.write


@final
class _Console:
    """Shows each line to a person who watches, and passes it on."""

    def __init__(self) -> None:
        self._is_on = sys.stderr.isatty()

    def __call__(
        self, _logger: Any, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        if self._is_on:
            words = " ".join(f"{k}={v}" for k, v in event.items() if k not in _HEADINGS)
            sys.stderr.write(f"{event['timestamp'][11:23]} {event['event']}  {words}\n")
        return event


_HEADINGS = frozenset(("timestamp", "event", "level"))
