"""A client that keeps no chain and believes no server: headers, values, receipts by proof.

It starts from a block that its owner trusts (block 0, computed from the genesis file, or any
later one whose file was kept) and asks any node over RPC. What it returns is proven: by a seal
of the member set of that height, and below the header by Merkle paths. A server can refuse to
answer, or show an old head; it cannot make anything up, and `attest` tells an old head.

    client = LightClient(trusted)
    head = await client.follow(server)
    balance = await client.value(server, storage_key(MONEY_TOKEN, balance_key(account)))

A server is whatever has `call`, such as `node.rpc.client.RpcClient`. Answers that are malformed
raise DecodeError, those that do not hold InvalidProof. A block that holds, but is made by rules
that this program does not know, raises UnsupportedHeader: what its state means is unknown here.
"""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

from consensus.certificates import Seal
from consensus.errors import ConsensusError
from consensus.light import NONCE_BYTES, Attestation, EpochChain, verify_attestation
from consensus.membership import Membership
from crypto.errors import CryptoError, DecodeError, InvalidProof
from crypto.hashing import Digest, keccak256
from crypto.merkle import Proof, verify_proof
from crypto.merkle_list import list_root, verify_item
from node import light_answers as answers
from node.errors import NodeError, UnsupportedHeader
from node.hand_over import HandOver, membership_of
from vm.block import Header
from vm.members import MemberSet
from vm.receipt import Log, Receipt, decode_receipt
from vm.versions import SUPPORTED_PROTOCOLS

EPOCHS_PER_ANSWER = 64
"""Hand-overs that a node returns at once."""
KNOWN_MAX = 1024
"""Verified hashes by height that are remembered, to notice two blocks at one height."""


class Server(Protocol):
    """A node as the client asks it."""

    async def call(self, method: str, *params: Any) -> Any:
        """Return the result of a JSON-RPC call, or raise NodeError."""


@final
@dataclass(frozen=True, slots=True)
class TrustedBlock:
    """Where to start: a block that needs no proof, and the set that seals the next one.

    Raises:
        DecodeError: from the constructor; the set is not the one that the header names.
    """

    genesis_digest: Digest
    """Hash of block 0, which every signature of the chain is bound to."""
    header: Header
    members: MemberSet

    def __post_init__(self) -> None:
        if self.members.hash() != self.header.next_members_hash:
            raise DecodeError("trusted.members", "is not the set that the header names")
        if self.header.number == 0 and self.header.hash != self.genesis_digest:
            raise DecodeError("trusted.header", "is not block 0 of the chain")


@final
@dataclass(frozen=True, slots=True)
class SealedHeader:
    """A header that is proven to be decided."""

    header: Header
    seal: Seal | None
    """None for the trusted block."""


@final
@dataclass(frozen=True, slots=True)
class ProvenValue:
    """A value of the state, or its absence, after a block."""

    header: Header
    value: bytes | None


@final
@dataclass(frozen=True, slots=True)
class ProvenReceipt:
    """What a transaction did."""

    header: Header
    index: int
    """Place in the block."""
    raw: bytes
    """The transaction."""
    receipt: Receipt


@final
@dataclass(frozen=True, slots=True)
class ProvenBlock:
    """All transactions and receipts of a block: what is not here did not happen in it."""

    header: Header
    transactions: tuple[bytes, ...]
    receipts: tuple[Receipt, ...]

    @property
    def logs(self) -> tuple[tuple[bytes, Log], ...]:
        """Each log with the hash of its transaction, in order."""
        return tuple(
            (keccak256(raw), log)
            for raw, receipt in zip(self.transactions, self.receipts, strict=True)
            for log in receipt.logs
        )


@final
@dataclass(frozen=True, slots=True)
class Freshness:
    """Who says, about a nonce of this very moment, that nothing is decided above `head`."""

    head: SealedHeader
    members: Membership
    """The set that would seal the next block."""
    attested_by: tuple[int, ...]
    """Indexes in it, ascending."""

    @property
    def is_fresh(self) -> bool:
        """Whether a quorum says so: then it was the newest block when the client asked."""
        return len(self.attested_by) >= self.members.quorum.certificate


