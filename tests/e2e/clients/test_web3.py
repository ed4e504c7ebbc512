"""web3.py deploys, sends, reads and watches, with nothing of ours but ABIs and a key."""

import asyncio

import pytest
from eth_account import Account
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError, ContractLogicError, Web3RPCError
from web3.logs import DISCARD
from web3.middleware import SignAndSendRawMiddlewareBuilder
from web3.utils.subscriptions import LogsSubscription, NewHeadsSubscription

from crypto.keys import checksum_address
from market.abi import ADDRESSES, OfferKind
from tests.e2e.clients.conftest import EUR

pytestmark = pytest.mark.e2e

ME, NEIGHBOUR = 0, 1
SUPPLY = 10**24
PRICE = 3 * EUR
SEAL_SECONDS = 20


@pytest.fixture(scope="module")
def account(net):
    return Account.from_key(net.household(ME).secret)


@pytest.fixture(scope="module")
def w3(net, account):
    made = Web3(Web3.HTTPProvider(net.url(ME)))
    made.eth.default_account = account.address
    return made


@pytest.fixture(scope="module")
def neighbour(net):
    return checksum_address(net.household(NEIGHBOUR).address)


@pytest.fixture(scope="module")
def native(w3, net):
    return {
        name: w3.eth.contract(address=checksum_address(address), abi=net.abis[name])
        for name, address in ADDRESSES.items()
    }


@pytest.fixture(scope="module")
def coin(w3, account, net):
    factory = w3.eth.contract(abi=net.coin["abi"], bytecode=net.coin["bytecode"])
    receipt = seal(w3, account, factory.constructor("Coin", "COIN", SUPPLY))
    return w3.eth.contract(address=receipt["contractAddress"], abi=net.coin["abi"])


@pytest.fixture(scope="module")
def shop(w3, account, kiosk):
    factory = w3.eth.contract(abi=kiosk["abi"], bytecode=kiosk["bytecode"])
    receipt = seal(w3, account, factory.constructor(PRICE))
    return w3.eth.contract(address=receipt["contractAddress"], abi=kiosk["abi"])


def send(w3, account, call, **fields):
    """Have web3.py fill in gas, nonce and fees; sign; return the hash."""
    count = w3.eth.get_transaction_count(account.address, "pending")
    transaction = call.build_transaction({"from": account.address, "nonce": count, **fields})
    return w3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)


def seal(w3, account, call, **fields):
    digest = send(w3, account, call, **fields)
    receipt = w3.eth.wait_for_transaction_receipt(digest, SEAL_SECONDS, 0.05)
    assert receipt["status"] == 1
    return receipt


def test_it_sees_the_chain(w3, net, account):
    assert w3.is_connected()
    assert w3.client_version.startswith("hearth/")
    assert w3.eth.chain_id == net.cluster.genesis.chain_id == int(w3.net.version)
    assert w3.eth.syncing is False
    assert w3.eth.gas_price == w3.eth.max_priority_fee == 0
    assert w3.eth.accounts == []
    assert w3.eth.get_balance(account.address) > 0
    assert w3.eth.get_code(checksum_address(ADDRESSES["Market"])).hex() == "60006000fd"
    with pytest.raises(Web3RPCError, match="-32601"):
        w3.eth.get_proof(account.address, [0])


def test_blocks_have_the_fields_of_ethereum_and_are_final(w3, coin):
    head = w3.eth.get_block("latest", full_transactions=True)
    assert head["number"] == w3.eth.block_number
    assert head["hash"] == w3.eth.get_block("finalized")["hash"]
    assert head["hash"] == w3.eth.get_block(head["number"])["hash"]
    assert head["hash"] == w3.eth.get_block(head["hash"])["hash"]
    parent = w3.eth.get_block(head["number"] - 1)
    assert head["parentHash"] == parent["hash"]
    assert head["timestamp"] >= parent["timestamp"] > 1_600_000_000
    assert head["baseFeePerGas"] == head["difficulty"] == 0
    assert 0 < head["gasUsed"] <= head["gasLimit"]
    assert len(head["logsBloom"]) == 256
    assert len(head["mixHash"]) == len(head["stateRoot"]) == len(head["receiptsRoot"]) == 32
    assert head["uncles"] == head["withdrawals"] == []
    first = head["transactions"][0]
    assert w3.eth.get_transaction(first["hash"]) == first
    assert w3.eth.get_transaction_by_block(head["number"], 0) == first
    history = w3.eth.fee_history(2, "latest", [50])
    assert history["baseFeePerGas"] == [0, 0, 0]
    assert history["reward"] == [[0], [0]]


