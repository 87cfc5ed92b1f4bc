// Owns the check that workers are pinned to CPUs that this process may use: the affinity it was started with, a container's cpuset.
import { readFileSync } from "node:fs";
import { allowedCpusOf, formatCpuList } from "../../../base/cpu-list.ts";
import type { Draft } from "../schema/sections.ts";
import type { Findings } from "./references.ts";

/** @returns the CPUs that the main thread of this process may run on; null where that cannot be told (not Linux). */
export function allowedCpus(): readonly number[] | null {
  try {
    return allowedCpusOf(readFileSync("/proc/self/status", "utf8"));
  } catch {
    return null;
  }
}

/** @param allowed asked only when the file names CPUs */
export function checkWorkers({ sections }: Draft, { report, warn }: Findings, allowed: () => readonly number[] | null): void {
  const { workers } = sections;
  if (workers === undefined || workers.cpus === null || workers.cpus === "auto") return;
  const { cpus, count } = workers;
  const path = ["workers", "cpus"];
  const usable = allowed();
  const impossible = usable === null ? [] : cpus.filter((cpu) => !usable.includes(cpu));
  if (usable !== null && impossible.length > 0)
    report(
      path,
      `this process may not run on CPU ${formatCpuList(impossible)}; it may run on ${formatCpuList(usable)}`,
      "name those, or write auto; a file for another machine is to be validated there",
    );
  if (count !== "auto" && count > cpus.length) warn(path, `${count} workers share ${cpus.length} CPUs`, "name a CPU for each worker");
}
