import { describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { parseConfig } from "../../../../../src/control/config/load.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import type { Plan } from "../../../../../src/plan/plan.ts";

function plan(text: string): Plan {
  const result = parseConfig({ texts: [{ file: "c.yaml", text }] });
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  const names = result.config.routes.map((route) => route.name);
  return compilePlan(result.config, { version: 7, metricSlot: (name) => names.indexOf(name) + 1, breakerSlot: () => 5 });
}

/** A configuration that says something of everything, without files. */
const CONTRACT = `
version: 1
workers: auto
listeners:
  - address: 0.0.0.0:8080
admin: { address: 127.0.0.1:9901, token: "\${ADMIN_TOKEN:-}" }
trustedProxies: [10.0.0.0/8]
limits: { headerBytes: 16KiB, headerCount: 100, bodyBytes: 10MiB, headerTimeout: 10s, bodyTimeout: 30s, idleTimeout: 60s, connections: 50000 }
upstreams:
  users:
    targets: [ { url: "http://10.0.0.1:9001", weight: 2 }, { url: "http://10.0.0.2:9001" } ]
    balance: hash
    hashOn: { header: x-session }
    pool: { connections: 128, pipelining: 1, keepAlive: 60s }
    timeouts: { connect: 1s, response: 5s, idle: 30s, total: 15s }
    retry: { attempts: 2, on: [connect-failure, reset, 502, 503, 504], backoff: { base: 25ms, max: 250ms }, budget: 20%, nonIdempotent: false }
    health:
      active: { path: /healthz, interval: 5s, timeout: 1s, healthyAfter: 2, unhealthyAfter: 3, expect: 200-299 }
      passive: { consecutiveFailures: 5, ejectFor: 30s, maxEjected: 50% }
    breaker: { errorRate: 50%, minimumRequests: 20, window: 10s, openFor: 5s, halfOpenRequests: 3 }
  users-shadow: { targets: [{ url: "http://10.0.0.3:9001" }] }
defaults: { headers: { request: { remove: [x-internal-*] } }, accessLog: true }
routes:
  - name: users-read
    match: { hosts: [api.example.com], path: /users/{id}, methods: [GET, HEAD], headers: { x-api-version: "2" }, query: { beta: "true" } }
    rewrite: { path: /v2/users/{id} }
    headers: { request: { set: { x-tenant: "{path.id}" } }, response: { remove: [server] } }
    cors: { origins: ["https://app.example.com"], credentials: true, maxAge: 10m }
    to: users
    mirror: { upstream: users-shadow, percent: 1 }
  - name: mobile
    match: { path: /home, client: mobile }
    auth: none
    weighted: [ { upstream: users, weight: 95 }, { upstream: users-shadow, weight: 5 } ]
`;

it("the example of the design compiles, units resolved", () => {
  const { upstreams, routes, ...rest } = plan(CONTRACT);
  expect(rest).toEqual({
    version: 7,
    authenticators: [],
    consumers: [],
    tiers: [],
    clients: [],
    versioning: null,
    identity: expect.objectContaining({ claims: [], token: null }),
    listeners: [
      {
        address: "0.0.0.0:8080",
        host: "0.0.0.0",
        port: 8080,
        unixPath: null,
        engine: "uws",
        engineReason: "the default for plain HTTP/1.1",
        tls: null,
        http2: false,
        h2c: false,
        proxyProtocol: false,
        name: "",
        redirectToHttps: null,
        paths: null,
      },
    ],
    limits: {
      headerBytes: 16_384,
      headerCount: 100,
      uriBytes: 8192,
      bodyBytes: 10_485_760,
      headerTimeoutMs: 10_000,
      bodyTimeoutMs: 30_000,
      policyTimeoutMs: 5000,
      bodyRate: { bytesPerSecond: 240, afterMs: 10_000, graceMs: 10_000 },
      bufferedBodyBytes: 268_435_456,
      connectionsPerAddress: 2000,
      bodiesPerAddress: 100,
      requestsPerConnection: null,
      streamsPerConnection: 100,
      connectionAgeMs: 3_600_000,
      idleTimeoutMs: 60_000,
      connections: 50_000,
      webSocketMessageBytes: 1_048_576,
      webSocketBufferBytes: 1_048_576,
      webSocketIdleTimeoutMs: 120_000,
      rateLimitBuckets: 262_144,
      errorPageBytes: 262_144,
    },
    cache: {
      memoryBytes: 67_108_864,
      maxObjectBytes: 1_048_576,
      name: "sluice",
      debug: null,
      warm: null,
      tier: { timeoutMs: 50, maxObjectBytes: 1_048_576, queueBytes: 16_777_216 },
    },
    overload: { mode: "shadow", loopDelayMs: 50, inFlight: null, memory: { part: 0.9 }, tiers: {} },
    trustedProxies: ["10.0.0.0/8"],
    limitSlots: {},
    decisionSlots: {},
    legSlots: {},
    modules: [],
    drainTimeoutMs: 30_000,
    logQuery: false,
    errorPages: [],
    unroutedErrorPages: -1,
  });
  expect(upstreams[0]).toEqual({
    name: "users",
    insecure: [],
    overload: {
      slot: 0,
      shadow: true,
      minimum: 1,
      maximum: 1000,
      queue: { length: 1024, bytes: 16_777_216, flows: 256, waitMs: 250 },
      fairBy: "consumer",
      tiers: {},
    },
    fingerprint: expect.any(String),
    targets: [
      { url: "http://10.0.0.1:9001", weight: 2 },
      { url: "http://10.0.0.2:9001", weight: 1 },
    ],
    balance: "hash",
    hashOn: { kind: "header", name: "x-session" },
    hashLoadFactor: null,
    sticky: null,
    slowStartMs: 0,
    protocol: "http1",
    pool: { client: "http1", connections: 128, pipelining: 1, streams: 100, pingMs: 0, keepAliveMs: 60_000, queue: 1024 },
    timeouts: { connectMs: 1000, attemptMs: 5000, idleMs: 30_000, totalMs: 15_000 },
    retry: {
      attempts: 2,
      on: ["connect-failure", "reset"],
      statuses: [502, 503, 504].map((status) => ({ min: status, max: status })),
      backoffBaseMs: 25,
      backoffMaxMs: 250,
      budget: 0.2,
      nonIdempotent: false,
      bufferBytes: 65_536,
    },
    health: {
      active: {
        tcp: false,
        method: "GET",
        path: "/healthz",
        headers: {},
        intervalMs: 5000,
        timeoutMs: 1000,
        healthyAfter: 2,
        unhealthyAfter: 3,
        statuses: [{ min: 200, max: 299 }],
        body: null,
      },
      passive: { consecutiveFailures: 5, ejectForMs: 30_000, maxEjected: 0.5 },
    },
    breaker: {
      slot: 5,
      scope: "target",
      errorRate: 0.5,
      minimumRequests: 20,
      consecutiveFailures: 0,
      windowMs: 10_000,
      slowCallMs: 0,
      slowCallRate: 0,
      openForMs: 5000,
      maxOpenForMs: 60_000,
      halfOpenRequests: 3,
      trialTimeoutMs: 10_000,
      recoveryMs: 10_000,
      failures: { statuses: [{ min: 500, max: 599 }], conditions: ["connect-failure", "reset", "timeout", "invalid"] },
      fallback: null,
    },
    tls: null,
    deadlineHeader: "x-request-deadline-ms",
    host: "target",
    connectMaxMs: 1000,
  });
  expect(routes[0]).toMatchObject({
    name: "users-read",
    metricSlot: 1,
    match: {
      hosts: ["api.example.com"],
      paths: ["/users/{id}"],
      methods: ["GET", "HEAD"],
      headers: [{ name: "x-api-version", kind: "exact", value: "2" }],
      query: [{ name: "beta", kind: "exact", value: "true" }],
      client: null,
      versions: [],
    },
    handler: {
      name: "proxy",
      config: {
        to: [{ upstream: 0, weight: 1 }],
        mirror: { upstream: 1, fraction: 0.01 },
        webSocket: true,
        webSocketClosesAtExpiry: false,
      },
    },
    settings: {
      timeouts: null,
      bodyBytes: 10_485_760,
      bodyRate: { bytesPerSecond: 240, afterMs: 10_000, graceMs: 10_000 },
      accessLog: true,
    },
  });
  // The registry's order, not the file's.
  expect(routes[0]?.policies.map((policy) => policy.name)).toEqual(["cors", "rewrite", "headers"]);
  expect(routes[1]).toMatchObject({
    match: { client: "mobile" },
    handler: {
      config: {
        to: [
          { upstream: 0, weight: 95 },
          { upstream: 1, weight: 5 },
        ],
        mirror: null,
      },
    },
  });
});

it("a plan crosses to a worker whole", () => {
  const compiled = plan(CONTRACT);
  expect(structuredClone(compiled)).toEqual(compiled);
});

/** A file with one upstream and these routes. */
const withRoutes = (...routes: string[]): string =>
  `version: 1\nlisteners: [{ address: 127.0.0.1:0 }]\nupstreams: { a: { targets: [{ url: http://a }] }, b: { targets: [{ url: http://b }] } }\nroutes:\n${routes.map((route) => `- ${route}\n`).join("")}`;

it("routes stand in match order, whatever the file says", () => {
  const routes = [
    "{ name: any, match: {}, to: a }",
    "{ name: rest, match: { path: /u/** }, to: a }",
    "{ name: param, match: { path: /u/{id} }, to: a }",
    "{ name: exact, match: { path: /u/me }, to: a }",
    "{ name: method, match: { path: /u/me, methods: [GET] }, to: a }",
    "{ name: header, match: { path: /u/me, methods: [GET], headers: { x: { present: true } } }, to: a }",
    "{ name: wildcard, match: { hosts: ['*.example.com'] }, to: a }",
    "{ name: host, match: { hosts: [api.example.com] }, to: a }",
  ];
  const expected = ["host", "wildcard", "header", "method", "exact", "param", "rest", "any"];
  for (const order of [routes, routes.toReversed()]) expect(plan(withRoutes(...order)).routes.map((route) => route.name)).toEqual(expected);
});

describe("destinations", () => {
  const check = (route: string, expected: object) =>
    it(route, () => expect(plan(withRoutes(`{ name: r, match: {}, ${route} }`)).routes[0]).toMatchObject(expected));
  const proxied = (route: string, config: object) => check(route, { handler: { name: "proxy", config } });
  proxied("to: b", { to: [{ upstream: 1, weight: 1 }] });
  proxied("weighted: [{ upstream: a, weight: 3 }, { upstream: b }]", {
    to: [
      { upstream: 0, weight: 3 },
      { upstream: 1, weight: 1 },
    ],
  });
  proxied("weighted: [{ upstream: a, weight: 0 }, { upstream: b }]", { to: [{ upstream: 1, weight: 1 }] });
  proxied("weighted: [{ upstream: a }, { upstream: b }]", { stickyBy: null });
  proxied("weighted: [{ upstream: a, weight: 0 }, { upstream: b }], stickyBy: ip", { stickyBy: null });
  proxied("weighted: [{ upstream: b }, { upstream: a }], stickyBy: ip", { stickyBy: { on: { kind: "ip" }, names: ["b", "a"] } });
  proxied("weighted: [{ upstream: b }, { upstream: a }], stickyBy: { header: X-User }", {
    stickyBy: { on: { kind: "header", name: "x-user" } },
  });
  proxied("weighted: [{ upstream: b }, { upstream: a }], stickyBy: { cookie: Sid }", { stickyBy: { on: { kind: "cookie", name: "Sid" } } });
  check("respond: { status: 503 }", { handler: { name: "respond", config: { status: 503 } }, policies: [], upstreams: [] });
  proxied("to: a, mirror: { upstream: b }", { mirror: { upstream: 1, fraction: 1 } });
  proxied("to: a, mirror: { upstream: b, percent: 0 }", { mirror: null });
  check("to: a, limits: { bodyRate: none }", { settings: { bodyRate: null } });
  check("to: a, limits: { bodyRate: { bytes: 1KiB, grace: 1m } }", {
    settings: { bodyRate: { bytesPerSecond: 1024, afterMs: 10_000, graceMs: 60_000 } },
  });
  check("to: a, limits: { bodyBytes: 1KiB }, timeouts: { total: 0 }", { settings: { bodyBytes: 1024, timeouts: { totalMs: 0 } } });
});

it("targets with weight 0 are left out", () => {
  const text = withRoutes("{ name: r, match: {}, to: a }").replace(
    "[{ url: http://a }]",
    "[{ url: http://a, weight: 0 }, { url: http://c }]",
  );
  expect(plan(text).upstreams[0]?.targets).toEqual([{ url: "http://c:80", weight: 1 }]);
});

describe("an upstream's fingerprint", () => {
  const fingerprint = (settings: string): string =>
    plan(withRoutes("{ name: r, match: {}, to: a }").replace("targets: [{ url: http://a }]", settings)).upstreams[0]?.fingerprint ?? "";
  const usual = fingerprint("targets: [{ url: http://a }]");
  it("ignores the targets", () => expect(fingerprint("targets: [{ url: http://z, weight: 3 }]")).toBe(usual));
  it("ignores the breaker: warm connections outlive its settings", () =>
    expect(fingerprint("targets: [{ url: http://a }], breaker: { openFor: 1s }")).toBe(usual));
  it("ignores what is written but is the default", () =>
    expect(fingerprint("targets: [{ url: http://a }], pool: { connections: 128 }")).toBe(usual));
  it("changes with any setting", () => {
    const others = [
      "pool: { connections: 1 }",
      "timeouts: { idle: 1s }",
      "health: { passive: false }",
      "preserveHost: true",
      "slowStart: 1s",
    ].map((setting) => fingerprint(`targets: [{ url: http://a }], ${setting}`));
    expect(new Set([usual, ...others]).size).toBe(others.length + 1);
  });
});

describe("engine", () => {
  const check = (listener: string, engine: string) =>
    it(listener, () =>
      expect(
        plan(withRoutes("{ name: r, match: {}, to: a }").replace("{ address: 127.0.0.1:0 }", `{ ${listener} }`)).listeners[0]?.engine,
      ).toBe(engine),
    );
  check("address: 127.0.0.1:0", "uws");
  check("address: 127.0.0.1:0, strict: true", "net");
  check("address: 127.0.0.1:0, proxyProtocol: true", "net");
  check("address: 127.0.0.1:0, h2c: true", "net");
  check("address: unix:/run/sluice.sock", "uws");
  check("address: 127.0.0.1:0, engine: net", "net");
  check("address: 127.0.0.1:0, engine: uws", "uws");
});
