"""Opcodes against what the Yellow Paper says of them, over any words; and the table itself."""

from hypothesis import example, given
from hypothesis import strategies as st

from crypto.hashing import keccak256
from tests.vm.evm.machine import (
    COINBASE,
    CONTRACT,
    GAS,
    SENDER,
    asm,
    returning,
    run,
    state_with,
    word,
)
from vm.evm.opcodes import IMMEDIATE_BYTES, OPCODES

M = 2**256
edges = st.sampled_from([0, 1, 2, 31, 32, 255, 256, 2**255 - 1, 2**255, M - 2, M - 1])
words = st.one_of(edges, st.integers(0, M - 1), st.integers(0, 300))


def signed(x: int) -> int:
    return x - M if x >= 2**255 else x


def towards_zero(a: int, b: int) -> int:
    """As C divides."""
    return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def extended(k: int, x: int) -> int:
    if k > 30:
        return x
    low = x % 2 ** (8 * k + 8)
    return low - 2 ** (8 * k + 8) if low >= 2 ** (8 * k + 7) else low


BINARY = {
    "ADD": lambda a, b: a + b,
    "MUL": lambda a, b: a * b,
    "SUB": lambda a, b: a - b,
    "DIV": lambda a, b: a // b if b else 0,
    "SDIV": lambda a, b: towards_zero(signed(a), signed(b)),
    "MOD": lambda a, b: a % b if b else 0,
    "SMOD": lambda a, b: signed(a) - signed(b) * towards_zero(signed(a), signed(b)) if b else 0,
    "EXP": lambda a, b: pow(a, b, M),
    "SIGNEXTEND": extended,
    "LT": lambda a, b: a < b,
    "GT": lambda a, b: a > b,
    "SLT": lambda a, b: signed(a) < signed(b),
    "SGT": lambda a, b: signed(a) > signed(b),
    "EQ": lambda a, b: a == b,
    "AND": lambda a, b: a & b,
    "OR": lambda a, b: a | b,
    "XOR": lambda a, b: a ^ b,
    "BYTE": lambda i, x: x.to_bytes(32, "big")[i] if i < 32 else 0,
    "SHL": lambda n, x: x * 2**n if n < 256 else 0,
    "SHR": lambda n, x: x // 2**n if n < 256 else 0,
    "SAR": lambda n, x: signed(x) // 2 ** min(n, 300),
}


@given(words, words)
@example(2**255, M - 1)
def test_two_operands(a, b):
    for name, rule in BINARY.items():
        assert word(run(returning(b, a, name))) == int(rule(a, b)) % M, name


@given(words, words, words)
def test_three_operands(a, b, n):
    assert word(run(returning(n, b, a, "ADDMOD"))) == ((a + b) % n if n else 0)
    assert word(run(returning(n, b, a, "MULMOD"))) == ((a * b) % n if n else 0)


@given(words)
def test_one_operand(a):
    assert word(run(returning(a, "NOT"))) == M - 1 - a
    assert word(run(returning(a, "ISZERO"))) == (a == 0)


@given(st.integers(1, 16), st.data())
def test_dup_and_swap_count_from_the_top(n, data):
    items = data.draw(st.lists(st.integers(0, 255), min_size=17, max_size=17))
    assert word(run(returning(*items, f"DUP{n}"))) == items[-n]
    assert word(run(returning(*items, f"SWAP{n}"))) == items[-1 - n]
    assert word(run(returning(*items, f"SWAP{n}", "POP " * n))) == items[-1]


def test_push_reads_zeros_beyond_the_code():
    """Yellow Paper, 9.4.1: the code goes on with zeros."""
    whole = run(asm("PUSH32") + b"\xab" * 3)
    assert (whole.status, whole.gas_left) == (1, GAS - 3)


def test_words_of_the_frame_and_the_block():
    cases = {
        "ADDRESS": int.from_bytes(CONTRACT, "big"),
        "ORIGIN": int.from_bytes(SENDER, "big"),
        "CALLER": int.from_bytes(SENDER, "big"),
        "COINBASE": int.from_bytes(COINBASE, "big"),
        "CALLVALUE": 0,
        "CALLDATASIZE": 3,
        "GASPRICE": 0,
        "TIMESTAMP": 1_700_000_000,
        "NUMBER": 300,
        "PREVRANDAO": 7,
        "GASLIMIT": 30_000_000,
        "CHAINID": 31337,
        "SELFBALANCE": 0,
        "BASEFEE": 0,
        "BLOBBASEFEE": 1,
        "PC": 0,
        "MSIZE": 0,
        "RETURNDATASIZE": 0,
    }
    for name, expected in cases.items():
        assert word(run(returning(name), b"abc")) == expected, name


def test_blockhash_knows_the_256_blocks_before():
    for number, expected in {43: 0, 44: 45, 299: 300, 300: 0, 301: 0, M - 1: 0}.items():
        assert word(run(returning(number, "BLOCKHASH"))) == expected, number


@given(st.binary(max_size=70), words)
def test_calldata_goes_on_with_zeros(data, offset):
    padded = data[offset : offset + 32] if offset < 100 else b""
    expected = int.from_bytes(padded.ljust(32, b"\0"), "big")
    assert word(run(returning(offset, "CALLDATALOAD"), data)) == expected
    copied = asm(32, offset, "PUSH0 CALLDATACOPY", 32, "PUSH0 RETURN")
    assert run(copied, data).output == padded.ljust(32, b"\0")


