"""The price list. What each price was measured against stands in docs/spec/gas.md.

Two meters bound a block. Rule of the list: a microsecond of the reference machine costs at least
400 gas in native contracts, so that 20,000,000 gas of them execute in about 50 ms whatever they
are. Bytecode is priced by Ethereum's schedule, whose worst microsecond costs about 10 gas here, so
a second meter counts what it makes the machine compute (`vm.evm`).
"""

from vm.evm.gas import INITCODE_WORD, NATIVE_PER_COMPUTE, words
from vm.transaction import AccessList, Transaction

BLOCK_GAS_LIMIT = 20_000_000
"""Default of the genesis parameter."""
BLOCK_COMPUTE_LIMIT = 1_000_000
"""Default of the genesis parameter: a unit takes about 0.035 µs at worst."""


def tx_gas_limit(block_gas_limit: int) -> int:
    """Return the most gas that one transaction may ask for: the half that deadlines leave."""
    return block_gas_limit // 2


def tx_compute_limit(block_compute_limit: int) -> int:
    """Return the most that one transaction may compute: half a block's."""
    return block_compute_limit // 2


def block_compute_limit_min(block_gas_limit: int) -> int:
    """Return the least compute limit with which every transaction can find a place.

    Half a block's gas in deadlines, and half in one native call, must fit together.
    """
    return block_gas_limit // NATIVE_PER_COMPUTE


def native_compute(gas_used: int) -> int:
    """Return what counts as computed when native contracts have used so much gas."""
    return gas_used // NATIVE_PER_COMPUTE


def used_after_refund(gas_used: int, refund: int) -> int:
    """Return the gas that is charged when `refund` was earned by clearing storage (EIP-3529)."""
    return gas_used - min(refund, gas_used // REFUND_DIVISOR)


def deadline_gas(block_gas_limit: int) -> int:
    """Return the gas that due deadlines may use in one block; transactions have the rest."""
    return block_gas_limit - block_gas_limit // 2


def deadline_entry_gas(block_gas_limit: int) -> int:
    """Return the gas limit of a single deadline. An entry starts only if all of this is left."""
    return block_gas_limit // 4


# Ethereum's, so that wallets estimate right (Yellow Paper, appendix G; EIP-2028; EIP-2930).
TX_BASE = 21_000
DATA_ZERO_BYTE = 4
DATA_BYTE = 16
ACCESS_LIST_ADDRESS = 2_400
ACCESS_LIST_KEY = 1_900
CREATION = 32_000
REFUND_DIVISOR = 5
"""At most a fifth of the gas used is given back (EIP-3529)."""

# Native contracts. A method's own base price stands in its decorator.
METHOD = 500
"""A simple method: dispatch and a few comparisons."""
CALLDATA_WORD = 500
"""Decoding, for each 32 bytes after the selector."""
OUTPUT_BYTE = 8
"""Encoding what a method returns."""
READ = 1_000
READ_BYTE = 1
WRITE = 8_000
"""A key that exists, changed or deleted; the read before it is included."""
WRITE_NEW = 12_000
"""A key that does not exist yet: it stays in everybody's tree."""
WRITE_BYTE = 8
AGAIN = 200
"""Reading or writing a key that the same transaction has read, or written, before."""
LOG = 2_500
LOG_TOPIC = 250
LOG_BYTE = 8
SCHEDULE = 30_000
"""A deadline: entering the queue now and leaving it later."""
DEADLINE_BASE = 20_000
"""Taking a deadline out of the queue and starting its contract."""
MEMBER_KEY = 300
"""Each node key of the member set that a contract reads: decoding and hashing it."""
REGISTER = 10_000
"""Registering or unregistering an account."""

# For contracts that verify signatures: `ctx.charge` before the work.
SECP256K1_VERIFY = 30_000
ED25519_VERIFY = 40_000
HASH = 500
"""A tagged hash or Keccak-256 of at most a few hundred bytes."""


def intrinsic_gas(tx: Transaction) -> int:
    """Return what a transaction costs before anything is executed."""
    return call_intrinsic_gas(tx.to, tx.data, tx.access_list)


def call_intrinsic_gas(to: bytes | None, data: bytes, access_list: AccessList = ()) -> int:
    """Return the same for a transaction that would be sent to `to` (None creates) with `data`."""
    zeros = data.count(0)
    gas = TX_BASE + DATA_ZERO_BYTE * zeros + DATA_BYTE * (len(data) - zeros)
    if to is None:
        gas += CREATION + INITCODE_WORD * words(len(data))
    for _, keys in access_list:
        gas += ACCESS_LIST_ADDRESS + ACCESS_LIST_KEY * len(keys)
    return gas
