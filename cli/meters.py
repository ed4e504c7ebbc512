"""`hearth meters`: the software meter, certificates and signed records."""

from pathlib import Path
from typing import Any

import click

from cli.errors import CommandError, Unusable
from cli.output import print_fields, print_json, print_table
from cli.target import Target, connected, readable_errors, run_async, submit, view, with_target
from crypto.errors import DecodeError
from crypto.keys import AccountKey, checksum_address, parse_address
from crypto.keystore import HouseholdKeys
from market.abi import FUNCTIONS, OPERATOR, ZERO_ADDRESS
from market.agents.devices.meter_record import from_ocmf, verify_next
from market.agents.errors import RecordRefused
from testnet.layout import ServiceLayout

LINE_CHARS_MAX = 4096


@click.group()
def command() -> None:
    """Certify, audit, run and verify meters."""


@command.command()
@click.option("--home", type=click.Path(path_type=Path), required=True, help="Folder of the meter.")
def run(home: Path) -> None:
    r"""Run the software meter: measure, sign a record each quarter-hour, attest each window.

    \b
    Example:
      hearth meters run --home .hearth/testnet/default/h39/meter
    """
    from cli.meter_process import run as run_meter

    with readable_errors():
        try:
            run_meter(home)
        except KeyboardInterrupt:
            return


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def list_meters(target: Target, *, as_json: bool) -> None:
    r"""List the members' meters, their certificates and registers.

    \b
    Example:
      hearth meters list
    """
    rows = run_async(_meters(target))
    if as_json:
        print_json(rows)
        return
    print_table(
        "Meters (registers in Wh)",
        ("household", "meter", "valid until", "exported", "imported", "charged", "discharged"),
        [
            (
                target.label(row["household"]),
                row["meterId"],
                f"window {row['validUntilWindow']}",
                row["expRegister"],
                row["impRegister"],
                row["chargedRegister"],
                row["dischargedRegister"],
            )
            for row in rows
        ],
    )


async def _meters(target: Target) -> list[dict[str, Any]]:
    names = FUNCTIONS["Meters"]["meter"].output_names
    rows = []
    async with connected(target) as client:
        for member in target.genesis.members:
            (meter,) = await view(client, "Meters", "meterOf", member.account)
            if meter == ZERO_ADDRESS:
                continue
            values = await view(client, "Meters", "meter", meter)
            rows.append(
                {"account": checksum_address(meter), **dict(zip(names, values, strict=True))}
            )
    return rows


def _operator_key(operator_home: Path) -> AccountKey:
    """Return the operator's account key; asks for the password where no file holds it."""
    folder = ServiceLayout(operator_home)
    if folder.password.exists():
        password = folder.password.read_text().strip()
    else:
        password = click.prompt("Password of the operator's keys", hide_input=True, err=True)
    return HouseholdKeys.load(folder.keys, password).account


_operator_option = click.option(
    "--operator",
    "operator_home",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help=f"Folder with the key file of the account {OPERATOR!r}.",
)


@command.command()
@click.argument("meter")
@click.argument("household")
@click.option("--ring-key", required=True, help="The meter's ring key, 32 bytes of hex.")
@click.option("--meter-id", required=True, help="The meter's number.")
@click.option("--until", type=int, required=True, help="Last window of the certificate.")
@_operator_option
@with_target
def certify(
    target: Target,
    *,
    meter: str,
    household: str,
    ring_key: str,
    meter_id: str,
    until: int,
    operator_home: Path,
) -> None:
    r"""Certify the meter of a household until a window (the operator's account).

    \b
    Example:
      hearth meters certify 0x8ba1… h39 --ring-key 0x5c… --meter-id 1EMH0012 --until 8784 \
        --operator .hearth/testnet/default/services/operator
    """
    try:
        ring = bytes.fromhex(ring_key.removeprefix("0x"))
    except ValueError:
        raise Unusable("--ring-key must be hex") from None
    args = (_address(meter), target.address_of(household, "HOUSEHOLD"), ring, meter_id, until)
    _operate(target, operator_home, "certify", *args)


@command.command()
@click.argument("meter")
@click.option("--until", type=int, required=True, help="Last window of the certificate.")
@_operator_option
@with_target
def audit(target: Target, *, meter: str, until: int, operator_home: Path) -> None:
    r"""Renew a meter's certificate after an audit (the operator's account).

    \b
    Example:
      hearth meters audit 0x8ba1… --until 17568 --operator services/operator
    """
    _operate(target, operator_home, "audit", _address(meter), until)


@command.command()
@click.argument("meter")
@_operator_option
@with_target
def revoke(target: Target, *, meter: str, operator_home: Path) -> None:
    r"""Revoke a meter's certificate at once (the operator's account).

    \b
    Example:
      hearth meters revoke 0x8ba1… --operator services/operator
    """
    _operate(target, operator_home, "revoke", _address(meter))


def _operate(target: Target, operator_home: Path, function: str, *args: object) -> None:
    key = _operator_key(operator_home)
    receipt = run_async(_send(target, key, function, *args))
    print_fields(f"Meters.{function}", {"block": int(receipt["blockNumber"], 16)})


async def _send(target: Target, key: AccountKey, function: str, *args: object) -> dict[str, Any]:
    async with connected(target) as client:
        return await submit(target, client, key, "Meters", function, *args)


def _address(text: str) -> bytes:
    try:
        return parse_address(text, "METER")
    except DecodeError as error:
        raise Unusable(str(error)) from None


@command.command()
@click.argument("records", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--meter", required=True, help="The meter's account (see `hearth meters list`).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def verify(*, records: Path, meter: str, as_json: bool) -> None:
    r"""Verify a chain of signed OCMF records: signatures, counter, registers, links.

    \b
    Example:
      hearth meters verify .hearth/testnet/default/h39/meter/records.ocmf --meter 0x8ba1…
    """
    account = _address(meter)
    previous = None
    count = 0
    with records.open() as file:
        while line := file.readline(LINE_CHARS_MAX):
            count += 1
            try:
                record = from_ocmf(line.rstrip("\n"), account)
                verify_next(previous, record, account)
            except (DecodeError, RecordRefused) as error:
                raise CommandError(f"record {count}: {error}") from None
            previous = record
    if previous is None:
        raise CommandError(f"{records} holds no record")
    registers = previous.registers
    result = {
        "records": count,
        "meter_id": previous.meter_id,
        "import_wh": registers.import_wh,
        "export_wh": registers.export_wh,
        "charged_wh": registers.charged_wh,
        "discharged_wh": registers.discharged_wh,
        "loss_wh": registers.loss_wh,
    }
    print_json(result) if as_json else print_fields("The whole chain verifies", dict(result))
