"""Every event of the market's contracts: a frozen value whose fields stand in Solidity's order.

`SIGNATURE` is the declaration with `indexed`; `crypto.abi_event` encodes by it and decodes into
the constructor's arguments.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, final

from market.abi.market_events import (
    Attested,
    CallMade,
    CapSet,
    Closed,
    EnergyDebt,
    Enrolled,
    ExternalSettled,
    Forfeited,
    FundChanged,
    OfferMade,
    Paid,
    ReserveLocked,
    ReserveMissing,
    ReserveReleased,
    Settled,
    TransactionAllowed,
    TransactionConfirmed,
    TransactionVoided,
)


class Event(Protocol):
    """What all events have in common."""

    SIGNATURE: ClassVar[str]
    __dataclass_fields__: ClassVar[dict[str, Any]]


# Tokens ------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Transfer:
    """ERC-20: `source` is zero where tokens are minted, `to` is zero where they are burnt."""

    SIGNATURE: ClassVar[str] = "Transfer(address indexed from,address indexed to,uint256 value)"
    source: bytes
    to: bytes
    value: int


@final
@dataclass(frozen=True, slots=True)
class Approval:
    """ERC-20: `spender` may move up to `value` of `owner`."""

    SIGNATURE: ClassVar[str] = (
        "Approval(address indexed owner,address indexed spender,uint256 value)"
    )
    owner: bytes
    spender: bytes
    value: int


# Registry -----------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class AgentRegistered:
    """`agent` may send transactions, charged to `household`."""

    SIGNATURE: ClassVar[str] = "AgentRegistered(address indexed household,address indexed agent)"
    household: bytes
    agent: bytes


@final
@dataclass(frozen=True, slots=True)
class AgentRevoked:
    """`agent` may not send any more."""

    SIGNATURE: ClassVar[str] = "AgentRevoked(address indexed household,address indexed agent)"
    household: bytes
    agent: bytes


@final
@dataclass(frozen=True, slots=True)
class InfoPublished:
    """An agent's key for sealed messages is on the chain."""

    SIGNATURE: ClassVar[str] = "InfoPublished(address indexed agent,bytes32 boxKey)"
    agent: bytes
    box_key: bytes


# Membership ---------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal of `ProposalKind` about `account` is open."""

    SIGNATURE: ClassVar[str] = "Proposed(uint64 indexed id,address account,uint8 kind)"
    id: int
    account: bytes
    kind: int


@final
@dataclass(frozen=True, slots=True)
class Voted:
    """One member's one vote."""

    SIGNATURE: ClassVar[str] = "Voted(uint64 indexed id,address indexed member,bool yes)"
    id: int
    member: bytes
    yes: bool


@final
@dataclass(frozen=True, slots=True)
class ProposalDecided:
    """The proposal left `OPEN`: `status` is a `ProposalStatus`."""

    SIGNATURE: ClassVar[str] = "ProposalDecided(uint64 indexed id,uint8 status)"
    id: int
    status: int


@final
@dataclass(frozen=True, slots=True)
class UpgradeProposed:
    """The proposal `id` is about these rules."""

    SIGNATURE: ClassVar[str] = "UpgradeProposed(uint64 indexed id,uint64 version,uint64 height)"
    id: int
    version: int
    height: int


@final
@dataclass(frozen=True, slots=True)
class SupportAnnounced:
    """A member says up to which version its node knows the rules; its vote comes with it."""

    SIGNATURE: ClassVar[str] = (
        "SupportAnnounced(uint64 indexed id,address indexed member,uint64 supported)"
    )
    id: int
    member: bytes
    supported: int


@final
@dataclass(frozen=True, slots=True)
class UpgradeScheduled:
    """From `height` on blocks are made by the rules of `version`."""

    SIGNATURE: ClassVar[str] = (
        "UpgradeScheduled(uint64 indexed version,uint64 indexed proposal,uint64 height)"
    )
    version: int
    proposal: int
    height: int


@final
@dataclass(frozen=True, slots=True)
class MembersChanged:
    """The next block begins `epoch`: `proposal`, of `kind` about `account`, is active."""

    SIGNATURE: ClassVar[str] = (
        "MembersChanged(uint64 indexed epoch,uint64 indexed proposal,uint8 kind,address account,"
        "bytes32 membersHash)"
    )
    epoch: int
    proposal: int
    kind: int
    account: bytes
    members_hash: bytes


@final
@dataclass(frozen=True, slots=True)
class CommunityKeyDealt:
    """The members of `epoch` share a key; its hash is `keyHash`."""

    SIGNATURE: ClassVar[str] = (
        "CommunityKeyDealt(uint64 indexed epoch,address indexed dealer,bytes32 keyHash)"
    )
    epoch: int
    dealer: bytes
    key_hash: bytes


