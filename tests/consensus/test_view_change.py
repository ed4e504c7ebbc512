"""View changes, one example per sentence."""

import pytest

from consensus.certificates import Kind
from consensus.events import (
    Broadcast,
    Build,
    Evidence,
    Halt,
    Pending,
    Persist,
    Reason,
    Receive,
    Send,
    Suspect,
    Validate,
    Validated,
)
from consensus.membership import MemberIndex, View
from consensus.messages import (
    BodyReply,
    Commit,
    GetBody,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
)
from consensus.tally import prepared_certificate
from consensus.vote_log import NewViewRecord, ViewChangeRecord
from consensus.wire import new_view_digest, view_change_digest
from tests.consensus.net import Net, digest_of, slot
from tests.consensus.test_normal_case import BODY, DIGEST, accept, backup, kinds, receive


def certificate(net, view=0, body=BODY, height=1):
    place = slot(view=view, height=height)
    primary = net.membership.primary(0, view)
    proposal = net.signatory.pre_prepare(primary, place, body)
    votes = [net.signatory.prepare(i, place, proposal.digest) for i in range(net.n) if i != primary]
    return prepared_certificate(proposal, votes, net.membership.quorum.certificate)


def view_change(net, member, view=1, prepared=None, head=None):
    head = head or net.nodes[member].replica.head
    at = slot(view=view, height=head.height)
    signature = net.signatory.sign(member, Kind.VIEW_CHANGE, at, view_change_digest(head, prepared))
    return ViewChange(
        slot=at, head=head, prepared=prepared, sender=MemberIndex(member), signature=signature
    )


def new_view(net, view_changes, view=1, sender=None):
    at = slot(view=view, height=0)
    sender = net.membership.primary(0, view) if sender is None else sender
    changes = tuple(view_changes)
    signature = net.signatory.sign(sender, Kind.NEW_VIEW, at, new_view_digest(changes))
    return NewView(slot=at, view_changes=changes, sender=sender, signature=signature)


def is_kind(*kinds):
    return lambda sender, to, message: isinstance(message, kinds)


def not_kind(*kinds):
    return lambda sender, to, message: not isinstance(message, kinds)


def test_a_silent_primary_is_replaced_within_the_base_timeout():
    net = Net().start()
    net.nodes[0].is_up = False
    net.submit(b"A")
    net.run(250)
    assert net.heights() == [0, 1, 1, 1]
    assert [node.replica.view for node in net.nodes[1:]] == [1, 1, 1]
    assert not net.faults


def test_a_view_change_is_synced_before_it_leaves_and_frozen_for_its_view():
    net, replica = backup()
    accept(net, replica)
    replica.step(Pending(is_pending=True), net.now)
    net.now += 250
    effects = receive(net, replica, 2, net.signatory.commit(2, slot(), digest_of(b"B")))
    assert kinds(effects)[:2] == [Persist, ViewChange]
    first = effects[1].message
    assert effects[0].records == (ViewChangeRecord(first),)
    # Prepared later or not, the bytes for this view never change: they are only repeated.
    receive(net, replica, 2, net.signatory.prepare(2, slot(), DIGEST))
    again = receive(net, replica, 2, _status_of(net, 2))
    assert [e.message for e in again if isinstance(e, Send)] == [first]


def _status_of(net, member):
    effects = net.nodes[member].replica.step(Pending(is_pending=True), net.now)
    net.now += 100
    effects = net.nodes[member].replica.step(Pending(is_pending=True), net.now)
    return next(e.message for e in effects if isinstance(e, Broadcast))


def test_after_a_view_change_no_vote_in_a_lower_view():
    """Rule 10."""
    net, replica = backup()
    receive(net, replica, 2, view_change(net, 2))
    receive(net, replica, 3, view_change(net, 3))
    assert replica.asked == 1
    effects = receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    effects += receive(net, replica, 2, net.signatory.prepare(2, slot(), DIGEST))
    effects += receive(net, replica, 3, net.signatory.prepare(3, slot(), DIGEST))
    assert not [m for m in kinds(effects) if m in (Prepare, Commit, Validate)]


def test_a_certificate_of_a_view_that_was_left_still_decides():
    """Rule 10."""
    net, replica = backup(index=3)
    receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    receive(net, replica, 2, view_change(net, 2))
    receive(net, replica, 1, view_change(net, 1))
    assert (replica.view, replica.asked) == (0, 1)
    effects = []
    for member in (0, 1, 2):
        effects += receive(net, replica, member, net.signatory.commit(member, slot(), DIGEST))
    assert effects[-1].block.digest == DIGEST


