"""The node's home directory: where its files lie, and how those that others wrote are checked."""

import os
import secrets
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import final

from crypto.errors import KeystoreError
from crypto.keys import NodeKey
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
    def node_key(self) -> Path:
        """Node key of the last rotation; without one the household's keys hold it."""
        return self.path / "node.keys"

    @property
    def next_node_key(self) -> Path:
        """Node key of a rotation that has not taken effect yet."""
        return self.path / "node.keys.next"

    @property
    def invite(self) -> Path:
        """With which this household joins a chain that it did not found."""
        return self.path / "invite.json"

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
    def last_words(self) -> Path:
        """Why the node stopped, if it did not stop well (`node.last_words`)."""
        return self.path / "stopped.txt"

    @property
    def departure(self) -> Path:
        """The recovery that this household has signed: the chain is over for it."""
        return self.path / "signed-recovery.json"

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
    given = [("node.name", config.name), *(("p2p.peers", name) for name in config.peers)]
    if home.invite.exists():
        given = []  # Who joins later, and whom it meets then, the file cannot know.
    for field, name in given:
        if name not in names:
            raise ConfigError(field, f"{name!r} is not a member of the genesis file")
    return config


@final
@dataclass(frozen=True, slots=True)
class HomeKeys:
    """The household's keys, and the node keys that replace the first one. SECRET."""

    home: Home
    household: HouseholdKeys
    rotated: NodeKey | None
    """Of the last rotation; from then on the household's first node key is void."""
    password: str

    def load_next(self) -> NodeKey | None:
        """Return the node key of a rotation under way, None if there is none.

        Raises:
            ConfigError: the file is there and cannot be used.
        """
        return _load_node_key(self.home.next_node_key, self.password)

    def present(self, members: Collection[bytes]) -> NodeKey:
        """Return the key that this node runs with, given the members' node keys.

        The key of a rotation that has taken effect moves to its place: there is no way back.
        """
        following = self.load_next()
        if following is not None and following.public in members:
            self.home.next_node_key.replace(self.home.node_key)
            return following
        return self.rotated or self.household.node


def load_keys(home: Home, genesis: Genesis, name: str, password: str | None) -> HouseholdKeys:
    """Open the household's keys alone; raises as `load_home_keys`."""
    return load_home_keys(home, genesis, name, password).household


def load_home_keys(home: Home, genesis: Genesis, name: str, password: str | None) -> HomeKeys:
    """Open all keys of a node and check that they are the member's.

    Raises:
        ConfigError: no password, a wrong one, or keys of another household.
    """
    secret = password if password is not None else read_password(home)
    keys = load_household(home.keys, secret)
    member = next((member for member in genesis.members if member.name == name), None)
    rotated = _load_node_key(home.node_key, secret)
    held = [key.public for key in (keys.node, rotated) if key is not None]
    if member is not None and member.node_key not in held:
        raise ConfigError(
            home.keys.name, f"holds another node key than the genesis file has for {name!r}"
        )
    return HomeKeys(home, keys, rotated, secret)


def _load_node_key(path: Path, password: str) -> NodeKey | None:
    return load_household(path, password).node if path.exists() else None


def read_password(home: Home) -> str:
    """Return the password in the home's file; raises ConfigError."""
    return _read_private(home.password, "password")


def load_household(path: Path, password: str) -> HouseholdKeys:
    """Open a file of household keys; raises ConfigError."""
    try:
        return HouseholdKeys.load(path, password)
    except OSError as error:
        raise ConfigError(path.name, f"cannot be read: {error.strerror}") from None
    except KeystoreError as error:
        raise ConfigError(path.name, str(error)) from None


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
    """Return the founders in the order of their indexes: ascending by node key.

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
