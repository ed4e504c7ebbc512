"""Ethereum's state tests: one transaction on a small state, judged by all that it leaves behind.

Format: `ethereum/tests`, GeneralStateTests. A file may say beside the state root and the hash of
the logs what they are made of (`x_status`, `x_gasUsed`, `x_diff`); then those are compared too,
which tells what differs where a root only says that something does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, final

from cli.mainnet_transaction import CHAIN_ID, NotOnMainnet, read
from cli.state_trie import account_leaf, trie_root
from cli.vector_outcome import Cases, LeftOut, Mismatch, expect, shown, unhex
from crypto import rlp
from crypto.hashing import keccak256
from vm.errors import InvalidTransaction
from vm.evm.environment import Environment, Precompile
from vm.evm.ethereum import EthTransaction, Invalid, Outcome, apply
from vm.evm.precompiles import PRECOMPILES
from vm.evm.world import EMPTY_CODE_HASH, AccountState, World, WorldChanges

FORK = "Cancun"
LEFT_OUT_PRECOMPILES = range(0x06, 0x0B)
"""Pairings, BLAKE2 and KZG: this build has them at no address, mainnet has them at these."""

_DEFAULT_BASE_FEE = "0x0a"
_BLOB_FIELDS = ("maxFeePerBlobGas", "blobVersionedHashes")


@final
@dataclass(slots=True)
class Account:
    """An account of a test, whole."""

    nonce: int
    balance: int
    code: bytes
    storage: dict[int, int]
    """Without slots that hold 0."""

    @classmethod
    def parse(cls, entry: Mapping[str, Any]) -> Self:
        """Read an entry of `pre`."""
        return cls(
            nonce=int(entry["nonce"], 16),
            balance=int(entry["balance"], 16),
            code=unhex(entry["code"]),
            storage=_nonzero({int(k, 16): int(v, 16) for k, v in entry["storage"].items()}),
        )

    def changed(self, entry: Mapping[str, Any]) -> "Account":
        """Return the account after an entry of `x_diff`, which leaves out what stays."""
        slots = {int(k, 16): int(v, 16) for k, v in entry.get("storage", {}).items()}
        return Account(
            nonce=int(entry["nonce"], 16) if "nonce" in entry else self.nonce,
            balance=int(entry["balance"], 16) if "balance" in entry else self.balance,
            code=unhex(entry["code"]) if "code" in entry else self.code,
            storage=_nonzero({**self.storage, **slots}),
        )

    def leaf(self) -> bytes:
        """Return the account as it stands in the state trie."""
        return account_leaf(
            nonce=self.nonce, balance=self.balance, storage=self.storage, code=self.code
        )


def _nonzero(storage: dict[int, int]) -> dict[int, int]:
    return {slot: value for slot, value in storage.items() if value}


def state_tests(content: dict[str, Any]) -> Cases:
    """`{name: {env, pre, transaction, post}}`; a case for each entry of `post`."""
    for name, test in content.items():
        for post in test["post"][FORK]:
            at = post["indexes"]
            label = f"{name} d{at['data']}g{at['gas']}v{at['value']}"
            yield label, partial(_says, test, post)


def _says(test: dict[str, Any], post: dict[str, Any]) -> bool:
    pre = {unhex(address): Account.parse(entry) for address, entry in test["pre"].items()}
    tx = _transaction(test["transaction"], post["indexes"])
    _check_raw(tx, post)
    world = World(_State(pre))
    try:
        outcome = apply(world, _environment(test["env"], tx), tx)
    except Invalid as error:
        if "expectException" not in post:
            raise Mismatch(f"expected a valid transaction, got: {error}") from None
        outcome = None
    got = _after(pre, world.changes())
    logs = () if outcome is None else outcome.logs
    listed: list[rlp.Encodable] = [[log.address, log.topics, log.data] for log in logs]
    return expect(
        exception=(post.get("expectException"), _exception(post, outcome)),
        **_expected_by_value(post, outcome),
        **_expected_accounts(pre, post, got),
        state_root=(
            unhex(post["hash"]),
            trie_root({address: account.leaf() for address, account in got.items()}),
        ),
        logs_hash=(unhex(post["logs"]), keccak256(rlp.encode(listed))),
    )


def _exception(post: dict[str, Any], outcome: Outcome | None) -> str | None:
    """Return the test's own word where it demands a refusal and gets one."""
    return None if outcome is not None else post["expectException"]


