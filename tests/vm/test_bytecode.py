"""Contracts that members deploy: what they see, what they may do, and what is undone."""

import pytest

from crypto import abi
from crypto.hashing import keccak256, tagged_hash
from crypto.merkle import verify_proof
from market.abi import MARKET
from tests.vm import programs
from tests.vm.chain import MEMBERS, STRANGER, TOY, call_data, chain, failure
from tests.vm.programs import (
    COUNTED,
    call,
    count,
    create,
    created_by,
    deploy,
    destroy,
    init_code,
    program,
    return_word,
    revert,
    store,
    transfer,
)
from vm import accounts, contract_state, gas
from vm.accounts import Account, account_key, read_account
from vm.bytecode import COINBASE
from vm.contract_state import block_hash_key, code_at, code_key, slot_key, storage_at
from vm.errors import InvalidTransaction, TxReason
from vm.native import SENTINEL_CODE
from vm.state import Journal

ALICE, BOB, CAROL = MEMBERS[:3]
BALANCE = call_data("balanceOf(address)", ALICE.address)


def word(c, address, **fields):
    result = c.call(address, **fields)
    assert result.status == 1, result
    return int.from_bytes(result.output, "big")


def balance(c, owner):
    return c.read("balanceOf(address)", ["uint256"], owner)[0]


# Creation.


def test_a_member_deploys_a_contract_and_calls_it():
    c = chain()
    code = program(count)
    (receipt,) = c.seal(c.send(ALICE, init_code(code)))
    address = created_by(ALICE.address, 0)
    assert (receipt.status, receipt.output, receipt.logs) == (1, b"", ())
    assert read_account(c.state, address) == Account(1, b"", keccak256(code))
    assert read_account(c.state, ALICE.address).nonce == 1
    assert c.machine.code_at(c.state, address) == code
    first, second = c.seal(
        c.send(ALICE, to=address, nonce=1), c.send(BOB, to=address, gas_limit=60_000)
    )
    assert (first.status, second.status) == (1, 1)
    assert [log.address for log in first.logs] == [address]
    assert first.logs[0].topics == (COUNTED,)
    assert c.machine.storage_at(c.state, address, 0) == 2
    # Intrinsic gas, then two pushes for each of SLOAD, SSTORE and LOG1 by the Cancun schedule.
    reading, adding = 3 + 2_100, 3 + 3
    logging = 3 + 3 + 3 + 375 + 375
    assert first.gas_used == 21_000 + reading + adding + 3 + 20_000 + logging
    assert second.gas_used == 21_000 + reading + adding + 3 + 2_900 + logging


def test_the_gas_of_a_creation():
    """21,000, data, 32,000, 2 a word of init code, execution, 200 a byte of code (EIP-3860)."""
    c = chain()
    data = init_code(b"\0")
    (receipt,) = c.seal(c.send(ALICE, data))
    zeros = data.count(0)
    execution = 3 + 3 + 3 + 2 + (3 + 3 + 3) + 2  # DUP1; three words: CODECOPY and its memory.
    intrinsic = 53_000 + 16 * (len(data) - zeros) + 4 * zeros + 2
    assert receipt.gas_used == intrinsic + execution + 200
    assert gas.call_intrinsic_gas(None, data) == intrinsic


def test_a_creation_that_fails_leaves_only_the_nonce():
    c = chain()
    before = dict(c.state)
    (receipt,) = c.seal(c.send(ALICE, program(count, transfer(BOB.address, 1), revert)))
    assert (receipt.status, receipt.logs, receipt.output) == (0, (), b"")
    changed = {name for name in c.state if c.state[name] != before.get(name)}
    assert changed == {b"a" + ALICE.address, b"q" + ALICE.address, block_hash_key(0)}
    assert read_account(c.state, ALICE.address).nonce == 1


def test_equal_code_is_stored_once():
    c = chain()
    first, second = deploy(c, count), deploy(c, count)
    assert first != second
    assert sum(name[:1] == b"c" for name in c.state) == 1


