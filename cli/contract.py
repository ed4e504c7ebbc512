"""`hearth contract`: contracts of one's own, and calls of any contract by its ABI."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from cli import contract_artifact, interfaces
from cli.contract_abi import ContractAbi, Entry
from cli.contract_send import account_key, call, resolver, send
from cli.contract_values import read_arguments
from cli.decode import in_words
from cli.errors import CommandError, Unusable
from cli.known_contracts import Known
from cli.output import print_fields, print_json, print_table, printable, progress
from cli.target import Target, connected, readable_errors, run_async, with_target
from crypto.errors import DecodeError
from crypto.keys import checksum_address, parse_address
from market.abi import ADDRESSES
from testnet import strict_json

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_TYPED = {"ignore_unknown_options": True}
"""So that -5 is an argument, not an option."""


@click.group()
def command() -> None:
    """Compile, deploy and call contracts; print interfaces."""


@command.command()
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--all", "everything", is_flag=True, help="Of every native contract.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(interfaces.FORMATS)),
    default="json",
    show_default=True,
    help="JSON ABI, Solidity or Vyper.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the files into this folder, in every format, instead of printing.",
)
def abi(*, name: str | None, everything: bool, form: str, out: Path | None) -> None:
    r"""Print the interface of a native contract, for programs and contracts that call it.

    \b
    Examples:
      hearth contract abi Market
      hearth contract abi MoneyToken --format sol > IMoneyToken.sol
      hearth contract abi --all --out interfaces
    """
    if (name is None) == (not everything):
        raise Unusable("give either NAME or --all")
    if name is not None and name not in ADDRESSES:
        raise Unusable(f"NAME must be one of {', '.join(ADDRESSES)}, got {name!r}")
    names = [name] if name is not None else list(ADDRESSES)
    if out is not None:
        _write(out, names)
    elif form == "json" and name is None:
        click.echo(json.dumps({each: interfaces.json_abi(each) for each in names}, indent=1))
    else:
        click.echo("\n".join(interfaces.FORMATS[form](each) for each in names), nl=False)


# Compile and deploy -------------------------------------------------------------------------------


@command.command(name="compile")
@click.argument("file", type=_FILE)
@click.option("--contract", metavar="NAME", help="Which one, where FILE holds several.")
@click.option("--out", type=click.Path(path_type=Path), help="Artifact; NAME.json otherwise.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def compile_file(*, file: Path, contract: str | None, out: Path | None, as_json: bool) -> None:
    r"""Compile a Vyper contract, or take one out of a compiler's output, into an artifact.

    FILE is a .vy file, or JSON by solc, vyper, Hardhat or Foundry. A Vyper contract may
    `import IMarket` and the other native contracts' interfaces without having them.

    \b
    Examples:
      hearth contract compile Token.vy
      hearth contract compile solc-output.json --contract Token --out Token.json
    """
    with readable_errors():
        artifact = contract_artifact.load(file, contract)
        path = out or Path(f"{artifact.name}.json")
        strict_json.write_file(path, strict_json.render(artifact.to_json()))
    functions = [each.signature for each in artifact.abi.functions]
    result = {
        "contract": artifact.name,
        "artifact": str(path),
        "init_code_bytes": len(artifact.init_code),
        "compiler": artifact.compiler or None,
    }
    if as_json:
        print_json({**result, "functions": functions})
        return
    print_fields(f"{path} is written", {**result, "functions": ", ".join(functions) or "none"})


def _sending(command: F) -> F:
    """Give a command the options of a transaction."""
    for option in (
        click.option("--gas", type=click.IntRange(21_000), help="Gas limit; estimated otherwise."),
        click.option(
            "--from",
            "account",
            metavar="ACCOUNT",
            help="Who sends: a household or service of the testnet, or a folder with its keys.",
        ),
    ):
        command = option(command)
    return command


@command.command(context_settings=_TYPED)
@click.argument("artifact", type=_FILE)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--contract", metavar="NAME", help="Which one, where ARTIFACT holds several.")
@click.option("--name", metavar="NAME", help="What to call it from here; its own name otherwise.")
@_sending
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def deploy(
    target: Target,
    *,
    artifact: Path,
    args: tuple[str, ...],
    contract: str | None,
    name: str | None,
    account: str | None,
    gas: int | None,
    as_json: bool,
) -> None:
    r"""Create a contract, with the arguments of its constructor; returns at the seal.

    ARTIFACT is as for `hearth contract compile`; a .vy file is compiled first. The home keeps the
    ABI, so that other commands know the contract by its name.

    \b
    Examples:
      hearth contract deploy Token.vy "Kiosk coupon" KIO 18 1_000e18
      hearth contract deploy Token.json h39 --from operator
    """
    read = contract_artifact.load(artifact, contract)
    if not read.init_code:
        raise Unusable(f"{read.name} has no code: it is an interface, or abstract")
    if name is not None:
        read = contract_artifact.renamed(read, name)
    if read.name in (*ADDRESSES, *target.names().values()):
        raise Unusable(f"{read.name!r} is the name of another account here: give it one by --name")
    known = Known(target.home, (read.abi,))
    resolve = resolver(target)
    values = read_arguments(read.abi.constructor.inputs, args, resolve)
    data = read.init_code + read.abi.constructor.encode(values)
    key = account_key(target, account)

    async def create() -> dict[str, Any]:
        async with connected(target) as client:
            return await send(target, client, known, key=key, to=None, data=data, gas=gas)

    receipt = run_async(create())
    address = parse_address(receipt["contractAddress"], "contractAddress")
    known.keep(address, read)
    said = {"contract": read.name, "address": checksum_address(address)}
    _report(target, known, f"{read.name} is created", said, receipt, as_json=as_json)


def _report(
    target: Target,
    known: Known,
    title: str,
    said: dict[str, Any],
    receipt: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    """Print what a transaction did."""
    events = [known.describe_log(log) for log in receipt["logs"]]
    result = {
        **said,
        "transaction": receipt["transactionHash"],
        "block": int(receipt["blockNumber"], 16),
        "gas_used": int(receipt["gasUsed"], 16),
    }
    if as_json:
        print_json({**result, "events": events})
        return
    print_fields(title, result)
    if events:
        label = partial(known.label, target)
        rows = [
            (each["contract"], each["event"] or "unknown", in_words(each["values"], label))
            for each in events
        ]
        print_table("Events", ("contract", "event", "values"), rows)


# Call ---------------------------------------------------------------------------------------------


@command.command(name="call", context_settings=_TYPED)
@click.argument("address")
@click.argument("function")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.option("--abi", "abi_file", type=_FILE, help="JSON ABI or artifact of the contract.")
@click.option(
    "--native", type=click.Choice(list(ADDRESSES)), help="It has this native contract's ABI."
)
@click.option("--send", "is_sent", is_flag=True, help="Send a transaction; otherwise only look.")
@click.option("--block", metavar="HEIGHT", help="Look at the state after this block; the head.")
@_sending
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def call_function(
    target: Target,
    *,
    address: str,
    function: str,
    args: tuple[str, ...],
    abi_file: Path | None,
    native: str | None,
    is_sent: bool,
    block: str | None,
    account: str | None,
    gas: int | None,
    as_json: bool,
) -> None:
    r"""Call a function of a contract: look at what it answers, or --send a transaction.

    ADDRESS is 0x…, a native contract's name, or the name of a contract deployed from here.
    FUNCTION is a name, a signature where names repeat, or without any ABI "f(types)(types)".
    Arguments are decimal or 0x-hex, addresses or their names, true or false; lists are JSON.

    \b
    Examples:
      hearth contract call MoneyToken balanceOf h39
      hearth contract call Token transfer h39 5e18 --send
      hearth contract call 0x8ba1… "total(uint64)(uint256)" 7
    """
    if block is not None and is_sent:
        raise Unusable("--block looks at the past; a transaction is of the next block")
    resolve = resolver(target)
    to = resolve(address, "ADDRESS")
    abi = _abi_of(target, to, abi_file, native)
    entry = _entry(abi, function, to)
    known = Known(target.home, () if abi is None else (abi,))
    data = entry.encode(read_arguments(entry.inputs, args, resolve))
    said = {
        "contract": known.name_of(to),
        "address": checksum_address(to),
        "function": entry.signature,
    }
    if is_sent:
        key = account_key(target, account)

        async def transact() -> dict[str, Any]:
            async with connected(target) as client:
                return await send(target, client, known, key=key, to=to, data=data, gas=gas)

        receipt = run_async(transact())
        _report(target, known, "Sent, and sealed", said, receipt, as_json=as_json)
        return
    sender = account_key(target, account).address if account else target.account

    async def look() -> bytes:
        at = _block(block)
        async with connected(target) as client:
            return await call(client, known, sender=sender, to=to, data=data, block=at)

    output = run_async(look())
    result = _result(entry, output, said["address"])
    if as_json:
        print_json({**said, "sent": False, "result": result})
    else:
        _show(entry, result, partial(known.label, target))


def _abi_of(
    target: Target, to: bytes, abi_file: Path | None, native: str | None
) -> ContractAbi | None:
    if abi_file is not None and native is not None:
        raise Unusable("give either --abi or --native")
    if abi_file is not None:
        return contract_artifact.load_abi(abi_file)
    if native is not None:
        to = ADDRESSES[native]
    found = Known(target.home).named(to)
    return None if found is None else found[1]


def _entry(abi: ContractAbi | None, function: str, to: bytes) -> Entry:
    """Return the function that is meant, from the ABI or from its own text."""
    if abi is not None:
        try:
            return abi.function(function)
        except LookupError as error:
            if "(" not in function:
                raise Unusable(f"FUNCTION: {error.args[0]}") from None
    if "(" not in function:
        raise Unusable(
            f"the ABI of {checksum_address(to)} is not known here",
            'give --abi FILE, or FUNCTION with its types: "balanceOf(address)(uint256)"',
        )
    try:
        return Entry.from_signature(function)
    except DecodeError as error:
        raise Unusable(str(error)) from None


def _block(text: str | None) -> str:
    if text is None:
        return "latest"
    if not text.isdecimal():
        raise Unusable(f"--block must be a height, got {text!r}")
    return hex(int(text))


def _result(entry: Entry, output: bytes, address: str | None) -> Any:
    if entry.outputs and not output:
        raise CommandError(f"{address} answers nothing: there is no contract, or no such function")
    try:
        return entry.decode_results(output) if entry.outputs else None
    except DecodeError as error:
        raise CommandError(f"the answer is not what {entry.signature} returns: {error}") from None


def _show(entry: Entry, result: Any, label: Callable[[str], str]) -> None:
    """Print a result for people: a table, fields or one line."""

    def word(value: Any) -> Any:
        return label(value) if isinstance(value, str) and value.startswith("0x") else value

    if isinstance(result, dict):
        print_fields(entry.signature, {name: word(value) for name, value in result.items()})
    elif isinstance(result, list) and result and isinstance(result[0], dict):
        rows = [tuple(map(word, row.values())) for row in result]
        print_table(entry.signature, tuple(result[0]), rows)
    elif isinstance(result, str):
        click.echo(printable(word(result)))
    else:
        click.echo(json.dumps(result))
    if not entry.is_view:
        progress("it would succeed; nothing was sent: --send does")


# Interfaces ---------------------------------------------------------------------------------------


def _write(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for each in names:
        for suffix, render in interfaces.FORMATS.items():
            (folder / f"I{each}.{suffix}").write_text(render(each), "utf-8")
    progress(f"{len(names) * len(interfaces.FORMATS)} files are in {folder}")
