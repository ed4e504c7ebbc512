"""What members do with Membership: propose, vote, deal the community key."""

from crypto.hashing import tagged_hash
from market.abi import (
    CANDIDATE_FIELDS,
    CANDIDATE_TAG,
    RING_PROOF_TAG,
    ROTATION_FIELDS,
    ROTATION_TAG,
    ProposalKind,
    RevertCode,
)
from market.contracts import community_key, membership_change, upgrades
from market.contracts.membership_checks import check_certificate, check_endpoint, check_fields
from market.contracts.membership_proposals import (
    cast_vote,
    open_own,
    open_vote,
)
from market.contracts.membership_store import (
    Candidate,
    Member,
    member_of,
    node_of,
    put_candidate,
)
from market.contracts.signed import check_account, check_ed25519, digest_of
from vm.errors import Revert
from vm.gas import METHOD
from vm.native import (
    U64,
    Address,
    Bool,
    Bytes,
    Bytes32,
    CallContext,
    NativeContract,
    Str,
    external,
)
from vm.protocol import Step


class MembershipActions(NativeContract):
    """The functions of Membership that change something; each is called by a member's account."""

    @external(gas=METHOD)
    def propose(  # noqa: PLR0917 (a transaction has no keywords)
        self,
        ctx: CallContext,
        node_key: Bytes32,
        account: Address,
        ring_key: Bytes32,
        ring_proof: Bytes,
        wallet: Bytes,
        endpoint: Str,
        meter: Address,
        meter_ring_key: Bytes32,
        meter_id: Str,
        certificate: Bytes,
        name: Str,
        node_signature: Bytes,
        account_signature: Bytes,
    ) -> U64:
        """Carry in a newcomer, which proposes itself by its signatures.

        Args:
            certificate: DER of the node's certificate (`crypto.node_certificate`).
            name: for people; distinct among the members.
            node_signature: Ed25519 by `node_key` over the digest of CANDIDATE_FIELDS.
            account_signature: 65 bytes by `account` over the same.
            ring_proof: Ed25519 by `ring_key` over tagged_hash(RING_PROOF_TAG, account).

        Returns:
            The proposal's id, counted from 1.

        Reverts:
            NOT_MEMBER: the caller is not a member's own account.
            ALREADY_MEMBER, ALREADY_REGISTERED, ALREADY_PROPOSED: the candidate's account.
            NODE_KEY_TAKEN, RING_KEY_TAKEN, NAME_TAKEN: by a member.
            BAD_ARGUMENT: a length, the endpoint, the name, or the certificate is not the key's.
            BAD_SIGNATURE: one of the three.
            TOO_MANY: the member has PROPOSALS_OPEN_PER_MEMBER_MAX that are not over.

        Emits: Proposed.
        """
        proposer, _ = _require_member(ctx)
        candidate = Candidate(
            node_key=node_key,
            account=account,
            ring_key=ring_key,
            wallet=wallet,
            meter=meter,
            certificate=certificate,
            endpoint=endpoint,
            meter_id=meter_id,
            name=name,
        )
        membership_change.check_candidate(ctx, candidate)
        check_fields(candidate, ring_proof)
        values: dict[str, int | bytes | str] = {
            "chain_id": ctx.chain_id,
            "node_key": node_key,
            "account": account,
            "ring_key": ring_key,
            "ring_proof": ring_proof,
            "wallet": wallet,
            "endpoint": endpoint,
            "meter": meter,
            "meter_ring_key": meter_ring_key,
            "meter_id": meter_id,
            "certificate": certificate,
            "name": name,
        }
        digest = digest_of(CANDIDATE_TAG, CANDIDATE_FIELDS, values)
        check_ed25519(ctx, node_key, digest, node_signature)
        check_ed25519(ctx, ring_key, tagged_hash(RING_PROOF_TAG, account), ring_proof)
        check_account(ctx, account, digest, account_signature)
        check_certificate(ctx, certificate, node_key)
        proposal_id = open_vote(ctx, ProposalKind.ADMIT, account, proposer)
        put_candidate(ctx, proposal_id, candidate)
        return proposal_id

    @external(gas=METHOD)
    def propose_eviction(self, ctx: CallContext, member: Address) -> U64:
        """Ask the members to evict `member`.

        It takes effect only while as many remain as the chain needs at least; until then it waits.

        Returns:
            The proposal's id.

        Reverts:
            NOT_MEMBER: the caller, as in `propose`, or `member`.
            ALREADY_PROPOSED, TOO_MANY: as `propose`.

        Emits: Proposed.
        """
        proposer, _ = _require_member(ctx)
        if member_of(ctx, member) is None:
            raise Revert(RevertCode.NOT_MEMBER, f"0x{member.hex()}")
        return open_vote(ctx, ProposalKind.EVICT, member, proposer)

    @external(gas=METHOD)
    def propose_rotation(
        self,
        ctx: CallContext,
        node_key: Bytes32,
        certificate: Bytes,
        endpoint: Str,
        node_signature: Bytes,
    ) -> U64:
        """Have the caller vote with a new node key, once its node is READY under it.

        Needs no votes, and replaces an older change of the member's own that still waits.

        Args:
            node_signature: Ed25519 by the new key over the digest of ROTATION_FIELDS.

        Returns:
            The proposal's id.

        Reverts:
            NOT_MEMBER, NODE_KEY_TAKEN, BAD_ARGUMENT, BAD_SIGNATURE.
            TOO_MANY: OWN_CHANGES_PER_WINDOW_MAX in this window, or OWN_EPOCHS_BURST epochs by the
                member that count still (`membership_rate`).

        Emits: Proposed, ProposalDecided.
        """
        account, member = _require_member(ctx)
        membership_change.check_node_key(ctx, node_key)
        check_endpoint(endpoint)
        values: dict[str, int | bytes | str] = {
            "chain_id": ctx.chain_id,
            "account": account,
            "node_key": node_key,
            "certificate": certificate,
            "endpoint": endpoint,
        }
        digest = digest_of(ROTATION_TAG, ROTATION_FIELDS, values)
        check_ed25519(ctx, node_key, digest, node_signature)
        check_certificate(ctx, certificate, node_key)
        proposal_id = open_own(ctx, ProposalKind.ROTATE, account)
        rotated = Candidate(
            node_key=node_key,
            account=account,
            ring_key=member.ring_key,
            wallet=member.wallet,
            meter=member.meter,
            certificate=certificate,
            endpoint=endpoint,
            meter_id="",
            name=node_of(ctx, account).name,
        )
        put_candidate(ctx, proposal_id, rotated)
        return proposal_id

    @external(gas=METHOD)
    def propose_reincarnation(self, ctx: CallContext) -> U64:
        """Have a new epoch begin with the same keys: the caller's node lost its vote log.

        What it signed in older epochs is void then, so it cannot contradict itself.

        Returns:
            The proposal's id.

        Reverts:
            NOT_MEMBER.
            TOO_MANY: as `propose_rotation`.

        Emits: Proposed, ProposalDecided.
        """
        account, _ = _require_member(ctx)
        return open_own(ctx, ProposalKind.REINCARNATE, account)

    @external(gas=METHOD)
    def vote(
        self,
        ctx: CallContext,
        id_: U64,
        yes: Bool,
    ) -> None:
        """Give the one vote of the member whose own account calls; an agent cannot vote.

        When somebody has joined or left since, votes given before are void and given anew.

        Reverts:
            NOT_MEMBER: the caller is not a member's own account.
            UNKNOWN_PROPOSAL, PROPOSAL_DECIDED, ALREADY_VOTED.
            NOT_SUPPORTED: for an upgrade: `supportUpgrade` does that.

        Emits: Voted; ProposalDecided if this vote decides.
        """
        member, _ = _require_member(ctx)
        if yes:
            upgrades.check_plain_vote(ctx, id_)
        cast_vote(ctx, id_, member, yes=yes)

    @external(gas=METHOD)
    def propose_upgrade(self, ctx: CallContext, version: U64, height: U64) -> U64:
        """Ask the members to make blocks by the rules of `version` from `height` on.

        Returns:
            The proposal's id.

        Reverts:
            NOT_MEMBER: as `propose`.
            ALREADY_SCHEDULED, BAD_ARGUMENT, DEADLINE_PASSED, ALREADY_PROPOSED, TOO_MANY: see
                `upgrades.open_upgrade`.

        Emits: Proposed, UpgradeProposed.
        """
        proposer, _ = _require_member(ctx)
        return upgrades.open_upgrade(ctx, Step(version, height), proposer)

    @external(gas=METHOD)
    def support_upgrade(self, ctx: CallContext, id_: U64, supported: U64) -> None:
        """Vote for an upgrade, and announce up to which version the member's node knows the rules.

        Reverts:
            NOT_MEMBER: as `vote`.
            UNKNOWN_PROPOSAL, PROPOSAL_DECIDED, ALREADY_VOTED, BAD_ARGUMENT, NOT_SUPPORTED,
                DEADLINE_PASSED: see `upgrades.support_upgrade`.

        Emits: SupportAnnounced, Voted; ProposalDecided and UpgradeScheduled if this vote decides.
        """
        member, _ = _require_member(ctx)
        upgrades.support_upgrade(ctx, id_, member, supported)

    @external(gas=METHOD)
    def rekey(self, ctx: CallContext, epoch: U64, key_hash: Bytes32, boxes: Bytes) -> None:
        """Deal the community key of the present epoch; the first valid one wins.

        Args:
            boxes: what `crypto.community_box.deal` returns for the members' node keys, ascending,
                with the caller as the dealer.

        Reverts:
            NOT_MEMBER: the caller is not a member's own account.
            WRONG_EPOCH, ALREADY_DEALT, DEALER_BARRED, BAD_ARGUMENT.
            BAD_PROOF: the dealer did not make the boxes itself.

        Emits: CommunityKeyDealt.
        """
        _require_member(ctx)
        community_key.deal_key(ctx, epoch, key_hash, boxes)

    @external(gas=METHOD)
    def dispute_box(self, ctx: CallContext, epoch: U64, shared: Bytes32, proof: Bytes) -> None:
        """Prove that the caller's box does not hold the key: its dealer is barred in this epoch.

        Args:
            shared, proof: what `crypto.community_box.prove_shared` returns.

        Reverts:
            NOT_MEMBER: the caller is not a member's own account.
            NOT_DEALT, BAD_PROOF, BOX_OPENS.

        Emits: CommunityKeyDisputed.
        """
        _, member = _require_member(ctx)
        community_key.dispute_box(ctx, member, epoch, shared, proof)


def _require_member(ctx: CallContext) -> tuple[bytes, Member]:
    member = member_of(ctx, ctx.caller)
    if member is None:
        raise Revert(RevertCode.NOT_MEMBER, "only a member's own account does this")
    return ctx.caller, member
