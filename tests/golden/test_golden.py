"""Recorded chains still give what they gave: format and rules of a protocol do not change."""

from collections import Counter

import pytest

from crypto import abi
from crypto.abi_event import parse_event
from crypto.hashing import keccak256
from crypto.merkle import SparseMerkleTree
from market.abi import ADDRESSES, EVENTS, FUNCTIONS
from node.natives import NATIVES
from tests.golden.record import FILE_BYTES_MAX, decode_golden, make, path_of
from vm import gas
from vm.activation import ACTIVATION_TYPE
from vm.block import encode_block
from vm.errors import InvalidBlock
from vm.machine import Machine
from vm.receipt import decode_receipt, encode_receipt
from vm.transaction import DEADLINE_TYPE, decode
from vm.versions import SUPPORTED_PROTOCOLS

CHANGED = (
    "the golden chain of protocol {protocol} does not give what it gave: block {height}: {what}. "
    "This is a new version of the protocol: see tests/golden/README.md"
)


@pytest.fixture(scope="module", params=SUPPORTED_PROTOCOLS)
def golden(request):
    return decode_golden(path_of(request.param).read_bytes())


def broken(golden, height, what):
    pytest.fail(
        CHANGED.format(protocol=golden.genesis.protocol_version, height=height, what=what),
        pytrace=False,
    )


class Replay:
    """State and tree in dicts, block after block."""

    def __init__(self, machine):
        self.machine = machine
        self.state, self.nodes = {}, {}
        self.apply(machine.genesis_execution())

    def apply(self, execution):
        for store, changes in (
            (self.state, execution.changes),
            (self.nodes, execution.tree_update.nodes.items()),
        ):
            for key, value in changes:
                if value is None:
                    store.pop(key, None)
                else:
                    store[key] = value
        self.head = execution.header

    def execute(self, block):
        tree = SparseMerkleTree(self.nodes)
        return self.machine.execute_block(self.head, block, self.state, tree)


def replay(golden):
    """Execute all of it; fail where anything differs."""
    chain = Replay(Machine(golden.genesis, NATIVES))
    if chain.head.hash != golden.first_hash:
        broken(golden, 0, "the state of genesis differs")
    for encoded, block, receipts in golden.blocks:
        height = block.header.number
        if encode_block(block) != encoded:
            broken(golden, height, "the block is encoded in another way")
        try:
            execution = chain.execute(block)
        except InvalidBlock as error:
            broken(golden, height, f"the block is invalid now: {error}")
        if tuple(map(encode_receipt, execution.receipts)) != receipts:
            broken(golden, height, "receipts differ")
        if execution.header != block.header:
            broken(golden, height, "the header differs")
        chain.apply(execution)
    return chain


def test_it_gives_what_it_gave(golden):
    chain = replay(golden)
    assert chain.head.hash == golden.head_hash, CHANGED
    assert tuple(sorted(chain.state.items())) == golden.state, CHANGED
    assert all(decode_receipt(raw) for _, _, receipts in golden.blocks for raw in receipts)


def test_each_supported_protocol_has_one_and_it_is_small():
    for protocol in SUPPORTED_PROTOCOLS:
        assert len(path_of(protocol).read_bytes()) <= FILE_BYTES_MAX
        assert (
            decode_golden(path_of(protocol).read_bytes()).blocks[-1][1].header.version == protocol
        )


def test_everything_that_a_chain_can_hold_is_in_it(golden):
    """Otherwise it would guard nothing: each kind, function, event and outcome."""
    known = {
        (ADDRESSES[contract], abi.selector(function.signature)): (contract, function.name)
        for contract, table in FUNCTIONS.items()
        for function in table.values()
        if not function.is_view
    }
    kinds, called, topics, statuses, created = Counter(), set(), set(), Counter(), 0
    for _, block, receipts in golden.blocks:
        for raw, encoded in zip(block.transactions, receipts, strict=True):
            receipt = decode_receipt(encoded)
            topics |= {(log.address, log.topics[0]) for log in receipt.logs}
            if raw[0] in (ACTIVATION_TYPE, DEADLINE_TYPE):
                kinds[raw[0]] += 1
                continue
            tx = decode(raw)
            kinds[tx.kind] += 1
            statuses[receipt.status] += 1
            created += tx.to is None
            if receipt.status:
                called.add(known.get((tx.to, tx.data[:4])))
    assert set(kinds) == {0, 1, 2, ACTIVATION_TYPE, DEADLINE_TYPE}
    assert kinds[ACTIVATION_TYPE] == 4, "admission, rotation, reincarnation, eviction"
    assert set(known.values()) <= called
    assert created == 3
    assert statuses[0] >= 3, "refused, reverted, out of gas"
    missing = {
        (contract, event.SIGNATURE)
        for contract, events in EVENTS.items()
        for event in events
        if (ADDRESSES[contract], keccak256(parse_event(event.SIGNATURE).signature.encode()))
        not in topics
    }
    assert missing == set()


def test_the_script_still_records(golden):
    """What it records today replays; a chain of a new version comes from it, too."""
    again = decode_golden(make())
    assert again.genesis.protocol_version == SUPPORTED_PROTOCOLS[-1]
    assert len(again.blocks) > 100 * 2 // 3
    assert replay(again).head.hash == again.head_hash


@pytest.mark.parametrize("name", ["LOG", "WRITE_NEW", "TX_BASE", "DEADLINE_BASE", "ED25519_VERIFY"])
def test_a_change_of_rules_shows(golden, monkeypatch, name):
    """Mutants: one price each; the message says what such a change is."""
    monkeypatch.setattr(gas, name, getattr(gas, name) + 1)
    with pytest.raises(pytest.fail.Exception, match=r"new version of the protocol.*README"):
        replay(golden)
