// What the scripts of the Node.js clients share: facts come in on stdin, steps go out on stdout.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

export const facts = JSON.parse(readFileSync(0, "utf8"));
export const EUR = 10n ** 8n;
export const PRICE = 3n * EUR;
export const SUPPLY = 10n ** 24n;
export const WINDOW = 1n;
export const SEAL_MS = 20_000;

/** Runs the steps in order; prints the names of those that were done and what was found. */
export async function run(steps) {
  const done = [];
  const found = {};
  for (const [name, step] of Object.entries(steps)) {
    try {
      Object.assign(found, await step());
    } catch (error) {
      console.error(`step "${name}" failed`);
      throw error;
    }
    done.push(name);
  }
  const text = (_, value) => (typeof value === "bigint" ? value.toString() : value);
  console.log(JSON.stringify({ done, found }, text));
  process.exit(0); // Clients leave connections and timers behind.
}

/** Waits until a condition holds; says what never came. */
export async function until(holds, what) {
  for (const end = Date.now() + SEAL_MS; !holds(); ) {
    if (Date.now() > end) throw new Error(`${what} never came`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Sends one JSON-RPC call as it stands, past every client; returns the whole answer. */
export async function raw(method, params) {
  const response = await fetch(facts.http, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  assert.equal(response.status, 200);
  return await response.json();
}
