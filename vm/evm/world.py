"""What one transaction sees of the state: an overlay over a read-only base, with one undo journal.

Every change is one entry (mapping, key, previous value) of a single list, whatever it concerns, so
that a snapshot is a few integers and undoing a call frame costs as much as the frame did. A World
lives for one transaction: original values, warm sets and transient storage begin with it.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol, TypeAlias, final

from crypto.hashing import keccak256
from vm.receipt import Log
from vm.value import value

EMPTY_CODE_HASH = keccak256(b"")


@final
@value()
class AccountState:
    """An account without its storage. An account that does not exist is None instead."""

    nonce: int
    balance: int
    """Below 2^256. In production always 0: there is no coin."""
    code_hash: bytes
    """Keccak-256 of the code; `EMPTY_CODE_HASH` without code."""
    has_storage: bool = False
    """Whether there is storage although nonce is 0 and code empty, so that nothing may be created
    here (EIP-7610). Only official tests make such accounts; elsewhere nobody need set it."""

    @property
    def is_empty(self) -> bool:
        """Whether it counts as absent (EIP-161)."""
        return not self.nonce and not self.balance and self.code_hash == EMPTY_CODE_HASH


NEW_ACCOUNT = AccountState(0, 0, EMPTY_CODE_HASH)


class Base(Protocol):
    """The state before the transaction, read-only.

    At the address of a native contract it shows an account whose code is the sentinel, so that
    EXTCODESIZE, EXTCODECOPY and EXTCODEHASH need no rule of their own.
    """

    def account(self, address: bytes, /) -> AccountState | None:
        """Return the account at the 20-byte `address`, or None."""

    def code(self, address: bytes, /) -> bytes:
        """Return the code of an account, b"" if it has none."""

    def storage(self, address: bytes, slot: int, /) -> int:
        """Return the word at `slot`, 0 if it was never written."""


@final
@value(kw_only=True)
class NativeResult:
    """What a call of a native contract did."""

    status: int
    """1: done; 0: refused (`output` is revert data), or out of gas (`gas_left` is 0)."""
    output: bytes
    gas_left: int
    logs: tuple[Log, ...]


class NativeHost(Protocol):
    """The native contracts, as bytecode can call them. They never call out."""

    def is_native(self, address: bytes, /) -> bool:
        """Return whether a native contract stands at `address`."""

    def call(
        self, *, to: bytes, caller: bytes, data: bytes, gas: int, is_static: bool
    ) -> NativeResult:
        """Call `to` with at most `gas`; a refused call has left no trace in the natives' state."""

    def snapshot(self) -> int:
        """Return a mark of the natives' state."""

    def revert(self, mark: int, /) -> None:
        """Undo what the natives wrote since the mark was taken."""


@final
@value(kw_only=True)
class WorldChanges:
    """Net changes over the base; equal values are left out. Dictionaries keep order of writing."""

    accounts: dict[bytes, AccountState | None]
    """None: the account is deleted. Its storage is empty then (EIP-6780: it was created in the
    same transaction; EIP-161: it never had code)."""
    codes: dict[bytes, bytes]
    """New code by address."""
    storage: dict[tuple[bytes, int], int]
    """New words by (address, slot); 0 deletes."""


_Entry: TypeAlias = "tuple[dict[Any, Any], Any, Any]"
Mark: TypeAlias = "tuple[int, int, int, int]"
"""Length of the undo journal, number of logs, refund counter, mark of the natives."""

_ABSENT = object()
"""Previous value of a key that was not in the mapping."""


