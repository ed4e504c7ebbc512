"""Evidence is reported once, in turn, and NEW-VIEWs are kept within bounds."""

import pytest

from consensus.certificates import Kind, Slot
from consensus.events import Evidence
from consensus.messages import GetHead, NewView
from consensus.wire import encode_message
from crypto.errors import DecodeError
from crypto.keys import AccountKey
from node.errors import MempoolFull
from node.evidence_desk import PENDING_MAX, TRIES_MAX, TURN_S, EvidenceDesk
from node.storage import new_views
from node.storage.new_views import NewViewStore, load_new_views
from tests.consensus.test_evidence import SET, A, B, vote
from vm.questions import CallResult

ADDRESS = bytes(19) + b"\x0b"


class FakeContract:
    NAME = "accountability"
    ADDRESS = ADDRESS


class FakeChain:
    """What the desk asks of a chain: is it on record, and take this transaction."""

    chain_id = 7

    def __init__(self):
        self.machine = self
        self.contracts = {ADDRESS: FakeContract()}
        self.is_recorded = False
        self.is_full = False
        self.sent = []

    def membership(self):
        return SET

    def call(self, to, data, **_rest):
        assert to == ADDRESS
        return CallResult(
            status=1,
            output=int(self.is_recorded).to_bytes(32, "big"),
            gas_used=1,
            error="",
            logs=(),
        )

    def pending_nonce(self, _address):
        return len(self.sent)

    def submit(self, raw):
        if self.is_full:
            raise MempoolFull("full", 1000)
        self.sent.append(raw)


def desk(turn=0):
    chain = FakeChain()
    return chain, EvidenceDesk(chain=chain, account=AccountKey(b"\1" * 32), turn=lambda: turn)


def two(view=0, kind=Kind.COMMIT):
    return Evidence(vote(kind, A, view=view), vote(kind, B, view=view))


def test_an_offence_is_reported_once_and_dropped_when_it_is_on_record():
    chain, it = desk()
    it.take(two(), 10.0)
    it.take(two(), 10.0)
    assert (it.pending, it.convicted) == (1, 1)
    it.tick(10.0)
    assert len(chain.sent) == 1
    it.tick(10.1)
    assert len(chain.sent) == 1, "it waits for the seal"
    chain.is_recorded = True
    it.tick(10.0 + TURN_S)
    assert it.pending == 0
    assert len(chain.sent) == 1


def test_each_member_leaves_the_one_before_it_time():
    chain, it = desk(turn=2)
    it.take(two(), 10.0)
    it.tick(10.0 + 2 * TURN_S - 0.1)
    assert chain.sent == []
    chain.is_recorded = True
    it.tick(10.0 + 2 * TURN_S)
    assert (chain.sent, it.pending) == ([], 0), "another was first"


def test_it_gives_up_after_some_tries_and_holds_a_bounded_number():
    chain, it = desk()
    chain.is_full = True
    it.take(two(), 0.0)
    for i in range(TRIES_MAX + 1):
        it.tick(i * TURN_S)
    assert it.pending == 0
    for view in range(2 * PENDING_MAX):
        it.take(two(view=view), 0.0)
    assert it.pending == PENDING_MAX


def test_who_has_no_vote_reports_nothing():
    _, it = desk(turn=None)
    it.take(two(), 0.0)
    assert (it.pending, it.convicted) == (0, 1)


def test_a_chain_without_the_contract_keeps_nothing():
    chain, it = desk()
    chain.contracts = {}
    it.take(two(), 0.0)
    it.tick(0.0)
    assert (chain.sent, it.pending) == ([], 0)


def new_view(view):
    slot = Slot(epoch=0, term=0, view=view, height=0)
    return NewView(slot=slot, view_changes=(), sender=1, signature=bytes(64))


def test_new_views_are_kept_in_order_and_the_oldest_go(tmp_path, monkeypatch):
    monkeypatch.setattr(new_views, "NEW_VIEWS_KEPT", 3)
    store = NewViewStore(tmp_path / "new-views")
    for view in (1, 2, 10, 11, 3):
        store.keep(new_view(view))
    assert [m.slot.view for m in load_new_views(store.path)] == [3, 10, 11]
    size = next(store.path.iterdir()).stat().st_size
    monkeypatch.setattr(new_views, "BYTES_MAX", 2 * size)
    store.keep(new_view(12))
    assert [m.slot.view for m in load_new_views(store.path)] == [11, 12]


def test_a_disk_without_room_costs_only_the_evidence(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    NewViewStore(blocked / "new-views").keep(new_view(1))


def test_files_that_are_no_new_views_are_refused(tmp_path):
    path = tmp_path / "x.newview"
    path.write_bytes(b"\x93")
    with pytest.raises(DecodeError):
        load_new_views(path)
    path.write_bytes(encode_message(GetHead(b"n" * 32)))
    with pytest.raises(DecodeError, match="NEW-VIEW"):
        load_new_views(path)
