"""What becomes of Membership when a chain that lost its quorum is followed by another.

The survivors have agreed off chain, all of them, on who the members are from now on
(`docs/recovery.md`). The tables change as evictions and admissions would change them. What was
open among the old members is void: they are no community any more.
"""

from collections.abc import Sequence

from crypto.errors import InvalidSignature
from crypto.hashing import tagged_hash
from crypto.keys import verify_ed25519
from market.abi import RING_PROOF_TAG, ProposalStatus, RevertCode
from market.contracts.community_key import forget_key
from market.contracts.membership_change import capacity, check_candidate
from market.contracts.membership_proposals import (
    finish,
    is_over,
    load_proposal,
    proposal_ids,
)
from market.contracts.membership_rate import forget_rate
from market.contracts.membership_store import (
    Candidate,
    Member,
    Node,
    delete_member,
    member_accounts,
    member_of,
    node_of,
    put_accounts,
    put_member,
)
from vm.errors import Revert
from vm.genesis import GenesisMember
from vm.members import MEMBERS_MIN
from vm.native import CallContext


def recover(ctx: CallContext, members: Sequence[GenesisMember]) -> None:
    """Let `members` be the members. The host writes the set that seals, and its epoch.

    The old set is not put aside: what it signed is void from now on, so nobody is judged by it.

    Args:
        ctx: Membership's own, in the state after the checkpoint.
        members: who stays, exactly as the state knows them, and who comes.

    Reverts:
        TOO_FEW_MEMBERS, TOO_MANY: the set.
        BAD_ARGUMENT: one who stays has other keys or another address than in the state.
        BAD_SIGNATURE: a newcomer's proof that it holds its ring key.
        The refusals of `check_candidate`.
    """
    if not MEMBERS_MIN <= len(members) <= capacity(ctx.genesis):
        code = RevertCode.TOO_FEW_MEMBERS if len(members) < MEMBERS_MIN else RevertCode.TOO_MANY
        raise Revert(code, f"{len(members)} members")
    _close_proposals(ctx)
    accounts = member_accounts(ctx)
    staying = [each for each in members if each.account in accounts]
    for each in staying:
        _check_unchanged(ctx, each)
    names = [each.account for each in staying]
    for gone in accounts:
        if gone not in names:
            delete_member(ctx, gone)  # Its account stays, as after an eviction.
            forget_rate(ctx, gone)
    put_accounts(ctx, [each for each in accounts if each in names])
    for each in members:
        if each.account not in names:
            _admit(ctx, each)
    forget_key(ctx)


def _close_proposals(ctx: CallContext) -> None:
    for proposal_id in proposal_ids(ctx):
        proposal = load_proposal(ctx, proposal_id)
        if not is_over(proposal):
            finish(ctx, proposal_id, proposal, ProposalStatus.EXPIRED)


def _check_unchanged(ctx: CallContext, given: GenesisMember) -> None:
    held = member_of(ctx, given.account)
    assert held is not None, "every listed account has a record"
    for name, theirs, ours in (
        ("node_key", given.node_key, held.node_key),
        ("ring_key", given.ring_key, held.ring_key),
        ("wallet", given.wallet, held.wallet),
        ("meter.account", given.meter.account, held.meter),
        ("node", _node(given), node_of(ctx, given.account)),
    ):
        if theirs != ours:
            detail = f"{name} of {given.name} must be as in the state"
            raise Revert(RevertCode.BAD_ARGUMENT, detail)


def _admit(ctx: CallContext, given: GenesisMember) -> None:
    check_candidate(
        ctx,
        Candidate(
            node_key=given.node_key,
            account=given.account,
            ring_key=given.ring_key,
            wallet=given.wallet,
            meter=given.meter.account,
            certificate=given.certificate,
            endpoint=given.endpoint,
            meter_id=given.meter.meter_id,
            name=given.name,
        ),
    )
    try:
        digest = tagged_hash(RING_PROOF_TAG, given.account)
        verify_ed25519(given.ring_key, digest, given.ring_proof)
    except InvalidSignature:
        raise Revert(RevertCode.BAD_SIGNATURE, f"ring_proof of {given.name}") from None
    ctx.register_account(given.account, given.account)
    member = Member(given.node_key, given.ring_key, given.wallet, given.meter.account)
    put_member(ctx, given.account, member, _node(given))
    put_accounts(ctx, [*member_accounts(ctx), given.account])


def _node(given: GenesisMember) -> Node:
    return Node(given.endpoint, given.name, given.certificate)