def test_what_was_prepared_is_proposed_again_in_the_next_view():
    """Rule 1: one member alone may have decided it."""
    net = Net(5).start()
    net.submit(b"A")
    net.deliver(lambda s, to, m: not isinstance(m, Commit) or to == 1)
    assert net.heights() == [0, 1, 0, 0, 0]
    net.nodes[1].is_up = False
    for node in net.nodes:
        node.pending.clear()
        node.pending.append(b"B")
    net.run(2000)
    decided = {node.blocks[1].digest for node in net.nodes if node.blocks}
    assert decided == {DIGEST}
    assert min(net.heights()[i] for i in (0, 2, 3, 4)) >= 2
    assert not net.faults


def test_a_carried_proposal_is_not_measured_against_the_clock():
    """Rule 32."""
    net, replica = backup(index=2)
    prepared = certificate(net)
    changes = [view_change(net, i, prepared=prepared if i == 3 else None) for i in (0, 1, 3)]
    receive(net, replica, 1, new_view(net, changes))
    effects = receive(net, replica, 1, net.signatory.pre_prepare(1, slot(view=1), BODY))
    assert effects == (Validate(1, DIGEST, BODY, fresh=False),)


def test_a_block_refused_by_the_clock_is_asked_about_again_when_carried():
    net, replica = backup(index=2)
    receive(net, replica, 0, net.signatory.pre_prepare(0, slot(), BODY))
    replica.step(Validated(DIGEST, ok=False), net.now)
    changes = [view_change(net, i, prepared=certificate(net)) for i in (0, 1, 3)]
    receive(net, replica, 1, new_view(net, changes))
    effects = receive(net, replica, 1, net.signatory.pre_prepare(1, slot(view=1), BODY))
    assert effects == (Validate(1, DIGEST, BODY, fresh=False),)
    assert kinds(replica.step(Validated(DIGEST, ok=True), net.now)) == [Persist, Prepare]


def test_a_carried_block_that_is_not_valid_here_stops_the_replica():
    net, replica = backup(index=2)
    changes = [view_change(net, i, prepared=certificate(net)) for i in (0, 1, 3)]
    receive(net, replica, 1, new_view(net, changes))
    receive(net, replica, 1, net.signatory.pre_prepare(1, slot(view=1), BODY))
    (halt,) = replica.step(Validated(DIGEST, ok=False), net.now)
    assert isinstance(halt, Halt)


def test_a_first_proposal_that_is_not_the_proven_one_is_refused():
    net, replica = backup(index=2)
    changes = [view_change(net, i, prepared=certificate(net)) for i in (0, 1, 3)]
    receive(net, replica, 1, new_view(net, changes))
    effects = receive(net, replica, 1, net.signatory.pre_prepare(1, slot(view=1), b"other"))
    assert kinds(effects) == [Suspect, Persist, ViewChange]
    assert effects[0].reason is Reason.WRONG_CHOICE
    assert effects[2].message.slot.view == 2


def test_a_proposal_may_come_before_the_new_view_of_the_view_asked_for():
    net, replica = backup(index=2)
    changes = [view_change(net, i) for i in (0, 1, 3)]
    receive(net, replica, 1, changes[1])
    receive(net, replica, 3, changes[2])
    assert replica.asked == 1
    assert receive(net, replica, 1, net.signatory.pre_prepare(1, slot(view=1), BODY)) == ()
    effects = receive(net, replica, 1, new_view(net, changes))
    assert kinds(effects) == [Persist, Validate]


def test_entering_a_view_is_synced():
    net, replica = backup(index=2)
    message = new_view(net, [view_change(net, i) for i in (0, 1, 3)])
    (persist,) = receive(net, replica, 1, message)
    assert persist.records == (NewViewRecord(message),)
    assert (replica.view, replica.asked) == (1, 1)


def test_the_new_primary_announces_exactly_q_view_changes():
    net, replica = backup(index=1)
    replica.step(Pending(is_pending=True), net.now)
    receive(net, replica, 0, view_change(net, 0))
    effects = receive(net, replica, 2, view_change(net, 2))
    assert kinds(effects) == [Persist, ViewChange, Persist, NewView, Build]
    message = effects[3].message
    assert [m.sender for m in message.view_changes] == [0, 1, 2]
    assert replica.view == 1
    late = receive(net, replica, 3, view_change(net, 3))
    assert late == ()


