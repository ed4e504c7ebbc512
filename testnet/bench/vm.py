"""`hearth bench vm`: bytecode and native contracts, in this process and over RPC, beside others.

Times are of the processor, but for `eth_call`, which is timed by the clock: there the node works in
a process of its own.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, final

from crypto.keys import AccountKey
from crypto.merkle import SparseMerkleTree
from market.agents.events import encode_call
from node.natives import NATIVES
from testnet.bank import attesters, opening_deposits
from testnet.bench import evm_programs, peers
from testnet.bench.calls import eth_calls_per_s
from testnet.bench.timing import median_seconds
from testnet.evm_fuzz import ours
from testnet.genesis import CommunityKeys, GenesisOptions, make_genesis
from testnet.grid.community import demo_community
from testnet.launcher import Say
from testnet.sim.local_chain import LocalChain
from vm.accounts import read_account
from vm.call import Call
from vm.context import BlockInfo, Host, Run
from vm.evm import tiers
from vm.evm.instructions.create import create_address
from vm.execute import Meters, apply_transaction, run_call
from vm.genesis import Genesis
from vm.state import Journal
from vm.transaction import Transaction, decode, sign_transaction

HOUSEHOLDS = 4
TRANSFERS = 400
"""In a block; each household sends as many."""
RUNS = 5
GAS = 200_000
TIME_MS = 1_700_000_000_000

LIMITS: dict[str, tuple[str, float]] = {
    "loop_mgas_per_s": ("min", 12),
    "vyper_transfer_us": ("max", 45),
    "native_transfer_us": ("max", 5),
    "eth_call_per_s": ("min", 1_500),
}
"""What the project must reach on its reference machine."""


def run(say: Say) -> dict[str, object]:
    """Measure everything, and compare with the limits and with other EVMs.

    Returns:
        `loop_mgas_per_s`: a Vyper loop. `vyper_transfer_us`: a Vyper token's transfer, from the
        call to its changes in the journal. `native_transfer_us`: a native token's, from calldata to
        result, logs and journal. `…_applied_us`: with checks of the transaction and a receipt;
        `…_in_block_us`: and with its part of a block and of the state tree. `eth_call_per_s`:
        balances read over one connection. `tiers`, `peers`: our two tiers, and other EVMs; what
        stands beside them is the default tier's. `limits_hold`: every limit is met in this run.
    """
    bench = _Bench(say)
    say("bytecode")
    by_tier = {}
    for tier in tiers.TIERS:
        with tiers.using(tiers.compiler(tier)):
            by_tier[str(tier)] = {"loop_mgas_per_s": _loop(), **bench.vyper()}
    say("native contracts")
    figures: dict[str, Any] = {
        **by_tier[str(tiers.DEFAULT)],
        **bench.native(),
        "transfers_per_block": TRANSFERS,
    }
    say("the peers")
    figures["tiers"] = by_tier
    figures["peers"] = peers.measure(say)
    say("eth_call over RPC")
    figures["eth_call_per_s"] = eth_calls_per_s(say)
    figures["times_as_fast"] = {
        name: _ratios(figures, theirs) for name, theirs in figures["peers"].items() if theirs
    }
    return {**figures, **judge(figures)}


def judge(figures: Mapping[str, float]) -> dict[str, object]:
    """Return `limits`, each with the bound and whether it is met, and `limits_hold`: all are."""
    met = {
        name: figures[name] >= limit if kind == "min" else figures[name] <= limit
        for name, (kind, limit) in LIMITS.items()
    }
    limits = {name: {kind: limit, "met": met[name]} for name, (kind, limit) in LIMITS.items()}
    return {"limits": limits, "limits_hold": all(met.values())}


def _ratios(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """Return how many times as fast as a peer we are; below 1 where the peer is faster."""
    return {
        "loop": round(ours["loop_mgas_per_s"] / theirs["loop_mgas_per_s"], 2),
        "vyper_transfer": round(theirs["vyper_transfer_us"] / ours["vyper_transfer_us"], 2),
    }


def _loop() -> float:
    case = evm_programs.loop_case()
    used = ours.run(case).gas_used
    return round(used / median_seconds(lambda: ours.run(case)) / 1e6, 1)


@final
class _Bench:
    """A chain in this process with funded households and a Vyper token."""

    def __init__(self, say: Say) -> None:
        say(f"a chain of {HOUSEHOLDS} households")
        keys = CommunityKeys.generate(HOUSEHOLDS)
        self._genesis = make_genesis(
            demo_community(HOUSEHOLDS), keys, GenesisOptions(time_ms=TIME_MS, quota_gas=2**50)
        )
        self._chain = LocalChain(self._genesis, NATIVES)
        self._accounts = [household.account for household in keys.households]
        _pay_in(self._chain, self._genesis, self._accounts)
        contracts = self._chain.machine.contracts
        params = {
            each.ADDRESS: self._genesis.contracts.get(each.NAME, {}) for each in contracts.values()
        }
        self._host = Host(genesis=self._genesis, contracts=contracts, params=params)
        self._token = self._deploy()

    def _deploy(self) -> bytes:
        """Deploy the token, and give every household some of it."""
        owner, chain = self._accounts[0], self._chain
        nonce = chain.next_nonce(owner.address)
        chain.submit(
            self._sign(owner, nonce, None, evm_programs.token_init_code(), 2_000_000), TIME_MS + 2
        )
        token = create_address(owner.address, nonce)
        for place, holder in enumerate(self._accounts[1:], start=nonce + 1):
            data = evm_programs.transfer_data(holder.address, 10**9)
            chain.submit(self._sign(owner, place, token, data), TIME_MS + 2)
        chain.mine(TIME_MS + 2)
        assert read_account(chain.state, token).code_hash, "the token is deployed"
        return token

    def _sign(
        self, key: AccountKey, nonce: int, to: bytes | None, data: bytes, gas: int = GAS
    ) -> bytes:
        chain_id = self._genesis.chain_id
        return sign_transaction(
            key, chain_id=chain_id, nonce=nonce, to=to, data=data, gas_limit=gas
        )

    def _transfers(
        self, make: Callable[[AccountKey, int], tuple[bytes, bytes]]
    ) -> list[Transaction]:
        """Return a block of transfers; `make` gives (to, data) of a sender's transfer."""
        found = []
        for place in range(TRANSFERS):
            key = self._accounts[place % HOUSEHOLDS]
            nonce = self._chain.next_nonce(key.address) + place // HOUSEHOLDS
            to, data = make(key, place)
            raw = self._sign(key, nonce, to, data)
            found.append(decode(raw).with_sender(key.address))
        return found

    def vyper(self) -> dict[str, float]:
        """Return what a transfer of the Vyper token takes: its execution, and applied."""

        def make(_: AccountKey, place: int) -> tuple[bytes, bytes]:
            receiver = self._accounts[(place + 1) % HOUSEHOLDS].address
            return self._token, evm_programs.transfer_data(receiver, 1)

        transfers = self._transfers(make)
        for _ in range(2):  # So that a second tier has compiled what it will.
            self._run(transfers)
        executed = median_seconds(lambda: self._run(transfers), 2 * RUNS)
        applied = median_seconds(lambda: self._apply(transfers))
        return {
            "vyper_transfer_us": round(executed / TRANSFERS * 1e6, 1),
            "vyper_transfer_applied_us": round(applied / TRANSFERS * 1e6, 1),
        }

    def native(self) -> dict[str, float]:
        """Return what a transfer of the money token takes: alone, applied, and in a block."""

        def make(key: AccountKey, place: int) -> tuple[bytes, bytes]:
            recipient = key.address[:-2] + place.to_bytes(2, "big")
            return encode_call("MoneyToken", "transfer", (recipient, 1))

        transfers = self._transfers(make)
        alone = median_seconds(lambda: self._execute(transfers), 4 * RUNS)
        applied = median_seconds(lambda: self._apply(transfers))
        in_block = statistics.median(_build(self._chain, transfers) for _ in range(RUNS))
        return {
            "native_transfer_us": round(alone / TRANSFERS * 1e6, 1),
            "native_transfer_applied_us": round(applied / TRANSFERS * 1e6, 1),
            "native_transfer_in_block_us": round(in_block / TRANSFERS * 1e6, 1),
        }

    def _info(self) -> BlockInfo:
        head = self._chain.head
        time_ms = head.time_ms + 1
        return BlockInfo(
            height=head.number + 1,
            time_ms=time_ms,
            window=self._genesis.window_at(time_ms),
            parent_hash=head.hash,
        )

    def _apply(self, transfers: list[Transaction]) -> None:
        journal, info, host = Journal(self._chain.state), self._info(), self._host
        for transfer in transfers:
            applied = apply_transaction(host, journal, info, transfer, before=Meters())
            assert applied.receipt.status == 1, "every transfer is covered"

    def _run(self, transfers: list[Transaction]) -> None:
        """Execute the calls of `transfers` by the way that all calls take."""
        journal, info = Journal(self._chain.state), self._info()
        for transfer in transfers:
            call = Call(
                sender=transfer.sender(),
                sponsor=transfer.sender(),
                nonce=0,
                to=transfer.to,
                data=transfer.data,
                gas=GAS,
            )
            outcome = run_call(self._host, journal, info, call, compute_limit=10**6)
            assert outcome.status == 1, "every transfer is covered"

    def _execute(self, transfers: list[Transaction]) -> None:
        """Call the native contract of `transfers` alone: it raises where one is not covered."""
        host, journal, info = self._host, Journal(self._chain.state), self._info()
        contracts = host.contracts
        for transfer in transfers:
            sender, to = transfer.sender(), transfer.to
            assert to is not None, "a transfer has a recipient"
            run = Run(host, journal, info, GAS)
            contracts[to].call(run, transfer.data, caller=sender, sponsor=sender)
            assert run.logs, "a transfer is logged"


