// Owns a made-up instance with real metric cells: for tests of what shows an instance's state.
import type { InstanceState } from "../../src/observe/instance-state.ts";
import { Totals } from "../../src/observe/totals.ts";
import { MetricCells, metricBytes } from "../../src/shared/metric-cells.ts";

export function instanceState(changes: Partial<InstanceState> = {}): InstanceState {
  return {
    release: "0.1.0",
    pid: 4711,
    startedAtMs: 1_700_000_000_000,
    phase: "serving",
    concerns: [],
    planVersion: 3,
    planSinceMs: 1_700_000_100_000,
    reloads: { ok: 2, failed: 1 },
    listeners: [{ address: "127.0.0.1:8080", url: "http://127.0.0.1:8080", engine: "uws" }],
    workers: [
      { index: 0, state: "serving", restarts: 0, beatAgeMs: 40 },
      { index: 1, state: "draining", restarts: 2, beatAgeMs: 1500 },
    ],
    upstreams: [
      {
        name: "users",
        balance: "least-request",
        targets: [
          { key: "http://10.0.0.1:9001", slot: 0, weight: 2, healthy: true, reason: "ok", inFlight: 3 },
          { key: "http://10.0.0.2:9001", slot: 1, weight: 1, healthy: false, reason: "ejected", inFlight: 0 },
        ],
      },
    ],
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
    ...changes,
  };
}

export function instanceTotals(workers = 2): Totals {
  return new Totals(Array.from({ length: workers }, () => new MetricCells(new SharedArrayBuffer(metricBytes()))));
}