@given(st.integers(0, 70), st.integers(0, 70), st.integers(0, 70), st.binary(max_size=64))
def test_mcopy_is_as_if_through_a_buffer(to, source, size, data):
    """EIP-5656; memory grows to the further end."""
    code = asm(64, "PUSH0 PUSH0 CALLDATACOPY", size, source, to, "MCOPY MSIZE PUSH0 RETURN")
    memory = bytearray(data.ljust(64, b"\0"))
    if size:
        end = max(to, source) + size
        memory.extend(bytes(max(0, -(-end // 32) * 32 - len(memory))))
        memory[to : to + size] = bytes(memory[source : source + size])
    assert run(code, data).output == bytes(memory)


@given(st.binary(max_size=300))
def test_keccak(data):
    code = returning("CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 KECCAK256")
    assert word(run(code, data)) == int.from_bytes(keccak256(data), "big")


def test_static_gas_is_the_tables():
    for byte, opcode in enumerate(OPCODES):
        if opcode.handler.__name__ in {"push", "dup", "swap", "add", "mul", "pop", "jumpdest"}:
            items = b"\x5f" * 17
            code = items + bytes([byte]) + bytes(IMMEDIATE_BYTES[byte])
            assert GAS - run(code).gas_left == 17 * 2 + opcode.gas, opcode.name


def test_every_opcode_of_cancun_is_there_and_no_other():
    defined = [byte for byte, opcode in enumerate(OPCODES) if " " not in opcode.name]
    expected = [*range(0x0C), *range(0x10, 0x1E), 0x20, *range(0x30, 0x4B), *range(0x50, 0xA5)]
    assert defined == [*expected, *range(0xF0, 0xF6), 0xFA, 0xFD, 0xFE, 0xFF]
    for byte in set(range(256)) - set(defined):
        result = run(bytes([byte]))
        assert result.error == f"invalid opcode: opcode {byte:#x} not defined"
        assert (result.status, result.gas_left) == (0, 0)


def test_sstore_costs_and_refunds_by_original_current_and_new_value():
    """EIP-2200 with the prices of EIP-2929 and 3529: the table of EIP-3529, less the pushes."""
    cold = 2_100
    cases = {
        # original, values written -> gas of the SSTOREs, refund
        (0, (0, 0)): (cold + 100 + 100, 0),
        (0, (0, 1)): (cold + 100 + 20_000, 0),
        (0, (1, 0)): (cold + 20_000 + 100, 19_900),
        (0, (1, 2)): (cold + 20_000 + 100, 0),
        (0, (1, 1)): (cold + 20_000 + 100, 0),
        (1, (0, 0)): (cold + 2_900 + 100, 4_800),
        (1, (0, 1)): (cold + 2_900 + 100, 2_800),
        (1, (0, 2)): (cold + 2_900 + 100, 0),
        (1, (2, 0)): (cold + 2_900 + 100, 4_800),
        (1, (2, 3)): (cold + 2_900 + 100, 0),
        (1, (2, 1)): (cold + 2_900 + 100, 2_800),
        (1, (2, 2)): (cold + 2_900 + 100, 0),
        (1, (1, 0)): (cold + 100 + 2_900, 4_800),
        (0, (1, 0, 1)): (cold + 20_000 + 100 + 20_000, 19_900),
        (1, (0, 1, 0)): (cold + 2_900 + 100 + 2_900, 7_600),
    }
    for (original, values), (gas, refund) in cases.items():
        code = b"".join(asm(b"\x60" + bytes([value]), b"\x60\x05", "SSTORE") for value in values)
        result = run(code, state=state_with(code, storage={5: original}))
        used = GAS - result.gas_left - 6 * len(values)
        assert (used, result.refund) == (gas, refund), (original, values)


def test_sstore_needs_more_than_the_stipend():
    """EIP-2200: exactly 2,300 left is not enough."""
    code = asm("PUSH0 PUSH0 SSTORE")
    assert run(code, gas=2_304).error == "out of gas: not enough gas for reentrancy sentry"
    assert run(code, gas=2_305).status == 1


def test_transient_storage_ends_with_the_transaction():
    """EIP-1153."""
    code = returning(7, 1, "TSTORE", 1, "TLOAD")
    state = state_with(code)
    assert word(run(code, state=state)) == 7
    assert word(run(returning(1, "TLOAD"), state=state_with(returning(1, "TLOAD")))) == 0


def test_cold_is_paid_once():
    """EIP-2929."""
    slot = asm(1, "SLOAD POP")
    assert GAS - run(slot).gas_left == 5 + 2_100
    assert GAS - run(slot + slot).gas_left == 10 + 2_100 + 100
    account = asm(0xBEEF, "BALANCE POP")
    assert GAS - run(account + account).gas_left == 10 + 2_600 + 100
    for own in (CONTRACT, SENDER, COINBASE, (5).to_bytes(20, "big")):
        code = asm(b"\x73" + own, "EXTCODESIZE POP")
        assert GAS - run(code).gas_left == 5 + 100


def test_extcodehash_of_nothing_is_zero_and_of_no_code_is_not():
    """EIP-1052."""
    assert word(run(returning(0xBEEF, "EXTCODEHASH"))) == 0
    sender = int.from_bytes(SENDER, "big")
    assert word(run(returning(sender, "EXTCODEHASH"))) == int.from_bytes(keccak256(b""), "big")


def test_logs_have_topics_in_order():
    code = asm(0xAB, "PUSH0 MSTORE8", 4, 3, 2, 1, 1, "PUSH0 LOG4")
    (log,) = run(code).logs
    assert (log.address, log.data) == (CONTRACT, b"\xab")
    assert [int.from_bytes(topic, "big") for topic in log.topics] == [1, 2, 3, 4]
