// Reads what processes cost from /proc: CPU time of a whole tree and resident memory. Linux only.
import fs from "node:fs";

/** Kernel clock ticks a second in /proc/PID/stat: USER_HZ, 100 on every Linux ABI in use. */
const TICKS_PER_SECOND = 100;

function stat(pid: number): readonly string[] | null {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" "); // the command name may hold spaces and parentheses
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
    const fields = stat(pid);
    if (fields !== null) parents.set(pid, Number(fields[1]));
  }
  const tree = [root];
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  return tree;
}

/** @returns user plus system time used so far by the processes, all threads, in microseconds. */
export function cpuMicros(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = stat(pid);
    if (fields !== null) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks / TICKS_PER_SECOND) * 1e6;
}

/** @returns resident memory of the processes, bytes (VmRSS: shared pages count in each). */
export function residentBytes(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) {
    try {
      kib += Number(/VmRSS:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
    } catch {
      // ended meanwhile
    }
  }
  return kib * 1024;
}
