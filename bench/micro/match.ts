// Measures what finding a route costs, with ten routes and with ten thousand: the same requests must cost about the same.
// Run: node bench/micro/match.ts [rounds]. A test runs it with few rounds, so that it cannot rot.

import { compileRouter } from "../../src/data/routing/compile.ts";
import type { RoutingTerms } from "../../src/data/routing/negotiation.ts";
import { normalisePath } from "../../src/data/routing/normalise.ts";
import type { Router } from "../../src/data/routing/router.ts";
import type { MatchPlan } from "../../src/plan/plan.ts";
import { ReadExchange, type Sketch } from "../../test/support/read-exchange.ts";
import type { Micro } from "./measure.ts";

const HOT = 10;
/** Requests in one timed stretch. */
const BATCH = 2000;
const PATTERNS = [
  "/v1/svc-N/users/{id}",
  "/v1/svc-N/users",
  "/v1/svc-N/users/{id}/orders/{order}",
  "/v1/svc-N/files/**",
  "/v1/svc-N/health",
];

const patternOf = (n: number): string => (PATTERNS[n % PATTERNS.length] ?? "").replace("N", String(n));

const matchOf = (n: number): MatchPlan => ({
  hosts: ["api.example.com"],
  paths: [patternOf(n)],
  listeners: [],
  scheme: null,
  methods: n % 2 === 0 ? ["GET"] : [],
  headers: [],
  query: [],
  client: null,
  versions: [],
});

const tableOf = (size: number): Router => compileRouter(Array.from({ length: size }, (_, n) => ({ match: matchOf(n) })));

const requestOf = (n: number): ReadExchange =>
  new ReadExchange({
    path: patternOf(n)
      .replaceAll(/\{\w+\}/g, "8412")
      .replace("**", "2026/07/report.pdf"),
  });

