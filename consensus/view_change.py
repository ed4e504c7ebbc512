"""Changing the primary: VIEW-CHANGE, NEW-VIEW and the choice that everybody recomputes.

Castro & Liskov, OSDI '99, §4.4, with one slot in flight and sealed heads in place of
checkpoints. Views are counted within a term; the seal of a term's last block is the only
entry into the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from consensus.certificates import Kind, PreparedCertificate, Seal, SignedVote, Slot
from consensus.comparison import compare_view_change
from consensus.events import Broadcast, Reason
from consensus.membership import Height, MemberIndex, View
from consensus.messages import NewView, ViewChange
from consensus.state import Choice, Decision, State, Verdict
from consensus.verification import accuse, is_signed, view_change_fault
from consensus.vote_log import NewViewRecord, ViewChangeRecord
from consensus.wire import new_view_digest, signed_core, view_change_digest
from crypto.hashing import Digest

# Pure pieces of the protocol: one rule each.


@final
@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two votes that cannot both be by a correct member; no choice can be made on them."""

    first: SignedVote
    second: SignedVote


def choose_proposal(view_changes: Sequence[ViewChange]) -> Choice | Contradiction:
    """What q VIEW-CHANGEs bind their view to.

    It begins at the highest proven head (rule 17). Of the certificates for the height above
    it the one from the highest view wins (rules 1, 4): had a block been decided there, q
    members would hold its certificate, one of them correct and among these q, and no later
    view could have prepared another. Certificates above a lower head are void: that height
    is decided. Two digests prepared in one view mean that its primary signed twice.
    """
    head = max((m.head for m in view_changes), key=lambda head: head.height)
    best: PreparedCertificate | None = None
    for m in view_changes:
        certificate = m.prepared
        if certificate is None or certificate.slot.height != head.height + 1:
            continue
        if best is None or certificate.slot.view > best.slot.view:
            best = certificate
        elif certificate.slot.view == best.slot.view and certificate.digest != best.digest:
            return Contradiction(best.pre_prepare, certificate.pre_prepare)
    return Choice(head, best)


def view_to_join(views: Sequence[View], asked: View, one_correct: int) -> View | None:
    """The smallest view above `asked` once f + 1 members want one (rule 12), or None."""
    higher = [view for view in views if view > asked]
    return min(higher) if len(higher) >= one_correct else None


# Intake.


def on_view_change(s: State, sender: MemberIndex, m: ViewChange) -> None:
    """Keep the newest VIEW-CHANGE of each member for the present term (rule 13).

    One for a later term shows that its sender is ahead; one for a view that we have entered
    or passed is late. A second one for the same view, with other bytes, is evidence.
    """
    if m.slot.epoch == s.epoch and m.sender != sender:
        s.suspect(sender, Reason.WRONG_SENDER, f"a VIEW-CHANGE of member {m.sender}")
        return
    s.claims(sender, m.head.height)
    if m.slot.epoch != s.epoch or m.slot.term != s.term or m.slot.view <= s.view:
        return
    known = s.view_changes[sender]
    if known is not None and (known.slot.view > m.slot.view or known == m):
        return
    if not s.may_check(sender):
        return
    fault = view_change_fault(s, m)
    if fault is not None:
        s.suspect(sender, Reason.BAD_CERTIFICATE, f"VIEW-CHANGE: {fault}")
        return
    if known is not None and known.slot.view == m.slot.view:
        accuse(s, known, m)
        return
    s.view_changes[sender] = m
    compare_view_change(s, m)
    note_proven_head(s, m)


def on_new_view(s: State, sender: MemberIndex, m: NewView) -> None:
    """Enter the view that `m` proves, if it is above ours and not below the one asked for.

    Anybody may pass a NEW-VIEW on. Its q VIEW-CHANGEs are all checked, and the choice is
    recomputed, so nothing rests on the new primary's word (rule 1).
    """
    if m.slot.epoch != s.epoch or m.slot.term != s.term:
        return
    if s.new_view is not None and m.slot == s.new_view.slot and m != s.new_view:
        if m.sender == s.new_view.sender and s.may_check(sender) and is_signed(s, signed_core(m)):
            accuse(s, s.new_view, m)
        return
    if m.slot.view <= s.view or m.slot.view < s.asked or s.applying is not None:
        return
    if not _is_signed_by_primary(s, sender, m):
        return
    fault = new_view_fault(s, m)
    if fault is not None:
        _refuse_new_view(s, m, fault)
        return
    choice = choose_proposal(m.view_changes)
    if isinstance(choice, Contradiction):
        accuse(s, choice.first, choice.second)
        _refuse_new_view(s, m, "its certificates contradict each other")
        return
    for view_change in m.view_changes:
        note_proven_head(s, view_change)
    _enter(s, m, choice)


def _is_signed_by_primary(s: State, sender: MemberIndex, m: NewView) -> bool:
    """Whether it is the word of its view's primary; if not, who passed it on is at fault."""
    if m.sender != s.membership.primary(s.term, m.slot.view):
        s.suspect(sender, Reason.WRONG_PRIMARY, f"NEW-VIEW by member {m.sender}")
        return False
    if not s.may_check(sender):
        return False
    if not is_signed(s, signed_core(m)):
        s.suspect(sender, Reason.BAD_SIGNATURE, "NEW-VIEW")
        return False
    return True


def _refuse_new_view(s: State, m: NewView, fault: str) -> None:
    s.suspect(m.sender, Reason.BAD_NEW_VIEW, fault)
    if m.slot.view == s.asked:
        # Only a view that we wait for: else one member could drive all from view to view.
        ask(s, View(s.asked + 1))


