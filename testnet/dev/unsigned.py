"""Transactions that the accounts of the chain send without a wallet: signed here, or not at all.

A transaction of an impersonated address has a signature in form only: r is a constant and s stands
for the sender, so that two senders' transactions differ. Who sent it is remembered beside the chain
(`DevChain.senders`), and what the RPC answers is corrected by that.
"""

from collections.abc import Coroutine, Mapping
from typing import Any, Final

from crypto import rlp
from crypto.hashing import keccak256
from crypto.keys import SECP256K1_ORDER, AccountKey
from node.rpc.chain_reads import read_call
from node.rpc.dispatch import Handler
from node.rpc.values import U64_MAX, Args, BadValue, Json, Out, read_object, read_quantity, to_data
from node.rpc.views import created_address
from testnet.dev.dev_chain import DevChain
from testnet.dev.errors import DevRefusal
from vm.accounts import read_account
from vm.transaction import AccessList, TxKind, decode, sign_transaction

SHOWS_SENDERS: Final = (
    "eth_getBlockByNumber", "eth_getBlockByHash", "eth_getBlockReceipts",
    "eth_getTransactionByBlockNumberAndIndex", "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionByHash", "eth_getTransactionReceipt",
)  # fmt: skip
"""Methods whose answers name the senders of sealed transactions."""
_R: Final = 0x79BE667E_F9DCBBAC_55A06295_CE870B07_029BFCDB_2DCE28D9_59F2815B_16F81798
"""A point's coordinate, the generator's: some sender can be recovered."""


async def send(dev: DevChain, value: Json, estimate: Handler) -> bytes:
    """Send a transaction for one of the accounts, or for an impersonated address.

    Args:
        dev: the chain.
        value: as `eth_sendTransaction` takes it.
        estimate: handler of `eth_estimateGas`, for a transaction without a gas limit.

    Returns:
        The hash.

    Raises:
        DevRefusal: nobody here can send for it.
        InvalidTransaction, MempoolFull, RpcFault, BadValue: as for any transaction.
    """
    chain = dev.chain
    call, given = read_call(chain, value), read_object(value, "transaction")
    if given.get("from") is None:
        raise BadValue("transaction.from: is missing")
    key = next((each for each in dev.community.accounts if each.address == call.sender), None)
    if key is None and call.sender not in dev.impersonated:
        raise DevRefusal(
            f"unknown account 0x{call.sender.hex()}: not one of eth_accounts, nor impersonated"
        )
    if read_account(chain.state(), call.sender).code_hash:
        raise DevRefusal(f"0x{call.sender.hex()} has code: it cannot send (EIP-3607)")
    gas = call.gas
    if given.get("gas") is None:
        asked = {name: item for name, item in given.items() if name != "nonce"}
        gas = read_quantity(await _answer(estimate(Args([asked]))), "gas")
    nonce = given.get("nonce")
    fields = {
        "chain_id": chain.chain_id,
        "nonce": (
            chain.pending_nonce(call.sender)
            if nonce is None
            else read_quantity(nonce, "transaction.nonce", U64_MAX - 1)
        ),
        "to": call.to,
        "gas_limit": gas,
        "data": call.data,
    }
    if key is not None:
        return chain.submit(_signed(key, call.access_list, fields))
    tx = decode(_unsigned(call.sender, call.access_list, fields)).with_sender(call.sender)
    chain.admit(tx, is_own=True)
    return tx.hash


def _signed(key: AccountKey, access_list: AccessList, fields: Mapping[str, Any]) -> bytes:
    return sign_transaction(key, access_list=access_list, **fields)


def _unsigned(sender: bytes, access_list: AccessList, fields: Mapping[str, Any]) -> bytes:
    """Return the bytes of a transaction of type 2 with a signature in form only."""
    number = rlp.encode_int
    s = int.from_bytes(keccak256(sender), "big") % (SECP256K1_ORDER // 2) + 1
    items: list[rlp.Encodable] = [number(fields["chain_id"]), number(fields["nonce"]), b"", b""]
    items += [number(fields["gas_limit"]), fields["to"] or b"", b"", fields["data"], access_list]
    items += [b"", number(_R), number(s)]
    return bytes((TxKind.DYNAMIC_FEE,)) + rlp.encode(items)


async def _answer(given: Any) -> Any:
    """Return what a handler answers, at once or later."""
    return await given if isinstance(given, Coroutine) else given


def corrected(dev: DevChain, handler: Handler) -> Handler:
    """Return the handler with the true senders of transactions without a signature."""

    async def answer(args: Args) -> Out:
        found = await _answer(handler(args))
        return _correct(dev, found) if dev.senders else found

    return answer


def _correct(dev: DevChain, value: Out) -> Out:
    if isinstance(value, Mapping):
        digest = value.get("transactionHash", value.get("hash"))
        sender = dev.senders.get(bytes.fromhex(digest[2:])) if isinstance(digest, str) else None
        changed: dict[str, Out] = {name: _correct(dev, item) for name, item in value.items()}
        if sender is not None and "from" in changed:
            changed["from"] = to_data(sender)
            if changed.get("contractAddress") is not None:
                assert isinstance(digest, str), "the sender was found by it"
                changed["contractAddress"] = _created(dev, bytes.fromhex(digest[2:]), sender)
        return changed
    if isinstance(value, list | tuple):
        return [_correct(dev, item) for item in value]
    return value


def _created(dev: DevChain, digest: bytes, sender: bytes) -> str:
    """Return the address of the contract that a sealed transaction created."""
    place = dev.chain.transaction(digest)
    assert place is not None, "there is a receipt of it"
    return to_data(created_address(decode(place[2]).with_sender(sender)))
