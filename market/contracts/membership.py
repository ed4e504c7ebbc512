"""Membership: who the households are, proposals to change that, and one vote for each member.

In this step an accepted candidate is a learner and an accepted eviction is a resolution: the
change of the set that seals blocks while the chain runs comes later.
"""

from dataclasses import dataclass, replace
from typing import Annotated, final

from crypto import codec
from crypto.errors import InvalidSignature
from crypto.hashing import tagged_hash
from crypto.keys import verify_ed25519
from market.abi import (
    CANDIDATE_FIELDS,
    CANDIDATE_TAG,
    ENDPOINT_CHARS_MAX,
    EVENTS,
    FUNCTIONS,
    MEMBERSHIP,
    METER_ID_CHARS_MAX,
    PROPOSALS_OPEN_PER_MEMBER_MAX,
    RING_PROOF_BYTES,
    RING_PROOF_TAG,
    WALLET_BYTES,
    ZERO_ADDRESS,
    ProposalDecided,
    ProposalKind,
    ProposalStatus,
    Proposed,
    RevertCode,
    Voted,
)
from market.contracts.parameters import read_parameters
from market.contracts.signed import check_account, check_ed25519, digest_of
from market.contracts.storage import Records, split_addresses, u64
from vm.errors import GenesisError, Revert
from vm.gas import METHOD
from vm.native import (
    U8,
    U64,
    Abi,
    Address,
    Bool,
    Bytes,
    Bytes32,
    CallContext,
    NativeContract,
    Params,
    Str,
    external,
    view,
)

_MEMBERS = b"l"
"""All members' accounts, joined, in the order of their indexes."""
_ENDPOINT = b"n"
_RULES = b"r"
_NEXT_ID = b"#"
_CANDIDATE = b"c"
_VOTE = b"v"
_SUBJECT = b"x"
"""Account that an open proposal is about -> id: one at a time."""
_OPEN = b"o"
"""Member -> how many of its proposals are open."""

_PARAMETERS = {
    "proposal_windows": (168, 1, 2**20),
    "votes_needed_percent": (50, 50, 99),
}

_VIEWS = FUNCTIONS["Membership"]
ProposalRow = tuple[U64, U8, Address, U64, U64, U8, U64]
"""(id, kind, account, yes, no, status, expiresWindow)."""
ProposalRows = Annotated[list[ProposalRow], Abi(_VIEWS["proposals"].outputs)]
MemberRows = Annotated[list[tuple[bytes, bytes, str, bytes]], Abi(_VIEWS["members"].outputs)]
"""(account, nodeKey, endpoint, meter)."""


@final
@dataclass(frozen=True, slots=True)
class Member:
    """A household that has a vote. Its account is its id."""

    node_key: bytes
    ring_key: bytes
    wallet: bytes
    meter: bytes


@final
@dataclass(frozen=True, slots=True)
class Proposal:
    """One question to the members. The candidate's fields are stored beside it."""

    kind: int
    account: bytes
    proposer: bytes
    yes: int
    no: int
    status: int
    expires_window: int
    """Last window in which a vote counts."""


@final
@dataclass(frozen=True, slots=True)
class _Rules:
    proposal_windows: int
    votes_needed_percent: int


_members = Records(b"m", Member, "32s32s64s20s")
_proposals = Records(b"p", Proposal, "B20s20sHHBQ")
_rules = Records(_RULES, _Rules, "QQ")


# For other native contracts, with `ctx.at(MEMBERSHIP)` -------------------------------------------


def member_of(ctx: CallContext, account: bytes) -> Member | None:
    """Return the member whose id is `account`, or None."""
    return _members.get(ctx, account)


def member_accounts(ctx: CallContext) -> list[bytes]:
    """Return all members' accounts in the order of their indexes."""
    return split_addresses(ctx.get(_MEMBERS))


def votes_needed(ctx: CallContext) -> int:
    """Return how many equal votes decide: strictly more than the percentage of the members."""
    rules = _rules.get(ctx)
    assert rules is not None, "genesis writes the rules"
    return len(member_accounts(ctx)) * rules.votes_needed_percent // 100 + 1


# The contract ------------------------------------------------------------------------------------


