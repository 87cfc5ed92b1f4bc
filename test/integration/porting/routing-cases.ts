// Owns the cases of docs/porting.md about which route a request takes, and what becomes of its path and Host.
import type { PortingCase, RefusedCase } from "./porting-case.ts";

export const ROUTING_CASES: readonly PortingCase[] = [
  {
    here: "match: { path: /api/** }",
    config: "routes: [{ match: { path: /api/** }, to: u@ }]",
    asks: [
      { send: "GET /api", status: 200, served: "GET /api" },
      { send: "GET /api/", status: 200, served: "GET /api/" },
      { send: "GET /api/x?y=1", status: 200, served: "GET /api/x?y=1" },
      { send: "GET /apix", status: 404, served: null },
    ],
  },
  {
    here: "match: { path: /login }",
    config: "routes: [{ match: { path: /login }, to: u@ }]",
    asks: [
      { send: "GET /login", status: 200, served: "GET /login" },
      { send: "GET /login/", status: 404, answer: { location: null }, served: null },
      { send: "GET /login/x", status: 404, served: null },
    ],
  },
  {
    here: "match: { path: /api/admin/** }",
    config: `routes:
  - { match: { path: /** }, to: u@ }
  - { match: { path: /api/** }, to: u@ }
  - { match: { path: /api/admin/** }, to: other@ }
  - { match: { path: "/{any}/admin/x" }, to: u@ }`,
    asks: [
      { send: "GET /api/admin/y", status: 200, served: "GET /api/admin/y", by: 2 },
      { send: "GET /api/other", status: 200, served: "GET /api/other" },
      { send: "GET /elsewhere/admin/x", status: 200, served: "GET /elsewhere/admin/x" },
    ],
  },
  {
    here: 'match: { path: "/{kind:users|teams}/me" }',
    config: `routes:
  - { match: { path: "/{kind}/{id}" }, to: u@ }
  - { match: { path: "/{kind:users|teams}/me" }, to: other@ }`,
    asks: [
      { send: "GET /teams/me", status: 200, served: "GET /teams/me", by: 2 },
      { send: "GET /carts/me", status: 200, served: "GET /carts/me" },
    ],
  },
  {
    here: "match: {}",
    alone: true,
    config: "routes: [{ match: { hosts: [shop@.example] }, to: u@ }, { match: {}, to: other@ }]",
    asks: [
      { send: "GET shop@.example/", status: 200, served: "GET /" },
      { send: "GET anything.example/", status: 200, served: "GET /", by: 2 },
    ],
  },
  {
    here: "match: { hosts: [api.shop.example], path: /v1/** }",
    config: "routes: [{ match: { hosts: [api@.shop.example], path: /v1/** }, to: u@ }]",
    asks: [
      { send: "GET api@.shop.example/v1/x", status: 200, served: "GET /v1/x" },
      { send: "GET API@.shop.example:8080/v1/x", status: 200, served: "GET /v1/x" },
      { send: "GET nobody@.example/v1/x", status: 404, served: null },
    ],
  },
  {
    here: 'match: { hosts: ["*.shop.example"] }',
    config: 'routes: [{ match: { hosts: ["*.shop@.example"] }, to: u@ }]',
    asks: [
      { send: "GET a.shop@.example/", status: 200, served: "GET /" },
      { send: "GET a.b.shop@.example/", status: 200, served: "GET /" },
      { send: "GET shop@.example/", status: 404, served: null },
    ],
  },
  {
    here: "match: { methods: [GET, POST] }",
    config: "routes: [{ match: { path: /**, methods: [GET, POST] }, to: u@ }]",
    asks: [
      { send: "HEAD /x", status: 200, served: "HEAD /x" },
      { send: "DELETE /x", status: 405, answer: { allow: /GET.*POST/ }, served: null },
    ],
  },
  {
    here: 'match: { path: "/v1/users/{id}", methods: [GET] }',
    config: 'routes: [{ match: { path: "/v1/users/{id}", methods: [GET] }, to: u@ }]',
    asks: [
      { send: "GET /v1/users/7", status: 200, served: "GET /v1/users/7" },
      { send: "HEAD /v1/users/7", status: 200, served: "HEAD /v1/users/7" },
      { send: "GET /v1/users/7/", status: 404, answer: { location: null }, served: null },
      { send: "GET /v1/users/", status: 404, served: null },
    ],
  },
  {
    here: "match: { path: /docs/** }",
    config: "routes: [{ match: { path: /docs/** }, to: u@ }, { match: { path: /secret/** }, to: other@ }]",
    asks: [
      { send: "GET /docs/../secret/x", status: 200, served: "GET /secret/x", by: 2 },
      { send: "GET /docs/%61", status: 200, served: "GET /docs/a" },
      { send: "GET /docs//x", status: 400, served: null },
      { send: "GET /docs/..%2Fsecret", status: 400, served: null },
      { send: "GET /docs/a\\b", status: 400, served: null },
      { send: "GET /docs/a;b", status: 400, served: null },
      { send: "GET /docs/x", status: 302, statuses: [302], answer: { "x-powered-by": "service" }, served: "GET /docs/x" },
      { send: "GET /docs/x", status: 404, statuses: [404], text: /"name":"ann"/, served: "GET /docs/x" },
    ],
  },
  {
    here: "match: { paths: [/users/**, /teams/**] }",
    config: "routes: [{ match: { paths: [/users/**, /teams/**] }, to: u@ }]",
    asks: [
      { send: "GET /users/x", status: 200, served: "GET /users/x" },
      { send: "GET /teams", status: 200, served: "GET /teams" },
      { send: "GET /x", status: 404, served: null },
    ],
  },
  {
    here: 'match: { path: "/users/{id:[0-9]+}" }',
    config: 'routes: [{ match: { path: "/users/{id:[0-9]+}" }, to: u@ }]',
    asks: [
      { send: "GET /users/17", status: 200, served: "GET /users/17" },
      { send: "GET /users/17a", status: 404, served: null },
      { send: "GET /users/17/x", status: 404, served: null },
    ],
  },
  {
    here: 'match: { paths: ["/api/{project:[1-9][0-9]*}/**", /api/0/relays/**] }',
    config: `routes:
  - { match: { path: /** }, to: other@ }
  - { match: { paths: ["/api/{project:[1-9][0-9]*}/**", /api/0/relays/**] }, to: u@ }
  - { match: { path: /api/0/** }, to: other@ }`,
    asks: [
      { send: "GET /api/42/envelope/", status: 200, served: "GET /api/42/envelope/" },
      { send: "GET /api/0/relays/x", status: 200, served: "GET /api/0/relays/x" },
      { send: "GET /api/0/projects", status: 200, served: "GET /api/0/projects", by: 2 },
      { send: "GET /api/042/x", status: 200, served: "GET /api/042/x", by: 2 },
    ],
  },
  {
    here: 'match: { headers: { x-beta: "1" } }',
    config: 'routes: [{ match: { path: /** }, to: other@ }, { match: { path: /**, headers: { x-beta: "1" } }, to: u@ }]',
    asks: [
      { send: "GET /x", fields: ["X-Beta: 1"], status: 200, served: "GET /x" },
      { send: "GET /x", fields: ["X_Beta: 1"], status: 200, served: "GET /x", by: 2, sent: { x_beta: "1" } },
      { send: "GET /x", fields: ["X-Beta: 1", "X_Beta: 2"], status: 200, served: "GET /x", by: 2 },
    ],
  },
  {
    here: 'match: { headers: { x-beta: "1" }, query: { plan: pro } }',
    config:
      'routes: [{ match: { path: /** }, to: other@ }, { match: { path: /**, headers: { x-beta: "1" }, query: { plan: pro } }, to: u@ }]',
    asks: [
      { send: "GET /?plan=pro", fields: ["X-Beta: 1"], status: 200, served: "GET /?plan=pro" },
      { send: "GET /?plan=pro", status: 200, served: "GET /?plan=pro", by: 2 },
      { send: "GET /?plan=free", fields: ["X-Beta: 1"], status: 200, served: "GET /?plan=free", by: 2 },
    ],
  },
  {
    here: "match: { path: /metrics, query: { comp: core } }",
    config: "routes: [{ match: { path: /metrics }, to: other@ }, { match: { path: /metrics, query: { comp: core } }, to: u@ }]",
    asks: [
      { send: "GET /metrics?comp=core", status: 200, served: "GET /metrics?comp=core" },
      { send: "GET /metrics?x=1", status: 200, served: "GET /metrics?x=1", by: 2 },
      { send: "GET /metrics?comp=core&comp=jobs", status: 200, served: "GET /metrics?comp=core&comp=jobs", by: 2 },
    ],
  },
  {
    here: "match: { listener: internal }",
    alone: true,
    listeners: '[{ name: public, address: "127.0.0.1:0" }, { name: internal, address: "127.0.0.1:0" }]',
    config: "routes: [{ match: { path: /open, listener: public }, to: u@ }, { match: { listener: internal }, to: other@ }]",
    asks: [
      { send: "GET /open", listener: 0, status: 200, served: "GET /open" },
      { send: "GET /other", listener: 0, status: 404, served: null },
      { send: "GET /open", listener: 1, status: 200, served: "GET /open", by: 2 },
    ],
  },
  {
    here: "redirectToHttps: 8443",
    alone: true,
    listeners: '[{ address: "127.0.0.1:0", redirectToHttps: 8443 }, { address: "127.0.0.1:0", strict: true, redirectToHttps: 8443 }]',
    config: "routes: [{ match: { path: /open }, to: u@ }]",
    asks: [
      { send: "GET shop.example/open?x=1", status: 308, answer: { location: "https://shop.example:8443/open?x=1" }, served: null },
      { send: "POST shop.example/nowhere", status: 308, answer: { location: "https://shop.example:8443/nowhere" }, served: null },
    ],
  },
  {
    here: "redirect: { https: true }",
    config: "routes: [{ match: { hosts: [shop@.example] }, redirect: { https: true }, to: u@ }]",
    asks: [{ send: "GET shop@.example/x?y=1", status: 308, answer: { location: "https://shop@.example/x?y=1" }, served: null }],
  },
  {
    here: 'redirect: { to: "https://www.example.com/new/{path.id}", status: 301 }',
    config: `routes:
  - { match: { path: "/old/{id}" }, redirect: { to: "https://www.example.com/new/{path.id}", status: 301 } }
  - { match: { path: /older }, redirect: { to: /new } }`,
    asks: [
      { send: "GET /old/7?x=1", status: 301, answer: { location: "https://www.example.com/new/7?x=1" } },
      { send: "GET /older", status: 308, answer: { location: "/new" } },
    ],
  },
  {
    here: "respond: { status: 404 }",
    config: "routes: [{ match: { path: /** }, to: u@ }, { match: { path: /gone/** }, respond: { status: 404 } }]",
    asks: [{ send: "GET /gone/x", status: 404, served: null }],
  },
  {
    here: "respond: { status: 403, json: { message: Access is forbidden. } }",
    config: "routes: [{ match: { path: /mcp/** }, respond: { status: 403, json: { message: Access is forbidden. } } }]",
    asks: [
      { send: "GET /mcp", status: 403, text: /^\{"message":"Access is forbidden\."\}$/, answer: { "content-type": "application/json" } },
    ],
  },
  {
    here: "rewrite: { stripPrefix: /api }",
    config: "routes: [{ match: { path: /api/** }, rewrite: { stripPrefix: /api }, to: u@ }]",
    asks: [
      { send: "GET /api/x?y=1", status: 200, served: "GET /x?y=1", sent: { "x-forwarded-prefix": "/api" } },
      { send: "GET /api", status: 200, served: "GET /" },
    ],
  },
  {
    here: "rewrite: { stripPrefix: /auth/v1, addPrefix: /v1 }",
    config: "routes: [{ match: { path: /auth/v1/** }, rewrite: { stripPrefix: /auth/v1, addPrefix: /v1 }, to: u@ }]",
    asks: [{ send: "GET /auth/v1/user", status: 200, served: "GET /v1/user" }],
  },
  {
    here: "rewrite: { addPrefix: /v2 }",
    config: "routes: [{ match: { path: /** }, rewrite: { addPrefix: /v2 }, to: u@ }]",
    asks: [{ send: "GET /x", status: 200, served: "GET /v2/x" }],
  },
  {
    here: "rewrite: { path: /status }",
    config: "routes: [{ match: { path: /health/** }, rewrite: { path: /status }, to: u@ }]",
    asks: [{ send: "GET /health/x?y=1", status: 200, served: "GET /status?y=1" }],
  },
  {
    here: "rewrite: { stripPrefix: /app, response: auto }",
    config: `routes:
  - { match: { path: /app/** }, rewrite: { stripPrefix: /app, response: auto }, to: u@ }
  - { match: { path: /plain/** }, rewrite: { stripPrefix: /plain }, to: u@ }`,
    asks: [
      {
        send: "GET /app/moved",
        statuses: [302],
        status: 302,
        answer: { location: "/app/next", "set-cookie": /^sid=1; Path=\/app, csrf=2; Path=\/app\/c$/ },
      },
      { send: "GET /plain/moved", statuses: [302], status: 302, answer: { location: /^http:\/\/127\.0\.0\.1:\d+\/next$/ } },
    ],
  },
  {
    here: "rewrite: { stripPrefix: /shop, response: { location: auto } }",
    config: "routes: [{ match: { path: /shop/** }, rewrite: { stripPrefix: /shop, response: { location: auto } }, to: u@ }]",
    asks: [
      { send: "GET /shop/moved", statuses: [302], status: 302, answer: { location: "/shop/next", "set-cookie": /Path=\/app; Domain/ } },
      { send: "GET /shop/elsewhere", statuses: [302], status: 302, answer: { location: "http://login.internal/in" } },
    ],
  },
  {
    here: "response: { cookies: { secure: true, httpOnly: true } }",
    config: "routes: [{ match: { path: /** }, rewrite: { response: { cookies: { secure: true, httpOnly: true } } }, to: u@ }]",
    asks: [
      {
        send: "GET /moved",
        status: 200,
        answer: { "set-cookie": /Path=\/app; Domain=127\.0\.0\.1; Secure; HttpOnly.*Path=\/c; Secure; HttpOnly$/ },
      },
    ],
  },
  {
    here: "response: { cookies: { path: [{ from: /app, to: /shop }], domain: auto } }",
    config:
      "routes: [{ match: { path: /** }, rewrite: { response: { cookies: { path: [{ from: /app, to: /shop }], domain: auto } } }, to: u@ }]",
    asks: [{ send: "GET /moved", status: 200, answer: { "set-cookie": /^sid=1; Path=\/shop, csrf=2; Path=\/c$/ } }],
  },
  {
    here: 'response: { location: [{ from: "http://login.internal", to: "https://login.example.com" }, auto] }',
    config: `routes:
  - { match: { path: /** }, rewrite: { response: { location: [{ from: "http://login.internal", to: "https://login.example.com" }, auto] } }, to: u@ }`,
    asks: [
      { send: "GET /elsewhere", statuses: [302], status: 302, answer: { location: "https://login.example.com/in" } },
      { send: "GET /moved", statuses: [302], status: 302, answer: { location: "/next" } },
    ],
  },
  {
    here: 'rewrite: { path: "/internal/{path.id}/profile" }',
    config: 'routes: [{ match: { path: "/v1/users/{id}" }, rewrite: { path: "/internal/{path.id}/profile" }, to: u@ }]',
    asks: [{ send: "GET /v1/users/7?x=1", status: 200, served: "GET /internal/7/profile?x=1" }],
  },
  {
    here: 'rewrite: { regex: "^/shop/([^/]+)/(.*)$", to: "/$1/shop/$2" }',
    config: 'routes: [{ match: { path: /shop/** }, rewrite: { regex: "^/shop/([^/]+)/(.*)$", to: "/$1/shop/$2" }, to: u@ }]',
    asks: [
      { send: "GET /shop/de/cart/1", status: 200, served: "GET /de/shop/cart/1" },
      { send: "GET /shop/de", status: 200, served: "GET /shop/de" },
    ],
  },
  {
    here: "host: client",
    config: `upstreams: { kept@: { targets: [{ url: ORIGIN1 }], host: client } }
routes: [{ match: { hosts: [shop@.example], path: /kept }, to: kept@ }, { match: { hosts: [shop@.example] }, to: u@ }]`,
    asks: [
      { send: "GET shop@.example:8443/kept", status: 200, served: "GET /kept", sent: { host: "shop@.example:8443" } },
      {
        send: "GET shop@.example/x",
        status: 200,
        served: "GET /x",
        sent: { host: /^127\.0\.0\.1:\d+$/, "x-forwarded-host": "shop@.example" },
      },
    ],
  },
  {
    here: "host: service.internal",
    config: "routes: [{ match: { path: /** }, host: service.internal, to: u@ }]",
    asks: [{ send: "GET /x", status: 200, served: "GET /x", sent: { host: "service.internal" } }],
  },
  {
    here: "trustedProxies: [127.0.0.1]",
    alone: true,
    config: `trustedProxies: [127.0.0.1]
routes: [{ match: {}, headers: { request: { set: { x-client: "{client.ip}" } } }, to: u@ }]`,
    asks: [
      {
        send: "GET shop.example/x",
        fields: ["X-Forwarded-For: 192.0.2.1, 203.0.113.9, 127.0.0.1", "X-Forwarded-Proto: https"],
        status: 200,
        served: "GET /x",
        sent: { "x-client": "203.0.113.9", "x-forwarded-for": "203.0.113.9, 127.0.0.1, 127.0.0.1", "x-forwarded-proto": "https" },
      },
    ],
  },
  {
    here: "paths: { emptySegments: merge }",
    alone: true,
    listeners:
      '[{ address: "127.0.0.1:0", paths: { emptySegments: merge } }, { address: "127.0.0.1:0", strict: true, paths: { emptySegments: merge } }]',
    config: "routes: [{ match: { path: /a/b }, to: u@ }]",
    asks: [{ send: "GET /a//b", status: 200, served: "GET /a/b" }],
  },
  {
    here: "paths: { encodedSlashes: keep }",
    alone: true,
    listeners:
      '[{ address: "127.0.0.1:0", paths: { encodedSlashes: keep } }, { address: "127.0.0.1:0", strict: true, paths: { encodedSlashes: keep } }]',
    config: 'routes: [{ match: { path: "/p/{name}" }, paths: { encodedSlashes: allow }, to: u@ }, { match: {}, to: u@ }]',
    asks: [
      { send: "GET /p/a%2Fb", status: 200, served: "GET /p/a%2Fb" },
      { send: "GET /q/a%2Fb", status: 400, served: null },
    ],
  },
];

const TIE = `routes:
  - { name: a, match: { path: "/users/{id}" }, to: u@ }
  - { name: b, match: { path: "/users/{name}" }, to: u@ }`;

export const REFUSED_CASES: readonly RefusedCase[] = [
  { row: "What differs from all of them: Two rules that match the same requests", config: TIE, problem: /matches the same requests as a / },
  { row: "Envoy Gateway: the oldest route wins", config: TIE, problem: /matches the same requests as a / },
  {
    row: "What differs from all of them: CORS for every origin, with credentials",
    config: 'routes: [{ name: a, match: {}, cors: { origins: ["*"], credentials: true }, to: u@ }]',
    problem: /remove `credentials`; else name the origins, or a pattern such as https:\/\/\*\.example\.com/,
  },
  {
    row: "nginx: `root`, `try_files`",
    config: "routes: [{ name: a, match: {}, respond: { root: /var/www } }]",
    problem: /respond\.root: unknown key/,
  },
  {
    row: "Envoy Gateway: `GRPCRoute`",
    config: "upstreams: { g: { targets: [{ url: ORIGIN1 }], protocol: grpc } }\nroutes: [{ name: a, match: {}, to: g }]",
    problem: /not in this version yet/,
  },
];
