// Owns the arithmetic of what a fleet may admit beyond its limit at worst, which `sluice validate` prints. Pure.

export interface SharedLimit {
  /** `count` in `periodMs`. */
  readonly count: number;
  readonly periodMs: number;
  /** Units that may come at once. */
  readonly burst: number;
  /** Most that one request costs. */
  readonly cost: number;
}

export interface FleetShape {
  readonly instances: number;
  readonly syncIntervalMs: number;
}

/**
 * What one instance may spend of a bucket before it has to tell the fleet: its share of the burst, or what the rate lets through in an interval.
 * At least one request, so that a limit smaller than the fleet still admits something everywhere. The table decides by the same: limit-table.ts.
 */
export function unconfirmedAllowance({ count, periodMs, burst, cost }: SharedLimit, { instances, syncIntervalMs }: FleetShape): number {
  return Math.max(cost, Math.ceil(burst / instances), Math.ceil((count / periodMs) * syncIntervalMs));
}

/**
 * Units that a `fleet` limit may admit at worst beyond burst + rate x time, over any stretch of time. Each instance can have one allowance on
 * its way to Redis and one that it has not told yet, and all of them can believe that there is room. What was admitted too much is paid back:
 * the bucket is in debt until time has made up for it, so the long-run average is the limit.
 */
export function worstOvershoot(limit: SharedLimit, fleet: FleetShape): number {
  if (fleet.instances <= 1) return 0;
  return 2 * fleet.instances * unconfirmedAllowance(limit, fleet);
}
