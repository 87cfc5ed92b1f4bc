// Owns the names of the classes of priority and of the reasons for want of room, in the order in which shared memory and records number them.
import type { ErrorCode } from "./errors.ts";

/** From the one that is refused last. `retry`: further attempts; `background`: mirrors and refreshes of what is cached; both whatever their route has. */
export const PRIORITIES = ["critical", "high", "normal", "low", "retry", "background"] as const;
export type Priority = (typeof PRIORITIES)[number];

/**
 * What there was no room in: `pool` all connections to the target are busy with requests; `bodies` limits.bufferedBodyBytes are held; `limit` the
 * upstream has all that it can work on, and no place came free in time; `line` too many wait for a place already; `instance` the worker itself has more
 * to do than it can.
 */
export const OVERLOAD_REASONS = ["pool", "bodies", "limit", "line", "instance"] as const;
export type OverloadReason = (typeof OVERLOAD_REASONS)[number];

/** @param code of an exchange that has such a reason @returns whether that is why it was refused, and nothing else came of it */
export const isForWantOfRoom = (code: ErrorCode | null): boolean => code === "overloaded" || code === "forward_auth_unavailable";
