"""The table of mutants: each deliberate bug, its rule, and what must catch it.

A checker that no bug has ever tripped proves nothing; this table is the proof for ours. Rule
numbers are those of the consensus specification; each bug is planted, hunted, and taken out.
"""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import final

from consensus import (
    normal_case,
    pacemaker,
    recovery,
    replica,
    retransmission,
    tally,
    timers,
    view_change,
    vote_log,
)
from consensus.certificates import SigningDomain
from consensus.quorum import Quorum
from consensus.signer import Signer
from consensus.sim import bugs
from consensus.sim.checkers import InvariantViolation
from consensus.sim.faults import DEFAULT, PARTITIONS, Profile
from consensus.sim.fuzz import run_seed
from consensus.sim.planting import attribute, function
from consensus.sim.scenarios import SCENARIOS
from consensus.state import State

BUDGET_S = 60
"""A bug that survives longer on one core counts as not caught."""

Plant = Callable[[], AbstractContextManager[None]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One deliberate bug."""

    name: str
    rule: str
    """Number of the rule that it breaks."""
    how: str
    """What the core does wrong, in a sentence."""
    plants: tuple[Plant, ...]
    scenario: str | None = None
    """The directed history that catches it, where random schedules are too weak."""
    profile: Profile = DEFAULT


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MutantResult:
    """What became of a mutant."""

    name: str
    rule: str
    how: str
    caught: bool
    seed: int | None
    """The first seed that caught it; None if a directed history did, or nothing."""
    seconds: float
    by: str
    """Name of the history, or of the checker."""
    message: str

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "rule": self.rule,
            "how": self.how,
            "caught": self.caught,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "by": self.by,
        }


def _swap(original: Callable[..., object], bug: Callable[..., object]) -> Plant:
    return lambda: function(original, bug)


def _set(owner: type, name: str, bug: object) -> Plant:
    return lambda: attribute(owner, name, bug)


def _mutant(
    rule: str,
    how: str,
    *plants: Plant,
    name: str,
    scenario: str | None = None,
    profile: Profile = DEFAULT,
) -> Mutant:
    return Mutant(name=name, rule=rule, how=how, plants=plants, scenario=scenario, profile=profile)


MUTANTS: tuple[Mutant, ...] = (
    _mutant(
        "1",
        "VIEW-CHANGE carries no prepared certificate",
        _swap(view_change.ask, bugs.ask_without_certificate),
        name="no_certificate_in_view_change",
        scenario="decided_by_one_then_cut_off",
    ),
    _mutant(
        "2",
        "q PREPAREs are demanded beside the PRE-PREPARE",
        _swap(tally.prepared_certificate, bugs.prepared_by_q_others),
        name="primary_not_counted",
    ),
    _mutant(
        "2",
        "q - 2 PREPAREs beside the PRE-PREPARE are enough",
        _swap(tally.prepared_certificate, bugs.prepared_with_the_primary_twice),
        name="primary_counted_twice",
    ),
    _mutant(
        "3",
        "2f + 1 votes make a certificate, whatever n",
        _set(Quorum, "certificate", property(bugs.two_f_plus_one)),
        name="quorum_two_f_plus_one",
    ),
    _mutant(
        "3",
        "a certificate has a vote too few",
        _set(Quorum, "certificate", property(bugs.one_too_few)),
        name="quorum_one_too_small",
    ),
    _mutant(
        "4",
        "the certificate of the lowest view wins",
        _swap(view_change.choose_proposal, bugs.choose_lowest_view),
        name="lower_view_wins",
        scenario="stale_certificate_returns",
    ),
    _mutant(
        "7",
        "a certificate is carried onto a head that it does not stand on",
        _swap(view_change.choose_proposal, bugs.choose_above_any_head),
        name="certificate_above_lower_head",
    ),
    _mutant(
        "8",
        "blocks that were applied before are applied again",
        _swap(recovery.take_block, bugs.take_any_block),
        name="applied_twice",
    ),
    _mutant(
        "9",
        "the height stays open between the decision and its execution",
        _swap(normal_case.apply, bugs.apply_later),
        _swap(replica._applied, bugs.applied_late),
        name="votes_after_deciding",
    ),
    _mutant(
        "10",
        "votes go on in a view after a later one was asked for",
        _set(State, "is_active", property(bugs.is_active_whatever_was_asked)),
        name="votes_below_view_asked",
    ),
    _mutant(
        "11",
        "views climb and time-outs double while there is no quorum",
        _swap(view_change.has_quorum_for_asked, bugs.quorum_always),
        _swap(pacemaker._update_connectivity, bugs.connected_always),
        _swap(timers.timeout_ms, bugs.timeout_without_cap),
        name="climbs_without_quorum",
        scenario="long_outage",
    ),
    _mutant(
        "12",
        "f + 1 VIEW-CHANGEs take nobody along",
        _swap(view_change.join, bugs.join_nobody),
        name="joins_nobody",
        scenario="half_ask_for_a_view",
    ),
    _mutant(
        "13",
        "every VIEW-CHANGE of a member is kept",
        _swap(view_change.on_view_change, bugs.keep_every_view_change),
        name="view_changes_pile_up",
        scenario="flood",
    ),
    _mutant(
        "14",
        "what was lost is never sent again",
        _swap(retransmission.on_status, bugs.hear_status_only),
        name="no_retransmission",
    ),
    _mutant(
        "19",
        "a replica votes as soon as it starts, with its log lost too",
        _swap(recovery.become_learner, bugs.vote_at_once),
        name="learner_votes",
        scenario="vote_log_is_lost",
    ),
    _mutant(
        "20",
        "blocks of others are applied without a look at their seals",
        _swap(recovery.take_block, bugs.take_unsealed_block),
        name="unsealed_blocks_believed",
        scenario="forged_blocks",
    ),
    _mutant(
        "23",
        "votes leave before they are synced",
        _set(State, "persist", bugs.persist_nothing),
        name="votes_not_synced",
    ),
    _mutant(
        "23",
        "the vote is synced, the body is not",
        _set(State, "persist", bugs.persist_without_bodies),
        name="bodies_not_synced",
    ),
    _mutant(
        "24",
        "a restart forgets what the log says was signed",
        _swap(recovery.restore, bugs.restore_nothing),
        name="restart_forgets_votes",
    ),
    _mutant(
        "24",
        "the signer refuses to repeat its own vote",
        _set(Signer, "sign", bugs.sign_never_again),
        name="signer_refuses_own_vote",
        scenario="signer_is_asked_twice",
    ),
    _mutant(
        "24",
        "the signer signs two digests for a slot",
        _set(Signer, "sign", bugs.sign_anything),
        name="signer_signs_anything",
        scenario="signer_is_asked_twice",
    ),
    _mutant(
        "26",
        "a torn tail stops the start",
        _swap(vote_log.replay, bugs.replay_refusing_torn_tail),
        name="torn_tail_refused",
    ),
    _mutant(
        "26",
        "a log damaged in the middle is read up to the damage",
        _swap(vote_log.replay, bugs.replay_up_to_damage),
        name="damaged_log_believed",
        scenario="damaged_log",
    ),
    _mutant(
        "27",
        "the kind of a vote is not signed",
        _set(SigningDomain, "payload", bugs.payload_without_kind),
        name="kind_not_signed",
    ),
    _mutant(
        "27",
        "the view of a vote is not signed",
        _set(SigningDomain, "payload", bugs.payload_without_view),
        name="view_not_signed",
    ),
    _mutant(
        "32",
        "a carried block is measured against the clock",
        _swap(normal_case._validate_carried, bugs.validate_carried_as_fresh),
        name="carried_time_checked",
        scenario="old_block_is_carried",
    ),
    _mutant(
        "10",
        "COMMITs of different views make a seal",
        _swap(tally.decided_by_commits, bugs.decided_across_views),
        name="seals_mix_views",
        profile=PARTITIONS,
    ),
    _mutant(
        "2",
        "COMMITs for different digests are added up",
        _swap(tally.decided_by_commits, bugs.decided_across_digests),
        name="commits_across_digests",
        scenario="liar_commits_to_another_block",
    ),
    _mutant(
        "2",
        "PREPAREs for different digests are added up",
        _swap(tally.prepared_certificate, bugs.prepared_across_digests),
        name="prepares_across_digests",
        scenario="liar_prepares_another_block",
    ),
)


def hunt(mutant: Mutant, *, budget_s: float = BUDGET_S) -> MutantResult:
    """Plant one bug and look for it: first its directed history, then seed after seed."""
    began = time.perf_counter()
    with ExitStack() as planted:
        for plant in mutant.plants:
            planted.enter_context(plant())
        if mutant.scenario is not None:
            message = _play(mutant.scenario)
            if message is not None:
                return _caught(mutant, began, None, f"history {mutant.scenario}", message)
        seed = 0
        while time.perf_counter() - began < budget_s:
            violation = run_seed(seed, profile=mutant.profile).violation
            if violation is not None:
                return _caught(
                    mutant, began, seed, f"checker {violation.checker}", violation.message
                )
            seed += 1
    return MutantResult(
        name=mutant.name,
        rule=mutant.rule,
        how=mutant.how,
        caught=False,
        seed=None,
        seconds=time.perf_counter() - began,
        by="",
        message="",
    )


def _play(scenario: str) -> str | None:
    """What is wrong in a directed history, or None."""
    try:
        SCENARIOS[scenario]()
    except InvariantViolation as violation:
        return str(violation)
    except Exception:  # noqa: BLE001  # A core that raises has failed, whatever it raises.
        return traceback.format_exc(limit=-3)
    return None


def _caught(mutant: Mutant, began: float, seed: int | None, by: str, message: str) -> MutantResult:
    return MutantResult(
        name=mutant.name,
        rule=mutant.rule,
        how=mutant.how,
        caught=True,
        seed=seed,
        seconds=time.perf_counter() - began,
        by=by,
        message=message,
    )


def _hunt_by_place(place: int) -> MutantResult:
    return hunt(MUTANTS[place])


def run_mutants(
    *, workers: int = 1, on_result: Callable[[MutantResult], None] | None = None
) -> list[MutantResult]:
    """Hunt every mutant; results in the order of the table."""
    places: Sequence[int] = range(len(MUTANTS))
    results: list[MutantResult] = []
    if workers <= 1:
        for place in places:
            results.append(_hunt_by_place(place))
            if on_result is not None:
                on_result(results[-1])
        return results
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        for result in pool.map(_hunt_by_place, places):
            results.append(result)
            if on_result is not None:
                on_result(result)
    return results
