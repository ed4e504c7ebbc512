"""Filters are forgotten when nobody asks, and are bounded in number."""

import asyncio

import pytest

from node.rpc.chain_reads import RANGE_MAX, LogRange, check_range, find_logs
from node.rpc.errors import RpcFault
from node.rpc.filters import FILTERS_MAX, IDLE_MS, Filters
from node.rpc.values import BadValue
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


def test_pending_transactions_by_hash_or_whole(rig):
    filters = Filters(rig.chain, lambda: 0)
    hashes, whole = filters.add_pending(), filters.add_pending(is_full=True)
    rig.chain.submit(rig.transfer(0, 1, 5))
    (shown,) = changes(filters, whole)
    assert changes(filters, hashes) == [shown["hash"]]
    assert shown["blockHash"] is None
    assert changes(filters, whole) == changes(filters, hashes) == []


def test_a_filter_of_whole_transactions_holds_so_many_bytes_and_one_of_hashes_none(
    rig, monkeypatch
):
    raws = [rig.transfer(0, 1, value, nonce=value - 1) for value in range(1, 6)]
    monkeypatch.setattr("node.rpc.filters.PENDING_BYTES_MAX", len(raws[0]) + len(raws[1]))
    filters = Filters(rig.chain, lambda: 0)
    hashes, whole = filters.add_pending(), filters.add_pending(is_full=True)
    state = filters.snapshot()
    for raw in raws:
        rig.chain.submit(raw)
    names = changes(filters, hashes)
    assert len(names) == 5
    assert [each["hash"] for each in changes(filters, whole)] == names[-2:]
    rig.chain.submit(rig.transfer(0, 1, 6, nonce=5))  # What was given takes no room any more.
    assert len(changes(filters, whole)) == 1
    filters.restore(state)
    assert changes(filters, whole) == changes(filters, hashes) == []


def test_a_filter_that_nobody_polls_is_forgotten_when_transactions_come(rig):
    now = [0]
    filters = Filters(rig.chain, lambda: now[0])
    filters.add_pending(is_full=True)
    now[0] = IDLE_MS + 1
    rig.chain.submit(rig.transfer(0, 1, 5))
    assert len(filters) == 0


def test_a_query_over_too_many_blocks_is_refused_in_geths_words():
    check_range(0, RANGE_MAX - 1)
    with pytest.raises(BadValue, match=f"^exceed maximum block range: {RANGE_MAX}$"):
        check_range(0, RANGE_MAX)


def test_the_bytes_of_one_answer_are_bounded_before_they_are_collected(rig, monkeypatch):
    for value in range(1, 5):
        rig.chain.submit(rig.transfer(0, 1, value))
        rig.seal()
    everything = LogRange(frozenset(), (), 0, None)
    found = asyncio.run(find_logs(rig.chain, everything, 0, 4))
    (size,) = {len(entry.log.data) for entry in found}
    assert len(found) == 4
    assert len(rig.chain.logs(0, 4, (), (), 10, bytes_max=2 * size - 1)) == 2
    monkeypatch.setattr("node.rpc.chain_reads.LOG_BYTES_MAX", 4 * size)
    assert asyncio.run(find_logs(rig.chain, everything, 0, 4)) == found
    monkeypatch.setattr("node.rpc.chain_reads.LOG_BYTES_MAX", 4 * size - 1)
    with pytest.raises(RpcFault, match="bytes: ask for fewer blocks") as error:
        asyncio.run(find_logs(rig.chain, everything, 0, 4))
    assert error.value.code == -32005


def test_a_poll_that_finds_too_much_gives_it_in_parts(rig, monkeypatch):
    filters = Filters(rig.chain, lambda: 0)
    name = filters.add_logs(LogRange(frozenset(), (), 0, None))
    hashes = []
    for value in range(1, 8):
        rig.chain.submit(rig.transfer(0, 1, value))
        hashes += [f"0x{digest.hex()}" for digest in rig.seal().transaction_hashes]
    monkeypatch.setattr("node.rpc.chain_reads.LOGS_MAX", 3)
    found = []
    while part := changes(filters, name):
        assert len(part) <= 3
        found += [log["transactionHash"] for log in part]
    assert found == hashes


def test_polls_at_the_same_time_report_each_block_once(rig):
    filters = Filters(rig.chain, lambda: 0)
    name = filters.add_logs(LogRange(frozenset(), (), 0, None))
    for value in range(1, 4):
        rig.chain.submit(rig.transfer(0, 1, value))
        rig.seal()

    async def polls():
        return await asyncio.gather(*(filters.changes(name) for _ in range(3)))

    assert sorted(map(len, asyncio.run(polls()))) == [0, 0, 3]


def test_a_block_that_no_answer_can_hold_is_told_of_and_passed(rig, monkeypatch):
    filters = Filters(rig.chain, lambda: 0)
    name = filters.add_logs(LogRange(frozenset(), (), 0, None))
    for sender in (0, 1):
        rig.chain.submit(rig.transfer(sender, 2, 1))
    rig.seal()
    rig.chain.submit(rig.transfer(0, 1, 1))
    rig.seal()
    monkeypatch.setattr("node.rpc.chain_reads.LOGS_MAX", 1)
    with pytest.raises(RpcFault, match="query returned more than 1 results"):
        changes(filters, name)
    assert len(changes(filters, name)) == 1