def _pay_in(chain: LocalChain, genesis: Genesis, accounts: list[AccountKey]) -> None:
    """Mint the opening deposits, so that there is something to transfer."""
    for index, deposit in enumerate(opening_deposits(genesis).deposits):
        for member in attesters(index, len(accounts)):
            key = accounts[member]
            to, data = encode_call(
                "Ramp", "attestDeposit", (deposit.reference, deposit.account, deposit.amount)
            )
            raw = sign_transaction(
                key,
                chain_id=genesis.chain_id,
                nonce=chain.next_nonce(key.address),
                to=to,
                data=data,
                gas_limit=GAS,
            )
            chain.submit(raw, TIME_MS + 1)
    chain.mine(TIME_MS + 1)


def _build(chain: LocalChain, transfers: list[Transaction]) -> float:
    """Return the processor's seconds that one block of all transfers takes; nothing is written."""
    nodes = SparseMerkleTree({}).update(chain.state.items()).nodes
    tree = SparseMerkleTree({path: node for path, node in nodes.items() if node is not None})
    start = time.process_time()
    built = chain.machine.build_block(
        chain.head, chain.head.time_ms + 1, transfers, chain.state, tree
    )
    seconds = time.process_time() - start
    assert built is not None, "the transfers are executable"
    receipts = built.execution.receipts
    assert len(receipts) == len(transfers), f"{len(receipts)} of {len(transfers)} had room"
    assert all(receipt.status == 1 for receipt in receipts), "every transfer is covered"
    return seconds
