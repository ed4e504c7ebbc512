"""ABIs, arguments and artifacts of the command line: what is read, and what is refused by name."""

import json
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.contract_abi import ContractAbi, Entry
from cli.contract_artifact import load, load_abi
from cli.contract_values import read_arguments
from cli.errors import CommandError, Unusable
from cli.interfaces import json_abi
from crypto import abi
from crypto.abi_event import encode_event, parse_parameters
from crypto.errors import DecodeError
from market.abi import ADDRESSES
from node.rpc.abi_json import results_to_json
from testnet.errors import BadFile
from tests.vm.oracles import eth_abi

ALICE = b"\xaa" * 20


def resolve(text, field):
    if text == "alice":
        return ALICE
    if len(text) != 42 or not text.startswith("0x"):
        raise Unusable(f"{field}: {text!r} is no address")
    return bytes.fromhex(text[2:])


def read(types, *texts):
    return read_arguments(parse_parameters(types), texts, resolve)


# Arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("uint256", "0", 0),
        ("uint256", "1_000_000", 10**6),
        ("uint256", "5e8", 5 * 10**8),
        ("uint256", "1_000e18", 10**21),
        ("uint8", "0xff", 255),
        ("int64", "-5", -5),
        ("int64", "-1e3", -1000),
        ("bool", "true", True),
        ("bool", "False", False),
        ("address", "alice", ALICE),
        ("address", "0x" + "bb" * 20, b"\xbb" * 20),
        ("bytes4", "0x01020304", b"\1\2\3\4"),
        ("bytes", "0x", b""),
        ("string", "Füße", "Füße"),
        ("string", "123", "123"),
        ("uint8[]", "[1, 2, 3]", [1, 2, 3]),
        ("uint256[2]", '["1e3", "0x10"]', [1000, 16]),
        ("address[]", '["alice"]', [ALICE]),
        ("bool[]", "[true, false]", [True, False]),
        ("(uint8 a,address b)", '{"b": "alice", "a": 1}', (1, ALICE)),
        ("(uint8,address)", '[1, "alice"]', (1, ALICE)),
        ("(uint8 a,(address b)[] c)[]", '[{"a": 1, "c": [["alice"]]}]', [(1, [(ALICE,)])]),
        ("string[]", '["true", "1e3"]', ["true", "1e3"]),
    ],
)
def test_texts_are_read_by_their_type(kind, text, value):
    assert read(f"{kind} it", text) == [value]
    abi.encode([parse_parameters(kind)[0].type], [value])


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("uint8", "256", "it: must be a uint8, got 256"),
        ("uint8", "-1", "it: must be a uint8"),
        ("uint8", "1.5", "it: must be an integer"),
        ("uint8", "", "it: must be an integer"),
        ("uint8", "1__0", "it: must be an integer"),
        ("uint256", "1e99", "it: must be"),
        ("bool", "yes", "it: must be true or false"),
        ("address", "bob", "it: 'bob' is no address"),
        ("bytes4", "0x0102", "it: must be"),
        ("bytes", "xyz", "it: must be"),
        ("string", "\ud800", "it: must be encodable"),
        ("uint8[]", "1,2", "it: must be JSON for uint8"),
        ("uint8[]", "[256]", r"it\[0\]: must be a uint8"),
        ("uint8[]", "[1.5]", r"it\[0\]: must be an integer"),
        ("uint8[]", "[NaN]", r"it\[0\]: must be an integer"),
        ("uint8[2]", "[1]", "it: must have 2 items"),
        ("uint8[]", '{"a": 1}', "it: must be"),
        ("(uint8 a)", "[]", "it: must have 1 items"),
        ("(uint8 a)", '{"b": 1}', "it.b: is not known"),
        ("bool[]", '["true"]', r"it\[0\]: must be true or false"),
        ("uint8[]", "[" * 100_000, "it: must be JSON"),
        ("string", "a" * 300_000, "it: must be at most"),
    ],
)
def test_a_wrong_argument_is_named(kind, text, words):
    with pytest.raises(Unusable, match=words):
        read(f"{kind} it", text)


def test_arguments_without_names_are_counted():
    with pytest.raises(Unusable, match="argument 2: must be true or false"):
        read("uint8,bool", "1", "2")


