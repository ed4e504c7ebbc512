"""A chain in one process for judging RPC answers: every kind of transaction, log and failure.

No sockets, no peers: transactions go through the mempool, blocks through the executor, and one
dispatcher answers. It plays the roles of the chain on which others recorded their transcripts.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from consensus.certificates import Seal
from consensus.membership import Height, MemberIndex, View
from consensus.messages import SealedBlock
from crypto import abi
from crypto.keys import AccountKey
from node.chain import Chain
from node.records import ConsensusStatus
from node.rpc.dispatch import Dispatcher
from node.rpc.filters import Filters
from node.rpc.handlers_eth import EthMethods
from node.rpc.methods import method_table
from node.rpc.views import created_address
from node.storage.block_store import ChainStore
from vm.genesis import Genesis, GenesisMember, GenesisMeter
from vm.machine import Machine
from vm.transaction import AccessList, TxKind, decode, sign_transaction

HEAD: Final = 12
"""Height of the chain."""
EMIT: Final = b"emit".rjust(32, b"\0")
"""First topic of every log here; the second is the hash of the calldata."""
ALICE: Final = AccountKey.from_secret(b"alice".rjust(32, b"\1"))
_STRANGER: Final = bytes.fromhex("c7b99a164efd027a93f147376cc7da7c67c6bbe0")
_GAS: Final = 200_000
_START_MS: Final = 1_700_000_000_000
_BLOCK_MS: Final = 2_000
_MEMBERS: Final = 4

# Returns block number, chain id, coinbase, base fee, prevrandao, origin and value, a word each.
_SEEN = bytes.fromhex("43464148443234")
_ENVIRONMENT = (
    b"".join(bytes((op, 0x60, 32 * i, 0x52)) for i, op in enumerate(_SEEN))
    + bytes((0x60, 32 * len(_SEEN), 0x5F, 0xF3))
)  # fmt: skip

# Answers 0xffee to two bytes of calldata; reverts with text that is no ABI otherwise.
_COMPLAINT = b"wrong-calldatasize"
_ANSWERING = bytes.fromhex("3660021460215771") + _COMPLAINT
_ANSWERING += bytes.fromhex("5f526012600efd5b61ffee5f526002601ef3")

_EMITTING = bytes.fromhex("365f5f37365f205f54805f526001015f5563656d697460205fa2")
"""Counts its calls in slot 0 and logs the count before under two topics."""


def _failing() -> bytes:
    """Return code that reverts: after calldata 0x01 with Error(string), otherwise with Panic(1)."""
    error = abi.selector("Error(string)") + abi.encode(("string",), ["user error"])
    panic = abi.selector("Panic(uint256)") + abi.encode(("uint256",), [1])
    start = bytes.fromhex("6142ff54505f355f1a")  # Reads slot 0x42ff; takes the first byte.
    length = 11  # Of each of the two parts below.
    at_error = len(start) + 3 + length
    data = at_error + 1 + length

    def part(size: int, place: int) -> bytes:
        return bytes((0x60, size, 0x60, place, 0x5F, 0x39, 0x60, size, 0x5F, 0xFD, 0x00))

    return (
        start + bytes((0x60, at_error, 0x57))
        + part(len(panic), data)
        + b"\x5b" + part(len(error), data + len(panic))
        + panic + error
    )  # fmt: skip


def _init(code: bytes) -> bytes:
    """Return init code that deploys `code`."""
    return (
        bytes((0x61, *len(code).to_bytes(2, "big"), 0x80, 0x60, 10, 0x5F, 0x39, 0x5F, 0xF3)) + code
    )


@final
@dataclass(slots=True)
class Sent:
    """Hashes of transactions by what they are."""

    creation: bytes = b""
    """Legacy."""
    transfer: bytes = b""
    """Legacy, to an address without code."""
    listed: bytes = b""
    """EIP-2930, a call with a log."""
    dynamic: bytes = b""
    """EIP-1559, a call with a log and an access list."""
    reverted: bytes = b""
    plain: bytes = b""
    """EIP-1559, to an address without code."""


@final
class RoleChain:
    """The chain with its dispatcher; use it in `with`.

    Attributes:
        environment, answering, failing, emitting: addresses of contracts.
        sent: hashes of transactions.
        topic: second topic of a log in block 4.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="hearth-rpc-"))
        genesis = _genesis()
        self._store = ChainStore(self._folder / "chain", genesis.hash)
        self._now_ms = _START_MS
        self.chain = Chain(Machine(genesis, ()), self._store, now_ms=lambda: self._now_ms)
        status = ConsensusStatus(
            epoch=0, term=0, view=0, primary=0, is_learner=False, peers_up=_MEMBERS - 1
        )
        self.chain.attach(lambda: status, list)
        eth = EthMethods(self.chain, lambda: _MEMBERS - 1, Filters(self.chain, lambda: 0))
        methods = method_table(self.chain, eth, None)
        self.methods = frozenset(methods)
        self.dispatcher = Dispatcher(methods, lambda _name, _is_ok: None)
        self.sent = Sent()
        try:
            self._fill()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store and remove it."""
        self._store.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def sign(
        self,
        to: bytes | None,
        data: bytes = b"",
        *,
        kind: int = TxKind.DYNAMIC_FEE,
        access_list: AccessList = (),
        nonce: int | None = None,
    ) -> bytes:
        """Return a transaction signed by ALICE, with the next nonce, unless another is given."""
        return sign_transaction(
            ALICE,
            chain_id=self.chain.chain_id,
            nonce=self.chain.pending_nonce(ALICE.address) if nonce is None else nonce,
            to=to,
            data=data,
            gas_limit=_GAS,
            kind=kind,
            access_list=access_list,
        )

    def free_nonce(self) -> int:
        """Return a nonce of ALICE that no waiting transaction has taken."""
        taken = {tx.nonce for tx in self.chain.pool.transactions()}
        nonce = self.chain.pending_nonce(ALICE.address)
        while nonce in taken:
            nonce += 1
        return nonce

    def _fill(self) -> None:
        codes = (_ENVIRONMENT, _ANSWERING, _failing(), _EMITTING)
        made = [self._send(None, _init(code), kind=TxKind.LEGACY) for code in codes]
        self.seal()
        self.environment, self.answering, self.failing, self.emitting = map(self._created, made)
        listed: AccessList = ((self.emitting, (bytes(32), EMIT)),)
        self._send(self.emitting, b"\x01", kind=TxKind.LEGACY)
        self.seal()
        transfer = self._send(_STRANGER, kind=TxKind.LEGACY)
        self._send(self.emitting, b"\x02", kind=TxKind.LEGACY)
        self.seal()
        call = self._send(self.emitting, b"\x03", kind=TxKind.ACCESS_LIST, access_list=listed)
        self.seal()
        self.topic = self.chain.logs(4, 4, (), (), 1)[0].log.topics[1]
        reverted = self._send(self.failing, b"\x01")
        self.seal()
        dynamic = self._send(self.emitting, b"\x04", access_list=listed)
        plain = self._send(_STRANGER)
        self.seal()
        self.sent = Sent(made[0], transfer, call, dynamic, reverted, plain)
        for height in range(7, HEAD + 1):
            self._send(None, _init(_EMITTING), kind=TxKind.LEGACY)
            self._send(self.emitting, bytes((height,)), kind=TxKind.LEGACY)
            self.seal()
        self._send(self.emitting, kind=TxKind.LEGACY)
        self._send(self.emitting, kind=TxKind.ACCESS_LIST, access_list=listed)
        self._send(self.emitting, access_list=listed)
        self._send(None, _init(_EMITTING))

    def _created(self, digest: bytes) -> bytes:
        place = self.chain.transaction(digest)
        assert place is not None, "it was sealed just now"
        tx = decode(place[2])
        return created_address(tx)

    def _send(
        self,
        to: bytes | None,
        data: bytes = b"",
        *,
        kind: int = TxKind.DYNAMIC_FEE,
        access_list: AccessList = (),
        nonce: int | None = None,
    ) -> bytes:
        raw = self.sign(to, data, kind=kind, access_list=access_list, nonce=nonce)
        return self.chain.submit(raw)

    def seal(self) -> None:
        """Seal what waits as the next block."""
        self._now_ms += _BLOCK_MS
        executed = self.chain.build()
        assert executed is not None, "something waits"
        seal = Seal(view=View(0), signatures=tuple((MemberIndex(i), bytes(64)) for i in range(3)))
        height = Height(self.chain.height + 1)
        self.chain.apply(
            SealedBlock(height=height, digest=executed.digest, body=executed.body, seal=seal)
        )


def _genesis() -> Genesis:
    return Genesis(
        name="rpc",
        time_ms=_START_MS,
        window_ms=3_600_000,
        record_ms=300_000,
        quota_gas=10**12,
        block_gas_limit=20_000_000,
        members=tuple(_member(i) for i in range(_MEMBERS)),
        services=(("alice", ALICE.address),),
        contracts={},
    )


def _member(index: int) -> GenesisMember:
    """Return a member that nobody plays: its keys belong to nobody."""
    byte = bytes((index + 1,))
    return GenesisMember(
        name=f"house-{index}",
        node_key=b"n" * 31 + byte,
        account=b"a" * 19 + byte,
        ring_key=b"r" * 31 + byte,
        ring_proof=bytes(64),
        wallet=b"w" * 63 + byte,
        endpoint=f"127.0.0.1:{20_000 + index}",
        meter=GenesisMeter(
            account=b"m" * 19 + byte,
            ring_key=b"q" * 31 + byte,
            meter_id=f"meter-{index}",
            valid_until_window=10**9,
        ),
    )