def test_it_deploys_a_vyper_token_and_moves_it(w3, account, coin, neighbour):
    assert coin.functions.name().call() == "Coin"
    assert coin.functions.decimals().call() == 18
    assert coin.functions.balanceOf(account.address).call() == SUPPLY
    receipt = seal(w3, account, coin.functions.transfer(neighbour, 5))
    assert coin.functions.balanceOf(neighbour).call() == 5
    assert receipt["to"] == coin.address
    assert receipt["contractAddress"] is None
    assert receipt["effectiveGasPrice"] == 0
    assert receipt["type"] == 2
    (event,) = coin.events.Transfer().process_receipt(receipt)
    assert dict(event["args"]) == {"sender": account.address, "receiver": neighbour, "amount": 5}
    before = receipt["blockNumber"] - 1
    assert coin.functions.balanceOf(neighbour).call(block_identifier=before) == 0


def test_a_receipt_names_the_created_contract(w3, account, net):
    factory = w3.eth.contract(abi=net.coin["abi"], bytecode=net.coin["bytecode"])
    count = w3.eth.get_transaction_count(account.address)
    receipt = seal(w3, account, factory.constructor("Other", "OTHER", 1))
    assert receipt["to"] is None
    made = w3.eth.contract(address=receipt["contractAddress"], abi=net.coin["abi"])
    assert made.functions.symbol().call() == "OTHER"
    sent = w3.eth.get_transaction(receipt["transactionHash"])
    assert (sent["nonce"], sent.get("to")) == (count, None)
    assert w3.eth.get_code(made.address) != w3.eth.get_code(account.address) == b""


@pytest.mark.parametrize(
    ("kind", "fees"),
    [
        (0, {"gasPrice": 0}),
        (1, {"gasPrice": 0, "accessList": []}),
        (2, {"maxFeePerGas": 0, "maxPriorityFeePerGas": 0}),
    ],
    ids=["legacy", "access-list", "dynamic-fee"],
)
def test_it_sends_every_kind_of_transaction(w3, account, coin, neighbour, kind, fees):
    had = coin.functions.balanceOf(neighbour).call()
    receipt = seal(w3, account, coin.functions.transfer(neighbour, 1), **fees)
    assert receipt["type"] == kind
    assert coin.functions.balanceOf(neighbour).call() == had + 1


def test_it_signs_behind_transact(net, account, coin, neighbour):
    """The way of most scripts: a middleware answers eth_sendTransaction by a signed one."""
    signing = Web3(Web3.HTTPProvider(net.url(ME)))
    signing.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
    same = signing.eth.contract(address=coin.address, abi=coin.abi)
    for amount in (1, 2):
        digest = same.functions.transfer(neighbour, amount).transact({"from": account.address})
        receipt = signing.eth.wait_for_transaction_receipt(digest, SEAL_SECONDS, 0.05)
        assert receipt["status"] == 1
    raw = signing.eth.get_raw_transaction(digest)
    assert signing.keccak(raw) == digest
    assert Account.recover_transaction(raw) == account.address


def test_state_is_asked_for_by_height_and_hash(w3, coin, neighbour):
    head = w3.eth.get_block("latest")
    balance = coin.functions.balanceOf(neighbour)
    answers = [balance.call(block_identifier=each) for each in (head["number"], head["hash"])]
    assert answers[0] == answers[1] == balance.call(block_identifier=head["hash"].to_0x_hex())


