"""Calls, events and reverts of our contracts in words, from the bytes that a node answers."""

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from crypto import abi, abi_event
from crypto.errors import DecodeError
from crypto.keys import checksum_address
from market.abi import ADDRESSES, EVENTS, FUNCTIONS, Event, Function

ADDRESS_BYTES = 20

_CALLS: dict[tuple[bytes, bytes], tuple[str, Function]] = {
    (ADDRESSES[contract], abi.selector(function.signature)): (contract, function)
    for contract, functions in FUNCTIONS.items()
    for function in functions.values()
}
_EVENTS: dict[tuple[bytes, bytes], tuple[str, type[Event]]] = {
    (ADDRESSES[contract], event_topic): (contract, kind)
    for contract, kinds in EVENTS.items()
    for kind, event_topic in (
        (kind, abi.event_topic(abi_event.parse_event(kind.SIGNATURE).signature)) for kind in kinds
    )
}


def plain(value: Any) -> Any:
    """Return a decoded ABI value for JSON: addresses checksummed, other bytes as 0x-hex."""
    if isinstance(value, bytes):
        return checksum_address(value) if len(value) == ADDRESS_BYTES else "0x" + value.hex()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def describe_call(to: bytes, data: bytes) -> dict[str, Any] | None:
    """Return {contract, function, arguments} of calldata for one of our contracts, or None."""
    found = _CALLS.get((to, data[:4]))
    if found is None:
        return None
    contract, function = found
    try:
        values = abi.decode(function.input_types, data[4:])
    except DecodeError:
        return None  # The contract refused it for the same reason.
    named = zip(function.input_names, map(plain, values), strict=True)
    return {"contract": contract, "function": function.name, "arguments": dict(named)}


def describe_log(log: dict[str, Any]) -> dict[str, Any]:
    """Return a log of `eth_getLogs` with its event's name and values, where they are known."""
    address, data = _bytes(log["address"]), _bytes(log["data"])
    topics = [_bytes(topic) for topic in log["topics"]]
    place = {
        "block": int(log["blockNumber"], 16),
        "transaction": log["transactionHash"],
        "log_index": int(log["logIndex"], 16),
    }
    found = _EVENTS.get((address, topics[0])) if topics else None
    if found is not None:
        contract, kind = found
        try:
            values = abi_event.decode_event(kind.SIGNATURE, topics, data)
        except DecodeError:
            values = None
        if values is not None:
            named = zip((f.name for f in fields(kind)), map(plain, values), strict=True)
            return {**place, "contract": contract, "event": kind.__name__, "values": dict(named)}
    raw = {"topics": log["topics"], "data": log["data"]}
    return {**place, "contract": checksum_address(address), "event": None, "values": raw}


def event_topics(contract: str | None, name: str) -> Iterator[bytes]:
    """Yield the first topics of the events with that name, of one contract or of all."""
    seen = set()
    for (address, topic), (owner, kind) in _EVENTS.items():
        del address
        if kind.__name__ == name and contract in (None, owner) and topic not in seen:
            seen.add(topic)
            yield topic


def event_names(contract: str | None) -> list[str]:
    """Return the names of the events of one contract or of all."""
    return sorted({k.__name__ for owner, k in _EVENTS.values() if contract in (None, owner)})


def in_words(values: dict[str, Any], label: Callable[[str], str]) -> str:
    """Return named values on one line; `label` gives names to addresses."""
    return ", ".join(f"{name} {_word(value, label)}" for name, value in values.items())


def _word(value: Any, label: Callable[[str], str]) -> str:
    if isinstance(value, str) and value.startswith("0x"):
        return label(value) if len(value) == 2 + 2 * ADDRESS_BYTES else _short(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _short(text: str) -> str:
    return text if len(text) <= 18 else text[:12] + "…"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
