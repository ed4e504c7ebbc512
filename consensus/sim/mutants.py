"""The table of mutants: each deliberate bug, its rule, and what must catch it.

A checker that no bug has ever tripped proves nothing; this table is the proof for ours. Rule
numbers are those of the consensus specification; each bug is planted, hunted, and taken out.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import final

from consensus import (
    catch_up,
    comparison,
    normal_case,
    pacemaker,
    recovery,
    replica,
    retransmission,
    tally,
    timers,
    verification,
    view_change,
    vote_log,
)
from consensus.certificates import SigningDomain
from consensus.membership import Membership
from consensus.peers import Peer
from consensus.quorum import Quorum
from consensus.signer import Signer
from consensus.sim import bugs, community
from consensus.sim.planting import attribute, function
from consensus.sim.profiles import (
    BLACKOUTS,
    CENSORED,
    CRASHES,
    DEFAULT,
    DISKS,
    FEW_TOLD,
    FLOODS,
    LIARS,
    MEMBERS,
    PARTITIONS,
    ROTATIONS,
    SPLITS,
    UPGRADES,
    Profile,
)
from consensus.state import State

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
    """A directed history that catches it, too: played if no seed does within the budget."""
    profile: Profile = DEFAULT


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
        profile=CENSORED,
    ),
    _mutant(
        "1",
        "a new view does not bind its proposal",
        _set(State, "carried", property(bugs.carry_nothing)),
        name="new_view_binds_nothing",
        profile=CENSORED,
    ),
    _mutant(
        "1",
        "a NEW-VIEW is believed without its proof",
        _swap(view_change.new_view_fault, bugs.believe_new_view),
        name="new_view_not_verified",
        scenario="new_view_without_proof",
        profile=LIARS,
    ),
    _mutant(
        "1",
        "a certificate is believed without its signatures",
        _swap(verification.is_certificate_valid, bugs.believe_certificate),
        name="certificate_not_verified",
        profile=LIARS,
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
        profile=ROTATIONS,
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
        _swap(catch_up.take_block, bugs.take_any_block),
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
        profile=CENSORED,
    ),
    _mutant(
        "12",
        "f + 1 VIEW-CHANGEs take nobody along",
        _swap(view_change.join, bugs.join_nobody),
        name="joins_nobody",
        scenario="half_ask_for_a_view",
        profile=FEW_TOLD,
    ),
    _mutant(
        "13",
        "every VIEW-CHANGE of a member is kept",
        _swap(view_change.on_view_change, bugs.keep_every_view_change),
        name="view_changes_pile_up",
        scenario="flood",
        profile=FLOODS,
    ),
    _mutant(
        "14",
        "what was lost is never sent again",
        _swap(retransmission.on_status, bugs.hear_status_only),
        name="no_retransmission",
    ),
    _mutant(
        "14",
        "a NEW-VIEW is sent for ever to one that refuses it",
        _swap(retransmission._answer, bugs.answer_with_new_view),
        name="refused_new_view_repeated",
        scenario="two_groups_ask_for_different_views",
        profile=SPLITS,
    ),
    _mutant(
        "16",
        "a term never ends",
        _set(Membership, "term", bugs.one_term_for_ever),
        name="term_never_ends",
    ),
    _mutant(
        "17",
        "a head is believed without its seal",
        _swap(verification.is_head_proven, bugs.believe_head),
        name="head_not_verified",
        profile=LIARS,
    ),
    _mutant(
        "19",
        "a replica votes as soon as it starts, with its log lost too",
        _swap(recovery.become_learner, bugs.vote_at_once),
        name="learner_votes",
        scenario="vote_log_is_lost",
    ),
    _mutant(
        "19",
        "a rest ends with the block in which it began",
        _swap(replica._applied, bugs.applied_and_rested),
        name="rest_ends_at_once",
        profile=UPGRADES,
    ),
    _mutant(
        "19",
        "a resting replica asks for other views",
        _set(State, "may_vote", property(bugs.may_vote_while_resting)),
        name="asks_for_views_at_rest",
        profile=UPGRADES,
    ),
    _mutant(
        "20",
        "blocks of others are applied without a look at their seals",
        _swap(catch_up.take_block, bugs.take_unsealed_block),
        name="unsealed_blocks_believed",
        scenario="forged_blocks",
        profile=LIARS,
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
        "23",
        "the log is rewritten without the own VIEW-CHANGEs",
        _swap(vote_log.compact, bugs.compact_away_views),
        name="view_changes_compacted_away",
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
        "25",
        "own signatures that others show and the log lacks are passed over",
        _swap(recovery._recall, bugs.forget_what_is_shown),
        name="lost_votes_not_recalled",
        profile=DISKS,
    ),
    _mutant(
        "25",
        "a log that was lost is believed to be whole",
        _swap(recovery.heads_needed, bugs.trust_any_log),
        name="lost_log_trusted",
        profile=DISKS,
    ),
    _mutant(
        "25",
        "a restarted member votes as soon as an epoch begins",
        _swap(recovery.begin_epoch, bugs.begin_epoch_at_once),
        name="quarantine_ends_with_epoch",
        profile=MEMBERS,
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
        profile=DISKS,
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
        "28",
        "the member set never changes",
        _swap(replica._applied, bugs.applied_in_the_old_set),
        name="member_set_never_changes",
        profile=MEMBERS,
    ),
    _mutant(
        "28",
        "votes are bound to the first member set for ever",
        _set(State, "enter_epoch", bugs.enter_epoch_in_the_old_domain),
        name="votes_bound_to_first_set",
        profile=MEMBERS,
    ),
    _mutant(
        "28",
        "the block below an epoch proves nothing in it",
        _set(State, "enter_epoch", bugs.enter_epoch_without_base),
        name="block_below_epoch_unproven",
        profile=MEMBERS,
    ),
    _mutant(
        "28",
        "an epoch begins in the view in which the last one ended",
        _set(State, "enter_epoch", bugs.enter_epoch_in_the_old_view),
        name="view_outlives_epoch",
        profile=MEMBERS,
    ),
    _mutant(
        "29",
        "a member set takes effect with a READY too few",
        _swap(community.readies_needed, bugs.one_ready_too_few),
        name="ready_quorum_one_too_small",
        profile=MEMBERS,
    ),
    _mutant(
        "32",
        "a carried block is measured against the clock",
        _swap(normal_case._validate_carried, bugs.validate_carried_as_fresh),
        name="carried_time_checked",
        scenario="old_block_is_carried",
        profile=BLACKOUTS,
    ),
    _mutant(
        "33",
        "all votes that come too early are kept",
        _swap(normal_case._stash, bugs.stash_all),
        name="early_votes_pile_up",
        scenario="flood",
        profile=FLOODS,
    ),
    _mutant(
        "34",
        "votes are counted without a look at their signatures",
        _swap(verification.is_vote_signed, bugs.believe_vote),
        name="votes_not_verified",
        profile=LIARS,
    ),
    _mutant(
        "35",
        "whoever asks is served as often as he asks",
        _set(Peer, "may_serve", bugs.serve_without_end),
        name="served_without_end",
    ),
    _mutant(
        "36",
        "a member is accused on the word of another",
        _swap(comparison.on_shown, bugs.believe_accuser),
        name="evidence_not_verified",
        scenario="forged_accusation",
        profile=LIARS,
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
        profile=LIARS,
    ),
    _mutant(
        "2",
        "PREPAREs for different digests are added up",
        _swap(tally.prepared_certificate, bugs.prepared_across_digests),
        name="prepares_across_digests",
        scenario="liar_prepares_another_block",
        profile=LIARS,
    ),
    _mutant(
        "15",
        "timers run while nothing is open",
        _set(State, "is_open", property(bugs.is_always_open)),
        name="timers_run_while_idle",
        profile=CRASHES,
    ),
    _mutant(
        "36",
        "a correct member is suspected because its vote came late",
        _swap(normal_case.on_vote, bugs.blame_for_being_late),
        name="late_votes_suspected",
    ),
)