def test_a_contract_that_goes_in_its_own_transaction_was_never_there():
    """EIP-6780."""
    c = chain()
    before = set(c.state)
    init = count(0) + transfer(BOB.address, 0)(0) + destroy(0)
    (receipt,) = c.seal(c.send(ALICE, init))
    assert receipt.status == 1
    assert [log.address for log in receipt.logs] == [created_by(ALICE.address, 0), TOY]
    assert set(c.state) - before == {b"q" + ALICE.address, block_hash_key(0)} | {
        name for name in c.state if name.startswith(b"s" + TOY) and name not in before
    }
    address = deploy(c, count, destroy)
    (receipt,) = c.seal(c.send(ALICE, to=address))
    assert receipt.status == 1
    assert code_at(c.state, address) == program(count, destroy)


def test_a_contract_may_be_registered_like_any_address():
    """Its record then holds all three parts; each writer keeps what it is not about."""
    c = chain()
    address = deploy(c, create(b"\0"))
    c.seal(c.tx(ALICE, "register(address)", address))
    (receipt,) = c.seal(c.send(BOB, to=address))
    assert receipt.status == 1
    code_hash = keccak256(program(create(b"\0")))
    assert read_account(c.state, address) == Account(2, ALICE.address, code_hash)
    c.seal(c.tx(ALICE, "unregister(address)", address))
    assert read_account(c.state, address) == Account(2, b"", code_hash)


@pytest.mark.parametrize("sponsor", [b"", ALICE.address])
@pytest.mark.parametrize("code_hash", [b"", keccak256(b"code")])
@pytest.mark.parametrize("nonce", [0, 1, 2**64 - 1])
def test_an_account_has_one_form(nonce, sponsor, code_hash):
    journal, account = Journal({}), Account(nonce, sponsor, code_hash)
    accounts.write_account(journal, BOB.address, account)
    assert read_account(journal, BOB.address) == account
    assert bool(journal.changes()) == (account != Account(0, b""))


def test_code_sends_no_transactions():
    """EIP-3607: an address with code whose key somebody found could be a contract's."""
    c = chain()
    account = Account(0, ALICE.address, keccak256(b"code"))
    journal = Journal(c.state)
    accounts.write_account(journal, ALICE.address, account)
    c.state.update(journal.changes())
    with pytest.raises(InvalidTransaction) as caught:
        c.machine.check_transaction(c.tx(ALICE, None), c.state, c.head.time_ms)
    assert caught.value.reason is TxReason.SENDER_HAS_CODE


def test_init_code_has_a_longest_form():
    c = chain()
    for size, is_valid in ((49_152, True), (49_153, False)):
        tx = c.send(ALICE, bytes(size), gas_limit=2_000_000)
        if is_valid:
            c.machine.check_transaction(tx, c.state, c.head.time_ms)
            continue
        with pytest.raises(InvalidTransaction) as caught:
            c.machine.check_transaction(tx, c.state, c.head.time_ms)
        assert caught.value.reason is TxReason.INITCODE_TOO_LARGE
        assert caught.value.reason.text == "max initcode size exceeded"


# What bytecode sees.

COINBASE_OP, NUMBER, TIMESTAMP, PREVRANDAO, GASLIMIT, CHAINID = 0x41, 0x43, 0x42, 0x44, 0x45, 0x46
SELFBALANCE, BASEFEE, GASPRICE, ORIGIN, CALLER = 0x47, 0x48, 0x3A, 0x32, 0x33
BLOCKHASH, EXTCODESIZE, EXTCODEHASH = 0x40, 0x3B, 0x3F


def test_what_opcodes_show_of_block_and_transaction():
    c = chain()
    seen = {
        COINBASE_OP: int.from_bytes(MARKET, "big"),
        SELFBALANCE: 0,
        BASEFEE: 0,
        GASPRICE: 0,
        GASLIMIT: gas.BLOCK_GAS_LIMIT,
        CHAINID: c.machine.genesis.chain_id,
        ORIGIN: int.from_bytes(STRANGER.address, "big"),
        CALLER: int.from_bytes(STRANGER.address, "big"),
    }
    addresses = {opcode: deploy(c, return_word(opcode)) for opcode in seen}
    assert {opcode: word(c, addresses[opcode]) for opcode in seen} == seen
    assert COINBASE == MARKET
    number, stamp, random = (
        deploy(c, return_word(opcode)) for opcode in (NUMBER, TIMESTAMP, PREVRANDAO)
    )
    head = c.head
    assert word(c, number) == head.number
    assert word(c, stamp) == head.time_ms // 1000
    assert word(c, stamp, time_ms=head.time_ms + 5_000) == head.time_ms // 1000 + 5
    expected = tagged_hash(b"hearth/prevrandao", head.parent_hash + head.number.to_bytes(8, "big"))
    assert word(c, random) == int.from_bytes(expected, "big")


