"""`hearth wallet`: balances and transfers of plain accounts."""

from decimal import Decimal, DecimalException, Inexact, localcontext

import click

from cli.errors import Unusable
from cli.output import eur, print_fields, print_json, print_table
from cli.target import Target, connected, run_async, submit, view, with_target
from crypto.keys import checksum_address
from market.units import EUR


@click.group()
def command() -> None:
    """Balances and transfers."""


@command.command()
@click.option("--all", "everyone", is_flag=True, help="Every household and service.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def balance(target: Target, *, everyone: bool, as_json: bool) -> None:
    r"""Show money, energy tokens and the remaining gas quota.

    \b
    Examples:
      hearth wallet balance
      hearth wallet balance --all --json
    """
    names = target.names()
    wanted = [a for a, name in names.items() if " " not in name] if everyone else [target.account]
    rows = run_async(_balances(target, wanted))
    if as_json:
        print_json(
            {
                "height": rows[0][0] if rows else 0,
                "accounts": [
                    {
                        "name": names.get(address),
                        "address": checksum_address(address),
                        "money_units": money,
                        "money_eur": eur(money),
                        "energy_wh": energy,
                        "gas_left": gas,
                    }
                    for _, address, money, energy, gas in rows
                ],
            }
        )
        return
    print_table(
        f"Balances at block {rows[0][0]}",
        ("account", "address", "money EUR", "energy Wh", "gas left"),
        [
            (names.get(address, ""), checksum_address(address), eur(money), energy, f"{gas:,}")
            for _, address, money, energy, gas in rows
        ],
    )


async def _balances(
    target: Target, accounts: list[bytes]
) -> list[tuple[int, bytes, int, int, int]]:
    async with connected(target) as client:
        height = int(await client.call("eth_blockNumber"), 16)
        rows = []
        for account in accounts:
            (money,) = await view(client, "MoneyToken", "balanceOf", account)
            (energy,) = await view(client, "EnergyToken", "balanceOf", account)
            gas = int(await client.call("eth_getBalance", "0x" + account.hex(), "latest"), 16)
            rows.append((height, account, money, energy, gas))
        return rows


@command.command()
@click.argument("to")
@click.argument("amount")
@click.option("--energy", is_flag=True, help="AMOUNT is in Wh of energy tokens, not in EUR.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def send(target: Target, *, to: str, amount: str, energy: bool, as_json: bool) -> None:
    r"""Send money (EUR) or energy tokens (Wh) to a household, a service or an address.

    Returns when the transfer is sealed.

    \b
    Examples:
      hearth wallet send h86 1.50
      hearth wallet send 0x8ba1f109551bD432803012645Ac136ddd64DBA72 250 --energy
    """
    recipient = target.address_of(to)
    units = parse_amount(amount, 1 if energy else EUR)
    contract = "EnergyToken" if energy else "MoneyToken"
    receipt = run_async(_send(target, contract, recipient, units))
    result = {
        "from": target.name,
        "to": target.label(recipient),
        "amount": f"{units} Wh" if energy else f"{eur(units)} EUR",
        "block": int(receipt["blockNumber"], 16),
        "transaction": receipt["transactionHash"],
    }
    if as_json:
        print_json({**result, "units": units})
    else:
        print_fields("Sent, and sealed", dict(result))


async def _send(target: Target, contract: str, to: bytes, units: int) -> dict[str, str]:
    async with connected(target) as client:
        key = target.keys.account
        return await submit(target, client, key, contract, "transfer", to, units)


def parse_amount(text: str, units_per_one: int) -> int:
    """Return an amount in token units; exact, or refused."""
    try:
        with localcontext() as context:
            context.traps[Inexact] = True  # Overflow and what is no number are trapped anyway.
            units = Decimal(text) * units_per_one
    except DecimalException:
        raise Unusable(f"AMOUNT must be a number of at most 28 digits, got {text!r}") from None
    if not units.is_finite() or units != units.to_integral_value() or not 0 < units < 2**128:
        raise Unusable(f"AMOUNT must be positive and at most 8 decimals (Wh: whole), got {text!r}")
    return int(units)
