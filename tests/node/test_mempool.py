"""The mempool against a model: who is admitted, who comes first in a block, what is dropped."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from crypto.hashing import keccak256
from node.errors import MempoolFull
from node.mempool import Account, Mempool, MempoolConfig
from vm.errors import InvalidTransaction, TxReason
from vm.transaction import Transaction, TxKind

SPONSORS = [bytes([s]) * 20 for s in (1, 2)]
SENDERS = {bytes([i]) * 20: SPONSORS[i % 2] for i in (10, 11, 12)}
CONFIG = MempoolConfig(
    sponsor_count_max=6, sponsor_bytes_max=3000, nonce_gap_max=2, time_to_live_ms=50
)


def make_tx(sender: bytes, nonce: int, *, gas: int = 100, salt: int = 0, size: int = 100):
    raw = sender + nonce.to_bytes(8, "big") + salt.to_bytes(2, "big") + gas.to_bytes(8, "big")
    raw = raw.ljust(size, b"\0")
    return Transaction(
        kind=TxKind.LEGACY,
        chain_id=1,
        nonce=nonce,
        gas_limit=gas,
        to=bytes(20),
        value=0,
        data=b"",
        access_list=(),
        gas_price=0,
        max_fee=0,
        max_priority=0,
        y_parity=0,
        r=1,
        s=1,
        raw=raw,
        hash=keccak256(raw),
    ).with_sender(sender)


class State:
    """Accounts as at some head."""

    def __init__(self) -> None:
        self.nonces = dict.fromkeys(SENDERS, 0)
        self.left = dict.fromkeys(SPONSORS, 1000)

    def account(self, address):
        if address not in self.nonces:
            return None
        return Account(self.nonces[address], SENDERS[address])

    def gas_left(self, sponsor, now_ms):
        return self.left[sponsor]


def pool_of(state=None, config=CONFIG):
    return Mempool(config=config, accounts=state or State())


def reason_of(pool, tx, now_ms=0):
    with pytest.raises(InvalidTransaction) as caught:
        pool.add(tx, now_ms)
    return caught.value.reason


A, B, C = sorted(SENDERS)  # A and C have one sponsor, B another.


def test_refusals_name_their_reason_and_change_nothing():
    state = State()
    state.nonces[A] = 3
    pool = pool_of(state)
    assert reason_of(pool, make_tx(bytes(20), 0)) is TxReason.UNREGISTERED
    assert reason_of(pool, make_tx(A, 2)) is TxReason.NONCE_TOO_LOW
    assert reason_of(pool, make_tx(A, 6)) is TxReason.NONCE_TOO_HIGH
    assert reason_of(pool, make_tx(A, 3, gas=1001)) is TxReason.QUOTA_EXCEEDED
    assert len(pool) == 0
    pool.add(make_tx(A, 3), 0)
    assert reason_of(pool, make_tx(A, 3)) is TxReason.ALREADY_KNOWN
    assert reason_of(pool, make_tx(A, 3, salt=1)) is TxReason.REPLACEMENT_UNDERPRICED
    assert len(pool) == 1


def test_the_gap_counts_from_what_waits_in_a_row():
    pool = pool_of()
    for nonce in (0, 1, 2):
        pool.add(make_tx(A, nonce), 0)
    pool.add(make_tx(A, 5), 0)
    assert pool.pending_nonce(A) == 3
    assert reason_of(pool, make_tx(A, 6)) is TxReason.NONCE_TOO_HIGH
    pool.add(make_tx(A, 3), 0)
    pool.add(make_tx(A, 4), 0)
    assert pool.pending_nonce(A) == 6
    assert pool.pending_nonce(B) is None


def test_a_sponsor_that_fills_its_share_leaves_room_for_others():
    pool = pool_of()
    for nonce in range(6):
        pool.add(make_tx(A, nonce), 0)
    with pytest.raises(MempoolFull) as caught:
        pool.add(make_tx(C, 0), 0)
    assert caught.value.retry_after_ms > 0
    pool.add(make_tx(B, 0), 0)


def test_a_share_is_bounded_in_bytes():
    pool = pool_of()
    pool.add(make_tx(A, 0, size=2000), 0)
    with pytest.raises(MempoolFull):
        pool.add(make_tx(A, 1, size=1001), 0)
    pool.add(make_tx(A, 1, size=1000), 0)


def test_blocks_are_filled_in_turn_by_sponsor_then_by_lane():
    pool = pool_of()
    for nonce in range(3):
        pool.add(make_tx(A, nonce), 0)
    pool.add(make_tx(C, 0), 0)
    pool.add(make_tx(B, 0), 0)
    pool.add(make_tx(B, 1), 0)
    first = [(tx.sender(), tx.nonce) for tx in pool.candidates()]
    assert first in (
        [(A, 0), (B, 0), (C, 0), (B, 1), (A, 1), (A, 2)],
        [(B, 0), (A, 0), (B, 1), (C, 0), (A, 1), (A, 2)],
    )
    second = [tx.sender() for tx in pool.candidates()]
    assert SENDERS[second[0]] != SENDERS[first[0][0]]


def test_a_sponsor_without_quota_keeps_nobody_waiting():
    state = State()
    pool = pool_of(state)
    pool.add(make_tx(A, 0), 0)
    assert pool.has_executable(0)
    state.left[SENDERS[A]] = 99
    assert not pool.has_executable(0)
    state.left[SENDERS[A]] = 100
    assert pool.has_executable(0)


def test_a_gap_is_not_executable():
    pool = pool_of()
    pool.add(make_tx(A, 1), 0)
    assert not pool.has_executable(0)
    assert list(pool.candidates()) == []


def test_a_sender_that_lost_its_registration_is_dropped():
    state = State()
    pool = pool_of(state)
    pool.add(make_tx(A, 0), 0)
    pool.add(make_tx(A, 1), 0)
    del state.nonces[A]
    pool.on_block([A, B], 0)
    assert len(pool) == 0
    assert not pool.has_executable(0)


def test_what_waits_too_long_expires():
    pool = pool_of()
    pool.add(make_tx(A, 0), 0)
    pool.add(make_tx(A, 1), 10)
    pool.expire(49)
    assert len(pool) == 2
    pool.expire(50)
    assert [tx.nonce for tx in pool.transactions()] == [1]
    assert pool.pending_nonce(A) == 0


class MempoolMatchesModel(RuleBasedStateMachine):
    """The model is the plain list of (tx, expiry) and the rules applied to it one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.pool = pool_of(self.state)
        self.model: dict[tuple[bytes, int], tuple[Transaction, int]] = {}
        self.now = 0

    def free(self, sender: bytes) -> int:
        nonce = self.state.nonces[sender]
        while (sender, nonce) in self.model:
            nonce += 1
        return nonce

    def of_sponsor(self, sponsor: bytes) -> list[Transaction]:
        return [tx for (s, _), (tx, _) in self.model.items() if SENDERS[s] == sponsor]

    def is_admissible(self, tx: Transaction) -> bool:
        sender, sponsor = tx.sender(), SENDERS[tx.sender()]
        held = self.of_sponsor(sponsor)
        return (
            self.state.nonces[sender] <= tx.nonce <= self.free(sender) + CONFIG.nonce_gap_max
            and (sender, tx.nonce) not in self.model
            and tx.gas_limit <= self.state.left[sponsor]
            and len(held) < CONFIG.sponsor_count_max
            and sum(len(t.raw) for t in held) + len(tx.raw) <= CONFIG.sponsor_bytes_max
        )

    @rule(
        sender=st.sampled_from(sorted(SENDERS)),
        offset=st.integers(-1, 4),
        gas=st.sampled_from([100, 900]),
        size=st.sampled_from([100, 1500]),
    )
    def add(self, sender, offset, gas, size):
        nonce = max(0, self.state.nonces[sender] + offset)
        tx = make_tx(sender, nonce, gas=gas, size=size, salt=self.now)
        is_admissible = self.is_admissible(tx)
        try:
            self.pool.add(tx, self.now)
            assert is_admissible
            self.model[sender, nonce] = (tx, self.now + CONFIG.time_to_live_ms)
        except (InvalidTransaction, MempoolFull):
            assert not is_admissible

    @rule(count=st.integers(0, 5), passed=st.integers(1, 30))
    def block(self, count, passed):
        self.now += passed
        taken = list(self.pool.candidates())[:count]
        for tx in taken:
            assert tx.nonce == self.state.nonces[tx.sender()]
            self.state.nonces[tx.sender()] += 1
        self.pool.on_block([tx.sender() for tx in taken], self.now)
        self.model = {
            (s, n): (tx, until)
            for (s, n), (tx, until) in self.model.items()
            if n >= self.state.nonces[s] and until > self.now
        }

    @rule(sponsor=st.sampled_from(SPONSORS), left=st.sampled_from([0, 150, 1000]))
    def quota(self, sponsor, left):
        self.state.left[sponsor] = left

    @rule(pick=st.integers(0, 5))
    def remove(self, pick):
        if pick < len(self.model):
            key = list(self.model)[pick]
            self.pool.remove(self.model.pop(key)[0].hash)

    @invariant()
    def holds_what_the_model_holds(self):
        held = {tx.hash for tx, _ in self.model.values()}
        assert {tx.hash for tx in self.pool.transactions()} == held
        assert len(self.pool) == len(held)
        assert all(self.pool.get(digest) is not None for digest in held)

    @invariant()
    def candidates_are_all_that_can_run_each_lane_in_order(self):
        found = [(tx.sender(), tx.nonce) for tx in self.pool.candidates()]
        expected = [
            (sender, nonce)
            for sender in SENDERS
            for nonce in range(self.state.nonces[sender], self.free(sender))
        ]
        assert sorted(found) == sorted(expected)
        for sender in SENDERS:
            nonces = [n for s, n in found if s == sender]
            assert nonces == sorted(nonces)

    @invariant()
    def executable_if_a_first_transaction_fits_its_quota(self):
        expected = any(
            (tx := self.model.get((s, self.state.nonces[s]))) is not None
            and tx[0].gas_limit <= self.state.left[SENDERS[s]]
            for s in SENDERS
        )
        assert self.pool.has_executable(self.now) == expected


TestMempool = MempoolMatchesModel.TestCase
