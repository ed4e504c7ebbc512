// viem 2 deploys, sends, reads and watches. Facts of the testnet on stdin: see conftest.py.
import assert from "node:assert/strict";
import {
  BaseError,
  ContractFunctionRevertedError,
  NonceTooLowError,
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeFunctionData,
  getAddress,
  http,
  parseEventLogs,
  parseSignature,
  webSocket,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { EUR, PRICE, SEAL_MS, SUPPLY, WINDOW, facts, raw, run, until } from "./steps.mjs";

const chain = defineChain({
  id: facts.chainId,
  name: "hearth",
  nativeCurrency: { name: "gas", symbol: "GAS", decimals: 0 },
  rpcUrls: { default: { http: [facts.http], webSocket: [facts.ws] } },
});
const account = privateKeyToAccount(facts.key);
const quick = { chain, pollingInterval: 100, cacheTime: 0 };
const client = createPublicClient({ ...quick, transport: http() });
const batching = createPublicClient({ ...quick, transport: http(facts.http, { batch: true }) });
const wallet = createWalletClient({ ...quick, account, transport: http() });
const native = (name) => facts.natives[name];
const money = native("MoneyToken");
const energy = native("EnergyToken");
const market = native("Market");
let coin;
let kiosk;

async function sealed(hash) {
  const receipt = await client.waitForTransactionReceipt({ hash, timeout: SEAL_MS });
  assert.equal(receipt.status, "success");
  return receipt;
}

const read = (contract, functionName, ...args) => client.readContract({ ...contract, functionName, args });
const write = (contract, functionName, ...args) => wallet.writeContract({ ...contract, functionName, args });
const send = async (...call) => await sealed(await write(...call));

async function deploy({ abi, bytecode }, ...args) {
  const receipt = await sealed(await wallet.deployContract({ abi, bytecode, args }));
  assert.equal(receipt.to, null);
  return { address: getAddress(receipt.contractAddress), abi };
}

/** The revert inside the error of a call. */
async function revert(promise) {
  const error = await promise.then(() => assert.fail("it did not revert"), (caught) => caught);
  assert.ok(error instanceof BaseError, String(error));
  const found = error.walk((each) => each instanceof ContractFunctionRevertedError);
  assert.ok(found, error.message);
  return found;
}

await run({
  async "network, head and fees"() {
    assert.equal(await client.getChainId(), facts.chainId);
    const block = await client.getBlock({ includeTransactions: true });
    assert.equal(block.number, await client.getBlockNumber());
    assert.equal(block.hash, (await client.getBlock({ blockTag: "finalized" })).hash);
    assert.equal(block.parentHash, (await client.getBlock({ blockNumber: block.number - 1n })).hash);
    assert.equal(block.baseFeePerGas, 0n);
    assert.equal(block.transactions[0].blockHash, block.hash);
    assert.equal(await client.getGasPrice(), 0n);
    const fees = await client.estimateFeesPerGas();
    assert.deepEqual([fees.maxFeePerGas, fees.maxPriorityFeePerGas], [0n, 0n]);
    const history = await client.getFeeHistory({ blockCount: 2, rewardPercentiles: [50] });
    assert.deepEqual(history.reward, [[0n], [0n]]);
    assert.ok((await client.getBalance({ address: account.address })) > 0n);
    assert.equal(await client.getCode({ address: market.address }), "0x60006000fd");
  },

  async "a Vyper token is deployed"() {
    coin = await deploy(facts.coin, "viem coin", "VIEM", SUPPLY);
    assert.equal(await read(coin, "name"), "viem coin");
    assert.equal(await read(coin, "balanceOf", account.address), SUPPLY);
    return { coin: coin.address };
  },

  async "a Solidity contract is deployed"() {
    kiosk = await deploy(facts.kiosk, PRICE);
    assert.equal(await read(kiosk, "owner"), account.address);
    assert.equal(await read(kiosk, "price"), PRICE);
  },

  async "the token moves, and its events are found"() {
    const receipt = await send(coin, "transfer", facts.neighbour, 5n);
    assert.equal(await read(coin, "balanceOf", facts.neighbour), 5n);
    const [event] = parseEventLogs({ abi: coin.abi, logs: receipt.logs });
    assert.deepEqual(event.args, { sender: account.address, receiver: facts.neighbour, amount: 5n });
    await send(coin, "transfer", account.address, 6n);
    const query = { ...coin, eventName: "Transfer", fromBlock: receipt.blockNumber };
    const logs = await client.getContractEvents({ ...query, args: { receiver: facts.neighbour } });
    assert.deepEqual(logs.map((log) => log.args.amount), [5n]);
    assert.equal(logs[0].transactionHash, receipt.transactionHash);
    const past = { ...coin, functionName: "balanceOf", args: [facts.neighbour] };
    assert.equal(await client.readContract({ ...past, blockNumber: receipt.blockNumber - 1n }), 0n);
    const sent = await client.getTransaction({ hash: receipt.transactionHash });
    assert.deepEqual([sent.from, sent.type], [receipt.from, "eip1559"]);
  },

  async "events come by a filter"() {
    const filter = await client.createContractEventFilter({ ...coin, eventName: "Transfer", strict: true });
    const blocks = await client.createBlockFilter();
    const pending = await client.createPendingTransactionFilter();
    const receipts = [];
    for (const amount of [11n, 12n]) receipts.push(await send(coin, "transfer", facts.neighbour, amount));
    const logs = await client.getFilterChanges({ filter });
    assert.deepEqual(logs.map((log) => log.args.amount), [11n, 12n]);
    assert.deepEqual(await client.getFilterChanges({ filter }), []);
    assert.ok((await client.getFilterChanges({ filter: blocks })).includes(receipts[1].blockHash));
    const hashes = await client.getFilterChanges({ filter: pending });
    assert.ok(receipts.every((receipt) => hashes.includes(receipt.transactionHash)));
    assert.equal(await client.uninstallFilter({ filter }), true);
    await assert.rejects(client.getFilterChanges({ filter }), /filter not found/);
  },

  async "events come by polling"() {
    const seen = [];
    const stop = client.watchContractEvent({
      ...coin,
      eventName: "Transfer",
      onLogs: (logs) => seen.push(...logs.map((log) => log.args.amount)),
      onError: (error) => assert.fail(error),
    });
    // viem makes its filter in the background: what is sent before that is not in it.
    let sent = 100n;
    while (seen.length === 0 && sent < 120n) await send(coin, "transfer", facts.neighbour, ++sent);
    for (let i = 0; i < 2; i++) await send(coin, "transfer", facts.neighbour, ++sent);
    await until(() => seen.at(-1) === sent, "the last event");
    assert.deepEqual(seen, seen.map((_, i) => seen[0] + BigInt(i)));
    stop();
  },

  async "events and blocks come over a WebSocket"() {
    const socket = createPublicClient({ chain, transport: webSocket() });
    const seen = [];
    const heads = [];
    const onError = (error) => assert.fail(error);
    const onLogs = (logs) => seen.push(...logs.map((log) => log.args.amount));
    socket.watchContractEvent({ ...coin, eventName: "Transfer", onLogs, onError });
    socket.watchBlocks({ onBlock: (block) => heads.push(block.number), onError });
    let sent = 200n;
    while (seen.length === 0 && sent < 220n) await send(coin, "transfer", facts.neighbour, ++sent);
    for (let i = 0; i < 2; i++) await send(coin, "transfer", facts.neighbour, ++sent);
    await until(() => seen.at(-1) === sent && heads.length >= 2, "the last event");
    assert.deepEqual(seen, seen.map((_, i) => seen[0] + BigInt(i)));
    assert.deepEqual(heads, heads.map((_, i) => heads[0] + BigInt(i)));
    const balance = { ...coin, functionName: "balanceOf", args: [facts.neighbour] };
    assert.equal(await socket.readContract(balance), await client.readContract(balance));
  },

  async "nonces count what waits"() {
    const { address } = account;
    const before = await client.getTransactionCount({ address });
    const call = { ...coin, functionName: "transfer", args: [facts.neighbour, 1n], gas: 100_000n };
    const hashes = [];
    for (let i = 0; i < 3; i++) hashes.push(await wallet.writeContract({ ...call, nonce: before + i }));
    assert.equal(await client.getTransactionCount({ address, blockTag: "pending" }), before + 3);
    for (const hash of hashes) await sealed(hash);
    await assert.rejects(wallet.writeContract({ ...call, nonce: before }), (error) =>
      Boolean(error.walk((each) => each instanceof NonceTooLowError)),
    );
  },

  async "every kind of transaction is taken"() {
    const fees = {
      legacy: { gasPrice: 0n },
      eip2930: { gasPrice: 0n, accessList: [{ address: coin.address, storageKeys: [] }] },
      eip1559: { maxFeePerGas: 0n, maxPriorityFeePerGas: 0n },
    };
    for (const [type, fields] of Object.entries(fees)) {
      const call = { ...coin, functionName: "transfer", args: [facts.neighbour, 1n], type, ...fields };
      const receipt = await sealed(await wallet.writeContract(call));
      assert.equal(receipt.type, type);
      assert.equal(receipt.effectiveGasPrice, 0n);
    }
  },

  async "a transaction is answered by its receipt"() {
    const receipt = await wallet.sendTransactionSync({ to: facts.neighbour, timeout: SEAL_MS });
    assert.equal(receipt.status, "success");
    assert.equal(receipt.blockHash, (await client.getBlock({ blockNumber: receipt.blockNumber })).hash);
    const call = { ...coin, functionName: "transfer", args: [facts.neighbour, 1n] };
    const [event] = (await wallet.writeContractSync(call)).logs;
    assert.equal(event.address, coin.address.toLowerCase());
  },

  async "messages are verified by the universal verifier"() {
    const message = "a meter's reading";
    const signature = await account.signMessage({ message });
    const { address } = account;
    assert.equal(await client.verifyMessage({ address, message, signature }), true);
    assert.equal(await client.verifyMessage({ address: facts.neighbour, message, signature }), false);
  },

  async "several calls are made as one, without a contract for it"() {
    const contracts = [
      { ...money, functionName: "decimals" },
      { ...coin, functionName: "symbol" },
      { ...coin, functionName: "transfer", args: [facts.neighbour, 2n * SUPPLY] },
    ];
    const [decimals, symbol, refused] = await client.multicall({ contracts, deployless: true });
    assert.deepEqual([decimals.result, symbol.result, refused.status], [8, "VIEM", "failure"]);
  },

  async "an estimate suffices, and access lists are made"() {
    const call = { ...coin, functionName: "transfer", args: [facts.neighbour, 7n], account };
    const gas = await client.estimateContractGas(call);
    const receipt = await sealed(await wallet.writeContract({ ...call, gas }));
    assert.ok(receipt.gasUsed > 21_000n && receipt.gasUsed <= gas);
    const made = await client.createAccessList({
      account,
      to: coin.address,
      data: encodeFunctionData(call),
    });
    assert.equal(made.accessList.length, 1);
    assert.equal(made.accessList[0].storageKeys.length, 2);
  },

  async "reverts carry their reason"() {
    const simulate = (contract, functionName, ...args) =>
      client.simulateContract({ ...contract, functionName, args, account });
    const poor = await revert(simulate(coin, "transfer", facts.neighbour, 2n * SUPPLY));
    assert.equal(poor.reason, "balance too low");
    const estimated = await revert(write(coin, "transfer", facts.neighbour, 2n * SUPPLY));
    assert.equal(estimated.reason, "balance too low");
    const little = await revert(simulate(kiosk, "refund", PRICE));
    assert.equal(little.data.errorName, "TooLittle");
    assert.deepEqual(little.data.args, [0n, PRICE]);
    assert.match((await revert(simulate(kiosk, "buy", 1n, "unpaid"))).reason, /^INSUFFICIENT_ALLOWANCE/);
    const args = [facts.neighbour, 2n * SUPPLY];
    const data = encodeFunctionData({ abi: coin.abi, functionName: "transfer", args });
    const { error } = await raw("eth_call", [{ to: coin.address, data }, "latest"]);
    assert.equal(error.code, 3);
    const hash = await wallet.writeContract({ ...coin, functionName: "transfer", args, gas: 100_000n });
    const failed = await client.waitForTransactionReceipt({ hash, timeout: SEAL_MS });
    assert.deepEqual([failed.status, failed.logs], ["reverted", []]);
  },

  async "native tokens are ERC-20s"() {
    const two = [money, energy].map((token) => batching.readContract({ ...token, functionName: "decimals" }));
    assert.deepEqual(await Promise.all(two), [8, 3]);
    const had = await read(money, "balanceOf", facts.neighbour);
    const receipt = await send(money, "transfer", facts.neighbour, EUR);
    const [event] = parseEventLogs({ abi: money.abi, logs: receipt.logs });
    assert.deepEqual([event.args.to, event.args.value], [facts.neighbour, EUR]);
    assert.equal(await read(money, "balanceOf", facts.neighbour), had + EUR);
    return { neighbourHas: had + EUR };
  },

  async "a permit is signed as typed data"() {
    const [, name, version, chainId, verifyingContract] = await read(money, "eip712Domain");
    const deadline = (await client.getBlock()).timestamp + 3_600n;
    const kinds = { owner: "address", spender: "address", value: "uint256", nonce: "uint256", deadline: "uint256" };
    const nonce = await read(money, "nonces", account.address);
    const signature = await wallet.signTypedData({
      domain: { name, version, chainId, verifyingContract },
      types: { Permit: Object.entries(kinds).map(([name, type]) => ({ name, type })) },
      primaryType: "Permit",
      message: { owner: account.address, spender: kiosk.address, value: PRICE, nonce, deadline },
    });
    const { v, r, s } = parseSignature(signature);
    await send(money, "permit", account.address, kiosk.address, PRICE, deadline, Number(v), r, s);
    assert.equal(await read(money, "allowance", account.address, kiosk.address), PRICE);
    assert.equal(await read(money, "nonces", account.address), nonce + 1n);
  },

  async "a Solidity contract takes the chain's money"() {
    const had = await read(money, "balanceOf", account.address);
    const receipt = await send(kiosk, "buy", 4n, "tea");
    const [bought] = parseEventLogs({ abi: kiosk.abi, logs: receipt.logs, eventName: "Bought" });
    assert.deepEqual(bought.args, { buyer: account.address, item: 4n, amount: PRICE, note: "tea" });
    assert.equal(await read(money, "balanceOf", account.address), had - PRICE);
    await send(kiosk, "refund", PRICE);
    assert.equal(await read(money, "balanceOf", account.address), had);
  },

  async "the market's offers are read, by client and by contract"() {
    await send(market, "enrol", WINDOW);
    const key = `0x${"03".repeat(32)}`;
    await send(market, "makeOffer", WINDOW, 0, 800n, key, "0x77696e64");
    const offers = await read(market, "getOffers", WINDOW);
    const mine = offers.filter((offer) => offer.seller === account.address);
    assert.deepEqual(mine, [
      {
        id: mine[0].id,
        seller: account.address,
        kind: 0,
        quantity: 800n,
        sold: 0n,
        negotiationKey: key,
        conditions: "0x77696e64",
      },
    ]);
    const wh = offers.reduce((sum, offer) => sum + offer.quantity, 0n);
    assert.deepEqual(await read(kiosk, "offered", WINDOW), [BigInt(offers.length), wh]);
    return { offers: offers.length };
  },
});
