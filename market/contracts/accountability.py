"""Accountability: who was convicted of breaking the protocol, by its own signatures.

Whoever holds evidence reports it by an ordinary transaction of a registered account. It is checked
once for each (offender, offence, kind, slot), counted, and there for all to see; nothing follows
by itself. Taking a member out stays a vote: a machine that fails is not a villain, and the others
know which of the two they have among them.
"""

from dataclasses import dataclass
from typing import Annotated, Final, final

from crypto.hashing import tagged_hash
from market.abi import (
    ACCOUNTABILITY,
    EVENTS,
    FUNCTIONS,
    MEMBERSHIP,
    ZERO_ADDRESS,
    EvidenceReported,
    RevertCode,
)
from market.contracts.evidence import Accusation, check_evidence, read_evidence
from market.contracts.past_sets import owner_of, set_of
from market.contracts.storage import Records, u64
from vm.errors import Revert
from vm.gas import METHOD
from vm.members import MemberSet
from vm.native import (
    U64,
    Abi,
    Bool,
    Bytes,
    Bytes32,
    CallContext,
    NativeContract,
    external,
    view,
)

EVIDENCE_TERMS: Final = 4096
"""How many terms back an offence may lie: 65,536 blocks, weeks of a busy chain."""
OFFENCES_PER_MEMBER_MAX: Final = 64
"""Kept of one node key. Who has done that much needs no more on the list."""

ROWS_MAX: Final = 64

_COUNT: Final = b"#"
_NUMBER: Final = b"n"
"""Node key -> how many of its offences are on record."""
_SEEN: Final = b"s"
_KEY_TAG: Final = b"hearth/evidence"

OffenceRow = tuple[bytes, bytes, int, int, int, int, int, int, int]
OffenceRows = Annotated[list[OffenceRow], Abi(FUNCTIONS["Accountability"]["offences"].outputs)]
"""(nodeKey, account, offence, kind, epoch, term, view, height, reportedHeight)."""


@final
@dataclass(frozen=True, slots=True)
class Offence:
    """One conviction."""

    node_key: bytes
    account: bytes
    """Of the household whose key it was: keys change."""
    offence: int
    kind: int
    """Of the first message."""
    epoch: int
    term: int
    view: int
    height: int
    reported: int
    """Height of the block that holds the report."""


_offences = Records(b"o", Offence, "32s20sBBQQQQQ")


@final
class Accountability(NativeContract):
    """Convictions, oldest first."""

    ADDRESS = ACCOUNTABILITY
    NAME = "accountability"
    EVENTS = EVENTS["Accountability"]

    @external(gas=METHOD)
    def report_evidence(self, ctx: CallContext, evidence: Bytes) -> Bytes32:
        """Record an offence.

        Args:
            evidence: `consensus.evidence.encode_evidence`.

        Returns:
            The offender's node key.

        Reverts:
            BAD_ARGUMENT: it convicts nobody, or its epoch is not known, or not any more.
            BAD_SIGNATURE: one of the two signatures is not the member's.
            DEADLINE_PASSED: the offence lies more than EVIDENCE_TERMS back.
            ALREADY_RECORDED: this offender, in this slot.
            TOO_MANY: OFFENCES_PER_MEMBER_MAX are on record.

        Emits: EvidenceReported.
        """
        accusation = read_evidence(evidence)
        members = _members_of(ctx, accusation)
        term = accusation.place.term
        if term + EVIDENCE_TERMS < ctx.member_set().term(ctx.height):
            raise Revert(RevertCode.DEADLINE_PASSED, f"term {term} lies too far back")
        node_key = _accused(members, accusation)
        _check_new(ctx, accusation, node_key)
        check_evidence(ctx, accusation, members)  # Last: signatures cost the most.
        _record(ctx, accusation, node_key)
        return node_key

    @view(gas=METHOD)
    def offences(self, ctx: CallContext, first: U64) -> OffenceRows:
        """Return at most ROWS_MAX offences from number `first` on, counted from 0, oldest first."""
        rows: list[OffenceRow] = []
        for number in range(first, min(ctx.get_int(_COUNT), first + ROWS_MAX)):
            found = _offences.get(ctx, u64(number))
            assert found is not None, "all numbers below the count have a record"
            rows.append(
                (
                    found.node_key,
                    found.account,
                    found.offence,
                    found.kind,
                    found.epoch,
                    found.term,
                    found.view,
                    found.height,
                    found.reported,
                )
            )
        return rows

    @view(gas=METHOD)
    def count(self, ctx: CallContext) -> U64:
        """Return how many offences are on record."""
        return ctx.get_int(_COUNT)

    @view(gas=METHOD)
    def offences_of(self, ctx: CallContext, node_key: Bytes32) -> U64:
        """Return how many of them are of the holder of `node_key`."""
        return ctx.get_int(_NUMBER + node_key)

    @view(gas=METHOD)
    def is_recorded(self, ctx: CallContext, evidence: Bytes) -> Bool:
        """Return whether this offence is on record: whoever would report it, asks.

        Reverts:
            BAD_ARGUMENT: as `reportEvidence`.
        """
        accusation = read_evidence(evidence)
        node_key = _accused(_members_of(ctx, accusation), accusation)
        return bool(ctx.get(_SEEN + _key_of(node_key, accusation)))


def _members_of(ctx: CallContext, accusation: Accusation) -> MemberSet:
    epoch = accusation.place.epoch
    members = set_of(ctx.at(MEMBERSHIP), epoch)
    if members is None:
        raise Revert(RevertCode.BAD_ARGUMENT, f"epoch {epoch} is not known")
    return members


def _accused(members: MemberSet, accusation: Accusation) -> bytes:
    place = accusation.votes[0].sender
    if place >= len(members.keys):
        raise Revert(RevertCode.BAD_ARGUMENT, f"no member {place} in epoch {members.epoch}")
    return members.keys[place]


def _numbers(accusation: Accusation) -> tuple[int, ...]:
    place, kind = accusation.place, accusation.votes[0].kind
    return accusation.offence, kind, place.epoch, place.term, place.view, place.height


def _key_of(node_key: bytes, accusation: Accusation) -> bytes:
    return tagged_hash(_KEY_TAG, node_key, *(u64(number) for number in _numbers(accusation)))


def _check_new(ctx: CallContext, accusation: Accusation, node_key: bytes) -> None:
    if ctx.get(_SEEN + _key_of(node_key, accusation)):
        raise Revert(RevertCode.ALREADY_RECORDED, "this offence is on record")
    if ctx.get_int(_NUMBER + node_key) >= OFFENCES_PER_MEMBER_MAX:
        raise Revert(RevertCode.TOO_MANY, f"{OFFENCES_PER_MEMBER_MAX} offences are on record")


def _record(ctx: CallContext, accusation: Accusation, node_key: bytes) -> None:
    offence, kind, epoch, term, at_view, height = _numbers(accusation)
    count = ctx.get_int(_COUNT)
    account = owner_of(ctx.at(MEMBERSHIP), node_key, epoch) or ZERO_ADDRESS
    row = Offence(node_key, account, offence, kind, epoch, term, at_view, height, ctx.height)
    _offences.put(ctx, row, u64(count))
    ctx.put_int(_COUNT, count + 1)
    ctx.put_int(_NUMBER + node_key, ctx.get_int(_NUMBER + node_key) + 1)
    ctx.put(_SEEN + _key_of(node_key, accusation), b"\1")
    ctx.emit(EvidenceReported(node_key, offence, kind, epoch, term, at_view, height))
