"""Native contracts called from bytecode by their published interfaces, compiled by Vyper."""

import pytest

from cli.contract_artifact import compile_vyper
from crypto import abi
from crypto.keys import AccountKey
from market.abi import ADDRESSES, FUNCTIONS
from market.contracts.permit import domain_separator, permit_digest
from tests.cli.street import run, run_json

EUR = 10**8
NEVER = 2**256 - 1

TILL = """# pragma version ^0.4.0
import IMoneyToken

MONEY: constant(IMoneyToken) = IMoneyToken(0x0000000000000000000000000000000000000103)

paid: public(HashMap[address, uint256])

@external
def pay(owner: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32):
    extcall MONEY.permit(owner, self, amount, deadline, v, r, s)
    assert extcall MONEY.transferFrom(owner, self, amount)
    self.paid[owner] += amount
"""

READER = """# pragma version ^0.4.0
import IMarket
import IMembership
import IMeters
import IMoneyToken
import IRegistry

MARKET: constant(IMarket) = IMarket(0x0000000000000000000000000000000000000107)
MEMBERSHIP: constant(IMembership) = IMembership(0x0000000000000000000000000000000000000100)
MONEY: constant(IMoneyToken) = IMoneyToken(0x0000000000000000000000000000000000000103)
METERS: constant(IMeters) = IMeters(0x0000000000000000000000000000000000000105)
REGISTRY: constant(IRegistry) = IRegistry(0x0000000000000000000000000000000000000101)

@external
@view
def members() -> DynArray[IMembership.Member, 256]:
    return staticcall MEMBERSHIP.members()

@external
@view
def getOffers(window: uint64) -> DynArray[IMarket.Offer, 256]:
    return staticcall MARKET.getOffers(window)

@external
@view
def getCalls(window: uint64) -> DynArray[IMarket.Call, 256]:
    return staticcall MARKET.getCalls(window)

@external
@view
def enrolments(window: uint64) -> DynArray[address, 256]:
    return staticcall MARKET.enrolments(window)

@external
@view
def symbol() -> String[32]:
    return staticcall MONEY.symbol()

@external
@view
def eip712Domain() -> (bytes1, String[64], String[32], uint256, address, bytes32, DynArray[uint256, 1]):
    return staticcall MONEY.eip712Domain()

@external
@view
def terms(window: uint64) -> (uint64, uint64, uint64, uint64, uint256, bool):
    return staticcall MARKET.terms(window)

@external
@view
def fund() -> (int256, uint256, uint256, uint256):
    return staticcall MARKET.fund()

@external
@view
def meterOf(household: address) -> address:
    return staticcall METERS.meterOf(household)

@external
@view
def agentsOf(household: address) -> DynArray[address, 16]:
    return staticcall REGISTRY.agentsOf(household)
"""  # noqa: E501  Vyper has no line breaks there.


@pytest.fixture
def deploy(here, tmp_path):
    """Returns the address of a contract from its source."""
    pytest.importorskip("vyper")

    def create(name, source):
        file = tmp_path / f"{name}.vy"
        file.write_text(source)
        return run_json("contract", "deploy", file)["address"]

    return create


def signature(here, owner, spender, value, nonce=0):
    """v, r, s of a permit on the money token."""
    separator = domain_separator("Hearth Euro", here.genesis.chain_id, ADDRESSES["MoneyToken"])
    digest = permit_digest(
        separator,
        owner=owner.address,
        spender=spender,
        value=value,
        nonce=nonce,
        deadline=NEVER,
    )
    made = owner.sign65(digest)
    return str(27 + made[64]), "0x" + made[:32].hex(), "0x" + made[32:64].hex()


def test_a_contract_is_paid_by_a_signature_in_one_transaction(here, deploy):
    """The owner sends nothing: a neighbour carries the signature, all or nothing."""
    till = deploy("Till", TILL)
    owner = here.household(1)
    made = signature(here, owner, bytes.fromhex(till[2:]), 3 * EUR)
    args = ("contract", "call", till, "pay", here.names[1], "3e8", str(NEVER))
    sent = run_json(*args, *made, "--send")
    assert [event["event"] for event in sent["events"]] == ["Approval", "Transfer"]
    assert run_json("contract", "call", till, "paid", here.names[1])["result"] == 3 * EUR
    assert run_json("contract", "call", "MoneyToken", "balanceOf", till)["result"] == 3 * EUR
    assert run_json("contract", "call", "MoneyToken", "nonces", here.names[1])["result"] == 1
    assert "BAD_SIGNATURE" in run(*args, *made, "--send", code=4).stderr


