// `npm run bench:compare REF`: this checkout against another commit, in one run: whole requests by wrk, and hot modules, interleaved.
import path from "node:path";
import { parseArgs } from "node:util";
import { microFiles } from "../bench/micro/run.ts";
import type { Case } from "./cases/case.ts";
import { CASES } from "./cases/catalog.ts";
import { runCase } from "./cases/run-case.ts";
import { microPairs, microPairsText, microRefusal } from "./compare/micro-pairs.ts";
import { OldCheckout } from "./compare/old-checkout.ts";
import { describeCommit } from "./measure/machine.ts";
import { install, PROGRAMS, widenPath } from "./peers/programs.ts";
import { sluiceFrom } from "./peers/sluice.ts";
import { RunningStage } from "./peers/stage.ts";
import { textOf } from "./report/text.ts";

const ROOT = path.join(import.meta.dirname, "..");
const USAGE = `usage: npm run bench:compare -- REF [--case NAME,...] [--rounds N] [--seconds S] [--micro NAME,...] [--no-micro]

  Builds REF in a temporary worktree and compares this checkout with it. Ratios are new over old: below 1 is faster.
  Default: --case plain-256,post-4k --rounds 7 --seconds 3, and every benchmark in bench/micro.
`;
const MICRO_TURNS = 5;
const MICRO_ROUNDS = 15;

const say = (text: string): void => console.log(text);

/** Ours only, twice: in every setup that the case has for it. */
export function pairOf(wanted: Case): Case {
  const contenders = wanted.contenders
    .filter(({ peer }) => peer === "sluice")
    .flatMap(({ label, setup }) => {
      const suffix = label.replace(/^sluice/, "");
      return ["old", "new"].map((peer) => ({ label: `${peer}${suffix}`, peer, setup, baseline: `old${suffix}` }));
    });
  return { ...wanted, contenders, aims: [] };
}

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      case: { type: "string", default: "plain-256,post-4k" },
      rounds: { type: "string", default: "7" },
      seconds: { type: "string", default: "3" },
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
  const [rounds, seconds] = [whole("--rounds", values.rounds), whole("--seconds", values.seconds)];
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
    say(`${wanted.name}: ${wanted.title}, ${rounds} rounds of ${seconds} s`);
    const run = await runCase(wanted, { rounds, seconds, peers, stage, say });
    say(`${textOf({ ...wanted, rounds, seconds, date: "", commit: "", ...run })}\n`);
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

function whole(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 100)
    throw new Error(`${option}: expected a whole number from 1 to 100, not ${text}`);
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
