"""What `hearth testnet dev` runs: chain, server, banner; until a signal or an error of ours."""

import asyncio
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import structlog

from crypto.errors import DecodeError
from crypto.keys import checksum_address
from node.config import Address, NodeConfig, render
from node.failure import failure_in
from node.home import Home
from testnet.dev.clock import VirtualClock
from testnet.dev.community import CLI_NAME, GENESIS_MS, WINDOW_MS, DevCommunity, make_community
from testnet.dev.dev_chain import DevChain
from testnet.dev.errors import BadState
from testnet.dev.funding import ENERGY, MONEY, fund
from testnet.dev.mnemonic import WELL_KNOWN, check_mnemonic
from testnet.dev.server import DevServer, monotonic_ms
from testnet.dev.state_file import STATE_BYTES_MAX, DumpedState
from testnet.errors import BadOption, PortBusy
from testnet.layout import HOST
from testnet.strict_json import write_file

PORT: Final = 8_545
"""Where Ethereum's tools look for a node."""
PASSWORD: Final = "public"  # noqa: S105  So are the keys.
"""Opens the keys of a home that `write_home` makes."""
_SECRET_MODE: Final = 0o600
_EUR: Final = 10**8
_KWH: Final = 1_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DevOptions:
    """What one may choose."""

    port: int = PORT
    host: str = HOST
    mnemonic: str = WELL_KNOWN
    window_ms: int = WINDOW_MS
    block_time_s: float = 0.0
    """Seconds between blocks; 0 seals each transaction at once."""
    is_mining: bool = True
    """False: blocks are made by `evm_mine` alone."""
    is_frozen: bool = False
    """The clock moves only when it is told to."""
    state: Path | None = None
    """Read at the start, if it is there, and written at the end."""
    home: Path | None = None
    """Where to write what `hearth --home` needs."""

    def __post_init__(self) -> None:
        if not 0 < self.port < 1 << 16:
            raise BadOption(f"port must lie in 1..65535, got {self.port}")
        if self.block_time_s < 0:
            raise BadOption(f"block time must not be negative, got {self.block_time_s}")
        if self.state is not None and not self.state.absolute().parent.is_dir():
            raise BadOption(f"{self.state}: its folder is not there")
        try:
            check_mnemonic(self.mnemonic)
        except DecodeError as error:
            raise BadOption(str(error)) from None


def open_chain(options: DevOptions, now_ms: int) -> DevChain:
    """Return a chain with block 1, or the one that the state file holds.

    Args:
        options: of the command.
        now_ms: Unix milliseconds, with which the chain's clock begins.

    Raises:
        BadState: the state file cannot be used; its name is in the text.
        GenesisError: the length of the window is out of range.
    """
    mnemonic = check_mnemonic(options.mnemonic)
    community = make_community(mnemonic, window_ms=options.window_ms)
    source = (lambda: 0) if options.is_frozen else monotonic_ms
    dev = DevChain(community, VirtualClock(max(now_ms, GENESIS_MS + 1), source))
    if options.state is not None and options.state.exists():
        dev.load(_read_state(options.state))
    else:
        fund(dev)
    dev.is_automine = options.is_mining and not options.block_time_s
    return dev


def _read_state(path: Path) -> DumpedState:
    try:
        with path.open("rb") as file:
            return DumpedState.from_bytes(file.read(STATE_BYTES_MAX + 1))
    except OSError as error:
        raise BadState(path.name, f"cannot be read: {error.strerror}") from None


def _write_state(path: Path, dumped: DumpedState) -> None:
    try:
        write_file(path, dumped.to_bytes(), mode=_SECRET_MODE)
    except OSError as error:
        raise BadState(str(path), f"cannot be written: {error.strerror}") from None


def describe(dev: DevChain, options: DevOptions) -> dict[str, Any]:
    """Return what a developer's tools need, as JSON."""
    chain, at = dev.chain, f"{options.host}:{options.port}"
    contracts = {each.NAME: checksum_address(each.ADDRESS) for each in _natives(dev)}
    return {
        "chainId": chain.chain_id,
        "rpc": f"http://{at}",
        "ws": f"ws://{at}",
        "block": chain.height,
        "timeMs": dev.clock.reading_ms,
        "mnemonic": dev.community.mnemonic,
        "path": "m/44'/60'/0'/0/{index}",
        "accounts": [
            {"address": checksum_address(key.address), "privateKey": "0x" + key.secret.hex()}
            for key in dev.community.accounts
        ],
        "moneyPerAccount": MONEY,
        "energyPerAccount": ENERGY,
        "contracts": contracts,
    }


