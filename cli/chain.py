"""`hearth chain`: blocks, transactions, logs; traces and proofs have files of their own."""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import Any

import click

from cli import contract_artifact
from cli.chain_forensic import forensic, seal
from cli.chain_proof import proof, verify_proof
from cli.chain_trace import trace
from cli.chain_verify import verify
from cli.contract_send import resolver
from cli.decode import event_names, event_topics, in_words
from cli.epochs import fetch_hand_overs, names_at
from cli.errors import CommandError, Unusable
from cli.known_contracts import Known
from cli.output import print_fields, print_json, print_table
from cli.target import Target, connected, run_async, with_target
from crypto.keys import checksum_address, parse_address
from market.abi import ADDRESSES
from node.hand_over import HandOver

HASH_CHARS = 66
TOPICS_MAX = 4
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_abi_option = click.option(
    "--abi",
    "abi_files",
    type=_FILE,
    multiple=True,
    help="JSON ABI or artifact of a contract in it; may be given more than once.",
)


@click.group()
def command() -> None:
    """Look at blocks, transactions, logs, traces and proofs."""


for each in (forensic, proof, seal, trace, verify, verify_proof):
    command.add_command(each)


def _known(target: Target, abi_files: tuple[Path, ...] = ()) -> Known:
    return Known(target.home, tuple(contract_artifact.load_abi(each) for each in abi_files))


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
    found, seal, receipts, steps = run_async(_block(target, block))
    names = names_at(target.genesis, steps, int(found["number"], 16))
    signers = [names[each["member"]] for each in seal["signatures"]] if seal else []
    known = _known(target)
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
            _transaction(known, tx, receipt)
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


async def _block(target: Target, text: str) -> tuple[Any, Any, list[Any], list[HandOver]]:
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
        return found, seal, receipts, await fetch_hand_overs(client, target.genesis)


def _transaction(known: Known, tx: dict[str, Any], receipt: dict[str, Any]) -> dict[str, Any]:
    """Return a transaction with what it did."""
    to, data = tx["to"], bytes.fromhex(tx["input"][2:])
    is_ok = int(receipt["status"], 16) == 1
    # The chain's own transactions, for due deadlines, are from nobody.
    is_deadline = int(tx["from"], 16) == 0
    address = None if to is None else parse_address(to, "to")
    created = receipt.get("contractAddress") if is_ok else None
    return {
        "hash": tx["hash"],
        "from": None if is_deadline else tx["from"],
        "to": None if is_deadline else to,
        "nonce": int(tx["nonce"], 16),
        "call": None if address is None else known.describe_call(address, data),
        "created": None if created is None else checksum_address(parse_address(created, "created")),
        "ok": is_ok,
        "error": None if is_ok else _failure(known, address, tx["hash"], receipt),
        "gas_used": int(receipt["gasUsed"], 16),
    }


def _failure(known: Known, to: bytes | None, digest: str, receipt: dict[str, Any]) -> str:
    output = _bytes(receipt.get("output", "0x"))
    if not output:  # It ran out of gas, or met an invalid instruction.
        return f"no reason was given: `hearth chain trace {digest}` says what happened"
    return known.reason(to, output)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _what(tx: dict[str, Any]) -> str:
    if tx["from"] is None:
        return "due deadlines"
    if tx["to"] is None:
        return f"creates {tx['created'] or 'nothing'}"
    call = tx["call"]
    return "unknown call" if call is None else f"{call['contract']}.{call['function']}"


