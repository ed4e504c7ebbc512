"""Our own methods: status, seals, proofs, contract calls by name, waiting for a seal, admin."""

import asyncio
from dataclasses import replace

import pytest

from crypto.merkle import Proof, verify_proof
from node.relay import Envelope, Refusal
from node.rpc.client import RpcClient, RpcError
from tests.node.cluster import account_key
from tests.node.rpc.rig import SEAL, serving, until
from tests.vm.chain import TOY
from vm.block import decode_header
from vm.transaction import decode

pytestmark = pytest.mark.e2e

ALICE, BOB = account_key(0), account_key(1)


def hexed(data):
    return "0x" + data.hex()


def run(scenario, **options):
    async def whole():
        async with serving(**options) as (rig, client):
            await scenario(rig, client)

    asyncio.run(whole())


async def refusal(client, method, *params):
    with pytest.raises(RpcError) as error:
        await client.call(method, *params)
    return error.value


def test_status_names_chain_node_and_state():
    async def scenario(rig, client):
        rig.chain.submit(rig.transfer(0, 1, 5))
        record = rig.seal()
        rig.chain.submit(rig.transfer(0, 1, 6))
        status = await client.call("hearth_status")
        assert status["height"] == 1
        assert status["hash"] == hexed(record.hash)
        assert status["stateRoot"] == hexed(record.header.state_root)
        assert status["pending"] == 1
        assert status["name"] == rig.members[3].name
        assert status["primary"] == rig.members[1].name
        assert (status["peersUp"], status["members"], status["isLearner"]) == (3, 4, False)
        assert (status["chainId"], status["genesisHash"]) == (
            rig.genesis.chain_id,
            hexed(rig.genesis.hash),
        )
        assert status["window"] == 0

    run(scenario)


def test_members_and_peers():
    async def scenario(rig, client):
        members = await client.call("hearth_members")
        assert [member["index"] for member in members] == [0, 1, 2, 3]
        assert [member["isMe"] for member in members] == [False, False, False, True]
        assert all(member["isUp"] for member in members)
        keys = [member["nodeKey"] for member in members]
        assert keys == sorted(keys)
        (peer,) = await client.call("hearth_peers")
        assert (peer["name"], peer["isUp"], peer["bytesOut"]) == ("house-0", True, 2)

    run(scenario)


def test_header_and_seal_by_height():
    async def scenario(rig, client):
        rig.chain.submit(rig.transfer(0, 1, 5))
        record = rig.seal()
        header = await client.call("hearth_getHeader", 1)
        assert decode_header(bytes.fromhex(header["bytes"][2:])) == record.header
        assert header["hash"] == hexed(record.hash)
        seal = await client.call("hearth_getSeal", 1)
        assert seal["view"] == 0
        assert [
            (each["member"], bytes.fromhex(each["signature"][2:])) for each in seal["signatures"]
        ] == list(SEAL.signatures)
        assert await client.call("hearth_getSeal", 0) is None
        assert await client.call("hearth_getSeal", 2) is None
        assert await client.call("hearth_getHeader", "latest") == header
        assert (await refusal(client, "hearth_getSeal", -1)).code == -32602

    run(scenario)


def test_a_proof_verifies_against_the_header_that_the_seal_covers():
    async def scenario(rig, client):
        rig.chain.submit(rig.transfer(0, 1, 5))
        rig.seal()
        present = b"s" + TOY + b"b" + BOB.address
        for key, is_there in ((present, True), (b"nothing here", False)):
            answer = await client.call("hearth_getProof", hexed(key))
            header = decode_header(bytes.fromhex(answer["header"]["bytes"][2:]))
            value = bytes.fromhex(answer["value"][2:]) if is_there else None
            assert (answer["value"] is not None) == is_there
            proof = Proof.from_bytes(bytes.fromhex(answer["proof"][2:]))
            verify_proof(header.state_root, key, value, proof)
            assert answer["seal"] == await client.call("hearth_getSeal", header.number)
        assert (await refusal(client, "hearth_getProof", "0x" + "00" * 129)).code == -32602

    run(scenario)


