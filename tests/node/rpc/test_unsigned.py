"""An activation in a block: clients see a transaction without a signer, as for deadlines."""

from crypto.hashing import keccak256
from node.records import BlockRecord
from node.rpc.views import block_json, is_unsigned, receipt_json, sender_of, transaction_json
from tests.market.contracts import members as change
from tests.market.contracts.chain import Chain, ed25519, home
from tests.market.contracts.members import activation, build, candidate, node


def test_a_block_with_an_activation_is_shown_whole():
    chain = Chain()
    chain.send(home(0), "Membership", "propose", *candidate(chain))
    change.accept(chain, 1, [home(i) for i in range(3)])
    tx = activation(chain, 1, [ed25519("new node"), *map(node, range(3))])
    transfer = chain.transaction(home(0), "MoneyToken", "transfer", home(1).address, 0)
    built = build(chain, tx, calls=[transfer])
    record = BlockRecord(
        height=built.block.header.number,
        hash=built.block.header.hash,
        header=built.block.header,
        seal=None,
        receipts=built.execution.receipts,
        transactions=built.block.transactions,
        transaction_hashes=built.execution.tx_hashes,
    )
    assert [is_unsigned(raw) for raw in record.transactions] == [True, False]
    assert sender_of(tx.raw) == bytes(20)
    shown = block_json(record, 20_000_000, is_full=True)["transactions"]
    assert shown[0] == transaction_json(record, 0)
    assert shown[0]["hash"] == "0x" + keccak256(tx.raw).hex()
    assert shown[0]["from"] == shown[0]["to"] == "0x" + bytes(20).hex()
    assert shown[1]["hash"] == "0x" + transfer.hash.hex()
    receipt = receipt_json(record, 0)
    assert receipt["status"] == "0x1"
    assert len(receipt["logs"]) == 2
    assert receipt["contractAddress"] is None
