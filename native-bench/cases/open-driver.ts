// Drives a server at a fixed part of what it can do, open loop, and subtracts what the origin takes when asked directly at that rate.
import { cpuMicros, processTree, residentBytes } from "../../src/cli/bench/process-cost.ts";
import { startChild } from "../measure/child.ts";
import { runWrk } from "../measure/wrk.ts";
import { askOnce } from "./ask-once.ts";
import type { OpenLoad } from "./case.ts";
import type { Driver } from "./driver.ts";
import type { RunOptions } from "./run-case.ts";

/** To find saturation; the first seconds of it are warm-up. */
const SATURATION_SECONDS = 3;
const MIB = 1024 ** 2;
/** Few collections of young objects: their pauses would be the generator's. */
const NODE_OPTIONS = ["--max-semi-space-size=64"];
/** What the generator cannot tell from nothing. */
const RESOLUTION_MS = 0.001;

interface OpenResult {
  readonly due: number;
  readonly answered: number;
  readonly failed: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly late: number;
}

export function openDriver(load: OpenLoad, { stage, seconds }: RunOptions): Driver {
  const rates = new Map<string, number>();
  const drive = async (base: string, rate: number): Promise<OpenResult> => {
    const args = [new URL(load.path, base).href, rate.toFixed(0), String(seconds), String(load.connections)];
    const child = startChild("open-load.ts", args, NODE_OPTIONS);
    try {
      return (await child.first) as OpenResult; // open-load.ts prints it
    } finally {
      await child.end();
    }
  };
  return {
    check: ({ peer }) => askOnce(new URL(load.path, peer.url), { answerBytes: 256 }),
    warmUp: async ({ contender, peer }) => {
      const saturated = await runWrk({
        url: new URL(load.path, peer.url).href,
        seconds: Math.min(SATURATION_SECONDS, seconds),
        connections: 64,
      });
      rates.set(contender.label, (saturated.requests / saturated.seconds) * load.fraction);
    },
    measure: async ({ contender, peer }) => {
      const rate = rates.get(contender.label) ?? 1;
      const direct = await drive(stage.origin.url, rate);
      const pids = processTree(peer.pid);
      const before = cpuMicros(pids);
      const through = await drive(peer.url, rate);
      return {
        addedP50: Math.max(RESOLUTION_MS, through.p50 - direct.p50),
        addedP99: Math.max(RESOLUTION_MS, through.p99 - direct.p99),
        p50: through.p50,
        p99: through.p99,
        p999: through.p999,
        offered: rate,
        micros: (cpuMicros(pids) - before) / through.answered,
        rss: residentBytes(pids) / MIB,
        errors: through.failed,
        late: Math.max(through.late, direct.late),
      };
    },
  };
}
