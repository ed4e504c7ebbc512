"""Agents' cores around a local chain in virtual time: the shell without sockets.

Performs the cores' actions as the asyncio shell does: signs and submits, answers views, carries
sealed messages with a seeded delay. Everything happens in one fixed order.
"""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, final

from crypto.keys import AccountKey
from market.agents.actions import (
    Action,
    AskNonce,
    CallView,
    RelayListen,
    RelaySend,
    Report,
    SendTransaction,
)
from market.agents.errors import CallFailed, TransactionRefused
from market.agents.events import decode_result, encode_call
from market.agents.observations import (
    MessageArrived,
    NonceAnswer,
    Observation,
    SendRefused,
    Tick,
    TransactionSealed,
    ViewAnswer,
    ViewFailed,
)
from market.agents.terms import MarketTerms
from testnet.sim.local_chain import LocalChain
from vm.transaction import sign_transaction

GAS_LIMIT = 5_000_000
"""Of every transaction; only what is used is charged."""


class Actor(Protocol):
    """Any agent's core."""

    def step(self, observation: Observation, now_ms: int) -> tuple[Action, ...]:
        """Take what happened and return what to do."""


@final
@dataclass(slots=True)
class _Process:
    core: Actor
    accounts: Mapping[str, AccountKey]


@final
@dataclass(order=True, slots=True)
class _Due:
    at_ms: int
    number: int
    name: str = field(compare=False)
    observation: Observation = field(compare=False)