@final
class World:
    """The state as changed so far by one transaction. Addresses are 20 bytes, words plain ints.

    Attributes:
        natives: the native contracts, or None where there are none (official tests).
        refund: the refund counter of EIP-3529, in gas; a child's can make it fall below what it
            was before, never below 0 at the end of a transaction.
        logs: emitted so far and not undone.
    """

    __slots__ = (
        "_accounts",
        "_base",
        "_codes",
        "_created",
        "_destroyed",
        "_read_accounts",
        "_read_storage",
        "_storage",
        "_touched",
        "_transient",
        "_undo",
        "_warm",
        "logs",
        "natives",
        "refund",
    )

    def __init__(self, base: Base, natives: NativeHost | None = None) -> None:
        self._base = base
        self.natives = natives
        self.logs: list[Log] = []
        self.refund = 0
        self._undo: list[_Entry] = []
        self._accounts: dict[bytes, AccountState | None] = {}
        self._codes: dict[bytes, bytes] = {}
        self._storage: dict[tuple[bytes, int], int] = {}
        self._transient: dict[tuple[bytes, int], int] = {}
        # Ordered sets. Warm addresses and (address, slot) share one: types keep them apart.
        self._warm: dict[bytes | tuple[bytes, int], None] = {}
        self._created: dict[bytes, None] = {}
        self._destroyed: dict[bytes, None] = {}
        self._touched: dict[bytes, None] = {}
        # What the base holds, for what was read so far: never undone.
        self._read_accounts: dict[bytes, AccountState | None] = {}
        self._read_storage: dict[tuple[bytes, int], int] = {}

    # Undo.

    def snapshot(self) -> Mark:
        """Return a mark to which `revert` can go back, until an earlier mark is reverted to."""
        natives = self.natives
        return (
            len(self._undo),
            len(self.logs),
            self.refund,
            natives.snapshot() if natives is not None else 0,
        )

    def revert(self, mark: Mark) -> None:
        """Undo everything since the mark was taken: as if it had not been, warmth included."""
        length, logs, self.refund, native_mark = mark
        undo = self._undo
        while len(undo) > length:
            mapping, key, previous = undo.pop()
            if previous is _ABSENT:
                del mapping[key]
            else:
                mapping[key] = previous
        del self.logs[logs:]
        if self.natives is not None:
            self.natives.revert(native_mark)

    def _put(self, mapping: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((mapping, key, mapping.get(key, _ABSENT)))
        mapping[key] = value

    # Accounts.

    def account(self, address: bytes) -> AccountState | None:
        """Return the account at `address`, or None."""
        accounts = self._accounts
        if address in accounts:
            return accounts[address]
        return self._base_account(address)

    def _base_account(self, address: bytes) -> AccountState | None:
        read = self._read_accounts
        if address in read:
            return read[address]
        account = read[address] = self._base.account(address)
        return account

    def is_empty(self, address: bytes) -> bool:
        """Return whether `address` counts as absent (EIP-161)."""
        account = self.account(address)
        return account is None or account.is_empty

    def nonce(self, address: bytes) -> int:
        """Return the account's nonce."""
        account = self.account(address)
        return 0 if account is None else account.nonce

    def set_nonce(self, address: bytes, nonce: int) -> None:
        """Set the account's nonce; the account exists from now on."""
        account = self.account(address) or NEW_ACCOUNT
        self._put(self._accounts, address, replace(account, nonce=nonce))

    def balance(self, address: bytes) -> int:
        """Return the account's balance."""
        account = self.account(address)
        return 0 if account is None else account.balance

    def add_balance(self, address: bytes, amount: int) -> None:
        """Add `amount`, of either sign, to a balance that stays at or above 0; touches it."""
        self.touch(address)
        if amount:
            account = self.account(address) or NEW_ACCOUNT
            balance = account.balance + amount
            assert balance >= 0, f"balance of 0x{address.hex()} would be {balance}"
            self._put(self._accounts, address, replace(account, balance=balance))

    def touch(self, address: bytes) -> None:
        """Note that an account took part: it is deleted at the end if it is empty (EIP-161)."""
        touched = self._touched
        if address not in touched:
            self._undo.append((touched, address, _ABSENT))
            touched[address] = None

    # Code.

    def code_hash(self, address: bytes) -> bytes:
        """Return the Keccak-256 of the code at `address`."""
        account = self.account(address)
        return EMPTY_CODE_HASH if account is None else account.code_hash

    def code(self, address: bytes) -> bytes:
        """Return the code at `address`, b"" if there is none."""
        codes = self._codes
        if address in codes:
            return codes[address]
        return b"" if self.code_hash(address) == EMPTY_CODE_HASH else self._base.code(address)

    def set_code(self, address: bytes, code: bytes) -> None:
        """Deploy `code`."""
        account = self.account(address) or NEW_ACCOUNT
        self._put(self._accounts, address, replace(account, code_hash=keccak256(code)))
        self._put(self._codes, address, code)

    # Storage.

    def storage(self, address: bytes, slot: int) -> int:
        """Return the word at `slot` as changed so far."""
        key = (address, slot)
        storage = self._storage
        return storage[key] if key in storage else self._base_storage(key)

    def _base_storage(self, key: tuple[bytes, int]) -> int:
        read = self._read_storage
        if key in read:
            return read[key]
        value = read[key] = self._base.storage(*key)
        return value

    def original_storage(self, address: bytes, slot: int) -> int:
        """Return the word at `slot` before the transaction (EIP-2200)."""
        return 0 if address in self._created else self._base_storage((address, slot))

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        """Write a word; 0 deletes it."""
        key, storage = (address, slot), self._storage
        self._undo.append((storage, key, storage.get(key, _ABSENT)))
        storage[key] = value

    def load(self, address: bytes, slot: int) -> tuple[int, bool]:
        """Make a slot warm; return its word, and whether it was cold. What SLOAD does, at once."""
        key, warm, storage = (address, slot), self._warm, self._storage
        is_cold = key not in warm
        if is_cold:
            self._undo.append((warm, key, _ABSENT))
            warm[key] = None
        return (storage[key] if key in storage else self._base_storage(key)), is_cold

    def load_both(self, address: bytes, slot: int) -> tuple[int, int, bool]:
        """Do the same for SSTORE; return the word now, the original one, and the coldness."""
        key = (address, slot)
        current, is_cold = self.load(address, slot)
        if address in self._created:
            return current, 0, is_cold
        return current, (self._base_storage(key) if key in self._storage else current), is_cold

    def transient(self, address: bytes, slot: int) -> int:
        """Return a word of transient storage (EIP-1153)."""
        return self._transient.get((address, slot), 0)

    def set_transient(self, address: bytes, slot: int, value: int) -> None:
        """Write a word of transient storage."""
        self._put(self._transient, (address, slot), value)

    # Access lists (EIP-2929).

    def warm_up(self, addresses: Iterable[bytes]) -> None:
        """Make addresses warm for the whole transaction, whatever is undone."""
        self._warm.update(dict.fromkeys(addresses))

    def warm_address(self, address: bytes) -> bool:
        """Make `address` warm and return whether it was cold."""
        warm = self._warm
        if address in warm:
            return False
        self._undo.append((warm, address, _ABSENT))
        warm[address] = None
        return True

    def warm_slot(self, address: bytes, slot: int) -> bool:
        """Make a storage slot warm and return whether it was cold."""
        key, warm = (address, slot), self._warm
        if key in warm:
            return False
        self._undo.append((warm, key, _ABSENT))
        warm[key] = None
        return True

    # Creation and destruction (EIP-6780).

    def is_taken(self, address: bytes) -> bool:
        """Return whether nothing can be created at `address` (EIP-684, EIP-7610)."""
        account = self.account(address)
        if account is None:
            return False
        return bool(account.nonce) or account.code_hash != EMPTY_CODE_HASH or account.has_storage

    def create(self, address: bytes) -> None:
        """Begin a contract at `address`: nonce 1 (EIP-161), no code yet; its balance is kept."""
        self._put(self._created, address, None)
        self.set_nonce(address, 1)

    def is_created(self, address: bytes) -> bool:
        """Return whether this transaction created the contract."""
        return address in self._created

    def destroy(self, address: bytes) -> None:
        """Mark a contract that this transaction created for deletion at its end."""
        assert address in self._created, "only a contract of this transaction goes (EIP-6780)"
        if address not in self._destroyed:
            self._put(self._destroyed, address, None)

    # The end.

    def changes(self) -> WorldChanges:
        """Return the net changes: destroyed contracts and touched empty accounts are gone."""
        accounts: dict[bytes, AccountState | None] = {}
        for address in {**self._accounts, **self._touched}:
            account, base = self.account(address), self._base_account(address)
            if account is not None:
                is_cleared = address in self._touched and account.is_empty
                if is_cleared or address in self._destroyed:
                    account = None
            if account is not base and account != base:
                accounts[address] = account
        return WorldChanges(
            accounts=accounts,
            codes={a: code for a, code in self._codes.items() if a not in self._destroyed},
            storage={
                key: value
                for key, value in self._storage.items()
                if key[0] not in self._destroyed and value != self._base_storage(key)
            },
        )
