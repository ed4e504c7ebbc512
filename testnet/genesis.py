"""Genesis of a testnet: fresh keys for every household, meter and service, and what all share."""

from dataclasses import dataclass
from typing import final

from nacl import bindings as sodium

from crypto.hashing import tagged_hash
from crypto.keys import NodeKey
from crypto.keystore import HouseholdKeys, MeterKeys
from market.abi import EXTERNAL_MARKET, OPERATOR, RING_PROOF_TAG
from node.p2p.identity import make_certificate
from testnet.grid.community import Community
from testnet.layout import BASE_PORT, HOST, p2p_port
from vm.gas import BLOCK_COMPUTE_LIMIT, BLOCK_GAS_LIMIT
from vm.genesis import Genesis, GenesisMember, GenesisMeter

WINDOW_MS = 9_000
RECORD_MS = 2_500
QUOTA_GAS = 200_000_000
FIRST_WINDOW = 2
"""Window 0 is for starting up, window 1 for trading what the day's first hour brings."""
METER_VALID_WINDOWS = 1_000_000
SERVICES = (OPERATOR, EXTERNAL_MARKET)

CONTRACTS: dict[str, dict[str, int | str]] = {
    "membership": {"votes_needed_percent": 50},
    "market": {
        "retail": 30_000,
        "feed_in": 8_000,
        "penalty": 2_000,
        "k": 14,
        "attest_windows": 1,
        "close_windows": 2,
        "settle_windows": 3,
    },
}
"""Prices in 10⁻⁸ EUR per Wh; what stands nowhere here has the contract's default."""
LARGE_COMMUNITY = 32
"""Households above which a seller may need more buyers than the contract's default allows."""
AGREEMENTS_MAX_LARGE = 64


@final
@dataclass(frozen=True, slots=True)
class CommunityKeys:
    """SECRET: all keys of a testnet, in the order of the genesis file."""

    households: tuple[HouseholdKeys, ...]
    meters: tuple[MeterKeys, ...]
    services: tuple[HouseholdKeys, ...]

    @classmethod
    def generate(cls, households: int) -> "CommunityKeys":
        """Return fresh keys from the system's random source."""
        return cls(
            tuple(HouseholdKeys.generate() for _ in range(households)),
            tuple(MeterKeys.generate() for _ in range(households)),
            tuple(HouseholdKeys.generate() for _ in SERVICES),
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GenesisOptions:
    """What one may choose about a testnet's chain; times in milliseconds."""

    time_ms: int
    """Unix milliseconds at which window 0 begins."""
    name: str = "testnet"
    window_ms: int = WINDOW_MS
    record_ms: int = RECORD_MS
    quota_gas: int = QUOTA_GAS
    block_gas_limit: int = BLOCK_GAS_LIMIT
    block_compute_limit: int = BLOCK_COMPUTE_LIMIT
    base_port: int = BASE_PORT


def make_genesis(community: Community, keys: CommunityKeys, options: GenesisOptions) -> Genesis:
    """Return the genesis in which every household of `community` is a member.

    Raises:
        GenesisError: an option out of range, naming it.
    """
    members = tuple(
        make_member(
            name=profile.name,
            endpoint=f"{HOST}:{p2p_port(index, options.base_port)}",
            household=keys.households[index],
            meter=keys.meters[index],
        )
        for index, profile in enumerate(community.households)
    )
    return Genesis(
        name=options.name,
        time_ms=options.time_ms,
        window_ms=options.window_ms,
        record_ms=options.record_ms,
        quota_gas=options.quota_gas,
        block_gas_limit=options.block_gas_limit,
        block_compute_limit=options.block_compute_limit,
        members=members,
        services=tuple(
            (name, service.account.address)
            for name, service in zip(SERVICES, keys.services, strict=True)
        ),
        contracts={**CONTRACTS, "market": _market_of(len(members))},
    )


def _market_of(households: int) -> dict[str, int | str]:
    """Return the market's parameters: in a large community a seller makes many small agreements.

    With the default of 16 the last large seller of a day of 48 households is left with kilowatt-
    hours that its neighbours need; with the contract's most, 64, nothing is left.
    """
    if households <= LARGE_COMMUNITY:
        return CONTRACTS["market"]
    return {**CONTRACTS["market"], "agreements_max": AGREEMENTS_MAX_LARGE}


def make_member(
    *, name: str, endpoint: str, household: HouseholdKeys, meter: MeterKeys
) -> GenesisMember:
    """Return the public record of a founding household, made from its keys."""
    ring = NodeKey.from_seed(household.ring_seed)
    return GenesisMember(
        name=name,
        node_key=household.node.public,
        account=household.account.address,
        ring_key=ring.public,
        ring_proof=ring.sign(tagged_hash(RING_PROOF_TAG, household.account.address)),
        wallet=wallet_address(household),
        endpoint=endpoint,
        certificate=make_certificate(household.node),
        meter=GenesisMeter(
            account=meter.account.address,
            ring_key=NodeKey.from_seed(meter.ring_seed).public,
            meter_id=f"HEARTH-{name}",
            valid_until_window=METER_VALID_WINDOWS,
        ),
    )


def wallet_address(household: HouseholdKeys) -> bytes:
    """Return the public view key and the public spend key of a household's wallet, 64 bytes."""
    return _wallet_point(household.wallet_view) + _wallet_point(household.wallet_spend)


def _wallet_point(secret: bytes) -> bytes:
    """Return (secret mod ℓ)·G, 32 bytes: how CryptoNote makes a public key, without clamping."""
    scalar = sodium.crypto_core_ed25519_scalar_reduce(secret + bytes(32))
    return sodium.crypto_scalarmult_ed25519_base_noclamp(scalar)
