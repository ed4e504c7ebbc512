"""The checker sees a member convict itself."""

import pytest

from consensus.sim.stage import Stage
from consensus.sim.violation import InvariantViolation
from tests.consensus.sim.test_checkers import checkers


def messages():
    stage = Stage(4)
    slot = stage.slot(0, 1)
    one, other = stage.body(1, 1), stage.body(1, 1, salt=7)
    return stage, slot, one, other


def test_a_commit_to_another_block_than_the_own_proposal_is_seen():
    stage, slot, one, other = messages()
    for first in (stage.pre_prepare(0, slot, one), stage.prepare(0, slot, one)):
        for order in ((0, 1), (1, 0)):
            pair = (first, stage.commit(0, slot, other))
            judge = checkers()
            judge.on_signed(pair[order[0]])
            with pytest.raises(InvariantViolation, match="innocence"):
                judge.on_signed(pair[order[1]])


def test_a_view_change_that_hides_a_certificate_is_seen():
    stage, slot, one, _ = messages()
    judge = checkers()
    judge.on_signed(stage.commit(1, slot, one))
    with pytest.raises(InvariantViolation, match="innocence"):
        judge.on_signed(stage.view_change(1, 1))


def test_what_correct_members_sign_in_a_view_is_no_offence():
    stage, slot, one, _ = messages()
    judge = checkers()
    judge.on_signed(stage.prepare(1, slot, one))
    judge.on_signed(stage.commit(1, slot, one))
    judge.on_signed(stage.view_change(2, 1))
