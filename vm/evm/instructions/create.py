"""Contracts come and go: CREATE, CREATE2 (EIP-1014, 3860), SELFDESTRUCT (EIP-6780)."""

from crypto import rlp
from crypto.hashing import keccak256
from vm.evm import gas as prices
from vm.evm.frame import CALLING, DONE, Call, Frame
from vm.evm.halts import MAX_INITCODE_SIZE, WRITE_PROTECTION, Halt
from vm.evm.tracing import FrameInfo

_ADDRESS_MASK = 2**160 - 1


def create_address(creator: bytes, nonce: int) -> bytes:
    """Return the address of what `creator` creates with `nonce` (Yellow Paper, section 7)."""
    return keccak256(rlp.encode([creator, rlp.encode_int(nonce)]))[12:]


def create2_address(creator: bytes, salt: int, init_code: bytes) -> bytes:
    """Return the address that does not depend on the nonce (EIP-1014)."""
    return keccak256(b"\xff" + creator + salt.to_bytes(32, "big") + keccak256(init_code))[12:]


def create(frame: Frame, stack: list[int], _: int) -> None:
    """CREATE: value, offset, size -> the new contract's address, or 0 if it failed.

    Gas 32,000, 2 for each word of init code, and expansion; the init code gets 63/64 of the rest.
    """
    value, offset, size = stack.pop(), stack.pop(), stack.pop()
    init_code = _init_code(frame, offset, size)
    address = create_address(frame.address, frame.world.nonce(frame.address))
    _leave(frame, stack, Call("CREATE", frame.address, address, address, value), init_code)


def create2(frame: Frame, stack: list[int], _: int) -> None:
    """CREATE2: value, offset, size, salt -> as CREATE; 6 more for each word, which is hashed."""
    value, offset, size, salt = stack.pop(), stack.pop(), stack.pop(), stack.pop()
    init_code = _init_code(frame, offset, size)
    # Hashed also for a creation that is then refused: it is compute, the rest of the price is not.
    frame.charge(prices.KECCAK_WORD * prices.words(size))
    address = create2_address(frame.address, salt, init_code)
    _leave(frame, stack, Call("CREATE2", frame.address, address, address, value), init_code)


def _init_code(frame: Frame, offset: int, size: int) -> bytes:
    if frame.is_static:
        raise Halt(WRITE_PROTECTION)
    if size > prices.INITCODE_BYTES_MAX:
        raise Halt(MAX_INITCODE_SIZE)
    frame.spend(prices.INITCODE_WORD * prices.words(size))
    return frame.read(offset, size)


def _leave(frame: Frame, stack: list[int], made: Call, init_code: bytes) -> None:
    """Give the creation its gas, raise the nonce, and wait for it."""
    world, here = frame.world, frame.address
    frame.return_data = b""
    nonce = world.nonce(here)
    is_short = world.balance(here) < made.value
    made.gas = gas = frame.gas - frame.gas // 64
    made.data = init_code
    if is_short or nonce >= prices.NONCE_MAX or frame.depth >= prices.CALL_DEPTH_MAX:
        frame.machine.show_refusal(made, frame.depth + 1)
        stack.append(0)
        return
    frame.gas -= gas
    world.set_nonce(here, nonce + 1)
    # Warm even if the creation fails (EIP-2929).
    world.warm_address(made.address)
    made.is_create = True
    frame.output_offset = frame.output_size = 0
    frame.child = made
    frame.state = CALLING


def selfdestruct(frame: Frame, stack: list[int], _: int) -> None:
    """SELFDESTRUCT: beneficiary -> nothing; send it the whole balance and end.

    Gas 5,000, 2,600 if the beneficiary is cold, 25,000 if the balance brings it into being. The
    contract itself goes only if this transaction created it; its balance is then burnt where the
    beneficiary is the contract itself (EIP-6780).
    """
    if frame.is_static:
        raise Halt(WRITE_PROTECTION)
    world, here = frame.world, frame.address
    beneficiary = (stack.pop() & _ADDRESS_MASK).to_bytes(20, "big")
    if world.warm_address(beneficiary):
        frame.spend(prices.COLD_ACCOUNT)
        frame.machine.use_compute(prices.COLD_COMPUTE)
    balance = world.balance(here)
    if balance and world.is_empty(beneficiary):
        frame.spend(prices.NEW_ACCOUNT)
    world.add_balance(here, -balance)
    world.add_balance(beneficiary, balance)
    if world.is_created(here):
        world.add_balance(here, -world.balance(here))
        world.destroy(here)
    frame.state = DONE
    tracer = frame.machine.tracer
    if tracer is not None:
        tracer.enter(
            FrameInfo(
                kind="SELFDESTRUCT",
                depth=frame.depth + 1,
                caller=here,
                to=beneficiary,
                value=balance,
                data=b"",
                gas=0,
            )
        )
        tracer.exit(gas_left=0, output=b"", error="")
