"""What a code's decoding costs: a share of what runs, up to the whole of it, and nothing twice."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crypto.hashing import keccak256
from testnet.bench.vm_decode import CODES, HashedState, calls, creations
from testnet.evm_fuzz.ours import Watch
from tests.vm.evm.machine import CONTRACT, GAS, SENDER, asm, calling, environment, state_with
from vm.evm import gas as prices
from vm.evm import program
from vm.evm.interpreter import PROGRAMS, execute
from vm.evm.message import Message
from vm.evm.program import Codes, Loaded, Program
from vm.evm.world import World

CALLEE = b"\xd0" * 20
SHARE = prices.DECODE_SHARE

statements = st.lists(
    st.sampled_from(
        [
            asm("PUSH0 POP"),
            asm("JUMPDEST"),
            asm("JUMPDEST") * 9,
            asm("PUSH0 PUSH0 JUMPI"),
            asm("GAS POP"),
            asm(7, 3, "SSTORE"),
            asm(200, "MLOAD POP"),
            asm(1, 2, 3, "MULMOD POP"),
            calling(CALLEE, gas=2_000) + asm("POP"),
            calling(CONTRACT, gas=3_000) + asm("POP"),
        ]
    ),
    max_size=40,
).map(b"".join)
callees = st.sampled_from(
    [b"", asm("PUSH0 POP " * 50, "STOP"), asm("JUMPDEST PUSH0 JUMP"), asm(1), asm("INVALID")]
)


def computed(code, callee=b"", codes=None, limit=10**9, tracer=None):
    state = state_with(code).put(CALLEE, code=callee, nonce=1)
    message = Message(caller=SENDER, to=CONTRACT, value=0, data=b"", gas=GAS // 20)
    return execute(
        World(state), environment(), message, compute_limit=limit, codes=codes, tracer=tracer
    )


def paid(*codes):
    """Codes that the block has paid for to the last unit."""
    known = Codes()
    for code in codes:
        known.put(keccak256(code), Loaded(Program(code), 0))
    return known


@given(statements)
def test_a_code_costs_a_share_of_what_it_computes_and_at_most_all_of_its_decoding(code):
    code += asm("STOP")
    alone, running = computed(code, codes=Codes()), computed(code, codes=paid(code)).compute
    reading = prices.CODE_BYTE_COMPUTE * len(code)
    if calling(CALLEE, gas=2_000) not in code and calling(CONTRACT, gas=3_000) not in code:
        assert alone.compute == reading + running + min(prices.decoding(code), SHARE * running)
    assert reading + running <= alone.compute <= reading + running + prices.decoding(code)


@given(statements, callees)
def test_exactly_what_is_computed_is_enough(code, callee):
    """What is set aside for decoding comes back: it never ends what could have been paid for."""
    whole = computed(code, callee)
    assert computed(code, callee, limit=whole.compute) == whole
    if whole.compute:
        cut = computed(code, callee, limit=whole.compute - 1)
        assert (cut.status, cut.compute, cut.error) == (0, whole.compute - 1, "out of gas")


@given(statements, callees, st.integers(0, 20_000))
@example(
    asm("PUSH0 POP PUSH0 POP", 200, "MLOAD POP") + calling(CONTRACT, gas=3_000) + asm("POP"),
    b"",
    4_341,
)  # The innermost call can pay for its block, and not for the memory that it reads in it.
def test_a_traced_transaction_pays_the_same(code, callee, limit):
    """Else `debug_traceTransaction` would show another end than the block's."""
    block, traced = Codes(), Codes()
    for _ in range(2):
        own, seen = Codes(block), Codes(traced)
        result = computed(code, callee, own, limit)
        assert computed(code, callee, seen, limit, Watch()) == result
        own.keep()
        seen.keep()


@given(statements, callees, st.integers(0, 5_000))
def test_decoding_is_never_ahead_of_what_pays_for_it(code, callee, limit):
    """Wherever compute ends, as much has been set aside as the blocks that ran may have taken."""
    codes = Codes()
    result = computed(code, callee, codes=codes, limit=limit)
    loaded = codes.get(keccak256(code))
    assert result.compute <= limit
    assert loaded is None or 0 <= loaded.unpaid <= prices.decoding(code)


@given(statements, callees)
def test_a_second_run_pays_what_the_first_left(code, callee):
    """However often a block runs a code, all of it comes to no more than decoding it once."""
    block, total = Codes(), 0
    running = computed(code, callee, codes=paid(code, callee)).compute
    for _ in range(9):
        own = Codes(block)
        total += computed(code, callee, codes=own).compute
        own.keep()
    most = sum(prices.CODE_BYTE_COMPUTE * len(c) + prices.decoding(c) for c in (code, callee))
    assert 9 * running <= total <= 9 * running + most


def test_init_code_pays_like_code():
    init = asm("PUSH0 POP " * 100)
    message = Message(caller=SENDER, to=None, value=0, data=init, gas=GAS)
    result = execute(World(state_with(b"")), environment(), message, compute_limit=10**6)
    running = computed(init, codes=paid(init)).compute
    decoding = min(prices.decoding(init), SHARE * running)
    assert result.compute == prices.INITCODE_BYTE_COMPUTE * len(init) + running + decoding


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("made", [calls, creations])
def test_what_is_decoded_is_paid_for(monkeypatch, name, made):
    """The promise without a clock: a block is no longer than its compute says."""
    work = []

    def decoded(code, start):
        block = decode(code, start)
        size = prices.DECODE_BYTE_COMPUTE * (block.end - start) if block.code else 0
        work.append(prices.DECODE_BLOCK_COMPUTE + size)
        return block

    decode = program._decode
    monkeypatch.setattr(program, "_decode", decoded)
    case = made(CODES[name])
    message = Message(caller=case.sender, to=case.to, value=0, data=b"", gas=9_000_000)
    PROGRAMS.clear()
    result = execute(World(HashedState(case)), environment(), message, compute_limit=400_000)
    assert result.compute == 400_000
    assert sum(work) <= result.compute
