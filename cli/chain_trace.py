"""`hearth chain trace`: the calls inside a transaction, as a tree in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import click

from cli import contract_artifact
from cli.decode import in_words
from cli.errors import Refused
from cli.known_contracts import Known
from cli.output import print_json, printable
from cli.target import Target, connected, run_async, with_target
from crypto.keys import parse_address
from node.rpc.client import RpcError

TRACER = {"tracer": "callTracer", "tracerConfig": {"withLog": True}}
OUTPUT_CHARS_MAX = 60
"""Of what a call returned, on its line of the tree."""


@click.command()
@click.argument("transaction")
@click.option(
    "--abi",
    "abi_files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="JSON ABI or artifact of a contract in it; may be given more than once.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def trace(target: Target, *, transaction: str, abi_files: tuple[Path, ...], as_json: bool) -> None:
    r"""Show the calls inside a transaction: who called what, with how much gas, and what failed.

    The node executes the transaction again, so the state before it must be kept (the last 256
    blocks).

    \b
    Examples:
      hearth chain trace 0x3f2a…
      hearth chain trace 0x3f2a… --abi Token.json
    """
    known = Known(target.home, tuple(contract_artifact.load_abi(each) for each in abi_files))
    found = _frame(known, run_async(_trace(target, transaction)))
    if as_json:
        print_json(found)
        return
    for line in _tree(_Words(target, known), found):
        click.echo(printable(line))


async def _trace(target: Target, transaction: str) -> dict[str, Any]:
    async with connected(target) as client:
        try:
            answer: dict[str, Any] = await client.call(
                "debug_traceTransaction", transaction, TRACER
            )
        except RpcError as error:
            raise Refused(error.message) from None
        return answer


def _frame(known: Known, frame: dict[str, Any]) -> dict[str, Any]:
    """Return a frame of geth's call tracer with what is known about it beside it."""
    to, data = frame.get("to"), _bytes(frame.get("input", "0x"))
    address = None if to is None else parse_address(to, "to")
    is_call = address is not None and not frame["type"].startswith("CREATE")
    result = None
    if is_call and address is not None and "error" not in frame:
        result = known.describe_results(address, data, _bytes(frame.get("output", "0x")))
    return {
        **frame,
        "contract": None if address is None else known.name_of(address),
        "call": known.describe_call(address, data) if is_call and address is not None else None,
        "result": result,
        "reason": _reason(known, address, frame),
        "logs": [_log(known, log) for log in frame.get("logs", ())],
        "calls": [_frame(known, inner) for inner in frame.get("calls", ())],
    }


def _reason(known: Known, address: bytes | None, frame: dict[str, Any]) -> str | None:
    error: str | None = frame.get("error")
    output = _bytes(frame.get("output", "0x"))
    if error == "execution reverted":
        return f"reverted: {known.reason(address, output)}"
    return error


def _log(known: Known, log: dict[str, Any]) -> dict[str, Any]:
    # A log of a trace has no place in a block; `describe_log` wants one.
    placed = {"blockNumber": "0x0", "transactionHash": None, "logIndex": "0x0", **log}
    shown = known.describe_log(placed)
    return {**log, **{key: shown[key] for key in ("contract", "event", "values")}}


@final
@dataclass(frozen=True, slots=True)
class _Words:
    """Names for addresses."""

    target: Target
    known: Known

    def label(self, text: str) -> str:
        return self.known.label(self.target, text)


def _tree(words: _Words, frame: dict[str, Any], indent: str = "") -> Iterator[str]:
    """Yield the lines of a frame, and of its events and inner calls in their order."""
    yield _line(words, frame)
    children = list(_children(frame))
    for i, child in enumerate(children):
        is_last = i + 1 == len(children)
        branch, below = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        lines = _tree(words, child) if "type" in child else iter((_event(words, child),))
        for row, line in enumerate(lines):
            yield indent + (branch if row == 0 else below) + line


def _children(frame: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield logs and calls in order: a log's position is the number of calls before it."""
    logs = list(frame["logs"])
    for place, inner in enumerate(frame["calls"]):
        while logs and int(logs[0].get("position", "0x0"), 16) <= place:
            yield logs.pop(0)
        yield inner
    yield from logs


def _line(words: _Words, frame: dict[str, Any]) -> str:
    call, kind = frame["call"], frame["type"]
    to = "a contract" if frame.get("to") is None else words.label(frame["to"])
    parts = [f"{kind} {words.label(frame['from'])} → {to}"]
    if call is not None:
        parts[0] += f".{call['function']}({in_words(call['arguments'], words.label)})"
    elif not kind.startswith("CREATE") and frame.get("input", "0x") != "0x":
        parts[0] += f" with {frame['input'][:10]}…"
    parts.append(f"gas {int(frame['gasUsed'], 16):,}")
    if frame["reason"] is not None:
        parts.append(f"failed: {frame['reason']}")
    elif frame["result"] not in (None, True):
        parts.append(f"returned {_short(words, frame['result'])}")
    return ", ".join(parts)


def _short(words: _Words, result: Any) -> str:
    text = in_words(result, words.label) if isinstance(result, dict) else str(result)
    text = words.label(text) if text.startswith("0x") and len(text) == 42 else text
    return text if len(text) <= OUTPUT_CHARS_MAX else text[:OUTPUT_CHARS_MAX] + "…"


def _event(words: _Words, log: dict[str, Any]) -> str:
    if log["event"] is None:
        return f"event of {words.label(log['address'])}, unknown: {log['topics']}"
    return f"event {log['event']}({in_words(log['values'], words.label)})"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
