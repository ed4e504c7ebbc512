"""`hearth chain proof` and `verify-proof`: proofs that are verified without a node."""

from pathlib import Path

import click

from cli import proof_file
from cli.contract_send import resolver
from cli.epochs import fetch_hand_overs
from cli.errors import CommandError, Unusable
from cli.output import print_fields, print_json
from cli.target import Target, connected, find_target, readable_errors, run_async, with_target
from crypto.errors import InvalidProof
from market.contracts.erc20 import balance_key
from node import light_answers as answers
from node.home import load_genesis
from node.rpc.client import RpcClient
from testnet import strict_json
from vm.accounts import account_key
from vm.context import storage_key
from vm.contract_state import slot_key
from vm.genesis import Genesis

SLOTS = 2**256


@click.command()
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
    "--slot",
    nargs=2,
    metavar="CONTRACT SLOT",
    help="Prove a storage slot of a contract in bytecode.",
)
@click.option(
    "--account",
    metavar="ADDRESS",
    help="Prove an account: its nonce, its household, the hash of its code.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("proof.json"), show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@with_target
def proof(
    target: Target,
    *,
    key: str | None,
    balance: str | None,
    token: str,
    slot: tuple[str, str] | None,
    account: str | None,
    out: Path,
    as_json: bool,
) -> None:
    r"""Write a file that proves a value of the state, or that there is none, at the head.

    KEY is a raw state key in hex (docs/spec/state.md). Whoever has the genesis file verifies the
    proof without asking anybody. Where the compiler put a variable, its storage layout says.

    \b
    Examples:
      hearth chain proof --balance h39
      hearth chain proof --slot Coupon 0
      hearth chain proof 0x6d --out members.json
    """
    if sum(given is not None for given in (key, balance, slot, account)) != 1:
        raise Unusable("give one of KEY, --balance, --slot and --account")
    resolve = resolver(target)
    if balance is not None:
        holder = resolve(balance, "--balance")
        state_key = storage_key(proof_file.TOKENS[token], balance_key(holder))
    elif slot is not None:
        state_key = slot_key(resolve(slot[0], "--slot"), _slot(slot[1]))
    elif account is not None:
        state_key = account_key(resolve(account, "--account"))
    else:
        state_key = _hex(key or "", "KEY")
    claim = run_async(_proof(target, state_key))
    _check(target.genesis, claim)
    strict_json.write_file(out, claim.to_json())
    said = proof_file.describe(target.genesis, claim)
    if as_json:
        print_json({"file": str(out), **said})
    else:
        print_fields(f"{out} is written", _words(said))
        genesis = target.home.genesis
        click.echo(f"Verify it anywhere: hearth chain verify-proof {out} --genesis {genesis}")


async def _proof(target: Target, key: bytes) -> proof_file.StateProof:
    async with connected(target) as client:
        return await fetch_proof(client, target.genesis, key)


async def fetch_proof(client: RpcClient, genesis: Genesis, key: bytes) -> proof_file.StateProof:
    """Ask a node for the proof of a state key at its head, and for who sealed it."""
    answer = await client.call("hearth_getProof", "0x" + key.hex())
    head = answers.read_header(answers.read_object(answer, "hearth_getProof").get("header"))
    # Asked after the proof: the epoch of its block is among them.
    steps = await fetch_hand_overs(client, genesis)
    needed = [step for step in steps if step.members.first_height <= head.number]
    return proof_file.StateProof.from_rpc(genesis, answer, needed)


@click.command(name="verify-proof")
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


def _words(said: dict[str, object]) -> dict[str, object]:
    signers = said["sealed_by"]
    assert isinstance(signers, list), "describe lists names"
    return {**said, "sealed_by": ", ".join(signers) or "nobody: it is block 0"}


def _check(genesis: Genesis, claim: proof_file.StateProof) -> None:
    try:
        proof_file.verify(genesis, claim)
    except InvalidProof as error:
        raise CommandError(f"the proof does not hold: {error}") from None


def _slot(text: str) -> int:
    try:
        slot = int(text, 16 if text.startswith("0x") else 10)
    except ValueError:
        slot = SLOTS
    if not 0 <= slot < SLOTS:
        raise Unusable(f"--slot: SLOT must be a number below 2**256, got {text[:80]!r}")
    return slot


def _hex(text: str, field: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise Unusable(f"{field} must be hex, got {text!r}") from None