def _expected_by_value(
    post: dict[str, Any], outcome: Outcome | None
) -> dict[str, tuple[object, object]]:
    """Status and gas. In the files 0 is each end that undoes, REVERT (2) among them."""
    pairs: dict[str, tuple[object, object]] = {}
    if "x_status" in post:
        got = None if outcome is None else outcome.status
        expected = post["x_status"]
        pairs["status"] = (expected, 0 if got == 2 and expected == 0 else got)
    if "x_gasUsed" in post:
        pairs["gas_used"] = (post["x_gasUsed"], None if outcome is None else outcome.gas_used)
    return pairs


def _expected_accounts(
    pre: Mapping[bytes, Account], post: dict[str, Any], got: Mapping[bytes, Account]
) -> dict[str, tuple[object, object]]:
    """Every account that is not as `x_diff` makes it of `pre`; none without `x_diff`."""
    if "x_diff" not in post:
        return {}
    expected = dict(pre)
    for name, entry in post["x_diff"].items():
        address = unhex(name)
        if entry is None:
            expected.pop(address, None)
        else:
            expected[address] = expected.get(address, Account(0, 0, b"", {})).changed(entry)
    return {
        f"account 0x{address.hex()}": _differing(expected.get(address), got.get(address))
        for address in sorted({*expected, *got})
        if expected.get(address) != got.get(address)
    }


def _differing(expected: Account | None, got: Account | None) -> tuple[object, object]:
    """Return only what differs, so that a message shows it and not a page of storage."""
    if expected is None or got is None:
        return ("no account", "an account") if expected is None else ("an account", "no account")
    left: dict[str, object] = {}
    right: dict[str, object] = {}
    for name in ("nonce", "balance", "code"):
        pair = getattr(expected, name), getattr(got, name)
        if pair[0] != pair[1]:
            left[name], right[name] = (shown(value) for value in pair)
    for slot in sorted({*expected.storage, *got.storage}):
        words = expected.storage.get(slot, 0), got.storage.get(slot, 0)
        if words[0] != words[1]:
            left[f"slot {slot:#x}"], right[f"slot {slot:#x}"] = (hex(word) for word in words)
    return left, right


@final
class _State:
    """The accounts of a test as the base of a World."""

    def __init__(self, accounts: Mapping[bytes, Account]) -> None:
        self._accounts = accounts

    def account(self, address: bytes, /) -> AccountState | None:
        found = self._accounts.get(address)
        if found is None:
            return None
        code_hash = keccak256(found.code) if found.code else EMPTY_CODE_HASH
        has_storage = bool(found.storage)
        return AccountState(found.nonce, found.balance, code_hash, has_storage=has_storage)

    def code(self, address: bytes, /) -> bytes:
        found = self._accounts.get(address)
        return b"" if found is None else found.code

    def storage(self, address: bytes, slot: int, /) -> int:
        found = self._accounts.get(address)
        return 0 if found is None else found.storage.get(slot, 0)


def _after(pre: Mapping[bytes, Account], changes: WorldChanges) -> dict[bytes, Account]:
    """Return all accounts after the transaction; those of `pre` are not changed."""
    after = {
        address: Account(account.nonce, account.balance, account.code, dict(account.storage))
        for address, account in pre.items()
    }
    for address, state in changes.accounts.items():
        if state is None:
            after.pop(address, None)
            continue
        account = after.setdefault(address, Account(0, 0, b"", {}))
        account.nonce, account.balance = state.nonce, state.balance
        account.code = changes.codes.get(address, account.code)
        # The trie is built of the code itself: here the hash that the state would keep is judged.
        expect(code_hash=(keccak256(account.code), state.code_hash))
    for (address, slot), value in changes.storage.items():
        after[address].storage[slot] = value
    for account in after.values():
        account.storage = _nonzero(account.storage)
    return after


