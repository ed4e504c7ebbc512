"""`hearth chain`: blocks, transactions, events; proofs that are verified without a node."""

import datetime as dt
from pathlib import Path
from typing import Any

import click

from cli import proof_file
from cli.decode import describe_call, describe_log, event_names, event_topics, failure, in_words
from cli.errors import CommandError, Unusable
from cli.output import print_fields, print_json, print_table
from cli.target import Target, connected, find_target, readable_errors, run_async, with_target
from crypto.errors import DecodeError, InvalidProof
from crypto.keys import parse_address
from market.abi import ADDRESSES
from market.contracts.erc20 import balance_key
from node.home import load_genesis
from node.rpc.client import RpcClient
from testnet import strict_json
from vm.context import storage_key
from vm.genesis import Genesis

HASH_CHARS = 66


@click.group()
def command() -> None:
    """Look at blocks, transactions, events and proofs."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def head(target: Target, *, as_json: bool) -> None:
    r"""Show the newest block and its state root.

    \b
    Example:
      hearth chain head
    """
    status = run_async(_call(target, "hearth_status"))
    result = {
        "height": status["height"],
        "hash": status["hash"],
        "state_root": status["stateRoot"],
        "time_ms": status["timeMs"],
        "window": status["window"],
        "chain_id": status["chainId"],
        "genesis": status["genesisHash"],
    }
    if as_json:
        print_json(result)
        return
    words = {name: value for name, value in result.items() if name != "time_ms"}
    print_fields(f"Head, as {status['name']} has it", {**words, "time": _time(status["timeMs"])})


async def _call(target: Target, method: str, *params: Any) -> Any:
    async with connected(target) as client:
        return await client.call(method, *params)


@command.command()
@click.argument("block")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def block(target: Target, *, block: str, as_json: bool) -> None:
    r"""Show a block by its height or hash: header, transactions, who sealed it.

    \b
    Examples:
      hearth chain block 1
      hearth chain block 0x5d1e…
    """
    found, seal, receipts = run_async(_block(target, block))
    names = {member.node_key: member.name for member in target.genesis.members}
    by_index = [names[key] for key in sorted(names)]
    signers = [by_index[each["member"]] for each in seal["signatures"]] if seal else []
    result = {
        "height": int(found["number"], 16),
        "hash": found["hash"],
        "parent": found["parentHash"],
        "time_ms": int(found["timestampMs"], 16),
        "state_root": found["stateRoot"],
        "transactions_root": found["transactionsRoot"],
        "receipts_root": found["receiptsRoot"],
        "gas_used": int(found["gasUsed"], 16),
        "sealed_by": signers,
        "view": seal["view"] if seal else None,
        "transactions": [
            _transaction(tx, receipt)
            for tx, receipt in zip(found["transactions"], receipts, strict=True)
        ],
    }
    if as_json:
        print_json(result)
        return
    words = {name: value for name, value in result.items() if name != "transactions"}
    words["sealed_by"] = ", ".join(signers) or "nobody: it is the genesis block"
    words["time"] = _time(int(found["timestampMs"], 16))
    print_fields(f"Block {result['height']}", words)
    print_table(
        "Transactions",
        ("hash", "from", "what", "ok", "gas"),
        [
            (
                tx["hash"],
                _label(target, tx["from"]),
                _what(tx),
                "yes" if tx["ok"] else "no",
                tx["gas_used"],
            )
            for tx in result["transactions"]
        ],
    )


async def _block(target: Target, text: str) -> tuple[Any, Any, list[Any]]:
    is_hash = text.startswith("0x") and len(text) == HASH_CHARS
    if not is_hash and not text.isdecimal():
        raise Unusable(f"BLOCK must be a height or a hash of 0x and 64 digits, got {text!r}")
    method = "eth_getBlockByHash" if is_hash else "eth_getBlockByNumber"
    async with connected(target) as client:
        found = await client.call(method, text if is_hash else hex(int(text)), True)  # noqa: FBT003
        if found is None:
            height = int(await client.call("eth_blockNumber"), 16)
            raise CommandError(f"there is no block {text}; the head is at height {height}")
        receipts = await client.call("eth_getBlockReceipts", found["number"])
        seal = await client.call("hearth_getSeal", int(found["number"], 16))
        return found, seal, receipts


def _transaction(tx: dict[str, Any], receipt: dict[str, Any]) -> dict[str, Any]:
    """Return a transaction with what it did."""
    to, data = tx["to"], bytes.fromhex(tx["input"][2:])
    is_ok = int(receipt["status"], 16) == 1
    # The chain's own transactions, for due deadlines, are from nobody.
    is_deadline = int(tx["from"], 16) == 0
    return {
        "hash": tx["hash"],
        "from": None if is_deadline else tx["from"],
        "to": None if is_deadline else to,
        "nonce": int(tx["nonce"], 16),
        "call": None if to is None else describe_call(bytes.fromhex(to[2:]), data),
        "ok": is_ok,
        "error": None if is_ok else failure(receipt["output"]),
        "gas_used": int(receipt["gasUsed"], 16),
    }


def _what(tx: dict[str, Any]) -> str:
    if tx["from"] is None:
        return "due deadlines"
    call = tx["call"]
    return "unknown call" if call is None else f"{call['contract']}.{call['function']}"


@command.command()
@click.argument("transaction")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def tx(target: Target, *, transaction: str, as_json: bool) -> None:
    r"""Show a transaction: who called what, whether it succeeded, and its events.

    \b
    Example:
      hearth chain tx 0x3f2a…
    """
    if not transaction.startswith("0x") or len(transaction) != HASH_CHARS:
        raise Unusable(f"TRANSACTION must be 0x and 64 hex digits, got {transaction!r}")
    found, receipt = run_async(_tx(target, transaction))
    if receipt is None:
        result = {"hash": transaction, "block": None, "from": found["from"]}
        print_json(result) if as_json else click.echo("It waits for its block: `hearth node why`.")
        return
    events = [describe_log(log) for log in receipt["logs"]]
    result = {
        "block": int(receipt["blockNumber"], 16),
        **_transaction(found, receipt),
        "events": events,
    }
    if as_json:
        print_json(result)
        return
    words = {name: value for name, value in result.items() if name not in ("call", "events")}
    words["from"] = _label(target, result["from"])
    words["to"] = _label(target, result["to"])
    call = result["call"]
    words["call"] = _what(result)
    if call is not None:
        words["arguments"] = in_words(call["arguments"], lambda text: _label(target, text))
    print_fields("Transaction", words)
    _print_events(target, events)


async def _tx(target: Target, digest: str) -> tuple[Any, Any]:
    async with connected(target) as client:
        found = await client.call("eth_getTransactionByHash", digest)
        if found is None:
            raise CommandError(
                f"this node knows no transaction {digest}",
                "it was never admitted, or waited too long and was dropped",
            )
        return found, await client.call("eth_getTransactionReceipt", digest)


@command.command()
@click.option("--contract", type=click.Choice(list(ADDRESSES)), help="Of this contract only.")
@click.option("--event", "event", metavar="NAME", help="Of this name only, such as Transfer.")
@click.option("--from", "first", type=click.IntRange(0), default=0, help="First block.")
@click.option("--to", "last", type=click.IntRange(0), help="Last block; the head.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def events(
    target: Target,
    *,
    contract: str | None,
    event: str | None,
    first: int,
    last: int | None,
    as_json: bool,
) -> None:
    r"""List events in the order of the chain.

    \b
    Examples:
      hearth chain events --contract Market --event Settled
      hearth chain events --from 100 --to 120 --json
    """
    if last is not None and last < first:
        raise Unusable(f"--to {last} lies before --from {first}")
    asked: dict[str, Any] = {
        "fromBlock": hex(first),
        "toBlock": "latest" if last is None else hex(last),
    }
    if contract is not None:
        asked["address"] = "0x" + ADDRESSES[contract].hex()
    if event is not None:
        topics = ["0x" + topic.hex() for topic in event_topics(contract, event)]
        if not topics:
            known = ", ".join(event_names(contract))
            raise Unusable(f"there is no event {event!r}; there are {known}")
        asked["topics"] = [topics]
    found = [describe_log(log) for log in run_async(_call(target, "eth_getLogs", asked))]
    print_json(found) if as_json else _print_events(target, found)


def _print_events(target: Target, found: list[dict[str, Any]]) -> None:
    print_table(
        "Events",
        ("block", "contract", "event", "values"),
        [
            (
                each["block"],
                each["contract"],
                each["event"] or "unknown",
                in_words(each["values"], lambda text: _label(target, text)),
            )
            for each in found
        ],
    )


# Proofs ------------------------------------------------------------------------------------------


@command.command()
@click.argument("key", required=False)
@click.option("--balance", metavar="ACCOUNT", help="Prove the balance of a household or address.")
@click.option(
    "--token",
    type=click.Choice(list(proof_file.TOKENS)),
    default="money",
    show_default=True,
    help="Of it.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("proof.json"), show_default=True
)
@with_target
def proof(target: Target, *, key: str | None, balance: str | None, token: str, out: Path) -> None:
    r"""Write a file that proves a value of the state, or that there is none, at the head.

    KEY is a raw state key in hex. Whoever has the genesis file verifies the proof without
    asking anybody.

    \b
    Examples:
      hearth chain proof --balance h39
      hearth chain proof 0x6d --out members.json
    """
    if (key is None) == (balance is None):
        raise Unusable("give either KEY or --balance ACCOUNT")
    if balance is not None:
        account = target.address_of(balance, "--balance")
        state_key = storage_key(proof_file.TOKENS[token], balance_key(account))
    else:
        state_key = _hex(key or "", "KEY")
    claim = run_async(_proof(target, state_key))
    _check(target.genesis, claim)
    strict_json.write_file(out, claim.to_json())
    print_fields(f"{out} is written", _words(proof_file.describe(target.genesis, claim)))
    click.echo(f"Verify it anywhere: hearth chain verify-proof {out} --genesis genesis.json")


async def _proof(target: Target, key: bytes) -> proof_file.StateProof:
    async with connected(target) as client:
        return await fetch_proof(client, target.genesis, key)


async def fetch_proof(client: RpcClient, genesis: Genesis, key: bytes) -> proof_file.StateProof:
    """Ask a node for the proof of a state key at its head."""
    answer = await client.call("hearth_getProof", "0x" + key.hex())
    return proof_file.StateProof.from_rpc(genesis, answer)


@command.command(name="verify-proof")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--genesis",
    "genesis_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The genesis file that one trusts; the household's own.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def verify_proof(*, file: Path, genesis_file: Path | None, as_json: bool) -> None:
    r"""Verify a proof without asking a node: value, state root, block hash, seal.

    Exits 1 if it does not prove what it says.

    \b
    Example:
      hearth chain verify-proof proof.json --genesis genesis.json
    """
    with readable_errors():
        genesis = load_genesis(genesis_file) if genesis_file else find_target(None, None).genesis
        with file.open("rb") as source:
            data = source.read(strict_json.FILE_BYTES_MAX + 1)
        claim = proof_file.StateProof.from_json(data, file.name)
        _check(genesis, claim)
    result = proof_file.describe(genesis, claim)
    print_json({"ok": True, **result}) if as_json else print_fields("Proven", _words(result))


def _words(said: dict[str, Any]) -> dict[str, object]:
    return {**said, "sealed_by": ", ".join(said["sealed_by"]) or "nobody: it is block 0"}


def _check(genesis: Genesis, claim: proof_file.StateProof) -> None:
    try:
        proof_file.verify(genesis, claim)
    except InvalidProof as error:
        raise CommandError(f"the proof does not hold: {error}") from None


def _hex(text: str, field: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise Unusable(f"{field} must be hex, got {text!r}") from None


def _label(target: Target, text: str | None) -> str:
    """Return the name of an address in text, as far as it has one."""
    if text is None:
        return "-"
    try:
        return target.label(parse_address(text, "address"))
    except DecodeError:
        return text


def _time(time_ms: int) -> str:
    moment = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).astimezone()
    return moment.isoformat(sep=" ", timespec="milliseconds")
