"""Senders that another process recovers are those that the node would have found itself."""

import asyncio
import io
import sys

import pytest

from consensus.certificates import Seal
from consensus.membership import Height, MemberIndex, View
from consensus.messages import SealedBlock
from crypto.hashing import Digest
from node import senders as module
from node.executor import Divergence
from node.sender_worker import LENGTH, UNKNOWN, senders_of, serve
from node.senders import AHEAD, START_BLOCKS, Senders
from tests.node.cluster import Cluster, Node, account_key, make_tx
from tests.node.test_executor import GENESIS, commit, open_chain
from vm.block import Block, encode_block
from vm.machine import Machine
from vm.transaction import DeadlineTransaction

HEADER = Machine(GENESIS, ()).genesis_execution().header
SEAL = Seal(view=View(0), signatures=tuple((MemberIndex(i), bytes(64)) for i in range(3)))


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def a_body(*raws):
    return encode_block(Block(HEADER, raws))


def blocks(count):
    """Blocks with one transaction each, of accounts by turns."""
    bodies = [a_body(make_tx(GENESIS, n % 4, n)) for n in range(count)]
    return tuple(
        SealedBlock(height=Height(n + 1), digest=Digest(bytes([n]) * 32), body=body, seal=SEAL)
        for n, body in enumerate(bodies)
    )


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  Another process has to do something.
            await asyncio.sleep(0.005)


# What the process does.


def test_each_transaction_has_its_sender_or_none_where_the_node_must_look_itself():
    body = a_body(make_tx(GENESIS, 2, 0), b"\x02rubbish", DeadlineTransaction(1).raw)
    assert senders_of(body) == account_key(2).address + UNKNOWN + UNKNOWN


@pytest.mark.parametrize("body", [b"", b"no block", b"\xff" * 100])
def test_what_is_no_block_has_no_senders(body):
    assert senders_of(body) == b""


def test_blocks_are_answered_in_order_until_the_input_ends():
    bodies = [a_body(make_tx(GENESIS, n, 0)) for n in range(3)]
    source = io.BytesIO(b"".join(LENGTH.pack(len(each)) + each for each in bodies))
    sink = io.BytesIO()
    serve(source, sink)
    answers = [b"", *(account_key(n).address for n in range(3))]
    assert sink.getvalue() == b"".join(LENGTH.pack(len(each)) + each for each in answers)


# Executing with what it found.


def test_a_block_executes_alike_whoever_recovered_its_senders(tmp_path):
    chain, other = open_chain(tmp_path / "a"), open_chain(tmp_path / "b")
    commit(chain, 0, 1, 2)
    block = chain.store.sealed_block(1)
    data = senders_of(block.body)
    known = tuple(data[at : at + 20] for at in range(0, 60, 20))
    assert set(known) == {account_key(n).address for n in range(3)}
    record = other.apply(block, (known[0], b"", known[2]))
    assert record.hash == block.digest
    assert other.tree.root == chain.tree.root
    chain.store.close()
    other.store.close()


def test_a_wrong_sender_is_no_other_block_but_a_halt(tmp_path):
    chain, other = open_chain(tmp_path / "a"), open_chain(tmp_path / "b")
    commit(chain, 0)
    with pytest.raises(Divergence):
        other.apply(chain.store.sealed_block(1), (account_key(3).address,))
    assert other.height == 0
    chain.store.close()
    other.store.close()


# The process.


@pytest.fixture
def two_cores(monkeypatch):
    monkeypatch.setattr(module.os, "cpu_count", lambda: 2)


