"""Directed histories: the shortest that tell a correct core from one with a known bug.

Each is a function that raises InvariantViolation when a property fails, and passes on the
core as it stands. Their docstrings name the rule and where the history comes from.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from consensus.certificates import Kind, Seal
from consensus.errors import CorruptLog, DoubleSign
from consensus.events import PeerDown
from consensus.membership import MemberIndex, View
from consensus.messages import (
    Blocks,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    SealedBlock,
    Shown,
    ViewChange,
)
from consensus.sim.app import AGE_MS_MAX, digest_of
from consensus.sim.memory import require_bounded
from consensus.sim.stage import Stage, dropping, without
from consensus.sim.violation import InvariantViolation
from consensus.wire import signed_core

PATIENCE_MS = 2_000
"""Enough for two view changes from the base timeout."""


def require_height(stage: Stage, height: int, members: tuple[int, ...], why: str) -> None:
    """Raise unless each of `members` has applied `height`."""
    low = {i: stage.height(i) for i in members if stage.height(i) < height}
    if low:
        raise InvariantViolation("liveness", f"{why}: expected height {height}, got {low}")


def decided_by_one_then_cut_off() -> None:
    """Rule 1: one member decides alone and is cut off; the others must decide the same.

    The history that forks a view change without prepared certificates (found in Sawtooth).
    """
    stage = Stage(4)
    stage.submit(1)
    stage.settle(dropping(Commit, unless_to=1))
    require_height(stage, 1, (1,), "member 1 hears all COMMITs")
    stage.pass_time(PATIENCE_MS, lambda a, b, m: 1 not in (a, b) and not _is_vote_up_to(0, m))
    require_height(stage, 1, (0, 2, 3), "three of four go on")
    stage.pass_time(PATIENCE_MS)


def stale_certificate_returns() -> None:
    """Rule 4: a certificate of view 0 comes back after another block was decided in view 2."""
    stage = Stage(4)
    stage.submit(1)
    # Only member 1 prepares the first block; its word of that reaches nobody.
    stage.settle(_only_one_prepares)
    while stage.height(3) == 0 and stage.now_ms < PATIENCE_MS:
        stage.pass_time(10, _only_three_decides)
    require_height(stage, 1, (3,), "member 3 decides alone in a later view")
    decided_in = stage.view(3)
    stage.pass_time(
        2 * PATIENCE_MS, lambda a, b, m: 3 not in (a, b) and not _is_vote_up_to(decided_in, m)
    )
    require_height(stage, 1, (0, 1, 2), "three of four go on")
    stage.pass_time(PATIENCE_MS)


def _is_vote_up_to(view: int, message: object) -> bool:
    """A vote of `view` or below: dropped also when it is sent again."""
    return isinstance(message, PrePrepare | Prepare | Commit) and message.slot.view <= view


def _only_one_prepares(_source: int, target: int, message: object) -> bool:
    if isinstance(message, Prepare):
        return target == 1
    return not isinstance(message, Commit)


def _only_three_decides(source: int, target: int, message: object) -> bool:
    if 1 in (source, target) or _is_vote_up_to(0, message):
        return False
    return not isinstance(message, Commit) or target == 3


def liar_commits_to_another_block() -> None:
    """Votes count for one digest only: a Byzantine COMMIT to another is not the q-th vote."""
    stage = Stage(4, puppets=(3,))
    stage.submit(1)
    lie = stage.commit(3, stage.slot(0, 1), stage.body(1, 1, salt=7))
    for i in (0, 1, 2):
        stage.deliver(3, i, lie)
    stage.settle(lambda a, b, m: not isinstance(m, Commit) or (a, b) == (0, 1))
    for i in (0, 1, 2):
        if stage.height(i):
            raise InvariantViolation("agreement", f"member {i} decided with two COMMITs and a lie")
    stage.pass_time(PATIENCE_MS)
    require_height(stage, 1, (0, 1, 2), "the lie stops nobody")


def liar_prepares_another_block() -> None:
    """The same for PREPAREs (rule 2)."""
    stage = Stage(4, puppets=(3,))
    stage.submit(1)
    lie = stage.prepare(3, stage.slot(0, 1), stage.body(1, 1, salt=7))
    for i in (0, 1, 2):
        stage.deliver(3, i, lie)
    stage.settle(dropping(Prepare, Commit))
    stage.pass_time(PATIENCE_MS, dropping(Prepare, Commit))
    stage.pass_time(PATIENCE_MS)
    require_height(stage, 1, (0, 1, 2), "the lie stops nobody")


def two_groups_ask_for_different_views() -> None:
    """Rule 14: some have entered view 1 and ask for 3; others never entered it and ask for 2.

    Neither group is a quorum, so neither climbs: each must hear the other's VIEW-CHANGEs. A
    NEW-VIEW for view 1 does not help who has asked for a later one (found by seeds, n = 7).
    """
    stage = Stage(7)
    entered, left = (0, 1, 5), (2, 3, 4, 6)

    def new_view_reaches_some(_source: int, target: int, message: object) -> bool:
        is_vote = isinstance(message, PrePrepare | Prepare | Commit)
        return not is_vote and (not isinstance(message, NewView) or target in entered)

    def in_groups(source: int, target: int, message: object) -> bool:
        is_vote = isinstance(message, PrePrepare | Prepare | Commit | NewView)
        apart = isinstance(message, ViewChange) and (source in entered) != (target in entered)
        return not is_vote and not apart and (source != 2 or target in left)

    stage.submit(1)
    stage.settle(new_view_reaches_some)
    while stage.view(0) == 0 and stage.now_ms < PATIENCE_MS:
        stage.pass_time(10, new_view_reaches_some)
    for i in entered:
        stage.instance(i).step(PeerDown(MemberIndex(2)), stage.now_ms)
    stage.pass_time(600, in_groups)
    for dead in (1, 4):
        stage.stop(dead)
    if [stage.view(i) for i in (0, 5, 2, 3, 6)] != [1, 1, 0, 0, 0]:
        raise InvariantViolation("history", "the groups did not form")
    stage.pass_time(4 * PATIENCE_MS, without(1, 4))
    require_height(stage, 1, (0, 2, 3, 5, 6), f"groups {entered} and {left} meet")


def new_view_without_proof() -> None:
    """Rule 1: one member has decided; a Byzantine primary begins its view on forged words.

    Nobody asked for that view, and what its NEW-VIEW says was not prepared, was.
    """
    stage = Stage(4, puppets=(1,))
    stage.submit(1)
    stage.settle(dropping(Commit, unless_to=2))
    require_height(stage, 1, (2,), "member 2 hears all COMMITs")
    slot, other = stage.slot(1, 1), stage.body(1, 1, salt=7)
    for i in (0, 3):
        stage.deliver(1, i, stage.new_view(1, 1, (0, 1, 3)))
        stage.deliver(1, i, stage.pre_prepare(1, slot, other))
        stage.deliver(1, i, stage.commit(1, slot, other))
    stage.settle(without(2))
    stage.pass_time(2 * PATIENCE_MS)
    require_height(stage, 1, (0, 2, 3), "the forgery stops nobody")


def forged_accusation() -> None:
    """Rule 36: who shows a proposal that its primary never signed convicts nobody else."""
    stage = Stage(4, puppets=(3,))
    stage.submit(1)
    stage.settle(dropping(Prepare, Commit))
    slot = stage.slot(0, 1)
    forged = signed_core(stage.pre_prepare(3, slot, stage.body(1, 1, salt=7)))
    stage.deliver(3, 1, Shown(replace(forged, sender=MemberIndex(0))))
    stage.pass_time(PATIENCE_MS)
    require_height(stage, 1, (0, 1, 2), "the forgery stops nobody")


def vote_log_is_lost() -> None:
    """Rules 19, 25: a member that lost its vote log must not vote where it may have voted.

    The Byzantine primary shows it another block for the slot in which it had voted.
    """
    stage = Stage(4, puppets=(0,))
    slot = stage.slot(0, 1)
    one, other = stage.body(1, 1), stage.body(1, 1, salt=7)
    stage.cluster.checkers.validity.submitted.add(1)
    stage.deliver(0, 1, stage.pre_prepare(0, slot, one))
    stage.settle()
    stage.stop(1)
    stage.instance(1).disk.rewrite(b"")
    stage.start(1)
    stage.deliver(0, 1, stage.pre_prepare(0, slot, other))
    stage.settle()
    stage.pass_time(PATIENCE_MS)


def learner_hears_nobody() -> None:
    """Rule 19: a member that starts does not vote before q have shown it their heads."""
    stage = Stage(4, puppets=(0,))
    stage.stop(1)
    stage.start(1)
    stage.cluster.checkers.validity.submitted.add(1)
    stage.deliver(0, 1, stage.pre_prepare(0, stage.slot(0, 1), stage.body(1, 1)))
    stage.settle(without(1))
    if any(sender == 1 and isinstance(message, Prepare) for sender, message in stage.sent):
        raise InvariantViolation("learner", "member 1 voted before it knew where the others are")
    stage.pass_time(PATIENCE_MS)


def power_cut_after_a_decision() -> None:
    """Rules 21, 23: one member has decided, then all lose power and that one stays away.

    What the others had promised must be on their disks, body and all.
    """
    stage = Stage(4)
    stage.submit(1)
    stage.settle(dropping(Commit, unless_to=2))
    require_height(stage, 1, (2,), "member 2 hears all COMMITs")
    for i in stage.members:
        stage.stop(i)
    for waking in (0, 1, 3):
        stage.start(waking)
    stage.submit(2, (0, 1, 3))
    stage.pass_time(2 * PATIENCE_MS, without(2))
    require_height(stage, 1, (0, 1, 3), "the prepared block is decided")
    stage.start(2)
    stage.pass_time(PATIENCE_MS)


def old_block_is_carried() -> None:
    """Rule 32: a prepared block is carried after an outage, to a member that never saw it.

    Measured against the clock again it would be refused for ever (indy-plenum 1488).
    """
    stage = Stage(4)
    stage.submit(1, (0, 1, 2))
    stage.settle(dropping(Commit, cut_off=3))
    for i in stage.members:
        stage.stop(i)
    stage.now_ms += 2 * AGE_MS_MAX
    for waking in (1, 2, 3):
        stage.start(waking)
    stage.pass_time(2 * PATIENCE_MS, without(0))
    require_height(stage, 1, (1, 2, 3), "the prepared block is carried")


def long_outage() -> None:
    """Rule 11: recovery takes no longer after a minute without a quorum than after a second."""
    stage = Stage(4)
    stage.submit(1)
    stage.settle(without(2, 3))
    stage.pass_time(60_000, without(2, 3))
    stage.pass_time(PATIENCE_MS)
    require_height(stage, 1, (0, 1, 2, 3), f"{PATIENCE_MS} ms after a minute's outage")
    views = [stage.view(i) for i in stage.members]
    if max(views) > 2 * len(views):
        raise InvariantViolation("view_growth", f"views {views} after an outage")


def half_ask_for_a_view() -> None:
    """Rule 12: f + 1 members that want a view take the others along."""
    stage = Stage(4)
    stage.submit(1, (1, 2))
    # Two members see their primary fail; nobody else has anything to wait for.
    stage.settle(without(0))
    stage.pass_time(PATIENCE_MS, without(0))
    require_height(stage, 1, (1, 2, 3), "two of the three that are left ask for a view")
    stage.pass_time(PATIENCE_MS)


def flood() -> None:
    """Rules 13, 33: whatever a member sends, memory stays bounded."""
    stage = Stage(4, puppets=(3,))
    for k in range(1, 3_001):
        slot = stage.slot(k, 1 + k % 2)
        body = stage.body(1, 1, salt=k)
        stage.deliver(3, 0, stage.prepare(3, slot, body))
        stage.deliver(3, 0, stage.commit(3, slot, body))
        stage.deliver(3, 0, stage.view_change(3, k))
        if k % 4 == 3:
            stage.deliver(3, 0, stage.pre_prepare(3, slot, body))
    require_bounded(0, stage.instance(0).replica, 4)
    stage.drop_all()
    stage.submit(1)
    stage.settle()
    stage.pass_time(PATIENCE_MS)
    require_height(stage, 1, (0, 1, 2), "the flood stops nobody")


def forged_blocks() -> None:
    """Rule 20: a block without a valid seal is worthless, whoever serves it."""
    stage = Stage(4, puppets=(3,))
    body = stage.body(1, 1)
    slot = stage.slot(0, 1)
    own = stage.commit(3, slot, body)
    forged = tuple((MemberIndex(i), own.signature) for i in range(3))
    stage.deliver(3, 0, stage.commit(3, stage.slot(0, 5), body))  # Claims to be ahead.
    stage.settle()  # It asks for blocks.
    seal = Seal(view=View(0), signatures=forged)
    block = SealedBlock(height=slot.height, digest=digest_of(body), body=body, seal=seal)
    stage.deliver(3, 0, Blocks((block,)))
    stage.settle()
    if stage.height(0):
        raise InvariantViolation("seals", "member 0 applied a block with a forged seal")
    stage.submit(2)
    stage.pass_time(PATIENCE_MS)
    require_height(stage, 1, (0, 1, 2), "the forgery stops nobody")


def signer_is_asked_twice() -> None:
    """Rule 24: the same bytes again are the stored signature; others are refused."""
    stage = Stage(4)
    signer = stage.signer(1)
    slot = stage.slot(0, 9)
    first = signer.sign(Kind.PREPARE, slot, digest_of(b"a"))
    try:
        if signer.sign(Kind.PREPARE, slot, digest_of(b"a")) != first:
            raise InvariantViolation("signer", "another signature for the same bytes")
    except DoubleSign as error:
        raise InvariantViolation("signer", f"own vote not signed again: {error}") from error
    try:
        signer.sign(Kind.PREPARE, slot, digest_of(b"b"))
    except DoubleSign:
        return
    raise InvariantViolation("signer", "two digests signed for one slot")


def damaged_log() -> None:
    """Rule 26: a torn tail is cut off; damage before it stops the start."""
    stage = Stage(4)
    for nonce in (1, 2):
        stage.submit(nonce)
        stage.settle()
    disk = stage.instance(1).disk
    log = disk.durable_log
    stage.stop(1)
    disk.rewrite(log[:-5])
    try:
        stage.start(1)
    except CorruptLog as error:
        raise InvariantViolation("vote_log", f"a torn tail stops the start: {error}") from error
    stage.settle()
    stage.stop(1)
    middle = len(log) // 3
    disk.rewrite(log[:middle] + bytes([log[middle] ^ 1]) + log[middle + 1 :])
    try:
        stage.start(1)
    except CorruptLog:
        return
    raise InvariantViolation("vote_log", "a log with a hole was taken for whole")


SCENARIOS: Final[dict[str, Callable[[], None]]] = {
    scenario.__name__: scenario
    for scenario in (
        decided_by_one_then_cut_off,
        stale_certificate_returns,
        liar_commits_to_another_block,
        liar_prepares_another_block,
        two_groups_ask_for_different_views,
        new_view_without_proof,
        forged_accusation,
        vote_log_is_lost,
        learner_hears_nobody,
        power_cut_after_a_decision,
        old_block_is_carried,
        long_outage,
        half_ask_for_a_view,
        flood,
        forged_blocks,
        signer_is_asked_twice,
        damaged_log,
    )
}