def test_too_few_and_too_many_arguments():
    with pytest.raises(Unusable, match="got 1, the function takes 2: address to, uint256 amount"):
        read("address to,uint256 amount", "alice")
    with pytest.raises(Unusable, match="got 1, the function takes 0: none"):
        read("", "alice")


VALUES = st.one_of(
    st.tuples(st.just("uint256"), st.integers(0, 2**256 - 1)),
    st.tuples(st.just("int128"), st.integers(-(2**127), 2**127 - 1)),
    st.tuples(st.just("bool"), st.booleans()),
    st.tuples(st.just("address"), st.binary(min_size=20, max_size=20)),
    st.tuples(st.just("bytes32"), st.binary(min_size=32, max_size=32)),
    st.tuples(st.just("bytes"), st.binary(max_size=50)),
    st.tuples(st.just("uint64[]"), st.lists(st.integers(0, 2**64 - 1), max_size=4)),
    st.tuples(
        st.just("(address,bytes)[]"),
        st.lists(st.tuples(st.binary(min_size=20, max_size=20), st.binary(max_size=9)), max_size=3),
    ),
)


@given(VALUES)
def test_what_is_shown_is_read_back(drawn):
    """The JSON of a result is the text of an argument."""
    kind, value = drawn
    (parameter,) = parse_parameters(kind)
    shown = results_to_json((parameter,), (value,))
    text = shown if isinstance(shown, str) else json.dumps(shown)
    assert read_arguments((parameter,), (text,), resolve) == [value]


@given(st.text(max_size=40), st.sampled_from(["uint8", "bool", "bytes", "uint8[]", "(bool a)[2]"]))
def test_any_text_is_a_value_or_refused(text, kind):
    try:
        values = read(kind, text)
    except Unusable:
        return
    abi.encode([parse_parameters(kind)[0].type], values)


# ABIs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ADDRESSES)
def test_our_own_abis_are_read(name):
    read_abi = ContractAbi.parse(json_abi(name), name)
    assert [each.to_json() for entry in read_abi.functions for each in entry.inputs] == [
        item for entry in json_abi(name) if entry["type"] == "function" for item in entry["inputs"]
    ]


def token(**more):
    uint, text = {"name": "amount", "type": "uint256"}, {"name": "t", "type": "string"}
    return [
        {"type": "constructor", "inputs": [{"name": "supply", "type": "uint256"}]},
        {"type": "function", "name": "pay", "inputs": [uint], "outputs": []},
        {"type": "function", "name": "pay", "inputs": [], "outputs": [], **more},
        {"type": "event", "name": "Paid", "inputs": [{**uint, "indexed": False}]},
        {"type": "event", "name": "Noted", "inputs": [{**text, "indexed": True}]},
        {"type": "error", "name": "TooLittle", "inputs": [uint]},
        {"type": "fallback", "stateMutability": "payable"},
        {"type": "receive", "stateMutability": "payable"},
    ]


def test_overloaded_functions_are_asked_for_by_signature():
    parsed = ContractAbi.parse(token(), "abi")
    assert parsed.function("pay(uint256)").input_types == ("uint256",)
    with pytest.raises(LookupError, match=r"ambiguous: pay\(uint256\), pay\(\)"):
        parsed.function("pay")
    with pytest.raises(LookupError, match="there are pay"):
        parsed.function("buy")


def test_reverts_in_words():
    parsed = ContractAbi.parse(token(), "abi")
    error = abi.selector("TooLittle(uint256)") + eth_abi.encode(["uint256"], [7])
    assert parsed.reason(error) == "TooLittle(amount 7)"
    text = abi.selector("Error(string)") + eth_abi.encode(["string"], ["no"])
    assert parsed.reason(text) == "no"
    panic = abi.selector("Panic(uint256)") + eth_abi.encode(["uint256"], [0x11])
    assert "overflow" in parsed.reason(panic)
    assert parsed.reason(b"") == "no reason was given"
    assert parsed.reason(error[:-1]) == "0x" + error[:-1].hex()
    assert parsed.reason(b"\1\2\3\4\5") == "0x0102030405"


