"""The price list. What each price was measured against stands in docs/spec/gas.md.

Rule of the list: a microsecond of the reference machine costs at least 400 gas, so that a block
of 20,000,000 gas executes in about 50 ms whatever is in it.
"""

from vm.transaction import Transaction

BLOCK_GAS_LIMIT = 20_000_000
"""Default of the genesis parameter."""


def tx_gas_limit(block_gas_limit: int) -> int:
    """Return the most gas that one transaction may ask for: the half that deadlines leave."""
    return block_gas_limit // 2


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
REGISTER = 10_000
"""Registering or unregistering an account."""

# For contracts that verify signatures: `ctx.charge` before the work.
SECP256K1_VERIFY = 30_000
ED25519_VERIFY = 40_000
HASH = 500
"""A tagged hash or Keccak-256 of at most a few hundred bytes."""


def intrinsic_gas(tx: Transaction) -> int:
    """Return what a transaction costs before anything is executed."""
    gas = call_intrinsic_gas(tx.data)
    for _, keys in tx.access_list:
        gas += ACCESS_LIST_ADDRESS + ACCESS_LIST_KEY * len(keys)
    return gas


def call_intrinsic_gas(data: bytes) -> int:
    """Return the same for a transaction that carries `data` and no access list."""
    zeros = data.count(0)
    return TX_BASE + DATA_ZERO_BYTE * zeros + DATA_BYTE * (len(data) - zeros)
