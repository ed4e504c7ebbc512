"""Filters are forgotten when nobody asks, and are bounded in number."""

import asyncio

import pytest

from node.rpc.errors import RpcFault
from node.rpc.filters import FILTERS_MAX, IDLE_MS, Filters
from tests.node.rpc.rig import ChainRig


@pytest.fixture
def rig(tmp_path):
    made = ChainRig(tmp_path)
    yield made
    made.store.close()


def changes(filters, name):
    return asyncio.run(filters.changes(name))


def test_a_filter_lives_as_long_as_it_is_polled(rig):
    now = [0]
    filters = Filters(rig.chain, lambda: now[0])
    polled, idle = filters.add_blocks(), filters.add_blocks()
    for now[0] in range(0, 4 * IDLE_MS, IDLE_MS):
        assert changes(filters, polled) == []
    with pytest.raises(RpcFault, match="filter not found"):
        changes(filters, idle)
    now[0] += IDLE_MS + 1
    with pytest.raises(RpcFault, match="filter not found"):
        changes(filters, polled)
    assert len(filters) == 0


def test_the_filter_that_was_not_asked_for_longest_makes_room(rig):
    filters = Filters(rig.chain, lambda: 0)
    names = [filters.add_blocks() for _ in range(FILTERS_MAX)]
    changes(filters, names[0])
    filters.add_blocks()
    assert len(filters) == FILTERS_MAX
    assert changes(filters, names[0]) == []
    with pytest.raises(RpcFault, match="filter not found"):
        changes(filters, names[1])


def test_only_log_filters_have_logs(rig):
    filters = Filters(rig.chain, lambda: 0)
    with pytest.raises(RpcFault, match="filter not found"):
        asyncio.run(filters.logs(filters.add_blocks()))
