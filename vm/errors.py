"""The errors that this package raises, with stable numbers; each says what is wrong and where."""

from enum import IntEnum
from typing import final


class VmError(Exception):
    """Base of all errors of this package."""


class TxReason(IntEnum):
    """Why a transaction is refused. Numbers are stable: they appear in logs and RPC answers.

    Numbers 16 to 20 are the mempool's and the builder's; 8 stood for a rule that is gone.
    """

    MALFORMED = 1
    OVERSIZED = 2
    TYPE_NOT_SUPPORTED = 3
    UNPROTECTED = 4
    WRONG_CHAIN = 5
    INVALID_SENDER = 6
    TIP_ABOVE_FEE_CAP = 7
    INSUFFICIENT_FUNDS = 9
    INTRINSIC_GAS = 10
    GAS_ABOVE_TX_LIMIT = 11
    UNREGISTERED = 12
    NONCE_TOO_LOW = 13
    NONCE_TOO_HIGH = 14
    QUOTA_EXCEEDED = 15
    EXCEEDS_BLOCK_GAS = 16
    ALREADY_KNOWN = 17
    REPLACEMENT_UNDERPRICED = 18
    POOL_FULL = 19
    EXPIRED = 20
    SENDER_HAS_CODE = 21
    INITCODE_TOO_LARGE = 22
    EXCEEDS_BLOCK_COMPUTE = 23
    BAD_ACTIVATION = 24

    @property
    def text(self) -> str:
        """The words for people; those that Ethereum clients match on are geth's."""
        return _TX_TEXTS[self]


_TX_TEXTS = {
    TxReason.MALFORMED: "malformed transaction",
    TxReason.OVERSIZED: "oversized data",
    TxReason.TYPE_NOT_SUPPORTED: "transaction type not supported",
    TxReason.UNPROTECTED: "only replay-protected (EIP-155) transactions allowed over RPC",
    TxReason.WRONG_CHAIN: "invalid chain id for signer",
    TxReason.INVALID_SENDER: "invalid sender",
    TxReason.TIP_ABOVE_FEE_CAP: "max priority fee per gas higher than max fee per gas",
    TxReason.INSUFFICIENT_FUNDS: "insufficient funds for gas * price + value",
    TxReason.INTRINSIC_GAS: "intrinsic gas too low",
    TxReason.GAS_ABOVE_TX_LIMIT: "transaction gas limit too high",
    TxReason.UNREGISTERED: "sender is not registered",
    TxReason.NONCE_TOO_LOW: "nonce too low",
    TxReason.NONCE_TOO_HIGH: "nonce too high",
    TxReason.QUOTA_EXCEEDED: "gas quota exceeded",
    TxReason.EXCEEDS_BLOCK_GAS: "exceeds block gas limit",
    TxReason.ALREADY_KNOWN: "already known",
    TxReason.REPLACEMENT_UNDERPRICED: "replacement transaction underpriced",
    TxReason.POOL_FULL: "txpool is full",
    TxReason.EXPIRED: "transaction expired",
    TxReason.SENDER_HAS_CODE: "sender not an eoa",
    TxReason.INITCODE_TOO_LARGE: "max initcode size exceeded",
    TxReason.EXCEEDS_BLOCK_COMPUTE: "exceeds block compute limit",
    TxReason.BAD_ACTIVATION: "activation not valid here",
}


class BlockReason(IntEnum):
    """Why a block is refused. Numbers are stable: they appear in logs."""

    MALFORMED = 1
    OVERSIZED = 2
    WRONG_NUMBER = 3
    WRONG_PARENT = 4
    BAD_TIME = 5
    WRONG_TRANSACTIONS_ROOT = 6
    WRONG_STATE_ROOT = 7
    WRONG_RECEIPTS_ROOT = 8
    WRONG_MEMBERS_HASH = 9
    WRONG_GAS_USED = 10
    INVALID_TRANSACTION = 11
    DEADLINE_MISSING = 12
    DEADLINE_NOT_DUE = 13
    EMPTY = 14
    WRONG_VERSION = 15


@final
class InvalidTransaction(VmError):
    """A transaction that no block may hold, at least not now.

    Attributes:
        reason: stable number; `reason.text` holds what Ethereum clients match on.
        field: the field at fault ("tx.nonce").
        message: what was expected and what came.
    """

    def __init__(self, reason: TxReason, field: str, message: str) -> None:
        super().__init__(f"{reason.text}: {field}: {message}")
        self.reason = reason
        self.field = field
        self.message = message

    def __reduce__(self) -> tuple[type["InvalidTransaction"], tuple[TxReason, str, str]]:
        """Pickle by all arguments: a worker process may hand the error back."""
        return (InvalidTransaction, (self.reason, self.field, self.message))


@final
class InvalidBlock(VmError):
    """A block that must not be voted for.

    Attributes:
        reason: stable number.
        field: the field at fault ("header.state_root", "transactions[3].nonce").
        message: what was expected and what came.
    """

    def __init__(self, reason: BlockReason, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.reason = reason
        self.field = field
        self.message = message

    def __reduce__(self) -> tuple[type["InvalidBlock"], tuple[BlockReason, str, str]]:
        """Pickle by all arguments: a worker process may hand the error back."""
        return (InvalidBlock, (self.reason, self.field, self.message))


@final
class Revert(VmError):
    """A contract refuses a call: its writes and events are undone, the gas used stays charged.

    Attributes:
        code: stable word in capitals that programs match on ("NOT_A_MEMBER").
        detail: for people; what was expected and what came.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


@final
class GenesisError(VmError):
    """The genesis file, or a contract's parameters in it, cannot be used."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@final
class CallReverted(VmError):
    """A call whose gas was to be estimated fails: there is no estimate.

    Attributes:
        output: revert data, for the client; empty if it did not revert but halt.
        error: "execution reverted", or why it halted, in geth's words ("out of gas").
    """

    def __init__(self, output: bytes, error: str = "execution reverted") -> None:
        super().__init__(f"{error}: 0x{output[:64].hex()}")
        self.output = output
        self.error = error

    def __reduce__(self) -> tuple[type["CallReverted"], tuple[bytes, str]]:
        """Pickle by all arguments: a worker process may hand the error back."""
        return (CallReverted, (self.output, self.error))


@final
class UnsupportedProtocol(VmError):
    """A block is due by rules that this software does not know: it can do nothing but wait.

    No fault of the block's, so nobody may take it for an invalid one.

    Attributes:
        version: in force at the block's height.
        height: of the block.
    """

    def __init__(self, version: int, height: int) -> None:
        super().__init__(
            f"block {height} is made by protocol version {version}, "
            "which this software does not support: it needs an update"
        )
        self.version = version
        self.height = height

    def __reduce__(self) -> tuple[type["UnsupportedProtocol"], tuple[int, int]]:
        """Pickle by all arguments: a worker process may hand the error back."""
        return (UnsupportedProtocol, (self.version, self.height))
