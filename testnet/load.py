"""Traffic for chaos and benches: accounts with a little money that pass units around.

Each account is an agent of a household, so the household's quota pays for it. Transfers are signed
before they are sent; a lane has one transaction under way and asks again, at any node, until it
is sealed: only then does the account count it as acknowledged.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, final

from crypto import codec
from crypto.hashing import keccak256, tagged_hash
from crypto.keys import AccountKey
from market.abi import AGENT_CONSENT_TAG
from market.agents.events import encode_call
from node.rpc.client import RpcError, Unreachable
from testnet.cluster import Cluster
from testnet.errors import TestnetError
from testnet.history import Answer, Write
from vm.transaction import sign_transaction

FUNDS = 10_000_000
"""Money units a load account starts with: 0.10 EUR; a transfer moves one unit."""
TRANSFER_GAS = 60_000
SUBMIT_TIMEOUT_MS = 5_000
_RETRY_SECONDS = 0.2


@final
@dataclass(slots=True)
class LoadAccount:
    """An account that sends; `nonce` is the next one to use."""

    key: AccountKey
    household: str
    nonce: int = 0


@final
@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A transfer whose receipt some node returned."""

    hash: str
    height: int


@final
@dataclass(slots=True)
class LaneResult:
    """What one account sent."""

    submitted: int = 0
    acknowledged: list[Acknowledged] = field(default_factory=list)
    retries: int = 0
    writes: list[Write] = field(default_factory=list)
    """Every transfer, with what was answered and when."""
    refused: list[str] = field(default_factory=list)
    """Words of refusals that are no matter of luck; there must be none."""


async def prepare_accounts(
    cluster: Cluster, per_household: int, prefix: str, funds: int = FUNDS
) -> list[LoadAccount]:
    """Register and fund accounts `PREFIX-i` of every household, and wait until that is sealed.

    Accounts that an earlier run registered are used again.

    Raises:
        TestnetError: a household's call was refused.
    """
    made = await asyncio.gather(
        *(_prepare_household(cluster, name, per_household, prefix, funds) for name in cluster.names)
    )
    return [account for accounts in made for account in accounts]


def sign_transfer(account: LoadAccount, to: bytes, chain_id: int, amount: int = 1) -> bytes:
    """Return the account's next transfer, raw, and count its nonce up."""
    token, data = encode_call("MoneyToken", "transfer", (to, amount))
    raw = sign_transaction(
        account.key,
        chain_id=chain_id,
        nonce=account.nonce,
        to=token,
        data=data,
        gas_limit=TRANSFER_GAS,
    )
    account.nonce += 1
    return raw


async def run_lane(
    cluster: Cluster,
    account: LoadAccount,
    recipients: Sequence[bytes],
    stop: asyncio.Event,
    *,
    rng: random.Random,
    pause_s: float,
) -> LaneResult:
    """Send one transfer after the other, each until it is sealed, until `stop` is set."""
    result = LaneResult()
    while not stop.is_set():
        nonce, to = account.nonce, rng.choice(recipients)
        raw = sign_transfer(account, to, cluster.genesis.chain_id)
        result.submitted += 1
        invoked_ns = time.monotonic_ns()
        answer = await _until_sealed(cluster, f"0x{raw.hex()}", result, rng)
        result.writes.append(
            Write(
                sender=account.key.address,
                nonce=nonce,
                recipient=to,
                amount=1,
                invoked_ns=invoked_ns,
                answer=answer,
            )
        )
        await asyncio.sleep(pause_s * rng.random())
    return result


async def _until_sealed(
    cluster: Cluster, raw: str, result: LaneResult, rng: random.Random
) -> Answer | None:
    """Submit at one node after the other; a node may have died with the answer on its lips.

    Returns None if it is refused.
    """
    while True:
        name = rng.choice(cluster.names)
        try:
            receipt = await asyncio.wait_for(
                cluster.client(name).call("hearth_submit", raw, SUBMIT_TIMEOUT_MS),
                1.5 * SUBMIT_TIMEOUT_MS / 1000,
            )
        except RpcError as error:
            if error.code == -32000:  # Refused by the rules, which no other node would bend.
                result.refused.append(error.message)
                return None
        except (Unreachable, TimeoutError):
            pass
        else:
            if receipt is not None:
                answer = _answer(name, receipt)
                result.acknowledged.append(Acknowledged(_hash(raw), answer.height))
                return answer
        result.retries += 1
        await asyncio.sleep(_RETRY_SECONDS)


def _answer(name: str, receipt: dict[str, Any]) -> Answer:
    return Answer(
        node=name,
        height=int(receipt["blockNumber"], 16),
        index=int(receipt["transactionIndex"], 16),
        is_success=receipt["status"] == "0x1",
        at_ns=time.monotonic_ns(),
    )


async def _prepare_household(
    cluster: Cluster, name: str, count: int, prefix: str, funds: int
) -> list[LoadAccount]:
    keys, client = cluster.keys(name), cluster.client(name)
    accounts = [LoadAccount(keys.agent(f"{prefix}-{index}"), name) for index in range(count)]
    household = keys.account.address
    nonce = await cluster.nonce(name, household)
    raws = []
    for account in accounts:
        address = account.key.address
        (owner,) = await cluster.view(name, "Registry", "householdOf", address)
        account.nonce = await cluster.nonce(name, address)
        if owner == household:
            continue
        values: list[codec.Encodable] = [cluster.genesis.chain_id, household, address]
        consent = account.key.sign65(tagged_hash(AGENT_CONSENT_TAG, codec.encode(values)))
        for call in (
            ("Registry", "registerAgent", address, consent),
            ("MoneyToken", "transfer", address, funds),
        ):
            raws.append(cluster.sign_call(keys, nonce, *call))
            nonce += 1
    receipts = await asyncio.gather(
        *(client.call("hearth_submit", f"0x{raw.hex()}", 60_000) for raw in raws)
    )
    _check_all_succeeded(name, receipts)
    return accounts


def _check_all_succeeded(name: str, receipts: Sequence[Any]) -> None:
    failed = [receipt for receipt in receipts if receipt["status"] != "0x1"]
    if failed:
        raise TestnetError(f"{name}: {len(failed)} of {len(receipts)} calls reverted: {failed[0]}")


def _hash(raw: str) -> str:
    return f"0x{keccak256(bytes.fromhex(raw[2:])).hex()}"
