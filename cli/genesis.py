"""`hearth genesis`: the file that all nodes share, made from the founders' public records."""

import datetime as dt
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cli.errors import Unusable
from cli.output import print_fields, print_json, print_table
from cli.target import find_target, readable_errors
from crypto.errors import DecodeError
from crypto.keys import parse_address
from node.home import load_genesis
from node.natives import NATIVES
from node.p2p.errors import CertificateError
from node.p2p.identity import check_certificate
from testnet import strict_json
from testnet.genesis import CONTRACTS, QUOTA_GAS, SERVICES
from vm.block import Header
from vm.errors import GenesisError
from vm.gas import BLOCK_COMPUTE_LIMIT, BLOCK_GAS_LIMIT
from vm.genesis import Genesis, GenesisMember, Params, member_from_json
from vm.machine import Machine

WINDOW_MS = 3_600_000
RECORD_MS = 300_000
HOUR_S = 3_600
_NUMBER_CHARS_MAX = 20
"""Above any number that a genesis file may hold."""


@click.group()
def command() -> None:
    """Make and check the file that all nodes share."""


@command.command()
@click.argument(
    "records", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option("--name", required=True, help="The community's name.")
@click.option(
    "--service",
    "services",
    multiple=True,
    metavar="NAME=ADDRESS",
    help=f"Account of the community; {' and '.join(SERVICES)} are needed.",
)
@click.option("--start", metavar="TIME", help="Begin of window 0, ISO 8601; the next full hour.")
@click.option("--window-ms", default=WINDOW_MS, show_default=True, help="Length of a window.")
@click.option("--record-ms", default=RECORD_MS, show_default=True, help="Its recording phase.")
@click.option("--quota-gas", default=QUOTA_GAS, show_default=True, help="Per member and window.")
@click.option("--block-gas-limit", default=BLOCK_GAS_LIMIT, show_default=True)
@click.option("--block-compute-limit", default=BLOCK_COMPUTE_LIMIT, show_default=True)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="CONTRACT.KEY=VALUE",
    help="Parameter of a contract, such as market.retail=32000 (10⁻⁸ EUR per Wh).",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("genesis.json"), show_default=True
)
def new(
    *,
    records: tuple[Path, ...],
    name: str,
    services: tuple[str, ...],
    start: str | None,
    window_ms: int,
    record_ms: int,
    quota_gas: int,
    block_gas_limit: int,
    block_compute_limit: int,
    settings: tuple[str, ...],
    out: Path,
) -> None:
    r"""Make genesis.json from the public records of at least four founders.

    Everything in it is checked as a node checks it before the file is written.

    \b
    Example:
      hearth genesis new *.member.json --name lindenweg \
        --service operator=0x8ba1… --service external_market=0x52c7… \
        --start 2026-12-01T00:00:00Z --set market.retail=32000
    """
    with readable_errors():
        if out.exists():
            raise Unusable(f"{out} exists", "name another file with --out")
        genesis = Genesis(
            name=name,
            time_ms=next_hour_ms() if start is None else parse_time(start),
            window_ms=window_ms,
            record_ms=record_ms,
            quota_gas=quota_gas,
            block_gas_limit=block_gas_limit,
            block_compute_limit=block_compute_limit,
            members=tuple(read_member(path) for path in records),
            services=parse_services(services),
            contracts=parse_settings(settings),
        )
        check(genesis)
        strict_json.write_file(out, genesis.to_json())
    print_fields(f"{out} is written", dict(summary(genesis)))
    click.echo("Every household compares this hash, then: hearth node init --genesis FILE …")


def read_member(path: Path) -> GenesisMember:
    """Read a founder's record (`hearth keys member`); raises BadFile or Unusable."""
    value = strict_json.read_file(path)
    try:
        return member_from_json(value)
    except GenesisError as error:
        raise Unusable(f"{path}: {error}", "make it with `hearth keys member`") from None


