// Compiles every contract in contracts/ and every published interface with solc.
//
//   node compile.mjs FOLDER-OF-INTERFACES
//
// Prints one line of JSON: {version, contracts: {Name: {abi, bytecode}}, interfaces: {IName: abi}}.
// Anything that solc says, warnings too, is an error.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import solc from "solc";

const interfaces = process.argv[2];
const own = join(import.meta.dirname, "contracts");

const sources = {};
for (const folder of [interfaces, own]) {
  for (const name of readdirSync(folder).filter((name) => name.endsWith(".sol"))) {
    sources[name] = { content: readFileSync(join(folder, name), "utf8") };
  }
}
const input = {
  language: "Solidity",
  sources,
  settings: {
    evmVersion: "cancun", // What the chain runs; newer compilers choose a newer fork themselves.
    optimizer: { enabled: true },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
if (output.errors?.length) {
  for (const error of output.errors) console.error(error.formattedMessage);
  process.exit(1);
}

const result = { version: solc.version(), contracts: {}, interfaces: {} };
for (const [file, contracts] of Object.entries(output.contracts)) {
  for (const [name, made] of Object.entries(contracts)) {
    const bytecode = made.evm.bytecode.object;
    if (bytecode) result.contracts[name] = { abi: made.abi, bytecode: `0x${bytecode}` };
    else if (file === `${name}.sol`) result.interfaces[name] = made.abi;
  }
}
console.log(JSON.stringify(result));