def _transaction(template: dict[str, Any], at: dict[str, int]) -> EthTransaction:
    for name in _BLOB_FIELDS:
        if name in template:
            raise Mismatch(f"blob transactions are not of this format: {name}")
    access_lists = template.get("accessLists")
    entries = access_lists[at["data"]] if access_lists else None
    fees = {
        ours: int(template[theirs], 16) if theirs in template else None
        for ours, theirs in (
            ("gas_price", "gasPrice"),
            ("max_fee", "maxFeePerGas"),
            ("max_priority", "maxPriorityFeePerGas"),
        )
    }
    return EthTransaction(
        sender=unhex(template["sender"]),
        nonce=int(template["nonce"], 16),
        to=unhex(template["to"]) or None,
        value=int(template["value"][at["value"]], 16),
        data=unhex(template["data"][at["data"]]),
        gas_limit=int(template["gasLimit"][at["gas"]], 16),
        access_list=tuple(
            (unhex(entry["address"]), tuple(int(key, 16) for key in entry["storageKeys"]))
            for entry in entries or ()
        ),
        **fees,
    )


def _check_raw(tx: EthTransaction, post: dict[str, Any]) -> None:
    """Where the file holds the signed bytes: our decoder must read the same transaction there."""
    if "txbytes" not in post:
        return
    try:
        found = read(unhex(post["txbytes"]))
    except (InvalidTransaction, NotOnMainnet):
        if "expectException" in post:
            return  # Some are refused for their form already; the state must not change either way.
        raise
    raw = found.tx
    keys = tuple(
        (address, tuple(int.from_bytes(key, "big") for key in slots))
        for address, slots in raw.access_list
    )
    expect(
        txbytes_sender=(tx.sender, found.sender),
        txbytes_nonce=(tx.nonce, raw.nonce),
        txbytes_to=(tx.to, raw.to),
        txbytes_value=(tx.value, raw.value),
        txbytes_data=(tx.data, raw.data),
        txbytes_gas_limit=(tx.gas_limit, raw.gas_limit),
        txbytes_fee=(tx.gas_price if tx.max_fee is None else tx.max_fee, raw.max_fee),
        txbytes_access_list=(tx.access_list, keys),
    )


def _environment(env: dict[str, str], tx: EthTransaction) -> Environment:
    base_fee = int(env.get("currentBaseFee", _DEFAULT_BASE_FEE), 16)
    return Environment(
        coinbase=unhex(env["currentCoinbase"]),
        number=int(env["currentNumber"], 16),
        time_s=int(env["currentTimestamp"], 16),
        gas_limit=int(env["currentGasLimit"], 16),
        prev_randao=int(env["currentRandom"], 16),
        base_fee=base_fee,
        chain_id=CHAIN_ID,
        block_hash=lambda number: int.from_bytes(keccak256(str(number).encode()), "big"),
        gas_price=_gas_price(tx, base_fee),
        origin=tx.sender,
        precompiles=_PRECOMPILES,
    )


def _gas_price(tx: EthTransaction, base_fee: int) -> int:
    """Return what the sender pays for a unit of gas (EIP-1559)."""
    if tx.gas_price is not None:
        return tx.gas_price
    assert tx.max_fee is not None
    assert tx.max_priority is not None
    return min(tx.max_fee, base_fee + tx.max_priority)


def _left_out(number: int) -> Precompile:
    def call(data: bytes, gas: int) -> tuple[int, bytes | None]:
        raise LeftOut(f"calls precompile 0x{number:02x}")

    return call


_PRECOMPILES: Mapping[bytes, Precompile] = {
    **PRECOMPILES,
    **{number.to_bytes(20, "big"): _left_out(number) for number in LEFT_OUT_PRECOMPILES},
}
"""Where mainnet has a precompile and we have none, the case ends: decided by what it calls, never
by how it fails."""