def parse_services(given: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
    """Return the service accounts of "name=0x…" texts, the two that the market needs among them."""
    found: dict[str, bytes] = {}
    for text in given:
        name, equals, address = text.partition("=")
        if not equals or name in found:
            raise Unusable(f"--service must be NAME=ADDRESS, each name once, got {text!r}")
        try:
            found[name] = parse_address(address, f"--service {name}")
        except DecodeError as error:
            raise Unusable(str(error)) from None
    missing = [name for name in SERVICES if name not in found]
    if missing:
        raise Unusable(
            f"--service {missing[0]}=ADDRESS is missing",
            "make its keys with `hearth keys new --only household` and give the account",
        )
    return tuple(found.items())


def parse_settings(given: Sequence[str]) -> dict[str, Params]:
    """Return the contracts' parameters: the usual ones, changed by "contract.key=value" texts."""
    contracts: dict[str, dict[str, int | str]] = {k: dict(v) for k, v in CONTRACTS.items()}
    for text in given:
        place, equals, value = text.partition("=")
        contract, dot, key = place.partition(".")
        if not equals or not dot or not key:
            raise Unusable(f"--set must be CONTRACT.KEY=VALUE, got {text!r}")
        is_number = value.removeprefix("-").isdecimal()
        if is_number and len(value) > _NUMBER_CHARS_MAX:
            raise Unusable(f"--set {place} must be a number of at most {_NUMBER_CHARS_MAX} digits")
        contracts.setdefault(contract, {})[key] = int(value) if is_number else value
    return dict(contracts)


def parse_time(text: str) -> int:
    """Return the Unix milliseconds of an ISO 8601 time with its zone."""
    try:
        time_ = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Unusable(f"--start must be like 2026-12-01T00:00:00Z, got {text!r}") from None
    if time_.tzinfo is None:
        raise Unusable("--start must say its time zone: end it with Z for UTC")
    return round(time_.timestamp() * 1000)


def next_hour_ms() -> int:
    """Return the begin of the next full hour."""
    return (int(time.time()) // HOUR_S + 1) * HOUR_S * 1000


def check(genesis: Genesis) -> Header:
    """Check all that a node checks, and return the header of block 0.

    Raises:
        Unusable: a member's certificate.
        GenesisError: a contract refuses its parameters, or a founder's proof.
    """
    for member in genesis.members:
        try:
            check_certificate(member.certificate, member.node_key)
        except CertificateError as error:
            raise Unusable(f"{member.name}: {error}") from None
    return Machine(genesis, NATIVES).first_header


def summary(genesis: Genesis) -> dict[str, Any]:
    """Return what identifies and times the chain."""
    return {
        "name": genesis.name,
        "hash": "0x" + genesis.hash.hex(),
        "chain_id": genesis.chain_id,
        "starts": dt.datetime.fromtimestamp(genesis.time_ms / 1000, dt.UTC).isoformat(),
        "window_ms": genesis.window_ms,
        "record_ms": genesis.record_ms,
        "quota_gas": genesis.quota_gas,
        "block_gas_limit": genesis.block_gas_limit,
        "block_compute_limit": genesis.block_compute_limit,
        "members": len(genesis.members),
        **_follows(genesis),
    }


def _follows(genesis: Genesis) -> dict[str, Any]:
    since = genesis.recovered
    if since is None:
        return {}
    return {"follows": f"0x{since.genesis_hash.hex()} after block {since.height}"}


def _find(file: Path | None) -> Genesis:
    """Read the file that is named, or that of the household that a command speaks for."""
    return load_genesis(file) if file is not None else find_target(None, None).genesis


_file = click.argument(
    "file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False)
)


@command.command()
@_file
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def show(*, file: Path | None, as_json: bool) -> None:
    r"""Show who founds the chain and under which terms.

    \b
    Examples:
      hearth genesis show
      hearth genesis show genesis.json --json
    """
    with readable_errors():
        genesis = _find(file)
    if as_json:
        hash_and_id = {"hash": "0x" + genesis.hash.hex(), "chain_id": genesis.chain_id}
        print_json({**hash_and_id, **json.loads(genesis.to_json())})
        return
    print_fields("Genesis", dict(summary(genesis)))
    print_table(
        "Members",
        ("name", "account", "endpoint", "meter"),
        [(m.name, "0x" + m.account.hex(), m.endpoint, m.meter.meter_id) for m in genesis.members],
    )
    print_table("Services", ("name", "account"), [(n, "0x" + a.hex()) for n, a in genesis.services])
    print_table(
        "Parameters",
        ("contract", "key", "value"),
        [(name, k, v) for name, params in genesis.contracts.items() for k, v in params.items()],
    )


@command.command(name="check")
@_file
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def check_file(*, file: Path | None, as_json: bool) -> None:
    r"""Check a genesis file as a node does, and print the hashes that neighbours compare.

    Without FILE the household's own is checked ($HEARTH_HOME, or the testnet in this folder).

    \b
    Example:
      hearth genesis check genesis.json
    """
    with readable_errors():
        genesis = _find(file)
        header = check(genesis)
    result = {
        "ok": True,
        "hash": "0x" + genesis.hash.hex(),
        "chain_id": genesis.chain_id,
        "block_0": "0x" + header.hash.hex(),
        "state_root": "0x" + header.state_root.hex(),
    }
    print_json(result) if as_json else print_fields("Usable", dict(result))
