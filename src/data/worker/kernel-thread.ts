// Owns the kernel's number for the thread that asks: what /proc and taskset(1) know it by. Node's threadId is another number.
import { readlinkSync } from "node:fs";

/** @returns 0 where it cannot be told (not Linux, no /proc). */
export function kernelThreadId(): number {
  try {
    return Number(/\/task\/(\d+)$/.exec(readlinkSync("/proc/thread-self"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
