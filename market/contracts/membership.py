"""Membership: who the households are, how that changes, one vote for each, and their shared key.

    propose, proposeEviction ── votes ──┐
                                        ├─→ accepted ── READYs of the new set ──→ active: next epoch
    proposeRotation, proposeReincarnation

Here are genesis, the hooks of the host and the views; `membership_actions` has what members do,
`membership_proposals` the votes, `membership_change` what becomes of the set.
"""

from collections.abc import Sequence
from typing import Annotated, final

from crypto.errors import InvalidSignature
from crypto.hashing import tagged_hash
from crypto.keys import verify_ed25519
from market.abi import (
    EVENTS,
    FUNCTIONS,
    MEMBERSHIP,
    RING_PROOF_TAG,
    ZERO_ADDRESS,
    ProposalKind,
)
from market.contracts import community_key, membership_change, membership_recovery, upgrades
from market.contracts.membership_actions import MembershipActions
from market.contracts.membership_proposals import (
    begin_proposals,
    counted,
    expire,
    load_proposal,
    needed_for,
    proposal_ids,
    status_at,
    waiting_ids,
)
from market.contracts.membership_store import (
    Member,
    MembershipRules,
    Node,
    all_members,
    load_candidate,
    member_accounts,
    member_of,
    node_of,
    put_accounts,
    put_member,
    put_rules,
    votes_needed,
)
from market.contracts.parameters import read_parameters
from vm.errors import GenesisError
from vm.gas import METHOD
from vm.genesis import GenesisMember
from vm.members import NextMembers, keys_hash
from vm.native import (
    U8,
    U64,
    Abi,
    Address,
    Bool,
    Bytes,
    Bytes32,
    CallContext,
    Params,
    Str,
    view,
)

__all__ = ["Member", "Membership", "member_accounts", "member_of", "votes_needed"]

_PARAMETERS = {
    "proposal_windows": (168, 1, 2**20),
    "votes_needed_percent": (50, 50, 99),
    "activation_windows": (168, 1, 2**20),
}


_VIEWS = FUNCTIONS["Membership"]
ProposalRow = tuple[U64, U8, Address, U64, U64, U8, U64]
"""(id, kind, account, yes, no, status, expiresWindow)."""
ProposalRows = Annotated[list[ProposalRow], Abi(_VIEWS["proposals"].outputs)]
MemberRows = Annotated[list[tuple[bytes, bytes, str, bytes]], Abi(_VIEWS["members"].outputs)]
"""(account, nodeKey, endpoint, meter)."""
NodeRow = tuple[bytes, bytes, str, str, bytes, int]
NodeRows = Annotated[list[NodeRow], Abi(_VIEWS["nodes"].outputs)]
"""(account, nodeKey, endpoint, name, certificate, incarnation)."""
WaitingRow = tuple[int, int, bytes, bytes, str, str, bytes, bytes, int]
WaitingRows = Annotated[list[WaitingRow], Abi(_VIEWS["waiting"].outputs)]
"""(id, kind, account, newcomer, endpoint, name, certificate, keysHash, expiresWindow)."""
KeyList = Annotated[list[bytes], Abi("bytes32[]")]


