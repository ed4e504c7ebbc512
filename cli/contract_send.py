"""Transactions of `hearth contract`: estimated, signed, sealed, and explained where they fail."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import click

from cli.errors import CommandError, Refused, Unusable
from cli.known_contracts import Known, deployed
from cli.output import progress
from cli.target import Target
from crypto.keys import AccountKey
from crypto.keystore import HouseholdKeys
from market.abi import ADDRESSES
from node.rpc.client import RpcClient, RpcError
from node.rpc.errors import Code
from testnet.layout import ServiceLayout
from vm.gas import tx_gas_limit
from vm.transaction import sign_transaction

SEAL_WAIT_MS = 60_000
"""The node's longest."""
NO_BLOCK = "header not found"
"""What a node says of the state after a block that it does not know, in geth's words."""
PROGRESS_S = 2.0
"""A block is sealed within milliseconds where all is well: a word is due only after a while."""


def account_key(target: Target, text: str | None) -> AccountKey:
    """Return the key of the account that sends; the household's own where none is named.

    Args:
        target: the household whose node is asked.
        text: name of a household or service of the same testnet, or a folder with a key file.

    Raises:
        Unusable: there is no such key here.
    """
    if text is None or text == target.name:
        return target.keys.account
    beside = target.home.path.parent
    for folder in (Path(text), beside / text, beside / "services" / text):
        keys = ServiceLayout(folder)
        if keys.keys.is_file():
            return HouseholdKeys.load(keys.keys, _password(keys)).account
    raise Unusable(
        f"--from: {text!r} is neither a household nor a service of this testnet",
        "nor a folder with a household.keys",
    )


def _password(keys: ServiceLayout) -> str:
    if keys.password.is_file():
        return keys.password.read_text("utf-8").strip()
    return str(click.prompt(f"Password of {keys.keys}", hide_input=True, err=True))


async def call(
    client: RpcClient, known: Known, *, sender: bytes, to: bytes, data: bytes, block: str
) -> bytes:
    """Return what a call answers without a transaction; raises Refused with its reason."""
    asked = {"from": "0x" + sender.hex(), "to": "0x" + to.hex(), "data": "0x" + data.hex()}
    try:
        answer = await client.call("eth_call", asked, block)
    except RpcError as error:
        explain(error, known, to)
    return bytes.fromhex(answer[2:])


async def send(
    target: Target,
    client: RpcClient,
    known: Known,
    *,
    key: AccountKey,
    to: bytes | None,
    data: bytes,
    gas: int | None = None,
) -> dict[str, Any]:
    """Sign and submit a call, or a creation where `to` is None; return the receipt at its seal.

    Raises:
        Refused: it would revert, or did when its block was made; says why.
        CommandError: no seal in time; the transaction may still be sealed.
    """
    address = "0x" + key.address.hex()
    asked = {"from": address, "data": "0x" + data.hex()}
    if to is not None:
        asked["to"] = "0x" + to.hex()
    try:
        needed = int(await client.call("eth_estimateGas", asked), 16)
    except RpcError as error:
        explain(error, known, to)
    # A quarter more: the state may be another one when the block is made.
    gas_limit = gas or min(needed + needed // 4, tx_gas_limit(target.genesis.block_gas_limit))
    nonce = int(await client.call("eth_getTransactionCount", address, "pending"), 16)
    chain_id = target.genesis.chain_id
    raw = sign_transaction(
        key, chain_id=chain_id, nonce=nonce, to=to, data=data, gas_limit=gas_limit
    )
    receipt = await _sealed(client, known, raw, to)
    if int(receipt["status"], 16) != 1:
        reason = known.reason(to, bytes.fromhex(receipt.get("output", "0x")[2:]))
        raise Refused(
            f"failed when its block was made: {reason}",
            f"hearth chain trace {receipt['transactionHash']}",
        )
    return receipt


async def _sealed(client: RpcClient, known: Known, raw: bytes, to: bytes | None) -> dict[str, Any]:
    talk = asyncio.create_task(_say_that_it_waits())
    try:
        receipt: dict[str, Any] = await client.call("hearth_submit", "0x" + raw.hex(), SEAL_WAIT_MS)
    except RpcError as error:
        if error.code == Code.NOT_SEALED:
            digest = (error.data or {}).get("hash", "")
            hint = f"hearth node why; hearth chain tx {digest}"
            raise CommandError("no seal in time; it may still be sealed", hint) from None
        explain(error, known, to)
    finally:
        talk.cancel()
        with suppress(asyncio.CancelledError):
            await talk
    return receipt


async def _say_that_it_waits() -> None:
    progress("sent; waiting for the seal of its block")
    waited_s = 0.0
    while True:
        await asyncio.sleep(PROGRESS_S)
        waited_s += PROGRESS_S
        progress(f"  still waiting, {waited_s:.0f} s")


def explain(error: RpcError, known: Known, to: bytes | None) -> NoReturn:
    """Raise Refused with the reason of a revert in words, or the node's own words."""
    if error.code == Code.REVERTED and isinstance(error.data, str):
        reason = known.reason(to, bytes.fromhex(error.data[2:]))
        raise Refused(f"reverts: {reason}") from None
    if error.message == NO_BLOCK:
        raise Refused(
            "the chain has no such block yet", "`hearth chain head` shows its newest"
        ) from None
    raise Refused(error.message) from None


def resolver(target: Target) -> Callable[[str, str], bytes]:
    """Return what reads an address in any of its forms.

    These are a native contract's name, a household's or service's, that of a contract deployed
    from here, and 0x…. In this order: a contract that calls itself by a neighbour's name must not
    get what is sent to the neighbour.
    """
    people = list(target.names().values())
    contracts = {**deployed(target.home), **ADDRESSES}

    def resolve(text: str, field: str) -> bytes:
        if text in contracts and (text in ADDRESSES or text not in people):
            return contracts[text]
        if not text.startswith("0x") and text not in people:
            names = ", ".join((*(name for name in people if " " not in name), *contracts))
            raise Unusable(
                f"{field}: {text!r} is neither an address nor one of {names}",
                "a contract that was deployed from elsewhere needs its address (and --abi FILE)",
            )
        return target.address_of(text, field)

    return resolve