def test_contracts_are_called_by_name_with_json_values():
    async def scenario(rig, client):
        names = {each["name"]: each["address"] for each in await client.call("hearth_contracts")}
        assert names["Toy"].lower() == hexed(TOY)
        abi = await client.call("hearth_abi", "Toy")
        assert {"transfer", "Transfer"} <= {entry["name"] for entry in abi}

        async def view(**call):
            return await client.call("hearth_call", call)

        owner = hexed(BOB.address)
        assert await view(contract="Toy", method="balanceOf", args=[owner]) == 1_000_000
        assert await view(contract=names["Toy"], method="balanceOf", args={"owner": owner}) == (
            1_000_000
        )
        height, sponsor, rows = await view(contract="Toy", method="describe", **{"from": owner})
        assert (height, sponsor.lower()) == (0, owner)
        assert [(row["id"], row["who"].lower()) for row in rows] == [(0, owner)]
        moved = {"contract": "Toy", "method": "transfer", "args": [owner, "1000000"]}
        assert await view(**moved, **{"from": hexed(ALICE.address)}) is True
        error = await refusal(client, "hearth_call", moved)
        assert (error.code, "INSUFFICIENT_BALANCE" in error.message) == (3, True)

    run(scenario)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"contract": "Toys", "method": "transfer"}, "contract: must be one of Other, Toy"),
        ({"contract": "Toy", "method": "fly"}, "method: 'fly' is not there in Toy"),
        ({"contract": "Toy", "method": "balanceOf"}, "args: must have 1 items, got 0"),
        ({"contract": "Toy", "method": "balanceOf", "args": ["0x12"]}, "args.owner: must be 20"),
        ({"contract": "Toy", "method": "balanceOf", "args": {"who": 1}}, "args.who: is not known"),
        ({"contract": "Toy", "method": "burnGas", "args": [-1]}, "args.amount: must be a uint256"),
        ({"contract": "Toy", "method": "burnGas", "args": [True]}, "args.amount: must be an int"),
        ({"contract": "Toy", "method": "burnGas", "args": [1.5]}, "args.amount: must be an int"),
        ({"contract": "Toy", "methods": "burnGas"}, "call.methods: is not known"),
        ([], "call: must be an object"),
    ],
)
def test_wrong_calls_name_what_is_wrong(call, words):
    async def scenario(rig, client):
        error = await refusal(client, "hearth_call", call)
        assert (error.code, error.message.startswith(words)) == (-32602, True), error.message

    run(scenario)


def test_submit_returns_the_receipt_once_it_is_sealed():
    async def scenario(rig, client):
        raw = rig.transfer(0, 1, 5)
        waiting = asyncio.create_task(client.call("hearth_submit", hexed(raw), 10_000))
        await until(lambda: len(rig.chain.pool))
        again = asyncio.create_task(client.call("hearth_submit", hexed(raw)))
        await client.call("eth_chainId")
        assert not waiting.done()
        rig.seal()
        receipt = await waiting
        assert (receipt["status"], receipt["blockNumber"]) == ("0x1", "0x1")
        assert await again == receipt
        assert await client.call("hearth_submit", hexed(raw)) == receipt

    run(scenario)


def test_sending_synchronously_waits_for_the_seal_as_eip_7966_says():
    async def scenario(rig, client):
        raw = rig.transfer(0, 1, 5)
        error = await refusal(client, "eth_sendRawTransactionSync", hexed(raw), 20)
        assert (error.code, error.data) == (4, hexed(decode(raw).hash))
        far = 2**40  # More than the longest is the longest.
        waiting = asyncio.create_task(client.call("eth_sendRawTransactionSync", hexed(raw), far))
        await client.call("eth_chainId")
        rig.seal()
        receipt = await waiting
        assert (receipt["status"], receipt["blockNumber"]) == ("0x1", "0x1")
        for timeout in ((), (0,), (None,)):
            assert receipt == await client.call("eth_sendRawTransactionSync", hexed(raw), *timeout)
        raw = hexed(rig.transfer(0, 1, 6, nonce=0))
        error = await refusal(client, "eth_sendRawTransactionSync", raw)
        assert (error.code, error.message.startswith("nonce too low")) == (-32000, True)
        for wrong in (-1, "0x10", True, 1.5):
            error = await refusal(client, "eth_sendRawTransactionSync", raw, wrong)
            assert (error.code, error.message.startswith("timeoutMs")) == (-32602, True)

    run(scenario)


