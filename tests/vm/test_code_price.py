"""Reading and decoding a code is paid for once in a block, by what the block holds."""

import pytest

from tests.vm.chain import MEMBERS, chain
from tests.vm.programs import SLOAD, call, count, deploy, program, push
from vm import gas
from vm.errors import InvalidTransaction
from vm.evm.gas import CODE_BYTE_COMPUTE, decoding
from vm.evm.interpreter import PROGRAMS
from vm.evm.program import Codes
from vm.execute import Meters, apply_transaction
from vm.state import Journal

ALICE, BOB = MEMBERS[:2]


def heavy(_at):
    """A long way through the code, without anything that is only warm the second time."""
    return (push(0) + push(0) + bytes((SLOAD, 0x01, 0x50))) * 100


class Place:
    """A block in the making."""

    def __init__(self, c):
        self._host, self.journal, self.codes = c.machine._host, Journal(c.state), Codes()
        self._info = c.machine._info(c.head.number + 1, c.head.time_ms + 1, c.head.hash)

    def computed(self, tx, before=0):
        """Return what `tx` computes here."""
        applied = apply_transaction(
            self._host,
            self.journal,
            self._info,
            tx,
            before=Meters(compute=before),
            codes=self.codes,
        )
        assert applied.receipt.status == 1
        return applied.compute


def test_the_second_transaction_that_runs_a_code_pays_for_running_it_alone():
    c = chain(quota_gas=10**12)
    address = deploy(c, heavy)
    code = program(heavy)
    place = Place(c)
    first = place.computed(c.send(ALICE, to=address))
    second = place.computed(c.send(BOB, to=address))
    assert first == second + decoding(code) + CODE_BYTE_COMPUTE * len(code)
    assert place.computed(c.send(MEMBERS[2], to=address)) == second


def test_in_a_block_of_its_own_it_pays_whatever_a_node_has_decoded():
    c = chain(quota_gas=10**12)
    address = deploy(c, heavy)
    tx = c.send(ALICE, to=address)
    PROGRAMS.clear()
    unknown = Place(c).computed(tx)
    assert Place(c).computed(tx) == unknown


def test_another_contract_with_the_same_code_pays_no_more():
    c = chain(quota_gas=10**12)
    twins = [deploy(c, heavy), deploy(c, heavy)]
    place = Place(c)
    first, second = (
        place.computed(c.send(ALICE, to=to, nonce=2 + n)) for n, to in enumerate(twins)
    )
    assert second < first


def test_what_did_not_fit_has_paid_for_nothing():
    """It is in no block; a replica that never saw it must come to the same sums."""
    c = chain(quota_gas=10**12)
    address = deploy(c, heavy)
    place = Place(c)
    with pytest.raises(InvalidTransaction, match="exceeds block compute limit"):
        place.computed(c.send(ALICE, to=address), before=gas.BLOCK_COMPUTE_LIMIT - 5_000)
    tx = c.send(BOB, to=address)
    assert place.computed(tx) == Place(c).computed(tx)


def test_what_failed_has_paid():
    """It is in the block with its receipt, and every replica has decoded what it ran."""
    c = chain(quota_gas=10**12)
    address = deploy(c, heavy, count)
    place = Place(c)
    with pytest.raises(AssertionError):
        place.computed(c.send(ALICE, to=address, gas_limit=45_000))
    tx = c.send(BOB, to=address)
    assert place.computed(tx) < Place(c).computed(tx)


def test_a_block_that_was_built_is_executed_alike():
    """Near its limit, where a difference of one unit would show."""
    c = chain(quota_gas=10**12)
    callees = [deploy(c, *[heavy] * n) for n in range(1, 9)]
    caller = deploy(c, *[call(callee, must=True) for callee in callees], count)
    nonce = {signer.address: c.machine.next_nonce(c.state, signer.address) for signer in MEMBERS}
    txs = [
        c.send(signer, to=to, nonce=nonce[signer.address] + n, gas_limit=900_000)
        for n, to in enumerate([caller, *callees, caller, caller])
        for signer in MEMBERS[:4]
    ]
    built = c.build(txs)
    assert len(built.block.transactions) < len(txs)
    PROGRAMS.clear()
    assert c.execute(built.block).header == built.block.header
