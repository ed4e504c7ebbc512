"""What a node makes of the schedule: words, rest, and what it refuses to read."""

import asyncio
import dataclasses
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.events import Rest
from node.chain import Chain
from node.errors import StorageError
from node.protocols import (
    TOO_OLD,
    ProtocolStatus,
    explain_peers,
    explain_protocols,
    lacks_rules,
    protocol_status,
    rest_if_too_old,
    too_old,
)
from node.snapshot_service import SnapshotService
from node.snapshot_wire import Offer
from node.storage.block_store import ChainStore
from tests.node.light_rig import GOVERNOR, Governor, SealedChain
from tests.node.rpc.rig import SEAL
from tests.vm.chain import Toy
from vm.machine import Machine
from vm.protocol import Step


def status(in_force=1, since=0, *, coming=None, supported=(1,)):
    return ProtocolStatus(
        in_force=Step(in_force, since),
        coming=None if coming is None else Step(*coming),
        supported=supported,
    )


def test_nothing_is_said_while_all_is_known():
    assert explain_protocols(status(), height=7) == []
    known = status(coming=(2, 50), supported=(1, 2))
    assert explain_protocols(known, height=7) == []
    assert too_old(known) is None
    assert explain_peers(status(), [peer("h1", 1), peer("h2", 0)]) == []


def test_before_the_height_it_warns_and_says_how_much_time_is_left():
    (said,) = explain_protocols(status(coming=(2, 50)), height=7)
    assert "In 43 blocks, at block 50, protocol version 2" in said
    assert "supports 1 only" in said
    assert TOO_OLD not in said


def test_from_the_height_on_it_names_version_height_and_remedy():
    rests = status(3, 50, supported=(1, 2))
    said, todo = explain_protocols(rests, height=49)
    assert said == f"{too_old(rests)}."
    assert said.startswith(
        "VERSION_TOO_OLD: from block 50 on protocol version 3 is in force, and this node's "
        "software supports 1, 2 only"
    )
    assert "Install software that supports protocol version 3 and start the node again" in todo


@given(st.integers(1, 9), st.integers(1, 9))
def test_it_is_too_old_exactly_if_it_lacks_what_is_in_force(in_force, newest):
    each = status(in_force, 5, supported=tuple(range(1, newest + 1)))
    assert (too_old(each) is None) == (in_force <= newest) == (each.missing is None)


def peer(name, protocol, *, is_observer=False):
    return SimpleNamespace(name=name, protocol=protocol, is_observer=is_observer)


def test_peers_are_named_by_what_their_hello_says():
    peers = [
        peer("h1", 2),
        peer("h3", 1),
        peer("h2", 1),
        peer("unheard", 0),
        peer("candidate", 1, is_observer=True),
    ]
    (said,) = explain_peers(status(coming=(2, 50), supported=(1, 2)), peers)
    assert "version 2 is in force from block 50 on" in said
    assert "at h2 (up to 1), h3 (up to 1):" in said
    assert "unheard" not in said
    assert "candidate" not in said


@pytest.fixture
def upgraded(tmp_path):
    """Version 2 is in force from block 3 on; the head is block 2."""
    made = SealedChain(tmp_path / "chain", protocols=(1, 2))
    made.submit(0, GOVERNOR, "setProtocol(uint64,uint64)", 2, 3)
    made.seal()
    made.transfer()
    yield made
    made.close()


def reopened(made, folder, protocols):
    """Open its database with other software."""
    made.close()
    made.store = ChainStore(folder, made.genesis.hash)
    machine = Machine(made.genesis, (Toy(), Governor()), protocols=protocols)
    return Chain(machine, made.store, now_ms=lambda: made.now_ms)


def test_old_software_opens_what_it_can_read_and_rests(upgraded, tmp_path):
    assert rest_if_too_old(upgraded.chain) is None
    old = reopened(upgraded, tmp_path / "chain", (1,))
    assert lacks_rules(old)
    assert rest_if_too_old(old) == Rest()
    assert protocol_status(old).missing == Step(2, 3)
    assert old.head.number == 2
    new = reopened(upgraded, tmp_path / "chain", (1, 2))
    assert not lacks_rules(new)


def test_old_software_does_not_open_a_state_of_rules_that_it_does_not_know(upgraded, tmp_path):
    upgraded.transfer()
    with pytest.raises(StorageError, match="head block 3 is made by protocol version 2"):
        reopened(upgraded, tmp_path / "chain", (1,))


@pytest.mark.parametrize(("version", "is_taken"), [(1, True), (2, False)])
def test_a_snapshot_of_unknown_rules_is_not_taken(upgraded, tmp_path, version, is_taken):
    old = reopened(upgraded, tmp_path / "chain", (1,))
    service = SnapshotService(
        chain=old,
        links=SimpleNamespace(up=frozenset(), send=lambda *_: None),
        folder=tmp_path / "join",
        rest=lambda: None,
        reopen=lambda: None,
    )
    header = dataclasses.replace(old.head, number=100_000, version=version)

    async def hear():
        service._on_offers(1, (Offer(header, SEAL),))
        return service._best()

    assert (asyncio.run(hear()) is not None) == is_taken