def test_logs_in_words():
    parsed = ContractAbi.parse(token(), "abi")
    topics, data = encode_event("Paid(uint256)", (5,))
    assert parsed.describe_log(topics, data) == ("Paid", {"amount": 5})
    topics, data = encode_event("Noted(string indexed)", ("hello",))
    name, values = parsed.describe_log(topics, data)
    assert (name, values["t"]) == ("Noted", "0x" + topics[1].hex())
    assert parsed.describe_log(topics, b"\1") is None
    assert parsed.describe_log((), b"") is None


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ({}, "abi: must be a list"),
        ([5], r"abi\[0\]: must be an object"),
        ([{"type": "function"}], r"abi\[0\].name: must be text"),
        ([{"type": "function", "name": "f g"}], r"abi\[0\].name"),
        ([{"type": "method", "name": "f"}], r"abi\[0\].type: is not known"),
        ([{"name": "f", "inputs": 1}], r"abi\[0\].inputs: must be a list"),
        ([{"name": "f", "inputs": [{"type": "uint7"}]}], r"abi\[0\].inputs\[0\].type"),
        ([{"name": "f", "inputs": [{"type": "tuple"}]}], r"components: must be a list"),
        ([{"name": "f", "inputs": [{"type": "uint8", "name": 1}]}], r"inputs\[0\].name"),
        ([{"name": "f", "inputs": [{"type": "uint8", "name": "\x1b[2J"}]}], r"inputs\[0\].name"),
        ([{}] * 5000, "at most 4096 items"),
    ],
)
def test_a_bad_abi_is_refused_by_name(entries, field):
    with pytest.raises(BadFile, match=field):
        ContractAbi.parse(entries, "abi")


def test_an_abi_may_not_nest_without_end():
    inner = {"type": "uint8"}
    for _ in range(20):
        inner = {"type": "tuple", "components": [inner]}
    with pytest.raises(BadFile, match="must nest at most"):
        ContractAbi.parse([{"name": "f", "inputs": [inner]}], "abi")


@pytest.mark.parametrize(
    ("text", "signature", "outputs"),
    [
        ("f()", "f()", ()),
        ("balanceOf(address)(uint256)", "balanceOf(address)", ("uint256",)),
        ("f((uint8 a,bool)[] x)((uint8,bool)[])", "f((uint8,bool)[])", ("(uint8,bool)[]",)),
    ],
)
def test_a_signature_stands_for_an_abi(text, signature, outputs):
    entry = Entry.from_signature(text)
    assert entry.signature == signature
    assert tuple(each.type for each in entry.outputs) == outputs


@given(st.text(alphabet="f(uint8),[]x ", max_size=30))
def test_a_bad_signature_is_refused(text):
    try:
        entry = Entry.from_signature(text)
    except DecodeError:
        return
    assert abi.selector(entry.signature) == entry.selector


# Artifacts ----------------------------------------------------------------------------------------

CODE = "600160005260206000f3"


def write(tmp_path, value, name="Token.json"):
    path = tmp_path / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


def standard(**contracts):
    """solc's and vyper's output in standard JSON."""
    return {
        "contracts": {
            "a.sol": {
                name: {"abi": token(), "evm": {"bytecode": {"object": code}}}
                for name, code in contracts.items()
            }
        },
        "sources": {},
    }


@pytest.mark.parametrize(
    "value",
    [
        {"abi": token(), "bytecode": "0x" + CODE},
        {"abi": token(), "bytecode": CODE, "contractName": "Token", "metadata": {}},
        {"abi": token(), "bytecode": {"object": "0x" + CODE, "linkReferences": {}}},
        standard(Token=CODE),
        standard(Token=CODE, IThing=""),
        {"contracts": {"a.sol:Token": {"abi": token(), "bin": CODE}}},
        {"contracts": {"a.sol:Token": {"abi": json.dumps(token()), "bin": CODE}}},
    ],
)
def test_the_files_of_all_compilers_are_read(tmp_path, value):
    artifact = load(write(tmp_path, value))
    assert (artifact.name, artifact.init_code.hex()) == ("Token", CODE)
    assert artifact.abi.constructor.input_types == ("uint256",)
    again = load(write(tmp_path, artifact.to_json()))
    assert (again.abi, again.init_code, again.name) == (artifact.abi, artifact.init_code, "Token")
    assert load_abi(write(tmp_path, artifact.json_abi)) == artifact.abi


