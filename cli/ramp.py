"""`hearth ramp`: money in and out. Members attest deposits; a withdrawal burns first."""

from pathlib import Path
from typing import Any

import click

from cli.errors import Unusable
from cli.output import eur, print_fields, print_json, print_table, progress
from cli.target import Target, connected, run_async, submit, view, with_target
from cli.wallet import parse_amount
from crypto.hashing import tagged_hash
from market.units import EUR
from testnet.bank import BankFile


@click.group()
def command() -> None:
    """Money in and out, attested by the members."""


def _reference(text: str) -> bytes:
    """Return the 32 bytes that a payment is known by: given as hex, or the hash of its words."""
    plain = text.removeprefix("0x")
    if len(plain) == 64:
        try:
            return bytes.fromhex(plain)
        except ValueError:
            pass
    return tagged_hash(b"hearth/ramp/reference", text.encode())


@command.command()
@click.argument("reference")
@click.argument("to")
@click.argument("amount")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def attest(target: Target, *, reference: str, to: str, amount: str, as_json: bool) -> None:
    r"""Attest that AMOUNT euros for TO arrived at the bank under REFERENCE.

    One vote of this household; the money is minted when more than half of the members say the
    same. REFERENCE is 32 bytes of hex, or any text, whose hash is used.

    \b
    Example:
      hearth ramp attest "SEPA 2026-11-22 0017" h39 200
    """
    units = parse_amount(amount, EUR)
    recipient = target.address_of(to)
    receipt, minted = run_async(_attest(target, _reference(reference), recipient, units))
    result = {
        "reference": "0x" + _reference(reference).hex(),
        "to": target.label(recipient),
        "amount_eur": eur(units),
        "block": int(receipt["blockNumber"], 16),
        "minted": minted,
    }
    print_json(result) if as_json else print_fields("Attested", result)


async def _attest(
    target: Target, reference: bytes, to: bytes, units: int
) -> tuple[dict[str, Any], bool]:
    async with connected(target) as client:
        key = target.keys.account
        receipt = await submit(target, client, key, "Ramp", "attestDeposit", reference, to, units)
        minted, _, _ = await view(client, "Ramp", "deposit", reference)
        return receipt, minted


@command.command(name="attest-file")
@click.argument("bank_file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@with_target
def attest_file(target: Target, *, bank_file: Path) -> None:
    r"""Attest every deposit of a bank statement that is not minted yet.

    \b
    Example:
      hearth ramp attest-file .hearth/testnet/default/bank.json
    """
    bank = BankFile.from_json(bank_file.read_bytes(), bank_file.name)
    run_async(_attest_file(target, bank))


async def _attest_file(target: Target, bank: BankFile) -> None:
    async with connected(target) as client:
        for deposit in bank.deposits:
            minted, _, _ = await view(client, "Ramp", "deposit", deposit.reference)
            if minted:
                progress(f"{target.label(deposit.account)}: minted before")
                continue
            await submit(
                target,
                client,
                target.keys.account,
                "Ramp",
                "attestDeposit",
                deposit.reference,
                deposit.account,
                deposit.amount,
            )
            progress(f"{target.label(deposit.account)}: attested {eur(deposit.amount)} EUR")


@command.command()
@click.argument("reference")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def deposit(target: Target, *, reference: str, as_json: bool) -> None:
    r"""Show whether a deposit is minted.

    \b
    Example:
      hearth ramp deposit "SEPA 2026-11-22 0017"
    """
    minted, to, amount = run_async(_deposit(target, _reference(reference)))
    result = {
        "minted": minted,
        "to": target.label(to) if minted else None,
        "amount_eur": eur(amount),
    }
    print_json(result) if as_json else print_fields("Deposit", result)


async def _deposit(target: Target, reference: bytes) -> tuple[Any, ...]:
    async with connected(target) as client:
        return await view(client, "Ramp", "deposit", reference)


@command.command()
@click.argument("amount")
@click.argument("payout")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def withdraw(target: Target, *, amount: str, payout: str, as_json: bool) -> None:
    r"""Burn AMOUNT euros now, to be paid out to the account that PAYOUT describes.

    Only the hash of PAYOUT goes on the chain: tell the members the text yourself.

    \b
    Example:
      hearth ramp withdraw 25 "DE02 1203 0000 0000 2020 51"
    """
    units = parse_amount(amount, EUR)
    if not payout.strip():
        raise Unusable("PAYOUT must say where the money goes")
    payout_hash = tagged_hash(b"hearth/ramp/payout", payout.encode())
    receipt = run_async(_withdraw(target, units, payout_hash))
    result = {
        "amount_eur": eur(units),
        "payout_hash": "0x" + payout_hash.hex(),
        "block": int(receipt["blockNumber"], 16),
    }
    print_json(result) if as_json else print_fields("Burnt; the members pay it out", result)


async def _withdraw(target: Target, units: int, payout_hash: bytes) -> dict[str, Any]:
    async with connected(target) as client:
        return await submit(
            target, client, target.keys.account, "Ramp", "requestWithdrawal", units, payout_hash
        )


@command.command()
@click.argument("withdrawal", type=int)
@click.argument("reference")
@with_target
def confirm(target: Target, *, withdrawal: int, reference: str) -> None:
    r"""Confirm that withdrawal WITHDRAWAL was paid out under the bank's REFERENCE.

    \b
    Example:
      hearth ramp confirm 3 "SEPA 2026-11-23 0004"
    """
    receipt = run_async(_confirm(target, withdrawal, _reference(reference)))
    print_fields("Confirmed", {"block": int(receipt["blockNumber"], 16)})


async def _confirm(target: Target, withdrawal: int, reference: bytes) -> dict[str, Any]:
    async with connected(target) as client:
        return await submit(
            target, client, target.keys.account, "Ramp", "confirmPayout", withdrawal, reference
        )


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def pending(target: Target, *, as_json: bool) -> None:
    r"""List withdrawals that wait for their payout.

    \b
    Example:
      hearth ramp pending
    """
    rows = run_async(_pending(target))
    if as_json:
        names = ("id", "household", "amount", "payout_hash", "votes", "paid")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    print_table(
        "Withdrawals",
        ("id", "household", "EUR", "votes", "payout hash"),
        [
            (id_, target.label(household), eur(amount), votes, "0x" + payout.hex()[:16] + "…")
            for id_, household, amount, payout, votes, _ in rows
        ],
    )


async def _pending(target: Target) -> list[Any]:
    async with connected(target) as client:
        (rows,) = await view(client, "Ramp", "pending")
        return list(rows)
