"""`market.abi` is what the contracts do: names, types, events, addresses."""

import pytest

from crypto.abi_event import parse_event
from market.abi import ADDRESSES, EVENTS, FUNCTIONS
from market.agents import acceptance
from market.contracts import market_agreements
from node.natives import NATIVES

CONTRACTS = {type(each).__name__: each for each in NATIVES}


def test_natives_stand_in_the_order_of_their_addresses():
    assert [each.ADDRESS for each in NATIVES] == sorted(ADDRESSES.values())
    assert {name: each.ADDRESS for name, each in CONTRACTS.items()} == ADDRESSES


@pytest.mark.parametrize("name", ADDRESSES)
def test_functions_are_those_of_the_contract(name):
    written = {
        spec.signature: (spec.output_types, spec.is_view, spec.input_names)
        for spec in FUNCTIONS[name].values()
    }
    built = {
        method.signature: (
            method.output_types,
            method.is_view,
            tuple(parameter.name for parameter in method.inputs),
        )
        for method in CONTRACTS[name].abi.values()
    }
    assert built == written


@pytest.mark.parametrize("name", ADDRESSES)
def test_events_are_those_of_the_contract(name):
    assert EVENTS[name] == CONTRACTS[name].EVENTS
    for event in EVENTS[name]:
        assert parse_event(event.SIGNATURE).name == event.__name__


@pytest.mark.parametrize("name", ADDRESSES)
def test_output_names_count_as_many_as_types(name):
    for spec in FUNCTIONS[name].values():
        if not spec.outputs.startswith("("):
            assert len(spec.output_names) == len(spec.output_types), spec


def test_agents_and_contracts_sign_the_same_acceptance():
    """The two halves do not import each other; they share the order of the fields."""
    terms = {
        "chain_id": 2**51,
        "window": 7,
        "offer_id": 3,
        "seller": b"\1" * 20,
        "buyer": b"\2" * 20,
        "quantity": 900,
        "price": 12_345,
        "nonce": 2**64 - 1,
    }
    theirs = acceptance.acceptance_digest(acceptance.AcceptedTerms(**terms))
    assert market_agreements.acceptance_digest(**terms) == theirs
