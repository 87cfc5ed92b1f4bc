// Owns the results file: what a run leaves behind, raw samples included, so that every number of a report can be made again.
import fs from "node:fs";
import path from "node:path";
import type { Aim, Metric, Sample } from "../cases/case.ts";
import type { ContenderResult } from "../cases/run-case.ts";

/** Raised when the file's form changes in a way that an older reader would misread. */
export const RESULTS_VERSION = 1;

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMiB: number;
  readonly kernel: string;
  readonly system: string;
  readonly node: string;
  /** One-minute load average when the run began: how quiet the machine was. */
  readonly loadBefore: number;
}

export interface CaseResult {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  readonly primary: Metric;
  readonly columns: readonly Metric[];
  readonly aims: readonly Aim[];
  readonly rounds: number;
  readonly seconds: number;
  /** Of the run that measured it: cases can be added to a file later. */
  readonly date: string;
  readonly commit: string;
  readonly contenders: readonly ContenderResult[];
  readonly samples: readonly Sample[];
}

export interface PeerWords {
  readonly name: string;
  readonly title: string;
  readonly role: "ours" | "peer" | "floor";
  readonly version: string;
  readonly note: string;
}

export interface Results {
  readonly version: typeof RESULTS_VERSION;
  readonly date: string;
  /** Short hash, with `+` when the checkout had changes. */
  readonly commit: string;
  readonly machine: Machine;
  readonly peers: readonly PeerWords[];
  readonly cases: readonly CaseResult[];
}

/** @throws Error when the file holds no results of this version. */
export function readResults(file: string): Results {
  const value: unknown = JSON.parse(fs.readFileSync(file, "utf8"));
  if (typeof value !== "object" || value === null || !("version" in value) || value.version !== RESULTS_VERSION) {
    throw new Error(`${file} holds no results of version ${RESULTS_VERSION}`);
  }
  return value as Results; // written by writeResults of this version
}

export function writeResults(file: string, results: Results): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
}

/** Cases of `added` stand in place of those of the same name, the order is that of `order`; peers are joined. */
export function mergeResults(old: Results, added: Results, order: readonly string[]): Results {
  const cases = [...old.cases.filter((each) => !added.cases.some((other) => other.name === each.name)), ...added.cases];
  const peers = [...old.peers.filter((each) => !added.peers.some((other) => other.name === each.name)), ...added.peers];
  return { ...old, peers, cases: cases.toSorted((a, b) => order.indexOf(a.name) - order.indexOf(b.name)) };
}

/** DATE-COMMIT.json in the results directory. */
export function resultsName({ date, commit }: Pick<Results, "date" | "commit">): string {
  return `${date.slice(0, 10)}-${commit.replace("+", "-dirty")}.json`;
}
