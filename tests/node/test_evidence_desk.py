"""Evidence is reported once, in turn, and NEW-VIEWs are kept within bounds."""

import pytest

from consensus.certificates import Kind, Slot
from consensus.events import Evidence
from consensus.evidence import EVIDENCE_BYTES_MAX, proof_from
from consensus.messages import GetHead, NewView
from consensus.wire import encode_message
from crypto.errors import DecodeError
from crypto.keys import AccountKey
from node.errors import MempoolFull
from node.evidence_desk import PENDING_MAX, TRIES_MAX, TURN_S, EvidenceDesk
from node.storage import new_views
from node.storage.evidence_store import EvidenceStore
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


def desk(path, turn=0):
    chain = FakeChain()
    return chain, EvidenceDesk(
        chain=chain,
        account=AccountKey(b"\1" * 32),
        turn=lambda: turn,
        store=EvidenceStore(path / "evidence", PENDING_MAX),
    )


def kept(path):
    return EvidenceStore(path / "evidence", PENDING_MAX).load()


def two(view=0, kind=Kind.COMMIT):
    return Evidence(vote(kind, A, view=view), vote(kind, B, view=view))


def test_an_offence_is_reported_once_and_dropped_when_it_is_on_record(tmp_path):
    chain, it = desk(tmp_path)
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


def test_each_member_leaves_the_one_before_it_time(tmp_path):
    chain, it = desk(tmp_path, turn=2)
    it.take(two(), 10.0)
    it.tick(10.0 + 2 * TURN_S - 0.1)
    assert chain.sent == []
    chain.is_recorded = True
    it.tick(10.0 + 2 * TURN_S)
    assert (chain.sent, it.pending) == ([], 0), "another was first"


def test_it_gives_up_after_some_tries_and_holds_a_bounded_number(tmp_path):
    chain, it = desk(tmp_path)
    chain.is_full = True
    it.take(two(), 0.0)
    for i in range(TRIES_MAX + 1):
        it.tick(i * TURN_S)
    assert it.pending == 0
    for view in range(2 * PENDING_MAX):
        it.take(two(view=view), 0.0)
    assert it.pending == PENDING_MAX


def test_who_has_no_vote_reports_nothing(tmp_path):
    _, it = desk(tmp_path, turn=None)
    it.take(two(), 0.0)
    assert (it.pending, it.convicted) == (0, 1)


def test_a_chain_without_the_contract_keeps_nothing(tmp_path):
    chain, it = desk(tmp_path)
    chain.contracts = {}
    it.take(two(), 0.0)
    it.tick(0.0)
    assert (chain.sent, it.pending) == ([], 0)


def test_what_is_pending_is_reported_after_a_restart(tmp_path):
    """Found by review: a node that stopped before its turn lost the proof."""
    _, before = desk(tmp_path, turn=1)
    before.take(two(), 10.0)
    chain, after = desk(tmp_path, turn=1)
    after.tick(100.0)
    assert (chain.sent, after.pending) == ([], 1), "its turn begins anew"
    after.tick(100.0 + TURN_S)
    assert len(chain.sent) == 1
    chain.is_recorded = True
    after.tick(100.0 + 2 * TURN_S)
    assert after.pending == 0
    assert kept(tmp_path) == []
    assert desk(tmp_path)[1].pending == 0


def test_what_is_given_up_is_not_kept(tmp_path):
    chain, it = desk(tmp_path)
    chain.is_full = True
    it.take(two(), 0.0)
    assert len(kept(tmp_path)) == 1
    for i in range(TRIES_MAX + 1):
        it.tick(i * TURN_S)
    assert kept(tmp_path) == []


def test_who_is_no_member_yet_keeps_what_it_had(tmp_path):
    desk(tmp_path)[1].take(two(), 0.0)
    turn = None
    chain = FakeChain()
    it = EvidenceDesk(
        chain=chain,
        account=AccountKey(b"\1" * 32),
        turn=lambda: turn,
        store=EvidenceStore(tmp_path / "evidence", PENDING_MAX),
    )
    it.tick(0.0)
    assert (it.pending, len(kept(tmp_path))) == (0, 1)
    turn = 0
    it.tick(1.0)
    assert (it.pending, len(chain.sent)) == (1, 1)


def test_files_that_are_no_evidence_are_removed_and_others_read(tmp_path):
    store = EvidenceStore(tmp_path / "evidence", PENDING_MAX)
    assert store.load() == []
    proof = proof_from(two().first, two().second)
    store.keep(proof)
    (good,) = store.path.iterdir()
    torn = store.path / f"{'0' * 64}.evidence"
    torn.write_bytes(good.read_bytes()[:-1])
    large = store.path / f"{'1' * 64}.evidence"
    large.write_bytes(bytes(2 * EVIDENCE_BYTES_MAX))
    assert store.load() == [proof]
    assert list(store.path.iterdir()) == [good]


def test_no_more_files_are_read_than_cases_are_held(tmp_path):
    _, it = desk(tmp_path)
    for view in range(2 * PENDING_MAX):
        it.take(two(view=view), 0.0)
    assert len(list((tmp_path / "evidence").iterdir())) == PENDING_MAX
    assert len(EvidenceStore(tmp_path / "evidence", 3).load()) == 3


def test_evidence_that_cannot_be_written_is_still_reported(tmp_path):
    (tmp_path / "evidence").write_text("in the way")
    chain, it = desk(tmp_path)
    it.take(two(), 0.0)
    it.tick(0.0)
    assert len(chain.sent) == 1


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
