// Measures what policies cost a request: headers in both directions, and cors. A test runs it with few rounds, so that it cannot rot.
// Run: node bench/micro/policy.ts [rounds].
import type { ResponseHead } from "../../src/data/exchange/policy.ts";
import { buildPolicy, flat, TestExchange } from "../../test/support/exchange.ts";
import type { Micro } from "./measure.ts";

/** Requests timed as one piece. */
const BATCH = 2000;

const REQUEST = flat({
  host: "10.0.0.1:9001",
  accept: "application/json",
  "accept-encoding": "gzip, br",
  "user-agent": "Mozilla/5.0",
  "x-internal-user": "spoofed",
  authorization: "Bearer x",
  "x-forwarded-for": "203.0.113.7",
  "x-forwarded-proto": "https",
  "x-forwarded-host": "api.example.com",
  via: "1.1 sluice",
});
const RESPONSE = flat({ "content-type": "application/json", server: "nginx", etag: '"1"', "cache-control": "max-age=60", vary: "Accept" });

export interface PolicyCost {
  /** Copying the two header lists, which every measurement below includes. */
  readonly baseNs: number;
  /** Remove a prefix, set one template and one constant upstream; remove and set downstream. */
  readonly headersNs: number;
  /** An actual cross-origin response. */
  readonly corsNs: number;
  /** Header changes that came out; to check the work was done. */
  readonly changed: number;
}

/** @returns medians over the rounds, in ns a request */
export function benchPolicy(rounds: number): PolicyCost {
  const headers = buildPolicy(
    "headers",
    {
      request: { remove: ["x-internal-*"], set: { "x-tenant": "{path.tenant}", "x-gateway": "sluice" } },
      response: { remove: ["server"], set: { "x-frame-options": "DENY" } },
    },
    { paramNames: ["tenant"] },
  );
  const cors = buildPolicy("cors", { origins: ["https://app.example.com"], credentials: true });
  const x = new TestExchange({ params: { tenant: "acme" }, headers: { origin: "https://app.example.com" } });
  let changed = 0;
  const one = (work: (upstream: string[], down: string[]) => void): number => {
    const start = process.hrtime.bigint();
    for (let i = 0; i < BATCH; i++) {
      const up = REQUEST.slice();
      const down = RESPONSE.slice();
      work(up, down);
      changed += up.length + down.length - REQUEST.length - RESPONSE.length;
    }
    return Number(process.hrtime.bigint() - start) / BATCH;
  };
  const times = { base: [] as number[], headers: [] as number[], cors: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    // In turn, so that noise of the machine meets all alike.
    times.base.push(one(() => {}));
    times.headers.push(
      one((up, down) => {
        headers.onUpstreamRequest?.(x, { method: "GET", path: "/", headers: up });
        headers.onResponse?.(x, responseHeadOf(down));
      }),
    );
    times.cors.push(
      one((_, down) => {
        cors.onRequest?.(x);
        cors.onResponse?.(x, responseHeadOf(down));
      }),
    );
  }
  const baseNs = median(times.base);
  return { baseNs, headersNs: median(times.headers) - baseNs, corsNs: median(times.cors) - baseNs, changed };
}

const responseHeadOf = (headers: string[]): ResponseHead => ({ status: 200, headers, length: 100, hasBody: true, fromUpstream: true });

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

/** For run.ts. Each includes copying the two header lists. */
export const MICRO: readonly Micro[] = (["headers", "cors", "neither: only the copies"] as const).map((which) => ({
  name: which,
  prepare: () => {
    const policy =
      which === "cors"
        ? buildPolicy("cors", { origins: ["https://app.example.com"], credentials: true })
        : buildPolicy(
            "headers",
            which === "headers"
              ? { request: { remove: ["x-internal-*"], set: { "x-gateway": "sluice" } }, response: { remove: ["server"] } }
              : {},
          );
    const x = new TestExchange({ headers: { origin: "https://app.example.com" } });
    return (count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) {
        const up = REQUEST.slice();
        const down = RESPONSE.slice();
        policy.onRequest?.(x);
        policy.onUpstreamRequest?.(x, { method: "GET", path: "/", headers: up });
        policy.onResponse?.(x, responseHeadOf(down));
        sum += up.length + down.length;
      }
      return sum;
    };
  },
}));

if (import.meta.main) {
  const rounds = Number(process.argv[2] ?? 200);
  benchPolicy(rounds);
  const { baseNs, headersNs, corsNs } = benchPolicy(rounds);
  console.log(
    `headers ${headersNs.toFixed(0)} ns, cors ${corsNs.toFixed(0)} ns a request (beside ${baseNs.toFixed(0)} ns to copy the lists)`,
  );
}
