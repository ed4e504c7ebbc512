"""What the end of a chaos run looks at, with nodes that answer from a script."""

import asyncio
from collections import Counter
from types import SimpleNamespace

import pytest

from testnet import chaos
from testnet.chaos import ChaosOptions
from testnet.history import Answer, Read, Write, start_of
from testnet.load import Acknowledged, LaneResult

A, B = b"a" * 20, b"b" * 20
NODES = ("h0", "h1")


def read(node, account, height, nonce, balance, at_ns):
    return Read(
        node=node,
        account=account,
        height=height,
        nonce=nonce,
        balance=balance,
        invoked_ns=at_ns,
        at_ns=at_ns,
    )


def verify(monkeypatch, *, reads, last, missing=()):
    """One transfer of 1 from A to B was acknowledged by h0 in block 5; both had 9."""
    answer = Answer(node="h0", height=5, index=0, is_success=True, at_ns=20)
    write = Write(sender=A, nonce=0, recipient=B, amount=1, invoked_ns=10, answer=answer)
    lane = LaneResult(submitted=1, acknowledged=[Acknowledged("0x1", 5)], writes=[write])

    async def heads(_cluster, _seconds):
        return 5, "0xhash", "0xroot"

    async def missing_on(_cluster, _name, _acknowledged):
        return list(missing)

    async def read_all(_cluster, name, accounts, _seconds):
        return [read(name, account, 5, *last[account], 99) for account in accounts]

    monkeypatch.setattr(chaos, "wait_for_equal_heads", heads)
    monkeypatch.setattr(chaos, "missing_on", missing_on)
    monkeypatch.setattr(chaos, "read_all", read_all)
    start = {account: start_of(read("h0", account, 4, 0, 9, 0)) for account in (A, B)}
    traffic = chaos._Traffic(lanes=[lane], reads=reads, start=start)
    cluster = SimpleNamespace(names=NODES)
    return asyncio.run(chaos._verify(cluster, traffic, Counter(), ChaosOptions()))


LAST = {A: (1, 8), B: (0, 10)}


def test_a_run_that_kept_every_promise_is_ok(monkeypatch):
    report = verify(monkeypatch, reads=[read("h1", A, 4, 0, 9, 30)], last=LAST)
    assert report["ok"]
    assert report["linearizable"]
    assert (report["reads"], report["violations"]) == (5, [])


@pytest.mark.parametrize(
    ("seen", "last"),
    [
        (read("h0", A, 4, 0, 9, 30), LAST),
        (read("h1", A, 5, 0, 9, 30), LAST),
        (read("h1", A, 4, 0, 9, 30), {A: (0, 9), B: (0, 9)}),
        (read("h1", A, 4, 0, 9, 30), {A: (1, 8), B: (0, 11)}),
    ],
    ids=["stale", "not the block it names", "lost", "applied twice"],
)
def test_what_no_ledger_explains_fails_the_run(monkeypatch, seen, last):
    report = verify(monkeypatch, reads=[seen], last=last)
    assert not report["ok"]
    assert not report["linearizable"]
    assert report["violations"]


def test_a_run_without_reads_has_shown_nothing(monkeypatch):
    assert not verify(monkeypatch, reads=[], last=LAST)["ok"]


def test_what_a_node_lacks_fails_the_run(monkeypatch):
    seen = [read("h1", A, 4, 0, 9, 30)]
    report = verify(monkeypatch, reads=seen, last=LAST, missing=["0x1"])
    assert (report["ok"], report["linearizable"], report["lost"]) == (False, True, 2)