def test_an_estimate_suffices_and_half_of_it_does_not(w3, account, coin, neighbour):
    call = coin.functions.transfer(neighbour, 7)
    estimate = call.estimate_gas({"from": account.address})
    receipt = seal(w3, account, call, gas=estimate)
    assert 21_000 < receipt["gasUsed"] <= estimate
    digest = send(w3, account, call, gas=receipt["gasUsed"] // 2 + 10_000)
    failed = w3.eth.wait_for_transaction_receipt(digest, SEAL_SECONDS, 0.05)
    assert failed["status"] == 0
    assert failed["gasUsed"] == receipt["gasUsed"] // 2 + 10_000


def test_nonces_count_what_waits_and_the_refusals_are_geths(w3, account, coin, neighbour):
    call = coin.functions.transfer(neighbour, 1)
    count = w3.eth.get_transaction_count(account.address)
    hashes = [send(w3, account, call, nonce=count + i, gas=100_000) for i in range(3)]
    assert w3.eth.get_transaction_count(account.address, "pending") == count + 3
    receipts = [w3.eth.wait_for_transaction_receipt(each, SEAL_SECONDS, 0.05) for each in hashes]
    assert [each["status"] for each in receipts] == [1, 1, 1]
    with pytest.raises(Web3RPCError, match="nonce too low"):
        send(w3, account, call, nonce=count, gas=100_000)
    with pytest.raises(Web3RPCError, match="intrinsic gas too low"):
        send(w3, account, call, gas=21_000)


def test_reverts_carry_their_reason(w3, account, coin, shop, neighbour):
    too_much = coin.functions.transfer(neighbour, SUPPLY * 2)
    with pytest.raises(ContractLogicError, match="balance too low") as caught:
        too_much.call()
    assert caught.value.data.startswith("0x08c379a0")
    with pytest.raises(ContractLogicError, match="balance too low"):
        too_much.estimate_gas({"from": account.address})
    with pytest.raises(ContractCustomError) as caught:
        shop.functions.refund(PRICE * 100).call()
    assert caught.value.data.startswith(
        w3.keccak(text="TooLittle(uint256,uint256)").to_0x_hex()[:10]
    )
    with pytest.raises(ContractLogicError, match="a note, please"):
        shop.functions.buy(1, "").call()
    with pytest.raises(ContractLogicError, match="INSUFFICIENT_ALLOWANCE"):
        shop.functions.buy(1, "unpaid").call()
    digest = send(w3, account, too_much, gas=100_000)
    receipt = w3.eth.wait_for_transaction_receipt(digest, SEAL_SECONDS, 0.05)
    assert (receipt["status"], receipt["logs"]) == (0, [])
    data = coin.encode_abi("transfer", [neighbour, SUPPLY * 2])
    answer = w3.provider.make_request("eth_call", [{"to": coin.address, "data": data}])
    assert answer["error"]["code"] == 3


def test_events_are_read_by_filter(w3, account, coin, neighbour):
    watched = coin.events.Transfer.create_filter(
        from_block="latest", argument_filters={"receiver": neighbour}
    )
    blocks = w3.eth.filter("latest")
    pending = w3.eth.filter("pending")
    first = seal(w3, account, coin.functions.transfer(neighbour, 11))
    seal(w3, account, coin.functions.transfer(account.address, 12))
    second = seal(w3, account, coin.functions.transfer(neighbour, 13))
    new = [event["args"]["amount"] for event in watched.get_new_entries()]
    assert new[-2:] == [11, 13]
    assert watched.get_new_entries() == []
    assert first["blockHash"] in blocks.get_new_entries()
    assert second["transactionHash"] in pending.get_new_entries()
    for each in (watched, blocks, pending):
        assert w3.eth.uninstall_filter(each.filter_id)
    with pytest.raises(Web3RPCError, match="filter not found"):
        watched.get_new_entries()
    logs = coin.events.Transfer.get_logs(
        from_block=first["blockNumber"],
        to_block=second["blockNumber"],
        argument_filters={"sender": account.address, "receiver": [neighbour, account.address]},
    )
    assert [log["args"]["amount"] for log in logs] == [11, 12, 13]
    assert logs[0]["transactionHash"] == first["transactionHash"]
    assert logs[0]["blockHash"] == first["blockHash"]
    assert not logs[0].get("removed")


def test_events_and_blocks_are_pushed_over_a_websocket(w3, net, account, coin, neighbour):
    seen, heads = [], []

    async def watch():
        url = net.url(ME).replace("http://", "ws://")
        async with AsyncWeb3(WebSocketProvider(url)) as socket:
            there = asyncio.Event()

            async def on_log(context):
                event = coin.events.Transfer().process_log(context.result)
                seen.append(event["args"]["amount"])
                if len(seen) == 2:
                    there.set()

            async def on_head(context):
                heads.append(context.result["number"])

            transfer = coin.events.Transfer()
            topics = [w3.keccak(text=transfer.signature).to_0x_hex()]
            await socket.subscription_manager.subscribe(
                [
                    LogsSubscription(address=coin.address, topics=topics, handler=on_log),
                    NewHeadsSubscription(handler=on_head),
                ]
            )
            handling = asyncio.create_task(
                socket.subscription_manager.handle_subscriptions(run_forever=True)
            )
            for amount in (21, 22):
                call = coin.functions.transfer(neighbour, amount)
                await asyncio.to_thread(seal, w3, account, call)
            await asyncio.wait_for(there.wait(), SEAL_SECONDS)
            assert await socket.subscription_manager.unsubscribe_all()
            handling.cancel()
            await asyncio.gather(handling, return_exceptions=True)
            assert await socket.eth.block_number >= heads[-1]

    asyncio.run(watch())
    assert seen == [21, 22]
    assert heads == sorted(set(heads))
    assert len(heads) >= 2


def test_it_uses_the_native_tokens(w3, net, account, native, neighbour):
    money, energy = native["MoneyToken"], native["EnergyToken"]
    assert (money.functions.decimals().call(), energy.functions.decimals().call()) == (8, 3)
    assert energy.functions.balanceOf(account.address).call() == 0
    had = money.functions.balanceOf(neighbour).call()
    receipt = seal(w3, account, money.functions.transfer(neighbour, EUR))
    assert money.functions.balanceOf(neighbour).call() == had + EUR
    (event,) = money.events.Transfer().process_receipt(receipt)
    assert (event["args"]["to"], event["args"]["value"]) == (neighbour, EUR)
    with pytest.raises(ContractLogicError, match="INSUFFICIENT_ENERGY"):
        energy.functions.transfer(neighbour, 1).call()
    assert net.view(ME, "money_token", "balanceOf", neighbour) == had + EUR


def test_a_permit_is_signed_as_typed_data(w3, account, native, shop):
    money = native["MoneyToken"]
    deadline = w3.eth.get_block("latest")["timestamp"] + 3_600
    r, s, v = sign_permit(account, native["MoneyToken"], shop.address, PRICE, deadline)
    call = shop.functions.buyWithPermit(9, "by permit", deadline, v, r, s)
    had = money.functions.balanceOf(shop.address).call()
    receipt = seal(w3, account, call)
    (event,) = shop.events.Bought().process_receipt(receipt, errors=DISCARD)
    assert event["args"] == {
        "buyer": account.address,
        "item": 9,
        "amount": PRICE,
        "note": "by permit",
    }
    assert money.functions.balanceOf(shop.address).call() == had + PRICE
    assert money.functions.allowance(account.address, shop.address).call() == 0
    with pytest.raises(ContractLogicError, match="BAD_SIGNATURE"):
        call.call()


def sign_permit(account, token, spender, value, deadline):
    """EIP-2612, with the domain that the token itself shows (EIP-5267)."""
    _, name, version, chain_id, contract, _, _ = token.functions.eip712Domain().call()
    fields = ("owner", "spender", "value", "nonce", "deadline")
    kinds = ("address", "address", "uint256", "uint256", "uint256")
    nonce = token.functions.nonces(account.address).call()
    signed = Account.sign_typed_data(
        account.key,
        {"name": name, "version": version, "chainId": chain_id, "verifyingContract": contract},
        {"Permit": [{"name": n, "type": t} for n, t in zip(fields, kinds, strict=True)]},
        dict(zip(fields, (account.address, spender, value, nonce, deadline), strict=True)),
    )
    return signed.r.to_bytes(32), signed.s.to_bytes(32), signed.v


def test_a_solidity_contract_uses_natives_and_the_market(w3, account, native, shop):
    money, market = native["MoneyToken"], native["Market"]
    assert shop.functions.owner().call() == account.address
    seal(w3, account, money.functions.approve(shop.address, 2 * PRICE))
    had = money.functions.balanceOf(account.address).call()
    receipt = seal(w3, account, shop.functions.buy(4, "tea"))
    assert money.functions.balanceOf(account.address).call() == had - PRICE
    (paid,) = money.events.Transfer().process_receipt(receipt, errors=DISCARD)
    assert paid["args"]["to"] == shop.address
    seal(w3, account, shop.functions.refund(PRICE))
    assert money.functions.balanceOf(account.address).call() == had

    seal(w3, account, market.functions.enrol(1))
    for quantity in (400, 600):
        offer = market.functions.makeOffer(1, OfferKind.FORECAST, quantity, b"\1" * 32, b"sun")
        seal(w3, account, offer)
    offers = market.functions.getOffers(1).call()
    mine = [each for each in offers if each[1] == account.address]
    assert [(kind, wh, sold, said) for _, _, kind, wh, sold, _, said in mine] == [
        (0, 400, 0, b"sun"),
        (0, 600, 0, b"sun"),
    ]
    total = sum(each[3] for each in offers)
    assert shop.functions.offered(1).call() == [len(offers), total]


def test_traces_of_nodes_are_read(w3, account, shop):
    call = shop.encode_abi("offered", [1])
    traced = w3.provider.make_request(
        "debug_traceCall",
        [{"to": shop.address, "data": call}, "latest", {"tracer": "callTracer"}],
    )["result"]
    assert traced["to"] == shop.address.lower()
    assert [inner["to"] for inner in traced["calls"]] == [f"0x{ADDRESSES['Market'].hex()}"]


def test_batches_answer_in_order(w3, coin, account):
    with w3.batch_requests() as batch:
        batch.add(coin.functions.totalSupply())
        batch.add(w3.eth.get_block("latest"))
        batch.add(coin.functions.symbol())
        supply, block, symbol = batch.execute()
    assert (supply, symbol) == (SUPPLY, "COIN")
    assert block["number"] > 0
