"""No transaction makes a receipt that its readers would refuse, whatever a genesis allows."""

from tests.vm.chain import MEMBERS, chain
from tests.vm.programs import GAS, JUMP, JUMPDEST, JUMPI, STOP, deploy, push
from vm import gas
from vm.evm import gas as evm_gas
from vm.genesis import GAS_LIMIT_MAX
from vm.receipt import OUTPUT_BYTES_MAX, RECEIPT_BYTES_MAX, decode_receipt, encode_receipt

LOG0, LT, PIECE = 0xA0, 0x10, 128 * 1024
_FRAME_BYTES = 64
"""Of a receipt without logs and output, at most."""


def logging_all(at):
    """Log pieces of memory for as long as there is gas."""
    reserve = evm_gas.LOG_BYTE * PIECE + 60_000
    head = bytes((JUMPDEST,)) + push(reserve, 4) + bytes((GAS, LT))
    log = push(PIECE, 4) + push(0) + bytes((LOG0,)) + push(at, 2) + bytes((JUMP,))
    end = at + len(head) + 4 + len(log)
    return head + push(end, 2) + bytes((JUMPI,)) + log + bytes((JUMPDEST, STOP))


def test_the_longest_receipt_can_be_read_again():
    c = chain(
        block_gas_limit=GAS_LIMIT_MAX,
        block_compute_limit=GAS_LIMIT_MAX,
        quota_gas=10 * GAS_LIMIT_MAX,
    )
    address = deploy(c, logging_all)
    limit = gas.tx_gas_limit(GAS_LIMIT_MAX)
    (receipt,) = c.seal(c.send(MEMBERS[0], to=address, gas_limit=limit))
    assert receipt.status == 1
    assert len(receipt.logs) * PIECE > 9 * limit // (10 * evm_gas.LOG_BYTE)
    assert decode_receipt(encode_receipt(receipt)) == receipt


def test_all_the_gas_of_a_transaction_buys_no_longer_receipt():
    """A byte of a log costs 8 gas; address, topics and lengths are in the price of a log."""
    assert evm_gas.LOG_BYTE == gas.LOG_BYTE == 8
    most = max(gas.tx_gas_limit(GAS_LIMIT_MAX), gas.deadline_gas(GAS_LIMIT_MAX)) // 8
    assert most + OUTPUT_BYTES_MAX + _FRAME_BYTES <= RECEIPT_BYTES_MAX
