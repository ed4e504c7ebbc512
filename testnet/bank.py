"""`bank.json`: the testnet's bank statement, which the members attest so that money enters.

Nobody has money in genesis. Each member's own account votes for the deposits that it sees at the
bank; with more than half of the votes a deposit is minted.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self, final

from crypto.hashing import tagged_hash
from market.abi import EXTERNAL_MARKET
from market.units import EUR
from testnet import strict_json
from testnet.errors import BadFile
from vm.genesis import Genesis

VERSION = 1
HOUSEHOLD_EUR = 200
EXTERNAL_MARKET_EUR = 1_000

_CENTS = 100
_REFERENCE_TAG = b"hearth/testnet/bank"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """One line of the statement."""

    reference: bytes
    """32 bytes, distinct."""
    holder: str
    """Name of the household or service, for people."""
    account: bytes
    """20 bytes: to whom the money tokens go."""
    cents: int

    @property
    def amount(self) -> int:
        """Money units (10⁻⁸ EUR)."""
        return self.cents * (EUR // _CENTS)


@final
@dataclass(frozen=True, slots=True)
class BankFile:
    """The statement."""

    deposits: tuple[Deposit, ...]

    def to_json(self) -> bytes:
        """Return the file's bytes; amounts as text with two decimals."""
        rows = [
            {
                "reference": f"0x{deposit.reference.hex()}",
                "holder": deposit.holder,
                "account": f"0x{deposit.account.hex()}",
                "eur": f"{deposit.cents // _CENTS}.{deposit.cents % _CENTS:02d}",
            }
            for deposit in self.deposits
        ]
        return strict_json.render({"version": VERSION, "deposits": rows})

    @classmethod
    def from_json(cls, data: bytes, field: str = "bank.json") -> Self:
        """Parse the file; raises BadFile, naming the entry."""
        value = strict_json.parse(data, field)
        strict_json.check_keys(value, ("version", "deposits"), field)
        if value["version"] != VERSION:
            raise BadFile(f"{field}: version", f"must be {VERSION}")
        rows = strict_json.typed(value["deposits"], list, f"{field}: deposits")
        file = cls(tuple(_deposit(row, f"{field}: deposits[{i}]") for i, row in enumerate(rows)))
        if len({deposit.reference for deposit in file.deposits}) != len(rows):
            raise BadFile(f"{field}: reference", "must be distinct")
        if file.to_json() != data:
            raise BadFile(field, "is not in the form in which it was written")
        return file

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; raises BadFile."""
        try:
            return cls.from_json(path.read_bytes(), path.name)
        except OSError as error:
            raise BadFile(str(path), f"cannot be read: {error.strerror}") from None


def opening_deposits(genesis: Genesis) -> BankFile:
    """Return the statement of a new testnet: one deposit a household, one for the outside."""
    holders = [(member.name, member.account, HOUSEHOLD_EUR) for member in genesis.members]
    holders += [
        (name, account, EXTERNAL_MARKET_EUR)
        for name, account in genesis.services
        if name == EXTERNAL_MARKET
    ]
    return BankFile(
        tuple(
            Deposit(
                reference=tagged_hash(_REFERENCE_TAG, genesis.hash, account),
                holder=name,
                account=account,
                cents=euros * _CENTS,
            )
            for name, account, euros in holders
        )
    )


def attesters(deposit_index: int, members: int) -> tuple[int, ...]:
    """Return which members vote for a deposit: as many as are needed, each in its turn.

    One vote more would be refused, for the deposit is minted by then.
    """
    needed = members // 2 + 1
    return tuple(sorted((deposit_index + offset) % members for offset in range(needed)))


def _deposit(value: object, field: str) -> Deposit:
    row = strict_json.typed(value, dict, field)
    strict_json.check_keys(row, ("reference", "holder", "account", "eur"), field)
    euros, _, cents = strict_json.text(row["eur"], f"{field}.eur").partition(".")
    if not (euros.isdecimal() and cents.isdecimal() and len(cents) == 2 and len(euros) <= 9):
        raise BadFile(f"{field}.eur", 'must be like "200.00"')
    return Deposit(
        reference=strict_json.hex_bytes(row["reference"], f"{field}.reference", 32),
        holder=strict_json.text(row["holder"], f"{field}.holder"),
        account=strict_json.hex_bytes(row["account"], f"{field}.account", 20),
        cents=int(euros) * _CENTS + int(cents),
    )
