"""solc reads every published Solidity interface, and means by it what the JSON ABI says."""

import pytest

from cli import interfaces
from market.abi import ADDRESSES

FIELDS = ("type", "name", "stateMutability", "anonymous")


def shape(entry):
    """What callers depend on: all but the names of parameters, which a language may reserve."""

    def kind(parameter):
        inside = [kind(each) for each in parameter.get("components", ())]
        return parameter["type"], parameter.get("indexed", False), inside

    parts = [[kind(each) for each in entry.get(side, ())] for side in ("inputs", "outputs")]
    return repr([[entry.get(name) or None for name in FIELDS], parts])


@pytest.mark.e2e
def test_every_published_interface_compiles_to_its_published_abi(solidity):
    assert sorted(solidity["interfaces"]) == sorted(f"I{name}" for name in ADDRESSES)
    for name in ADDRESSES:
        made = solidity["interfaces"][f"I{name}"]
        published = interfaces.json_abi(name)
        assert sorted(map(shape, made)) == sorted(map(shape, published))
        assert len(made) > 1
