"""Random programs that mostly run: the generator keeps count of the stack.

A program is a row of fragments, each of which finds its operands on the stack or pushes them.
Bodies of branches and loops leave the stack's height as it was, so every jump meets its target
with one height. Now and then a fragment breaks all of that on purpose.
"""

import random
from collections.abc import Callable
from typing import final

from testnet.evm_fuzz.assembly import OPCODES, Assembler, Label
from testnet.evm_fuzz.pool import PRECOMPILES, Pool
from testnet.evm_fuzz.precompile_inputs import precompile_input

HEIGHT_MAX = 60
NESTING_MAX = 3
"""Of branches and loops in each other, and of contracts that create contracts."""

_PURE = {
    1: ("ISZERO", "NOT"),
    2: (
        *("ADD", "MUL", "SUB", "DIV", "SDIV", "MOD", "SMOD", "SIGNEXTEND", "LT", "GT", "SLT"),
        *("SGT", "EQ", "AND", "OR", "XOR", "BYTE", "SHL", "SHR", "SAR"),
    ),
    3: ("ADDMOD", "MULMOD"),
}
_PURE_FLAT = [(name, count) for count, names in _PURE.items() for name in names]
_NULLARY = (
    *("ADDRESS", "ORIGIN", "CALLER", "CALLVALUE", "CALLDATASIZE", "CODESIZE", "GASPRICE"),
    *("RETURNDATASIZE", "COINBASE", "TIMESTAMP", "NUMBER", "PREVRANDAO", "GASLIMIT", "CHAINID"),
    *("SELFBALANCE", "BASEFEE", "PC", "MSIZE", "GAS"),
)
_HAS_VALUE = ("CALL", "CALLCODE")
_CALLS = ("CALL", "CALL", "STATICCALL", "DELEGATECALL", "CALLCODE")


