"""Questions about the state after a block: calls without effect, estimates, accounts, code.

Nothing here is replicated: a node answers its own household, on a scratch journal. But it runs the
replicated code, so that the answer is what a transaction would do.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias, cast, final

from vm import accounts, bytecode, contract_state, gas
from vm.call import Call
from vm.context import BlockInfo, Host
from vm.errors import CallReverted
from vm.evm.tracing import Tracer
from vm.execute import run_call
from vm.native import SENTINEL_CODE
from vm.receipt import Log
from vm.state import Journal, StateReader
from vm.transaction import AccessList

_CALL_STIPEND = 2_300
_PRECISION = 64
"""An estimate is at most a 64th too high: finer steps cost executions and save nobody anything."""
_MARGIN = 4
"""A quarter on top, for a state that moves until the transaction is executed."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody would send. The sender may be anybody: nonce, quota, registration are free."""

    sender: bytes
    """20 bytes."""
    to: bytes | None
    """20 bytes; None creates a contract, at the address that the sender's nonce gives."""
    data: bytes
    access_list: AccessList = ()

    @property
    def intrinsic_gas(self) -> int:
        """What a transaction would cost before anything is executed."""
        return gas.call_intrinsic_gas(self.to, self.data, self.access_list)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """What a call did, before it becomes a receipt."""

    status: int
    """1: done; 0: reverted or halted."""
    output: bytes
    """Return data, revert data, or the code of the new contract."""
    gas_used: int
    """Refunds are deducted; intrinsic gas is not counted."""
    logs: tuple[Log, ...]
    error: str = ""
    """Empty if done; else "execution reverted", or why it halted, in geth's words."""
    created: bytes | None = None
    """Address of the new contract, 20 bytes."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountInfo:
    """What wallets ask about an address."""

    nonce: int
    sponsor: bytes
    """20 bytes; empty if the account is not registered."""
    quota_left: int
    """Gas that its sponsor may still use in the window; 0 without one."""


def call(
    host: Host,
    block: BlockInfo,
    state: StateReader,
    question: Question,
    gas_limit: int,
    *,
    tracer: Tracer | None = None,
) -> CallResult:
    """Execute a call on a scratch journal, with `gas_limit` beside its intrinsic gas."""
    journal = Journal(state)
    account = accounts.read_account(journal, question.sender)
    asked = Call(
        sender=question.sender,
        sponsor=account.sponsor,
        nonce=account.nonce,
        to=question.to,
        data=question.data,
        gas=gas_limit,
        access_list=question.access_list,
    )
    limit = gas.tx_compute_limit(host.genesis.block_compute_limit)
    outcome = run_call(host, journal, block, asked, compute_limit=limit, tracer=tracer)
    intrinsic = question.intrinsic_gas
    used = gas.used_after_refund(intrinsic + gas_limit - outcome.gas_left, outcome.refund)
    return CallResult(
        status=outcome.status,
        output=outcome.output,
        gas_used=used - intrinsic,
        logs=outcome.logs,
        error=outcome.error,
        created=outcome.created,
    )


Steps: TypeAlias = "Generator[None, None, int]"
"""Yields where something else may have its turn; returns a number."""


def estimate_gas(host: Host, block: BlockInfo, state: StateReader, question: Question) -> Steps:
    """Return a gas limit with which a transaction succeeds, intrinsic gas included.

    It takes several executions of up to half a block's compute each, and yields between them.

    What it uses is not enough for bytecode: a contract may pass on only 63 of 64 parts of its gas
    (EIP-150), refunds come at the end, and it may ask how much is left. So the least limit that
    suffices is searched for, as geth does. A quarter is added; only what is used is charged.

    Raises:
        CallReverted: it fails with the most gas that a transaction may have.
    """
    most = gas.tx_gas_limit(host.genesis.block_gas_limit)
    intrinsic = question.intrinsic_gas

    def attempt(limit: int) -> CallResult:
        return call(host, block, state, question, limit - intrinsic)

    result = attempt(max(most, intrinsic))
    if result.status == 0:
        raise CallReverted(result.output, result.error)
    used = intrinsic + result.gas_used
    is_native = question.to in host.contracts
    if is_native or not bytecode.is_answered(Journal(state), question.to):
        least = used
    else:
        least = yield from _search(attempt, used, most)
    return min(most, least + (least - intrinsic) // _MARGIN)


def at_once(steps: Steps) -> int:
    """Take all steps, one after the other, and return the number."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("int", end.value)


def _search(attempt: Callable[[int], CallResult], used: int, most: int) -> Steps:
    """Return a limit that suffices, where `most` does and one below `used` cannot."""
    failing, enough = used - 1, most
    guess = (used + _CALL_STIPEND) * 64 // 63
    while enough - failing > max(1, enough // _PRECISION):
        yield
        if not failing < guess < enough:
            guess = (failing + enough) // 2
        if attempt(guess).status == 1:
            enough = guess
        else:
            failing = guess
        guess = min((failing + enough) // 2, 2 * failing)  # Most need little more than they use.
    return enough


def account_info(host: Host, state: StateReader, address: bytes, time_ms: int) -> AccountInfo:
    """Return nonce, sponsor, and the gas that is left in the window at `time_ms`."""
    account, genesis = accounts.read_account(state, address), host.genesis
    left = 0
    if account.sponsor:
        window = genesis.window_at(time_ms)
        left = genesis.quota_gas - accounts.quota_used(state, account.sponsor, window)
    return AccountInfo(nonce=account.nonce, sponsor=account.sponsor, quota_left=left)


def code_at(host: Host, state: StateReader, address: bytes) -> bytes:
    """Return the code at an address: bytecode, or the sentinel of a native contract."""
    if address in host.contracts:
        return SENTINEL_CODE
    return contract_state.code_at(state, address)
