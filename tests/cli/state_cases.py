"""State tests made by hand, whose roots another library finds; and how they are checked."""

import json

import rlp
from trie import HexaryTrie

from crypto.hashing import keccak256
from crypto.keys import AccountKey
from tests.cli.street import run

KEY = AccountKey.from_secret(b"\x45" * 32)
SENDER = "0x" + KEY.address.hex()
TO = "0x" + "20" * 20
COINBASE = "0x" + "c0" * 20
NO_LOGS = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
FEE, BASE_FEE, GAS_USED, FUNDS, VALUE = 12, 10, 21_000, 10**18, 5


def check(path, *options, code=0):
    return json.loads(run("vectors", "check", str(path), "--json", *options, code=code).stdout)


def write(folder, content, name="file.json"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def account(balance, nonce=0, code="0x"):
    return {"balance": hex(balance), "nonce": hex(nonce), "code": code, "storage": {}}


def root_of(accounts):
    """The state root by another library; accounts without code and storage."""
    trie, empty = HexaryTrie({}), HexaryTrie({}).root_hash
    for address, entry in accounts.items():
        fields = [int(entry["nonce"], 16), int(entry["balance"], 16), empty, keccak256(b"")]
        trie[keccak256(bytes.fromhex(address[2:]))] = rlp.encode(fields)
    return "0x" + trie.root_hash.hex()


def transfer():
    """A state test made by hand: VALUE wei from SENDER to TO, the coinbase gets the tip."""
    pre = {SENDER: account(FUNDS)}
    diff = {
        SENDER: {"balance": hex(FUNDS - VALUE - GAS_USED * FEE), "nonce": "0x1"},
        TO: {"balance": hex(VALUE), "nonce": "0x0"},
        COINBASE: {"balance": hex(GAS_USED * (FEE - BASE_FEE)), "nonce": "0x0"},
    }
    return {
        "env": {
            "currentCoinbase": COINBASE,
            "currentGasLimit": hex(30_000_000),
            "currentNumber": "0x1",
            "currentRandom": "0x00",
            "currentTimestamp": "0x3e8",
        },
        "pre": pre,
        "transaction": {
            "data": ["0x"],
            "gasLimit": [hex(200_000)],
            "gasPrice": hex(FEE),
            "nonce": "0x0",
            "sender": SENDER,
            "to": TO,
            "value": [hex(VALUE)],
        },
        "post": {
            "Cancun": [
                {
                    "hash": root_of(diff),
                    "logs": NO_LOGS,
                    "indexes": {"data": 0, "gas": 0, "value": 0},
                    "x_status": 1,
                    "x_gasUsed": GAS_USED,
                    "x_diff": diff,
                }
            ]
        },
    }


def refused():
    """The same with a nonce that is too high: nothing may change."""
    test = transfer()
    test["transaction"]["nonce"] = "0x1"
    post = test["post"]["Cancun"][0]
    post |= {"x_status": None, "x_diff": {}, "hash": root_of(test["pre"])}
    post["expectException"] = "TransactionException.NONCE_MISMATCH_TOO_HIGH"
    del post["x_gasUsed"]
    return test


def calling(number, *, opcode="f1", wrap=""):
    """A test whose contract calls the precompile at `number`; what comes of it is not said."""
    arguments = "5f5f5f5f" + ("5f" if opcode in ("f1", "f2") else "")
    code = f"0x{arguments}60{number:02x}61ffff{opcode}{wrap}"
    test = transfer()
    test["pre"][TO] = account(0, code=code)
    return test
