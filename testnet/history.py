"""What clients saw of a testnet's accounts, and whether a sequential ledger explains it.

Checked is what `docs/spec/rpc.md` promises under "What a read promises". For the writes: one order
of all acknowledged transfers explains them, in which no transfer stands before one that had been
acknowledged when it was submitted. For the reads at a node: together with the transfers they are
linearizable for whoever talks to that node alone; a transfer that another node acknowledged may
become visible there at any later time.

Linearizability is a property of each object by itself (Herlihy and Wing 1990, theorem 1), so each
account is searched by itself; that a transfer changes both its accounts in one block is in the
places at which its two halves stand.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from testnet.linearizability import Operation, Undecided, find_order

_INDEX_BITS: Final = 32
_LAST_INDEX: Final = (1 << _INDEX_BITS) - 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The receipt that acknowledged a transfer."""

    node: str
    height: int
    index: int
    """Of the transaction in its block."""
    is_success: bool
    """False: it was reverted, and cost its nonce only."""
    at_ns: int


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One transfer, from its first submission on; `answer` is None if nobody acknowledged it."""

    sender: bytes
    nonce: int
    recipient: bytes
    amount: int
    invoked_ns: int
    answer: Answer | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """An account's state that a node answered, and the height it named for it."""

    node: str
    account: bytes
    height: int
    nonce: int
    balance: int
    invoked_ns: int
    at_ns: int


@final
@dataclass(frozen=True, slots=True)
class AccountState:
    """The sequential ledger's account: `place` is that of the last operation."""

    place: int
    nonce: int
    balance: int


@final
@dataclass(frozen=True, slots=True)
class _Change:
    """A transfer as one account sees it; `nonce` is None where the account only receives."""

    place: int | None
    nonce: int | None
    delta: int


@final
@dataclass(frozen=True, slots=True)
class _Look:
    """A read of one account."""

    place: int
    nonce: int
    balance: int


_Action: TypeAlias = _Change | _Look


def start_of(read: Read) -> AccountState:
    """Return the account as it was before the history, from a read of that time."""
    return AccountState(_after(read.height), read.nonce, read.balance)


def check_history(
    writes: Sequence[Write], reads: Sequence[Read], start: Mapping[bytes, AccountState]
) -> list[str]:
    """Return in words each way in which the history breaks the promise; empty if it does not.

    Args:
        writes: all transfers between the accounts of `start`, by whatever node.
        reads: of these accounts, by whatever node.
        start: the accounts as they were before.
    """
    found = list(_shared_places(writes))
    for account, state in start.items():
        changes = [write for write in writes if account in (write.sender, write.recipient)]
        found += _check(
            f"transfers of {_name(account)}", _as_seen_by(None, account, changes), state
        )
        looks = [read for read in reads if read.account == account]
        for node in sorted({read.node for read in looks}):
            operations = _as_seen_by(node, account, changes)
            operations += [_of_read(read) for read in looks if read.node == node]
            found += _check(f"{_name(account)} as {node} shows it", operations, state)
    return found


def _shared_places(writes: Iterable[Write]) -> Iterator[str]:
    places = Counter(
        (write.answer.height, write.answer.index) for write in writes if write.answer is not None
    )
    for (height, index), count in places.items():
        if count > 1:
            yield f"{count} transfers were acknowledged as transaction {index} of block {height}"


def _check(what: str, operations: list[Operation[_Action]], start: AccountState) -> list[str]:
    try:
        order = find_order(operations, start, _step)
    except Undecided as reason:
        return [f"{what}: not decided {reason}"]
    if order.is_complete:
        return []
    state = start
    for index in order.done:
        following = _step(state, operations[index].action)
        assert following is not None, "the search took this step"
        state = following
    left = "; ".join(_words(operations[index].action) for index in order.stuck)
    return [
        f"{what}: after {len(order.done)} of {len(operations)} operations there are nonce "
        f"{state.nonce} and balance {state.balance} at height {state.place >> _INDEX_BITS}; "
        f"nothing can follow of: {left}"
    ]


def _step(state: AccountState, action: _Action) -> AccountState | None:
    """The ledger: one transfer at a place, nonces in order, reads of what there is."""
    match action:
        case _Change():
            place = state.place if action.place is None else action.place
            is_free = action.place is None or state.place < place
            balance = state.balance + action.delta
            is_next = action.nonce is None or action.nonce == state.nonce
            if not (is_free and is_next and balance >= 0):
                return None
            return AccountState(place, state.nonce + (action.nonce is not None), balance)
        case _Look():
            is_same = (action.nonce, action.balance) == (state.nonce, state.balance)
            if not is_same or action.place < state.place:
                return None
            return AccountState(action.place, state.nonce, state.balance)


def _as_seen_by(
    node: str | None, account: bytes, writes: Iterable[Write]
) -> list[Operation[_Action]]:
    """Return the account's transfers as the clients of a node see them; None: of any node."""
    operations: list[Operation[_Action]] = []
    for write in writes:
        answer = write.answer
        delta = write.amount * ((write.recipient == account) - (write.sender == account))
        change = _Change(
            place=None if answer is None else answer.height << _INDEX_BITS | answer.index,
            nonce=write.nonce if write.sender == account else None,
            delta=delta if answer is None or answer.is_success else 0,
        )
        is_answered = answer is not None and node in (None, answer.node)
        operations.append(
            Operation(
                action=change,
                invoked=write.invoked_ns,
                answered=answer.at_ns if answer is not None and is_answered else None,
                is_certain=answer is not None,
                place=change.place,
            )
        )
    return operations


def _of_read(read: Read) -> Operation[_Action]:
    place = _after(read.height)
    return Operation(
        action=_Look(place, read.nonce, read.balance),
        invoked=read.invoked_ns,
        answered=read.at_ns,
        place=place,
    )


def _after(height: int) -> int:
    """Return the place after all transactions of a block."""
    return height << _INDEX_BITS | _LAST_INDEX


def _name(account: bytes) -> str:
    return f"0x{account.hex()}"


def _words(action: _Action) -> str:
    match action:
        case _Change():
            where = "never sealed" if action.place is None else _place_words(action.place)
            nonce = "" if action.nonce is None else f" with nonce {action.nonce}"
            return f"transfer of {action.delta}{nonce}, {where}"
        case _Look():
            height = action.place >> _INDEX_BITS
            return f"read of nonce {action.nonce}, balance {action.balance} at height {height}"


def _place_words(place: int) -> str:
    return f"transaction {place & _LAST_INDEX} of block {place >> _INDEX_BITS}"
