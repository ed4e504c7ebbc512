"""The genesis file: what all nodes must share, strictly parsed and hashed.

The hash covers the meaning, not the white space; the chain id follows from it, so that a
transaction made for one community or one reset of a testnet is void in every other.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeAlias, TypeVar, final

from crypto import codec
from crypto.errors import DecodeError
from crypto.hashing import Digest, tagged_hash
from crypto.keys import checksum_address, parse_address
from vm import gas
from vm.errors import GenesisError
from vm.members import MEMBERS_MAX, MEMBERS_MIN
from vm.recovered import Recovered, recovered_from_json, recovered_to_json
from vm.versions import FIRST_PROTOCOL, PROTOCOL_MAX

GENESIS_BYTES_MAX = 1024 * 1024
SERVICES_MAX = 16
CONTRACTS_MAX = 64
PARAMS_MAX = 64
TEXT_MAX = 256
CERTIFICATE_BYTES_MAX = 600

CHAIN_ID_LIMIT = 2**52
"""Below 2**53, as JavaScript wallets hold it in a double; one bit less for v = 35 + 2 * id."""
GAS_LIMIT_MIN = 2_000_000
GAS_LIMIT_MAX = 64_000_000
"""Half of it, in one transaction, buys no longer receipt than `receipt.RECEIPT_BYTES_MAX`."""
COMPUTE_LIMIT_MAX = 1_000_000_000

_U63 = 2**63 - 1
_GENESIS_TAG = b"hearth/genesis"

T = TypeVar("T")

Params: TypeAlias = "Mapping[str, int | str]"
"""A contract's parameters; each contract checks its own in its genesis hook."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisMeter:
    """A household's certified meter; its keys are its own, never the node's."""

    account: bytes
    """20 bytes: the secp256k1 address that signs readings."""
    ring_key: bytes
    """32 bytes, Ed25519: for attestations (private market)."""
    meter_id: str
    valid_until_window: int

    def __post_init__(self) -> None:
        _check_length("meter.account", self.account, 20)
        _check_length("meter.ring_key", self.ring_key, 32)
        _check_text("meter.meter_id", self.meter_id)
        _check_range("meter.valid_until_window", self.valid_until_window, 0, _U63)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisMember:
    """A founding household."""

    name: str
    node_key: bytes
    """32 bytes, Ed25519: votes and peer authentication."""
    account: bytes
    """20 bytes, secp256k1 address; also the member's id for ever."""
    ring_key: bytes
    """32 bytes, Ed25519."""
    ring_proof: bytes
    """64 bytes: proof that the member holds the ring key."""
    wallet: bytes
    """64 bytes: public view key and public spend key."""
    endpoint: str
    """"host:port" of the node."""
    meter: GenesisMeter
    certificate: bytes = b""
    """DER of the node's self-signed X.509 certificate, which its peers pin; the node checks that
    it is by `node_key`. Empty where there is no network, as in a simulation."""

    def __post_init__(self) -> None:
        _check_text("member.name", self.name)
        _check_length("member.node_key", self.node_key, 32)
        _check_length("member.account", self.account, 20)
        _check_length("member.ring_key", self.ring_key, 32)
        _check_length("member.ring_proof", self.ring_proof, 64)
        _check_length("member.wallet", self.wallet, 64)
        _check_endpoint(self.endpoint)
        _check_range("member.certificate", len(self.certificate), 0, CERTIFICATE_BYTES_MAX)


