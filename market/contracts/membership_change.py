"""What an accepted proposal makes of the member set, and how it takes effect.

The host asks `next_members` for the new set, checks the READYs against it, and calls `activate`
(`vm.activate`). What was accepted long ago is judged by the members of now: if it makes no valid
set any more, it waits until it does, or expires.
"""

from dataclasses import replace

from market.abi import (
    MembersChanged,
    ProposalKind,
    ProposalStatus,
    RevertCode,
)
from market.contracts.community_key import forget_key
from market.contracts.market_rules import ENTRY_GAS_BASE, ENTRY_GAS_PER_MEMBER
from market.contracts.membership_proposals import (
    drop_own,
    end_era,
    finish,
    load_proposal,
    status_at,
)
from market.contracts.membership_rate import count_epoch, forget_rate
from market.contracts.membership_store import (
    Candidate,
    Member,
    Proposal,
    all_members,
    delete_member,
    load_candidate,
    member_accounts,
    member_of,
    node_of,
    put_accounts,
    put_member,
)
from market.contracts.past_sets import keep_set
from vm.errors import Revert
from vm.gas import deadline_entry_gas
from vm.genesis import Genesis
from vm.members import MEMBERS_MAX, MEMBERS_MIN, NextMembers
from vm.native import CallContext


def capacity(genesis: Genesis) -> int:
    """Return how many members the chain can have: the market settles for all in one deadline."""
    gas = deadline_entry_gas(genesis.block_gas_limit) - ENTRY_GAS_BASE
    return min(MEMBERS_MAX, gas // ENTRY_GAS_PER_MEMBER)


def next_members(ctx: CallContext, proposal_id: int) -> NextMembers:
    """Return the set that an accepted proposal makes now.

    Reverts:
        UNKNOWN_PROPOSAL, NOT_ACCEPTED: it is not one that waits.
        The refusals of `check_candidate` and `propose_eviction`, as of now.
        TOO_FEW_MEMBERS, TOO_MANY: the set would be too small or too large.
    """
    proposal = load_proposal(ctx, proposal_id)
    if status_at(proposal, ctx.window) != ProposalStatus.ACCEPTED:
        raise Revert(RevertCode.NOT_ACCEPTED, f"proposal {proposal_id} does not wait for READYs")
    keys = ctx.member_set().keys
    if proposal.kind == ProposalKind.ADMIT:
        candidate = _candidate(ctx, proposal_id)
        check_candidate(ctx, candidate)
        if len(keys) >= capacity(ctx.genesis):
            raise Revert(RevertCode.TOO_MANY, f"{len(keys)} members are all that fit")
        return NextMembers(tuple(sorted((*keys, candidate.node_key))), candidate.node_key)
    old = _member(ctx, proposal.account).node_key
    rest = tuple(key for key in keys if key != old)
    if proposal.kind == ProposalKind.EVICT:
        if len(rest) < MEMBERS_MIN:
            detail = f"must stay at least {MEMBERS_MIN}, would be {len(rest)}"
            raise Revert(RevertCode.TOO_FEW_MEMBERS, detail)
        return NextMembers(rest, None)
    if proposal.kind == ProposalKind.REINCARNATE:
        return NextMembers(keys, old)
    new = _candidate(ctx, proposal_id).node_key
    check_node_key(ctx, new)
    return NextMembers(tuple(sorted((*rest, new))), new)


def find_next_members(ctx: CallContext, proposal_id: int) -> NextMembers | None:
    """Return the same, or None where that reverts; for views, which have nothing to undo."""
    try:
        return next_members(ctx, proposal_id)
    except Revert as revert:
        if revert.code == "OUT_OF_GAS":
            raise
        return None


def activate(ctx: CallContext, proposal_id: int) -> None:
    """Let an accepted proposal take effect with the next block.

    Reverts:
        As `next_members`; ACCOUNT_TAKEN: another household has registered the newcomer's account.

    Emits: ProposalDecided, MembersChanged.
    """
    keys = next_members(ctx, proposal_id).keys
    proposal = load_proposal(ctx, proposal_id)
    before = member_of(ctx, proposal.account)
    _EFFECTS[ProposalKind(proposal.kind)](ctx, proposal_id, proposal)
    finish(ctx, proposal_id, proposal, ProposalStatus.ACTIVE)
    is_gone = before is not None and before.node_key not in keys
    gone = before.node_key + proposal.account if before is not None and is_gone else b""
    keep_set(ctx, ctx.member_set(), gone)
    members = ctx.change_members(keys)
    ctx.emit(
        MembersChanged(members.epoch, proposal_id, proposal.kind, proposal.account, members.hash())
    )


def _admit(ctx: CallContext, proposal_id: int, proposal: Proposal) -> None:
    candidate = _candidate(ctx, proposal_id)
    account = proposal.account
    ctx.register_account(account, account)
    member = Member(candidate.node_key, candidate.ring_key, candidate.wallet, candidate.meter)
    put_member(ctx, account, member, candidate.node)
    put_accounts(ctx, [*member_accounts(ctx), account])
    end_era(ctx)


def _evict(ctx: CallContext, _id: int, proposal: Proposal) -> None:
    """Take the vote and the key away; the account stays, so that nothing of its own is stuck.

    It settles what is open and takes its money out, under its own quota as before.
    """
    account = proposal.account
    drop_own(ctx, account)
    forget_rate(ctx, account)
    delete_member(ctx, account)
    put_accounts(ctx, [each for each in member_accounts(ctx) if each != account])
    forget_key(ctx)
    end_era(ctx)


def _rotate(ctx: CallContext, proposal_id: int, proposal: Proposal) -> None:
    candidate, account = _candidate(ctx, proposal_id), proposal.account
    member = replace(_member(ctx, account), node_key=candidate.node_key)
    put_member(ctx, account, member, candidate.node)
    count_epoch(ctx, account)


def _reincarnate(ctx: CallContext, _id: int, proposal: Proposal) -> None:
    account = proposal.account
    member = _member(ctx, account)
    risen = replace(member, incarnation=member.incarnation + 1)
    put_member(ctx, account, risen, node_of(ctx, account))
    count_epoch(ctx, account)


_EFFECTS = {
    ProposalKind.ADMIT: _admit,
    ProposalKind.EVICT: _evict,
    ProposalKind.ROTATE: _rotate,
    ProposalKind.REINCARNATE: _reincarnate,
}


def check_candidate(ctx: CallContext, candidate: Candidate) -> None:
    """Check a newcomer against the members of now.

    Reverts:
        ALREADY_MEMBER, NODE_KEY_TAKEN, RING_KEY_TAKEN, NAME_TAKEN.
        ALREADY_REGISTERED: its account serves a member or the community.
    """
    account = candidate.account
    if member_of(ctx, account) is not None:
        raise Revert(RevertCode.ALREADY_MEMBER, f"0x{account.hex()}")
    is_service = any(account == service for _, service in ctx.genesis.services)
    if is_service or ctx.sponsor_of(account) not in (b"", account):
        raise Revert(RevertCode.ALREADY_REGISTERED, f"0x{account.hex()} serves somebody else")
    check_node_key(ctx, candidate.node_key)
    for other, member in all_members(ctx):
        if member.ring_key == candidate.ring_key:
            raise Revert(RevertCode.RING_KEY_TAKEN, f"by 0x{other.hex()}")
        if node_of(ctx, other).name == candidate.name:
            raise Revert(RevertCode.NAME_TAKEN, f"by 0x{other.hex()}")


def check_node_key(ctx: CallContext, node_key: bytes) -> None:
    """Revert with NODE_KEY_TAKEN if a member votes with this key."""
    if node_key in ctx.member_set().keys:
        raise Revert(RevertCode.NODE_KEY_TAKEN, f"0x{node_key.hex()} is a member's")


def _candidate(ctx: CallContext, proposal_id: int) -> Candidate:
    candidate = load_candidate(ctx, proposal_id)
    assert candidate is not None, "what is proposed is stored with the proposal"
    return candidate


def _member(ctx: CallContext, account: bytes) -> Member:
    member = member_of(ctx, account)
    if member is None:
        raise Revert(RevertCode.NOT_MEMBER, f"0x{account.hex()} is no member any more")
    return member
