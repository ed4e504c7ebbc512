"""What an agent's shell needs of the world; the node's RPC client and the tests implement it.

Any method may raise `PortUnavailable` when the other side cannot be reached. The iterators do not:
they reconnect by themselves and go on where they were.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from market.agents.devices.readings import QuarterReading
from market.agents.observations import BlockSeen


class ChainPort(Protocol):
    """The household's own node, seen as a chain."""

    async def head(self) -> int:
        """Return the height of the newest sealed block."""

    async def call(self, to: bytes, data: bytes) -> bytes:
        """Return a view's output at the head; raises `CallFailed`."""

    async def nonce(self, address: bytes) -> int:
        """Return the account's next nonce by sealed state and the node's pending ones."""

    async def send_raw(self, raw: bytes) -> bytes:
        """Submit a signed transaction and return its hash; raises `TransactionRefused`."""

    def blocks(self, from_height: int) -> AsyncIterator[BlockSeen]:
        """Yield every sealed block from `from_height` on, once each, for ever."""


class RelayPort(Protocol):
    """The node's store-and-forward relay."""

    async def send(self, to_key: bytes, window: int, payload: bytes) -> None:
        """Hand over sealed bytes; raises `TransactionRefused` if the relay will not take it."""

    def listen(self, key: bytes) -> AsyncIterator[bytes]:
        """Yield the payloads for `key`: what is held, then what comes."""


class DevicePort(Protocol):
    """The household's devices, read through the meter's process."""

    def readings(self) -> AsyncIterator[QuarterReading]:
        """Yield the readings since the series began, past ones first, then live."""


class Clock(Protocol):
    """Wall time."""

    def now_ms(self) -> int:
        """Unix milliseconds."""

    async def sleep_ms(self, duration_ms: int) -> None:
        """Return after `duration_ms`."""