def test_the_new_primary_fetches_the_body_that_it_lacks():
    net, replica = backup(index=1)
    receive(net, replica, 0, view_change(net, 0, prepared=certificate(net)))
    effects = receive(net, replica, 2, view_change(net, 2))
    assert isinstance(effects[-1].message, GetBody)
    asked = effects[-1].to
    (validate,) = receive(net, replica, asked, _body_reply())
    assert validate == Validate(1, DIGEST, BODY, fresh=False)
    effects = replica.step(Validated(DIGEST, ok=True), net.now)
    assert kinds(effects) == [Persist, PrePrepare]
    assert effects[1].message.slot == slot(view=1)
    assert effects[1].message.digest == DIGEST


def _body_reply():
    return BodyReply(DIGEST, BODY)


def test_the_new_primary_that_voted_for_the_carried_block_proposes_it_at_once():
    net, replica = backup(index=1)
    accept(net, replica)
    receive(net, replica, 0, view_change(net, 0, prepared=certificate(net)))
    effects = receive(net, replica, 2, view_change(net, 2))
    assert kinds(effects)[-2:] == [Persist, PrePrepare]
    assert effects[-1].message.digest == DIGEST


def test_certificates_that_contradict_each_other_are_evidence_and_no_new_view():
    net, replica = backup(index=1)
    one, two = certificate(net), certificate(net, body=b"other")
    receive(net, replica, 0, view_change(net, 0, prepared=one))
    effects = receive(net, replica, 2, view_change(net, 2, prepared=two))
    assert [e.first.sender for e in effects if isinstance(e, Evidence)] == [0]
    assert NewView not in kinds(effects)


@pytest.mark.parametrize("count", [2, 4])
def test_a_new_view_without_exactly_q_view_changes_is_refused(count):
    net, replica = backup(index=2)
    message = new_view(net, [view_change(net, i) for i in range(count)])
    effects = receive(net, replica, 1, message)
    assert effects[0].reason is Reason.BAD_NEW_VIEW
    assert (replica.view, replica.asked) == (0, 0)


def test_a_bad_new_view_for_the_view_asked_for_is_cause_to_ask_for_the_next():
    net, replica = backup(index=2)
    for member in (1, 3):
        receive(net, replica, member, view_change(net, member))
    effects = receive(net, replica, 1, new_view(net, [view_change(net, 1)]))
    assert kinds(effects) == [Suspect, Persist, ViewChange]
    assert replica.asked == 2


def test_a_new_view_with_a_view_change_for_another_view_is_refused():
    net, replica = backup(index=2)
    changes = [view_change(net, 0), view_change(net, 1), view_change(net, 3, view=2)]
    effects = receive(net, replica, 1, new_view(net, changes))
    assert effects[0].reason is Reason.BAD_NEW_VIEW


def test_a_new_view_by_another_than_its_primary_is_suspect():
    net, replica = backup(index=2)
    message = new_view(net, [view_change(net, i) for i in (0, 1, 3)], sender=3)
    (suspect,) = receive(net, replica, 3, message)
    assert (suspect.member, suspect.reason) == (3, Reason.WRONG_PRIMARY)


def test_a_forged_new_view_harms_the_one_who_passes_it_on_and_not_its_primary():
    net, replica = backup(index=2)
    good = new_view(net, [view_change(net, i) for i in (0, 1, 3)])
    bad = NewView(slot=good.slot, view_changes=good.view_changes, sender=1, signature=b"x" * 64)
    (suspect,) = receive(net, replica, 3, bad)
    assert (suspect.member, suspect.reason) == (3, Reason.BAD_SIGNATURE)


def test_anybody_may_pass_a_new_view_on():
    net, replica = backup(index=2)
    receive(net, replica, 3, new_view(net, [view_change(net, i) for i in (0, 1, 3)]))
    assert replica.view == 1


def test_a_second_new_view_for_a_view_is_evidence():
    net, replica = backup(index=2)
    receive(net, replica, 1, new_view(net, [view_change(net, i) for i in (0, 1, 3)]))
    other = new_view(net, [view_change(net, i) for i in (0, 1, 2)])
    effects = receive(net, replica, 1, other)
    assert kinds(effects) == [Evidence, Suspect]


def test_a_second_view_change_for_a_view_is_evidence():
    net, replica = backup(index=2)
    receive(net, replica, 3, view_change(net, 3))
    effects = receive(net, replica, 3, view_change(net, 3, prepared=certificate(net)))
    assert kinds(effects) == [Evidence, Suspect]


def test_only_the_newest_view_change_of_a_member_is_kept():
    """Rule 13."""
    net, replica = backup(index=2)
    for view in (1, 5, 3):
        receive(net, replica, 3, view_change(net, 3, view=view))
    status = _status_of(net, 2)
    assert status.view_changes == (0, 0, 0, 5)


