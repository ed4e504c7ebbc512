"""What a native contract may touch: caller, block, its own storage, events, gas, deadlines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, ClassVar, Protocol, final

from crypto.abi_event import event_encoder
from crypto.codec import int_to_bytes
from vm import accounts, deadlines, gas, members
from vm.errors import Revert
from vm.genesis import Genesis, GenesisMember, Params
from vm.members import MemberSet, NextMembers
from vm.protocol import Schedule, Step, read_schedule, write_schedule
from vm.receipt import Log
from vm.state import Journal

KEY_BYTES_MAX = 64
VALUE_BYTES_MAX = 24 * 1024
"""As the code of an Ethereum contract (EIP-170)."""

_STORAGE = b"s"
_from_bytes = int.from_bytes


class Event(Protocol):
    """A frozen dataclass whose fields are the event's values in the order of its text."""

    SIGNATURE: ClassVar[str]
    """As in Solidity: "Transfer(address indexed from,address indexed to,uint256 value)"."""
    __dataclass_fields__: ClassVar[dict[str, Any]]


class Contract(Protocol):
    """What the host needs to know of `vm.native.NativeContract`."""

    ADDRESS: ClassVar[bytes]
    PRIVILEGED: ClassVar[bool]
    GOVERNS_MEMBERS: ClassVar[bool]
    EVENTS: ClassVar[tuple[type[Event], ...]]

    def genesis(self, ctx: "CallContext", params: Params, /) -> None:
        """Write the first state."""

    def call(
        self, run: "Run", data: bytes, /, *, caller: bytes, sponsor: bytes, is_static: bool = False
    ) -> bytes:
        """Decode the calldata, run the method, and return the encoded result."""

    def on_deadline(self, ctx: "CallContext", payload: bytes, /) -> None:
        """Act on a deadline."""

    def next_members(self, ctx: "CallContext", proposal_id: int, /) -> NextMembers:
        """Return the set that an accepted proposal makes, or revert."""

    def activate(self, ctx: "CallContext", proposal_id: int, /) -> None:
        """Let an accepted proposal take effect."""

    def recover(self, ctx: "CallContext", members: Sequence[GenesisMember], /) -> None:
        """Make these the members of the chain that follows, or revert."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BlockInfo:
    """The block in which a call runs, as contracts see it."""

    height: int
    time_ms: int
    window: int
    parent_hash: bytes
    """Hash of the block before, 32 bytes; bytecode sees it, native contracts do not."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What is the same for every call on a chain."""

    genesis: Genesis
    contracts: Mapping[bytes, Contract]
    """By address."""
    params: Mapping[bytes, Params]
    """Of each contract, by address."""
    first_hash: Callable[[], bytes] = bytes
    """Returns the hash of block 0, which follows from all of these; made when it is asked for."""


@final
class Run:
    """What all contexts of one transaction share: the journal, the gas, the logs."""

    __slots__ = ("block", "gas_left", "host", "journal", "logs", "used")

    def __init__(self, host: Host, journal: Journal, block: BlockInfo, gas_limit: int) -> None:
        self.host = host
        self.journal = journal
        self.block = block
        self.gas_left = gas_limit
        self.logs: list[Log] = []
        # State keys that were read (False) or written (True), which cost less from then on.
        self.used: dict[bytes, bool] = {}

    def charge(self, amount: int) -> None:
        """Take gas; what is left is lost when it does not suffice, as on Ethereum."""
        left = self.gas_left - amount
        if left < 0:
            missing, self.gas_left = -left, 0
            raise Revert("OUT_OF_GAS", f"{missing} more gas is needed here")
        self.gas_left = left


@lru_cache(maxsize=1024)
def _values(kind: type[Event]) -> Callable[[Event], Sequence[Any]]:
    """Return what reads the values of an event of this class."""
    names = [field.name for field in fields(kind)]
    if len(names) < 2:  # attrgetter returns a tuple from two names on.
        return lambda event: [getattr(event, name) for name in names]
    return attrgetter(*names)


