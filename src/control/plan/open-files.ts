// Owns the bound on connections that the process's limit of open files sets. Beyond that limit nothing can be accepted: measured, the uws engine
// then spins on a full core for each worker and clients hang in the accept queue. Clients beyond a bound are closed at once instead.
import { readFileSync } from "node:fs";
import type { Plan } from "../../plan/plan.ts";

/** Files that an instance has open beside connections: listeners, event loops, logs, libraries; and for each worker. */
const OWN_FILES = 64;
const WORKER_FILES = 16;

/** @returns the soft limit of open files, which Node raises to the hard one at its start; null when there is none, or it cannot be told. */
export function openFilesMax(limits: string = readLimits()): number | null {
  const soft = /^Max open files\s+(\d+)\s/m.exec(limits)?.[1];
  return soft === undefined ? null : Number(soft);
}

function readLimits(): string {
  try {
    return readFileSync("/proc/self/limits", "utf8");
  } catch {
    return ""; // not Linux
  }
}

/**
 * @param files null for no limit
 * @returns the plan with as many connections as there are files for, and what an operator should know about it (null for nothing).
 * A client has one, and a request under way another in a pool: whichever is fewer, clients or room in pools. WebSockets, whose connections
 * are in no pool, and targets that discovery adds come on top.
 */
export function fitOpenFiles(plan: Plan, workers: number, files: number | null): { readonly plan: Plan; readonly warning: string | null } {
  const { connections } = plan.limits;
  const targets = plan.upstreams.reduce((sum, upstream) => sum + upstream.targets.length, 0);
  const pooled = workers * plan.upstreams.reduce((sum, upstream) => sum + upstream.targets.length * upstream.pool.connections, 0);
  const own = OWN_FILES + workers * WORKER_FILES + targets; // a health probe each
  if (files === null || own + connections + Math.min(connections, pooled) <= files) return { plan, warning: null };
  const left = Math.max(0, files - own);
  const fitting = Math.max(workers, Math.floor(left / 2), left - pooled);
  const warning =
    `limits.connections is ${connections}, but this process may open ${files} files only: at most ${fitting} connections are taken; ` +
    `allow ${own + connections + Math.min(connections, pooled)} open files (LimitNOFILE, ulimit -n), or lower limits.connections`;
  return { plan: { ...plan, limits: { ...plan.limits, connections: fitting } }, warning };
}