@pytest.mark.e2e
@pytest.mark.usefixtures("two_cores")
def test_the_process_works_ahead_and_ends_with_its_input():
    async def main():
        senders, fetched = Senders(), blocks(START_BLOCKS)
        senders.look_ahead(fetched[1:])
        assert not senders.is_running, "too few to be worth a process"
        senders.look_ahead(fetched)
        await until(lambda: senders.is_ready)
        assert not senders.is_coming(fetched[0].body, lambda: None)
        senders.look_ahead(fetched)
        turns = []
        for place, block in enumerate(fetched[:AHEAD]):
            await until(
                lambda body=block.body: not senders.is_coming(body, lambda: turns.append(1))
            )
            assert senders.take(block.body) == (account_key(place % 4).address,)
            assert senders.take(block.body) == (), "once"
        assert not senders.is_coming(fetched[AHEAD].body, lambda: None), "beyond what was asked"
        senders.stop()
        assert not senders.is_running

    run(main())


@pytest.mark.e2e
@pytest.mark.usefixtures("two_cores")
def test_the_process_ends_when_there_is_nothing_to_do(monkeypatch):
    monkeypatch.setattr(module, "IDLE_S", 1.5)

    async def main():
        senders, fetched = Senders(), blocks(START_BLOCKS)
        for _ in range(2):  # And comes again when there is.
            senders.look_ahead(fetched)
            await until(lambda: senders.is_ready)
            senders.look_ahead(fetched)
            await until(lambda: not senders.is_running)

    run(main())


@pytest.mark.e2e
@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(
    "command",
    [
        ("/nonexistent/program",),
        (sys.executable, "-c", "pass"),
        (sys.executable, "-c", "import sys; sys.stdout.buffer.write(bytes(4)); sys.exit(1)"),
    ],
)
def test_where_there_is_no_process_the_node_does_it_itself_and_tries_no_more(command):
    async def main():
        senders, fetched = Senders(command), blocks(START_BLOCKS)
        senders.look_ahead(fetched)
        await until(lambda: not senders.is_running)
        senders.look_ahead(fetched)
        assert not senders.is_running
        assert not senders.is_coming(fetched[0].body, lambda: None)
        assert senders.take(fetched[0].body) == ()

    run(main())


@pytest.mark.e2e
@pytest.mark.usefixtures("two_cores")
def test_nobody_waits_for_long_for_a_process_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0.02)
    silent = "import sys; w = sys.stdout.buffer; w.write(bytes(4)); w.flush(); sys.stdin.read()"

    async def main():
        senders, fetched, turns = Senders((sys.executable, "-c", silent)), blocks(START_BLOCKS), []
        senders.look_ahead(fetched)
        await until(lambda: senders.is_ready)
        senders.look_ahead(fetched)
        assert senders.is_coming(fetched[0].body, lambda: turns.append(1))
        await until(lambda: turns)
        assert not senders.is_coming(fetched[0].body, lambda: None)
        assert senders.is_coming(fetched[1].body, lambda: None)
        senders.stop()
        assert not senders.is_running

    run(main())


def test_one_core_is_the_node_s_own(monkeypatch):
    monkeypatch.setattr(module.os, "cpu_count", lambda: 1)

    async def main():
        senders = Senders()
        senders.look_ahead(blocks(START_BLOCKS))
        assert not senders.is_running

    run(main())


@pytest.mark.e2e
@pytest.mark.usefixtures("two_cores")
def test_a_node_that_fell_behind_replays_what_the_process_recovered(tmp_path):
    async def main():
        cluster = Cluster(tmp_path)
        cluster.start(0, 1, 2)
        for nonce in range(40):
            digest = cluster.nodes[0].chain.submit(make_tx(cluster.genesis, 0, nonce))
            await cluster.sealed(digest)
        late = Node(cluster.genesis, 3, cluster.network, tmp_path / "n3")
        take, taken = late.driver.senders.take, []
        late.driver.senders.take = lambda body: taken.append(take(body)) or taken[-1]
        late.driver.senders.look_ahead(blocks(START_BLOCKS))
        await until(lambda: late.driver.senders.is_ready)
        cluster.nodes[3] = late
        late.start()
        await cluster.until(lambda: late.chain.height == 40, 30)
        cluster.assert_heads_equal()
        assert taken.count((account_key(0).address,)) > 20
        cluster.kill()

    run(main())
