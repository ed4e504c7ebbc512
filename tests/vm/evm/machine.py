"""A state in dictionaries, an assembler, and a short way to run code: what these tests share."""

from dataclasses import dataclass, field

from crypto.hashing import keccak256
from vm.evm.environment import Environment
from vm.evm.interpreter import execute
from vm.evm.message import Message, Result
from vm.evm.opcodes import OPCODES
from vm.evm.precompiles import PRECOMPILES
from vm.evm.world import EMPTY_CODE_HASH, AccountState, World, WorldChanges

SENDER = b"\xaa" * 20
CONTRACT = b"\xcc" * 20
COINBASE = b"\xcb" * 20
GAS = 10_000_000

_BYTES = {opcode.name: byte for byte, opcode in enumerate(OPCODES)}


def asm(*items: int | str | bytes) -> bytes:
    """Assemble mnemonics, ints (the shortest PUSH) and raw bytes."""
    code = b""
    for item in items:
        match item:
            case bytes():
                code += item
            case int():
                data = item.to_bytes((item.bit_length() + 7) // 8, "big")
                code += bytes([0x5F + len(data)]) + data
            case str():
                code += b"".join(bytes([_BYTES[name]]) for name in item.split())
    return code


def returning(*items: int | str | bytes) -> bytes:
    """Assemble, then return the top of the stack as a word."""
    return asm(*items, "PUSH0 MSTORE", 32, "PUSH0 RETURN")


def calling(
    to: bytes, *, kind: str = "CALL", gas: int = GAS, value: int = 0, size: int = 0, output: int = 0
) -> bytes:
    """Assemble a call with `size` bytes of memory as input, and `output` bytes of room at 0."""
    words: list[int | str | bytes] = [output, 0, size, 0]
    if kind in {"CALL", "CALLCODE"}:
        words.append(value)
    return asm(*words, int.from_bytes(to, "big"), gas, kind)


def deploying(code: bytes) -> bytes:
    """Return init code that deploys `code`."""
    size = len(code).to_bytes(2, "big")
    head = asm(b"\x61" + size, b"\x60\x0d", "PUSH0 CODECOPY", b"\x61" + size, "PUSH0 RETURN")
    return head.ljust(13, b"\0") + code


@dataclass
class State:
    """A base for a World."""

    accounts: dict[bytes, AccountState] = field(default_factory=dict)
    codes: dict[bytes, bytes] = field(default_factory=dict)
    words: dict[tuple[bytes, int], int] = field(default_factory=dict)

    def account(self, address, /):
        return self.accounts.get(address)

    def code(self, address, /):
        return self.codes.get(address, b"")

    def storage(self, address, slot, /):
        return self.words.get((address, slot), 0)

    def put(self, address, *, code=b"", balance=0, nonce=0, storage=None):
        self.accounts[address] = AccountState(nonce, balance, keccak256(code))
        self.codes[address] = code
        for slot, word in (storage or {}).items():
            self.words[address, slot] = word
        return self

    def apply(self, changes: WorldChanges) -> None:
        """Make changes permanent."""
        for address, account in changes.accounts.items():
            if account is None:
                del self.accounts[address]
            else:
                self.accounts[address] = account
        self.codes.update(changes.codes)
        self.words.update(changes.storage)


def environment(**changes: object) -> Environment:
    values: dict[str, object] = {
        "coinbase": COINBASE,
        "number": 300,
        "time_s": 1_700_000_000,
        "gas_limit": 30_000_000,
        "prev_randao": 7,
        "base_fee": 0,
        "chain_id": 31337,
        "block_hash": lambda number: number + 1,
        "gas_price": 0,
        "origin": SENDER,
        "precompiles": PRECOMPILES,
    }
    return Environment(**{**values, **changes})  # type: ignore[arg-type]


def state_with(code: bytes, **more: object) -> State:
    """Return a state with the sender and a contract."""
    state = State()
    state.accounts[SENDER] = AccountState(1, 0, EMPTY_CODE_HASH)
    return state.put(CONTRACT, code=code, nonce=1, **more)


def run(
    code: bytes,
    data: bytes = b"",
    *,
    gas: int = GAS,
    state: State | None = None,
    world: World | None = None,
    is_static: bool = False,
    **more: object,
) -> Result:
    """Run `code` as a contract that the sender calls."""
    world = world or World(state or state_with(code))
    message = Message(caller=SENDER, to=CONTRACT, value=0, data=data, gas=gas, is_static=is_static)
    return execute(world, environment(), message, **more)  # type: ignore[arg-type]


def word(result: Result) -> int:
    """Return what `returning` returned."""
    assert result.status == 1, result.error
    return int.from_bytes(result.output, "big")
