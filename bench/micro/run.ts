// Runs the benchmarks of hot modules. Run: node bench/micro/run.ts [NAME...] [--rounds N] [--json]; a NAME is a file of this directory.
// Every file in a process of its own: what one makes of the just-in-time compiler's guesses must not be another's cost.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { DEFAULTS, type Micro, type MicroCost, measure } from "./measure.ts";

/** Of this directory, but no benchmarks. */
const OTHERS: ReadonlySet<string> = new Set(["measure.ts", "run.ts"]);

/** One file's result. */
export interface MicroFile {
  readonly file: string;
  readonly costs: readonly MicroCost[];
}

/** @returns names of the files that hold benchmarks. */
export function microFiles(): readonly string[] {
  return fs
    .readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith(".ts") && !OTHERS.has(name))
    .map((name) => name.slice(0, -3))
    .sort();
}

/** @throws Error when the file exports no MICRO */
export async function loadMicros(name: string): Promise<readonly Micro[]> {
  const module: { readonly MICRO?: readonly Micro[] } = await import(path.join(import.meta.dirname, `${name}.ts`));
  if (module.MICRO === undefined || module.MICRO.length === 0) throw new Error(`bench/micro/${name}.ts exports no MICRO`);
  return module.MICRO;
}

export function microText({ file, costs }: MicroFile): string {
  const lines = costs.map(
    ({ name, medianNs, lowNs, highNs, bytes }) =>
      `  ${name.padEnd(44)} ${medianNs.toFixed(1).padStart(9)} ns  (${lowNs.toFixed(1)}-${highNs.toFixed(1)})`.padEnd(86) +
      `${bytes.toFixed(0).padStart(7)} bytes`,
  );
  return [file, ...lines].join("\n");
}

async function main(argv: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { rounds: { type: "string" }, json: { type: "boolean" } },
  });
  const known = microFiles();
  const wanted = positionals.length === 0 ? known : positionals;
  for (const name of wanted) if (!known.includes(name)) throw new Error(`there is no benchmark ${name}; there are ${known.join(", ")}`);
  const rounds = Number(values.rounds ?? DEFAULTS.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds: expected a whole number above 0");
  const [first] = wanted;
  if (wanted.length === 1 && first !== undefined) {
    const result: MicroFile = { file: first, costs: measure(await loadMicros(first), { ...DEFAULTS, rounds }) };
    console.log(values.json === true ? JSON.stringify(result) : microText(result));
    return;
  }
  if (values.json !== true) console.log("nanoseconds a call: median (tenth fastest - tenth slowest round), heap bytes a call\n");
  for (const name of wanted) {
    const args = [import.meta.filename, name, `--rounds=${rounds}`, ...(values.json === true ? ["--json"] : [])];
    if (spawnSync(process.execPath, args, { stdio: "inherit" }).status !== 0) process.exitCode = 1;
  }
}

if (import.meta.main) await main(process.argv.slice(2));