@pytest.mark.parametrize(
    ("file", "name"),
    [("Token.json", "Token"), ("my token.v2.json", "my_token_v2"), ("2.json", "_2")],
)
def test_a_contract_without_a_name_has_its_files(tmp_path, file, name):
    assert load(write(tmp_path, {"abi": [], "bytecode": CODE}, file)).name == name


def test_one_of_several_contracts_is_named(tmp_path):
    path = write(tmp_path, standard(Token=CODE, Other="6000"))
    assert load(path, "Other").init_code == b"\x60\x00"
    with pytest.raises(Unusable, match=r"holds Other, Token: name one with --contract"):
        load(path)
    with pytest.raises(Unusable, match="holds Other, Token"):
        load(path, "Third")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object"),
        ("{}", "must have abi and bytecode"),
        ({"abi": token(), "bytecode": "0xzz"}, "bytecode: must be hex"),
        ({"abi": token(), "bytecode": 5}, "bytecode: must be hex"),
        ({"abi": token(), "bytecode": "60__$" + "a" * 34 + "$__"}, "needs libraries"),
        ({"abi": 5, "bytecode": "0x"}, "abi: must be a list"),
        ({"abi": "[", "bytecode": "0x"}, "abi: is not JSON"),
        ({"contracts": {"a": 5}}, "contracts.a: must be an object"),
        ({"contracts": {"a": {"b": 5}}}, "contracts.a.b: has no abi"),
        ("[" * 100_000, "is not JSON"),
        ({"abi": [], "bytecode": "0x", "contractName": "../x"}, "must be an identifier"),
        ({"abi": [], "bytecode": "0x", "contractName": "\x1b[2J"}, "must be an identifier"),
    ],
)
def test_a_bad_artifact_is_refused_by_name(tmp_path, value, words):
    with pytest.raises(BadFile, match=words):
        load(write(tmp_path, value))


# Vyper --------------------------------------------------------------------------------------------

VYPER = """# pragma version ^0.4.0
import IMarket
import IMoneyToken

MARKET: constant(IMarket) = IMarket({market})

@external
@view
def offers(window: uint64) -> uint256:
    found: DynArray[IMarket.Offer, 256] = staticcall MARKET.getOffers(window)
    return len(found)

@external
def pay(to: address, amount: uint256):
    assert extcall IMoneyToken({money}).transfer(to, amount)
"""


def test_a_vyper_contract_imports_the_native_interfaces(tmp_path):
    pytest.importorskip("vyper")
    source = VYPER.format(
        market="0x" + ADDRESSES["Market"].hex(), money="0x" + ADDRESSES["MoneyToken"].hex()
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        artifact = load(write(tmp_path, source, "Shop.vy"))
    assert artifact.name == "Shop"
    assert [each.signature for each in artifact.abi.functions] == [
        "offers(uint64)",
        "pay(address,uint256)",
    ]
    assert artifact.compiler.startswith("vyper 0.")
    assert artifact.init_code


def test_the_example_of_the_documentation_compiles(tmp_path):
    pytest.importorskip("vyper")
    page = (Path(__file__).parents[2] / "docs" / "contracts.md").read_text("utf-8")
    source = page.split("```vyper\n")[1].split("```")[0]
    artifact = load(write(tmp_path, source, "Coupon.vy"))
    assert "left(address)" in [each.signature for each in artifact.abi.functions]


def test_an_interface_beside_the_source_wins(tmp_path):
    pytest.importorskip("vyper")
    write(tmp_path, "@external\ndef mine(): ...\n", "IMarket.vyi")
    source = "import IMarket\n@external\ndef f(a: address):\n    extcall IMarket(a).mine()\n"
    assert load(write(tmp_path, source, "Own.vy")).init_code


def test_what_does_not_compile_is_said_in_the_compilers_words(tmp_path):
    pytest.importorskip("vyper")
    with pytest.raises(CommandError, match="does not compile: "):
        load(write(tmp_path, "@external\ndef f() -> uint256:\n    return undefinded\n", "Bad.vy"))


def test_without_vyper_one_is_told_how_to_get_it(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("cli.contract_artifact.importlib.import_module", missing)
    with pytest.raises(Unusable) as caught:
        load(write(tmp_path, "", "Token.vy"))
    assert caught.value.hint == "pip install 'hearth[contracts]'"
