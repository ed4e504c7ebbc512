"""Contracts that somebody deployed: the EVM over the journal, and the native contracts inside it.

The EVM keeps what it changes in a `World` of its own, while the native contracts that it calls
write into the journal at once. One undo serves both, because the world's mark holds a mark of the
journal: a frame that reverts takes back what natives did for it. What the world has changed in the
end goes into the journal in one step, and only if the message succeeded.
"""

from functools import lru_cache
from typing import final

from crypto.hashing import keccak256, tagged_hash
from vm import accounts, contract_state
from vm.accounts import Account
from vm.call import Call, Outcome, revert_data
from vm.context import BlockInfo, Host, Run
from vm.errors import Revert
from vm.evm.environment import Environment
from vm.evm.gas import COLD_COMPUTE
from vm.evm.interpreter import execute
from vm.evm.message import STATUS_HALT, STATUS_OK, Message
from vm.evm.precompiles import PRECOMPILES
from vm.evm.program import Codes
from vm.evm.tracing import Tracer
from vm.evm.world import EMPTY_CODE_HASH, AccountState, NativeResult, World, WorldChanges
from vm.native import SENTINEL_CODE
from vm.state import Journal
from vm.transaction import AccessList

COINBASE = bytes.fromhex("0000000000000000000000000000000000000107")
"""What COINBASE and a block's `miner` show: the market fund, where fees would go if there were any.
Not the proposer: nothing that execution sees may depend on who proposes."""

_RANDAO_TAG = b"hearth/prevrandao"
_SENTINEL = AccountState(nonce=1, balance=0, code_hash=keccak256(SENTINEL_CODE))


def is_answered(journal: Journal, to: bytes | None) -> bool:
    """Return whether the EVM has anything to run: a creation, a precompile, or code at `to`."""
    if to is None or to in PRECOMPILES:
        return True
    return bool(accounts.read_account(journal, to).code_hash)


def run(
    host: Host,
    journal: Journal,
    block: BlockInfo,
    call: Call,
    *,
    compute_limit: int,
    tracer: Tracer | None = None,
    codes: Codes | None = None,
) -> Outcome:
    """Execute a message in the EVM; on failure the journal is as before.

    The sender's nonce is the caller's to raise, whether the message succeeds or not.

    Args:
        host: what is the same for every call on the chain.
        journal: the state so far.
        block: in which it runs.
        call: with `to` None for a creation.
        compute_limit: more ends the message as if it had run out of gas.
        tracer: sees every frame and instruction.
        codes: for what it runs, over what the block has run; None: it stands alone.
    """
    mark = journal.snapshot()
    world = World(_StateBase(host, journal), _Natives(host, journal, block))
    env = environment(host, journal, block, origin=call.sender)
    if call.to is None:
        world.set_nonce(call.sender, call.nonce + 1)  # The address comes from the nonce below it.
    listed = min(_warm_up(world, call.access_list), compute_limit)
    message = Message(caller=call.sender, to=call.to, value=0, data=call.data, gas=call.gas)
    result = execute(
        world, env, message, compute_limit=compute_limit - listed, tracer=tracer, codes=codes
    )
    compute = listed + result.compute
    is_done = result.status == STATUS_OK
    if is_done:
        _write(journal, world.changes())
    else:
        journal.revert(mark)
    return Outcome(
        status=1 if is_done else 0,
        output=result.output,
        gas_left=result.gas_left,
        refund=result.refund if is_done else 0,
        logs=result.logs if is_done else (),
        compute=compute,
        error=result.error,
        created=result.created if is_done else None,
        # Also true of what halts by itself with the last unit: it waits for a block, no more.
        is_cut=result.status == STATUS_HALT and compute >= compute_limit,
    )


def _warm_up(world: World, access_list: AccessList) -> int:
    """Make warm what is listed; return the compute of reading it, which nobody else will charge."""
    count = len(access_list)
    for address, slots in access_list:
        world.warm_address(address)
        count += len(slots)
        for slot in slots:
            world.warm_slot(address, int.from_bytes(slot, "big"))
    return COLD_COMPUTE * count


