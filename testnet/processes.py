"""The processes of a testnet: started, found again, signalled, ended.

They outlive the command that started them, so each is written down in `processes.json` by its id
and the time at which it started: an id that the system has given to somebody else since then is
never signalled.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from testnet import strict_json
from testnet.errors import NotRunning
from testnet.layout import TestnetLayout

COMMAND = (sys.executable, "-c", "from cli.main import main; main()")
"""What `hearth` is, whatever the PATH; this package may not import it."""
STOP_SECONDS = 10.0
"""After this a process that was asked to end is killed."""
_POLL_SECONDS = 0.02
_LOG_TAIL_BYTES = 2_000
_CHILDREN: set[int] = set()
"""Ids of those that this process started itself, and must reap: whichever `Processes` asks, as for
the system there is one list of our children."""


@final
@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """One process that we started."""

    pid: int
    started: int
    """Clock ticks after boot, from /proc: with `pid` it names a process once and for all."""


@final
class Processes:
    """The processes of one testnet, by label: "node-h39", "agent-h39", "meter-h39", "services"."""

    def __init__(self, layout: TestnetLayout) -> None:
        self._layout = layout
        self._entries = _read(layout.processes)

    def labels(self) -> tuple[str, ...]:
        """Return every label ever started, in the order of starting."""
        return tuple(self._entries)

    def pid(self, label: str) -> int | None:
        """Return the id of the live process `label`, or None."""
        entry = self._entries.get(label)
        if entry is None:
            return None
        if _is_alive(entry):
            return entry.pid
        _reap(entry.pid)
        return None

    def start(self, label: str, arguments: Sequence[str]) -> None:
        """Start `hearth ARGUMENTS` in a session of its own; what it prints goes to its log."""
        if self.pid(label) is not None:
            return
        with self._layout.log(label).open("ab") as log:
            pid = _spawn([*COMMAND, *arguments], log.fileno())
        _CHILDREN.add(pid)
        self._entries[label] = ProcessEntry(pid, _start_ticks(pid) or 0)
        self._write()

    def signal(self, label: str, number: signal.Signals) -> None:
        """Send a signal; raises NotRunning."""
        pid = self.pid(label)
        if pid is None:
            raise NotRunning(f"{label} does not run")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def kill(self, labels: Iterable[str]) -> None:
        """End processes at once, as a power cut does (SIGKILL), and wait until they are gone."""
        wanted = [label for label in labels if self.pid(label) is not None]
        for label in wanted:
            with contextlib.suppress(NotRunning):  # It may end by itself meanwhile.
                self.signal(label, signal.SIGKILL)
        self._wait(wanted, STOP_SECONDS)

    def stop(self, labels: Iterable[str]) -> None:
        """Ask processes to end, all at the same time; kill what has not after STOP_SECONDS."""
        wanted = [label for label in labels if self.pid(label) is not None]
        for label in wanted:
            with contextlib.suppress(NotRunning):  # It may end between the two signals.
                self.signal(label, signal.SIGTERM)
                self.signal(label, signal.SIGCONT)  # A paused process would not see the request.
        self.kill(self._wait(wanted, STOP_SECONDS))

    def log_tail(self, label: str) -> str:
        """Return the end of what a process printed."""
        try:
            data = self._layout.log(label).read_bytes()[-_LOG_TAIL_BYTES:]
        except OSError:
            return "(it has printed nothing)"
        return data.decode("utf-8", "replace").strip()

    def _wait(self, labels: Sequence[str], seconds: float) -> list[str]:
        """Return which of `labels` still live after `seconds`."""
        until = time.monotonic() + seconds
        while True:
            living = [label for label in labels if self.pid(label) is not None]
            if not living or time.monotonic() > until:
                return living
            time.sleep(_POLL_SECONDS)

    def _write(self) -> None:
        rows = {
            label: {"pid": entry.pid, "started": entry.started}
            for label, entry in self._entries.items()
        }
        strict_json.write_file(self._layout.processes, strict_json.render(rows))


def node_label(household: str) -> str:
    """Return the label of a household's node process."""
    return f"node-{household}"


def agent_label(household: str) -> str:
    """Return the label of the process of a household's agents."""
    return f"agent-{household}"


def meter_label(household: str) -> str:
    """Return the label of a household's meter process."""
    return f"meter-{household}"


SERVICES_LABEL = "services"
"""Label of the process of the operator and the external market."""


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, user and system; 0 if it is gone."""
    fields = _stat(pid)
    if fields is None:
        return 0.0
    ticks = int(fields[11]) + int(fields[12])  # utime and stime, proc(5).
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in units of 10⁶ bytes; 0 if it is gone."""
    fields = _stat(pid)
    if fields is None:
        return 0.0
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _read(path: Path) -> dict[str, ProcessEntry]:
    if not path.exists():
        return {}
    rows: Mapping[str, object] = strict_json.read_file(path)
    entries = {}
    for label, row in rows.items():
        field = f"{path.name}: {label}"
        value = strict_json.typed(row, dict, field)
        strict_json.check_keys(value, ("pid", "started"), field)
        entries[label] = ProcessEntry(
            strict_json.integer(value["pid"], field, 1),
            strict_json.integer(value["started"], field),
        )
    return entries


def _spawn(command: list[str], output: int) -> int:
    """Start a program in a session of its own and return its id.

    Not by `subprocess`: whoever holds its handle is told off for each process that outlives it,
    and to outlive the command that started them is what these are for.
    """
    return os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setsid=True,
        # Python ignores these two, and a program inherits what is ignored.
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )


def _reap(pid: int) -> None:
    """Ask how a child of ours has ended; until then the system keeps it as a zombie."""
    if pid not in _CHILDREN:
        return
    try:
        ended, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # Somebody else in this process has asked already.
        ended = pid
    if ended:
        _CHILDREN.discard(pid)


def _is_alive(entry: ProcessEntry) -> bool:
    fields = _stat(entry.pid)
    # Z: it has ended, and its parent, which may be us, has not asked how yet.
    return fields is not None and fields[0] not in ("Z", "X") and _ticks(fields) == entry.started


def _start_ticks(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None else _ticks(fields)


def _ticks(fields: Sequence[str]) -> int:
    return int(fields[19])


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state (field 3 of proc(5)) on, or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name, in parentheses, may itself hold spaces and parentheses.
    return text.rpartition(")")[2].split()


def seconds_since_start() -> float:
    """Return how long ago this process was started, imports and all."""
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    ticks = _start_ticks(os.getpid())
    assert ticks is not None, "we run"
    return uptime - ticks / os.sysconf("SC_CLK_TCK")
