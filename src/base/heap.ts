// Owns the bound on V8's young objects, for every thread of the gateway. Must never bound old ones: see control/workers/warm-worker-pool.ts.

/** Largest semi-space of a thread, MiB, unless an operator chose another. V8's own is up to 32 where memory is there; a young generation is three of them. */
const SEMI_SPACE_MB = 8;
const FLAG = /--max[-_]semi[-_]space[-_]size[= ](\d+)/;

/** @returns MiB: as the process was started with, as NODE_OPTIONS has it, or ours */
export function semiSpaceMb(execArgv: readonly string[] = process.execArgv, nodeOptions = process.env["NODE_OPTIONS"] ?? ""): number {
  const chosen = FLAG.exec(execArgv.join(" "))?.[1] ?? FLAG.exec(nodeOptions)?.[1];
  return chosen === undefined || Number(chosen) === 0 ? SEMI_SPACE_MB : Number(chosen);
}

/** For starting the primary, whose own heap can be bounded at its start only. */
export const heapFlags = (): readonly string[] => [`--max-semi-space-size=${semiSpaceMb()}`];
