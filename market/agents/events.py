"""Chain events as values: the bytes of logs to the dataclasses of `market.abi`, and calls to bytes.

An event that this version does not know is skipped: a later version of a contract may emit more.
"""

from collections.abc import Iterator
from typing import Any

from crypto import abi, abi_event
from crypto.errors import DecodeError
from market.abi import ADDRESSES, EVENTS, FUNCTIONS, Event
from market.agents.observations import BlockSeen

_CLASSES: dict[tuple[bytes, bytes], type[Event]] = {
    (ADDRESSES[contract], abi.event_topic(abi_event.parse_event(kind.SIGNATURE).signature)): kind
    for contract, kinds in EVENTS.items()
    for kind in kinds
}


def decode_events(block: BlockSeen) -> Iterator[Event]:
    """Yield the events of our contracts in order; unknown and malformed ones are skipped."""
    for address, topics, data in block.events:
        kind = _CLASSES.get((address, topics[0])) if topics else None
        if kind is None:
            continue
        try:
            values = abi_event.decode_event(kind.SIGNATURE, topics, data)
        except DecodeError:
            continue  # Another version's event of the same name: not for us.
        yield kind(*values)


def encode_call(contract: str, function: str, args: tuple[Any, ...]) -> tuple[bytes, bytes]:
    """Return (contract address, calldata).

    Raises:
        KeyError: no such contract or function.
        EncodeError: an argument does not fit its type.
    """
    entry = FUNCTIONS[contract][function]
    data = abi.selector(entry.signature) + abi.encode(entry.input_types, args)
    return ADDRESSES[contract], data


def decode_result(contract: str, function: str, output: bytes) -> tuple[Any, ...]:
    """Return the values that a view returned.

    Raises:
        DecodeError: not the encoding of its return types.
    """
    types = FUNCTIONS[contract][function].output_types
    return tuple(abi.decode(types, output, field=f"{contract}.{function}"))
