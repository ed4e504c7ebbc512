"""Activations on the wire: one encoding, named refusals, and signatures bound to all they mean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import Digest, keccak256
from crypto.keys import NodeKey
from tests.vm.chain import MEMBERS, TOY, Chain, Other, Toy, chain, genesis
from vm import gas
from vm.activation import (
    ACTIVATION_BYTES_MAX,
    ACTIVATION_TYPE,
    ActivationTransaction,
    Ready,
    decode_activation,
    is_activation,
    ready_digest,
)
from vm.block import Block
from vm.context import CallContext, Run
from vm.errors import BlockReason, InvalidBlock, InvalidTransaction, Revert, TxReason
from vm.machine import Machine
from vm.members import MEMBERS_MAX, NextMembers, keys_hash, quorum, read_members
from vm.native import NativeContract
from vm.state import Journal
from vm.transaction import decode

U64 = st.integers(0, 2**64 - 1)
READIES = st.builds(
    Ready,
    st.binary(min_size=32, max_size=32),
    U64,
    st.binary(min_size=64, max_size=64),
)
ACTIVATIONS = st.builds(
    ActivationTransaction,
    st.integers(1, 2**64 - 1),
    st.lists(READIES, min_size=1, max_size=6, unique_by=lambda ready: ready.node_key).map(
        lambda readies: tuple(sorted(readies, key=lambda ready: ready.node_key))
    ),
)
READY = Ready(b"\1" * 32, 7, bytes(64))


@given(ACTIVATIONS)
def test_what_is_encoded_decodes_to_the_same(tx):
    assert decode_activation(tx.raw) == tx
    assert is_activation(tx.raw)
    assert tx.hash == keccak256(tx.raw)
    with pytest.raises(InvalidTransaction) as caught:
        decode(tx.raw)
    assert caught.value.reason is TxReason.TYPE_NOT_SUPPORTED, "it is nobody's transaction"


@given(ACTIVATIONS, st.data())
def test_what_decodes_encodes_to_the_same(tx, data):
    at = data.draw(st.integers(0, len(tx.raw) - 1))
    mutated = tx.raw[:at] + data.draw(st.binary(max_size=3)) + tx.raw[at + 1 :]
    try:
        again = decode_activation(mutated)
    except DecodeError:
        return
    assert again.raw == mutated


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(data):
    for raw in (data, bytes((ACTIVATION_TYPE,)) + data):
        try:
            tx = decode_activation(raw)
        except DecodeError:
            continue
        assert tx.raw == raw


def rows(*readies):
    return [[ready.node_key, ready.height, ready.signature] for ready in readies]


OTHER = Ready(b"\2" * 32, 7, bytes(64))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("activation", [1]),
        ("activation", {}),
        ("activation.proposal_id", [0, rows(READY)]),
        ("activation.proposal_id", [True, rows(READY)]),
        ("activation.readies", [1, []]),
        ("activation.readies", [1, rows(OTHER, READY)]),
        ("activation.readies", [1, rows(READY, READY)]),
        ("activation.readies", [1, rows(READY) * (MEMBERS_MAX + 1)]),
        ("ready", [1, [[b"\1" * 32, 7]]]),
        ("ready.node_key", [1, [[b"\1" * 31, 7, bytes(64)]]]),
        ("ready.height", [1, [[b"\1" * 32, -1, bytes(64)]]]),
        ("ready.signature", [1, [[b"\1" * 32, 7, bytes(63)]]]),
    ],
)
def test_what_is_no_activation_is_refused_by_name(field, value):
    with pytest.raises(DecodeError) as caught:
        decode_activation(bytes((ACTIVATION_TYPE,)) + codec.encode(value))
    assert caught.value.field == field


def test_other_types_and_long_ones_are_refused():
    with pytest.raises(DecodeError, match=r"activation\.type"):
        decode_activation(b"\x7e\x91\x01")
    with pytest.raises(DecodeError, match="at most"):
        decode_activation(bytes((ACTIVATION_TYPE,)) + bytes(ACTIVATION_BYTES_MAX))


def test_the_largest_one_is_within_the_bound():
    readies = tuple(Ready(i.to_bytes(32, "big"), 2**64 - 1, bytes(64)) for i in range(MEMBERS_MAX))
    assert len(ActivationTransaction(2**64 - 1, readies).raw) <= ACTIVATION_BYTES_MAX


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("ready.node_key", (b"", 0, bytes(64))),
        ("ready.height", (bytes(32), 2**64, bytes(64))),
        ("ready.signature", (bytes(32), 0, b"")),
    ],
)
def test_a_ready_that_exists_is_a_valid_one(field, arguments):
    with pytest.raises(DecodeError) as caught:
        Ready(*arguments)
    assert caught.value.field == field


@given(st.binary(min_size=32, max_size=32), st.integers(1, 2**64 - 1), U64)
def test_a_ready_signs_chain_proposal_set_and_height(genesis_hash, proposal_id, height):
    key, keys = NodeKey(bytes(32)), keys_hash([b"\1" * 32])
    digest = ready_digest(genesis_hash, proposal_id, keys, height)
    ready = Ready(key.public, height, key.sign(digest))
    ready.verify(genesis_hash, proposal_id, keys)
    assert not ready.is_signed(bytes(31) + b"\1", proposal_id, keys)
    assert not ready.is_signed(genesis_hash, proposal_id - 1, keys)
    assert not ready.is_signed(genesis_hash, proposal_id, Digest(bytes(32)))
    other = Ready(key.public, (height + 1) % 2**64, ready.signature)
    assert not other.is_signed(genesis_hash, proposal_id, keys)


def test_a_chain_whose_contracts_govern_no_members_knows_no_activation():
    c = chain()
    tx = ActivationTransaction(1, (READY,))
    with pytest.raises(InvalidTransaction) as caught:
        c.machine.check_activation(tx, c.head, c.state, c.head.time_ms + 1)
    assert caught.value.reason is TxReason.BAD_ACTIVATION
    built = c.machine.build_block(c.head, c.head.time_ms + 1, [], c.state, c.tree, activations=[tx])
    assert built is None
    honest = c.build([c.tx(MEMBERS[0], "nothing()")])
    for raws in ((tx.raw,), (tx.raw, *honest.block.transactions)):
        with pytest.raises(InvalidBlock) as refused:
            c.execute(Block(honest.block.header, raws))
        assert refused.value.reason is BlockReason.INVALID_TRANSACTION
        assert refused.value.field == "transactions[0].proposal_id"


# On a chain whose governor admits whatever the READYs say -----------------------------------------

NODES = sorted((NodeKey(i.to_bytes(32, "big")) for i in range(MEMBERS_MAX)), key=lambda k: k.public)


class Governor(NativeContract):
    """Proposal n makes a set of the first n nodes; 13 changes its mind, 14 lets nobody in."""

    ADDRESS = bytes(18) + b"\x09\x97"
    NAME = "Governor"
    GOVERNS_MEMBERS = True

    def next_members(self, ctx, proposal_id):
        if proposal_id == 14:
            raise Revert("NOT_ACCEPTED")
        return NextMembers(tuple(key.public for key in NODES[:proposal_id]), None)

    def activate(self, ctx, proposal_id):
        ctx.put(b"last", bytes((proposal_id,)))
        if proposal_id == 13:
            raise Revert("UNLUCKY")
        ctx.change_members(self.next_members(ctx, proposal_id).keys)


def governed(**changes):
    return Chain(Machine(genesis(**changes), [Toy(), Other(), Governor()]))


def activation_of(c, count, *, signers=None):
    keys = keys_hash([key.public for key in NODES[:count]])
    digest = ready_digest(c.machine.genesis.hash, count, keys, c.head.number)
    rows = [Ready(key.public, c.head.number, key.sign(digest)) for key in NODES[: signers or count]]
    return ActivationTransaction(count, tuple(rows))


def build_with(c, *activations, candidates=(), wait_ms=1):
    return c.machine.build_block(
        c.head,
        c.head.time_ms + wait_ms,
        list(candidates),
        c.state,
        c.tree,
        activations=activations,
    )


def test_there_is_room_for_the_largest_activation_in_the_smallest_block():
    limit = 2_000_000
    c = governed(block_gas_limit=limit)
    for _ in range(2):
        c.seal(c.tx(MEMBERS[0], "setAlarm(uint64,bytes)", c.head.time_ms + 50, b"burst"))
    tx = activation_of(c, MEMBERS_MAX)
    assert limit < gas.TX_BASE + MEMBERS_MAX * gas.ED25519_VERIFY
    waiting = c.tx(MEMBERS[0], "nothing()", gas_limit=600_000)
    built = build_with(c, tx, candidates=[waiting], wait_ms=1_000)
    assert [raw[0] for raw in built.block.transactions] == [0x7E, ACTIVATION_TYPE]
    assert built.execution.receipts[1].gas_used == limit - gas.deadline_gas(limit)
    assert built.block.header.gas_used <= limit
    assert c.execute(built.block) == built.execution
    c.apply(built.execution)
    assert read_members(c.state).keys == tuple(key.public for key in NODES)


@given(st.integers(4, 24), st.integers(1, 24))
@settings(max_examples=25)
def test_exactly_a_quorum_of_the_new_set_decides(n, signers):
    if n in (13, 14):
        return
    c = governed()
    tx = activation_of(c, n, signers=min(signers, n))
    built = build_with(c, tx)
    assert (built is not None) == (min(signers, n) >= quorum(n))


@pytest.mark.parametrize("proposal_id", [13, 14])
def test_a_contracts_refusal_leaves_no_trace(proposal_id):
    c = governed()
    tx = activation_of(c, proposal_id)
    assert build_with(c, tx) is None
    transfer = c.tx(MEMBERS[0], "nothing()")
    built = build_with(c, tx, candidates=[transfer])
    assert built.void_activations == (tx,)
    assert built.execution == c.build([transfer]).execution


def test_only_the_governor_changes_members():
    c = governed()
    run = Run(c.machine._host, Journal(c.state), c.machine._info(1, 1, bytes(32)), 10**6)
    with pytest.raises(AssertionError):
        CallContext(run, TOY, caller=TOY, sponsor=b"").change_members([])
    view = CallContext(run, Governor.ADDRESS, caller=TOY, sponsor=b"", is_view=True)
    with pytest.raises(AssertionError):
        view.change_members([])
    for hook in (Toy().next_members, Toy().activate):
        with pytest.raises(AssertionError, match="governs no members"):
            hook(view, 1)
    assert view.member_set() == read_members(c.state)
