"""What Membership keeps: members with their nodes, rules, proposals; and who reads them.

Other native contracts ask `member_of` and its neighbours with `ctx.at(MEMBERSHIP)`.
"""

from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import final

from crypto import codec
from market.contracts.storage import Records, split_addresses, u64
from vm.native import CallContext

_MEMBERS = b"l"
"""All members' accounts, joined, oldest first."""
_ENDPOINT = b"n"
_CERTIFICATE = b"t"
_NAME = b"a"
_RULES = b"r"
_CANDIDATE = b"c"
UPGRADE_STEP = b"y"
"""Id of a proposed upgrade -> version and height, 8 bytes each (`upgrades`)."""
_CANDIDATE_BYTES_MAX = 8 * 1024
_TEXT_MAX = 256


@final
@dataclass(frozen=True, slots=True)
class Member:
    """A household that has a vote. Its account is its id."""

    node_key: bytes
    ring_key: bytes
    wallet: bytes
    meter: bytes
    incarnation: int = 0
    """How often it came back without its vote log."""


@final
@dataclass(frozen=True, slots=True)
class Node:
    """Where and as whom a member's node is met."""

    endpoint: str
    name: str
    certificate: bytes
    """DER; empty only for a founder of a chain without a network."""


@final
@dataclass(frozen=True, slots=True)
class Proposal:
    """One change of the member set. The candidate's fields are stored beside it."""

    kind: int
    account: bytes
    proposer: bytes
    yes: int
    no: int
    status: int
    expires_window: int
    """Last window in which a vote counts or, once it is accepted, an activation."""
    era: int
    """In which its votes were given; see `membership_proposals`."""


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """Who wants in, or a member under its new node key."""

    node_key: bytes
    account: bytes
    ring_key: bytes
    wallet: bytes
    meter: bytes
    certificate: bytes
    endpoint: str
    meter_id: str
    name: str

    @property
    def node(self) -> Node:
        """Where and as whom its node is met."""
        return Node(self.endpoint, self.name, self.certificate)


@final
@dataclass(frozen=True, slots=True)
class MembershipRules:
    """Genesis parameters."""

    proposal_windows: int
    votes_needed_percent: int
    activation_windows: int


_members = Records(b"m", Member, "32s32s64s20sQ")
_proposals = Records(b"p", Proposal, "B20s20sHHBQQ")
_rules = Records(_RULES, MembershipRules, "QQQ")


# Members -----------------------------------------------------------------------------------------


def member_of(ctx: CallContext, account: bytes) -> Member | None:
    """Return the member whose id is `account`, or None."""
    return _members.get(ctx, account)


def member_accounts(ctx: CallContext) -> list[bytes]:
    """Return all members' accounts: founders in the order of genesis, then as they came."""
    return split_addresses(ctx.get(_MEMBERS))


def all_members(ctx: CallContext) -> list[tuple[bytes, Member]]:
    """Return (account, member) in the order of `member_accounts`."""
    rows = []
    for account in member_accounts(ctx):
        member = member_of(ctx, account)
        assert member is not None, "every listed account has a record"
        rows.append((account, member))
    return rows


def node_of(ctx: CallContext, account: bytes) -> Node:
    """Return a member's node; empty for a stranger."""
    return Node(
        ctx.get(_ENDPOINT + account).decode(),
        ctx.get(_NAME + account).decode(),
        ctx.get(_CERTIFICATE + account),
    )


def put_member(ctx: CallContext, account: bytes, member: Member, node: Node) -> None:
    """Write a member's record and node; the list of members is `put_accounts`'s."""
    _members.put(ctx, member, account)
    ctx.put(_ENDPOINT + account, node.endpoint.encode())
    ctx.put(_NAME + account, node.name.encode())
    ctx.put(_CERTIFICATE + account, node.certificate)


def delete_member(ctx: CallContext, account: bytes) -> None:
    """Delete a member's record and node."""
    _members.delete(ctx, account)
    for prefix in (_ENDPOINT, _NAME, _CERTIFICATE):
        ctx.put(prefix + account, b"")


def put_accounts(ctx: CallContext, accounts: list[bytes]) -> None:
    """Write the list of members."""
    ctx.put(_MEMBERS, b"".join(accounts))


# Rules -------------------------------------------------------------------------------------------


def load_rules(ctx: CallContext) -> MembershipRules:
    """Return the genesis parameters."""
    rules = _rules.get(ctx)
    assert rules is not None, "genesis writes the rules"
    return rules


def put_rules(ctx: CallContext, rules: MembershipRules) -> None:
    """Write the genesis parameters, once."""
    _rules.put(ctx, rules)


def votes_needed(ctx: CallContext) -> int:
    """Return how many equal votes decide: strictly more than the percentage of the members."""
    return len(member_accounts(ctx)) * load_rules(ctx).votes_needed_percent // 100 + 1


# Proposals ---------------------------------------------------------------------------------------


def find_proposal(ctx: CallContext, proposal_id: int) -> Proposal | None:
    """Return the proposal with this id, or None."""
    return _proposals.get(ctx, u64(proposal_id))


def put_proposal(ctx: CallContext, proposal_id: int, proposal: Proposal) -> None:
    """Write a proposal."""
    _proposals.put(ctx, proposal, u64(proposal_id))


def delete_proposal(ctx: CallContext, proposal_id: int) -> None:
    """Delete a proposal that is over, with all that is kept beside it."""
    _proposals.delete(ctx, u64(proposal_id))
    ctx.put(UPGRADE_STEP + u64(proposal_id), b"")


def load_candidate(ctx: CallContext, proposal_id: int) -> Candidate | None:
    """Return what was proposed with ADMIT or ROTATE, or None."""
    stored = ctx.get(_CANDIDATE + u64(proposal_id))
    if not stored:
        return None
    value = codec.decode(stored, field="candidate", max_bytes=_CANDIDATE_BYTES_MAX)
    node_key, account, ring_key, wallet, meter, certificate, endpoint, meter_id, name = (
        codec.as_list(value, "candidate", length=9)
    )
    return Candidate(
        node_key=codec.as_bytes(node_key, "node_key"),
        account=codec.as_bytes(account, "account"),
        ring_key=codec.as_bytes(ring_key, "ring_key"),
        wallet=codec.as_bytes(wallet, "wallet"),
        meter=codec.as_bytes(meter, "meter"),
        certificate=codec.as_bytes(certificate, "certificate"),
        endpoint=codec.as_str(endpoint, "endpoint", _TEXT_MAX),
        meter_id=codec.as_str(meter_id, "meter_id", _TEXT_MAX),
        name=codec.as_str(name, "name", _TEXT_MAX),
    )


def put_candidate(ctx: CallContext, proposal_id: int, candidate: Candidate) -> None:
    """Write what is proposed."""
    fields = [getattr(candidate, field.name) for field in dataclass_fields(Candidate)]
    ctx.put(_CANDIDATE + u64(proposal_id), codec.encode(fields))


def delete_candidate(ctx: CallContext, proposal_id: int) -> None:
    """Delete what was proposed: the proposal is over."""
    ctx.put(_CANDIDATE + u64(proposal_id), b"")