@final
class LocalWorld:
    """Processes, relay and clock."""

    def __init__(
        self,
        chain: LocalChain,
        terms: MarketTerms,
        *,
        seed: int,
        relay_delay_ms: tuple[int, int],
        relay_loss: float = 0.0,
        block_ms: int = 0,
    ) -> None:
        self._chain = chain
        self.terms = terms
        self.now_ms = terms.genesis_time_ms
        self._rng = random.Random(f"relay/{seed}")
        self._relay_delay_ms = relay_delay_ms
        self._relay_loss = relay_loss
        self._block_ms = block_ms
        self._processes: dict[str, _Process] = {}
        self._due: list[_Due] = []
        self._count = 0
        self._sent: dict[bytes, tuple[str, str, int]] = {}
        """Transaction hash to (process, account, nonce)."""
        self._listeners: dict[bytes, str] = {}
        self._held: defaultdict[bytes, list[bytes]] = defaultdict(list)
        """Relayed messages to keys that nobody listens to yet."""
        self.interventions: list[tuple[int, Callable[[], None]]] = []
        """(time, what happens then): faults that a test plans."""
        self.after_block: Callable[[], None] = lambda: None
        self.reports: list[tuple[int, str, Report]] = []
        """(time, process, report) in order."""
        self.refused: list[tuple[int, str, SendTransaction, str]] = []
        self.messages = 0

    def add(self, name: str, core: Actor, accounts: Mapping[str, AccountKey]) -> None:
        """Start a process."""
        self._processes[name] = _Process(core, accounts)

    def deliver(self, at_ms: int, name: str, observation: Observation) -> None:
        """Let a process see `observation` at `at_ms`; one that does not run sees nothing."""
        self._count += 1
        heapq.heappush(self._due, _Due(at_ms, self._count, name, observation))

    def submit_as(
        self, key: AccountKey, contract: str, function: str, args: tuple[Any, ...]
    ) -> bytes:
        """Sign and submit a call outside of any process, with the account's next nonce."""
        return self._chain.submit(
            self._sign(key, self._chain.next_nonce(key.address), contract, function, args),
            self.now_ms,
        )

    def mine(self) -> None:
        """Seal what is pending and due now, and let everybody see it."""
        block = self._chain.mine(self.now_ms)
        if block is None:
            return
        self.after_block()
        for status in block.transactions:
            if status.hash in self._sent:
                name, account, nonce = self._sent.pop(status.hash)
                sealed = TransactionSealed(account, nonce, status.is_success)
                self.deliver(self.now_ms, name, sealed)
        for name in self._processes:
            self.deliver(self.now_ms, name, block)

    def restart(self, name: str, core: Actor, past: Sequence[Observation]) -> None:
        """Replace a process by one with a fresh core that is shown the blocks and `past` first."""
        self._due = [due for due in self._due if due.name != name or due.at_ms > self.now_ms]
        heapq.heapify(self._due)
        self._processes[name].core = core
        for seen in (*self._chain.blocks, *past):
            self._step(name, seen)

    def run(self, *, until_ms: int, tick_ms: int) -> None:
        """Let time pass: what is due, a tick for everybody, a block if there is something."""
        for block in self._chain.blocks:
            for name in self._processes:
                self.deliver(self.now_ms, name, block)
        while self.now_ms < until_ms:
            for intervention in [act for at_ms, act in self.interventions if at_ms <= self.now_ms]:
                intervention()
            self.interventions = [each for each in self.interventions if each[0] > self.now_ms]
            self._deliver_due()
            for name in self._processes:
                self._step(name, Tick())
            if self.now_ms - self._chain.head.time_ms >= self._block_ms:
                self.mine()
            self._deliver_due()
            self.now_ms += tick_ms

    def _deliver_due(self) -> None:
        while self._due and self._due[0].at_ms <= self.now_ms:
            due = heapq.heappop(self._due)
            self._step(due.name, due.observation)

    def _step(self, name: str, observation: Observation) -> None:
        process = self._processes.get(name)
        if process is not None:
            for action in process.core.step(observation, self.now_ms):
                self._perform(name, process, action)

    def _perform(self, name: str, process: _Process, action: Action) -> None:
        match action:
            case SendTransaction():
                self._send(name, process, action)
            case AskNonce(account):
                nonce = self._chain.next_nonce(process.accounts[account].address)
                self.deliver(self.now_ms, name, NonceAnswer(account, nonce))
            case CallView():
                self.deliver(self.now_ms, name, self._answer(action))
            case RelaySend(to_key, _, payload):
                self._relay(to_key, payload)
            case RelayListen(key):
                self._listeners[key] = name
                for payload in self._held.pop(key, ()):
                    self.deliver(self.now_ms, name, MessageArrived(key, payload))
            case Report():
                self.reports.append((self.now_ms, name, action))

    def _send(self, name: str, process: _Process, action: SendTransaction) -> None:
        key = process.accounts[action.account]
        raw = self._sign(key, action.nonce, action.contract, action.function, action.args)
        try:
            tx_hash = self._chain.submit(raw, self.now_ms)
        except TransactionRefused as refused:
            self.refused.append((self.now_ms, name, action, refused.reason))
            answer = SendRefused(action.account, action.nonce, refused.reason)
            self.deliver(self.now_ms, name, answer)
        else:
            self._sent[tx_hash] = (name, action.account, action.nonce)

    def _sign(
        self, key: AccountKey, nonce: int, contract: str, function: str, args: tuple[Any, ...]
    ) -> bytes:
        to, data = encode_call(contract, function, args)
        return sign_transaction(
            key,
            chain_id=self.terms.chain_id,
            nonce=nonce,
            to=to,
            data=data,
            gas_limit=GAS_LIMIT,
        )

    def _answer(self, action: CallView) -> Observation:
        to, data = encode_call(action.contract, action.function, action.args)
        try:
            output = self._chain.call(to, data, self.now_ms)
        except CallFailed as failed:
            return ViewFailed(action.tag, failed.reason)
        return ViewAnswer(action.tag, decode_result(action.contract, action.function, output))

    def _relay(self, to_key: bytes, payload: bytes) -> None:
        self.messages += 1
        if self._rng.random() < self._relay_loss:
            return
        at_ms = self.now_ms + self._rng.randint(*self._relay_delay_ms)
        if to_key in self._listeners:
            name = self._listeners[to_key]
            self.deliver(at_ms, name, MessageArrived(to_key, payload))
        else:
            self._held[to_key].append(payload)
