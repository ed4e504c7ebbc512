"""Who lives on a chain for developers: ten households whose keys everybody knows, and one more.

The ten have the accounts of the mnemonic, which tools derive. The one more has a household's keys
as `hearth` makes them, so that its commands work here, too.

The genesis depends on the options alone, never on the clock, so the chain id stays the same from
one start to the next, and a dumped state fits again.
"""

from dataclasses import dataclass, replace
from typing import Final, final

from crypto.hashing import tagged_hash
from crypto.keys import AccountKey, NodeKey
from crypto.keystore import HouseholdKeys, MeterKeys
from market.abi import OPERATOR, RING_PROOF_TAG
from node.natives import NATIVES
from testnet.dev.faucet import Faucet
from testnet.dev.mnemonic import WELL_KNOWN, accounts
from testnet.genesis import CONTRACTS, SERVICES, make_member
from testnet.layout import HOST
from vm.gas import BLOCK_GAS_LIMIT
from vm.genesis import Genesis, GenesisMember
from vm.native import NativeContract

ACCOUNTS: Final = 10
CLI_NAME: Final = "cli"
GENESIS_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: when window 0 begins. Fixed, so that the chain id is."""
WINDOW_MS: Final = 900_000
RECORD_MS: Final = 180_000
QUOTA_GAS: Final = 9 * 10**18
"""Of each account and window, so that nobody meets it; wallets show it as a balance of 9."""
NATIVE_CONTRACTS: Final[tuple[NativeContract, ...]] = (*NATIVES, Faucet())
_METER_VALID_WINDOWS: Final = 2**53
_FIRST_PORT: Final = 26_600
"""Of the members' endpoints: a name each, nobody listens there."""
_TAG: Final = b"hearth/testnet/dev"


@final
@dataclass(frozen=True, slots=True)
class DevCommunity:
    """All keys of the chain, and its genesis. Nothing of it is secret."""

    mnemonic: str
    accounts: tuple[AccountKey, ...]
    """Of the first ten members, in the order of the mnemonic's indexes."""
    household: HouseholdKeys
    """Of the member that `hearth` commands speak for, CLI_NAME."""
    nodes: tuple[NodeKey, ...]
    """With which each member seals blocks."""
    operator: AccountKey
    """Of the service that gives the accounts their first tokens, and certifies meters."""
    genesis: Genesis


def make_community(mnemonic: str = WELL_KNOWN, *, window_ms: int = WINDOW_MS) -> DevCommunity:
    """Return the community of a mnemonic that is valid (`check_mnemonic`).

    Raises:
        GenesisError: `window_ms` out of range.
    """
    keys = accounts(mnemonic, ACCOUNTS)
    households = tuple(_household(mnemonic, index) for index in range(ACCOUNTS + 1))
    services = tuple(
        _household(mnemonic, len(households) + place) for place in range(len(SERVICES))
    )
    holders = [*keys, households[ACCOUNTS].account]
    genesis = Genesis(
        name="dev",
        time_ms=GENESIS_MS,
        window_ms=window_ms,
        record_ms=max(1, window_ms * RECORD_MS // WINDOW_MS),
        quota_gas=QUOTA_GAS,
        block_gas_limit=BLOCK_GAS_LIMIT,
        members=tuple(
            _member(mnemonic, index, account, households[index])
            for index, account in enumerate(holders)
        ),
        services=tuple(
            (name, service.account.address)
            for name, service in zip(SERVICES, services, strict=True)
        ),
        contracts=CONTRACTS,
    )
    return DevCommunity(
        mnemonic=mnemonic,
        accounts=keys,
        household=households[ACCOUNTS],
        nodes=tuple(each.node for each in households),
        operator=services[SERVICES.index(OPERATOR)].account,
        genesis=genesis,
    )


def _entropy(kind: bytes, mnemonic: str, index: int) -> bytes:
    return tagged_hash(_TAG, kind, mnemonic.encode(), index.to_bytes(4, "big"))


def _household(mnemonic: str, index: int) -> HouseholdKeys:
    return HouseholdKeys.from_entropy(_entropy(b"household", mnemonic, index))


def _member(
    mnemonic: str, index: int, account: AccountKey, household: HouseholdKeys
) -> GenesisMember:
    """Return a member with this account; its other keys are the household's."""
    made = make_member(
        name=f"dev{index}" if index < ACCOUNTS else CLI_NAME,
        endpoint=f"{HOST}:{_FIRST_PORT + index}",
        household=household,
        meter=MeterKeys.from_entropy(_entropy(b"meter", mnemonic, index)),
    )
    ring = NodeKey.from_seed(household.ring_seed)
    return replace(
        made,
        account=account.address,
        ring_proof=ring.sign(tagged_hash(RING_PROOF_TAG, account.address)),
        meter=replace(made.meter, valid_until_window=_METER_VALID_WINDOWS),
    )
