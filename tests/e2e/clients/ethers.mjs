// ethers 6 deploys, sends, reads and watches. Facts of the testnet on stdin: see conftest.py.
import assert from "node:assert/strict";
import {
  AbiCoder,
  Contract,
  ContractFactory,
  Interface,
  JsonRpcProvider,
  NonceManager,
  Signature,
  Wallet,
  WebSocketProvider,
} from "ethers";
import { EUR, PRICE, SEAL_MS, SUPPLY, WINDOW, facts, raw, run, until } from "./steps.mjs";

// Blocks are sealed within milliseconds: neither poll slowly nor answer from the last 250 ms.
const provider = new JsonRpcProvider(facts.http, undefined, { cacheTimeout: -1, pollingInterval: 100 });
const wallet = new Wallet(facts.key, provider);
const native = (name) => new Contract(facts.natives[name].address, facts.natives[name].abi, wallet);
const money = native("MoneyToken");
const energy = native("EnergyToken");
const market = native("Market");
let coin;
let kiosk;

async function sealed(sending) {
  const receipt = await (await sending).wait(1, SEAL_MS);
  assert.equal(receipt.status, 1);
  return receipt;
}

await run({
  async "network, head and fees"() {
    assert.equal((await provider.getNetwork()).chainId, BigInt(facts.chainId));
    const block = await provider.getBlock("latest", true);
    assert.equal(block.number, await provider.getBlockNumber());
    assert.equal(block.hash, (await provider.getBlock("finalized")).hash);
    assert.equal(block.baseFeePerGas, 0n);
    assert.equal(block.parentHash, (await provider.getBlock(block.number - 1)).hash);
    assert.ok(block.timestamp > 1_600_000_000);
    assert.ok(block.gasUsed > 0n && block.gasUsed <= block.gasLimit);
    assert.equal(block.prefetchedTransactions[0].blockHash, block.hash);
    const fees = await provider.getFeeData();
    assert.equal(fees.gasPrice, 0n);
    assert.ok((await provider.getBalance(wallet.address)) > 0n);
    assert.equal(await provider.getCode(facts.natives.Market.address), "0x60006000fd");
  },

  async "a Vyper token is deployed"() {
    const factory = new ContractFactory(facts.coin.abi, facts.coin.bytecode, wallet);
    coin = await factory.deploy("Ethers coin", "ETH6", SUPPLY);
    await coin.waitForDeployment();
    const receipt = await provider.getTransactionReceipt(coin.deploymentTransaction().hash);
    assert.equal(receipt.contractAddress, await coin.getAddress());
    assert.equal(receipt.to, null);
    assert.equal(await coin.name(), "Ethers coin");
    assert.equal(await coin.decimals(), 18n);
    assert.equal(await coin.balanceOf(wallet.address), SUPPLY);
    return { coin: await coin.getAddress() };
  },

  async "a Solidity contract is deployed"() {
    const factory = new ContractFactory(facts.kiosk.abi, facts.kiosk.bytecode, wallet);
    kiosk = await factory.deploy(PRICE);
    await kiosk.waitForDeployment();
    assert.equal(await kiosk.owner(), wallet.address);
    assert.equal(await kiosk.price(), PRICE);
  },

  async "the token moves, and its events are found"() {
    const receipt = await sealed(coin.transfer(facts.neighbour, 5n));
    assert.equal(await coin.balanceOf(facts.neighbour), 5n);
    const [event] = receipt.logs;
    assert.deepEqual(event.args.toArray(), [wallet.address, facts.neighbour, 5n]);
    assert.equal(event.eventName, "Transfer");
    await sealed(coin.transfer(wallet.address, 6n));
    const toNeighbour = coin.filters.Transfer(null, facts.neighbour);
    const logs = await coin.queryFilter(toNeighbour, receipt.blockNumber, "latest");
    assert.deepEqual(logs.map((log) => log.args.amount), [5n]);
    assert.equal(logs[0].transactionHash, receipt.hash);
    const past = { blockTag: receipt.blockNumber - 1 };
    assert.equal(await coin.balanceOf(facts.neighbour, past), 0n);
    const sent = await provider.getTransaction(receipt.hash);
    assert.equal(sent.from, wallet.address);
    assert.equal(sent.blockHash, receipt.blockHash);
  },

  async "events come by polling a filter"() {
    const seen = [];
    const heads = [];
    await coin.on("Transfer", (sender, receiver, amount, event) => {
      assert.equal(receiver, facts.neighbour);
      assert.ok(event.log.blockNumber > 0);
      seen.push(amount);
    });
    await provider.on("block", (number) => heads.push(number));
    // ethers makes its filter in the background: what is sent before that is not in it.
    let sent = 10n;
    while (seen.length === 0 && sent < 30n) await sealed(coin.transfer(facts.neighbour, ++sent));
    for (let i = 0; i < 2; i++) await sealed(coin.transfer(facts.neighbour, ++sent));
    await until(() => seen.at(-1) === sent, "the last event");
    assert.deepEqual(seen, seen.map((_, i) => seen[0] + BigInt(i)));
    assert.ok(seen.length >= 3 && heads.length >= 1);
    await provider.removeAllListeners();
    await coin.removeAllListeners();
  },

  async "events, heads and pending hashes come over a WebSocket"() {
    const socket = new WebSocketProvider(facts.ws);
    const watched = coin.connect(socket);
    const seen = [];
    const heads = [];
    const hashes = [];
    await watched.on("Transfer", (sender, receiver, amount) => seen.push(amount));
    await socket.on("block", (number) => heads.push(number));
    await socket.on("pending", (hash) => hashes.push(hash));
    await socket.getBlockNumber(); // Asked after the subscriptions, so they are there.
    const receipts = [];
    for (const amount of [21n, 22n]) receipts.push(await sealed(coin.transfer(facts.neighbour, amount)));
    await until(() => seen.length === 2 && heads.length >= 2, "the second event");
    assert.deepEqual(seen, [21n, 22n]);
    assert.deepEqual([...heads].sort((a, b) => a - b), heads);
    assert.ok(heads.includes(receipts[1].blockNumber));
    assert.ok(receipts.every((receipt) => hashes.includes(receipt.hash)));
    assert.equal(await watched.balanceOf(facts.neighbour), await coin.balanceOf(facts.neighbour));
    await socket.destroy();
  },

  async "nonces count what waits"() {
    // With ethers' own settings: the manager asks for the nonce once and counts what it sends.
    const manager = new NonceManager(new Wallet(facts.key, new JsonRpcProvider(facts.http)));
    const fast = coin.connect(manager);
    const before = await wallet.getNonce();
    const sent = await Promise.all([1n, 2n, 3n].map((amount) => fast.transfer(facts.neighbour, amount)));
    const receipts = await Promise.all(sent.map((each) => each.wait(1, SEAL_MS)));
    assert.deepEqual(receipts.map((each) => each.status), [1, 1, 1]);
    assert.deepEqual(sent.map((each) => each.nonce).sort((a, b) => a - b), [before, before + 1, before + 2]);
    assert.equal(await wallet.getNonce("pending"), before + 3);
    for (const amount of [4n, 5n]) await sealed(fast.transfer(facts.neighbour, amount));
    await assert.rejects(coin.transfer(facts.neighbour, 1n, { nonce: before }), { code: "NONCE_EXPIRED" });
  },

  async "one transaction after the other, with ethers' own settings"() {
    const plain = coin.connect(new Wallet(facts.key, new JsonRpcProvider(facts.http)));
    for (const amount of [1n, 2n, 3n]) await sealed(plain.transfer(facts.neighbour, amount));
  },

  async "every kind of transaction is taken"() {
    const fees = [
      { type: 0, gasPrice: 0n },
      { type: 1, gasPrice: 0n, accessList: [[await coin.getAddress(), []]] },
      { type: 2, maxFeePerGas: 0n, maxPriorityFeePerGas: 0n },
    ];
    for (const fields of fees) {
      const receipt = await sealed(coin.transfer(facts.neighbour, 1n, fields));
      assert.equal(receipt.type, fields.type);
      assert.equal(receipt.gasPrice, 0n);
    }
  },

  async "an estimate suffices"() {
    const estimate = await coin.transfer.estimateGas(facts.neighbour, 7n);
    const receipt = await sealed(coin.transfer(facts.neighbour, 7n, { gasLimit: estimate }));
    assert.ok(receipt.gasUsed > 21_000n && receipt.gasUsed <= estimate);
  },

  async "reverts carry their reason"() {
    await assert.rejects(coin.transfer.staticCall(facts.neighbour, 2n * SUPPLY), {
      code: "CALL_EXCEPTION",
      reason: "balance too low",
    });
    await assert.rejects(coin.transfer(facts.neighbour, 2n * SUPPLY), { reason: "balance too low" });
    await assert.rejects(kiosk.buy.staticCall(1, ""), { reason: "a note, please" });
    await assert.rejects(kiosk.refund.staticCall(PRICE), (error) => {
      assert.equal(error.revert.name, "TooLittle");
      assert.deepEqual(error.revert.args.toArray(), [0n, PRICE]);
      return true;
    });
    const data = new Interface(facts.coin.abi).encodeFunctionData("transfer", [facts.neighbour, 2n * SUPPLY]);
    const { error } = await raw("eth_call", [{ to: await coin.getAddress(), data }, "latest"]);
    assert.equal(error.code, 3);
    assert.equal(error.message, "execution reverted: balance too low");
    assert.equal(AbiCoder.defaultAbiCoder().decode(["string"], `0x${error.data.slice(10)}`)[0], "balance too low");
    const failing = await coin.transfer(facts.neighbour, 2n * SUPPLY, { gasLimit: 100_000n });
    await assert.rejects(failing.wait(1, SEAL_MS), (refused) => {
      assert.equal(refused.code, "CALL_EXCEPTION");
      assert.equal(refused.receipt.status, 0);
      return true;
    });
  },

  async "native tokens are ERC-20s"() {
    assert.deepEqual([await money.decimals(), await energy.decimals()], [8n, 3n]);
    const had = await money.balanceOf(facts.neighbour);
    const receipt = await sealed(money.transfer(facts.neighbour, EUR));
    assert.deepEqual(receipt.logs[0].args.toArray(), [wallet.address, facts.neighbour, EUR]);
    assert.equal(await money.balanceOf(facts.neighbour), had + EUR);
    assert.equal(await energy.balanceOf(wallet.address), 0n);
    await assert.rejects(energy.transfer.staticCall(facts.neighbour, 1n), /INSUFFICIENT_ENERGY/);
    return { neighbourHas: had + EUR };
  },

  async "a permit is signed as typed data"() {
    const [, name, version, chainId, verifyingContract] = await money.eip712Domain();
    const spender = await kiosk.getAddress();
    const deadline = (await provider.getBlock("latest")).timestamp + 3_600;
    const kinds = { owner: "address", spender: "address", value: "uint256", nonce: "uint256", deadline: "uint256" };
    const signature = await wallet.signTypedData(
      { name, version, chainId, verifyingContract },
      { Permit: Object.entries(kinds).map(([name, type]) => ({ name, type })) },
      { owner: wallet.address, spender, value: PRICE, nonce: await money.nonces(wallet.address), deadline },
    );
    const { v, r, s } = Signature.from(signature);
    await sealed(money.permit(wallet.address, spender, PRICE, deadline, v, r, s));
    assert.equal(await money.allowance(wallet.address, spender), PRICE);
    await assert.rejects(
      money.permit.staticCall(wallet.address, spender, PRICE, deadline, v, r, s),
      /BAD_SIGNATURE/,
    );
  },

  async "a Solidity contract takes the chain's money"() {
    const had = await money.balanceOf(wallet.address);
    const receipt = await sealed(kiosk.buy(4n, "tea"));
    const bought = receipt.logs.find((log) => log.eventName === "Bought");
    assert.deepEqual(bought.args.toArray(), [wallet.address, 4n, PRICE, "tea"]);
    assert.equal(await money.balanceOf(wallet.address), had - PRICE);
    assert.equal(await money.balanceOf(await kiosk.getAddress()), PRICE);
    assert.equal(await money.allowance(wallet.address, await kiosk.getAddress()), 0n);
    await sealed(kiosk.refund(PRICE));
    assert.equal(await money.balanceOf(wallet.address), had);
  },

  async "the market's offers are read, by client and by contract"() {
    await sealed(market.enrol(WINDOW));
    const key = `0x${"02".repeat(32)}`;
    await sealed(market.makeOffer(WINDOW, 0, 700n, key, "0x68656174"));
    const offers = await market.getOffers(WINDOW);
    const mine = offers.filter((offer) => offer.seller === wallet.address);
    assert.equal(mine.length, 1);
    assert.deepEqual(mine[0].toObject(), {
      id: mine[0].id,
      seller: wallet.address,
      kind: 0n,
      quantity: 700n,
      sold: 0n,
      negotiationKey: key,
      conditions: "0x68656174",
    });
    const wh = offers.reduce((sum, offer) => sum + offer.quantity, 0n);
    assert.deepEqual((await kiosk.offered(WINDOW)).toArray(), [BigInt(offers.length), wh]);
    return { offers: offers.length };
  },
});
