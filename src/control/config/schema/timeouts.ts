// Owns what follows from the timeouts that somebody wrote: those that nobody wrote. Pure; must never load zod.
import type { RetryPlan, TimeoutsPlan } from "../../../plan/plan.ts";

/** What somebody wrote, ms: the rest follows from it, see below. */
export interface WrittenTimeouts {
  readonly connectMs?: number;
  readonly attemptMs?: number;
  readonly idleMs?: number;
  readonly totalMs?: number;
}

const CONNECT_MS = 1000;
const ATTEMPT_MS = 5000;
const IDLE_MS = 30_000;
/** Least total that nobody wrote. */
const TOTAL_MS_MIN = 15_000;
/** Node's timers keep no longer. */
const TOTAL_MS_MAX = 2 ** 31 - 1;

/** Long enough for all attempts to be as long as they may. */
export function totalMsOf(
  { connectMs, attemptMs }: Pick<TimeoutsPlan, "connectMs" | "attemptMs">,
  retry: Pick<RetryPlan, "attempts">,
): number {
  const needed = Math.max(connectMs + attemptMs, attemptMs * (1 + retry.attempts));
  return Math.min(TOTAL_MS_MAX, Math.max(TOTAL_MS_MIN, needed));
}

/** An upstream's timeouts: what was written, and what follows from it. */
export function upstreamTimeouts(written: WrittenTimeouts, retry: Pick<RetryPlan, "attempts">): TimeoutsPlan {
  const { connectMs = CONNECT_MS, attemptMs = ATTEMPT_MS, idleMs = IDLE_MS } = written;
  return { connectMs, attemptMs, idleMs, totalMs: written.totalMs ?? totalMsOf({ connectMs, attemptMs }, retry) };
}