@final
class Membership(NativeContract):
    """Members, proposals, votes."""

    ADDRESS = MEMBERSHIP
    NAME = "membership"
    EVENTS = EVENTS["Membership"]

    def genesis(self, ctx: CallContext, params: Params) -> None:
        """Write the founding members.

        Raises:
            GenesisError: a parameter, or a founder's proof that it holds its ring key.
        """
        _rules.put(ctx, _Rules(**read_parameters(self.NAME, params, _PARAMETERS)))
        for founder in ctx.genesis.members:
            digest = tagged_hash(RING_PROOF_TAG, founder.account)
            try:
                verify_ed25519(founder.ring_key, digest, founder.ring_proof)
            except InvalidSignature as error:
                raise GenesisError("member.ring_proof", f"{founder.name}: {error}") from None
            member = Member(
                founder.node_key, founder.ring_key, founder.wallet, founder.meter.account
            )
            _members.put(ctx, member, founder.account)
            ctx.put(_ENDPOINT + founder.account, founder.endpoint.encode())
        ctx.put(_MEMBERS, b"".join(founder.account for founder in ctx.genesis.members))
        ctx.put_int(_NEXT_ID, 1)

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
        node_signature: Bytes,
        account_signature: Bytes,
    ) -> U64:
        """Carry in a newcomer, which proposes itself by its signatures.

        Args:
            node_signature: Ed25519 by `node_key` over the digest of CANDIDATE_FIELDS.
            account_signature: 65 bytes by `account` over the same.
            ring_proof: Ed25519 by `ring_key` over tagged_hash(RING_PROOF_TAG, account).

        Returns:
            The proposal's id, counted from 1.

        Reverts:
            NOT_MEMBER: the caller is not a member's own account.
            ALREADY_MEMBER, ALREADY_PROPOSED: the candidate.
            BAD_ARGUMENT: a length.
            BAD_SIGNATURE: one of the three.
            TOO_MANY: the member has PROPOSALS_OPEN_PER_MEMBER_MAX open.

        Emits: Proposed.
        """
        proposer = _require_member(ctx)
        if member_of(ctx, account) is not None:
            raise Revert(RevertCode.ALREADY_MEMBER, f"0x{account.hex()}")
        _check_candidate(ring_proof, wallet, endpoint, meter, meter_id)
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
        }
        digest = digest_of(CANDIDATE_TAG, CANDIDATE_FIELDS, values)
        check_ed25519(ctx, node_key, digest, node_signature)
        check_ed25519(ctx, ring_key, tagged_hash(RING_PROOF_TAG, account), ring_proof)
        check_account(ctx, account, digest, account_signature)
        proposal_id = _open(ctx, ProposalKind.ADMIT, account, proposer)
        fields = [values[name] for name in CANDIDATE_FIELDS]
        ctx.put(_CANDIDATE + u64(proposal_id), codec.encode(fields))
        return proposal_id

    @external(gas=METHOD)
    def propose_eviction(self, ctx: CallContext, member: Address) -> U64:
        """Ask the members to evict `member`.

        Returns:
            The proposal's id.

        Reverts:
            NOT_MEMBER: the caller, as in `propose`, or `member`.
            ALREADY_PROPOSED, TOO_MANY: as `propose`.

        Emits: Proposed.
        """
        proposer = _require_member(ctx)
        if member_of(ctx, member) is None:
            raise Revert(RevertCode.NOT_MEMBER, f"0x{member.hex()}")
        return _open(ctx, ProposalKind.EVICT, member, proposer)

    @external(gas=METHOD)
    def vote(
        self,
        ctx: CallContext,
        id_: U64,
        yes: Bool,
    ) -> None:
        """Give the one vote of the member whose own account calls; an agent cannot vote.

        Reverts:
            NOT_MEMBER: the caller is not a member's own account.
            UNKNOWN_PROPOSAL, PROPOSAL_DECIDED, ALREADY_VOTED.

        Emits: Voted; ProposalDecided if this vote decides.
        """
        member = _require_member(ctx)
        proposal = _load(ctx, id_)
        if _status_at(proposal, ctx.window) != ProposalStatus.OPEN:
            raise Revert(RevertCode.PROPOSAL_DECIDED, f"proposal {id_} is not open")
        key = _VOTE + u64(id_) + member
        if ctx.get(key):
            raise Revert(RevertCode.ALREADY_VOTED, f"on proposal {id_}")
        ctx.put(key, b"\2" if yes else b"\1")
        ctx.emit(Voted(id_, member, yes))
        if yes:
            proposal = replace(proposal, yes=proposal.yes + 1)
        else:
            proposal = replace(proposal, no=proposal.no + 1)
        needed, members = votes_needed(ctx), len(member_accounts(ctx))
        if proposal.yes >= needed:
            _decide(ctx, id_, proposal, ProposalStatus.ACCEPTED)
        elif members - proposal.no < needed:
            _decide(ctx, id_, proposal, ProposalStatus.REJECTED)
        else:
            _proposals.put(ctx, proposal, u64(id_))

    def on_deadline(self, ctx: CallContext, payload: bytes) -> None:
        """Expire the proposal whose id is the payload, if it is still open."""
        proposal_id = int.from_bytes(payload, "big")
        proposal = _load(ctx, proposal_id)
        if proposal.status == ProposalStatus.OPEN:
            _decide(ctx, proposal_id, proposal, ProposalStatus.EXPIRED)

    @view(gas=METHOD)
    def members(
        self, ctx: CallContext
    ) -> Annotated[
        list[tuple[bytes, bytes, str, bytes]], Abi(FUNCTIONS["Membership"]["members"].outputs)
    ]:
        """Return (account, nodeKey, endpoint, meter) of each member, in the order of indexes."""
        rows = []
        for account in member_accounts(ctx):
            member = member_of(ctx, account)
            assert member is not None, "every listed account has a record"
            endpoint = ctx.get(_ENDPOINT + account).decode()
            rows.append((account, member.node_key, endpoint, member.meter))
        return rows

    @view(gas=METHOD)
    def proposals(self, ctx: CallContext) -> ProposalRows:
        """Return all proposals, oldest first, as `proposal`."""
        return [_row(ctx, proposal_id) for proposal_id in range(1, ctx.get_int(_NEXT_ID))]

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
    def threshold(self, ctx: CallContext) -> U64:
        """Return how many votes decide."""
        return votes_needed(ctx)

    @view(gas=METHOD)
    def quota(self, ctx: CallContext, account: Address) -> tuple[U64, U64, U64]:
        """Return (gas used, gas allowed, window) of whoever sponsors `account`, in this window."""
        sponsor = ctx.sponsor_of(account)
        if not sponsor:
            return 0, 0, ctx.window
        return ctx.quota_used(sponsor), ctx.genesis.quota_gas, ctx.window


