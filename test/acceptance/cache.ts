// `npm run acceptance:cache`: what the response cache must hold at full size. First a crowd: 10,000 clients miss one response at once, on each engine, and the first
// leaves at half; the same with a private one. Then a million random requests with purges, reloads, evictions, slow readers and workers that die, of which
// every byte is judged. REQUESTS, CLIENTS, SEED, ROUND (requests to one gateway). Exits 1 when anything was crossed, torn, void or lost.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { crowd } from "./cache-crowd.ts";
import { Soak } from "./cache-soak.ts";

const REQUESTS = Number(process.env["REQUESTS"] ?? 1_000_000);
const CLIENTS = Number(process.env["CLIENTS"] ?? 10_000);
const ROUND = Number(process.env["ROUND"] ?? 100_000);
const SEED = Number(process.env["SEED"] ?? 1);

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-accept-"));
fs.chmodSync(directory, 0o755);
const startedMs = performance.now();
const say = (text: string): void => console.log(`${((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)} s  ${text}`);

try {
  if (CLIENTS > 0 && !(await crowd({ directory, clients: CLIENTS, say }))) process.exitCode = 1;
  let asked = 0;
  for (let seed = SEED; asked < REQUESTS; seed++) {
    const round = await new Soak({ seed, requests: Math.min(ROUND, REQUESTS - asked), say }).run(directory);
    asked += round.requests;
    const counts = Object.entries(round.counts).map(([what, count]) => `${what} ${count}`);
    say(`seed ${seed}: ${round.requests} requests, ${round.faults} faults; ${counts.sort().join("; ")}`);
    if (round.faults > 0) process.exitCode = 1;
  }
  say(`${asked} random requests: ${process.exitCode === 1 ? "FAILED" : "nothing crossed, torn, void or lost"}`);
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
