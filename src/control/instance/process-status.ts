// Owns what Linux says about a process: proc(5), `/proc/PID/stat`. Must hold nothing: what it says is true now and may not be in a moment.
import { readFileSync } from "node:fs";

/** In which Linux tells times to programs, whatever it counts in itself: USER_HZ, 100 a second on every ABI in use. */
export const TICK_MS = 10;

export interface ProcessStatus {
  readonly parent: number;
  /** It has ended, and is only there until its parent asks how (a zombie). */
  readonly ended: boolean;
  /** Since the system booted. */
  readonly createdMs: number;
}

/** @returns what stands behind the name in a line of /proc/PID/stat, from field 3 on; null when the text is no such line. */
export function statFields(text: string): readonly string[] | null {
  const end = text.lastIndexOf(")"); // the name may hold spaces and parentheses
  return end < 0 ? null : text.slice(end + 2).split(" ");
}

/** @returns null when there is no such process, or no /proc. Fields 3, 4 and 22. */
export function processStatus(pid: number): ProcessStatus | null {
  try {
    const fields = statFields(readFileSync(`/proc/${pid}/stat`, "latin1"));
    if (fields === null) return null;
    return {
      parent: Number(fields[1]),
      ended: fields[0] === "Z" || fields[0] === "X",
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
