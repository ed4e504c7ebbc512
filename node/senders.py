"""Who signed the transactions of blocks that are about to be replayed, recovered by a process.

Recovering a signer takes a third of the time of a replayed block, and needs nothing but the bytes:
so while one block is executed, a second process works on those that have been fetched behind it.
It is started by a node that has many blocks to replay, and ends when there are none any more.
Without it, or where it fails, the node does all by itself.
"""

import asyncio
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, final

import structlog

from consensus.messages import SealedBlock
from crypto.keys import ADDRESS_BYTES
from node.sender_worker import LENGTH, UNKNOWN

AHEAD: Final = 8
"""Blocks that are recovered before their turn: what a peer that sends rubbish can waste."""
START_BLOCKS: Final = 12
"""Fetched blocks for which a process is started; fewer are replayed before it is there."""
WAIT_S: Final = 1.0
"""For the answer about the block that is next; then the node does it by itself."""
IDLE_S: Final = 5.0
"""The process ends when it was asked nothing for so long."""
COMMAND: Final = (sys.executable, "-P", "-m", "node.sender_worker")
"""-P: a folder that is called `node`, where the household happens to be, is none of ours."""
_READ_BYTES: Final = 64 << 10

_log = structlog.get_logger("senders")


@final
class Senders:
    """One node's. Lives on its event loop; starts nothing before `look_ahead` finds work."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        """Recover by `command`, in a process of its own, where there is a core for it."""
        self._command = command
        self._is_off = (os.cpu_count() or 1) < 2
        self._worker: _Worker | None = None
        self._asked: deque[bytes] = deque()
        """Bodies whose senders have not come yet, in order."""
        self._found: dict[bytes, bytes] = {}
        """Body to senders, of blocks that were not applied yet."""
        self._resume: Callable[[], None] = lambda: None
        self._late: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._worker is not None

    @property
    def is_ready(self) -> bool:
        """Whether it takes blocks."""
        return self._worker is not None and self._worker.is_ready

    def look_ahead(self, blocks: Sequence[SealedBlock]) -> None:
        """Have the first of these worked on; they were fetched, and nobody has verified them."""
        if self._is_off:
            return
        if self._worker is None and len(blocks) >= START_BLOCKS:
            self._start()
        if self._worker is None or not self._worker.is_ready:
            return
        for block in blocks[:AHEAD]:
            if block.body not in self._found and block.body not in self._asked:
                self._asked.append(block.body)
                self._worker.ask(block.body)
                self._stay()

    def is_coming(self, body: bytes, resume: Callable[[], None]) -> bool:
        """Whether the senders of this block are worth waiting for; `resume` is called in time."""
        if body not in self._asked:
            return False
        self._resume = resume
        if self._late is None:
            self._late = asyncio.get_running_loop().call_later(WAIT_S, self._give_up, body)
        return True

    def take(self, body: bytes) -> tuple[bytes, ...]:
        """Return the senders of a block, one for each transaction, empty where it is not known.

        Nothing at all if they were not asked for, or have not come.
        """
        self._end_wait()
        data = self._found.pop(body, b"")
        found = [data[at : at + ADDRESS_BYTES] for at in range(0, len(data), ADDRESS_BYTES)]
        return tuple([b"" if sender == UNKNOWN else sender for sender in found])

    def stop(self) -> None:
        """End the process, if there is one. No more is started."""
        self._is_off = True
        self._end()

    def _start(self) -> None:
        try:
            self._worker = _Worker(self._command, self._on_answer, self._on_end)
        except OSError as error:
            self._on_end(str(error))
        else:
            _log.info("a process recovers senders")
            self._stay()

    def _on_answer(self, senders: bytes) -> None:
        body = self._asked.popleft()
        if not body:
            return  # Given up.
        self._found[body] = senders
        while len(self._found) > AHEAD:  # Blocks that were fetched twice, or did not hold.
            del self._found[next(iter(self._found))]
        self._resume()

    def _on_end(self, reason: str) -> None:
        _log.warning("no process recovers senders", reason=reason)
        self.stop()
        self._resume()

    def _give_up(self, body: bytes) -> None:
        self._late = None
        self._asked = deque(b"" if each == body else each for each in self._asked)
        self._resume()

    def _end_wait(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(IDLE_S, self._end)

    def _end(self) -> None:
        self._end_wait()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._worker is not None:
            self._worker.close()
            self._worker = None
        self._asked.clear()
        self._found = {}


@final
class _Worker:
    """The process with its pipes, on the running loop."""

    def __init__(
        self,
        command: Sequence[str],
        on_answer: Callable[[bytes], None],
        on_end: Callable[[str], None],
    ) -> None:
        """Start it; raises OSError. `on_answer` gets the answers in order."""
        self._on_answer = on_answer
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._process = subprocess.Popen(  # noqa: S603  Our own interpreter and module.
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self._process.stdin is not None, "a pipe"
        assert self._process.stdout is not None, "a pipe"
        self._input = self._process.stdin.fileno()
        self._output = self._process.stdout.fileno()
        self._unsent = bytearray()
        self._unread = bytearray()
        self.is_ready = False
        """Whether it has said that it is there."""
        for pipe in (self._input, self._output):
            os.set_blocking(pipe, False)
        self._loop.add_reader(self._output, self._read)

    def ask(self, body: bytes) -> None:
        """Send a block, as far as the pipe takes it now, and the rest when it does."""
        if not self._unsent:
            self._loop.add_writer(self._input, self._write)
        self._unsent += LENGTH.pack(len(body)) + body
        self._write()

    def close(self) -> None:
        """End the process; it has nothing to lose."""
        self._loop.remove_reader(self._output)
        self._loop.remove_writer(self._input)
        self._process.kill()
        with self._process:
            pass  # Closes the pipes, and waits for what is being killed.

    def _write(self) -> None:
        try:
            sent = os.write(self._input, self._unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self._on_end(str(error))
            return
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._input)

    def _read(self) -> None:
        data = os.read(self._output, _READ_BYTES)
        if not data:
            self._on_end("it has ended")
            return
        self._unread += data
        while len(self._unread) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._unread)[0]
            if len(self._unread) < end:
                return
            answer = bytes(self._unread[LENGTH.size : end])
            del self._unread[:end]
            if self.is_ready:
                self._on_answer(answer)
            self.is_ready = True
