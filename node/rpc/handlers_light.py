"""`hearth_` for light clients: epochs, whole blocks, receipts by proof, freshness.

`node.light_client` is the other end. Whatever is served here proves itself, but for an
attestation's absence.
"""

import asyncio
from typing import Final, final

from consensus.light import NONCE_BYTES, Attestation
from crypto.codec import as_bytes, as_list, decode
from crypto.merkle_list import prove_item
from node.chain import Chain
from node.executor import RECEIPTS_BYTES_MAX
from node.hand_over import HandOver
from node.light_client import EPOCHS_PER_ANSWER
from node.rpc.dispatch import Handler
from node.rpc.errors import Code, RpcFault
from node.rpc.values import Args, Out, read_data, read_hash, read_int, to_data
from node.rpc.views import header_json, seal_json
from vm.block import Header
from vm.members import encode_members

ATTEST_WAIT_MS: Final = 3_000
"""While a block is under way a node cannot attest; under load there is a gap after each."""
_POLL_S = 0.002
_U53 = 2**53 - 1


@final
class LightMethods:
    """Handlers over one chain."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def table(self) -> dict[str, Handler]:
        """Return the handlers by name."""
        return {
            "hearth_getEpochs": self.epochs,
            "hearth_getSealedBlock": self.sealed_block,
            "hearth_getReceiptProof": self.receipt_proof,
            "hearth_attest": self.attest,
        }

    def epochs(self, args: Args) -> Out:
        """The steps into the epochs after one, at most EPOCHS_PER_ANSWER."""
        after = read_int(args.get(0), "afterEpoch", 0, _U53)
        steps = self._chain.epochs()
        at = max(0, after + 1 - steps[0].members.epoch)
        return [hand_over_json(step) for step in steps[at : at + EPOCHS_PER_ANSWER]]

    def sealed_block(self, args: Args) -> Out:
        """A block with all that its header commits to, as it was hashed."""
        height = read_int(args.get(0), "height", 0, _U53)
        record = self._chain.record(height)
        if record is None:
            return None
        return {
            **self._sealed(record.header),
            "transactions": [to_data(raw) for raw in record.transactions],
            "receipts": [to_data(item) for item in self._receipts(height)],
        }

    def receipt_proof(self, args: Args) -> Out:
        """A transaction and its receipt, each with the way to its root."""
        place = self._chain.store.transaction(read_hash(args.get(0), "transaction"))
        record = None if place is None else self._chain.record(place[0])
        if place is None or record is None:
            return None
        height, index = place
        receipts = self._receipts(height)
        return {
            **self._sealed(record.header),
            "index": index,
            "count": len(receipts),
            "transaction": to_data(record.transactions[index]),
            "transactionPath": [to_data(each) for each in prove_item(record.transactions, index)],
            "receipt": to_data(receipts[index]),
            "receiptPath": [to_data(each) for each in prove_item(receipts, index)],
        }

    async def attest(self, args: Args) -> Out:
        """Sign the caller's nonce: this is the head, and nothing above it was committed here."""
        nonce = read_data(args.get(0), "nonce", length=NONCE_BYTES)
        attester = self._chain.attester
        if attester is None:
            raise RpcFault(Code.SERVER, "this node does not vote")
        loop = asyncio.get_running_loop()
        until = loop.time() + ATTEST_WAIT_MS / 1000
        while (found := attester(nonce)) is None:
            if loop.time() > until:
                why = "a block is under way, or the node does not vote now (hearth_why)"
                raise RpcFault(Code.SERVER, f"cannot attest: {why}")
            await asyncio.sleep(_POLL_S)
        return self._attestation(found)

    def _attestation(self, found: Attestation) -> Out:
        return {
            **self._sealed(self._chain.head),
            "height": found.height,
            "hash": to_data(found.digest),
            "stateRoot": to_data(found.state_root),
            "nonce": to_data(found.nonce),
            "member": found.member,
            "signature": to_data(found.signature),
        }

    def _sealed(self, header: Header) -> dict[str, Out]:
        return {
            "header": header_json(header),
            "seal": seal_json(self._chain.seal(header.number)),
        }

    def _receipts(self, height: int) -> list[bytes]:
        """Return the encoded receipts of a block that is stored."""
        data = self._chain.store.receipts(height)
        assert data is not None, "its record was read before"
        items = as_list(decode(data, field="receipts", max_bytes=RECEIPTS_BYTES_MAX), "receipts")
        return [as_bytes(item, "receipt") for item in items]


def hand_over_json(step: HandOver) -> dict[str, Out]:
    """Return a step into an epoch, as `node.light_answers` reads it."""
    return {
        "epoch": step.members.epoch,
        "members": to_data(encode_members(step.members)),
        "header": header_json(step.header),
        "seal": seal_json(step.seal),
    }
