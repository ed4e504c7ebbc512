"""Upgrades: members vote that other rules are in force from a height on.

A proposal of kind UPGRADE names the version after the newest and a height. It has the life of
every proposal, but for three things. A vote for it says up to which version the member's node
supports the rules, and does not count if that is too little. It needs not only as many votes as an
admission, but also those of a quorum: fewer could not seal the blocks from that height on, and a
change must never stop the chain (research rule 29). And it waits for no READYs: once accepted it
stands in the schedule (`vm.protocol`), and its height comes by itself.
"""

from market.abi import (
    ZERO_ADDRESS,
    ProposalKind,
    ProposalStatus,
    RevertCode,
    SupportAnnounced,
    UpgradeProposed,
    UpgradeScheduled,
)
from market.contracts.membership_proposals import (
    cast_vote,
    expire_now,
    find_vote_about,
    load_proposal,
    open_vote,
)
from market.contracts.membership_store import UPGRADE_STEP
from market.contracts.storage import u64
from vm.errors import Revert
from vm.native import CallContext
from vm.protocol import STEPS_MAX, Step

_HEIGHT_LIMIT = 2**63


def open_upgrade(ctx: CallContext, step: Step, proposer: bytes) -> int:
    """Ask the members whether `step` follows in the schedule; return the proposal's id.

    Reverts:
        ALREADY_SCHEDULED: the last one that was accepted is not in force yet.
        BAD_ARGUMENT: another version than the next, or no height.
        DEADLINE_PASSED: the height is not above this block's.
        ALREADY_PROPOSED: one is open whose height is not reached.
        TOO_MANY: as for an admission, or STEPS_MAX are in the schedule.
    """
    steps = ctx.protocol_schedule().steps
    newest = steps[-1]
    if newest.first_height > ctx.height:
        detail = f"version {newest.version} at block {newest.first_height}"
        raise Revert(RevertCode.ALREADY_SCHEDULED, detail)
    if step.version != newest.version + 1:
        raise Revert(RevertCode.BAD_ARGUMENT, f"version must be {newest.version + 1}")
    if step.first_height >= _HEIGHT_LIMIT:
        raise Revert(RevertCode.BAD_ARGUMENT, "height must lie below 2**63")
    if len(steps) >= STEPS_MAX:
        raise Revert(RevertCode.TOO_MANY, f"{STEPS_MAX} versions are all that fit")
    _check_ahead(ctx, step)
    _clear_way(ctx)
    proposal_id = open_vote(ctx, ProposalKind.UPGRADE, ZERO_ADDRESS, proposer)
    ctx.put(UPGRADE_STEP + u64(proposal_id), u64(step.version) + u64(step.first_height))
    ctx.emit(UpgradeProposed(proposal_id, step.version, step.first_height))
    return proposal_id


def support_upgrade(ctx: CallContext, proposal_id: int, member: bytes, supported: int) -> None:
    """Vote for an upgrade, and announce that the member's node knows the rules.

    Reverts:
        UNKNOWN_PROPOSAL, PROPOSAL_DECIDED, ALREADY_VOTED.
        BAD_ARGUMENT: not an upgrade.
        NOT_SUPPORTED: `supported` lies below the proposed version.
        DEADLINE_PASSED: the block of the proposed height is made already.
    """
    step = load_step(ctx, proposal_id)
    if supported < step.version:
        detail = f"version {step.version} is proposed, the node knows up to {supported}"
        raise Revert(RevertCode.NOT_SUPPORTED, detail)
    _check_ahead(ctx, step)
    ctx.emit(SupportAnnounced(proposal_id, member, supported))
    if cast_vote(ctx, proposal_id, member, yes=True) == ProposalStatus.ACTIVE:
        ctx.schedule_protocol(step)
        ctx.emit(UpgradeScheduled(step.version, proposal_id, step.first_height))


def check_plain_vote(ctx: CallContext, proposal_id: int) -> None:
    """Refuse a vote for an upgrade that does not say what the member's node supports.

    Reverts:
        NOT_SUPPORTED.
    """
    if ctx.get(UPGRADE_STEP + u64(proposal_id)):
        detail = "a vote for an upgrade says which version the node knows: supportUpgrade"
        raise Revert(RevertCode.NOT_SUPPORTED, detail)


def load_step(ctx: CallContext, proposal_id: int) -> Step:
    """Return what an upgrade proposes.

    Reverts:
        UNKNOWN_PROPOSAL; BAD_ARGUMENT: of another kind.
    """
    load_proposal(ctx, proposal_id)
    stored = ctx.get(UPGRADE_STEP + u64(proposal_id))
    if not stored:
        raise Revert(RevertCode.BAD_ARGUMENT, f"proposal {proposal_id} is not an upgrade")
    return Step(int.from_bytes(stored[:8], "big"), int.from_bytes(stored[8:], "big"))


def _check_ahead(ctx: CallContext, step: Step) -> None:
    if step.first_height <= ctx.height:
        detail = f"block {step.first_height} is not above {ctx.height}"
        raise Revert(RevertCode.DEADLINE_PASSED, detail)


def _clear_way(ctx: CallContext) -> None:
    """End an open upgrade whose height has come: nobody can vote for it any more."""
    standing = find_vote_about(ctx, ZERO_ADDRESS)
    if standing is not None and load_step(ctx, standing).first_height <= ctx.height:
        expire_now(ctx, standing)