@command.command()
@click.argument("transaction")
@_abi_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def tx(target: Target, *, transaction: str, abi_files: tuple[Path, ...], as_json: bool) -> None:
    r"""Show a transaction: who called what, whether it succeeded, and its events.

    \b
    Examples:
      hearth chain tx 0x3f2a…
      hearth chain tx 0x3f2a… --abi Token.json
    """
    known = _known(target, abi_files)
    if not transaction.startswith("0x") or len(transaction) != HASH_CHARS:
        raise Unusable(f"TRANSACTION must be 0x and 64 hex digits, got {transaction!r}")
    found, receipt = run_async(_tx(target, transaction))
    if receipt is None:
        result = {"hash": transaction, "block": None, "from": found["from"]}
        print_json(result) if as_json else click.echo("It waits for its block: `hearth node why`.")
        return
    events = [known.describe_log(log) for log in receipt["logs"]]
    result = {
        "block": int(receipt["blockNumber"], 16),
        **_transaction(known, found, receipt),
        "events": events,
    }
    if as_json:
        print_json(result)
        return
    words = {name: value for name, value in result.items() if name not in ("call", "events")}
    words["from"] = _label(target, result["from"])
    words["to"] = "-" if result["to"] is None else known.label(target, result["to"])
    call = result["call"]
    words["call"] = _what(result)
    if call is not None:
        words["arguments"] = in_words(call["arguments"], partial(known.label, target))
    print_fields("Transaction", words)
    _print_events(target, known, events)


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
@click.option("--contract", metavar="CONTRACT", help="Of this contract only: a name or 0x….")
@click.option("--event", "event", metavar="NAME", help="Of this name only, such as Transfer.")
@click.option(
    "--topic",
    "topics",
    multiple=True,
    metavar="HEX|any",
    help="The first indexed value, then the next; an address or number may be short.",
)
@click.option("--from", "first", type=click.IntRange(0), default=0, help="First block.")
@click.option("--to", "last", type=click.IntRange(0), help="Last block; the head.")
@_abi_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def logs(
    target: Target,
    *,
    contract: str | None,
    event: str | None,
    topics: tuple[str, ...],
    first: int,
    last: int | None,
    abi_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    r"""List logs in the order of the chain, as events where the contract is known.

    \b
    Examples:
      hearth chain logs --contract Market --event Settled
      hearth chain logs --event Transfer --topic any --topic 0x8ba1… --json
    """
    if last is not None and last < first:
        raise Unusable(f"--to {last} lies before --from {first}")
    known = _known(target, abi_files)
    asked: dict[str, Any] = {
        "fromBlock": hex(first),
        "toBlock": "latest" if last is None else hex(last),
    }
    address = None
    if contract is not None:
        address = resolver(target)(contract, "--contract")
        asked["address"] = "0x" + address.hex()
    asked["topics"] = [
        None if event is None else _first_topics(known, address, event),
        *(_topic(text) for text in topics),
    ]
    if len(asked["topics"]) > TOPICS_MAX:
        raise Unusable(f"--topic: a log has at most {TOPICS_MAX - 1} beside its event's own")
    found = [known.describe_log(log) for log in run_async(_call(target, "eth_getLogs", asked))]
    print_json(found) if as_json else _print_events(target, known, found)


def _first_topics(known: Known, address: bytes | None, event: str) -> list[str]:
    """Return the topics of the events with this name; raises Unusable that lists the names."""
    natives = {native: name for name, native in ADDRESSES.items()}
    name = None if address is None else natives.get(address)
    abis = list(known.anywhere)
    if address is not None and name is None:
        own = known.named(address)
        abis += [] if own is None else [own[1]]
    found = [topic for each in abis for topic, kind in each.events.items() if kind.name == event]
    names = [kind.name for each in abis for kind in each.events.values()]
    if address is None or name is not None:
        found += event_topics(name, event)
        names += event_names(name)
    if not found:
        listed = ", ".join(sorted(set(names))) or "none that is known: give --abi FILE"
        raise Unusable(f"there is no event {event!r}; there are {listed}")
    return ["0x" + topic.hex() for topic in found]


def _topic(text: str) -> str | None:
    """Return 32 bytes in hex; shorter values are numbers and addresses, which stand behind."""
    if text == "any":
        return None
    digits = text.removeprefix("0x")
    if (
        not text.startswith("0x")
        or not 0 < len(digits) <= 64
        or digits.strip("0123456789abcdefABCDEF")
    ):
        raise Unusable(f"--topic must be 0x and at most 64 hex digits, or any; got {text[:80]!r}")
    return "0x" + digits.lower().rjust(64, "0")


command.add_command(logs, "events")  # As it was called when only native contracts were there.


def _print_events(target: Target, known: Known, found: list[dict[str, Any]]) -> None:
    print_table(
        "Events",
        ("block", "contract", "event", "values"),
        [
            (
                each["block"],
                each["contract"],
                each["event"] or "unknown",
                in_words(each["values"], partial(known.label, target)),
            )
            for each in found
        ],
    )


def _label(target: Target, text: str | None) -> str:
    """Return the name of an address in text, as far as it has one."""
    return "-" if text is None else target.named(text)


def _time(time_ms: int) -> str:
    moment = dt.datetime.fromtimestamp(time_ms / 1000, dt.UTC).astimezone()
    return moment.isoformat(sep=" ", timespec="milliseconds")
