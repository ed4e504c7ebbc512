"""The schedule of protocol versions: values, encoding, and what a machine does by it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto import codec
from crypto.errors import DecodeError
from crypto.merkle import verify_proof
from tests.vm.chain import MEMBERS, OTHER, START_MS, Chain, Other, Toy, chain, genesis
from vm.block import Block
from vm.errors import BlockReason, GenesisError, InvalidBlock, UnsupportedProtocol
from vm.machine import Machine
from vm.protocol import (
    PROTOCOL_KEY,
    STEPS_MAX,
    Schedule,
    Step,
    decode_schedule,
    encode_schedule,
    first_schedule,
    missing_step,
    read_schedule,
    write_schedule,
)
from vm.state import Journal
from vm.versions import PROTOCOL_MAX, SUPPORTED_PROTOCOLS

ALICE, BOB = MEMBERS[:2]
TRANSFER = "transfer(address,uint256)"


@st.composite
def schedules(draw):
    first = draw(st.integers(1, 100))
    gaps = draw(st.lists(st.integers(1, 2**40), max_size=6))
    heights = [0]
    for gap in gaps:
        heights.append(heights[-1] + gap)
    return Schedule(tuple(Step(first + i, height) for i, height in enumerate(heights)))


@given(schedules(), st.integers(0, 2**42))
def test_at_each_height_one_version_is_in_force(schedule, height):
    step = schedule.at(height)
    assert step.first_height <= height
    later = schedule.after(height)
    assert later is None or later.version == step.version + 1
    assert later is None or later.first_height > height
    assert missing_step(schedule, height, (step.version,)) is None
    assert missing_step(schedule, height, (step.version + 1,)) == step


@given(schedules())
def test_a_schedule_survives_its_encoding(schedule):
    assert decode_schedule(encode_schedule(schedule)) == schedule


@given(schedules(), st.data())
def test_what_the_decoder_accepts_encodes_to_the_same_bytes(schedule, data):
    mutated = bytearray(encode_schedule(schedule))
    at = data.draw(st.integers(0, len(mutated) - 1))
    mutated[at] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_schedule(bytes(mutated))
    except DecodeError as error:
        assert error.field.startswith("protocol")  # noqa: PT017
    else:
        assert encode_schedule(decoded) == bytes(mutated)


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([], "protocol"),
        ([[1, 1]], "protocol.height"),
        ([[0, 0]], "protocol.version"),
        ([[PROTOCOL_MAX + 1, 0]], "protocol.version"),
        ([[1, 0], [3, 5]], "protocol.version"),
        ([[1, 0], [1, 5]], "protocol.version"),
        ([[1, 0], [2, 0]], "protocol.height"),
        ([[1, 0], [2, 2**63]], "protocol.height"),
        ([[1, 0], [2, 9], [3, 9]], "protocol.height"),
        ([[i + 1, i] for i in range(STEPS_MAX + 1)], "protocol"),
        ([[1]], "protocol.step"),
        (5, "protocol"),
    ],
)
def test_a_wrong_schedule_names_its_field(rows, field):
    with pytest.raises(DecodeError) as caught:
        decode_schedule(codec.encode(rows))
    assert caught.value.field == field


def with_versions(*protocols, first=1):
    return Chain(Machine(genesis(protocol_version=first), [Toy(), Other()], protocols=protocols))


def schedule(c, version, height):
    """Write a step into the state, as the vote does."""
    journal = Journal(c.state)
    write_schedule(journal, read_schedule(journal).then(Step(version, height)))
    changes = journal.changes()
    c.state.update(changes)
    c.nodes.update(c.tree.update(changes).nodes)


def test_genesis_begins_the_schedule_and_the_header_says_it():
    c = chain()
    assert read_schedule(c.state) == first_schedule(1)
    assert c.head.version == 1
    proof = c.tree.prove(PROTOCOL_KEY)
    verify_proof(c.head.state_root, PROTOCOL_KEY, encode_schedule(first_schedule(1)), proof)
    assert with_versions(1, 2, first=2).head.version == 2


def test_a_genesis_of_unknown_rules_is_refused():
    with pytest.raises(GenesisError) as caught:
        Machine(genesis(protocol_version=max(SUPPORTED_PROTOCOLS) + 1), [Toy(), Other()])
    assert caught.value.field == "protocol_version"


def test_the_header_says_the_version_in_force_on_both_sides_of_the_height():
    c = with_versions(1, 2)
    schedule(c, 2, 3)
    versions = []
    for _ in range(4):
        built = c.build([c.tx(ALICE, TRANSFER, BOB.address, 1)])
        assert c.execute(built.block).header == built.block.header
        c.apply(built.execution)
        versions.append((c.head.number, c.head.version))
    assert versions == [(1, 1), (2, 1), (3, 2), (4, 2)]


@pytest.mark.parametrize("lie", [0, 1, 3])
def test_a_header_of_another_version_is_invalid(lie):
    c = with_versions(1, 2)
    schedule(c, 2, 1)
    block = c.build([c.tx(ALICE, TRANSFER, BOB.address, 1)]).block
    wrong = Block(replace(block.header, version=lie), block.transactions)
    with pytest.raises(InvalidBlock) as caught:
        c.execute(wrong)
    assert (caught.value.reason, caught.value.field) == (
        BlockReason.WRONG_VERSION,
        "header.version",
    )


def test_software_that_lacks_the_rules_calls_no_block_invalid():
    """An invalid block is cause for a view change; a node that is too old must not ask for one."""
    new, old = with_versions(1, 2), with_versions(1)
    for c in (new, old):
        schedule(c, 2, 2)
        c.seal(c.tx(ALICE, TRANSFER, BOB.address, 1))
    assert new.head == old.head
    tx = new.tx(ALICE, TRANSFER, BOB.address, 1)
    block = new.build([tx]).block
    with pytest.raises(UnsupportedProtocol, match="version 2") as caught:
        old.execute(block)
    assert (caught.value.version, caught.value.height) == (2, 2)
    with pytest.raises(UnsupportedProtocol):
        old.build([tx])
    with pytest.raises(UnsupportedProtocol):
        old.machine.replay(old.head, block, old.state)
    assert old.call(OTHER).status == new.call(OTHER).status, "questions are answered still"
    old.machine.check_transaction(tx, old.state, START_MS + 5)


def test_two_versions_give_different_hashes_of_otherwise_equal_blocks():
    hashes = set()
    for first in (1, 2):
        c = with_versions(1, 2, first=first)
        hashes.add(replace(c.head, parent_hash=c.head.state_root).hash)
    assert len(hashes) == 2
