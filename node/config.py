"""`node.toml`: what one household chooses for its node, strictly parsed and written with comments.

What all nodes must share is in the genesis file; nothing here can change what a block means.
"""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from node.errors import ConfigError
from node.storage.history import HISTORY_BLOCKS
from vm.evm import tiers

CONFIG_BYTES_MAX = 64 << 10
NAME_LENGTH_MAX = 64
HISTORY_BLOCKS_MAX = 65_536
"""Of `state.history_blocks`: a search for an old value looks into a place for each 256 blocks."""
LOG_LEVELS = ("debug", "info", "warning", "error")
FILE_NAME = "node.toml"


@final
@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address (IPv6 in brackets in its text) and a port."""

    host: str
    port: int

    def __post_init__(self) -> None:
        if not self.host:
            raise ConfigError("address", 'must be "host:port", got an empty host')
        if not 0 < self.port < 1 << 16:
            raise ConfigError("address", f"port must lie in 1..65535, got {self.port}")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """The settings of one node."""

    name: str
    """The member of the genesis file that this node is."""
    p2p_listen: Address
    rpc_listen: Address
    peers: Mapping[str, Address] = field(default_factory=dict)
    """Where members are reached, if elsewhere than the genesis file says; by name."""
    log_level: str = "info"
    testnet: bool = False
    """Allows the admin calls that cut links, which no real community wants."""
    history_blocks: int = HISTORY_BLOCKS
    """Blocks below the head whose state can be asked for, 0 to HISTORY_BLOCKS_MAX."""
    all_blocks: bool = False
    """Replays all blocks from genesis rather than joining by a snapshot of recent state."""
    vm_tier: int = tiers.DEFAULT
    """Which of `vm.evm.tiers` runs bytecode: a matter of speed only."""

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= NAME_LENGTH_MAX or not self.name.isprintable():
            raise ConfigError("node.name", f"must be 1 to {NAME_LENGTH_MAX} printable characters")
        if self.log_level not in LOG_LEVELS:
            raise ConfigError("node.log_level", f"must be one of {', '.join(LOG_LEVELS)}")
        if not 0 <= self.history_blocks <= HISTORY_BLOCKS_MAX:
            message = f"must lie in 0..{HISTORY_BLOCKS_MAX}, got {self.history_blocks}"
            raise ConfigError("state.history_blocks", message)
        if self.vm_tier not in tiers.TIERS:
            names = ", ".join(map(str, tiers.TIERS))
            raise ConfigError("vm.tier", f"must be one of {names}, got {self.vm_tier}")


def parse_address(text: str, field_name: str) -> Address:
    """Return the address that "host:port" or "[ipv6]:port" names.

    Raises:
        ConfigError: another form, or a port out of range.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(field_name, f'IPv6 must be in brackets ("[::1]:26600"), got {text!r}')
    if "[" in host or "]" in host:
        raise ConfigError(field_name, f"brackets stand around a whole IPv6 address, got {text!r}")
    is_port = port.isascii() and port.isdigit() and len(port) <= 5
    if not host or not colon or not is_port or not 0 < int(port) < 1 << 16:
        raise ConfigError(field_name, f'must be "host:port" with a port in 1..65535, got {text!r}')
    return Address(host, int(port))