def environment(host: Host, journal: Journal, block: BlockInfo, *, origin: bytes) -> Environment:
    """Return what opcodes see of block and transaction."""
    first = host.genesis.first_number

    def block_hash(number: int) -> int:
        return contract_state.block_hash(journal, block.height, number - first)

    return Environment(
        coinbase=COINBASE,
        number=first + block.height,
        time_s=block.time_ms // 1000,
        gas_limit=host.genesis.block_gas_limit,
        prev_randao=prev_randao(block),
        base_fee=0,
        chain_id=host.genesis.chain_id,
        block_hash=block_hash,
        gas_price=0,
        origin=origin,
        precompiles=PRECOMPILES,
    )


def prev_randao(block: BlockInfo) -> int:
    """Return what PREVRANDAO shows: a hash that differs from block to block. It is not random.

    Everybody can compute it when the parent is sealed, and a proposer can choose among parents
    that it proposed: nothing of value may depend on it.
    """
    return _randao(block.parent_hash, block.height)


@lru_cache(maxsize=16)
def _randao(parent_hash: bytes, height: int) -> int:
    """Return the hash: the same for all transactions of a block, so it is computed once."""
    data = parent_hash + height.to_bytes(8, "big")
    return int.from_bytes(tagged_hash(_RANDAO_TAG, data), "big")


def _write(journal: Journal, changes: WorldChanges) -> None:
    """Put what the world changed into the journal."""
    for address, account in changes.accounts.items():
        # The sponsor may have changed meanwhile, by a native contract that bytecode called.
        sponsor = accounts.read_account(journal, address).sponsor
        if account is None:
            accounts.write_account(journal, address, Account(0, sponsor))
            continue
        assert account.balance == 0, "there is no coin"
        code_hash = b"" if account.code_hash == EMPTY_CODE_HASH else account.code_hash
        accounts.write_account(journal, address, Account(account.nonce, sponsor, code_hash))
    for code in changes.codes.values():
        if code:
            journal.put(contract_state.code_key(keccak256(code)), code)
    for (address, slot), value in changes.storage.items():
        contract_state.write_storage(journal, address, slot, value)


@final
class _StateBase:
    """The journal as the EVM's base (`vm.evm.world.Base`)."""

    __slots__ = ("_host", "_journal")

    def __init__(self, host: Host, journal: Journal) -> None:
        self._host = host
        self._journal = journal

    def account(self, address: bytes, /) -> AccountState | None:
        """Return a contract, or an account that has sent; a native contract has sentinel code."""
        if address in self._host.contracts:
            return _SENTINEL
        held = accounts.read_account(self._journal, address)
        if not held.nonce and not held.code_hash:
            return None
        return AccountState(held.nonce, 0, held.code_hash or EMPTY_CODE_HASH)

    def code(self, address: bytes, /) -> bytes:
        """Return the bytecode, or the sentinel of a native contract."""
        if address in self._host.contracts:
            return SENTINEL_CODE
        return contract_state.code_at(self._journal, address)

    def storage(self, address: bytes, slot: int, /) -> int:
        """Return a storage slot."""
        return contract_state.storage_at(self._journal, address, slot)


@final
class _Natives:
    """The native contracts as the EVM calls them (`vm.evm.world.NativeHost`).

    Nobody stands behind a contract's call: its sponsor is empty, so it can do what any address can
    (hold and move tokens, ask views) but never act for the member whose transaction it is.
    """

    __slots__ = ("_block", "_host", "_journal")

    def __init__(self, host: Host, journal: Journal, block: BlockInfo) -> None:
        self._host = host
        self._journal = journal
        self._block = block

    def is_native(self, address: bytes, /) -> bool:
        """Return whether a native contract stands at `address`."""
        return address in self._host.contracts

    def call(
        self, *, to: bytes, caller: bytes, data: bytes, gas: int, is_static: bool
    ) -> NativeResult:
        """Call a native contract; what it refuses has left nothing in the journal."""
        journal = self._journal
        run, mark = Run(self._host, journal, self._block, gas), journal.snapshot()
        contract = self._host.contracts[to]
        try:
            output = contract.call(run, data, caller=caller, sponsor=b"", is_static=is_static)
        except Revert as revert:
            journal.revert(mark)
            output = revert_data(revert)
            return NativeResult(status=0, output=output, gas_left=run.gas_left, logs=())
        return NativeResult(status=1, output=output, gas_left=run.gas_left, logs=tuple(run.logs))

    def snapshot(self) -> int:
        """Return a mark of the journal."""
        return self._journal.snapshot()

    def revert(self, mark: int, /) -> None:
        """Undo what natives wrote since the mark."""
        self._journal.revert(mark)
