// Owns how many workers a configuration asks for and on which CPUs they belong. Pure.
import { WORKERS_MAX } from "../../shared/heartbeat.ts";
import type { WorkersConfig } from "../config/schema-instance.ts";

/** How many workers there are, and where they belong. @param cores for `auto` @param allowed CPUs of this process; null where that cannot be told */
export function workersOf(
  { count, cpus }: WorkersConfig,
  cores: number,
  allowed: readonly number[] | null,
): { readonly count: number; readonly cpus: readonly number[] | null } {
  const named = cpus === "auto" ? allowed : cpus;
  if (count !== "auto") return { count, cpus: named };
  return { count: named === null ? cores : Math.min(named.length, WORKERS_MAX), cpus: named };
}