def new_view_fault(s: State, m: NewView) -> str | None:
    """Why the VIEW-CHANGEs of a NEW-VIEW do not prove its view; None when they do."""
    if len(m.view_changes) != s.q:
        return f"it must hold {s.q} VIEW-CHANGEs, got {len(m.view_changes)}"
    for view_change in m.view_changes:
        slot = view_change.slot
        if (slot.epoch, slot.term, slot.view) != (m.slot.epoch, m.slot.term, m.slot.view):
            return "it holds a VIEW-CHANGE for another view"
        if view_change.sender >= s.n:
            return "it holds a VIEW-CHANGE by a stranger"
        if view_change == s.view_changes[view_change.sender]:
            continue  # Checked when it came.
        fault = view_change_fault(s, view_change)
        if fault is not None:
            return f"VIEW-CHANGE of member {view_change.sender}: {fault}"
    return None


def note_proven_head(s: State, m: ViewChange) -> None:
    """Use the head of a verified VIEW-CHANGE: it may decide the height under way."""
    s.claims(m.sender, m.head.height)
    head = m.head
    if head.height == s.head.height and head.digest != s.head.digest:
        s.halt(f"two sealed blocks at height {head.height}")
    elif head.height == s.height and head.seal is not None:
        note_seal(s, head.digest, head.seal)


def note_seal(s: State, digest: Digest, seal: Seal) -> None:
    """A verified seal at the height under way decides it, whatever we voted for."""
    decided = s.decision if s.applying is None else Decision(s.applying.digest, s.applying.seal)
    if decided is None:
        s.decision = Decision(digest, seal)
    elif decided.digest != digest:
        s.halt(f"two sealed blocks at height {s.height}")


# Rules. Each returns whether it did something.


def join(s: State) -> bool:
    """F + 1 members want views above the one asked for: one is correct, so go along."""
    if not s.may_vote:
        return False
    views = [m.slot.view for m in s.view_changes if m is not None]
    if len(views) <= s.f:
        return False
    target = view_to_join(views, s.asked, s.f + 1)
    return target is not None and ask(s, target)


def announce(s: State) -> bool:
    """As the primary of the view asked for, begin it once q VIEW-CHANGEs for it are there.

    VIEW-CHANGEs whose certificates contradict each other are evidence; with that pair no
    NEW-VIEW is possible, and the view timer goes on to the next view.
    """
    if s.asked == s.view or s.me is None or s.signer is None or not s.may_vote:
        return False
    if s.membership.primary(s.term, s.asked) != s.me:
        return False
    proof = [m for m in s.view_changes if m is not None and m.slot.view == s.asked]
    if len(proof) < s.q:
        return False
    view_changes = tuple(proof[: s.q])
    choice = choose_proposal(view_changes)
    if isinstance(choice, Contradiction):
        accuse(s, choice.first, choice.second)
        return False
    slot = Slot(epoch=s.epoch, term=s.term, view=s.asked, height=Height(0))
    signature = s.signer.sign(Kind.NEW_VIEW, slot, new_view_digest(view_changes))
    new_view = NewView(slot=slot, view_changes=view_changes, sender=s.me, signature=signature)
    _enter(s, new_view, choice)
    s.emit(Broadcast(new_view))
    return True


def ask(s: State, view: View) -> bool:
    """Ask for `view`: from here on no vote in a lower one (rule 10).

    Only a replica that may vote asks, and only for views above the one asked for before.
    The VIEW-CHANGE is made once per (term, view) and synced before it leaves; it states the
    head and the own certificate above it, whose body is in the vote log.
    """
    if not s.may_vote or view <= s.asked or s.me is None or s.signer is None:
        return False
    slot = s.slot(view, s.head.height)
    digest = view_change_digest(s.head, s.certificate)
    view_change = ViewChange(
        slot=slot,
        head=s.head,
        prepared=s.certificate,
        sender=s.me,
        signature=s.signer.sign(Kind.VIEW_CHANGE, slot, digest),
    )
    s.asked = view
    s.pre_prepares = {v: m for v, m in s.pre_prepares.items() if v == s.view}
    s.timers.stop()
    s.view_changes[s.me] = view_change
    s.persist(ViewChangeRecord(view_change))
    s.emit(Broadcast(view_change))
    return True


def next_online_view(s: State, view: View) -> View:
    """The first view from `view` on whose primary is online; `view` itself if none is.

    A primary whose heartbeat is overdue is passed over at once (rule 15).
    """
    for step in range(s.n):
        if not s.is_overdue(s.membership.primary(s.term, view + step)):
            return View(view + step)
    return view


def has_quorum_for_asked(s: State) -> bool:
    """Whether q members ask for the view that this replica asked for, or a higher one."""
    return sum(m is not None and m.slot.view >= s.asked for m in s.view_changes) >= s.q


def _enter(s: State, new_view: NewView, choice: Choice) -> None:
    view = new_view.slot.view
    if s.me is not None:
        s.persist(NewViewRecord(new_view))
    s.set_view(view)
    s.asked = view
    s.new_view = new_view
    s.choice = choice
    s.view_changes = [m if m is not None and m.slot.view > view else None for m in s.view_changes]
    if s.carried is not None:
        body = s.find_body(s.carried.digest)
        s.fetched = s.fetched if body is None else (s.carried.digest, body)
    s.pre_prepares = {v: m for v, m in s.pre_prepares.items() if v == view}
    s.verdicts = {d: v for d, v in s.verdicts.items() if v is not Verdict.REFUSED}
    s.timers.stop()
    s.progressed_ms = s.now_ms
    s.opened_ms = None  # The latency of this view: what the former one wasted says nothing.
