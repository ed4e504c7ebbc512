"""A ledger of several nodes, played by the rules; then each promise is broken on purpose."""

import asyncio
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.agents.events import encode_call
from node.rpc.client import RpcError, Unreachable
from testnet.errors import TimedOut
from testnet.history import Answer, Read, Write, check_history, start_of
from testnet.readers import read_all, read_once, run_reader

A, B, C = (bytes([byte]) * 20 for byte in b"abc")
NODES = ("h0", "h1", "h2")
FUNDS = 5


class Neighbourhood:
    """One chain; each node shows a prefix of it that only grows."""

    def __init__(self, rng):
        self.rng = rng
        self.now = 0
        self.balances = dict.fromkeys((A, B, C), FUNDS)
        self.nonces = dict.fromkeys((A, B, C), 0)
        self.states = [(dict(self.balances), dict(self.nonces))]
        self.shown = dict.fromkeys(NODES, 0)
        self.writes = []
        self.reads = []

    def tick(self):
        self.now += self.rng.randrange(1, 4)
        return self.now

    def block(self):
        """Seal up to four transfers that were sent meanwhile; one node acknowledges each."""
        begun = [
            (self.rng.choice((A, B, C)), self.rng.choice((A, B, C)), self.tick())
            for _ in range(self.rng.randrange(1, 5))
        ]
        height = len(self.states)
        answered = []
        for index, (sender, recipient, invoked_ns) in enumerate(begun):
            amount = self.rng.randrange(1, 3)
            is_success = self.balances[sender] >= amount
            if is_success:
                self.balances[sender] -= amount
                self.balances[recipient] += amount
            answered.append(
                (sender, self.nonces[sender], recipient, amount, invoked_ns, index, is_success)
            )
            self.nonces[sender] += 1
        self.states.append((dict(self.balances), dict(self.nonces)))
        for sender, nonce, recipient, amount, invoked_ns, index, is_success in answered:
            node = self.rng.choice(NODES)
            self.shown[node] = height
            self.writes.append(
                Write(
                    sender=sender,
                    nonce=nonce,
                    recipient=recipient,
                    amount=amount,
                    invoked_ns=invoked_ns,
                    answer=Answer(
                        node=node,
                        height=height,
                        index=index,
                        is_success=is_success,
                        at_ns=self.tick(),
                    ),
                )
            )

    def read(self, node):
        """A node that lags may have caught up a little, or not."""
        invoked_ns = self.tick()
        self.shown[node] = self.rng.randrange(self.shown[node], len(self.states))
        height = self.shown[node]
        balances, nonces = self.states[height]
        account = self.rng.choice((A, B, C))
        self.reads.append(
            Read(
                node=node,
                account=account,
                height=height,
                nonce=nonces[account],
                balance=balances[account],
                invoked_ns=invoked_ns,
                at_ns=self.tick(),
            )
        )

    def start(self):
        balances, nonces = self.states[0]
        return {
            account: start_of(
                Read(
                    node="h0",
                    account=account,
                    height=0,
                    nonce=nonces[account],
                    balance=balances[account],
                    invoked_ns=0,
                    at_ns=0,
                )
            )
            for account in (A, B, C)
        }

    def check(self, writes=None, reads=None):
        return check_history(
            self.writes if writes is None else writes,
            self.reads if reads is None else reads,
            self.start(),
        )


def played(seed, blocks=12):
    home = Neighbourhood(random.Random(seed))
    for _ in range(blocks):
        home.block()
        for _ in range(4):
            home.read(home.rng.choice(NODES))
    for node in NODES:
        home.shown[node] = len(home.states) - 1
        for _ in range(6):
            home.read(node)
    return home


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_nodes_that_lag_keep_the_promise(seed):
    assert played(seed).check() == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_a_stale_read_is_found(seed, data):
    """A node shows an older state than before, though at that height it is the right one."""
    home = played(seed)
    late = [i for i, read in enumerate(home.reads) if read.height == len(home.states) - 1]
    index = data.draw(st.sampled_from(late))
    read = home.reads[index]
    before = [
        write
        for write in home.writes
        if read.account in (write.sender, write.recipient)
        and write.answer.node == read.node
        and write.answer.at_ns < read.invoked_ns
    ]
    if not before:
        return
    height = data.draw(st.integers(0, before[-1].answer.height - 1))
    balances, nonces = home.states[height]
    home.reads[index] = replace(
        read, height=height, nonce=nonces[read.account], balance=balances[read.account]
    )
    (found,) = home.check()
    assert f"0x{read.account.hex()} as {read.node} shows it" in found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_a_lost_write_is_found(seed):
    """Acknowledged, but no state ever holds it: the money is still where it was."""
    home = played(seed)
    lost = Write(
        sender=A,
        nonce=home.nonces[A],
        recipient=B,
        amount=0,
        invoked_ns=home.writes[-1].invoked_ns,
        answer=replace(home.writes[-1].answer, index=99),
    )
    for node in NODES:
        home.shown[node] = len(home.states) - 1
    end = [read for read in home.reads if read.account == A and read.height == len(home.states) - 1]
    found = home.check(writes=[*home.writes, lost])
    assert any(f"0x{A.hex()}" in words for words in found) == bool(end)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.data())
def test_a_transfer_that_is_applied_twice_is_found(seed, data):
    home = played(seed)
    index = data.draw(st.integers(0, len(home.reads) - 1))
    read = home.reads[index]
    home.reads[index] = replace(read, balance=read.balance + 1)
    (found,) = home.check()
    assert f"balance {read.balance + 1} at height {read.height}" in found