def test_a_question_for_the_receipt_of_what_waits_is_kept_a_moment():
    """ethers' `wait()` asks once and then only at new blocks, which an idle chain has not."""

    async def scenario(rig, client):
        raw = rig.transfer(0, 1, 5)
        digest = await client.call("eth_sendRawTransaction", hexed(raw))
        asked = [
            asyncio.create_task(client.call("eth_getTransactionReceipt", digest)) for _ in "ab"
        ]
        await client.call("eth_chainId")
        assert await client.call("eth_getTransactionReceipt", hexed(bytes(32))) is None
        rig.seal()
        first, second = await asyncio.gather(*asked)
        assert first == second
        assert first["blockNumber"] == "0x1"

    run(scenario)


def test_the_receipt_of_our_own_clients_is_answered_when_ethers_has_forgotten_the_nonce(
    monkeypatch,
):
    now = [1_000]
    monkeypatch.setattr("node.rpc.submissions._now_ms", lambda: now[0])
    slept = []
    real_sleep = asyncio.sleep

    async def sleep(seconds):
        slept.append(seconds)
        await real_sleep(0)

    async def scenario(rig, client):
        monkeypatch.setattr("node.rpc.submissions.asyncio.sleep", sleep)
        digest = await client.call("eth_sendRawTransaction", hexed(rig.transfer(0, 1, 5)))
        rig.seal()
        for age_ms in (0, 100, 300, 301):
            now[0] = 1_000 + age_ms
            receipt = await client.call("eth_getTransactionReceipt", digest)
            assert receipt["blockNumber"] == "0x1"
        others = rig.transfer(0, 1, 6)
        rig.chain.submit(others, is_own=False)
        rig.seal()
        others_hash = hexed(decode(others).hash)
        assert (await client.call("eth_getTransactionReceipt", others_hash))["status"] == "0x1"

    run(scenario)
    assert [seconds for seconds in slept if seconds] == [0.3, 0.2]


def test_the_receipt_of_what_is_not_sealed_is_null_all_the_same(monkeypatch):
    async def scenario(rig, client):
        digest = await client.call("eth_sendRawTransaction", hexed(rig.transfer(0, 1, 5)))
        monkeypatch.setattr("node.rpc.submissions.RECEIPT_WAIT_MS", 20)
        assert await client.call("eth_getTransactionReceipt", digest) is None
        monkeypatch.setattr("node.rpc.submissions.WAITERS_MAX", 0)
        assert await client.call("eth_getTransactionReceipt", digest) is None
        rig.seal()
        assert (await client.call("eth_getTransactionReceipt", digest))["status"] == "0x1"

    run(scenario)


def test_submit_says_when_there_is_no_seal_in_time_and_when_it_never_will_be():
    async def scenario(rig, client):
        raw = rig.transfer(0, 1, 5)
        error = await refusal(client, "hearth_submit", hexed(raw), 20)
        assert (error.code, error.data) == (-32051, {"hash": hexed(decode(raw).hash)})
        rig.seal()
        error = await refusal(client, "hearth_submit", hexed(rig.transfer(0, 1, 6, nonce=0)))
        assert (error.code, error.message.startswith("nonce too low")) == (-32000, True)
        assert (await refusal(client, "hearth_submit", hexed(raw), 60_001)).code == -32602

    run(scenario)