def test_what_reverts_after_a_permit_takes_it_back(here, deploy):
    """The allowance and the nonce are in the same journal as the contract's own storage."""
    till = deploy("Till", TILL)
    poor = AccountKey(b"\x11" * 32)
    made = signature(here, poor, bytes.fromhex(till[2:]), 5)
    data = (f"0x{poor.address.hex()}", "5", str(NEVER), *made)
    args = ("contract", "call", till, "pay", *data)
    assert "INSUFFICIENT_FUNDS" in run(*args, "--send", code=4).stderr
    pay = "pay(address,uint256,uint256,uint8,bytes32,bytes32)"
    v, r, s = int(made[0]), bytes.fromhex(made[1][2:]), bytes.fromhex(made[2][2:])
    args = (poor.address, 5, NEVER, v, r, s)
    digest = here.submit_data(here.household(0), till, pay, *args)
    here.seal()
    assert not run_json("chain", "tx", digest)["ok"]
    owner = f"0x{poor.address.hex()}"
    assert run_json("contract", "call", "MoneyToken", "nonces", owner)["result"] == 0
    assert run_json("contract", "call", "MoneyToken", "allowance", owner, till)["result"] == 0


def test_vyper_reads_what_the_views_return(here, deploy):
    """Each answer through the contract is the direct answer, byte for byte."""
    window = here.chain.genesis.window_at(here.now) + 2
    here.advance(here.start(window - 1) + 1)
    here.enrol(window)
    key = b"\x07" * 32
    here.send(here.household(0), "Market", "makeOffer", window, 0, 900, key, b"sun" * 5)
    here.send(here.household(1), "Market", "makeOffer", window, 0, 700, key, b"")
    here.send(here.household(2), "Market", "makeCall", window, 500, key)
    reader = bytes.fromhex(deploy("Reader", READER)[2:])
    household = here.household(3).address
    for contract, function, *args in (
        ("Membership", "members"),
        ("Market", "getOffers", window),
        ("Market", "getCalls", window),
        ("Market", "getOffers", window + 9),
        ("Market", "enrolments", window),
        ("Market", "terms", window),
        ("Market", "fund"),
        ("MoneyToken", "symbol"),
        ("MoneyToken", "eip712Domain"),
        ("Meters", "meterOf", household),
        ("Registry", "agentsOf", household),
    ):
        spec = FUNCTIONS[contract][function]
        data = abi.selector(spec.signature) + abi.encode(spec.input_types, args)
        answers = [
            here.chain.call(to, data, sender=household, gas=10_000_000)
            for to in (ADDRESSES[contract], reader)
        ]
        direct, through = answers
        assert (direct.status, through.status) == (1, 1), (contract, function, through)
        assert through.output == direct.output, (contract, function)
        if function in ("members", "getOffers", "getCalls") and args != [window + 9]:
            assert len(direct.output) > 64


def test_a_contract_is_nobodys_household(here, deploy):
    """Only direct calls act for a member (docs/interfaces/README.md)."""
    source = """# pragma version ^0.4.0
import IMarket
@external
def enrol(window: uint64):
    extcall IMarket(0x0000000000000000000000000000000000000107).enrol(window)
"""
    address = deploy("Enroller", source)
    window = here.chain.genesis.window_at(here.now) + 2
    here.advance(here.start(window - 1) + 1)
    text = run("contract", "call", address, "enrol", window, "--send", code=4).stderr
    assert "reverts: NOT_" in text


def test_every_interface_compiles_in_one_contract(tmp_path):
    pytest.importorskip("vyper")
    imports = "\n".join(f"import I{name}" for name in ADDRESSES)
    file = tmp_path / "All.vy"
    file.write_text(f"# pragma version ^0.4.0\n{imports}\n\n@external\ndef f():\n    pass\n")
    assert compile_vyper(file).init_code
