"""ethers and viem, on Node.js: each script's steps, and what our own client then sees."""

import json
import re

import pytest

from tests.e2e.clients.conftest import HERE, run_node

pytestmark = pytest.mark.e2e

STEP = re.compile(r'^  async "(.*)"\(\) \{$', re.M)


@pytest.mark.parametrize(("client", "household"), [("ethers", 1), ("viem", 2)])
def test_it_deploys_sends_reads_and_watches(net, kiosk, client, household):
    facts = {**net.facts(household), "kiosk": kiosk}
    said = run_node(f"{client}.mjs", stdin=json.dumps(facts))
    assert said["done"] == STEP.findall((HERE / f"{client}.mjs").read_text())
    assert len(said["done"]) >= 12
    found = said["found"]
    # At the node of somebody else, and by no means of the client's.
    other = (household + 2) % 4
    assert len(net.ask(other, "eth_getCode", found["coin"], "latest")) > 1_000
    had = net.view(other, "money_token", "balanceOf", facts["neighbour"])
    assert int(had) >= int(found["neighbourHas"])
    assert len(net.view(other, "market", "getOffers", 1)) >= found["offers"] >= 1
