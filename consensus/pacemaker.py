"""When to give a view up, and when to repeat oneself (rules 11 to 16).

Comes last in every step, when the event has been taken in and no rule applies any more: so
what the event brought counts before patience is lost.
"""

from consensus.catch_up import fetch_blocks, fetch_body
from consensus.membership import View
from consensus.recovery import ask_heads_again, become_learner
from consensus.retransmission import broadcast_status
from consensus.state import State
from consensus.view_change import ask, has_quorum_for_asked, next_online_view


def begin_step(s: State, now_ms: int) -> None:
    """Take over the time; the first step opens with a learner's questions and a STATUS.

    A step that comes later than any heartbeat could mean that this process stood still, so
    nobody's silence counts and no patience is lost.
    """
    if s.started_ms is None:
        s.started_ms = s.progressed_ms = s.now_ms = now_ms
        become_learner(s)
        broadcast_status(s)
    if now_ms - s.now_ms > s.config.heartbeat_overdue_ms:
        s.timers.stop()
        for peer in s.peers:
            if peer.is_up:
                peer.heard_ms = now_ms
    s.now_ms = max(s.now_ms, now_ms)


def lose_patience(s: State) -> bool:
    """Ask for another view where a deadline has passed or a primary is offline.

    Returns whether a view was asked for, so that the rules are tried again.
    """
    if s.halted is not None or s.applying is not None:
        return False
    if s.is_connectivity_stale:
        _update_connectivity(s)
    is_expired = _expire(s)
    return _pass_over(s) or is_expired


def is_arranged(s: State) -> bool:
    """Whether, after a step that changed no table, all is arranged until the replica is to wake."""
    return (
        s.wake_ms is not None
        and s.now_ms < s.wake_ms
        and s.claimed_max <= s.head.height
        and s.behind_since_ms is None
        and s.decision is None
        and s.choice is None
        and s.body_asked is None
    )


def arrange(s: State) -> None:
    """Set the deadlines that the state calls for, send what is due, and say when to wake."""
    if s.halted is not None:
        return
    _arrange_timers(s)
    if s.claimed_max > s.head.height or s.behind_since_ms is not None:
        fetch_blocks(s)
    if s.decision is not None or s.choice is not None or s.body_asked is not None:
        fetch_body(s)
    due_ms = status_due_ms(s)
    if due_ms is not None and s.now_ms >= due_ms:
        broadcast_status(s)
        ask_heads_again(s)
        due_ms = status_due_ms(s)
    for deadline_ms in (s.timers.progress_deadline, s.timers.view_deadline):
        if deadline_ms is not None and (due_ms is None or deadline_ms < due_ms):
            due_ms = deadline_ms
    s.wake_ms = due_ms


def status_due_ms(s: State) -> int | None:
    """Heartbeats when idle; sooner when something is open and does not move.

    A follower sends none, and wakes only to repeat its requests.
    """
    sent_ms = s.timers.status_sent_ms
    if sent_ms is None:
        return None
    if s.is_resting:
        return None if s.me is None else sent_ms + s.config.heartbeat_ms
    is_behind = s.claimed_max > s.head.height
    if s.is_learner or is_behind or (s.is_open and s.applying is None):
        stuck_ms = max(sent_ms, s.progressed_ms) + s.config.retransmit_ms
        return min(stuck_ms, sent_ms + s.config.heartbeat_ms)
    return None if s.me is None else sent_ms + s.config.heartbeat_ms


def _update_connectivity(s: State) -> None:
    s.is_connectivity_stale = False
    was_connected = s.is_connected
    s.is_connected = s.count_online() >= s.q
    if s.is_connected and not was_connected:
        # A long outage must not make the recovery long: start from the base again.
        s.timers.reset()


def _expire(s: State) -> bool:
    """Ask for the next view when the present one, or the change to it, took too long."""
    timers = s.timers
    has_asked = False
    if timers.progress_deadline is not None and s.now_ms >= timers.progress_deadline:
        timers.progress_deadline = None
        if s.is_connected and s.is_active and s.is_open:
            if s.choice is not None and s.choice.head.height == s.head.height:
                timers.failed_views += 1  # The view has decided nothing since it began.
            has_asked = ask(s, next_online_view(s, View(s.view + 1)))
    if timers.view_deadline is not None and s.now_ms >= timers.view_deadline:
        timers.view_deadline = None
        if s.is_connected and s.asked > s.view and has_quorum_for_asked(s):
            timers.failed_views += 1
            has_asked = ask(s, next_online_view(s, View(s.asked + 1)))
    return has_asked


def _pass_over(s: State) -> bool:
    """Do not wait for a primary that is known to be offline (rule 15).

    The present one, while something is open; the one of the view asked for, once q members
    ask for that view.
    """
    if not s.is_connected or not s.may_vote:
        return False
    if s.asked == s.view:
        if s.is_open and s.is_overdue(s.primary):
            return ask(s, next_online_view(s, View(s.view + 1)))
    elif s.is_overdue(s.membership.primary(s.term, s.asked)) and has_quorum_for_asked(s):
        return ask(s, next_online_view(s, View(s.asked + 1)))
    return False


def _arrange_timers(s: State) -> None:
    """Start the timer that the state calls for, if it does not run, and stop the other.

    The progress timer runs in an entered view while something is open; the view timer in a
    view change that q members take part in. Neither runs without a quorum (rule 11).
    """
    timers = s.timers
    if s.opened_ms is None and s.is_open and s.applying is None:
        s.opened_ms = s.now_ms
    wants_progress = s.is_connected and s.is_active and s.is_open
    if not wants_progress:
        timers.progress_deadline = None
    elif timers.progress_deadline is None:
        timers.progress_deadline = s.now_ms + timers.timeout_ms
    wants_view = s.is_connected and s.asked > s.view and s.may_vote and has_quorum_for_asked(s)
    if not wants_view:
        timers.view_deadline = None
    elif timers.view_deadline is None:
        timers.view_deadline = s.now_ms + timers.timeout_ms