def test_a_nonce_that_is_used_twice_is_found():
    home = played(1)
    again = home.writes[3]
    again = replace(again, answer=replace(again.answer, height=len(home.states), at_ns=home.tick()))
    found = home.check(writes=[*home.writes, again])
    assert any(f"transfers of 0x{again.sender.hex()}" in words for words in found)


def test_two_transfers_in_one_place_are_found():
    home = played(1)
    one, other = home.writes[:2]
    moved = replace(other, answer=replace(other.answer, height=1, index=one.answer.index))
    found = home.check(writes=[one, moved, *home.writes[2:]])
    assert found[0] == f"2 transfers were acknowledged as transaction {one.answer.index} of block 1"


def test_a_write_that_was_sealed_before_it_was_sent_is_found():
    """It was submitted after another of the block above had been acknowledged."""
    first = write(A, 0, B, 10, 20, node="h0", height=2)
    second = write(B, 0, A, 30, 40, node="h1", height=1)
    start = {account: start_of(read(account, 0, 0, FUNDS, 0)) for account in (A, B)}
    assert check_history([first, second], [], start)
    second = replace(second, invoked_ns=15)
    assert check_history([first, second], [], start) == []


def test_who_asks_the_node_that_acknowledged_sees_it_and_others_may_not_yet():
    start = {account: start_of(read(account, 0, 0, FUNDS, 0)) for account in (A, B)}
    sent = write(A, 0, B, 10, 20, node="h0", height=1)
    old = read(A, 0, 0, FUNDS, 30, node="h1")
    assert check_history([sent], [old], start) == []
    assert check_history([sent], [replace(old, node="h0")], start)


def test_an_unanswered_transfer_may_have_happened_or_not():
    start = {account: start_of(read(account, 0, 0, FUNDS, 0)) for account in (A, B)}
    sent = replace(write(A, 0, B, 10, 20), answer=None)
    for nonce, balance in ((0, FUNDS), (1, FUNDS - 1)):
        assert check_history([sent], [read(A, 3, nonce, balance, 30)], start) == []
    assert check_history([sent], [read(A, 3, 2, FUNDS - 2, 30)], start)
    seen_then_gone = [read(A, 3, 1, FUNDS - 1, 30), read(A, 4, 0, FUNDS, 40)]
    assert check_history([sent], seen_then_gone, start)


def write(sender, nonce, recipient, invoked_ns, at_ns, *, node="h0", height=1):
    answer = Answer(node=node, height=height, index=0, is_success=True, at_ns=at_ns)
    return Write(
        sender=sender,
        nonce=nonce,
        recipient=recipient,
        amount=1,
        invoked_ns=invoked_ns,
        answer=answer,
    )


def read(account, height, nonce, balance, at_ns, *, node="h0"):
    return Read(
        node=node,
        account=account,
        height=height,
        nonce=nonce,
        balance=balance,
        invoked_ns=at_ns,
        at_ns=at_ns,
    )


class Node:
    """Answers batches by hand; `heights` are what `eth_blockNumber` says, one after the other."""

    def __init__(self, heights, failure=None, on_last=None):
        self.heights = list(heights)
        self.failure = failure
        self.on_last = on_last

    async def batch(self, calls):
        if isinstance(self.failure, Unreachable):
            raise self.failure
        return [self.answer(*call) for call in calls]

    def answer(self, method, params):
        match method:
            case "eth_blockNumber":
                height = self.heights.pop(0)
                if not self.heights and self.on_last:
                    self.on_last()
                return hex(height)
            case "eth_getTransactionCount":
                assert params == ["0x" + A.hex(), "latest"]
                return self.failure or "0x7"
            case "eth_call":
                to, data = encode_call("MoneyToken", "balanceOf", (A,))
                assert params == [{"to": "0x" + to.hex(), "data": "0x" + data.hex()}, "latest"]
                return "0x" + (41).to_bytes(32, "big").hex()


def cluster_of(node):
    return SimpleNamespace(client=lambda _name: node)


def test_a_read_names_its_height():
    (seen,) = asyncio.run(read_once(cluster_of(Node([9, 9])), "h0", [A]))
    assert (seen.node, seen.account, seen.height) == ("h0", A, 9)
    assert (seen.nonce, seen.balance) == (7, 41)
    assert seen.invoked_ns <= seen.at_ns


@pytest.mark.parametrize(
    "node",
    [
        Node([9, 10]),
        Node([9, 9], RpcError(-32000, "busy")),
        Node([9, 9], Unreachable("gone")),
    ],
    ids=["a block came between", "refused", "gone"],
)
def test_a_read_without_a_height_is_none(node):
    assert asyncio.run(read_once(cluster_of(node), "h0", [A])) == []


def test_the_last_read_is_insisted_on():
    (seen,) = asyncio.run(read_all(cluster_of(Node([9, 10, 11, 11])), "h0", [A], 5.0))
    assert seen.height == 11
    with pytest.raises(TimedOut, match="h0 answers no read"):
        asyncio.run(read_all(cluster_of(Node([], Unreachable("gone"))), "h0", [A], 0.0))


def test_a_reader_reads_until_it_is_stopped():
    async def run():
        stop = asyncio.Event()
        node = Node([1, 1, 2, 2, 3, 3], on_last=stop.set)
        reader = run_reader(cluster_of(node), "h0", [A], stop, rng=random.Random(1), pause_s=0.0)
        return await reader

    assert [seen.height for seen in asyncio.run(run())] == [1, 2, 3]
