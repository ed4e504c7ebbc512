"""One event loop of the process, for what is asynchronous and waits for nothing."""

import asyncio
import atexit
from collections.abc import Coroutine
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end."""
    return _loop().run_until_complete(work)
