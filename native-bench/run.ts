// `npm run native-bench`: what a request costs here and at native peers, in one run, interleaved rounds.
// The machine is shared with the load: the numbers to quote are CPU time a request and its ratio, never throughput.
import fs from "node:fs";
import path from "node:path";
import type { Case } from "./cases/case.ts";
import { CASES } from "./cases/catalog.ts";
import { estimatedSeconds } from "./cases/duration.ts";
import { runCase } from "./cases/run-case.ts";
import { describeCommit, describeMachine } from "./measure/machine.ts";
import { type BenchOptions, parseOptions, USAGE } from "./options.ts";
import { PEERS } from "./peers/catalog.ts";
import { install, PROGRAMS, widenPath } from "./peers/programs.ts";
import { RunningStage } from "./peers/stage.ts";
import { htmlOf } from "./report/html.ts";
import { markdownOf } from "./report/markdown.ts";
import { type CaseResult, mergeResults, RESULTS_VERSION, type Results, readResults, resultsName, writeResults } from "./report/results.ts";
import { textOf } from "./report/text.ts";

const ROOT = path.join(import.meta.dirname, "..");
const say = (text: string): void => console.log(text);

async function main(argv: readonly string[]): Promise<number> {
  const options = parseOptions(argv, { cases: CASES.map(({ name }) => name), peers: PEERS.map(({ name }) => name) });
  if (options.help) say(USAGE);
  else if (options.list) say(listing());
  else if (options.render !== null) writeReports(options.render, readResults(options.render));
  else await measure(options);
  return 0;
}

async function measure(options: BenchOptions): Promise<void> {
  const cases = CASES.filter(({ name }) => options.cases.length === 0 || options.cases.includes(name));
  const peers = peersFor(cases, options.peers);
  widenPath();
  if (options.install)
    install([PROGRAMS.wrk, PROGRAMS.h2load, PROGRAMS.openssl, PROGRAMS.nginx, ...peers.flatMap((each) => each.needs)], say);
  const date = new Date().toISOString();
  const commit = describeCommit(ROOT);
  const machine = describeMachine();
  say(`${machine.cpu}, ${machine.cores} cores, ${machine.system}, load ${machine.loadBefore.toFixed(1)}; commit ${commit}`);
  const roundsOf = (each: Case): number => options.rounds ?? each.rounds;
  const estimated = cases.reduce(
    (sum, each) => sum + estimatedSeconds(each, { rounds: roundsOf(each), seconds: options.seconds, peers }),
    0,
  );
  say(`about ${Math.ceil(estimated / 60)} minutes on a machine that does nothing else\n`);
  const results: CaseResult[] = [];
  await using stage = await RunningStage.open();
  for (const wanted of cases) {
    const rounds = roundsOf(wanted);
    say(`${wanted.name}: ${wanted.title}, ${rounds} rounds of ${options.seconds} s`);
    const { name, title, about, primary, columns, aims } = wanted;
    const run = await runCase(wanted, { rounds, seconds: options.seconds, peers, stage, say });
    const result = { name, title, about, primary, columns, aims, rounds, seconds: options.seconds, date, commit, ...run };
    say(`${textOf(result)}\n`);
    results.push(result);
  }
  const words = peers.map(({ name, title, role, note, version }) => ({ name, title, role, note, version: version() }));
  const fresh: Results = { version: RESULTS_VERSION, date, commit, machine, peers: words, cases: results };
  const order = CASES.map(({ name }) => name);
  const file = options.into ?? options.out ?? path.join(ROOT, "native-bench/results", resultsName(fresh));
  const whole = options.into !== null && fs.existsSync(options.into) ? mergeResults(readResults(options.into), fresh, order) : fresh;
  writeReports(file, whole);
}

/** Those asked for, and those that somebody is compared with: without them there is no ratio. */
function peersFor(cases: readonly Case[], wanted: readonly string[]) {
  if (wanted.length === 0) return PEERS;
  const baselines = cases.flatMap(({ contenders }) => contenders.filter(({ label }) => contenders.some((each) => each.baseline === label)));
  const names = new Set([...wanted, ...baselines.filter(({ label, baseline }) => label === baseline).map(({ peer }) => peer)]);
  return PEERS.filter(({ name }) => names.has(name));
}

function writeReports(file: string, results: Results): void {
  const base = file.replace(/\.json$/, "");
  writeResults(file, results);
  fs.writeFileSync(`${base}.md`, `${markdownOf(results)}\n`);
  fs.writeFileSync(`${base}.html`, htmlOf(results, path.basename(file)));
  for (const each of [file, `${base}.md`, `${base}.html`]) say(path.relative(process.cwd(), each));
}

function listing(): string {
  const cases = CASES.map(({ name, title }) => `  ${name.padEnd(20)} ${title}`);
  const peers = PEERS.map(({ name, title, role }) => `  ${name.padEnd(20)} ${title}${role === "floor" ? " (floor)" : ""}`);
  return `cases:\n${cases.join("\n")}\n\nservers:\n${peers.join("\n")}`;
}

// Ended by a signal, exit handlers still end what was started.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error && error.cause === undefined ? error.message : error);
    process.exitCode = 1;
  },
);
