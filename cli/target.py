"""Which household a command speaks for, and how it speaks to that household's node.

In this order: `--home DIR`, `--node NAME` of the testnet, `$HEARTH_HOME`, and else the first
household of the testnet in the working directory, so that the common case needs no option.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, final

import click

from cli.errors import CommandError, Refused, Unreachable, Unusable
from crypto.errors import CryptoError, DecodeError
from crypto.keys import AccountKey, checksum_address, parse_address
from crypto.keystore import HouseholdKeys
from market.agents.events import decode_result, encode_call
from node.config import NodeConfig
from node.errors import ConfigError
from node.home import Home, load_config, load_genesis, load_keys, load_token
from node.rpc import client as rpc
from testnet.errors import TestnetError
from testnet.layout import DEFAULT_NAME, TestnetLayout
from testnet.manifest import Manifest
from vm.errors import GenesisError
from vm.genesis import Genesis
from vm.transaction import sign_transaction

P = ParamSpec("P")
T = TypeVar("T")

ENV_HOME = "HEARTH_HOME"
ENV_TESTNET = "HEARTH_TESTNET"
CALL_GAS = 3_000_000
"""Gas limit of a command's transaction; what is not used is not charged."""


@final
@dataclass(frozen=True)
class Target:
    """One household's home, opened lazily."""

    home: Home

    @cached_property
    def genesis(self) -> Genesis:
        return load_genesis(self.home.genesis)

    @cached_property
    def config(self) -> NodeConfig:
        return load_config(self.home, self.genesis)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def url(self) -> str:
        listen = self.config.rpc_listen
        return f"http://{listen.host}:{listen.port}"

    @cached_property
    def keys(self) -> HouseholdKeys:
        """The household's keys; asks for the password where no file holds it. SECRET."""
        password = None
        if not self.home.password.exists():
            password = click.prompt(f"Password of {self.home.keys}", hide_input=True, err=True)
        return load_keys(self.home, self.genesis, self.name, password)

    @property
    def account(self) -> bytes:
        """The household's address; a founder's from genesis, so that no key is opened for it."""
        founders = (m.account for m in self.genesis.members if m.name == self.name)
        return next(founders, None) or self.keys.account.address

    def client(self) -> rpc.RpcClient:
        """Return a client of the household's node, with its token."""
        token = load_token(self.home) if self.home.token.exists() else None
        return rpc.RpcClient(self.url, token)

    def names(self) -> dict[bytes, str]:
        """Addresses that have a name in genesis."""
        named: dict[bytes, str] = {}
        for member in self.genesis.members:
            named[member.account] = member.name
            named[member.meter.account] = f"{member.name}'s meter"
        named.update({account: name for name, account in self.genesis.services})
        return named

    def address_of(self, text: str, field: str = "TO") -> bytes:
        """Return an address given as 0x… or as the name of a household or service."""
        for address, name in self.names().items():
            if name == text:
                return address
        if not text.startswith("0x"):
            known = ", ".join(name for name in self.names().values() if " " not in name)
            raise Unusable(f"{field}: {text!r} is neither an address nor one of {known}")
        try:
            return parse_address(text, field)
        except DecodeError as error:
            raise Unusable(str(error)) from None

    def named(self, text: str) -> str:
        """Return the name of an address in text, as far as it has one."""
        try:
            return self.label(parse_address(text, "address"))
        except DecodeError:
            return text

    def label(self, address: bytes) -> str:
        """Return the name of an address, or its checksummed form."""
        return self.names().get(address) or checksum_address(address)


def find_target(home: Path | None, node: str | None) -> Target:
    """Return the household that the options name; raises Unusable with what to do."""
    given = home or (
        Path(os.environ[ENV_HOME]) if node is None and ENV_HOME in os.environ else None
    )
    if given is not None:
        if not (given / "genesis.json").exists():
            raise Unusable(f"{given} is not the home of a node", "hearth node init --help")
        return Target(Home(given))
    layout = TestnetLayout.of(os.environ.get(ENV_TESTNET, DEFAULT_NAME))
    if not layout.manifest.exists():
        raise Unusable(
            "no --home given, and no testnet in this folder",
            "start one with `hearth testnet up`, or name a node's home with --home DIR",
        )
    entry = Manifest.load(layout.manifest).household(node or "0")
    return Target(Home(layout.household(entry.name).home))


def with_target(
    command: Callable[Concatenate[Target, P], T],
) -> Callable[..., T]:
    """Give a command the options --home and --node, and its household as first argument."""

    @click.option("--home", type=click.Path(path_type=Path), help="Home of the household's node.")
    @click.option("--node", metavar="NAME|INDEX", help="Household of the testnet in this folder.")
    @wraps(command)
    def run(home: Path | None, node: str | None, *args: P.args, **kwargs: P.kwargs) -> T:
        with readable_errors():
            return command(find_target(home, node), *args, **kwargs)

    return run


class readable_errors:  # noqa: N801  Reads as a statement: `with readable_errors():`.
    """Turns the errors of files, keys and nodes into one line and an exit code."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case rpc.Unreachable():
                raise Unreachable(str(error), "is the node running? `hearth node status`") from None
            case rpc.RpcError():
                raise Refused(error.message) from None
            case ConfigError() | CryptoError() | GenesisError():
                raise Unusable(str(error)) from None
            case TestnetError():
                raise CommandError(str(error)) from None
            case _:
                return


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; Ctrl-C ends it quietly."""
    return asyncio.run(work)


async def view(
    client: rpc.RpcClient, contract: str, function: str, *args: object
) -> tuple[Any, ...]:
    """Call a view of a native contract at the head."""
    to, data = encode_call(contract, function, args)
    call = {"to": "0x" + to.hex(), "data": "0x" + data.hex()}
    output = await client.call("eth_call", call, "latest")
    return decode_result(contract, function, bytes.fromhex(output[2:]))


async def submit(
    target: Target,
    client: rpc.RpcClient,
    key: AccountKey,
    contract: str,
    function: str,
    *args: object,
) -> dict[str, Any]:
    """Sign a call, submit it, wait for its seal and return the receipt.

    Raises:
        Refused: the contract reverts, with its reason; nothing has changed then.
    """
    to, data = encode_call(contract, function, args)
    address = "0x" + key.address.hex()
    call = {"from": address, "to": "0x" + to.hex(), "data": "0x" + data.hex()}
    await client.call("eth_call", call, "latest")  # Says why, before a transaction is spent on it.
    nonce = int(await client.call("eth_getTransactionCount", address, "pending"), 16)
    raw = sign_transaction(
        key, chain_id=target.genesis.chain_id, nonce=nonce, to=to, data=data, gas_limit=CALL_GAS
    )
    receipt: dict[str, Any] = await client.call("hearth_submit", "0x" + raw.hex())
    if int(receipt["status"], 16) != 1:
        raise Refused(
            f"{contract}.{function} was refused when its block was made; see "
            f"`hearth chain tx {receipt['transactionHash']}`"
        )
    return receipt


@asynccontextmanager
async def connected(target: Target) -> AsyncIterator[rpc.RpcClient]:
    """Yield a client of the target's node and close it after."""
    async with target.client() as client:
        yield client


def chosen(values: Sequence[str], text: str, field: str) -> str:
    """Return `text` if it is one of `values`; raises Unusable that lists them."""
    if text not in values:
        raise Unusable(f"{field} must be one of {', '.join(values)}, got {text!r}")
    return text
