"""The life of a proposal: OPEN → ACCEPTED → ACTIVE, or REJECTED or EXPIRED on the way.

Members vote on who comes and goes. Those votes are void when somebody has come or gone (research
rule 31): each carries the *era* in which it was given, and an era ends with a set of members, so
nothing has to be looked for and undone. A member's own changes (a new key, a new incarnation)
need no votes and end no era; otherwise a member could void the votes on its own eviction.

A proposal that is accepted waits for READYs of the new set, and expires if they do not come.

What is kept is bounded, whoever proposes what: votes go when their proposal is over, and records
PROPOSALS_KEPT ids later. Who is not over by then is *late*, and its record goes when it is.
"""

from dataclasses import replace

from market.abi import (
    PROPOSALS_KEPT,
    PROPOSALS_OPEN_PER_MEMBER_MAX,
    ProposalDecided,
    ProposalKind,
    ProposalStatus,
    Proposed,
    RevertCode,
    Voted,
)
from market.contracts.membership_rate import count_proposal
from market.contracts.membership_store import (
    Proposal,
    delete_candidate,
    delete_proposal,
    find_proposal,
    load_rules,
    member_accounts,
    put_proposal,
    votes_needed,
)
from market.contracts.storage import u64
from vm.errors import Revert
from vm.members import MEMBERS_MAX
from vm.native import CallContext

_NEXT_ID = b"#"
_VOTES = b"v"
"""Id -> the era, 8 bytes, and who has voted in it: a bit for each of `member_accounts`, whose order
lasts as long as the era."""
_SUBJECT = b"x"
"""Account that a vote is about -> id: one at a time."""
_OWN = b"w"
"""Member -> id of its own change that waits."""
_OPEN = b"o"
"""Member -> how many of its proposals are neither active nor over."""
_HELD = b"q"
"""Id of a proposal that was ended early -> its proposer, whose place it takes until its time."""
_ERA = b"e"
_WAITING = b"g"
"""Ids of the accepted proposals, joined, in the order of acceptance."""
_LATE = b"h"
"""Ids, joined and ascending, of the proposals that are not over though PROPOSALS_KEPT came after:
a few for each member, since so many are open."""
_ID_BYTES = 8

_OVER = (ProposalStatus.REJECTED, ProposalStatus.EXPIRED, ProposalStatus.ACTIVE)


def begin_proposals(ctx: CallContext) -> None:
    """Write the first state."""
    ctx.put_int(_NEXT_ID, 1)


def open_vote(ctx: CallContext, kind: ProposalKind, account: bytes, proposer: bytes) -> int:
    """Ask the members about `account`; return the proposal's id.

    Reverts:
        ALREADY_PROPOSED: about this account.
        TOO_MANY: the proposer has PROPOSALS_OPEN_PER_MEMBER_MAX that are not over.
    """
    if ctx.get(_SUBJECT + account):
        raise Revert(RevertCode.ALREADY_PROPOSED, f"0x{account.hex()} is being voted on")
    open_count = ctx.get_int(_OPEN + proposer)
    if open_count >= PROPOSALS_OPEN_PER_MEMBER_MAX:
        raise Revert(RevertCode.TOO_MANY, f"{open_count} proposals of this member are open")
    ctx.put_int(_OPEN + proposer, open_count + 1)
    expires = ctx.window + load_rules(ctx).proposal_windows
    era = ctx.get_int(_ERA)
    proposal = Proposal(kind, account, proposer, 0, 0, ProposalStatus.OPEN, expires, era)
    proposal_id = _enter(ctx, proposal)
    ctx.put(_SUBJECT + account, u64(proposal_id))
    _schedule(ctx, proposal_id, expires)
    return proposal_id


def open_own(ctx: CallContext, kind: ProposalKind, member: bytes) -> int:
    """Accept a member's own change at once, in place of an older one; return its id.

    Reverts:
        TOO_MANY: see `membership_rate`.
    """
    count_proposal(ctx, member)
    drop_own(ctx, member)
    expires = ctx.window + load_rules(ctx).activation_windows
    era = ctx.get_int(_ERA)
    proposal = Proposal(kind, member, member, 0, 0, ProposalStatus.OPEN, expires, era)
    proposal_id = _enter(ctx, proposal)
    ctx.put(_OWN + member, u64(proposal_id))
    # No deadline: one of each member waits at most, and a member could fill the queue with them.
    _accept(ctx, proposal_id, proposal, expires)
    return proposal_id


def drop_own(ctx: CallContext, member: bytes) -> None:
    """Expire the member's own change that waits, if there is one."""
    stored = ctx.get(_OWN + member)
    if stored:
        proposal_id = int.from_bytes(stored, "big")
        finish(ctx, proposal_id, load_proposal(ctx, proposal_id), ProposalStatus.EXPIRED)


