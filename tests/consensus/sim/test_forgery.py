"""A liar can say what is its own, what is noise, and what others have signed already."""

from dataclasses import replace

import pytest

from consensus.certificates import PreparedCertificate
from consensus.messages import GetHead
from consensus.sim.checkers import SignOnce
from consensus.sim.forgery import Forger
from consensus.sim.stage import Stage
from consensus.wire import signed_core
from crypto.hashing import Digest

LIAR = 3


@pytest.fixture
def stage():
    return Stage(4, puppets=(LIAR,))


@pytest.fixture
def signed():
    return SignOnce()


@pytest.fixture
def could_say(stage, signed):
    forger = Forger(stage.cluster.epochs, signed)
    key = stage.cluster.charter.public[LIAR]
    return lambda message: forger.could_say(key, message)


def test_its_own_word_and_a_question_are_free(stage, could_say):
    assert could_say(stage.prepare(LIAR, stage.slot(0, 1), stage.body(1, 1)))
    assert could_say(stage.view_change(LIAR, 4))
    assert could_say(GetHead(Digest(b"n" * 32)))


def test_the_word_of_another_is_free_only_when_it_has_been_given(stage, signed, could_say):
    vote = stage.commit(1, stage.slot(0, 1), stage.body(1, 1))
    assert not could_say(vote)
    assert could_say(replace(vote, signature=bytes(64)))
    signed.note(signed_core(vote))
    assert could_say(vote)


def test_a_body_is_never_free(stage, could_say):
    assert not could_say(stage.pre_prepare(LIAR, stage.slot(3, 1), stage.body(1, 1)))


def test_proofs_are_looked_into(stage, signed, could_say):
    forged = stage.new_view(LIAR, 3, (0, 1, LIAR))
    assert could_say(forged)
    true = stage.view_change(0, 3)
    mixed = replace(forged, view_changes=(true, *forged.view_changes[1:]))
    assert not could_say(mixed)
    signed.note(signed_core(true))
    assert could_say(mixed)


def test_a_certificate_in_a_view_change_is_looked_into(stage, signed, could_say):
    slot, body = stage.slot(0, 1), stage.body(1, 1)
    votes = [stage.pre_prepare(0, slot, body), *(stage.prepare(i, slot, body) for i in (1, 2))]
    certificate = PreparedCertificate(
        pre_prepare=signed_core(votes[0]),
        prepares=tuple((vote.sender, vote.signature) for vote in votes[1:]),
    )
    message = replace(stage.view_change(LIAR, 1), prepared=certificate)
    for vote in votes:
        assert not could_say(message)
        signed.note(signed_core(vote))
    assert could_say(message)