@pytest.mark.parametrize(
    "change",
    [
        lambda net: view_change(net, 3, prepared=certificate(net, view=1)),
        lambda net: view_change(net, 3, prepared=certificate(net, height=2)),
        lambda net: view_change(net, 3, prepared=_thin(certificate(net))),
        lambda net: view_change(net, 3, prepared=_forged(certificate(net))),
        lambda net: view_change(net, 3, head=_sealed_by(net, (0, 1))),
        lambda net: view_change(net, 3, head=_sealed_by(net, (0, 1, 2, 3))),
        lambda net: view_change(net, 3, head=_sealed_by(net, (0, 1, 2), forged=True)),
    ],
)
def test_a_view_change_that_proves_nothing_is_suspect(change):
    net, replica = backup(index=2)
    effects = receive(net, replica, 3, change(net))
    assert effects[0].reason is Reason.BAD_CERTIFICATE
    assert replica.table_sizes["view_changes"] == 4
    assert _status_of(net, 2).view_changes == ()


def _thin(whole):
    from dataclasses import replace

    return replace(whole, prepares=whole.prepares[:1])


def _forged(whole):
    from dataclasses import replace

    return replace(whole, prepares=(whole.prepares[0], (MemberIndex(2), b"x" * 64)))


def _sealed_by(net, members, *, forged=False):
    from consensus.certificates import Head, Seal

    votes = [net.signatory.commit(i, slot(), DIGEST) for i in members]
    signatures = tuple((v.sender, b"x" * 64 if forged else v.signature) for v in votes)
    return Head(height=1, digest=DIGEST, seal=Seal(view=View(0), signatures=signatures))


def test_a_sealed_head_in_a_view_change_decides_and_its_body_is_fetched():
    net, replica = backup(index=2)
    effects = receive(net, replica, 3, view_change(net, 3, head=_sealed_by(net, (0, 1, 3))))
    assert isinstance(effects[0].message, GetBody)
    (apply,) = receive(net, replica, effects[0].to, _body_reply())
    assert apply.block.digest == DIGEST


def test_f_plus_one_view_changes_are_joined():
    """Rule 12."""
    net, replica = backup(n=7, index=2)
    assert receive(net, replica, 3, view_change(net, 3, view=4)) == ()
    assert receive(net, replica, 4, view_change(net, 4, view=2)) == ()
    effects = receive(net, replica, 5, view_change(net, 5, view=3))
    assert kinds(effects) == [Persist, ViewChange]
    assert effects[1].message.slot.view == 2


def test_a_member_in_limbo_follows_decisions_and_votes_again_in_the_next_term():
    """Rule 12b."""
    net = Net().start()
    limbo = net.nodes[3]
    net.queue.clear()
    limbo.step(Receive(MemberIndex(1), view_change(net, 1)))
    limbo.step(Receive(MemberIndex(2), view_change(net, 2)))
    assert limbo.replica.asked == 1
    net.queue.clear()
    for i in range(17):
        net.submit(b"tx%d" % i)
        net.deliver()
    assert net.heights() == [17] * 4
    assert (limbo.replica.term, limbo.replica.view, limbo.replica.asked) == (1, 0, 0)
    assert not any(v.slot.term == 0 for v in _votes_of(limbo))
    assert [v for v in _votes_of(limbo) if v.slot.term == 1]


def _votes_of(node):
    return [
        e.message
        for e in node.seen
        if isinstance(e, Broadcast) and isinstance(e.message, Prepare | Commit)
    ]


def test_each_term_begins_at_view_0_with_the_next_member_as_primary():
    net = Net().start()
    net.nodes[0].is_up = False
    net.submit(b"first")
    net.run(300)
    for i in range(16):
        net.submit(b"tx%d" % i)
        net.deliver()
    assert [(x.replica.term, x.replica.view, x.replica.primary) for x in net.nodes[1:]] == [
        (1, 0, 1)
    ] * 3


@pytest.mark.parametrize("kind", [PrePrepare, Prepare, Commit, ViewChange, NewView])
def test_any_message_may_be_lost_once(kind):
    """Rule 14: every state that waits repeats itself."""
    net = Net().start()
    lost = set()

    def lose_first(sender, to, message):
        key = (sender, to, type(message))
        if isinstance(message, kind) and key not in lost:
            lost.add(key)
            return False
        return True

    if kind in (ViewChange, NewView):
        net.nodes[0].is_up = False
    net.submit(b"A")
    net.deliver(lose_first)
    net.run(1500, lose_first)
    assert lost
    assert min(net.heights()[1:]) == 1
    assert not net.faults
