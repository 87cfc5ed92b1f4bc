// Owns how the cache's second tier in Redis stands, over all workers.
import type { CacheTierState } from "../../observe/instance-state.ts";
import { TIER, type TierCounts } from "../../shared/cache/tier-counts.ts";

/** @param counts null without a fleet @returns null when no worker uses it */
export function cacheTierState(counts: TierCounts | null): CacheTierState | null {
  const workers = counts?.sum(TIER.used) ?? 0;
  if (counts === null || workers === 0) return null;
  return {
    workers,
    leavingAlone: counts.sum(TIER.open),
    looks: {
      hit: counts.sum(TIER.hits),
      miss: counts.sum(TIER.misses),
      purged: counts.sum(TIER.purged),
      invalid: counts.sum(TIER.invalid),
      error: counts.sum(TIER.errors),
      skipped: counts.sum(TIER.skipped),
    },
    writes: { written: counts.sum(TIER.writes), dropped: counts.sum(TIER.dropped), error: counts.sum(TIER.writeErrors) },
    readBytes: counts.sum(TIER.readBytes),
    writtenBytes: counts.sum(TIER.writtenBytes),
    waitingBytes: counts.sum(TIER.waitingBytes),
  };
}