@final
@dataclass(frozen=True, kw_only=True)
class Genesis:
    """What all nodes of a chain share. A value that exists is a valid one.

    Raises:
        GenesisError: from the constructor, naming the field.
    """

    name: str
    time_ms: int
    """Unix milliseconds; window 0 begins here."""
    window_ms: int
    record_ms: int
    """The recording phase: the last part of each window."""
    quota_gas: int
    """Gas that a member or service may use in one window."""
    block_gas_limit: int
    members: tuple[GenesisMember, ...]
    services: tuple[tuple[str, bytes], ...]
    """(name, account): accounts of the community that are nobody's household ("operator")."""
    contracts: Mapping[str, Params]
    """Parameters by contract NAME."""
    block_compute_limit: int = gas.BLOCK_COMPUTE_LIMIT
    """The second meter: what the bytecode and the native calls of a block may compute."""
    protocol_version: int = FIRST_PROTOCOL
    """Rules of the first blocks; later ones come by vote (`vm.protocol`)."""
    recovered: Recovered | None = None
    """Where the first state comes from, if not from the contracts' genesis hooks."""

    def __post_init__(self) -> None:
        _check_text("name", self.name)
        _check_range("time_ms", self.time_ms, 1, _U63)
        _check_range("window_ms", self.window_ms, 1, 2**40)
        _check_range("record_ms", self.record_ms, 1, self.window_ms)
        _check_range("quota_gas", self.quota_gas, 0, _U63)
        _check_range("block_gas_limit", self.block_gas_limit, GAS_LIMIT_MIN, GAS_LIMIT_MAX)
        least = gas.block_compute_limit_min(self.block_gas_limit)
        _check_range("block_compute_limit", self.block_compute_limit, least, COMPUTE_LIMIT_MAX)
        _check_range("members", len(self.members), MEMBERS_MIN, MEMBERS_MAX)
        _check_range("services", len(self.services), 0, SERVICES_MAX)
        _check_range("protocol_version", self.protocol_version, 1, PROTOCOL_MAX)
        for service, account in self.services:
            _check_text("services.name", service)
            _check_length("services.account", account, 20)
        _check_contracts(self.contracts)
        if self.recovered is not None:
            _check_range("recovered.time_ms", self.recovered.time_ms, self.time_ms, _U63)
        self._check_distinct()

    def _check_distinct(self) -> None:
        members, meters = self.members, [member.meter for member in self.members]
        for name, values in (
            ("members.name", [member.name for member in members]),
            ("services.name", [service for service, _ in self.services]),
            ("node_key", [member.node_key for member in members]),
            ("ring_key", [*(m.ring_key for m in members), *(m.ring_key for m in meters)]),
            ("wallet", [member.wallet for member in members]),
            ("meter_id", [meter.meter_id for meter in meters]),
            ("endpoint", [member.endpoint for member in members]),
            (
                "account",
                [
                    *(member.account for member in members),
                    *(meter.account for meter in meters),
                    *(account for _, account in self.services),
                ],
            ),
        ):
            seen: set[object] = set()
            for value in values:
                if value in seen:
                    shown = value.hex() if isinstance(value, bytes) else value
                    raise GenesisError(name, f"must be distinct, got {shown} twice")
                seen.add(value)

    @cached_property
    def hash(self) -> Digest:
        """32 bytes over the canonical encoding of every field."""
        return tagged_hash(_GENESIS_TAG, codec.encode(_to_json(self)))

    @cached_property
    def chain_id(self) -> int:
        """Derived from the hash; in 1..2**52 - 1."""
        return int.from_bytes(self.hash[:8], "big") % (CHAIN_ID_LIMIT - 1) + 1

    @property
    def first_time_ms(self) -> int:
        """Time of block 0."""
        return self.time_ms if self.recovered is None else self.recovered.time_ms

    @property
    def first_number(self) -> int:
        """What bytecode takes for the number of block 0: it goes on counting over a recovery."""
        return 0 if self.recovered is None else self.recovered.number

    def window_at(self, time_ms: int) -> int:
        """Return the index of the window in which `time_ms` lies; negative before genesis."""
        return (time_ms - self.time_ms) // self.window_ms

    def to_json(self) -> bytes:
        """Return the file: UTF-8, indented, keys in a fixed order."""
        return (json.dumps(_to_json(self), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> "Genesis":
        """Parse a genesis file.

        Raises:
            GenesisError: too long, not JSON, a key unknown, missing or given twice, or a value
                out of range, naming the field.
        """
        if len(data) > GENESIS_BYTES_MAX:
            message = f"must be at most {GENESIS_BYTES_MAX} bytes, got {len(data)}"
            raise GenesisError("genesis", message)
        try:
            value = json.loads(
                data.decode("utf-8"),
                object_pairs_hook=_distinct_keys,
                parse_float=_refuse_number,
                parse_constant=_refuse_number,
            )
        except (ValueError, RecursionError) as error:
            raise GenesisError("genesis", f"must be JSON in UTF-8: {error}") from None
        return _read_genesis(value)


def _check_length(field: str, value: bytes, length: int) -> None:
    if len(value) != length:
        raise GenesisError(field, f"must be {length} bytes, got {len(value)}")


def _check_text(field: str, value: str) -> None:
    if not 0 < len(value) <= TEXT_MAX or not value.isprintable():
        raise GenesisError(field, f"must be 1 to {TEXT_MAX} printable characters")


def _check_range(field: str, value: int, lo: int, hi: int) -> None:
    if not lo <= value <= hi:
        raise GenesisError(field, f"must lie in {lo}..{hi}, got {value}")


def _check_endpoint(endpoint: str) -> None:
    _check_text("member.endpoint", endpoint)
    if not is_endpoint(endpoint):
        raise GenesisError("member.endpoint", 'must be "host:port" with a port in 1..65535')


def is_endpoint(text: str) -> bool:
    """Return whether `text` is "host:port" with a port in 1..65535 in its shortest form."""
    host, _, port = text.rpartition(":")
    is_number = 0 < len(port) <= 5 and port.isascii() and port.isdigit() and port[0] != "0"
    return bool(host) and is_number and int(port) < 2**16


def _check_contracts(contracts: Mapping[str, Params]) -> None:
    _check_range("contracts", len(contracts), 0, CONTRACTS_MAX)
    for name, params in contracts.items():
        _check_text("contracts", name)
        _check_range(f"contracts.{name}", len(params), 0, PARAMS_MAX)
        for key, value in params.items():
            _check_text(f"contracts.{name}", key)
            if isinstance(value, str):
                _check_text(f"contracts.{name}.{key}", value)
            else:
                _check_range(f"contracts.{name}.{key}", value, -_U63, _U63)


def _to_json(genesis: Genesis) -> dict[str, Any]:
    return {
        "protocol_version": genesis.protocol_version,
        "name": genesis.name,
        "time_ms": genesis.time_ms,
        "window_ms": genesis.window_ms,
        "record_ms": genesis.record_ms,
        "quota_gas": genesis.quota_gas,
        "block_gas_limit": genesis.block_gas_limit,
        "block_compute_limit": genesis.block_compute_limit,
        "members": [member_to_json(member) for member in genesis.members],
        "services": [
            {"name": name, "account": checksum_address(account)}
            for name, account in genesis.services
        ],
        "contracts": {name: dict(params) for name, params in genesis.contracts.items()},
        **_recovered_to_json(genesis.recovered),
    }


def _recovered_to_json(recovered: Recovered | None) -> dict[str, Any]:
    """Return the entry that only the genesis file of a recovered chain has."""
    return {} if recovered is None else {"recovered": recovered_to_json(recovered)}


def member_to_json(member: GenesisMember) -> dict[str, Any]:
    """Return a member's entry in a genesis file: what a household gives to its community."""
    return {
        "name": member.name,
        "node_key": member.node_key.hex(),
        "account": checksum_address(member.account),
        "ring_key": member.ring_key.hex(),
        "ring_proof": member.ring_proof.hex(),
        "wallet": member.wallet.hex(),
        "endpoint": member.endpoint,
        "certificate": member.certificate.hex(),
        "meter": {
            "account": checksum_address(member.meter.account),
            "ring_key": member.meter.ring_key.hex(),
            "meter_id": member.meter.meter_id,
            "valid_until_window": member.meter.valid_until_window,
        },
    }


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise GenesisError(key[:64], "is given twice")
        found[key] = value
    return found


def _refuse_number(text: str) -> None:
    raise GenesisError("genesis", f"numbers must be integers, got {text[:32]}")


def _read_genesis(value: Any) -> Genesis:
    recovered = _typed(value, "genesis", dict).get("recovered", ...)
    names = tuple(field.name for field in fields(Genesis))
    data = _object(value, "genesis", names if recovered is not ... else names[:-1])
    contracts = _typed(data["contracts"], "contracts", dict)
    return Genesis(
        name=_typed(data["name"], "name", str),
        time_ms=_typed(data["time_ms"], "time_ms", int),
        window_ms=_typed(data["window_ms"], "window_ms", int),
        record_ms=_typed(data["record_ms"], "record_ms", int),
        quota_gas=_typed(data["quota_gas"], "quota_gas", int),
        block_gas_limit=_typed(data["block_gas_limit"], "block_gas_limit", int),
        block_compute_limit=_typed(data["block_compute_limit"], "block_compute_limit", int),
        members=tuple(member_from_json(item) for item in _typed(data["members"], "members", list)),
        services=tuple(_read_service(item) for item in _typed(data["services"], "services", list)),
        contracts={name: _read_params(name, params) for name, params in contracts.items()},
        protocol_version=_typed(data["protocol_version"], "protocol_version", int),
        recovered=None if recovered is ... else _read_recovered(recovered),
    )


def _read_recovered(value: Any) -> Recovered:
    try:
        return recovered_from_json(value)
    except DecodeError as error:
        raise GenesisError(error.field, error.reason) from None


def member_from_json(value: Any) -> GenesisMember:
    """Return the member whose entry `value` is; raises GenesisError, naming the field."""
    data = _object(value, "member", tuple(field.name for field in fields(GenesisMember)))
    meter_keys = tuple(field.name for field in fields(GenesisMeter))
    meter = _object(data["meter"], "member.meter", meter_keys)
    return GenesisMember(
        name=_typed(data["name"], "member.name", str),
        node_key=_hex(data["node_key"], "member.node_key"),
        account=_address(data["account"], "member.account"),
        ring_key=_hex(data["ring_key"], "member.ring_key"),
        ring_proof=_hex(data["ring_proof"], "member.ring_proof"),
        wallet=_hex(data["wallet"], "member.wallet"),
        endpoint=_typed(data["endpoint"], "member.endpoint", str),
        certificate=_hex(data["certificate"], "member.certificate"),
        meter=GenesisMeter(
            account=_address(meter["account"], "meter.account"),
            ring_key=_hex(meter["ring_key"], "meter.ring_key"),
            meter_id=_typed(meter["meter_id"], "meter.meter_id", str),
            valid_until_window=_typed(meter["valid_until_window"], "meter.valid_until_window", int),
        ),
    )


def _read_service(value: Any) -> tuple[str, bytes]:
    data = _object(value, "services", ("name", "account"))
    name = _typed(data["name"], "services.name", str)
    return name, _address(data["account"], "services.account")


def _read_params(name: str, value: Any) -> dict[str, int | str]:
    params = _typed(value, f"contracts.{name}", dict)
    for key, param in params.items():
        if type(param) not in (int, str):
            message = f"must be an integer or text, got {type(param).__name__}"
            raise GenesisError(f"contracts.{name}.{key}", message)
    return params


def _object(value: Any, field: str, keys: tuple[str, ...]) -> dict[str, Any]:
    data = _typed(value, field, dict)
    for key in keys:
        if key not in data:
            raise GenesisError(f"{field}.{key}", "is missing")
    for key in data:
        if key not in keys:
            raise GenesisError(f"{field}.{key[:64]}", "is not known")
    return data


def _typed(value: Any, field: str, kind: type[T]) -> T:
    if type(value) is not kind:  # A bool is an int to isinstance.
        raise GenesisError(field, f"must be {kind.__name__}, got {type(value).__name__}")
    return value


def _hex(value: Any, field: str) -> bytes:
    text: str = _typed(value, field, str)
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise GenesisError(field, "must be hex digits") from None
    if data.hex() != text:
        raise GenesisError(field, "must be hex digits in lower case without spaces")
    return data


def _address(value: Any, field: str) -> bytes:
    try:
        return parse_address(_typed(value, field, str), field)
    except DecodeError as error:
        raise GenesisError(error.field, error.reason) from None
