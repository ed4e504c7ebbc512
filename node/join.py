"""Invites: how a household that did not found a chain finds it, and fetches its genesis file.

An invite holds no secret. It names the chain by its genesis hash, and says where members are
reached and by which certificates they are known; all else follows from those. Members let the
newcomer in once they have accepted its proposal, not before.
"""

import asyncio
import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, final

import aiohttp
import structlog

from crypto.keys import NodeKey
from node.community import NodeRecord
from node.config import Address, parse_address
from node.errors import ConfigError
from node.home import Home, load_household, read_password
from node.p2p.errors import CertificateError
from node.p2p.frames import GENESIS_PATH
from node.p2p.identity import NodeIdentity, check_certificate, client_context
from node.p2p.refusal import reason_of
from vm.errors import GenesisError
from vm.genesis import GENESIS_BYTES_MAX, Genesis

INVITE_BYTES_MAX: Final = 256 << 10
MEMBERS_MAX: Final = 128
VERSION: Final = 1
RETRY_S: Final = 2.0
"""Between two rounds of asking: members vote in hours, not in seconds."""
_ANSWER_S: Final = 10.0
_FIELDS = ("version", "chain", "genesis_hash", "chain_id", "members")
_MEMBER_FIELDS = ("name", "endpoint", "node_key", "certificate")

_log = structlog.get_logger("join")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A member that a newcomer may ask."""

    name: str
    endpoint: str
    node_key: bytes
    certificate: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """What a newcomer must know of a chain."""

    chain: str
    """Name, for people."""
    genesis_hash: bytes
    chain_id: int
    members: tuple[Host, ...]

    def to_json(self) -> bytes:
        """Return the file's bytes."""
        value = {
            "version": VERSION,
            "chain": self.chain,
            "genesis_hash": "0x" + self.genesis_hash.hex(),
            "chain_id": self.chain_id,
            "members": [
                {
                    "name": host.name,
                    "endpoint": host.endpoint,
                    "node_key": "0x" + host.node_key.hex(),
                    "certificate": "0x" + host.certificate.hex(),
                }
                for host in self.members
            ],
        }
        return (json.dumps(value, indent=1) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, field: str = "invite") -> Self:
        """Parse strictly.

        Raises:
            ConfigError: names the entry that is not as it must be.
        """
        if len(data) > INVITE_BYTES_MAX:
            raise ConfigError(field, f"must be at most {INVITE_BYTES_MAX} bytes")
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise ConfigError(field, "is not JSON") from None
        _check_fields(value, _FIELDS, field)
        if value["version"] != VERSION:
            raise ConfigError(f"{field}.version", f"must be {VERSION}, got {value['version']!r}")
        members = value["members"]
        if not isinstance(members, list) or not 0 < len(members) <= MEMBERS_MAX:
            raise ConfigError(f"{field}.members", f"must be a list of 1 to {MEMBERS_MAX}")
        invite = cls(
            chain=_text(value["chain"], f"{field}.chain"),
            genesis_hash=_hex(value["genesis_hash"], f"{field}.genesis_hash", 32),
            chain_id=_int(value["chain_id"], f"{field}.chain_id"),
            members=tuple(_host(each, f"{field}.members[{i}]") for i, each in enumerate(members)),
        )
        if invite.to_json() != data:
            raise ConfigError(field, "is not in the form in which it was written")
        return invite

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file; raises ConfigError."""
        try:
            with path.open("rb") as file:
                return cls.from_json(file.read(INVITE_BYTES_MAX + 1), path.name)
        except OSError as error:
            raise ConfigError(path.name, f"cannot be read: {error.strerror}") from None


def _host(value: Any, field: str) -> Host:
    _check_fields(value, _MEMBER_FIELDS, field)
    host = Host(
        name=_text(value["name"], f"{field}.name"),
        endpoint=_text(value["endpoint"], f"{field}.endpoint"),
        node_key=_hex(value["node_key"], f"{field}.node_key", 32),
        certificate=_hex(value["certificate"], f"{field}.certificate"),
    )
    parse_address(host.endpoint, f"{field}.endpoint")
    try:
        check_certificate(host.certificate, host.node_key)
    except CertificateError as error:
        raise ConfigError(f"{field}.certificate", str(error)) from None
    return host


def _check_fields(value: Any, names: tuple[str, ...], field: str) -> None:
    if not isinstance(value, dict) or tuple(value) != names:
        raise ConfigError(field, f"must have exactly {', '.join(names)}")


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 256 or not value.isprintable():
        raise ConfigError(field, "must be 1 to 256 printable characters")
    return value


def _int(value: Any, field: str) -> int:
    if type(value) is not int or not 0 < value < 1 << 53:
        raise ConfigError(field, f"must lie in 1..2**53-1, got {value!r}")
    return value


def _hex(value: Any, field: str, length: int | None = None) -> bytes:
    digits = value[2:] if isinstance(value, str) and value.startswith("0x") else "-"
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        raise ConfigError(field, "must be hexadecimal with 0x") from None
    if length is not None and len(data) != length:
        raise ConfigError(field, f"must be {length} bytes, got {len(data)}")
    return data


def inviting_nodes(home: Home) -> tuple[NodeRecord, ...]:
    """Return the members of the home's invite, if it has one; raises ConfigError."""
    if not home.invite.exists():
        return ()
    return tuple(
        NodeRecord(
            account=bytes(20),
            node_key=host.node_key,
            endpoint=host.endpoint,
            name=host.name,
            certificate=host.certificate,
        )
        for host in Invite.load(home.invite).members
    )


