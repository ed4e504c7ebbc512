"""The node's home directory: where its files lie, and how those that others wrote are checked."""

import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import final

from crypto.errors import KeystoreError
from crypto.keystore import HouseholdKeys
from node.config import FILE_NAME, NodeConfig, load, parse_address
from node.errors import ConfigError
from node.p2p.errors import CertificateError
from node.p2p.identity import check_certificate
from node.p2p.member import MemberEndpoint
from vm.errors import GenesisError
from vm.genesis import GENESIS_BYTES_MAX, Genesis

TOKEN_BYTES = 32
_PASSWORD_BYTES_MAX = 1024


@final
@dataclass(frozen=True, slots=True)
class Home:
    """Paths of one node."""

    path: Path

    @property
    def genesis(self) -> Path:
        return self.path / "genesis.json"

    @property
    def config(self) -> Path:
        return self.path / FILE_NAME

    @property
    def keys(self) -> Path:
        return self.path / "household.keys"

    @property
    def password(self) -> Path:
        """Opens the keys without asking; for testnets."""
        return self.path / "password"

    @property
    def token(self) -> Path:
        """Hex of 32 bytes that the RPC's guarded calls demand; made at the first start."""
        return self.path / "rpc.token"

    @property
    def chain(self) -> Path:
        return self.path / "data" / "chain"

    @property
    def votes(self) -> Path:
        return self.path / "data" / "votes.log"

    @property
    def log(self) -> Path:
        return self.path / "node.log"


def load_genesis(path: Path) -> Genesis:
    """Read the genesis file and check each member's certificate.

    Raises:
        ConfigError: it cannot be read, or a field is wrong, by name.
    """
    try:
        with path.open("rb") as file:
            genesis = Genesis.from_json(file.read(GENESIS_BYTES_MAX + 1))
    except OSError as error:
        raise ConfigError(path.name, f"cannot be read: {error.strerror}") from None
    except GenesisError as error:
        raise ConfigError(f"{path.name}: {error.field}", error.message) from None
    for member in genesis.members:
        try:
            check_certificate(member.certificate, member.node_key)
        except CertificateError as error:
            raise ConfigError(f"{path.name}: {member.name}", str(error)) from None
    return genesis


def load_config(home: Home, genesis: Genesis) -> NodeConfig:
    """Read `node.toml` and check the names in it against the genesis file; raises ConfigError."""
    config = load(home.config)
    names = [member.name for member in genesis.members]
    for field, name in (("node.name", config.name), *(("p2p.peers", n) for n in config.peers)):
        if name not in names:
            raise ConfigError(field, f"{name!r} is not a member of the genesis file")
    return config


def load_keys(home: Home, genesis: Genesis, name: str, password: str | None) -> HouseholdKeys:
    """Open the household's keys and check that they are the member's.

    Raises:
        ConfigError: no password, a wrong one, or keys of another household.
    """
    secret = password if password is not None else _read_private(home.password, "password")
    try:
        keys = HouseholdKeys.load(home.keys, secret)
    except OSError as error:
        raise ConfigError(home.keys.name, f"cannot be read: {error.strerror}") from None
    except KeystoreError as error:
        raise ConfigError(home.keys.name, str(error)) from None
    member = next(member for member in genesis.members if member.name == name)
    if keys.node.public != member.node_key:
        raise ConfigError(
            home.keys.name, f"holds another node key than the genesis file has for {name!r}"
        )
    return keys


def load_token(home: Home) -> str:
    """Return the RPC's token; it is made where there is none. Raises ConfigError."""
    if not home.token.exists():
        descriptor = os.open(home.token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(TOKEN_BYTES) + "\n")
    token = _read_private(home.token, home.token.name)
    if len(token) != 2 * TOKEN_BYTES or token.strip("0123456789abcdef"):
        raise ConfigError(home.token.name, f"must be {2 * TOKEN_BYTES} lower-case hex digits")
    return token


def endpoints(genesis: Genesis, config: NodeConfig) -> tuple[MemberEndpoint, ...]:
    """Return the members in the order of their indexes: ascending by node key.

    Raises:
        ConfigError: a member's name or address cannot be used.
    """
    found = []
    ordered = sorted(genesis.members, key=lambda member: member.node_key)
    for index, member in enumerate(ordered):
        given = config.peers.get(member.name)
        address = given or parse_address(member.endpoint, f"endpoint of {member.name}")
        try:
            found.append(
                MemberEndpoint(
                    index=index,
                    name=member.name,
                    node_key=member.node_key,
                    certificate=member.certificate,
                    host=address.host,
                    port=address.port,
                )
            )
        except ValueError as error:
            raise ConfigError(f"genesis.json: {member.name}", str(error)) from None
    return tuple(found)


def _read_private(path: Path, field: str) -> str:
    """Return the stripped text of a file that only its owner may read."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(_PASSWORD_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(field, f"cannot be read: {error.strerror}") from None
    if mode & 0o077:
        raise ConfigError(field, f"{path} has mode {mode:04o}, others can read it: chmod 600 it")
    if len(data) > _PASSWORD_BYTES_MAX:
        raise ConfigError(field, f"must be at most {_PASSWORD_BYTES_MAX} bytes")
    try:
        return data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(field, "must be UTF-8") from None
