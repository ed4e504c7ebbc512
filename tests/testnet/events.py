"""Chain events for tests of the report: a small market's day as logs."""

from dataclasses import fields

from crypto import abi_event
from market import abi

_ADDRESSES = {
    kind: abi.ADDRESSES[contract]
    for contract, kinds in abi.EVENTS.items()
    for kind in kinds
    if kind is not abi.Transfer
}


def log(event, address=None):
    """The log that a contract writes for an event."""
    values = [getattr(event, field.name) for field in fields(event)]
    topics, data = abi_event.encode_event(event.SIGNATURE, values)
    return (address or _ADDRESSES[type(event)], tuple(topics), data)


def money(source, to, amount):
    return log(abi.Transfer(source, to, amount), abi.MONEY_TOKEN)


def energy(source, to, amount):
    return log(abi.Transfer(source, to, amount), abi.ENERGY_TOKEN)
