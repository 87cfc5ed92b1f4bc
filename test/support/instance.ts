// Owns a made-up instance with real metric cells: for tests of what shows an instance's state.
import { CacheControl } from "../../src/control/cache/cache-control.ts";
import type { FleetState, InstanceState } from "../../src/observe/instance-state.ts";
import { Totals } from "../../src/observe/totals.ts";
import { Reasons } from "../../src/shared/cache/reasons.ts";
import { Stamps } from "../../src/shared/cache/stamps.ts";
import { ResponseStore } from "../../src/shared/cache/store.ts";
import { MetricCells, metricBytes } from "../../src/shared/metric-cells.ts";

export function instanceState(changes: Partial<InstanceState> = {}): InstanceState {
  return {
    release: "0.1.0",
    pid: 4711,
    startedAtMs: 1_700_000_000_000,
    phase: "serving",
    concerns: [],
    insecure: [],
    planVersion: 3,
    planSinceMs: 1_700_000_100_000,
    reloads: { ok: 2, failed: 1 },
    listeners: [{ address: "127.0.0.1:8080", url: "http://127.0.0.1:8080", engine: "uws" }],
    workers: [
      { index: 0, state: "serving", restarts: 0, beatAgeMs: 40, cpu: null, overloaded: false },
      { index: 1, state: "draining", restarts: 2, beatAgeMs: 1500, cpu: 3, overloaded: false },
    ],
    upstreams: [
      {
        name: "users",
        balance: "least-request",
        breaker: null,
        overload: null,
        targets: [
          { key: "http://10.0.0.1:9001", slot: 0, weight: 2, healthy: true, reason: "ok", inFlight: 3, overload: null, breaker: null },
          {
            key: "http://10.0.0.2:9001",
            slot: 1,
            weight: 1,
            healthy: false,
            reason: "ejected",
            inFlight: 0,
            overload: null,
            breaker: null,
          },
        ],
      },
    ],
    limits: { slots: 262_144, bytes: 25_000_000, inUse: 12, active: 7, fullEvents: 3, refusedEvents: 0 },
    cache: {
      objects: 3,
      bytes: 12_288,
      capacityBytes: 60_000_000,
      stored: 9,
      evicted: 2,
      promoted: 1,
      ghostHits: 0,
      removed: 4,
      emptied: 0,
      pinned: 0,
      routes: [
        { route: "users-read", objects: 2, bytes: 8192, occupiedBytes: 12_288, limitBytes: 12_000_000, evicted: 2 },
        { route: "users-write", objects: 1, bytes: 4096, occupiedBytes: 4096, limitBytes: null, evicted: 0 },
      ],
    },
    cacheTier: null,
    keySources: [
      {
        url: "https://id.example.com/jwks.json",
        authenticators: ["corp-jwt"],
        state: "stale",
        keys: 2,
        ageMs: 90_000,
        fetches: { ok: 7, failed: 1 },
        trouble: "ECONNREFUSED",
      },
    ],
    logSinkDropped: 5,
    fleet: null,
    redisConsumers: null,
    ...changes,
  };
}

/** A real store of responses, empty, with what operators do with it. */
export function cacheControl(): CacheControl {
  const store = new ResponseStore(ResponseStore.allocate(8 * 1024 * 1024, 1, new Uint8Array(16)));
  return new CacheControl({ store, stamps: new Stamps(Stamps.allocate()), reasons: new Reasons(Reasons.allocate()) });
}

export function instanceTotals(workers = 2): Totals {
  return new Totals(Array.from({ length: workers }, () => new MetricCells(new SharedArrayBuffer(metricBytes()))));
}

export function fleetState(changes: Partial<FleetState> = {}): FleetState {
  return {
    redis: "10.0.0.7:6379",
    connected: true,
    sinceMs: 1_700_000_000_000,
    trouble: null,
    instances: 8,
    syncAgeMs: 40,
    lastSyncMs: 1.5,
    syncs: 100,
    syncFailures: 2,
    syncMsSum: 150,
    entries: 4000,
    drift: 5.5,
    leases: 3,
    name: "gw-1:4711",
    breakers: {
      knowledge: "fresh",
      ageMs: 120,
      instances: 7,
      breakers: [
        {
          upstream: "users",
          target: "http://10.0.0.1:9001",
          states: { open: 2, "half-open": 1 },
          instances: [
            { name: "gw-2:17", state: "open" },
            { name: "gw-3:17", state: "open" },
            { name: "gw-4:17", state: "half-open" },
          ],
        },
      ],
      leftOut: 0,
      ignored: 4,
      failures: 1,
      trouble: null,
    },
    purges: { pending: 0, applied: 5, missed: 1, ageMs: 90, trouble: null },
    ...changes,
  };
}
