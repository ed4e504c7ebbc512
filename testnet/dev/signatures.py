"""Signatures of the methods that only a chain for developers serves."""

from collections.abc import Mapping
from typing import Final

from node.rpc.schemas import (
    ADDRESS,
    BOOL,
    CALL,
    DATA,
    HASH,
    INTEGER,
    NULL,
    QUANTITY,
    Schema,
    array,
    maybe,
    one_of,
)
from node.rpc.signature import Signature, may, need
from testnet.dev.methods import ALIASES

_COUNT: Final[Schema] = {
    "description": "A whole number: JSON's, in digits, or a quantity",
    "anyOf": [{"type": "integer"}, {"type": "string"}],
}
_OPTIONS: Final[Schema] = {
    "type": "object",
    "properties": {"timestamp": _COUNT, "blocks": _COUNT},
    "additionalProperties": False,
}
_OWN: Final[Mapping[str, Signature]] = {
    "evm_snapshot": Signature(
        summary="Remember chain, clock, mempool and filters", result=QUANTITY
    ),
    "evm_revert": Signature(
        summary="Go back to a snapshot, which is used up with all later ones; false if it is not "
        "there",
        params=(need("snapshot", _COUNT),),
        result=BOOL,
    ),
    "evm_increaseTime": Signature(
        summary="Move the clock on by seconds and run what falls due; the answer is by how many "
        "seconds it was moved in all",
        params=(need("seconds", _COUNT),),
        result=INTEGER,
    ),
    "evm_setTime": Signature(
        summary="Set the clock to a Unix time in seconds; the answer is the jump",
        params=(need("timestamp", _COUNT),),
        result=INTEGER,
    ),
    "evm_setNextBlockTimestamp": Signature(
        summary="Choose the time of the next block, in seconds, above the newest block's",
        params=(need("timestamp", _COUNT),),
        result=NULL,
    ),
    "evm_mine": Signature(
        summary="Seal a block of what waits, be it empty",
        params=(may("timestamp", one_of(_COUNT, _OPTIONS)),),
        result=QUANTITY,
    ),
    "anvil_mine": Signature(
        summary="Seal blocks, a number of seconds apart (1 unless told otherwise)",
        params=(may("blocks", _COUNT), may("interval", _COUNT)),
        result=NULL,
    ),
    "evm_setAutomine": Signature(
        summary="Whether each transaction is sealed at once",
        params=(need("enabled", BOOL),),
        result=BOOL,
    ),
    "anvil_getAutomine": Signature(
        summary="Whether each transaction is sealed at once", result=BOOL
    ),
    "evm_setIntervalMining": Signature(
        summary="Seal a block each so many milliseconds; 0 for none by time",
        params=(need("milliseconds", _COUNT),),
        result=NULL,
    ),
    "anvil_setIntervalMining": Signature(
        summary="Seal a block each so many seconds; 0 for none by time",
        params=(need("seconds", _COUNT),),
        result=NULL,
    ),
    "anvil_impersonateAccount": Signature(
        summary="Take transactions of an address without its signature",
        params=(need("address", ADDRESS),),
        result=BOOL,
    ),
    "anvil_stopImpersonatingAccount": Signature(
        summary="Ask for its signature again",
        params=(need("address", ADDRESS),),
        result=BOOL,
    ),
    "anvil_setCode": Signature(
        summary="Put bytecode at an address, in a block of its own",
        params=(need("address", ADDRESS), need("code", DATA)),
        result=BOOL,
    ),
    "anvil_setNonce": Signature(
        summary="Raise the nonce of an account, in a block of its own",
        params=(need("address", ADDRESS), need("nonce", _COUNT)),
        result=BOOL,
    ),
    "anvil_setStorageAt": Signature(
        summary="Set a storage slot of a contract, in a block of its own",
        params=(need("address", ADDRESS), need("slot", DATA), need("value", DATA)),
        result=BOOL,
    ),
    "anvil_setBalance": Signature(
        summary="Refused: there is no coin",
        params=(need("address", ADDRESS), need("balance", _COUNT)),
        result=NULL,
    ),
    "anvil_dropTransaction": Signature(
        summary="Remove a waiting transaction; null if it does not wait",
        params=(need("transactionHash", HASH),),
        result=maybe(HASH),
    ),
    "anvil_dumpState": Signature(summary="All of the chain, for anvil_loadState", result=DATA),
    "anvil_loadState": Signature(
        summary="Put a dumped chain in the place of this one",
        params=(need("state", DATA),),
        result=BOOL,
    ),
    "eth_sendTransaction": Signature(
        summary="Send for an account of eth_accounts, or for an impersonated address",
        params=(need("transaction", CALL),),
        result=HASH,
    ),
    "eth_sign": Signature(
        summary="Sign a message (EIP-191) by an account of eth_accounts",
        params=(need("address", ADDRESS), need("message", DATA)),
        result=DATA,
    ),
    "personal_sign": Signature(
        summary="As eth_sign, the arguments the other way round",
        params=(need("message", DATA), need("address", ADDRESS), may("password", {})),
        result=DATA,
    ),
    "eth_accounts": Signature(
        summary="The accounts whose keys everybody knows", result=array(ADDRESS)
    ),
}
DEV_SIGNATURES: Final[Mapping[str, Signature]] = {
    **_OWN,
    **{alias: _OWN[name] for alias, name in ALIASES},
}