function nsEach(requests: readonly ReadExchange[], one: (x: ReadExchange) => number): number {
  const start = process.hrtime.bigint();
  let sum = 0;
  for (let i = 0; i < BATCH; i++) sum += one(requests[i % requests.length]!); // the remainder is an index
  const ns = Number(process.hrtime.bigint() - start) / BATCH;
  if (Number.isNaN(sum)) throw new Error("the result is used, so that the work is done");
  return ns;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

export interface MatchCost {
  /** The same ten routes asked for, in a table of ten and of ten thousand, ns. */
  readonly smallNs: number;
  readonly largeNs: number;
  /** All ten thousand asked for in turn: the cost of cold caches, ns. */
  readonly spreadNs: number;
  readonly normaliseNs: number;
  readonly compileMs: number;
  readonly wrong: number;
}

export function benchMatch(rounds: number, size = 10_000): MatchCost {
  const small = tableOf(HOT);
  const started = performance.now();
  const large = tableOf(size);
  const compileMs = performance.now() - started;
  const hot = Array.from({ length: HOT }, (_, n) => requestOf(n));
  const spread = Array.from({ length: size }, (_, n) => requestOf((n * 7919) % size));
  const wrong = hot.filter((x, n) => small.match(x) !== n || large.match(x) !== n).length;
  const times = { small: [] as number[], large: [] as number[], spread: [] as number[], normalise: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    // In turn, so that noise of the machine meets all alike.
    times.small.push(nsEach(hot, (x) => small.match(x)));
    times.large.push(nsEach(hot, (x) => large.match(x)));
    times.spread.push(nsEach(spread.slice((round * BATCH) % size), (x) => large.match(x)));
    times.normalise.push(nsEach(hot, (x) => normalisePath(x.path)?.length ?? 0));
  }
  return {
    smallNs: median(times.small),
    largeNs: median(times.large),
    spreadNs: median(times.spread),
    normaliseNs: median(times.normalise),
    compileMs,
    wrong,
  };
}

function matching(size: number, requests: readonly ReadExchange[]): Micro["prepare"] {
  return () => {
    const router = tableOf(size);
    const ids = requests.map((x) => router.match(x));
    if (ids.some((id) => id < 0) || new Set(ids).size !== requests.length) throw new Error("the wrong routes");
    return (count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += router.match(requests[i % requests.length]!); // the remainder is an index
      return sum;
    };
  };
}

/** Parameters beside literal text and with constraints, all at one place of the path or below it. */
const PART_PATTERNS = ["/v1/svc-N-{name}", "/v1/{name}.svc-N", "/v1/svc-N-{id:[1-9][0-9]*}", "/v1/svc-N/{kind:users|orders}/{id:[0-9]+}"];

function matchingParts(size: number): Micro["prepare"] {
  return () => {
    const patterns = Array.from({ length: size }, (_, n) => (PART_PATTERNS[n % PART_PATTERNS.length] ?? "").replace("N", String(n)));
    const router = compileRouter(patterns.map((path) => ({ match: { ...matchOf(1), paths: [path] } })));
    const requests = patterns.slice(0, HOT).map((path) => {
      const filled = path
        .replace(/\{kind.*?\}/, "orders")
        .replaceAll(/\{id.*?\}/g, "8412")
        .replace("{name}", "report");
      return new ReadExchange({ path: filled });
    });
    if (requests.some((x, n) => router.match(x) !== n)) throw new Error("the wrong routes");
    return (count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += router.match(requests[i % requests.length]!); // the remainder is an index
      return sum;
    };
  };
}

const hotRequests = (): readonly ReadExchange[] => Array.from({ length: HOT }, (_, n) => requestOf(n));

const TERMS: RoutingTerms = {
  clients: [
    { name: "app", headers: [{ name: "x-client", kind: "prefix", value: "acme/" }], userAgents: [{ kind: "glob", value: "acme*" }] },
  ],
  versioning: { path: "/v", header: "api-version", query: null, accept: { parameter: "version", vendor: "acme" }, default: "1" },
};
const negotiated = (rest: Partial<MatchPlan>): { readonly match: MatchPlan } => ({
  match: {
    hosts: [],
    paths: ["/orders/**"],
    listeners: [],
    scheme: null,
    methods: [],
    headers: [],
    query: [],
    client: null,
    versions: [],
    ...rest,
  },
});
const NEGOTIATED = [
  negotiated({ versions: ["1"] }),
  negotiated({ versions: ["2"] }),
  negotiated({ paths: ["/page/**"] }),
  negotiated({ paths: ["/page/**"], client: "app" }),
];

/** @param id of the route that takes the request */
const negotiating = (name: string, sketch: Sketch, id: number): Micro => ({
  name,
  prepare: () => {
    const router = compileRouter(NEGOTIATED, TERMS);
    const x = new ReadExchange({
      ...sketch,
      headers: ["host", "a.example", "user-agent", "Acme/2.1", "accept", "*/*", ...(sketch.headers ?? [])],
    });
    if (router.match(x) !== id) throw new Error("the wrong route");
    return (count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += router.match(x);
      return sum;
    };
  },
});

/** For run.ts. */
export const MICRO: readonly Micro[] = [
  { name: "10 routes", prepare: matching(HOT, hotRequests()) },
  { name: "the same ten requests in 10000 routes", prepare: matching(10_000, hotRequests()) },
  { name: "10 routes with parts and constraints", prepare: matchingParts(HOT) },
  { name: "the same ten requests in 10000 routes with parts and constraints", prepare: matchingParts(10_000) },
  negotiating("a version in a header", { path: "/orders/7", headers: ["api-version", "2"] }, 1),
  negotiating("a version in the path", { path: "/v2/orders/7" }, 1),
  negotiating("a version in a media type", { path: "/orders/7", headers: ["accept", "application/vnd.acme.v2+json"] }, 1),
  negotiating("no version: the default", { path: "/orders/7" }, 0),
  negotiating("a client type", { path: "/page/7", headers: ["x-client", "acme/2"] }, 3),
  {
    name: "normalise a path",
    prepare: () => {
      const paths = hotRequests().map((x) => x.path);
      return (count) => {
        let sum = 0;
        for (let i = 0; i < count; i++) sum += normalisePath(paths[i % paths.length]!)?.length ?? Number.NaN; // the remainder is an index
        return sum;
      };
    },
  },
];

if (import.meta.main) {
  const rounds = Number(process.argv[2] ?? 500);
  benchMatch(rounds);
  const cost = benchMatch(rounds);
  const ratio = cost.largeNs / cost.smallNs;
  console.log(
    `match: 10 routes ${cost.smallNs.toFixed(0)} ns, 10000 routes ${cost.largeNs.toFixed(0)} ns (x${ratio.toFixed(3)}), all 10000 in turn ${cost.spreadNs.toFixed(0)} ns`,
  );
  console.log(`normalise ${cost.normaliseNs.toFixed(0)} ns, compile 10000 routes ${cost.compileMs.toFixed(0)} ms`);
}