def test_a_block_sees_what_a_call_at_it_sees():
    """A transaction in block n, and `eth_call` at block n, have the same environment."""
    c = chain()
    opcodes = (NUMBER, TIMESTAMP, PREVRANDAO)
    keep = [bytes((opcode,)) + programs.push(slot) + b"\x55" for slot, opcode in enumerate(opcodes)]
    storing = deploy(c, lambda _at: b"".join(keep))
    showing = [deploy(c, return_word(opcode)) for opcode in opcodes]
    c.seal(c.send(ALICE, to=storing))
    stored = [storage_at(c.state, storing, slot) for slot in range(3)]
    assert stored == [word(c, address) for address in showing]


def test_the_last_256_block_hashes_are_known():
    c = chain()
    address = deploy(c, lambda at: bytes((programs.PUSH0, 0x35)) + return_word(BLOCKHASH)(at))
    hashes = {c.head.number: c.head.hash}
    while c.head.number < 260:
        c.seal(c.tx(ALICE, None))
        hashes[c.head.number] = c.head.hash
    height = c.head.number

    def shown(number):
        return word(c, address, data=number.to_bytes(32, "big"))

    for number in (height - 1, height - 2, height - 255, height - 256):
        assert shown(number) == int.from_bytes(hashes[number], "big")
    for number in (height - 257, height, height + 1, 2**256 - 1):
        assert shown(number) == 0
    assert sum(name[:1] == b"h" for name in c.state) == contract_state.BLOCK_HASHES


def test_precompiles_answer_directly():
    c = chain()
    assert c.call(bytes(19) + b"\4", b"echo").output == b"echo"
    assert c.call(bytes(19) + b"\6", b"nobody").output == b""


# Native contracts from bytecode.


def test_a_contract_holds_and_moves_tokens_of_its_own():
    c = chain()
    address = deploy(c, count, transfer(BOB.address, 30), count)
    c.seal(c.tx(ALICE, "transfer(address,uint256)", address, 100))
    (receipt,) = c.seal(c.send(CAROL, to=address))
    assert receipt.status == 1
    assert [log.address for log in receipt.logs] == [address, TOY, address]
    assert receipt.logs[1].topics[1][12:] == address
    assert (balance(c, address), balance(c, BOB.address)) == (70, 1_000_030)
    assert balance(c, CAROL.address) == 1_000_000


def test_nobody_stands_behind_a_contracts_call():
    """Else a member that calls a stranger's contract would vote, trade and register by it."""
    c = chain()
    types = ["uint64", "address", "(uint64,address)[]"]
    returning = bytes((programs.RETURNDATASIZE, 0x5F, 0x5F, programs.RETURNDATACOPY))
    returning += bytes((programs.RETURNDATASIZE, 0x5F, programs.RETURN))
    address = deploy(c, call(TOY, call_data("describe()")), lambda _at: returning)
    result = c.call(address, sender=ALICE)
    _, sponsor, ((_, caller),) = abi.decode(types, result.output)
    assert (sponsor, caller) == (bytes(20), address)
    direct = abi.decode(types, c.call(TOY, call_data("describe()"), sender=ALICE).output)
    assert direct[1] == ALICE.address


def test_a_refusal_can_be_passed_on():
    c = chain()
    address = deploy(c, count, transfer(BOB.address, 5, must=True))
    (receipt,) = c.seal(c.send(ALICE, to=address))
    assert failure(receipt) == "INSUFFICIENT_BALANCE: has 0, needs 5"
    assert receipt.logs == ()
    assert storage_at(c.state, address, 0) == 0


def test_only_views_are_called_statically():
    c = chain()
    moving = deploy(c, transfer(BOB.address, 0, kind=programs.STATICCALL, must=True))
    assert failure(c.call(moving)).startswith("NOT_A_VIEW: transfer(address,uint256)")
    asking = deploy(c, call(TOY, BALANCE, kind=programs.STATICCALL, must=True), count)
    assert c.call(asking).status == 1
    inside = deploy(c, call(moving, kind=programs.STATICCALL, must=True))
    assert failure(c.call(inside)).startswith("NOT_A_VIEW")


