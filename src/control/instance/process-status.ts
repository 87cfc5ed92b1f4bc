// Owns what Linux says about a process: proc(5), `/proc/PID/stat`. Must hold nothing: what it says is true now and may not be in a moment.
import { readFileSync } from "node:fs";

/** In which Linux tells times to programs, whatever it counts in itself. */
const TICK_MS = 10;

export interface ProcessStatus {
  readonly parent: number;
  /** It has ended, and is only there until its parent asks how (a zombie). */
  readonly ended: boolean;
  /** How it ended, as waitpid(2) has it. */
  readonly wait: number;
  /** Since the system booted. */
  readonly createdMs: number;
}

/** @returns null when there is no such process, or no /proc. Fields 3, 4, 52 and 22. */
export function processStatus(pid: number): ProcessStatus | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" "); // the name before it may hold anything
    return {
      parent: Number(fields[1]),
      ended: fields[0] === "Z" || fields[0] === "X",
      wait: Number(fields[49]),
      createdMs: Number(fields[19]) * TICK_MS,
    };
  } catch {
    return null;
  }
}

/** @returns whether a process runs, whoever's it is. One that has ended does not, though its parent may leave its pid taken. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
  return processStatus(pid)?.ended !== true;
}
