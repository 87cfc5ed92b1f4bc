// What routes of one gateway cost beside its route /none, in CPU microseconds a request: interleaved rounds, medians. Shared by the scripts beside it.
// ROUNDS and SECONDS (of each round) may be set in the environment.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { runWrk } from "../native-bench/measure/wrk.ts";
import type { Peer } from "../native-bench/peers/peer.ts";
import { startSluiceWith } from "../native-bench/peers/sluice.ts";
import { cpuMicros, processTree } from "../src/cli/bench/process-cost.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 15);
const SECONDS = Number(process.env["SECONDS"] ?? 2);
const CONNECTIONS = 64;

export interface AddedCpu {
  readonly port: number;
  /** Of the gateway, as written. */
  readonly configuration: string;
  /** Paths without `/`, which are the routes' names; the first is `none`. */
  readonly routes: readonly string[];
  /** All requests send the same. */
  readonly headers: Readonly<Record<string, string>>;
  /** Starts what stands behind the gateway. */
  start(directory: string): Promise<readonly Peer[]>;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** Measures, and prints a line a route. @throws Error when a request is refused */
export async function printAddedCpu({ port, configuration, routes, headers, start }: AddedCpu): Promise<void> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-bench-"));
  fs.chmodSync(directory, 0o755); // nginx workers may run as another user
  const running: Peer[] = [];
  try {
    running.push(...(await start(directory)));
    const gateway = await startSluiceWith(directory, port, configuration);
    running.push(gateway);
    const pids = processTree(gateway.pid);
    const micros = new Map(routes.map((route) => [route, [] as number[]]));
    for (let round = 0; round <= ROUNDS; round++) {
      for (const [route, samples] of micros) {
        const before = cpuMicros(pids);
        const result = await runWrk({ url: `${gateway.url}${route}`, seconds: SECONDS, connections: CONNECTIONS, headers });
        if (result.failedStatus > 0 || result.requests === 0)
          throw new Error(`/${route}: ${result.failedStatus} of ${result.requests} refused`);
        if (round > 0) samples.push((cpuMicros(pids) - before) / result.requests); // the first round warms up
      }
    }
    const base = micros.get("none") ?? [];
    for (const [route, samples] of micros) {
      // Each round's difference from the same round of /none: noise of the machine that lasts longer than a round falls out.
      const added = median(samples.map((each, i) => each - (base[i] ?? each)));
      const rounds = samples.map((each) => each.toFixed(1)).join(" ");
      console.log(
        `${route.padEnd(5)} ${median(samples).toFixed(1)} us a request, added in a round ${added.toFixed(1)} us; rounds ${rounds}`,
      );
    }
  } finally {
    await Promise.all(running.map((peer) => peer.stop()));
    fs.rmSync(directory, { recursive: true, force: true });
  }
}
