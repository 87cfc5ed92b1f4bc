// Owns running the benchmarks of hot modules in two checkouts, in turn, and taking their ratios within each turn.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import type { MicroFile } from "../../bench/micro/run.ts";
import { type InRound, median, ratioSpread, type Spread } from "../measure/statistics.ts";

/** One benchmark that both have. */
export interface MicroPair {
  readonly name: string;
  readonly oldNs: number;
  readonly newNs: number;
  readonly ratio: Spread;
}

export interface MicroPairOptions {
  readonly oldRoot: string;
  readonly newRoot: string;
  readonly files: readonly string[];
  /** Times that each is run, in turn. */
  readonly turns: number;
  readonly rounds: number;
}

const RUNNER = "bench/micro/run.ts";

/** @returns why they cannot be compared, or null */
export function microRefusal(oldRoot: string): string | null {
  return fs.existsSync(path.join(oldRoot, RUNNER)) ? null : `that commit has no ${RUNNER}`;
}

export function microPairs({ oldRoot, newRoot, files, turns, rounds }: MicroPairOptions): readonly MicroPair[] {
  const olds = new Map<string, InRound[]>();
  const news = new Map<string, InRound[]>();
  for (let turn = 0; turn < turns; turn++) {
    for (const file of files) {
      // Whoever comes second has the warmer machine: they change places.
      const order = turn % 2 === 0 ? ([olds, news] as const) : ([news, olds] as const);
      for (const into of order) collect(into, runMicro(into === olds ? oldRoot : newRoot, file, rounds), turn);
    }
  }
  return [...news].flatMap(([name, values]) => {
    const before = olds.get(name) ?? [];
    const ratio = ratioSpread(values, before);
    const middle = (of: readonly InRound[]): number => median(of.map(({ value }) => value));
    return ratio === null ? [] : [{ name, oldNs: middle(before), newNs: middle(values), ratio }];
  });
}

function collect(into: Map<string, InRound[]>, result: MicroFile | null, round: number): void {
  for (const { name, medianNs } of result?.costs ?? []) {
    const key = `${result?.file}: ${name}`;
    const list = into.get(key) ?? [];
    list.push({ round, value: medianNs });
    into.set(key, list);
  }
}

/** @returns null when that checkout has no such file or it fails there. */
function runMicro(root: string, file: string, rounds: number): MicroFile | null {
  const { status, stdout } = spawnSync(process.execPath, [path.join(root, RUNNER), file, `--rounds=${rounds}`, "--json"], {
    cwd: root,
    encoding: "utf8",
  });
  if (status !== 0) return null;
  return JSON.parse(stdout) as MicroFile; // run.ts prints it
}

/** Whether a ratio says something: all turns lie on the same side of one. */
export const isClear = ({ min, max }: Spread): boolean => min > 1 || max < 1;

export function microPairsText(pairs: readonly MicroPair[]): string {
  const width = Math.max(0, ...pairs.map(({ name }) => name.length));
  return pairs
    .map(({ name, oldNs, newNs, ratio }) => {
      const words = `${ratio.median.toFixed(3)}x (${ratio.min.toFixed(3)}-${ratio.max.toFixed(3)})`;
      return `  ${name.padEnd(width)}  ${oldNs.toFixed(1).padStart(9)} ns -> ${newNs.toFixed(1).padStart(9)} ns  ${words}${isClear(ratio) ? "" : "  within noise"}`;
    })
    .join("\n");
}