def banner(dev: DevChain, options: DevOptions, seconds: float) -> str:
    """Return the same for people."""
    said = describe(dev, options)
    lines = [
        f"Chain {said['chainId']}: block {said['block']} sealed in {seconds:.2f} s.",
        "",
        f"Accounts, each with {MONEY // _EUR:,} hEUR, {ENERGY // _KWH:,} kWh and gas for all:",
    ]
    lines += [
        f"  ({index}) {each['address']}  {each['privateKey']}"
        for index, each in enumerate(said["accounts"])
    ]
    lines += [
        "",
        f"Mnemonic  {said['mnemonic']}",
        f"Path      {said['path']}",
        "WARNING: these keys are public. Whatever is sent to them on a real chain is lost.",
        "",
        "Native contracts:",
        *(f"  {name:<14} {address}" for name, address in said["contracts"].items()),
        "",
        f"RPC       {said['rpc']}",
        f"WebSocket {said['ws']}",
        "Ctrl-C ends it" + (f" and writes {options.state}." if options.state else "."),
    ]
    return "\n".join(lines)


def _natives(dev: DevChain) -> list[Any]:
    contracts = dev.chain.machine.contracts
    return [contracts[address] for address in sorted(contracts)]


async def serve(dev: DevChain, options: DevOptions, show: Callable[[], None]) -> int:
    """Serve until SIGINT, SIGTERM or an error of ours; return the exit code.

    Args:
        dev: the chain.
        options: of the command.
        show: called when everything answers.

    Raises:
        PortBusy: somebody listens at the port.
    """
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[Exception | None] = loop.create_future()

    def end(error: Exception | None = None) -> None:
        if not stopped.done():
            stopped.set_result(error)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.set_exception_handler(lambda _, context: _judge(context, end))
    _log_plainly()
    server = DevServer(dev, port=options.port, host=options.host)
    server.set_interval(options.block_time_s)
    if options.home is not None:
        write_home(options.home, dev.community, options, server.token)
    try:
        await server.start()
    except OSError as refusal:
        await server.stop()
        raise PortBusy(
            f"cannot listen at {options.host}:{options.port}: {refusal.strerror or refusal}; "
            "choose another with --port"
        ) from None
    show()
    error = await stopped
    await server.stop()
    if options.state is not None:
        _write_state(options.state, dev.dump())
    if error is not None:
        sys.stderr.write(f"the chain stops: {str(error) or repr(error)}\n")
    return 0 if error is None else 1


def _log_plainly() -> None:
    """Log to stderr, traces without the values of variables: to draw those may take minutes."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _judge(context: dict[str, Any], end: Callable[[Exception | None], None]) -> None:
    """End the server for what no task has caught, as a node ends."""
    failure = failure_in(context)
    if failure is not None:
        structlog.get_logger("dev").error("stray error", exc_info=failure)
        end(failure)


def write_home(path: Path, community: DevCommunity, options: DevOptions, token: str) -> None:
    """Write a home for `hearth … --home`: that of the member CLI_NAME, whose keys are no secret.

    Raises:
        BadOption: something else is there.
    """
    home, genesis = Home(path), community.genesis.to_json()
    path.mkdir(parents=True, exist_ok=True)
    is_ours = home.genesis.exists() and home.genesis.read_bytes() == genesis
    if any(path.iterdir()) and not is_ours:
        raise BadOption(f"{path} holds something else than the home of this chain")
    member = next(each for each in community.genesis.members if each.name == CLI_NAME)
    config = NodeConfig(
        name=CLI_NAME,
        p2p_listen=Address(HOST, int(member.endpoint.rpartition(":")[2])),
        rpc_listen=Address(options.host, options.port),
    )
    write_file(home.genesis, genesis)
    write_file(home.config, render(config).encode())
    write_file(home.token, f"{token}\n".encode(), mode=_SECRET_MODE)
    write_file(home.password, f"{PASSWORD}\n".encode(), mode=_SECRET_MODE)
    if not home.keys.exists():
        community.household.save(home.keys, PASSWORD, cost="min")