@final
class Membership(MembershipActions):
    """Members, proposals, votes, and the change of the set that seals blocks."""

    ADDRESS = MEMBERSHIP
    NAME = "membership"
    PRIVILEGED = True
    GOVERNS_MEMBERS = True
    EVENTS = EVENTS["Membership"]

    def genesis(self, ctx: CallContext, params: Params) -> None:
        """Write the founding members.

        Raises:
            GenesisError: a parameter, or a founder's proof that it holds its ring key.
        """
        put_rules(ctx, MembershipRules(**read_parameters(self.NAME, params, _PARAMETERS)))
        for founder in ctx.genesis.members:
            digest = tagged_hash(RING_PROOF_TAG, founder.account)
            try:
                verify_ed25519(founder.ring_key, digest, founder.ring_proof)
            except InvalidSignature as error:
                raise GenesisError("member.ring_proof", f"{founder.name}: {error}") from None
            member = Member(
                founder.node_key, founder.ring_key, founder.wallet, founder.meter.account
            )
            node = Node(founder.endpoint, founder.name, founder.certificate)
            put_member(ctx, founder.account, member, node)
        put_accounts(ctx, [founder.account for founder in ctx.genesis.members])
        begin_proposals(ctx)

    def on_deadline(self, ctx: CallContext, payload: bytes) -> None:
        """Expire the proposal whose id is the payload, if its time is over."""
        expire(ctx, int.from_bytes(payload, "big"))

    def next_members(self, ctx: CallContext, proposal_id: int) -> NextMembers:
        """Return the set that an accepted proposal makes now (see `membership_change`)."""
        return membership_change.next_members(ctx, proposal_id)

    def activate(self, ctx: CallContext, proposal_id: int) -> None:
        """Let an accepted proposal take effect with the next block."""
        membership_change.activate(ctx, proposal_id)

    def recover(self, ctx: CallContext, members: Sequence[GenesisMember]) -> None:
        """Make these the members, below a new block 0 (`membership_recovery`)."""
        membership_recovery.recover(ctx, members)

    @view(gas=METHOD)
    def members(self, ctx: CallContext) -> MemberRows:
        """Return (account, nodeKey, endpoint, meter) of each member, oldest first."""
        return [
            (account, member.node_key, node_of(ctx, account).endpoint, member.meter)
            for account, member in all_members(ctx)
        ]

    @view(gas=METHOD)
    def nodes(self, ctx: CallContext) -> NodeRows:
        """Return how each member's node is met, ascending by node key: as votes count them."""
        rows: list[NodeRow] = []
        for account, member in all_members(ctx):
            node = node_of(ctx, account)
            who = (account, member.node_key, node.endpoint, node.name)
            rows.append((*who, node.certificate, member.incarnation))
        return sorted(rows, key=lambda row: row[1])

    @view(gas=METHOD)
    def epoch(self, ctx: CallContext) -> tuple[U64, U64, U64, U64, U64, Bytes32]:
        """Return (epoch, firstHeight, firstTerm, termBlocks, quorum, membersHash) of now."""
        members = ctx.member_set()
        return (
            members.epoch,
            members.first_height,
            members.first_term,
            members.term_blocks,
            members.quorum,
            members.hash(),
        )

    @view(gas=METHOD)
    def proposals(self, ctx: CallContext) -> ProposalRows:
        """Return all proposals that are kept, oldest first, as `proposal`."""
        return [_row(ctx, proposal_id) for proposal_id in proposal_ids(ctx)]

    @view(gas=METHOD)
    def proposal(
        self,
        ctx: CallContext,
        id_: U64,
    ) -> ProposalRow:
        """Return (id, kind, account, yes, no, status, expiresWindow).

        Reverts:
            UNKNOWN_PROPOSAL.
        """
        return _row(ctx, id_)

    @view(gas=METHOD)
    def candidate(
        self, ctx: CallContext, id_: U64
    ) -> tuple[Bytes32, Str, Str, Bytes, Address, Str]:
        """Return (nodeKey, endpoint, name, certificate, meter, meterId) of who wants in.

        Of a rotation, what it will be, without meterId; zero and empty for the other kinds, and
        once the proposal is over.

        Reverts:
            UNKNOWN_PROPOSAL.
        """
        load_proposal(ctx, id_)
        held = load_candidate(ctx, id_)
        if held is None:
            return bytes(32), "", "", b"", ZERO_ADDRESS, ""
        node = held.node
        return (
            held.node_key,
            node.endpoint,
            node.name,
            node.certificate,
            held.meter,
            held.meter_id,
        )

    @view(gas=METHOD)
    def waiting(self, ctx: CallContext) -> WaitingRows:
        """Return the accepted proposals that READYs would activate now.

        (id, kind, account, newcomer, endpoint, name, certificate, keysHash, expiresWindow) each:
        `newcomer` is the node key whose READY must be there (zero for an eviction), followed by
        how that node is met; `keysHash` is what a READY signs.
        """
        rows: list[WaitingRow] = []
        for proposal_id in waiting_ids(ctx):
            new = membership_change.find_next_members(ctx, proposal_id)
            if new is not None:
                rows.append(_waiting_row(ctx, proposal_id, new))
        return rows

    @view(gas=METHOD)
    def next_keys(self, ctx: CallContext, id_: U64) -> KeyList:
        """Return the node keys of the set that an accepted proposal makes now, ascending.

        Reverts:
            As `membership_change.next_members`.
        """
        return list(membership_change.next_members(ctx, id_).keys)

    @view(gas=METHOD)
    def community_key(self, ctx: CallContext) -> tuple[Bool, Bool, U64, Address, Bytes32, Bytes]:
        """Return (isDealt, isDue, epoch, dealer, keyHash, boxes) of the key that serves.

        `isDue`: there has been a key before, and none of the present epoch stands. `boxes`: E,
        then node key and box of each member of the key's epoch, 64 bytes a member.
        """
        found, is_due = community_key.serving_key(ctx), community_key.is_due(ctx)
        if found is None:
            return False, is_due, 0, ZERO_ADDRESS, bytes(32), b""
        key, boxes = found
        return True, is_due, key.epoch, key.dealer, key.key_hash, boxes

    @view(gas=METHOD)
    def is_barred(self, ctx: CallContext, epoch: U64, dealer: Address) -> Bool:
        """Return whether a box of `dealer` has failed in `epoch`, so that it deals no more."""
        return community_key.is_barred(ctx, epoch, dealer)

    @view(gas=METHOD)
    def threshold(self, ctx: CallContext) -> U64:
        """Return how many votes decide."""
        return votes_needed(ctx)

    @view(gas=METHOD)
    def upgrade(self, ctx: CallContext, id_: U64) -> tuple[U64, U64]:
        """Return (version, height) that an upgrade proposes.

        Reverts:
            UNKNOWN_PROPOSAL; BAD_ARGUMENT: a proposal of another kind.
        """
        step = upgrades.load_step(ctx, id_)
        return step.version, step.first_height

    @view(gas=METHOD)
    def protocol(self, ctx: CallContext) -> tuple[U64, U64, U64, U64, U64]:
        """Return (version, height, nextVersion, nextHeight, votes).

        The version of this block and where it came into force; what was voted to come next, zeros
        if nothing; how many votes an upgrade needs.
        """
        schedule = ctx.protocol_schedule()
        step, later = schedule.at(ctx.height), schedule.after(ctx.height)
        following = (0, 0) if later is None else (later.version, later.first_height)
        needed = needed_for(ctx, ProposalKind.UPGRADE)
        return step.version, step.first_height, *following, needed

    @view(gas=METHOD)
    def quota(self, ctx: CallContext, account: Address) -> tuple[U64, U64, U64]:
        """Return (gas used, gas allowed, window) of whoever sponsors `account`, in this window."""
        sponsor = ctx.sponsor_of(account)
        if not sponsor:
            return 0, 0, ctx.window
        return ctx.quota_used(sponsor), ctx.genesis.quota_gas, ctx.window


def _row(ctx: CallContext, proposal_id: int) -> ProposalRow:
    p = counted(ctx, load_proposal(ctx, proposal_id))
    status = status_at(p, ctx.window)
    return proposal_id, p.kind, p.account, p.yes, p.no, status, p.expires_window


def _waiting_row(ctx: CallContext, proposal_id: int, new: NextMembers) -> WaitingRow:
    proposal = load_proposal(ctx, proposal_id)
    candidate = load_candidate(ctx, proposal_id)
    node = node_of(ctx, proposal.account) if candidate is None else candidate.node
    return (
        proposal_id,
        proposal.kind,
        proposal.account,
        new.newcomer or bytes(32),
        node.endpoint,
        node.name,
        node.certificate,
        keys_hash(new.keys),
        proposal.expires_window,
    )
