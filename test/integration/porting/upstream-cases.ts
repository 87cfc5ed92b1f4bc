// Owns the cases of docs/porting.md about services: balancing, health, retries, timeouts, splits, copies, and answers made of several.
import type { PortingCase } from "./porting-case.ts";

/** Which target one client gets does not change; with any other way to balance, six requests reach both. */
const six = (path: string, fields: readonly string[] = []) =>
  Array.from({ length: 6 }, () => ({ send: `GET ${path}`, fields, status: 200 }));
/** Nobody listens there. */
const CLOSED = "http://127.0.0.1:1";
const AFTER_A_REFUSED_CONNECTION = [
  { send: "GET /x", status: 200, served: "GET /x" },
  { send: "POST /x", body: "x", status: 200, served: "POST /x" },
  { send: "GET /x", status: 200, served: "GET /x" },
];

export const UPSTREAM_CASES: readonly PortingCase[] = [
  {
    // The services here speak HTTP/1.1 only, and are not understood; test/integration/upstreams/http2.test.ts has one that is.
    here: "protocol: h2c",
    config: `upstreams: { two@: { targets: [{ url: ORIGIN1 }], protocol: h2c, health: { passive: false } } }
routes: [{ match: { path: /** }, to: two@ }]`,
    asks: [{ send: "POST /x", body: "x", status: 502, text: /upstream_reset/, served: null }],
  },
  {
    here: "retry: { attempts: 0 }",
    config: "upstreams: { once@: { targets: [{ url: ORIGIN1 }], retry: { attempts: 0 } } }\nroutes: [{ match: { path: /** }, to: once@ }]",
    asks: [{ send: "GET /x", statuses: [503], status: 503, served: "GET /x" }],
  },
  ...[5, 2].map(
    (attempts): PortingCase => ({
      here: `retry: { attempts: ${attempts}, on: [connect-failure] }`,
      config: `upstreams:
  again@:
    targets: [{ url: "${CLOSED}" }, { url: ORIGIN1 }]
    balance: round-robin
    health: { passive: false }
    retry: { attempts: ${attempts}, on: [connect-failure] }
routes: [{ match: { path: /** }, to: again@ }]`,
      asks: AFTER_A_REFUSED_CONNECTION,
    }),
  ),
  {
    here: "retry: { attempts: 2, on: [connect-failure, reset, 503] }",
    config: `upstreams: { again@: { targets: [{ url: ORIGIN1 }], retry: { attempts: 2, on: [connect-failure, reset, 503], budget: 100% } } }
routes: [{ match: { path: /** }, to: again@ }]`,
    asks: [
      { send: "GET /x", statuses: [503, 503], status: 200, served: "GET /x" },
      { send: "POST /x", body: "x", statuses: [503], status: 503, served: "POST /x" },
    ],
  },
  {
    here: "timeouts: { connect: 60s, attempt: 60s, idle: 60s }",
    config: `upstreams:
  slow@: { targets: [{ url: ORIGIN1 }], timeouts: { connect: 60s, attempt: 60s, idle: 60s } }
  fast@: { targets: [{ url: ORIGIN1 }], timeouts: { attempt: 50ms }, retry: { attempts: 0 } }
routes: [{ match: { path: /slow }, to: slow@ }, { match: { path: /fast }, to: fast@ }]`,
    asks: [
      { send: "GET /slow", status: 200, served: "GET /slow" },
      { send: "GET /fast", held: true, status: 504, text: /response_timeout/ },
    ],
  },
  {
    here: "timeouts: { total: 2s, attempt: 1s }",
    config: `upstreams:
  slow@: { targets: [{ url: ORIGIN1 }], timeouts: { total: 2s, attempt: 1s } }
  fast@: { targets: [{ url: ORIGIN1 }], timeouts: { connect: 50ms, attempt: 50ms, total: 50ms } }
routes: [{ match: { path: /slow }, to: slow@ }, { match: { path: /fast }, to: fast@ }]`,
    asks: [
      { send: "GET /slow", status: 200, served: "GET /slow" },
      { send: "GET /fast", held: true, status: 504 },
    ],
  },
  {
    here: "balance: hash",
    config: `upstreams:
  ring@: { targets: [{ url: ORIGIN1 }, { url: ORIGIN2 }], balance: hash, hashOn: { header: x-session } }
routes: [{ match: { path: /** }, to: ring@ }]`,
    asks: six("/x", ["X-Session: 7"]),
    eventually: (first, second) => first.requests.length === 0 || second.requests.length === 0,
  },
  {
    here: "hashOn: ip",
    config: `upstreams: { ring@: { targets: [{ url: ORIGIN1 }, { url: ORIGIN2 }], balance: hash, hashOn: ip } }
routes: [{ match: { path: /** }, to: ring@ }]`,
    asks: six("/x"),
    eventually: (first, second) => first.requests.length === 0 || second.requests.length === 0,
  },
  {
    here: "health: { active: { path: /status } }",
    config: `upstreams: { probed@: { targets: [{ url: ORIGIN2 }], health: { active: { path: /status } } } }
routes: [{ match: { path: /** }, to: probed@ }]`,
    asks: [{ send: "GET /x", status: 200 }],
    eventually: (_, second) => second.requests.some(({ target }) => target === "/status"),
  },
  {
    here: "health: { active: { path: /status, expect: 200-399 } }",
    config: `upstreams: { probed@: { targets: [{ url: ORIGIN2 }], health: { active: { path: /status, expect: 200-399 } } } }
routes: [{ match: { path: /** }, to: probed@ }]`,
    asks: [{ send: "GET /x", status: 200 }],
    eventually: (_, second) => second.requests.some(({ target }) => target === "/status"),
  },
  {
    here: "health: { active: { tcp: true } }",
    config: `upstreams: { probed@: { targets: [{ url: ORIGIN2 }], health: { active: { tcp: true } } } }
routes: [{ match: { path: /** }, to: u@ }, { match: { path: /probed }, to: probed@ }]`,
    asks: [{ send: "GET /x", status: 200, served: "GET /x" }],
    eventually: (_, second) => second.connections > 0 && second.requests.length === 0,
  },
  {
    here: "breaker: { consecutiveFailures: 1 }",
    once: true,
    config: `upstreams: { fragile@: { targets: [{ url: ORIGIN1 }], breaker: { consecutiveFailures: 1 } } }
routes: [{ match: { path: /** }, to: fragile@ }]`,
    asks: [
      { send: "GET /x", statuses: [500], status: 500, served: "GET /x" },
      { send: "GET /x", status: 503, served: null, text: /breaker_open/ },
    ],
  },
  {
    here: "weighted: [{ upstream: stable, weight: 95 }, { upstream: canary, weight: 5 }]",
    config: `upstreams: { stable@: { targets: [{ url: ORIGIN1 }] }, canary@: { targets: [{ url: ORIGIN2 }] } }
routes:
  - { match: { path: /** }, weighted: [{ upstream: stable@, weight: 95 }, { upstream: canary@, weight: 5 }], stickyBy: { header: x-user } }
  - { match: { path: /all }, weighted: [{ upstream: stable@, weight: 0 }, { upstream: canary@, weight: 1 }] }`,
    asks: [
      { send: "GET /all", status: 200, served: "GET /all", by: 2 },
      { send: "GET /x", fields: ["X-User: 7"], status: 200 },
    ],
  },
  {
    here: "mirror: { upstream: shadow }",
    config: `upstreams: { shadow@: { targets: [{ url: ORIGIN2 }] } }
routes: [{ match: { path: /** }, to: u@, mirror: { upstream: shadow@ } }]`,
    asks: [{ send: "GET /x", status: 200, served: "GET /x", copy: "GET /x" }],
  },
  {
    here: "sticky: { cookie: node, secret: 0123456789abcdef0123456789abcdef }",
    config: `upstreams:
  kept@: { targets: [{ url: ORIGIN1 }, { url: ORIGIN2 }], sticky: { cookie: node, secret: 0123456789abcdef0123456789abcdef } }
routes: [{ match: { path: /** }, to: kept@ }]`,
    asks: [{ send: "GET /x", status: 200, answer: { "set-cookie": /^node=[\w-]+;(?!.*127\.0\.0\.1)/ } }],
  },
  {
    here: "insecure: [tls-unverified]",
    config: `upstreams: { own@: { targets: [{ url: ORIGIN3 }], insecure: [tls-unverified] }, checked@: { targets: [{ url: ORIGIN3 }] } }
routes: [{ match: { path: /** }, to: own@ }, { match: { path: /checked }, to: checked@ }]`,
    asks: [
      { send: "GET /x", status: 200 },
      { send: "GET /checked", status: 502 },
    ],
  },
  {
    here: "pool: { connections: 2 }",
    config: `upstreams:
  bounded@: { targets: [{ url: ORIGIN1 }], pool: { connections: 2 } }
  single@: { targets: [{ url: ORIGIN1 }], pool: { connections: 1, queue: 0 }, retry: { attempts: 0 } }
routes: [{ match: { path: /** }, to: bounded@ }, { match: { path: /single/** }, to: single@ }]`,
    asks: [
      { send: "GET /x", status: 200, served: "GET /x" },
      { send: "GET /single/x", status: 200, meanwhile: { send: "GET /single/y", status: 503, text: /overloaded/ } },
    ],
  },
  {
    here: "proxyProtocol: true",
    alone: true,
    listeners: '[{ address: "127.0.0.1:0", proxyProtocol: true }]',
    config: 'routes: [{ match: {}, headers: { request: { set: { x-client: "{client.ip}" } } }, to: u@ }]',
    asks: [
      {
        send: "GET a.example/x",
        prologue: Buffer.from("0d0a0d0a000d0a515549540a2111000ccb007107c000020180001f90", "hex"),
        status: 200,
        sent: { "x-client": "203.0.113.7" },
      },
      { send: "GET a.example/x", status: 0, served: null },
    ],
  },
  {
    here: 'aggregate: { legs: { user: { to: users, path: "/users/{id}" }, orders: { to: orders, path: /orders, required: false } } }',
    config: `upstreams: { users@: { targets: [{ url: ORIGIN1 }] }, orders@: { targets: [{ url: ORIGIN2 }] } }
routes:
  - match: { path: "/pages/{id}" }
    aggregate: { legs: { user: { to: users@, path: "/users/{id}" }, orders: { to: orders@, path: /orders, required: false } } }`,
    asks: [
      { send: "GET /pages/7", status: 200, served: "GET /users/7", text: /^\{"user":\{"id":"7".*"orders":/ },
      { send: "GET /pages/7", statuses: [500], status: 502, served: "GET /users/7" },
    ],
  },
  {
    here: "pick: [id, name]",
    config:
      'routes: [{ match: { path: "/pages/{id}" }, aggregate: { legs: { user: { to: u@, path: "/users/{id}", pick: [id, name], rename: { name: title }, as: who } } } }]',
    asks: [{ send: "GET /pages/7", status: 200, text: /^\{"who":\{"id":"7","title":"ann"\}\}$/ }],
  },
  {
    here: 'path: "/orders/{legs.user.json.id}"',
    config: `routes:
  - match: { path: /pages }
    aggregate: { legs: { user: { to: u@, path: /users/me }, orders: { to: other@, path: "/orders/{legs.user.json.id}" } } }`,
    asks: [{ send: "GET /pages", status: 200, served: "GET /orders/7", by: 2 }],
  },
];