async def fetch_genesis(home: Home, password: str | None, stopped: "asyncio.Future[Any]") -> None:
    """See that the home has the genesis file; a newcomer asks the members of its invite for it.

    Returns when it is there, or when `stopped` is done; until the members have accepted the
    newcomer they refuse it, and it asks on.

    Raises:
        ConfigError: neither a genesis file nor an invite, or keys that cannot be opened.
    """
    if home.genesis.exists() or not home.invite.exists():
        return
    invite = Invite.load(home.invite)
    secret = password if password is not None else read_password(home)
    key = load_household(home.keys, secret).node
    said = ""
    async with aiohttp.ClientSession() as session:
        while not stopped.done():
            data, reason = await _ask_all(session, key, invite)
            if data is not None:
                keep_genesis(home, data)
                return
            if reason != said:
                said = reason
                _log.info("waiting to be let in", reason=reason)
            await asyncio.wait((stopped,), timeout=RETRY_S)


async def _ask_all(
    session: aiohttp.ClientSession, key: NodeKey, invite: Invite
) -> tuple[bytes | None, str]:
    """Return the genesis file from the first member that gives it, or why none did."""
    reason = "no member of the invite could be asked"
    for host in invite.members:
        context = client_context(NodeIdentity.from_key(key), (host.certificate,))
        address = parse_address(host.endpoint, host.name)
        try:
            async with asyncio.timeout(_ANSWER_S):
                data = await ask_genesis(session, context, address)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = f"{host.name}: {reason_of(error)}"
            continue
        try:
            if Genesis.from_json(data).hash == invite.genesis_hash:
                return data, ""
            reason = f"{host.name}: sent the genesis file of another chain"
        except GenesisError as error:
            reason = f"{host.name}: sent no genesis file ({error})"
    return None, reason


async def ask_genesis(
    session: aiohttp.ClientSession, context: ssl.SSLContext, address: Address
) -> bytes:
    """Return what the node at `address` gives as its genesis file, at most a byte too much."""
    url, limit = f"https://{address}{GENESIS_PATH}", GENESIS_BYTES_MAX + 1
    data = bytearray()
    async with session.get(url, ssl=context, raise_for_status=True) as response:
        async for piece in response.content.iter_any():
            data += piece
            if len(data) >= limit:
                break
    return bytes(data[:limit])


def keep_genesis(home: Home, data: bytes) -> None:
    """Write the genesis file; a power cut leaves all of it or nothing."""
    _keep(home.genesis, data)


def keep_invite(home: Home, invite: Invite) -> None:
    """Write the invite, in place of an older one; a power cut leaves one of them whole."""
    _keep(home.invite, invite.to_json())


def _keep(path: Path, data: bytes) -> None:
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