@pytest.mark.parametrize("kind", [programs.DELEGATECALL, programs.CALLCODE])
def test_natives_are_not_borrowed(kind):
    """Their code would run over somebody else's storage."""
    c = chain()
    address = deploy(c, call(TOY, BALANCE, kind=kind, must=True))
    assert c.call(address).status == 0
    ignoring = deploy(c, call(TOY, BALANCE, kind=kind), count)
    assert c.call(ignoring).status == 1


def test_value_cannot_be_sent():
    """There is no coin: the call fails as that of an account without balance on Ethereum."""
    c = chain()
    address = deploy(c, call(BOB.address, value=1, must=True))
    assert c.call(address).status == 0
    assert c.call(deploy(c, call(BOB.address, value=1), count)).status == 1


def test_natives_show_sentinel_code():
    c = chain()
    size = deploy(c, lambda at: programs.push(TOY) + return_word(EXTCODESIZE)(at))
    digest = deploy(c, lambda at: programs.push(TOY) + return_word(EXTCODEHASH)(at))
    assert word(c, size) == len(SENTINEL_CODE)
    assert word(c, digest) == int.from_bytes(keccak256(SENTINEL_CODE), "big")
    assert c.machine.code_at(c.state, TOY) == SENTINEL_CODE


def test_what_a_frame_undoes_is_undone_on_both_sides():
    c = chain()
    inner = deploy(c, count, transfer(BOB.address, 7), revert)
    outer = deploy(c, count, call(inner), transfer(CAROL.address, 1))
    for address in (inner, outer):
        c.seal(c.tx(ALICE, "transfer(address,uint256)", address, 50))
    (receipt,) = c.seal(c.send(ALICE, to=outer))
    assert receipt.status == 1
    assert [log.address for log in receipt.logs] == [outer, TOY]
    assert (storage_at(c.state, inner, 0), storage_at(c.state, outer, 0)) == (0, 1)
    assert (balance(c, inner), balance(c, outer), balance(c, BOB.address)) == (50, 49, 1_000_000)


def test_a_native_that_runs_out_of_gas_costs_what_it_was_given():
    c = chain()
    burn = call(TOY, call_data("burnGas(uint256)", 10**9), gas=50_000)
    address = deploy(c, burn, count)
    (receipt,) = c.seal(c.send(ALICE, to=address))
    assert receipt.status == 1
    assert 50_000 < receipt.gas_used - 21_000 < 50_000 + 30_000


# Refunds.


def test_clearing_storage_gives_gas_back():
    """4,800 for a slot, and at most a fifth of what was used (EIP-3529)."""
    c = chain()
    address = deploy(c, lambda _at: bytes((0x5F, 0x35, 0x60, 1, 0x55)))  # slot 1 = word 0
    first, second = c.seal(
        c.send(ALICE, (1).to_bytes(32, "big"), to=address), c.send(BOB, bytes(32), to=address)
    )
    setting, clearing = 2 + 3 + 3 + 22_100, 2 + 3 + 3 + 5_000
    assert first.gas_used == 21_000 + 31 * 4 + 16 + setting
    assert second.gas_used == 21_000 + 32 * 4 + clearing - 4_800
    assert storage_at(c.state, address, 1) == 0
    assert slot_key(address, 1) not in c.state
    assert gas.used_after_refund(100, 50) == 80


# Proofs.


def test_what_a_contract_stores_can_be_proven():
    """As `hearth_getProof` does: the account with its code hash, the code, a slot, a block hash."""
    c = chain()
    address = deploy(c, count, store(2**256 - 1, 2**255))
    c.seal(c.send(ALICE, to=address))
    code = program(count, store(2**256 - 1, 2**255))
    known = {
        account_key(address): (1).to_bytes(8, "big") + keccak256(code),
        code_key(keccak256(code)): code,
        slot_key(address, 0): b"\1",
        slot_key(address, 2**256 - 1): (2**255).to_bytes(32, "big"),
        slot_key(address, 1): None,
        block_hash_key(c.head.number - 1): c.head.parent_hash,
    }
    for name, value in known.items():
        verify_proof(c.head.state_root, name, value, c.tree.prove(name))
