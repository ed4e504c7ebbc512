"""Nonces, refusals, lost transactions: every duty is done once, in order, and not twice."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.agents.actions import AskNonce, SendTransaction
from market.agents.nonce_lane import IN_FLIGHT_MAX, REFUSALS_MAX
from market.agents.observations import NonceAnswer, SendRefused, Tick, TransactionSealed
from market.agents.outbox import ATTEMPTS_MAX, DUTIES_MAX, Outbox

PATIENCE_MS, RETRY_MS = 1_000, 100


def outbox() -> Outbox:
    return Outbox(("a",), patience_ms=PATIENCE_MS, retry_ms=RETRY_MS)


def attempt(box: Outbox, number: int, now_ms: int):
    return box.attempt(
        ("duty", number), now_ms, account="a", contract="Market", function="enrol", args=(number,)
    )


class Node:
    """A node that admits in nonce order, loses, refuses at random, and seals what it has."""

    def __init__(self, rng: random.Random, trouble: float) -> None:
        self.rng = rng
        self.trouble = trouble
        self.sealed: list[int] = []
        """Arguments of the sealed calls, in order."""
        self.pool: list[SendTransaction] = []

    @property
    def nonce(self) -> int:
        return len(self.sealed) + len(self.pool)

    def perform(self, actions) -> list:
        """Return the observations that follow."""
        answers: list = []
        for action in actions:
            if isinstance(action, AskNonce):
                if self.rng.random() >= self.trouble:
                    answers.append(NonceAnswer("a", self.nonce))
            elif action.nonce != self.nonce or self.rng.random() < self.trouble:
                answers.append(SendRefused("a", action.nonce, "no"))
            else:
                self.pool.append(action)
        return answers

    def seal(self) -> list:
        if self.rng.random() < self.trouble:
            self.pool = self.pool[: self.rng.randint(0, len(self.pool))]  # Dropped by time.
        seen = [TransactionSealed("a", action.nonce, is_success=True) for action in self.pool]
        self.sealed += [action.args[0] for action in self.pool]
        self.pool = []
        return seen


@given(st.integers(0, 2**32), st.integers(1, 30), st.floats(0, 0.4))
def test_whatever_the_node_does_each_duty_is_sealed_at_most_once(seed, duties, trouble) -> None:
    node, box = Node(random.Random(seed), trouble), outbox()
    calm_ms = 20_000
    for now in range(0, 60_000, 50):
        if now == calm_ms:
            node.trouble = 0.0
        work = [attempt(box, n, now) for n in range(duties)] if now >= 50 else []
        queue = [*work, box.step(Tick(), now)]
        while queue:
            queue += [box.step(seen, now) for seen in node.perform(queue.pop(0))]
        for observation in node.seal():
            box.step(observation, now)
    # A transaction may vanish after the chain counted it as pending; then the duty is tried again
    # only because no event has told of it. What is sealed is never sent again.
    assert len(node.sealed) == len(set(node.sealed))
    if trouble == 0:
        assert node.sealed == list(range(duties))


def test_calls_wait_for_the_chains_nonce_and_keep_their_order() -> None:
    box = outbox()
    assert attempt(box, 1, 0) == (AskNonce("a"),)
    assert attempt(box, 2, 0) == ()
    sent = box.step(NonceAnswer("a", 7), 5)
    assert [(action.nonce, action.args) for action in sent] == [(7, (1,)), (8, (2,))]
    (third,) = attempt(box, 3, 6)
    assert third.nonce == 9


def test_a_failed_duty_is_tried_again_after_a_rest_and_given_up_in_the_end() -> None:
    box = outbox()
    attempt(box, 1, 0)
    box.step(NonceAnswer("a", 0), 0)
    for nonce in range(ATTEMPTS_MAX):
        now = nonce * 1_000
        box.step(TransactionSealed("a", nonce, is_success=False), now)
        assert attempt(box, 1, now + RETRY_MS - 1) == ()
        again = attempt(box, 1, now + RETRY_MS)
        assert len(again) == (nonce + 1 < ATTEMPTS_MAX)


def test_a_done_duty_is_not_sent() -> None:
    box = outbox()
    box.done(("duty", 1))
    assert box.is_done(("duty", 1))
    assert attempt(box, 1, 0) == ()


def test_a_refused_transaction_goes_again_under_the_chains_nonce() -> None:
    """Somebody used the account elsewhere: the node says the nonce is too low."""
    box = outbox()
    attempt(box, 1, 0)
    box.step(NonceAnswer("a", 0), 0)
    assert box.step(SendRefused("a", 0, "nonce too low"), RETRY_MS) == (AskNonce("a"),)
    # The chain is two ahead, so our call counts as sealed with unknown outcome: no second send
    # until its event had time to come.
    assert box.step(NonceAnswer("a", 2), RETRY_MS + 1) == ()
    assert attempt(box, 1, RETRY_MS + PATIENCE_MS) == ()
    (again,) = attempt(box, 1, RETRY_MS + PATIENCE_MS + 1)
    assert again.nonce == 2


def test_a_call_that_no_node_takes_does_not_block_the_lane_for_ever() -> None:
    box = outbox()
    attempt(box, 1, 0)
    attempt(box, 2, 0)
    now, actions = 0, box.step(NonceAnswer("a", 0), 0)
    for _ in range(50):
        now += RETRY_MS
        if [a.args for a in actions if isinstance(a, SendTransaction)] == [(2,)]:
            return
        for action in actions:
            if isinstance(action, SendTransaction):
                box.step(SendRefused("a", action.nonce, "poison"), now)
        now += RETRY_MS
        asked = box.step(Tick(), now)
        actions = box.step(NonceAnswer("a", 0), now) if AskNonce("a") in asked else ()
    pytest.fail(f"still stuck after more than {REFUSALS_MAX} refusals")


def test_silence_is_answered_by_asking() -> None:
    box = outbox()
    attempt(box, 1, 0)
    box.step(NonceAnswer("a", 0), 0)
    assert box.step(Tick(), PATIENCE_MS - 1) == ()
    assert box.step(Tick(), PATIENCE_MS) == (AskNonce("a"),)


def test_the_lane_is_bounded() -> None:
    box = outbox()
    for number in range(IN_FLIGHT_MAX + 5):
        attempt(box, number, 0)
    assert len(box.step(NonceAnswer("a", 0), 0)) == IN_FLIGHT_MAX


def test_what_others_did_does_not_pile_up() -> None:
    """Every event of the chain may note a duty as done, for years."""
    box = outbox()
    for number in range(DUTIES_MAX + 100):
        box.done(("seen", number))
    assert len(box._duties) <= DUTIES_MAX
    assert box.is_done(("seen", DUTIES_MAX + 99))
    assert not box.is_done(("seen", 0))