@final
class CallContext:
    """One call, in the scope of one contract. Reads and writes are metered.

    Attributes:
        caller: 20 bytes: the account that signed, or the contract that called through `at`.
        sponsor: 20 bytes: member or service id behind the caller; empty if it has none.
        self_address: 20 bytes: the contract whose storage this is.
    """

    __slots__ = ("_is_view", "_prefix", "_run", "caller", "self_address", "sponsor")

    def __init__(
        self,
        run: Run,
        address: bytes,
        caller: bytes,
        sponsor: bytes,
        is_view: bool = False,  # noqa: FBT001, FBT002 (keywords would cost every call a dict)
    ) -> None:
        self._run = run
        self._prefix = _STORAGE + address
        self._is_view = is_view
        self.caller = caller
        self.sponsor = sponsor
        self.self_address = address

    @property
    def params(self) -> Params:
        """The contract's genesis parameters."""
        return self._run.host.params[self.self_address]

    @property
    def height(self) -> int:
        """Number of the block that is being executed."""
        return self._run.block.height

    @property
    def time_ms(self) -> int:
        """Time of that block, Unix milliseconds."""
        return self._run.block.time_ms

    @property
    def window(self) -> int:
        """Window in which that time lies, counted from genesis."""
        return self._run.block.window

    @property
    def genesis(self) -> Genesis:
        """The chain's genesis: members, services, window and recording lengths, quota."""
        return self._run.host.genesis

    @property
    def chain_id(self) -> int:
        """EIP-155 chain id."""
        return self._run.host.genesis.chain_id

    @property
    def genesis_hash(self) -> bytes:
        """32 bytes that bind a signature to this chain."""
        return self._run.host.genesis.hash

    @property
    def first_hash(self) -> bytes:
        """Hash of block 0, 32 bytes: what the members' consensus binds its signatures to."""
        return self._run.host.first_hash()

    @property
    def gas_left(self) -> int:
        """Gas that the transaction has left."""
        return self._run.gas_left

    def charge(self, amount: int) -> None:
        """Charge for work that the host does not see: loops, signatures (`vm.gas`).

        Raises:
            Revert: OUT_OF_GAS.
        """
        self._run.charge(amount)

    def get(self, key: bytes) -> bytes:
        """Return this contract's value under `key`; empty if there is none.

        Raises:
            Revert: OUT_OF_GAS, or KEY_TOO_LONG.
        """
        run, full = self._run, self._prefix + key
        journal, used = run.journal, run.used
        writes = journal.writes
        value = (writes[full] if full in writes else journal.read(full)) or b""
        if full in used:
            price = gas.AGAIN
        else:
            if len(key) > KEY_BYTES_MAX:
                raise _key_too_long(key)
            price = gas.READ + gas.READ_BYTE * len(value)
            used[full] = False
        left = run.gas_left - price
        if left < 0:
            run.charge(price)
        run.gas_left = left
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Set this contract's value under `key`; an empty value deletes it.

        Raises:
            Revert: OUT_OF_GAS, KEY_TOO_LONG or VALUE_TOO_LONG.
        """
        assert not self._is_view, "a view must not write"
        run, full = self._run, self._prefix + key
        journal, used, size = run.journal, run.used, len(value)
        if size > VALUE_BYTES_MAX:
            raise Revert("VALUE_TOO_LONG", f"{size} bytes, at most {VALUE_BYTES_MAX}")
        if used.get(full):
            price = gas.AGAIN + gas.WRITE_BYTE * size
        else:
            if len(key) > KEY_BYTES_MAX:
                raise _key_too_long(key)
            writes = journal.writes
            is_new = (writes[full] if full in writes else journal.read(full)) is None
            price = (gas.WRITE_NEW if is_new else gas.WRITE) + gas.WRITE_BYTE * size
            used[full] = True
        left = run.gas_left - price
        if left < 0:
            run.charge(price)
        run.gas_left = left
        journal.put(full, value)

    def get_int(self, key: bytes) -> int:
        """Return the non-negative integer under `key`; 0 if there is none."""
        return _from_bytes(self.get(key), "big")

    def put_int(self, key: bytes, value: int) -> None:
        """Set a non-negative integer, big-endian without leading zeros; 0 deletes the key."""
        self.put(key, int_to_bytes(value))

    def add_int(self, key: bytes, change: int) -> int:
        """Add `change` to the integer under `key` and return the sum, at the price of both steps.

        Does what `get_int` and `put_int` do one after the other, but looks the key up once. A sum
        below 0 is not written, so that the caller can refuse it.

        Raises:
            Revert: OUT_OF_GAS, or KEY_TOO_LONG.
        """
        assert not self._is_view, "a view must not write"
        run, full = self._run, self._prefix + key
        journal, used = run.journal, run.used
        writes = journal.writes
        old = writes[full] if full in writes else journal.read(full)
        price = gas.WRITE_NEW if old is None else gas.WRITE
        if full in used:
            left = run.gas_left - gas.AGAIN
            if used[full]:
                price = gas.AGAIN
        else:
            if len(key) > KEY_BYTES_MAX:
                raise _key_too_long(key)
            left = run.gas_left - gas.READ - (gas.READ_BYTE * len(old) if old else 0)
        if left < 0:
            run.charge(run.gas_left - left)
        total = _from_bytes(old or b"", "big") + change
        if total < 0:
            run.gas_left = left
            used.setdefault(full, False)
            return total
        value = total.to_bytes((total.bit_length() + 7) >> 3, "big")
        used[full] = True
        price += gas.WRITE_BYTE * len(value)
        run.gas_left = left
        if left < price:
            run.charge(price)
        run.gas_left = left - price
        journal.put(full, value)
        return total

    def emit(self, event: Event) -> None:
        """Append an event of this contract to the receipt's logs; EVENTS must list its class."""
        kind = type(event)
        self.emit_values(kind, _values(kind)(event))

    def emit_values(self, kind: type[Event], values: Sequence[Any]) -> None:
        """Do the same for the event that `kind` would make of `values`, without making it.

        For what is emitted so often that an object of its own is felt: a token's transfer.
        """
        assert not self._is_view, "a view must not emit"
        run, address = self._run, self.self_address
        assert kind in run.host.contracts[address].EVENTS, f"EVENTS lacks {kind}"
        topics, data = event_encoder(kind.SIGNATURE)(values)
        price = gas.LOG + gas.LOG_TOPIC * len(topics) + gas.LOG_BYTE * len(data)
        left = run.gas_left - price
        if left < 0:
            run.charge(price)
        run.gas_left = left
        run.logs.append(Log(address, topics, data))

    def at(self, address: bytes) -> "CallContext":
        """Return the scope of another native contract, called by this one.

        Native contracts trust each other: they are one program. Journal and gas are shared, and a
        Revert undoes the whole transaction, so nothing may catch one.
        """
        return CallContext(
            self._run, address, caller=self.self_address, sponsor=b"", is_view=self._is_view
        )

    def schedule(self, time_ms: int, payload: bytes = b"") -> None:
        """Have this contract's `on_deadline` called with `payload` (64 bytes at most), once.

        It runs in the first block whose time is `time_ms` or later, or as soon after as the
        gas for deadlines allows. A time that has passed is due at once.

        Raises:
            Revert: OUT_OF_GAS or DEADLINES_FULL.
        """
        assert not self._is_view, "a view must not schedule"
        self._run.charge(gas.SCHEDULE)
        deadlines.schedule(self._run.journal, time_ms, self.self_address, payload)

    def register_account(self, address: bytes, sponsor: bytes) -> None:
        """Let `address` send transactions under the quota of `sponsor`. Privileged contracts only.

        Raises:
            Revert: OUT_OF_GAS, or ACCOUNT_TAKEN if another sponsor has registered it.
        """
        self._check_privileged()
        self._run.charge(gas.REGISTER)
        accounts.register(self._run.journal, address, sponsor)

    def unregister_account(self, address: bytes) -> None:
        """Let `address` send no more transactions; its nonce is kept. Privileged contracts only."""
        self._check_privileged()
        self._run.charge(gas.REGISTER)
        accounts.unregister(self._run.journal, address)

    def member_set(self) -> MemberSet:
        """Return who seals the next block, as changed so far in this one."""
        held = members.read_members(self._run.journal)
        self._run.charge(gas.READ + gas.MEMBER_KEY * len(held.keys))
        return held

    def change_members(self, keys: Sequence[bytes]) -> MemberSet:
        """Have `keys` (ascending node keys) seal from the next block on; return the new set.

        For the contract with GOVERNS_MEMBERS only, in its `activate`, once in a block: a new
        epoch and term begin, also if the keys are the same.
        """
        assert not self._is_view, "a view must not change the members"
        run = self._run
        assert run.host.contracts[self.self_address].GOVERNS_MEMBERS, "does not govern"
        changed = members.read_members(run.journal).next(self.height, keys)
        members.write_members(run.journal, changed)
        return changed

    def protocol_schedule(self) -> Schedule:
        """Return which rules are in force at which height."""
        schedule = read_schedule(self._run.journal)
        self._run.charge(gas.READ)
        return schedule

    def schedule_protocol(self, step: Step) -> None:
        """Have `step.version` in force from its height, above this block's, on.

        For the contract with GOVERNS_MEMBERS only, which has checked that the step follows.
        """
        assert not self._is_view, "a view must not change the rules"
        run = self._run
        assert run.host.contracts[self.self_address].GOVERNS_MEMBERS, "does not govern"
        assert step.first_height > self.height, "the rules of a block stand before it"
        write_schedule(run.journal, read_schedule(run.journal).then(step))

    def _check_privileged(self) -> None:
        assert not self._is_view, "a view must not change accounts"
        contract = self._run.host.contracts[self.self_address]
        assert contract.PRIVILEGED, f"{contract} is not PRIVILEGED"

    def sponsor_of(self, address: bytes) -> bytes:
        """Return the member or service id behind an account; empty if it is not registered."""
        self._run.charge(gas.READ)
        return accounts.read_account(self._run.journal, address).sponsor

    def quota_used(self, sponsor: bytes) -> int:
        """Return the gas that `sponsor` has used in this window, without this transaction's."""
        self._run.charge(gas.READ)
        return accounts.quota_used(self._run.journal, sponsor, self.window)


def storage_key(address: bytes, key: bytes) -> bytes:
    """Return the state key of what the contract at `address` keeps under `key`."""
    return _STORAGE + address + key


def _key_too_long(key: bytes) -> Revert:
    return Revert("KEY_TOO_LONG", f"{len(key)} bytes, at most {KEY_BYTES_MAX}")
