// `npm run bench:compare REF`: this checkout against another commit, in one run: whole requests by wrk, and hot modules, interleaved.
import path from "node:path";
import { parseArgs } from "node:util";
import { microFiles } from "../bench/micro/run.ts";
import type { Case, Sample } from "./cases/case.ts";
import { CASES } from "./cases/catalog.ts";
import { runCase } from "./cases/run-case.ts";
import { microPairs, microPairsText, microRefusal } from "./compare/micro-pairs.ts";
import { OldCheckout } from "./compare/old-checkout.ts";
import { isSettled, pairOf, verdictsOf, verdictText } from "./compare/verdict.ts";
import { describeCommit } from "./measure/machine.ts";
import { install, PROGRAMS, widenPath } from "./peers/programs.ts";
import { sluiceFrom } from "./peers/sluice.ts";
import { RunningStage } from "./peers/stage.ts";
import { textOf } from "./report/text.ts";

const ROOT = path.join(import.meta.dirname, "..");
const USAGE = `usage: npm run bench:compare -- REF [--case NAME,...] [--bar PERCENT] [--rounds N] [--seconds S] [--micro NAME,...] [--no-micro]

  Builds REF in a temporary worktree and compares this checkout with it, and REF with itself. Ratios are new over old: below 1 is faster.
  A case goes on until the 95 % interval of the median ratio is narrower than half the bar, or N rounds are over. The bar holds when the interval lies below it.
  Default: --case plain-256,guarded-hs256,post-4k --bar 3 --rounds 150 --seconds 2, and every benchmark in bench/micro.
`;
const MICRO_TURNS = 5;
const MICRO_ROUNDS = 15;

const say = (text: string): void => console.log(text);

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      case: { type: "string", default: "plain-256,guarded-hs256,post-4k" },
      bar: { type: "string", default: "3" },
      rounds: { type: "string", default: "150" },
      seconds: { type: "string", default: "2" },
      micro: { type: "string", default: microFiles().join(",") },
      "no-micro": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const [ref] = positionals;
  if (values.help || ref === undefined || positionals.length > 1) return say(USAGE);
  const cases = list(
    values.case,
    CASES.map(({ name }) => name),
  ).map((name) => CASES.find((each) => each.name === name) as Case); // list() knows them
  const files = values["no-micro"] ? [] : list(values.micro, microFiles());
  const [rounds, seconds] = [whole("--rounds", values.rounds, 150), whole("--seconds", values.seconds, 60)];
  const bar = percent("--bar", values.bar) / 100;
  widenPath();
  install([PROGRAMS.wrk, PROGRAMS.openssl, PROGRAMS.nginx], say);
  using old = OldCheckout.make(ROOT, ref, say);
  say(`old: ${ref} (${old.commit}); new: ${describeCommit(ROOT)}\n`);
  const peers = [
    sluiceFrom({ name: "old", title: `Sluice ${old.commit}`, root: old.directory }),
    sluiceFrom({ name: "new", title: "Sluice here", root: ROOT }),
  ];
  await using stage = await RunningStage.open();
  for (const wanted of cases.map(pairOf)) {
    say(`${wanted.name}: ${wanted.title}, at most ${rounds} rounds of ${seconds} s`);
    const settled = (samples: readonly Sample[]): boolean => isSettled(verdictsOf(wanted, samples), bar);
    const run = await runCase(wanted, { rounds, seconds, peers, stage, say, settled });
    say(textOf({ ...wanted, rounds, seconds, date: "", commit: "", ...run }));
    say(
      `${verdictsOf(wanted, run.samples)
        .map((each) => verdictText(each, bar))
        .join("\n")}\n`,
    );
  }
  if (files.length === 0) return;
  const refused = microRefusal(old.directory);
  say(`hot modules, ${MICRO_TURNS} turns${refused === null ? "" : `: not compared; ${refused}`}`);
  if (refused === null)
    say(microPairsText(microPairs({ oldRoot: old.directory, newRoot: ROOT, files, turns: MICRO_TURNS, rounds: MICRO_ROUNDS })));
}

function list(text: string, known: readonly string[]): readonly string[] {
  const names = text.split(",").filter((name) => name !== "");
  for (const name of names) if (!known.includes(name)) throw new Error(`there is no ${name}; there are ${known.join(", ")}`);
  return names;
}

function whole(option: string, text: string, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw new Error(`${option}: expected a whole number from 1 to ${max}, not ${text}`);
  return value;
}

function percent(option: string, text: string): number {
  const value = Number(text);
  if (!(value >= 0.1 && value <= 100)) throw new Error(`${option}: expected a percentage from 0.1 to 100, not ${text}`);
  return value;
}

if (import.meta.main) {
  // Ended by a signal, exit handlers still end what was started and remove the other checkout.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
  await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}