def _require_member(ctx: CallContext) -> bytes:
    if member_of(ctx, ctx.caller) is None:
        raise Revert(RevertCode.NOT_MEMBER, "only a member's own account does this")
    return ctx.caller


def _check_candidate(
    ring_proof: bytes, wallet: bytes, endpoint: str, meter: bytes, meter_id: str
) -> None:
    if len(ring_proof) != RING_PROOF_BYTES:
        detail = f"ringProof must be {RING_PROOF_BYTES} bytes, got {len(ring_proof)}"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    if len(wallet) != WALLET_BYTES:
        detail = f"wallet must be {WALLET_BYTES} bytes, got {len(wallet)}"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    if not 0 < len(endpoint) <= ENDPOINT_CHARS_MAX:
        detail = f"endpoint must have 1 to {ENDPOINT_CHARS_MAX} characters, got {len(endpoint)}"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    if not 0 < len(meter_id) <= METER_ID_CHARS_MAX:
        detail = f"meterId must have 1 to {METER_ID_CHARS_MAX} characters, got {len(meter_id)}"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    if meter == ZERO_ADDRESS:
        raise Revert(RevertCode.BAD_ARGUMENT, "meter is the zero address")


def _open(ctx: CallContext, kind: ProposalKind, account: bytes, proposer: bytes) -> int:
    if ctx.get(_SUBJECT + account):
        raise Revert(RevertCode.ALREADY_PROPOSED, f"0x{account.hex()} is being voted on")
    open_count = ctx.get_int(_OPEN + proposer)
    if open_count >= PROPOSALS_OPEN_PER_MEMBER_MAX:
        raise Revert(RevertCode.TOO_MANY, f"{open_count} proposals of this member are open")
    rules = _rules.get(ctx)
    assert rules is not None, "genesis writes the rules"
    proposal_id = ctx.get_int(_NEXT_ID)
    ctx.put_int(_NEXT_ID, proposal_id + 1)
    ctx.put_int(_OPEN + proposer, open_count + 1)
    ctx.put(_SUBJECT + account, u64(proposal_id))
    expires = ctx.window + rules.proposal_windows
    proposal = Proposal(kind, account, proposer, 0, 0, ProposalStatus.OPEN, expires)
    _proposals.put(ctx, proposal, u64(proposal_id))
    after = ctx.genesis.time_ms + (expires + 1) * ctx.genesis.window_ms
    ctx.schedule(after, u64(proposal_id))
    ctx.emit(Proposed(proposal_id, account, kind))
    return proposal_id


def _load(ctx: CallContext, proposal_id: int) -> Proposal:
    proposal = _proposals.get(ctx, u64(proposal_id))
    if proposal is None:
        raise Revert(RevertCode.UNKNOWN_PROPOSAL, f"no proposal {proposal_id}")
    return proposal


def _status_at(proposal: Proposal, window: int) -> ProposalStatus:
    """Return the status; the queue may mark an expired proposal a block or more later."""
    if proposal.status == ProposalStatus.OPEN and window > proposal.expires_window:
        return ProposalStatus.EXPIRED
    return ProposalStatus(proposal.status)


def _decide(ctx: CallContext, proposal_id: int, proposal: Proposal, status: ProposalStatus) -> None:
    _proposals.put(ctx, replace(proposal, status=status), u64(proposal_id))
    ctx.put(_SUBJECT + proposal.account, b"")
    ctx.put_int(_OPEN + proposal.proposer, ctx.get_int(_OPEN + proposal.proposer) - 1)
    ctx.emit(ProposalDecided(proposal_id, status))


def _row(ctx: CallContext, proposal_id: int) -> ProposalRow:
    p = _load(ctx, proposal_id)
    status = _status_at(p, ctx.window)
    return proposal_id, p.kind, p.account, p.yes, p.no, status, p.expires_window
