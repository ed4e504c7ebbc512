"""`hearth bench vm`: native contracts in one process, without consensus and disk.

Figures of bytecode are not among them: this version executes native contracts only.
"""

import statistics
import time

from crypto.keys import AccountKey
from crypto.merkle import SparseMerkleTree
from market.agents.events import encode_call
from node.natives import NATIVES
from testnet.bank import attesters, opening_deposits
from testnet.genesis import CommunityKeys, GenesisOptions, make_genesis
from testnet.grid.community import demo_community
from testnet.launcher import Say
from testnet.sim.local_chain import LocalChain
from vm.genesis import Genesis
from vm.transaction import Transaction, decode, sign_transaction

HOUSEHOLDS = 4
TRANSFERS = 400
"""In a block; each household sends as many."""
RUNS = 5
CALLS = 2_000
GAS = 200_000
TIME_MS = 1_700_000_000_000


def run(say: Say) -> dict[str, object]:
    """Build blocks of signed token transfers over and over, then call a view.

    Returns:
        `native_transfer_us`: one transfer with its part of the block (execution, receipts, state
        tree), signatures checked before, median over runs; `eth_call_per_s`: balances read.
    """
    keys = CommunityKeys.generate(HOUSEHOLDS)
    genesis = make_genesis(demo_community(HOUSEHOLDS), keys, GenesisOptions(time_ms=TIME_MS))
    chain = LocalChain(genesis, NATIVES)
    accounts = [household.account for household in keys.households]
    _pay_in(chain, genesis, accounts)
    say(f"{RUNS} blocks of {TRANSFERS} transfers")
    transfers = [
        _signed(genesis, accounts[i % HOUSEHOLDS], chain, i // HOUSEHOLDS) for i in range(TRANSFERS)
    ]
    times = [_build(chain, transfers) for _ in range(RUNS)]
    say(f"{CALLS} calls")
    to, data = encode_call("MoneyToken", "balanceOf", (accounts[0].address,))
    start = time.perf_counter()
    for _ in range(CALLS):
        chain.call(to, data, TIME_MS)
    return {
        "native_transfer_us": round(statistics.median(times) / TRANSFERS * 1e6, 1),
        "eth_call_per_s": round(CALLS / (time.perf_counter() - start)),
        "transfers_per_block": TRANSFERS,
    }


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


def _signed(genesis: Genesis, key: AccountKey, chain: LocalChain, place: int) -> Transaction:
    """Return the household's transfer number `place` of one unit to a fresh address."""
    recipient = key.address[:-2] + place.to_bytes(2, "big")
    to, data = encode_call("MoneyToken", "transfer", (recipient, 1))
    raw = sign_transaction(
        key,
        chain_id=genesis.chain_id,
        nonce=chain.next_nonce(key.address) + place,
        to=to,
        data=data,
        gas_limit=GAS,
    )
    return decode(raw).with_sender(key.address)


def _build(chain: LocalChain, transfers: list[Transaction]) -> float:
    """Return the seconds that one block of all transfers takes; nothing is written."""
    nodes = SparseMerkleTree({}).update(chain.state.items()).nodes
    tree = SparseMerkleTree({path: node for path, node in nodes.items() if node is not None})
    start = time.perf_counter()
    built = chain.machine.build_block(
        chain.head, chain.head.time_ms + 1, transfers, chain.state, tree
    )
    seconds = time.perf_counter() - start
    assert built is not None, "the transfers are executable"
    receipts = built.execution.receipts
    assert len(receipts) == len(transfers), f"{len(receipts)} of {len(transfers)} had room"
    assert all(receipt.status == 1 for receipt in receipts), "every transfer is covered"
    return seconds
