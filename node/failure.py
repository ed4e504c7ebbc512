"""Errors of our own end the node: none may die with the task or callback in which it happened.

Such an error means that some promise of the code does not hold; going on would be guessing. All
of them reach the event loop's exception handler, which the composition root (`node.app`) owns.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import aiohttp

from node.errors import StorageError


def report(message: str, error: BaseException) -> None:
    """Hand an error to the loop's exception handler, where `failure_in` judges it."""
    asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})


def spawn(work: Coroutine[Any, Any, None], message: str) -> asyncio.Task[None]:
    """Run `work` as a task; an error that ends it is reported at once, under `message`.

    asyncio alone would tell only when the task is collected, so never for one that is kept.
    """

    def on_done(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            report(message, error)

    task = asyncio.create_task(work)
    task.add_done_callback(on_done)
    return task


def failure_in(context: dict[str, Any]) -> Exception | None:
    """Return the error for which the node must stop, None if the context holds none.

    Not ours: a connection that breaks, which a library's task may have left to the loop, and
    whatever happens inside a transport, where a stranger's bytes are read and none of our code
    runs. Nobody outside may be able to stop the node.
    """
    error = context.get("exception")
    if isinstance(error, StorageError):
        return error
    if "transport" in context or "protocol" in context:
        return None
    if not isinstance(error, Exception) or isinstance(error, OSError | aiohttp.ClientError):
        return None
    return error
