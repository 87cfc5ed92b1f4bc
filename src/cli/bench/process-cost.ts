// Owns what processes cost, read from /proc (proc(5), Linux only): CPU time of a whole tree and resident memory. Never writes there.
import fs from "node:fs";
import { statFields, TICK_MS } from "../../control/instance/process-status.ts";

/** What one line of /proc/PID/stat says. */
export interface ProcessStat {
  readonly parent: number;
  /** User plus system time of all threads, also those that have ended, in microseconds; resolution 10 ms. */
  readonly cpuMicros: number;
}

/** @returns null when the text is no line of /proc/PID/stat. */
export function parseStat(text: string): ProcessStat | null {
  const fields = statFields(text);
  if (fields === null) return null;
  const [parent, user, system] = [Number(fields[1]), Number(fields[11]), Number(fields[12])];
  if (!Number.isInteger(parent) || !Number.isInteger(user) || !Number.isInteger(system)) return null;
  return { parent, cpuMicros: (user + system) * TICK_MS * 1000 };
}

function stat(pid: number): ProcessStat | null {
  try {
    return parseStat(fs.readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return null; // ended meanwhile
  }
}

/** @returns the process and everything it started, that is still alive. */
export function processTree(root: number): readonly number[] {
  const parents = new Map<number, number>();
  for (const entry of fs.readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const found = stat(pid);
    if (found !== null) parents.set(pid, found.parent);
  }
  const tree = [root];
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  return tree;
}

/** @returns user plus system time used so far by the processes, all threads, in microseconds. */
export function cpuMicros(pids: readonly number[]): number {
  let micros = 0;
  for (const pid of pids) micros += stat(pid)?.cpuMicros ?? 0;
  return micros;
}

/** @returns VmRSS of /proc/PID/status in bytes; 0 when it has none. */
export function parseResident(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
}

/** @returns resident memory of the processes, bytes (VmRSS: shared pages count in each). */
export function residentBytes(pids: readonly number[]): number {
  let bytes = 0;
  for (const pid of pids) {
    try {
      bytes += parseResident(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      // ended meanwhile
    }
  }
  return bytes;
}
