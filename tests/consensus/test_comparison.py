"""What a liar tells different members comes to light: rule 36, every kind of equivocation."""

import pytest

from consensus.certificates import Kind, SignedVote
from consensus.errors import MalformedMessage
from consensus.events import Evidence, Reason, Send, Suspect
from consensus.evidence import DoubleVote, HiddenCertificate, SplitVote, proof_from
from consensus.messages import Shown
from consensus.sim.stage import Stage
from consensus.wire import signed_core
from tests.consensus.net import digest_of, slot
from tests.consensus.test_normal_case import BODY, DIGEST, accept, backup, receive
from tests.consensus.test_view_change import certificate, view_change

OTHER = digest_of(b"other")


def evidence(effects):
    return [
        proof_from(e.first, e.second, e.view_change) for e in effects if isinstance(e, Evidence)
    ]


def shown(effects):
    return [(e.to, e.message) for e in effects if isinstance(e, Send)]


def test_a_vote_for_another_proposal_is_answered_with_the_own_one():
    net, replica = backup()
    accept(net, replica)
    effects = receive(net, replica, 2, net.signatory.prepare(2, slot(), OTHER))
    mine = net.signatory.pre_prepare(0, slot(), BODY)
    assert shown(effects) == [(2, Shown(signed_core(mine)))]
    again = receive(net, replica, 2, net.signatory.prepare(2, slot(), OTHER))
    assert again == (), "once in a view"


def test_a_proposal_that_comes_after_such_a_vote_is_shown_as_well():
    net, replica = backup()
    receive(net, replica, 2, net.signatory.prepare(2, slot(), OTHER))
    mine = net.signatory.pre_prepare(0, slot(), BODY)
    effects = receive(net, replica, 0, mine)
    assert (2, Shown(signed_core(mine))) in shown(effects)


def test_a_proposal_that_differs_from_ours_convicts_its_primary():
    net, replica = backup()
    accept(net, replica)
    other = signed_core(net.signatory.pre_prepare(0, slot(), b"other"))
    effects = receive(net, replica, 2, Shown(other))
    (proof,) = evidence(effects)
    assert isinstance(proof, DoubleVote)
    assert proof.first.kind is Kind.PRE_PREPARE
    assert [e.member for e in effects if isinstance(e, Suspect)] == [0]


@pytest.mark.parametrize("sender", [0, 2, 3])
def test_a_forged_proposal_harms_the_one_who_shows_it(sender):
    net, replica = backup()
    accept(net, replica)
    other = signed_core(net.signatory.pre_prepare(0, slot(), b"other"))
    forged = SignedVote(
        kind=other.kind, slot=other.slot, digest=OTHER, sender=0, signature=bytes(64)
    )
    effects = receive(net, replica, sender, Shown(forged))
    assert evidence(effects) == []
    assert [(e.member, e.reason) for e in effects] == [(sender, Reason.BAD_SIGNATURE)]


def test_what_agrees_or_lies_elsewhere_is_ignored():
    net, replica = backup()
    accept(net, replica)
    same = signed_core(net.signatory.pre_prepare(0, slot(), BODY))
    later = signed_core(net.signatory.pre_prepare(1, slot(view=1), b"other"))
    strangers = signed_core(net.signatory.pre_prepare(3, slot(), b"other"))
    for vote in (same, later, strangers):
        assert receive(net, replica, 2, Shown(vote)) == ()


def test_shown_holds_a_proposal_and_nothing_else():
    net, _ = backup()
    with pytest.raises(MalformedMessage):
        Shown(signed_core(net.signatory.prepare(2, slot(), DIGEST)))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_prepare_and_a_commit_for_two_blocks_convict(order):
    net, replica = backup()
    votes = net.signatory.prepare(2, slot(), DIGEST), net.signatory.commit(2, slot(), OTHER)
    receive(net, replica, 2, votes[order[0]])
    (proof,) = evidence(receive(net, replica, 2, votes[order[1]]))
    assert isinstance(proof, SplitVote)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_proposal_and_a_commit_for_two_blocks_convict(order):
    net, replica = backup()
    votes = net.signatory.pre_prepare(0, slot(), BODY), net.signatory.commit(0, slot(), OTHER)
    receive(net, replica, 0, votes[order[0]])
    (proof,) = evidence(receive(net, replica, 0, votes[order[1]]))
    assert isinstance(proof, SplitVote)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_hiding_a_certificate_convicts(order):
    net, replica = backup(index=2)
    told = net.signatory.commit(3, slot(), DIGEST), view_change(net, 3)
    receive(net, replica, 3, told[order[0]])
    (proof,) = evidence(receive(net, replica, 3, told[order[1]]))
    assert isinstance(proof, HiddenCertificate)


def test_votes_inside_a_certificate_are_compared():
    net, replica = backup(index=2)
    receive(net, replica, 3, net.signatory.prepare(3, slot(), OTHER))
    proofs = evidence(receive(net, replica, 1, view_change(net, 1, prepared=certificate(net))))
    liars = {proof.first.sender for proof in proofs if isinstance(proof, DoubleVote)}
    assert liars <= {3}
    senders = [member for member, _ in certificate(net).prepares]
    assert liars == ({3} & set(senders))


def test_a_primary_that_proposes_twice_is_convicted_by_members_that_got_one_each():
    stage = Stage(4, puppets=(0,))
    stage.cluster.checkers.validity.submitted.update((1, 2))
    where = stage.slot(0, 1)
    one, other = stage.body(1, 1), stage.body(1, 2)
    stage.deliver(0, 1, stage.pre_prepare(0, where, one))
    stage.deliver(0, 2, stage.pre_prepare(0, where, other))
    stage.deliver(0, 3, stage.pre_prepare(0, where, other))
    before = stage.cluster.checkers.accusations.made
    stage.settle()
    assert stage.cluster.checkers.accusations.made > before