@final
class ProgramMaker:
    """Makes one program.

    Args:
        rng: all randomness.
        nesting: how many contracts create the one that runs this.
    """

    def __init__(self, rng: random.Random, nesting: int = 0) -> None:
        self._rng = rng
        self._pool = Pool(rng)
        self._asm = Assembler()
        self._nesting = nesting
        self._depth = 0
        self._height = 0
        self._floor = 0
        self._data: list[tuple[Label, bytes]] = []
        self._kinds: list[tuple[int, Callable[[], None]]] = [
            (110, self._pure),
            (10, self._exp),
            (16, self._nullary),
            (16, self._push),
            (16, self._dup),
            (12, self._swap),
            (8, self._pop),
            (20, self._memory),
            (10, self._copy),
            (8, self._hash),
            (24, self._storage),
            (8, self._transient),
            (8, self._log),
            (10, self._ask),
            (12, self._call),
            (6, self._precompile),
            (8, self._create),
            (12, self._branch),
            (8, self._loop),
            (5, self._jump_over),
            (1, self._misbehave),
        ]

    def program(self, fragments: int) -> bytes:
        """Return a program of about so many fragments, with an ending."""
        for word in range(self._rng.randrange(5)):  # What no compiler knows beforehand.
            self._constant(32 * word)
            self._emit("CALLDATALOAD", 1, 1)
        self._fragments(fragments)
        self._end()
        return self._finish()

    def init_code(self, fragments: int) -> bytes:
        """Return a program that mostly returns a program."""
        rng = self._rng
        self._fragments(fragments)
        if rng.random() < 0.15:
            self._end()
            return self._finish()
        if rng.random() < 0.2:
            runtime = rng.choice((b"", b"\xef", b"\xef\0", b"\xfe", rng.randbytes(40), bytes(3000)))
        elif rng.random() < 0.2:  # One that destroys itself, which counts as it is new (EIP-6780).
            runtime = bytes((0x73,)) + self._pool.address() + bytes((OPCODES["SELFDESTRUCT"],))
        else:
            runtime = ProgramMaker(rng, self._nesting + 1).program(rng.randrange(1, 8))
        self._load(runtime, 0)
        self._asm.push(len(runtime) if rng.random() < 0.97 else 24_577)
        self._asm.push(0)
        self._asm.op("RETURN")
        return self._finish()

    def _finish(self) -> bytes:
        for label, data in self._data:
            self._asm.place(label)
            self._asm.raw(data)
        return self._asm.code()

    def _fragments(self, count: int) -> None:
        weights = [weight for weight, _ in self._kinds]
        for _, fragment in self._rng.choices(self._kinds, weights, k=count):
            fragment()
            while self._height - self._floor > HEIGHT_MAX:
                self._emit("POP", 1, 0)

    # The stack.

    def _emit(self, name: str, pops: int, pushes: int) -> None:
        self._asm.op(name)
        self._height += pushes - pops

    def _constant(self, value: int) -> None:
        self._asm.push(value)
        self._height += 1

    def _need(self, count: int) -> None:
        """Have `count` operands: what lies there, or fresh ones on top."""
        fresh = count if self._rng.random() < 0.15 else count - (self._height - self._floor)
        for _ in range(fresh):
            self._constant(self._pool.word())

    def _level(self, height: int) -> None:
        """Bring the stack to `height`."""
        while self._height > height:
            self._emit("POP", 1, 0)
        while self._height < height:
            self._constant(self._pool.word())

    def _body(self, fragments: int) -> None:
        """Make fragments that leave the stack as it was and do not look below it."""
        floor, self._floor = self._floor, self._height
        self._depth += 1
        self._fragments(fragments)
        if self._rng.random() < 0.5:
            self._show()
        self._depth -= 1
        self._level(self._floor)
        self._floor = floor

    # Fragments.

    def _pure(self) -> None:
        name, count = self._rng.choice(_PURE_FLAT)
        self._need(count)
        self._emit(name, count, 1)

    def _exp(self) -> None:
        rng = self._rng
        self._constant(rng.choice((0, 1, 2, 255, 256, 2**16, rng.getrandbits(256))))
        self._need(1)
        if self._height - self._floor < 2:
            self._constant(self._pool.word())
        self._emit("EXP", 2, 1)

    def _nullary(self) -> None:
        self._emit(self._rng.choice(_NULLARY), 0, 1)

    def _push(self) -> None:
        if self._rng.random() < 0.3:  # Of any width, leading zeros or not.
            size = self._rng.randint(1, 32)
            self._asm.push(self._pool.word() % 2 ** (8 * size), size)
            self._height += 1
        else:
            self._constant(self._pool.word())

    def _dup(self) -> None:
        depth = self._rng.randint(1, 16)
        self._level(max(self._height, self._floor + depth))
        self._emit(f"DUP{depth}", 0, 1)

    def _swap(self) -> None:
        depth = self._rng.randint(1, 16)
        self._level(max(self._height, self._floor + depth + 1))
        self._emit(f"SWAP{depth}", 0, 0)

    def _pop(self) -> None:
        self._need(1)
        self._emit("POP", 1, 0)

    def _memory(self) -> None:
        name = self._rng.choice(("MSTORE", "MSTORE", "MSTORE8", "MLOAD"))
        if name != "MLOAD":
            self._need(1)
        self._constant(self._pool.offset())
        self._emit(name, *((1, 1) if name == "MLOAD" else (2, 0)))

    def _copy(self) -> None:
        name = self._rng.choice(
            ("CALLDATALOAD", "CALLDATACOPY", "CODECOPY", "RETURNDATACOPY", "EXTCODECOPY", "MCOPY")
        )
        self._constant(self._pool.offset())
        if name == "CALLDATALOAD":
            self._emit(name, 1, 1)
            return
        self._level(self._height - 1)
        if name == "RETURNDATACOPY" and self._rng.random() < 0.95:
            self._emit("RETURNDATASIZE", 0, 1)
            self._constant(0)
        else:
            self._constant(self._pool.size())
            self._constant(self._pool.offset())
        self._constant(self._pool.offset())
        if name == "EXTCODECOPY":
            self._address()
        self._emit(name, 4 if name == "EXTCODECOPY" else 3, 0)

    def _hash(self) -> None:
        self._range()
        self._emit("KECCAK256", 2, 1)

    def _range(self) -> None:
        """Push a size and, on top, an offset."""
        self._constant(self._pool.size())
        self._constant(self._pool.offset())

    def _address(self) -> None:
        if self._rng.random() < 0.1:
            self._emit("ADDRESS", 0, 1)
        else:
            self._constant(int.from_bytes(self._pool.address(), "big"))

    def _storage(self) -> None:
        if self._rng.random() < 0.4:
            self._constant(self._pool.slot())
            self._emit("SLOAD", 1, 1)
            return
        if self._rng.random() < 0.7:
            self._constant(self._pool.stored())
        else:
            self._need(1)
        self._constant(self._pool.slot())
        self._emit("SSTORE", 2, 0)

    def _transient(self) -> None:
        if self._rng.random() < 0.5:
            self._constant(self._pool.slot())
            self._emit("TLOAD", 1, 1)
        else:
            self._need(1)
            self._constant(self._pool.slot())
            self._emit("TSTORE", 2, 0)

    def _log(self) -> None:
        topics = self._rng.randrange(5)
        self._need(topics)
        self._range()
        self._emit(f"LOG{topics}", topics + 2, 0)

    def _ask(self) -> None:
        name = self._rng.choice(("BALANCE", "EXTCODESIZE", "EXTCODEHASH", "BLOCKHASH"))
        if name == "BLOCKHASH":
            self._emit("NUMBER", 0, 1)
            self._constant(self._rng.choice((0, 1, 2, 255, 256, 257, 2**64, 2**256 - 1)))
            self._emit(self._rng.choice(("ADD", "XOR", "SUB")), 2, 1)
        else:
            self._address()
        self._emit(name, 1, 1)

    def _call(self) -> None:
        name = self._rng.choice(_CALLS)
        self._range()
        self._range()
        if name in _HAS_VALUE:
            self._constant(self._pool.value())
        self._address()
        self._emit_call(name)

    def _emit_call(self, name: str) -> None:
        """Emit the call of the address on top, and look at what came back."""
        if self._rng.random() < 0.6:
            self._emit("GAS", 0, 1)
        else:
            self._constant(self._pool.gas())
        self._emit(name, 7 if name in _HAS_VALUE else 6, 1)
        if self._rng.random() < 0.4:
            self._emit("RETURNDATASIZE", 0, 1)
            self._constant(0)
            self._constant(self._rng.choice((0, 7, 64)))
            self._emit("RETURNDATACOPY", 3, 0)

    def _load(self, data: bytes, offset: int) -> None:
        """Copy `data`, which will stand behind the program, to memory."""
        label = self._asm.label()
        self._data.append((label, data))
        self._asm.push(len(data))
        self._asm.push_label(label)
        self._asm.push(offset)
        self._asm.op("CODECOPY")

    def _precompile(self) -> None:
        rng = self._rng
        number = rng.randrange(len(PRECOMPILES))
        data = precompile_input(rng, number + 1)
        self._load(data, 0)
        self._constant(rng.choice((0, 32, 64, 200)))
        self._constant(rng.choice((0, 16, 256)))
        self._constant(max(0, len(data) + rng.choice((0, 0, 0, -1, 1, 32))))
        self._constant(0)
        name = rng.choice(("CALL", "STATICCALL", "DELEGATECALL", "CALLCODE"))
        if name in _HAS_VALUE:
            self._constant(rng.choice((0, 0, 0, 1)))
        self._constant(number + 1)
        self._emit_call(name)

    def _create(self) -> None:
        if self._nesting >= NESTING_MAX:
            return
        rng = self._rng
        init = ProgramMaker(rng, self._nesting + 1).init_code(rng.randrange(6))
        self._load(init, 0)
        is_salted = rng.random() < 0.5
        if is_salted:
            self._constant(rng.choice((0, 1, self._pool.word())))
        self._constant(len(init) if rng.random() < 0.98 else 49_153)
        self._constant(0)
        self._constant(rng.choice((0, 0, 1, 2**128)))
        self._emit("CREATE2" if is_salted else "CREATE", 4 if is_salted else 3, 1)
        if rng.random() < 0.6:
            self._emit("DUP1", 0, 1)
            self._call_created()

    def _call_created(self) -> None:
        """Call the address on top of the stack, or ask about it."""
        name = self._rng.choice((*_CALLS, "EXTCODEHASH", "BALANCE"))
        if name not in _CALLS:
            self._emit(name, 1, 1)
            return
        arguments = 5 if name in _HAS_VALUE else 4
        for _ in range(arguments):
            self._constant(self._rng.choice((0, 0, 1, 32)))
        self._emit(f"DUP{arguments + 1}", 0, 1)
        self._emit_call(name)
        self._emit("POP", 1, 0)

    def _branch(self) -> None:
        if self._depth >= NESTING_MAX:
            return
        self._need(1)
        other = self._asm.label()
        self._asm.push_label(other)
        self._asm.op("JUMPI")
        self._height -= 1
        self._body(self._rng.randrange(4))
        if self._rng.random() < 0.3:
            self._finish_here()
            self._asm.jumpdest(other)
            return
        end = self._asm.label()
        self._asm.push_label(end)
        self._asm.op("JUMP")
        self._asm.jumpdest(other)
        self._body(self._rng.randrange(4))
        self._asm.jumpdest(end)

    def _finish_here(self) -> None:
        """End the program in a branch; what follows starts with the height before it."""
        height = self._height
        self._end()
        self._height = height

    def _loop(self) -> None:
        if self._depth >= NESTING_MAX - 1:
            return
        self._constant(self._rng.randint(1, 24))
        start = self._asm.label()
        self._asm.jumpdest(start)
        self._body(self._rng.randrange(1, 5))
        self._constant(1)
        self._emit("SWAP1", 0, 0)
        self._emit("SUB", 2, 1)
        self._emit("DUP1", 0, 1)
        self._asm.push_label(start)
        self._asm.op("JUMPI")
        self._height -= 1

    def _jump_over(self) -> None:
        target = self._asm.label()
        if self._rng.random() < 0.3:  # Through a target that is computed.
            self._asm.push_label(target)
            self._asm.push(0)
            self._asm.op("ADD", "JUMP")
        else:
            self._asm.push_label(target)
            self._asm.op("JUMP")
        self._asm.raw(self._pool.small_bytes(4).replace(b"\x5f", b"\0"))
        # A push in the dead bytes would swallow the target: STOPs in front keep it a target.
        self._asm.raw(bytes(33))
        self._asm.jumpdest(target)

    def _misbehave(self) -> None:
        """Emit what may underflow, jump astray or not exist."""
        rng = self._rng
        kind = rng.randrange(4)
        if kind == 0:
            self._asm.op(rng.choice(sorted(OPCODES)))
        elif kind == 1:
            self._asm.push(rng.choice((0, 1, self._asm.size, 2**64, 2**256 - 1)))
            self._asm.op("JUMP")
        elif kind == 2:
            self._asm.raw(bytes((rng.choice((0x0C, 0x1E, 0x21, 0x4B, 0xA5, 0xB0, 0xEF, 0xFE)),)))
        else:
            self._asm.op(*["POP"] * rng.randint(1, 8))

    def _show(self) -> int:
        """Write what is on the stack to memory, so that it is seen; return how many bytes."""
        words = min(self._height - self._floor, self._rng.randrange(12))
        for word in range(words):
            self._constant(32 * word)
            self._emit("MSTORE", 2, 0)
        return 32 * words

    def _end(self) -> None:
        """End the program, or seldom run on into what stands behind it."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.7:
            size = self._show()
            if kind < 0.4 and rng.random() < 0.2:
                self._range()
            else:
                self._constant(size)
                self._constant(0)
            self._emit(*(("RETURN", 2, 0) if kind < 0.55 else ("REVERT", 2, 0)))
        elif kind < (0.85 if self._nesting else 0.75):
            self._address()
            self._emit("SELFDESTRUCT", 1, 0)
        elif kind < 0.92:
            self._asm.op("STOP")
        elif kind < 0.96:
            self._asm.op("INVALID")