@final
class LightClient:
    """What is known so far: member sets by height, and hashes that were proven."""

    def __init__(
        self, trusted: TrustedBlock, *, protocols: Sequence[int] = SUPPORTED_PROTOCOLS
    ) -> None:
        """`protocols`: versions of the rules whose blocks it can read."""
        self.trusted = trusted
        self._protocols = tuple(protocols)
        self._epochs = EpochChain(trusted.genesis_digest, membership_of(trusted.members))
        self._records = [trusted.members]
        self._known: dict[int, Digest] = {trusted.header.number: trusted.header.hash}
        self.head = SealedHeader(trusted.header, None)
        """The highest header that was proven so far."""

    @property
    def members(self) -> tuple[Membership, ...]:
        """The member sets that were followed, ascending by epoch."""
        return self._epochs.sets

    def trust_head(self) -> TrustedBlock:
        """Return the highest proven block as a place to start from another time."""
        height = self.head.header.number + 1
        record = next(r for r in reversed(self._records) if r.first_height <= height)
        return TrustedBlock(self.trusted.genesis_digest, self.head.header, record)

    async def follow(self, server: Server) -> SealedHeader:
        """Take the hand-overs that the server has above what is known; return its head."""
        await self._follow_epochs(server)
        return await self.header(server)

    async def _follow_epochs(self, server: Server) -> bool:
        """Take the hand-overs above what is known; return whether there was one."""
        before = self._epochs.newest
        while True:
            given = await server.call("hearth_getEpochs", self._epochs.newest.epoch)
            items = answers.read_list(given, "epochs", EPOCHS_PER_ANSWER)
            for item in items:
                self._hand_over(answers.read_hand_over(item))
            if len(items) < EPOCHS_PER_ANSWER:
                return self._epochs.newest is not before

    def _hand_over(self, step: HandOver) -> None:
        if step.seal is None:
            raise InvalidProof("block 0 hands over to nobody")
        header = step.header
        self._epochs.hand_over(header.number, header.hash, step.seal, step.membership)
        self._check_version(header)
        self._records.append(step.members)
        self._remember(header, step.seal)

    async def header(self, server: Server, height: int | None = None) -> SealedHeader:
        """Return the proven header at a height, or the server's newest."""
        asked = "latest" if height is None else height
        header = answers.read_header(await server.call("hearth_getHeader", asked))
        if height is not None and header.number != height:
            raise InvalidProof(f"asked for block {height}, got block {header.number}")
        seal = await server.call("hearth_getSeal", header.number)
        return await self._prove(server, header, answers.read_seal(seal))

    async def _prove(self, server: Server, header: Header, seal: Seal | None) -> SealedHeader:
        """Verify that a header is decided; it may be of an epoch that has just begun."""
        try:
            return self._accept(header, seal)
        except InvalidProof:
            if not await self._follow_epochs(server):
                raise
        return self._accept(header, seal)

    def _accept(self, header: Header, seal: Seal | None) -> SealedHeader:
        if header == self.trusted.header:
            return SealedHeader(header, seal)
        if seal is None:
            raise InvalidProof(f"block {header.number} has no seal")
        self._epochs.verify(header.number, header.hash, seal)
        self._check_version(header)
        members = self._epochs.at(header.number)
        # Whoever seals the next block is known, or the server has kept a hand-over back.
        following = self._epochs.at(header.number + 1)
        if header.next_members_hash != following.hash():
            if members is not self._epochs.newest:
                raise InvalidProof(f"block {header.number} names another set than follows it")
            raise InvalidProof(f"what follows epoch {members.epoch} was not shown")
        self._remember(header, seal)
        return SealedHeader(header, seal)

    def _check_version(self, header: Header) -> None:
        if header.version not in self._protocols:
            raise UnsupportedHeader(header.version, header.number)

    def _remember(self, header: Header, seal: Seal) -> None:
        trusted = self.trusted.header
        if header.number == trusted.number and header.hash != trusted.hash:
            raise InvalidProof(f"block {header.number} is sealed, and is not the trusted one")
        known = self._known.setdefault(header.number, header.hash)
        if known != header.hash:
            raise InvalidProof(
                f"two blocks are sealed at height {header.number}: 0x{known.hex()} and "
                f"0x{header.hash.hex()}; members have signed both"
            )
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        if header.number > self.head.header.number:
            self.head = SealedHeader(header, seal)

    async def _proven(self, server: Server, answer: dict[str, Any]) -> Header:
        """Return the header in an answer, proven."""
        header = answers.read_header(answer.get("header"))
        return (await self._prove(server, header, answers.read_seal(answer.get("seal")))).header

    # What lies below a header.

    async def value(self, server: Server, key: bytes) -> ProvenValue:
        """Return the value of a state key at the server's head; None proves that it is absent."""
        answer = answers.read_object(
            await server.call("hearth_getProof", "0x" + key.hex()), "hearth_getProof"
        )
        header = await self._proven(server, answer)
        given = answer.get("value")
        value = None if given is None else answers.read_hex(given, "value")
        proof = Proof.from_bytes(answers.read_hex(answer.get("proof"), "proof"))
        verify_proof(header.state_root, key, value, proof)
        return ProvenValue(header, value)

    async def receipt(self, server: Server, transaction: bytes) -> ProvenReceipt | None:
        """Return what the transaction with this hash did; None: the server knows none such.

        That it exists is proven; that it does not is the server's word alone.
        """
        given = await server.call("hearth_getReceiptProof", "0x" + transaction.hex())
        if given is None:
            return None
        answer = answers.read_object(given, "hearth_getReceiptProof")
        header = await self._proven(server, answer)
        index = answers.read_int(answer.get("index"), "index")
        count = answers.read_int(answer.get("count"), "count")
        raw = answers.read_hex(answer.get("transaction"), "transaction")
        receipt = answers.read_hex(answer.get("receipt"), "receipt")
        if keccak256(raw) != transaction:
            raise InvalidProof("is another transaction's receipt")
        for root, item, path in (
            (header.transactions_root, raw, "transactionPath"),
            (header.receipts_root, receipt, "receiptPath"),
        ):
            verify_item(root, index, count, item, answers.read_path(answer.get(path), path))
        return ProvenReceipt(header, index, raw, decode_receipt(receipt))

    async def block(self, server: Server, height: int) -> ProvenBlock:
        """Return all of a block: so that a log is absent from it is proven as well."""
        answer = answers.read_object(
            await server.call("hearth_getSealedBlock", height), "hearth_getSealedBlock"
        )
        header = await self._proven(server, answer)
        if header.number != height:
            raise InvalidProof(f"asked for block {height}, got block {header.number}")
        raws = answers.read_items(answer.get("transactions"), "transactions")
        receipts = answers.read_items(answer.get("receipts"), "receipts")
        if list_root(raws) != header.transactions_root:
            raise InvalidProof("its transactions are not the block's")
        if list_root(receipts) != header.receipts_root or len(receipts) != len(raws):
            raise InvalidProof("its receipts are not the block's")
        return ProvenBlock(header, raws, tuple(map(decode_receipt, receipts)))

    # Is it the newest?

    async def attest(self, servers: Sequence[Server]) -> Freshness:
        """Ask the nodes whether the head is the newest block; those that fail do not count.

        Each signs a fresh nonce. The highest head among their answers is proven first; whoever
        attests it or a lower one has sent no COMMIT above it.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        given = await asyncio.gather(*(self._attestation(server, nonce) for server in servers))
        return self._freshness([each for each in given if each is not None], nonce)

    def _freshness(self, attestations: Sequence[Attestation], nonce: bytes) -> Freshness:
        head = self.head.header
        members = self._epochs.at(head.number + 1)
        counted = set()
        for each in attestations:
            is_of_epoch = each.height + 1 >= members.first_height
            if each.nonce == nonce and each.height <= head.number and is_of_epoch:
                counted.add(int(each.member))
        return Freshness(self.head, members, tuple(sorted(counted)))

    async def _attestation(self, server: Server, nonce: bytes) -> Attestation | None:
        try:
            return await self._ask_attestation(server, nonce)
        except (CryptoError, ConsensusError, NodeError):
            return None

    async def _ask_attestation(self, server: Server, nonce: bytes) -> Attestation:
        await self.follow(server)
        answer = answers.read_object(
            await server.call("hearth_attest", "0x" + nonce.hex()), "hearth_attest"
        )
        header = await self._proven(server, answer)
        attestation = answers.read_attestation(answer, header, nonce)
        verify_attestation(
            self.trusted.genesis_digest, self._epochs.at(header.number + 1), attestation
        )
        return attestation
