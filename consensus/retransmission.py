"""STATUS: the heartbeat, and targeted retransmission of what somebody lacks (rule 14).

Links may lose anything. Every state that waits sends STATUS at intervals; whoever holds, as
its own, what the STATUS shows to be missing sends it again. Nobody repeats others' votes,
save a NEW-VIEW, which proves itself.
"""

from consensus.certificates import Slot
from consensus.events import Broadcast, Send
from consensus.membership import MemberIndex, View
from consensus.messages import Commit, Prepare, Status
from consensus.state import State


def make_status(s: State) -> Status:
    """What this replica has, for the height above its head."""
    proposal = s.proposal
    views = [View(0) if m is None else m.slot.view for m in s.view_changes]
    return Status(
        slot=Slot(epoch=s.epoch, term=s.term, view=s.view, height=s.head.height),
        head_digest=s.head.digest,
        asked=s.asked,
        proposal=None if proposal is None else proposal.digest,
        prepares=_holders(s.prepares, s.view),
        commits=_holders(s.commits, s.view),
        view_changes=tuple(views) if any(views) else (),
        is_learner=s.is_learner or s.is_resting,
    )


def broadcast_status(s: State) -> None:
    """Tell everybody; a follower has no voice."""
    s.timers.status_sent_ms = s.now_ms
    if s.me is not None:
        s.emit(Broadcast(make_status(s)))


def send_status(s: State, to: MemberIndex) -> None:
    """Tell one member, as when its link opens."""
    if s.me is not None:
        s.emit(Send(to, make_status(s)))


def _send_head(s: State, to: MemberIndex) -> None:
    """Tell one that is behind where the head is; also a follower does.

    Who was a member until the last block may be the only one left that has it.
    """
    s.emit(Send(to, make_status(s)))


def on_status(s: State, sender: MemberIndex, m: Status) -> None:
    """Note how far `sender` is, and send it what it lacks and we hold.

    One answer per member and half a retransmission interval: a flood earns no more.
    """
    s.claims(sender, m.slot.height)
    if m.slot.epoch > s.epoch or m.slot.height > s.head.height:
        return
    if s.me is None and m.slot.height == s.head.height:
        return
    peer = s.peers[sender]
    interval_ms = s.config.retransmit_ms // 2
    if peer.answered_ms is not None and s.now_ms - peer.answered_ms < interval_ms:
        return
    before = len(s.effects)
    if m.slot.height < s.head.height:
        _send_head(s, sender)  # It will ask for the blocks.
    else:
        _answer(s, sender, m)
    if len(s.effects) > before:
        peer.answered_ms = s.now_ms


def _answer(s: State, sender: MemberIndex, m: Status) -> None:
    """Same head: send the NEW-VIEW, the own VIEW-CHANGE, or the own votes that are missing."""
    assert s.me is not None
    if m.slot.view < s.view and m.asked <= s.view and s.new_view is not None:
        # Whoever asked for a later view would refuse it, and needs our VIEW-CHANGE instead.
        s.emit(Send(sender, s.new_view))
        return
    own = s.view_changes[s.me]
    if s.asked > s.view and own is not None:
        held = m.view_changes[s.me] if s.me < len(m.view_changes) else 0
        if held < own.slot.view:
            s.emit(Send(sender, own))
        return  # Votes of a view that was left are not repeated (rule 10).
    if m.slot.view == s.view:
        _send_missing_votes(s, sender, m)


def _send_missing_votes(s: State, sender: MemberIndex, m: Status) -> None:
    assert s.me is not None
    proposal = s.proposal
    if proposal is not None and proposal.sender == s.me and m.proposal is None:
        s.emit(Send(sender, proposal))
    prepare, commit = s.prepares[s.me], s.commits[s.me]
    for vote, held in ((prepare, m.prepares), (commit, m.commits)):
        if vote is not None and vote.slot.view == s.view and not held >> s.me & 1:
            s.emit(Send(sender, vote))


def _holders(votes: list[Prepare | None] | list[Commit | None], view: View) -> int:
    return sum(1 << i for i, v in enumerate(votes) if v is not None and v.slot.view == view)