@final
@dataclass(frozen=True, slots=True)
class CommunityKeyDisputed:
    """`member` has proved that its box fails: the key of `epoch` is void, another may deal."""

    SIGNATURE: ClassVar[str] = (
        "CommunityKeyDisputed(uint64 indexed epoch,address indexed dealer,address member)"
    )
    epoch: int
    dealer: bytes
    member: bytes


# Ramp ---------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class DepositAttested:
    """`member` saw `amount` arrive at the bank for `to`."""

    SIGNATURE: ClassVar[str] = (
        "DepositAttested(bytes32 indexed reference,address indexed member,address to,"
        "uint256 amount)"
    )
    reference: bytes
    member: bytes
    to: bytes
    amount: int


@final
@dataclass(frozen=True, slots=True)
class DepositMinted:
    """Enough equal votes: the money exists now."""

    SIGNATURE: ClassVar[str] = (
        "DepositMinted(bytes32 indexed reference,address indexed to,uint256 amount)"
    )
    reference: bytes
    to: bytes
    amount: int


@final
@dataclass(frozen=True, slots=True)
class WithdrawalRequested:
    """The money is burnt; the members owe a payout."""

    SIGNATURE: ClassVar[str] = (
        "WithdrawalRequested(uint64 indexed id,address indexed household,uint256 amount,"
        "bytes32 payoutHash)"
    )
    id: int
    household: bytes
    amount: int
    payout_hash: bytes


@final
@dataclass(frozen=True, slots=True)
class PayoutConfirmed:
    """`member` saw the payout leave the bank."""

    SIGNATURE: ClassVar[str] = "PayoutConfirmed(uint64 indexed id,address indexed member)"
    id: int
    member: bytes


@final
@dataclass(frozen=True, slots=True)
class WithdrawalPaid:
    """Enough members saw the payout."""

    SIGNATURE: ClassVar[str] = "WithdrawalPaid(uint64 indexed id)"
    id: int


# Meters -------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class MeterCertified:
    """`meter` may attest for `household` up to and including the window."""

    SIGNATURE: ClassVar[str] = (
        "MeterCertified(address indexed meter,address indexed household,uint64 validUntilWindow)"
    )
    meter: bytes
    household: bytes
    valid_until_window: int


@final
@dataclass(frozen=True, slots=True)
class MeterRevoked:
    """`meter` may not attest any more."""

    SIGNATURE: ClassVar[str] = "MeterRevoked(address indexed meter,address indexed household)"
    meter: bytes
    household: bytes


@final
@dataclass(frozen=True, slots=True)
class BatchAnchored:
    """Hash of a household's data of one window."""

    SIGNATURE: ClassVar[str] = (
        "BatchAnchored(address indexed household,uint64 indexed window,bytes32 batchHash)"
    )
    household: bytes
    window: int
    batch_hash: bytes


# Accountability -----------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class EvidenceReported:
    """The holder of `node_key` is convicted by two of its own signatures."""

    SIGNATURE: ClassVar[str] = (
        "EvidenceReported(bytes32 indexed nodeKey,uint8 offence,uint8 kind,uint64 epoch,"
        "uint64 term,uint64 atView,uint64 height)"
    )
    node_key: bytes
    offence: int
    kind: int
    epoch: int
    term: int
    at_view: int
    height: int


EVENTS: dict[str, tuple[type[Event], ...]] = {
    "Membership": (
        Proposed,
        Voted,
        ProposalDecided,
        MembersChanged,
        UpgradeProposed,
        SupportAnnounced,
        UpgradeScheduled,
        CommunityKeyDealt,
        CommunityKeyDisputed,
    ),
    "Registry": (
        AgentRegistered,
        AgentRevoked,
        InfoPublished,
    ),
    "EnergyToken": (
        Transfer,
        Approval,
    ),
    "MoneyToken": (
        Transfer,
        Approval,
    ),
    "Ramp": (
        DepositAttested,
        DepositMinted,
        WithdrawalRequested,
        PayoutConfirmed,
        WithdrawalPaid,
    ),
    "Meters": (
        MeterCertified,
        MeterRevoked,
        BatchAnchored,
    ),
    "Market": (
        Enrolled,
        OfferMade,
        CallMade,
        TransactionAllowed,
        TransactionConfirmed,
        TransactionVoided,
        Attested,
        Closed,
        Settled,
        Paid,
        Forfeited,
        FundChanged,
        ReserveLocked,
        ReserveMissing,
        ReserveReleased,
        ExternalSettled,
        CapSet,
        EnergyDebt,
    ),
    "Accountability": (EvidenceReported,),
}
"""Contract name to the events that it emits."""
