"""Events of the Market contract, in the order of a window's life (see `market.abi.events`)."""

from dataclasses import dataclass
from typing import ClassVar, final


@final
@dataclass(frozen=True, slots=True)
class Enrolled:
    """`account` is the household's W in this window; `deposit` is locked."""

    SIGNATURE: ClassVar[str] = (
        "Enrolled(uint64 indexed window,address indexed account,address indexed household,"
        "uint256 deposit)"
    )
    window: int
    account: bytes
    household: bytes
    deposit: int


@final
@dataclass(frozen=True, slots=True)
class OfferMade:
    """`seller` offers `quantity` Wh; `kind` is an `OfferKind`."""

    SIGNATURE: ClassVar[str] = (
        "OfferMade(uint64 indexed window,address indexed seller,uint64 offerId,uint8 kind,"
        "uint64 quantity)"
    )
    window: int
    seller: bytes
    offer_id: int
    kind: int
    quantity: int


@final
@dataclass(frozen=True, slots=True)
class CallMade:
    """`buyer` asks for `quantity` Wh."""

    SIGNATURE: ClassVar[str] = (
        "CallMade(uint64 indexed window,address indexed buyer,uint64 callId,uint64 quantity)"
    )
    window: int
    buyer: bytes
    call_id: int
    quantity: int


@final
@dataclass(frozen=True, slots=True)
class TransactionAllowed:
    """The seller recorded an agreement that the buyer signed."""

    SIGNATURE: ClassVar[str] = (
        "TransactionAllowed(uint64 indexed window,address indexed seller,address indexed buyer,"
        "bytes32 agreementId,uint64 offerId,uint64 quantity,uint64 price)"
    )
    window: int
    seller: bytes
    buyer: bytes
    agreement_id: bytes
    offer_id: int
    quantity: int
    price: int


@final
@dataclass(frozen=True, slots=True)
class TransactionConfirmed:
    """The agreement is firm."""

    SIGNATURE: ClassVar[str] = (
        "TransactionConfirmed(uint64 indexed window,bytes32 indexed agreementId)"
    )
    window: int
    agreement_id: bytes


@final
@dataclass(frozen=True, slots=True)
class TransactionVoided:
    """The buyer did not confirm: the agreement does not exist."""

    SIGNATURE: ClassVar[str] = (
        "TransactionVoided(uint64 indexed window,bytes32 indexed agreementId)"
    )
    window: int
    agreement_id: bytes


@final
@dataclass(frozen=True, slots=True)
class Attested:
    """Accounted energy of the window and changes of the battery, in Wh."""

    SIGNATURE: ClassVar[str] = (
        "Attested(uint64 indexed window,address indexed account,uint64 exp,uint64 imp,"
        "uint64 charged,uint64 discharged,uint64 loss)"
    )
    window: int
    account: bytes
    exp: int
    imp: int
    charged: int
    discharged: int
    loss: int


@final
@dataclass(frozen=True, slots=True)
class Closed:
    """The household split its deviation."""

    SIGNATURE: ClassVar[str] = (
        "Closed(uint64 indexed window,address indexed account,uint64 sur,uint64 unu,uint64 ext,"
        "uint64 sho)"
    )
    window: int
    account: bytes
    sur: int
    unu: int
    ext: int
    sho: int


@final
@dataclass(frozen=True, slots=True)
class Settled:
    """Totals and the prices that follow from them."""

    SIGNATURE: ClassVar[str] = (
        "Settled(uint64 indexed window,uint64 surplus,uint64 deficit,uint64 matched,"
        "uint64 pSur,uint64 pExt,uint64 pUnu,uint64 pSho)"
    )
    window: int
    surplus: int
    deficit: int
    matched: int
    p_sur: int
    p_ext: int
    p_unu: int
    p_sho: int


@final
@dataclass(frozen=True, slots=True)
class Paid:
    """The one payment of the window: `net` is `payout` less the deposit."""

    SIGNATURE: ClassVar[str] = (
        "Paid(uint64 indexed window,address indexed account,address indexed household,"
        "uint256 payout,int256 net)"
    )
    window: int
    account: bytes
    household: bytes
    payout: int
    net: int


@final
@dataclass(frozen=True, slots=True)
class Forfeited:
    """The household never closed: its deposit went to the fund."""

    SIGNATURE: ClassVar[str] = (
        "Forfeited(uint64 indexed window,address indexed account,address indexed household,"
        "uint256 deposit)"
    )
    window: int
    account: bytes
    household: bytes
    deposit: int


@final
@dataclass(frozen=True, slots=True)
class FundChanged:
    """The market fund changed by `delta`."""

    SIGNATURE: ClassVar[str] = "FundChanged(uint64 indexed window,int256 delta)"
    window: int
    delta: int


@final
@dataclass(frozen=True, slots=True)
class ReserveLocked:
    """The external market's money backs what this window exports."""

    SIGNATURE: ClassVar[str] = "ReserveLocked(uint64 indexed window,uint256 amount)"
    window: int
    amount: int


@final
@dataclass(frozen=True, slots=True)
class ReserveMissing:
    """The free reserve was below `amount`: surplus of this window is not paid."""

    SIGNATURE: ClassVar[str] = "ReserveMissing(uint64 indexed window,uint256 amount)"
    window: int
    amount: int


@final
@dataclass(frozen=True, slots=True)
class ReserveReleased:
    """What is left of the window's reserve is free again."""

    SIGNATURE: ClassVar[str] = "ReserveReleased(uint64 indexed window,uint256 amount)"
    window: int
    amount: int


@final
@dataclass(frozen=True, slots=True)
class ExternalSettled:
    """The external market paid `paid` and received `received` for a window."""

    SIGNATURE: ClassVar[str] = (
        "ExternalSettled(uint64 indexed window,uint256 paid,uint256 received)"
    )
    window: int
    paid: int
    received: int


@final
@dataclass(frozen=True, slots=True)
class CapSet:
    """At most `cap` Wh may be offered, sold, called for or bought by one household."""

    SIGNATURE: ClassVar[str] = "CapSet(uint64 indexed window,uint64 cap)"
    window: int
    cap: int


@final
@dataclass(frozen=True, slots=True)
class EnergyDebt:
    """Stored energy that the meter saw leave and the balance did not cover."""

    SIGNATURE: ClassVar[str] = "EnergyDebt(address indexed household,uint256 debt)"
    household: bytes
    debt: int
