// Owns how many workers a configuration asks for and on which CPUs they belong.
import { availableParallelism } from "node:os";
import { WORKERS_MAX } from "../../../shared/heartbeat.ts";
import type { WorkersConfig } from "../schema/instance.ts";
import { allowedCpus } from "./workers.ts";

/** Where workers run, and how many. */
export interface Workers {
  readonly count: number;
  /** Worker N belongs on the Nth; null: where the kernel puts them. */
  readonly cpus: readonly number[] | null;
}

/** {@link workersOf} for this machine and process. */
export const workersHere = (config: WorkersConfig): Workers =>
  workersOf(config, availableParallelism(), config.cpus === "auto" ? allowedCpus() : null);

/** Pure. @param cores for `auto` @param allowed CPUs of this process, for `cpus: auto`; null where that cannot be told */
export function workersOf({ count, cpus }: WorkersConfig, cores: number, allowed: readonly number[] | null): Workers {
  const named = cpus === "auto" ? allowed : cpus;
  if (count !== "auto") return { count, cpus: named };
  return { count: named === null ? cores : Math.min(named.length, WORKERS_MAX), cpus: named };
}