def _enter(ctx: CallContext, proposal: Proposal) -> int:
    proposal_id = ctx.get_int(_NEXT_ID)
    ctx.put_int(_NEXT_ID, proposal_id + 1)
    put_proposal(ctx, proposal_id, proposal)
    _retire(ctx, proposal_id - PROPOSALS_KEPT)
    ctx.emit(Proposed(proposal_id, proposal.account, proposal.kind))
    return proposal_id


def _retire(ctx: CallContext, proposal_id: int) -> None:
    """Delete a proposal for which there is no room among the newest, or list it as late."""
    proposal = find_proposal(ctx, proposal_id) if proposal_id > 0 else None
    if proposal is None:
        return
    if proposal.status in _OVER:
        delete_proposal(ctx, proposal_id)
    else:
        ctx.put(_LATE, ctx.get(_LATE) + u64(proposal_id))
        expire(ctx, proposal_id)


def cast_vote(ctx: CallContext, proposal_id: int, member: bytes, *, yes: bool) -> ProposalStatus:
    """Count one vote; the one that decides accepts or rejects. Return the status after it.

    An upgrade that is accepted is ACTIVE at once, for nothing but its height is awaited.

    Reverts:
        UNKNOWN_PROPOSAL, PROPOSAL_DECIDED, ALREADY_VOTED.
    """
    proposal = load_proposal(ctx, proposal_id)
    if status_at(proposal, ctx.window) != ProposalStatus.OPEN:
        raise Revert(RevertCode.PROPOSAL_DECIDED, f"proposal {proposal_id} is not open")
    era = ctx.get_int(_ERA)
    _mark_vote(ctx, proposal_id, era, member)
    ctx.emit(Voted(proposal_id, member, yes))
    proposal = _of_era(proposal, era)
    if yes:
        proposal = replace(proposal, yes=proposal.yes + 1)
    else:
        proposal = replace(proposal, no=proposal.no + 1)
    needed, members = needed_for(ctx, proposal.kind), len(member_accounts(ctx))
    if proposal.yes >= needed and proposal.kind == ProposalKind.UPGRADE:
        return finish(ctx, proposal_id, proposal, ProposalStatus.ACTIVE)
    if proposal.yes >= needed:
        expires = ctx.window + load_rules(ctx).activation_windows
        _accept(ctx, proposal_id, proposal, expires)
        _schedule(ctx, proposal_id, expires)
        return ProposalStatus.ACCEPTED
    if members - proposal.no < needed:
        return finish(ctx, proposal_id, proposal, ProposalStatus.REJECTED)
    put_proposal(ctx, proposal_id, proposal)
    return ProposalStatus.OPEN


