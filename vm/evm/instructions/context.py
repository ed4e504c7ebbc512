"""What a frame can ask about itself, other accounts and the block (Yellow Paper, H.2, 30s, 40s)."""

from vm.evm.frame import Frame
from vm.evm.world import EMPTY_CODE_HASH

_ADDRESS_MASK = 2**160 - 1
_BLOCK_HASHES = 256


def address(frame: Frame, stack: list[int], _: int) -> None:
    """ADDRESS: -> the account whose storage this frame uses. Gas 2."""
    stack.append(int.from_bytes(frame.address, "big"))


def balance(frame: Frame, stack: list[int], _: int) -> None:
    """BALANCE: account -> its balance. Gas 100, 2,600 cold."""
    account = (stack[-1] & _ADDRESS_MASK).to_bytes(20, "big")
    frame.use_address(account)
    stack[-1] = frame.world.balance(account)


def selfbalance(frame: Frame, stack: list[int], _: int) -> None:
    """SELFBALANCE: -> this account's balance (EIP-1884). Gas 5."""
    stack.append(frame.world.balance(frame.address))


def origin(frame: Frame, stack: list[int], _: int) -> None:
    """ORIGIN: -> the transaction's sender. Gas 2."""
    stack.append(int.from_bytes(frame.machine.env.origin, "big"))


def caller(frame: Frame, stack: list[int], _: int) -> None:
    """CALLER: -> who called. Gas 2."""
    stack.append(int.from_bytes(frame.caller, "big"))


def callvalue(frame: Frame, stack: list[int], _: int) -> None:
    """CALLVALUE: -> value of the message. Gas 2."""
    stack.append(frame.value)


def gasprice(frame: Frame, stack: list[int], _: int) -> None:
    """GASPRICE: -> the transaction's effective gas price (EIP-1559). Gas 2."""
    stack.append(frame.machine.env.gas_price)


def extcodesize(frame: Frame, stack: list[int], _: int) -> None:
    """EXTCODESIZE: account -> bytes of its code. Gas 100, 2,600 cold."""
    account = (stack[-1] & _ADDRESS_MASK).to_bytes(20, "big")
    frame.use_address(account)
    stack[-1] = len(frame.world.code(account))


def extcodehash(frame: Frame, stack: list[int], _: int) -> None:
    """EXTCODEHASH: account -> hash of its code, 0 if it counts as absent (EIP-1052).

    Gas 100, 2,600 cold. The hash is stored with the account: nothing is hashed here.
    """
    account = (stack[-1] & _ADDRESS_MASK).to_bytes(20, "big")
    frame.use_address(account)
    code_hash = frame.world.code_hash(account)
    if code_hash == EMPTY_CODE_HASH and frame.world.is_empty(account):
        stack[-1] = 0
    else:
        stack[-1] = int.from_bytes(code_hash, "big")


def blockhash(frame: Frame, stack: list[int], _: int) -> None:
    """BLOCKHASH: number -> hash of one of the 256 blocks before this one, else 0. Gas 20."""
    number, current = stack[-1], frame.machine.env.number
    is_known = max(0, current - _BLOCK_HASHES) <= number < current
    stack[-1] = frame.machine.env.block_hash(number) if is_known else 0


def coinbase(frame: Frame, stack: list[int], _: int) -> None:
    """COINBASE: -> the block's beneficiary. Gas 2."""
    stack.append(int.from_bytes(frame.machine.env.coinbase, "big"))


def timestamp(frame: Frame, stack: list[int], _: int) -> None:
    """TIMESTAMP: -> the block's time in seconds. Gas 2."""
    stack.append(frame.machine.env.time_s)


def number(frame: Frame, stack: list[int], _: int) -> None:
    """NUMBER: -> the block's number. Gas 2."""
    stack.append(frame.machine.env.number)


def prevrandao(frame: Frame, stack: list[int], _: int) -> None:
    """PREVRANDAO: -> the block's mix (EIP-4399). Gas 2."""
    stack.append(frame.machine.env.prev_randao)


def gaslimit(frame: Frame, stack: list[int], _: int) -> None:
    """GASLIMIT: -> the block's gas limit. Gas 2."""
    stack.append(frame.machine.env.gas_limit)


def chainid(frame: Frame, stack: list[int], _: int) -> None:
    """CHAINID: -> the chain's id (EIP-1344). Gas 2."""
    stack.append(frame.machine.env.chain_id)


def basefee(frame: Frame, stack: list[int], _: int) -> None:
    """BASEFEE: -> the block's base fee (EIP-3198). Gas 2."""
    stack.append(frame.machine.env.base_fee)


def blobhash(frame: Frame, stack: list[int], _: int) -> None:
    """BLOBHASH: i -> 0: there are no blobs (EIP-4844). Gas 3."""
    stack[-1] = 0


def blobbasefee(frame: Frame, stack: list[int], _: int) -> None:
    """BLOBBASEFEE: -> 1, the least that it can be (EIP-7516). Gas 2."""
    stack.append(1)