def load(path: Path) -> NodeConfig:
    """Read `node.toml`.

    Raises:
        ConfigError: no such file, too large, not TOML, or a setting that is unknown, missing or
            out of range, by name.
    """
    try:
        with path.open("rb") as file:
            data = file.read(CONFIG_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(path.name, f"cannot be read: {error.strerror}") from None
    return parse(data)


def parse(data: bytes) -> NodeConfig:
    """Return the settings in the bytes of a `node.toml`; raises ConfigError as `load`."""
    if len(data) > CONFIG_BYTES_MAX:
        raise ConfigError(FILE_NAME, f"must be at most {CONFIG_BYTES_MAX} bytes, got more")
    try:
        tables = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(FILE_NAME, f"is not TOML: {error}") from None
    names = ("node", "p2p", "rpc", "state", "vm")
    _check_keys(tables, names, "")
    node, p2p, rpc, state, vm = (_table(tables, key, key) for key in names)
    _check_keys(node, ("name", "log_level", "testnet"), "node.")
    _check_keys(p2p, ("listen", "peers"), "p2p.")
    _check_keys(rpc, ("listen",), "rpc.")
    _check_keys(state, ("history_blocks", "all_blocks"), "state.")
    _check_keys(vm, ("tier",), "vm.")
    peers = _table(p2p, "peers", "p2p.peers")
    return NodeConfig(
        name=_value(node, "name", "node.", str, None),
        log_level=_value(node, "log_level", "node.", str, "info"),
        testnet=_value(node, "testnet", "node.", bool, default=False),
        history_blocks=_value(state, "history_blocks", "state.", int, HISTORY_BLOCKS),
        all_blocks=_value(state, "all_blocks", "state.", bool, default=False),
        vm_tier=_value(vm, "tier", "vm.", int, tiers.DEFAULT),
        p2p_listen=_address(p2p, "listen", "p2p."),
        rpc_listen=_address(rpc, "listen", "rpc."),
        peers={name: _address(peers, name, "p2p.peers.") for name in peers},
    )


def render(config: NodeConfig) -> str:
    """Return the text of a commented `node.toml` that `parse` reads back to the same settings."""
    peers = "\n".join(
        f"{_quoted(name)} = {_quoted(str(address))}" for name, address in config.peers.items()
    )
    return f"""\
# Settings of one node. What all nodes must share is in genesis.json.

[node]
# The member of the genesis file that this node is.
name = {_quoted(config.name)}
# {", ".join(LOG_LEVELS)}. Lines go to node.log as JSON.
log_level = {_quoted(config.log_level)}
# Allow the admin calls that cut links between nodes. Never outside a testnet.
testnet = {"true" if config.testnet else "false"}

[p2p]
# Where this node accepts the links of other members.
listen = {_quoted(str(config.p2p_listen))}

[p2p.peers]
# Where a member is reached, if elsewhere than the genesis file says: name = "host:port".
{peers}

[rpc]
# JSON-RPC, WebSocket, health and metrics. Keep it on loopback unless you know why not.
listen = {_quoted(str(config.rpc_listen))}

[state]
# Blocks below the newest whose state can be asked for (eth_call, balances, traces of what came
# after them), 0 to {HISTORY_BLOCKS_MAX}. Each costs what the block changed in disk space.
history_blocks = {config.history_blocks}
# Fetch and execute all blocks from genesis on when this node joins, so that it keeps the whole
# history; false joins by the state at a recent block, which its seals certify.
all_blocks = {"true" if config.all_blocks else "false"}

[vm]
# 1 interprets contracts' bytecode; 2 also compiles what runs often, with the same results.
tier = {config.vm_tier}
"""


def _quoted(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which is not printable and so is in no name.
    return json.dumps(text, ensure_ascii=False)


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], prefix: str) -> None:
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigError(f"{prefix}{key[:64]}", f"is not a known setting{hint}")


def _table(table: Mapping[str, Any], key: str, name: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(name, f"must be a table, got {type(value).__name__}")
    return value


def _value(table: Mapping[str, Any], key: str, prefix: str, kind: type, default: Any) -> Any:
    value = table.get(key, default)
    if value is None:
        raise ConfigError(f"{prefix}{key}", "is missing")
    if type(value) is not kind:
        raise ConfigError(f"{prefix}{key}", f"must be {kind.__name__}, got {type(value).__name__}")
    return value


def _address(table: Mapping[str, Any], key: str, prefix: str) -> Address:
    return parse_address(_value(table, key, prefix, str, None), f"{prefix}{key}")