def test_pending_counts_and_gives_the_next_nonce():
    async def scenario(rig, client):
        rig.chain.submit(rig.transfer(0, 1, 5))
        assert await client.call("hearth_pending") == {"count": 1}
        assert await client.call("hearth_pending", hexed(ALICE.address)) == {"count": 1, "nonce": 1}

    run(scenario)


def test_the_relay_needs_the_token_and_sends_to_all_peers():
    async def scenario(rig, client):
        envelope = {"to": "0x" + "aa" * 32, "window": 1, "payload": "0x1234"}
        assert await client.call("hearth_relaySend", envelope) is True
        expires_ms = rig.genesis.time_ms + 2 * rig.genesis.window_ms
        sent = Envelope(
            to_key=b"\xaa" * 32, window=1, expires_ms=expires_ms, payload=b"\x12\x34"
        ).encode()
        assert {(member, payload) for member, _, payload in rig.network.sent} == {
            (member, b"\x00" + sent) for member in range(3)
        }
        async with RpcClient(rig.url, "00" * 32) as stranger:
            error = await refusal(stranger, "hearth_relaySend", envelope)
        async with RpcClient(rig.url) as nobody:
            assert (
                (await refusal(nobody, "hearth_relaySend", envelope)).code == error.code == -32050
            )
        error = await refusal(client, "hearth_relaySend", {**envelope, "window": 9})
        assert (error.code, error.data) == (-32052, {"reason": Refusal.TOO_FAR_AHEAD})
        for wrong in (
            {**envelope, "to": "0x12"},
            {**envelope, "window": -1},
            {**envelope, "payload": "0x"},
            {**envelope, "payload": "0x" + "00" * 4097},
            {**envelope, "subject": "hi"},
        ):
            assert (await refusal(client, "hearth_relaySend", wrong)).code == -32602
        assert rig.network.suspicions == []

    run(scenario)


def test_what_a_peer_sends_wrong_is_charged_to_it():
    async def scenario(rig, client):
        rig.relay.on_frame(1, b"\x00garbage")
        assert [member for member, _ in rig.network.suspicions] == [1]
        late = Envelope(to_key=bytes(32), window=0, expires_ms=1, payload=b"x")
        rig.relay.on_frame(1, b"\x00" + late.encode())
        assert len(rig.network.suspicions) == 1

    run(scenario)


def test_partition_and_heal_on_a_testnet():
    async def scenario(rig, client):
        names = [rig.members[0].name, rig.members[2].name]
        assert await client.call("hearth_adminPartition", [names[0], 2]) == names
        assert rig.network.partition == frozenset({0, 2})
        assert await client.call("hearth_adminHeal") is True
        assert rig.network.partition == frozenset()
        for wrong in (["nobody"], [9], [True], [None], "all", [0] * 5):
            assert (await refusal(client, "hearth_adminPartition", wrong)).code == -32602
        async with RpcClient(rig.url) as nobody:
            assert (await refusal(nobody, "hearth_adminPartition", [0])).code == -32050
        assert rig.network.partition == frozenset()

    run(scenario)


def test_only_testnets_have_the_admin_calls():
    async def scenario(rig, client):
        assert (await refusal(client, "hearth_adminPartition", [0])).code == -32601
        assert (await refusal(client, "hearth_adminHeal")).code == -32601

    run(scenario, is_testnet=False)


def test_a_learner_says_that_it_syncs():
    async def scenario(rig, client):
        rig.consensus = replace(rig.consensus, is_learner=True)
        assert (await client.call("eth_syncing"))["currentBlock"] == "0x0"
        assert (await client.call("hearth_status"))["isLearner"] is True

    run(scenario)


def test_held_envelopes_reach_a_service_subscriber():
    async def scenario(rig, client):
        got = []
        handle = rig.relay.open(got.append)
        await client.call(
            "hearth_relaySend", {"to": "0x" + "bb" * 32, "window": 1, "payload": "0x01"}
        )
        rig.relay.listen(handle, [b"\xbb" * 32])
        assert [envelope.payload for envelope in got] == [b"\x01"]
        rig.relay.close(handle)

    run(scenario)
