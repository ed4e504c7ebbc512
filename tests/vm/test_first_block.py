"""Block 0: from a genesis file alone, also where the state comes from the chain before."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import DecodeError
from crypto.hashing import Digest
from crypto.merkle import SparseMerkleTree
from tests.vm.chain import MEMBERS, START_MS, Chain, Toy, genesis
from vm.bytecode import environment
from vm.context import BlockInfo, Host
from vm.contract_state import remember_parent
from vm.errors import GenesisError, Revert
from vm.first_block import carry_over, first_header, following_set, founders
from vm.genesis import Genesis
from vm.machine import Machine
from vm.members import MemberSet
from vm.recovered import FIELDS, Recovered, recovered_from_json, recovered_to_json
from vm.state import Journal

SINCE = Recovered(
    genesis_hash=Digest(b"\1" * 32),
    height=70,
    block_hash=Digest(b"\2" * 32),
    time_ms=START_MS + 5_000,
    number=75,
    epoch=3,
    first_term=9,
    state_root=Digest(b"\3" * 32),
    file_hash=Digest(b"\4" * 32),
)
AFTER = replace(genesis(), recovered=SINCE)


def test_the_file_of_a_recovered_chain_round_trips():
    assert Genesis.from_json(AFTER.to_json()) == AFTER
    assert AFTER.hash != genesis().hash
    assert "recovered" not in json.loads(genesis().to_json()), "other files have no such entry"


def test_the_header_follows_from_the_file():
    header = Machine(AFTER, [Toy()]).first_header
    assert header == first_header(AFTER, SINCE)
    assert (header.number, header.time_ms) == (0, SINCE.time_ms)
    assert (header.parent_hash, header.state_root) == (AFTER.hash, SINCE.state_root)
    assert header.next_members_hash == founders(AFTER).hash()
    assert (founders(AFTER).epoch, founders(AFTER).first_term) == (3, 9)


def test_each_field_makes_another_chain():
    for field in fields(Recovered):
        old = getattr(SINCE, field.name)
        new = old + 1 if isinstance(old, int) else Digest(b"\7" * 32)
        assert replace(AFTER, recovered=replace(SINCE, **{field.name: new})).hash != AFTER.hash


def test_a_founded_chain_s_first_header_is_that_of_its_genesis_hooks():
    machine = Machine(genesis(), [Toy()])
    assert machine.first_header == machine.genesis_execution().header


def test_the_state_of_a_recovered_chain_is_not_made_from_nothing():
    with pytest.raises(AssertionError, match="comes from the one before"):
        Machine(AFTER, [Toy()]).genesis_execution()


def test_a_digest_has_32_bytes():
    with pytest.raises(DecodeError, match="32 bytes"):
        replace(SINCE, file_hash=b"\1" * 31)


def test_windows_go_on_counting():
    assert AFTER.window_at(START_MS) == genesis().window_at(START_MS) == 0
    assert AFTER.first_time_ms == SINCE.time_ms
    with pytest.raises(GenesisError, match=r"recovered\.time_ms"):
        replace(AFTER, recovered=replace(SINCE, time_ms=START_MS - 1))


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "junk", [None, True, 1.5, -1, 0, 2**63, "", "zz", "AB" * 32, "00" * 31, []]
)
def test_no_other_form_is_read(name, junk):
    given = {**recovered_to_json(SINCE), name: junk}
    with pytest.raises(DecodeError) as refused:
        recovered_from_json(given)
    assert refused.value.field == f"recovered.{name}"


@pytest.mark.parametrize("entry", [None, {}, [], 1, {**recovered_to_json(SINCE), "more": 1}])
def test_the_entry_has_exactly_its_fields(entry):
    document = {**json.loads(AFTER.to_json()), "recovered": entry}
    with pytest.raises(GenesisError):
        Genesis.from_json(json.dumps(document).encode())


@given(st.integers(1, 10), st.integers(0, 600), st.integers(0, 100))
def test_the_first_set_is_above_all_that_was(first_height, above, epoch):
    keys = sorted(bytes([i]) * 32 for i in range(4))
    before = MemberSet(epoch, first_height, epoch * 3, 16, tuple(keys))
    height = first_height - 1 + above
    new = following_set(before, height, reversed(keys))
    assert new.keys == before.keys
    assert new.epoch == before.epoch + 1
    assert new.first_term > before.term(max(height, first_height))
    assert new.term(1) == new.first_term


def test_bytecode_goes_on_counting_blocks():
    """NUMBER goes on; BLOCKHASH knows this chain's blocks by such numbers, and none before."""
    host = Host(genesis=AFTER, contracts={}, params={})
    journal = Journal({})
    for height in (1, 2, 3):
        remember_parent(journal, height, bytes([height]) * 32)
    block = BlockInfo(height=3, time_ms=SINCE.time_ms + 9, window=0, parent_hash=b"\3" * 32)
    env = environment(host, journal, block, origin=bytes(20))
    assert env.number == SINCE.number + 3
    found = [env.block_hash(number) for number in range(SINCE.number - 2, SINCE.number + 4)]
    hashes = [int.from_bytes(bytes([i]) * 32, "big") for i in (1, 2, 3)]
    assert found == [0, 0, *hashes, 0]


def test_a_chain_that_nobody_governs_cannot_be_followed():
    chain = Chain(Machine(genesis(), [Toy()]))
    tree = SparseMerkleTree(chain.nodes)
    members = chain.machine.genesis.members
    with pytest.raises(Revert) as refused:
        carry_over(chain.machine.host, chain.head, chain.state, tree, members)
    assert refused.value.code == "NO_GOVERNMENT"
    assert len(members) == len(MEMBERS)