def _mark_vote(ctx: CallContext, proposal_id: int, era: int, member: bytes) -> None:
    key, prefix = _VOTES + u64(proposal_id), u64(era)
    stored = ctx.get(key)
    given = int.from_bytes(stored[8:], "big") if stored[:8] == prefix else 0
    place = 1 << member_accounts(ctx).index(member)
    if given & place:
        raise Revert(RevertCode.ALREADY_VOTED, f"on proposal {proposal_id}")
    ctx.put(key, prefix + (given | place).to_bytes(MEMBERS_MAX // 8, "big"))


def needed_for(ctx: CallContext, kind: int) -> int:
    """Return how many votes decide: for an upgrade those of a quorum at least (`upgrades`)."""
    needed = votes_needed(ctx)
    return needed if kind != ProposalKind.UPGRADE else max(needed, ctx.member_set().quorum)


def end_era(ctx: CallContext) -> None:
    """Void the votes on all open proposals: somebody has come or gone."""
    ctx.put_int(_ERA, ctx.get_int(_ERA) + 1)


def find_vote_about(ctx: CallContext, account: bytes) -> int | None:
    """Return the id of the proposal about an account that is not over, or None."""
    stored = ctx.get(_SUBJECT + account)
    return int.from_bytes(stored, "big") if stored else None


def expire_now(ctx: CallContext, proposal_id: int) -> None:
    """End a proposal that cannot be accepted any more, before its time is over.

    Until that is over it takes its proposer's place all the same, for so long its deadline stands
    in the chain's queue: a member that proposes and ends in turn would fill it.
    """
    proposal = load_proposal(ctx, proposal_id)
    finish(ctx, proposal_id, proposal, ProposalStatus.EXPIRED)
    ctx.add_int(_OPEN + proposal.proposer, 1)
    ctx.put(_HELD + u64(proposal_id), proposal.proposer)


def expire(ctx: CallContext, proposal_id: int) -> None:
    """End a proposal whose time is over; the queue calls it once for each of its times.

    By then it may be over and its record gone.
    """
    held = ctx.get(_HELD + u64(proposal_id))
    if held:
        ctx.put(_HELD + u64(proposal_id), b"")
        ctx.add_int(_OPEN + held, -1)
        return
    proposal = find_proposal(ctx, proposal_id)
    if proposal is None:
        return
    is_late = status_at(proposal, ctx.window) == ProposalStatus.EXPIRED
    if is_late and proposal.status not in _OVER:
        finish(ctx, proposal_id, proposal, ProposalStatus.EXPIRED)


def _accept(ctx: CallContext, proposal_id: int, proposal: Proposal, expires: int) -> None:
    accepted = replace(proposal, status=ProposalStatus.ACCEPTED, expires_window=expires)
    put_proposal(ctx, proposal_id, accepted)
    ctx.put(_WAITING, ctx.get(_WAITING) + u64(proposal_id))
    ctx.emit(ProposalDecided(proposal_id, ProposalStatus.ACCEPTED))


def finish(
    ctx: CallContext, proposal_id: int, proposal: Proposal, status: ProposalStatus
) -> ProposalStatus:
    """End a proposal and make room for the next one about its account and by its proposer.

    Returns:
        `status`.
    """
    if proposal.status == ProposalStatus.ACCEPTED:
        _take_out(ctx, _WAITING, proposal_id)
    if proposal_id + PROPOSALS_KEPT < ctx.get_int(_NEXT_ID):
        _take_out(ctx, _LATE, proposal_id)
        delete_proposal(ctx, proposal_id)
    else:
        put_proposal(ctx, proposal_id, replace(proposal, status=status))
    delete_candidate(ctx, proposal_id)
    ctx.put(_VOTES + u64(proposal_id), b"")
    if proposal.kind in (ProposalKind.ADMIT, ProposalKind.EVICT, ProposalKind.UPGRADE):
        ctx.put(_SUBJECT + proposal.account, b"")
        ctx.put_int(_OPEN + proposal.proposer, ctx.get_int(_OPEN + proposal.proposer) - 1)
    else:
        ctx.put(_OWN + proposal.account, b"")
    ctx.emit(ProposalDecided(proposal_id, status))
    return status


def _schedule(ctx: CallContext, proposal_id: int, last_window: int) -> None:
    """Have `expire` called once `last_window` is over."""
    genesis = ctx.genesis
    ctx.schedule(genesis.time_ms + (last_window + 1) * genesis.window_ms, u64(proposal_id))


# Reading -----------------------------------------------------------------------------------------


def load_proposal(ctx: CallContext, proposal_id: int) -> Proposal:
    """Return the proposal, or revert with UNKNOWN_PROPOSAL."""
    proposal = find_proposal(ctx, proposal_id)
    if proposal is None:
        raise Revert(RevertCode.UNKNOWN_PROPOSAL, f"no proposal {proposal_id}")
    return proposal


def status_at(proposal: Proposal, window: int) -> ProposalStatus:
    """Return the status; the queue may mark an expired proposal a block or more later."""
    if proposal.status not in _OVER and window > proposal.expires_window:
        return ProposalStatus.EXPIRED
    return ProposalStatus(proposal.status)


def is_over(proposal: Proposal) -> bool:
    """Return whether it is neither voted on nor waits any more, as far as it is marked so."""
    return proposal.status in _OVER


def proposal_ids(ctx: CallContext) -> list[int]:
    """Return the ids of all that are kept, oldest first."""
    following = ctx.get_int(_NEXT_ID)
    newest = range(max(1, following - PROPOSALS_KEPT), following)
    return [*_ids(ctx, _LATE), *newest]


def waiting_ids(ctx: CallContext) -> list[int]:
    """Return the ids of the accepted proposals that wait for READYs, in order."""
    return _ids(ctx, _WAITING)


def _take_out(ctx: CallContext, key: bytes, proposal_id: int) -> None:
    rest = [each for each in _ids(ctx, key) if each != proposal_id]
    ctx.put(key, b"".join(map(u64, rest)))


def _ids(ctx: CallContext, key: bytes) -> list[int]:
    joined = ctx.get(key)
    return [
        int.from_bytes(joined[at : at + _ID_BYTES], "big")
        for at in range(0, len(joined), _ID_BYTES)
    ]


def counted(ctx: CallContext, proposal: Proposal) -> Proposal:
    """Return the proposal with the votes that count: none of an era that has ended."""
    if proposal.status != ProposalStatus.OPEN:
        return proposal
    return _of_era(proposal, ctx.get_int(_ERA))


def _of_era(proposal: Proposal, era: int) -> Proposal:
    return proposal if proposal.era == era else replace(proposal, yes=0, no=0, era=era)
