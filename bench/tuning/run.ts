// Measures what each setting in docs/tuning.md does: gateways that differ in one setting, driven in turns against one origin.
// Run: npm run bench:tuning -- [KNOB...] [--rounds 5] [--seconds 2] [--json]. Needs nginx and wrk. Without names: all.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { describeCommit, describeMachine } from "../../native-bench/measure/machine.ts";
import { type InRound, ratioSpread, rotated, type Spread, spreadOf } from "../../native-bench/measure/statistics.ts";
import { errorsOf, runWrk } from "../../native-bench/measure/wrk.ts";
import { portsFrom } from "../../native-bench/peers/launch.ts";
import { startOrigin } from "../../native-bench/peers/origin.ts";
import type { Peer } from "../../native-bench/peers/peer.ts";
import { startSluiceWith } from "../../native-bench/peers/sluice.ts";
import { cpuMicros, processTree, residentBytes } from "../../src/cli/bench/process-cost.ts";
import { configuration, KNOBS, type Knob, type Setting } from "./knobs.ts";

const FIRST_PORT = 19_500;
const METRICS = ["cpuMicros", "perSecond", "p50Ms", "p99Ms", "residentMiB"] as const;
type Sample = Readonly<Record<(typeof METRICS)[number], number>>;

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly directory: string;
  readonly freePort: () => Promise<number>;
}

/** A setting with what was measured of it. */
interface Row {
  readonly setting: Setting;
  readonly gateway: Peer;
  readonly samples: Sample[];
}

/** One round of load on one gateway: all its processes' CPU time for each answer. */
async function sample(knob: Knob, gateway: Peer, seconds: number): Promise<Sample> {
  const pids = processTree(gateway.pid);
  const before = cpuMicros(pids);
  const url = `${gateway.url}bytes/${knob.bytes}`;
  const result = await runWrk({ url, seconds, connections: knob.connections, headers: knob.headers ?? {} });
  if (errorsOf(result) > 0) throw new Error(`${gateway.name}: ${errorsOf(result)} answers were not 2xx`);
  return {
    cpuMicros: (cpuMicros(pids) - before) / result.requests,
    perSecond: result.requests / result.seconds,
    p50Ms: result.latencyMs.p50,
    p99Ms: result.latencyMs.p99,
    residentMiB: residentBytes(pids) / 1024 ** 2,
  };
}

async function measure(knob: Knob, options: Options): Promise<readonly Row[]> {
  const running: Peer[] = [];
  try {
    const origin = await options.freePort();
    running.push(await startOrigin(options.directory, origin, `origin-${knob.name}`));
    const rows: Row[] = [];
    for (const setting of knob.settings) {
      const own = await options.freePort();
      const folder = fs.mkdtempSync(path.join(options.directory, "gateway-"));
      const text = configuration(knob, setting, { own, origin });
      const gateway = await startSluiceWith(folder, own, text, { environment: setting.environment ?? {} });
      running.push(gateway);
      await sample(knob, gateway, options.seconds); // warms it up
      rows.push({ setting, gateway, samples: [] });
    }
    for (let round = 0; round < options.rounds; round++) {
      const samples = new Map<Row, Sample>();
      for (const row of rotated(rows, round)) samples.set(row, await sample(knob, row.gateway, options.seconds));
      for (const [row, values] of samples) row.samples.push(values);
    }
    return rows;
  } finally {
    await Promise.all(running.map((peer) => peer.stop()));
  }
}

const of = (row: Row | undefined, metric: keyof Sample): readonly InRound[] =>
  (row?.samples ?? []).map((values, round) => ({ round, value: values[metric] }));
const short = (spread: Spread | null, digits: number): string =>
  spread === null
    ? "-"
    : `${spread.median.toFixed(digits)}${digits < 2 ? "" : ` (${spread.min.toFixed(digits)}-${spread.max.toFixed(digits)})`}`;
const middle = (row: Row, metric: keyof Sample): Spread | null => spreadOf(of(row, metric).map(({ value }) => value));

/** A Markdown table: medians; ratios to the first setting within a round, median and range. */
function table(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const ratio = (metric: keyof Sample) => (row === rows[0] ? "1" : short(ratioSpread(of(row, metric), of(rows[0], metric)), 2));
    return [
      row.setting.name,
      short(middle(row, "cpuMicros"), 1),
      ratio("cpuMicros"),
      short(middle(row, "perSecond"), 0),
      ratio("perSecond"),
      short(middle(row, "p50Ms"), 1),
      short(middle(row, "p99Ms"), 1),
      short(middle(row, "residentMiB"), 0),
    ];
  });
  const head = ["setting", "CPU us/request", "ratio", "requests/s", "ratio", "p50 ms", "p99 ms", "RSS MiB"];
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string" }, seconds: { type: "string" }, json: { type: "boolean" } },
});
for (const name of positionals)
  if (!KNOBS.some((knob) => knob.name === name))
    throw new Error(`there is no knob ${name}; there are ${KNOBS.map((knob) => knob.name).join(", ")}`);
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-tuning-"));
fs.chmodSync(directory, 0o755);
const options: Options = {
  rounds: Number(values.rounds ?? 5),
  seconds: Number(values.seconds ?? 2),
  directory,
  freePort: portsFrom(FIRST_PORT),
};
const machine = describeMachine();
try {
  if (values.json !== true) {
    console.log(
      `commit ${describeCommit(path.join(import.meta.dirname, "../.."))}, ${machine.cores} x ${machine.cpu}, ${machine.kernel}, ${machine.node}`,
    );
    console.log(`load average before: ${machine.loadBefore.toFixed(2)}; ${options.rounds} rounds of ${options.seconds} s, in turns\n`);
  }
  for (const knob of KNOBS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
    const rows = await measure(knob, options);
    if (values.json === true)
      console.log(JSON.stringify({ knob: knob.name, rows: rows.map(({ setting, samples }) => ({ setting: setting.name, samples })) }));
    else console.log(`${knob.name}: ${knob.bytes} bytes, ${knob.connections} connections\n\n${table(rows)}\n`);
  }
} finally {
  fs.rmSync(directory, { recursive: true, force: true });
}
