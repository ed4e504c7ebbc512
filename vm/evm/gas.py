"""Gas prices of the Cancun schedule that depend on operands, and the price of compute.

The static prices stand in the table of `vm.evm.opcodes`. Names follow the Yellow Paper, appendix G.

Compute is the second meter: 30 units are about one microsecond of the reference machine, worst
case. An instruction's compute is its gas unless the gas pays for storage, or is too low: then it is
what `hearth bench vm --worst` says.
"""

WORD_BYTES = 32

MEMORY_WORD = 3
MEMORY_QUADRATIC = 512
COPY_WORD = 3
KECCAK_WORD = 6
EXP_BYTE = 50
LOG_BYTE = 8

COLD_ACCOUNT = 2_600
WARM = 100
"""A warm account or slot (EIP-2929)."""
COLD_SLOT = 2_100

SSTORE_SET = 20_000
SSTORE_RESET = 2_900
SSTORE_CLEAR_REFUND = 4_800
SSTORE_SENTRY = 2_300
"""SSTORE needs more than this (EIP-2200)."""

CALL_VALUE = 9_000
CALL_STIPEND = 2_300
NEW_ACCOUNT = 25_000
CALL_DEPTH_MAX = 1_024

CREATE_DATA_BYTE = 200
INITCODE_WORD = 2
CODE_BYTES_MAX = 24_576
"""EIP-170."""
INITCODE_BYTES_MAX = 49_152
"""EIP-3860."""
NONCE_MAX = 2**64 - 1
"""EIP-2681."""

NATIVE_PER_COMPUTE = 40
"""Native contracts are priced at 400 gas for a microsecond."""
NATIVE_CALL_COMPUTE = 200
"""Of calling a native contract, whatever comes of it: a refusal may have cost no gas at all."""
EXP_BYTE_COMPUTE = 130
"""A byte of an exponent: up to sixteen products of 256 bits, each reduced."""
BLOCK_COMPUTE = 3
"""A basic block, besides its instructions."""
COLD_COMPUTE = 100
"""Reading an account, its code or a slot from disk."""
LOG_ITEM_COMPUTE = 20
"""Of an address or topic of a log, which is hashed for the bloom filter and encoded."""
CALLDATA_COMPUTE_SHIFT = 8
"""A call's input costs one unit for each 256 bytes."""
CODE_BYTE_COMPUTE = 2
"""The first call of a code in a transaction, for each byte: reading it, and finding the jump
destinations. Taken whether or not the node has it decoded: what a node has in its caches is not
part of the protocol."""
INITCODE_BYTE_COMPUTE = 2
"""Init code is new every time: it is hashed, too."""
DECODE_BYTE_COMPUTE = 4
DECODE_BLOCK_COMPUTE = 24
"""Decoding a code from end to end, for each byte and for each basic block."""
DECODE_SHARE = 5
"""Nobody pays for decoding what is not run: until a code's decoding is paid for, each unit that the
transaction computes in it counts so many more. At least that much is computed in a block that is
decoded (`vm.evm.interpreter`)."""
_BLOCK_ENDS = bytes.fromhex("5b 57 55 5a f0 f1 f2 f4 f5 fa")
"""JUMPDEST, and what ends a basic block and lets execution go on behind it."""


def words(size: int) -> int:
    """Return how many 32-byte words `size` bytes touch."""
    return (size + 31) >> 5


def decoding(code: bytes) -> int:
    """Return the compute of decoding all of `code`; push data may be taken for ends of blocks."""
    blocks = len(code) - len(code.translate(None, _BLOCK_ENDS))
    return DECODE_BYTE_COMPUTE * len(code) + DECODE_BLOCK_COMPUTE * blocks


def native_gas(compute: int) -> int:
    """Return the most gas that a native contract may use for `compute` units."""
    return NATIVE_PER_COMPUTE * (compute + 1) - 1
