// Owns the cases of docs/porting.md about who may call, how much, and what becomes of headers, query and answers.
import { hsToken } from "../../support/jwt.ts";
import { CALLERS } from "./callers.ts";
import type { Ask, PortingCase } from "./porting-case.ts";

const bearer = (claims: Readonly<Record<string, unknown>> = {}): string =>
  `Authorization: Bearer ${hsToken("HS256", CALLERS.jwtSecret, claims)}`;
const basic = (password: string): string => `Authorization: Basic ${Buffer.from(`ann:${password}`).toString("base64")}`;
const acme = `ApiKey: ${CALLERS.acmeKey}`;
const globex = `ApiKey: ${CALLERS.globexKey}`;
const KEYS = "auth: { keys@: { apiKey: { name: apikey } } }";

const preflight = (origin: string, answer: Ask["answer"]): Ask => ({
  send: "OPTIONS /x",
  fields: [`Origin: ${origin}`, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-any"],
  status: 204,
  served: null,
  ...(answer === undefined ? {} : { answer }),
});
const APP = "https://app.example.com";
/** Three pass, the fourth does not. */
const threeOf = (fields: readonly string[] = []): readonly Ask[] =>
  [200, 200, 200, 429].map((status) => ({ send: "GET /x", fields, status, ...(status === 429 ? { served: null } : {}) }));
/** One while another is under way is refused. */
const ONE_AT_ONCE: readonly Ask[] = [
  { send: "GET /held", status: 200, served: "GET /held", meanwhile: { send: "GET /second", status: 429 } },
  { send: "GET /third", status: 200, served: "GET /third" },
];

const CREDENTIALS: readonly PortingCase[] = [
  {
    here: "apiKey: { name: x-api-key }",
    config: "auth: { keys@: { apiKey: { name: x-api-key } } }\nroutes: [{ match: { path: /** }, auth: keys@, to: u@ }]",
    asks: [
      { send: "GET /x", fields: [`X-Api-Key: ${CALLERS.acmeKey}`], status: 200, served: "GET /x", sent: { "x-consumer-id": "acme" } },
      { send: "GET /x", fields: [`X-Api-Key: ${CALLERS.acmeKey}`, `X-Api-Key: ${CALLERS.acmeKey}`], status: 401, served: null },
    ],
  },
  {
    here: "forwardCredentials: true",
    config: `auth: { bare@: { apiKey: { name: apikey } }, kept@: { apiKey: { name: apikey }, forwardCredentials: true } }
routes: [{ match: { path: /bare }, auth: bare@, to: u@ }, { match: { path: /kept }, auth: kept@, to: u@ }]`,
    asks: [
      { send: "GET /bare", fields: [acme], status: 200, served: "GET /bare", sent: { apikey: null } },
      { send: "GET /kept", fields: [acme], status: 200, served: "GET /kept", sent: { apikey: CALLERS.acmeKey } },
    ],
  },
  {
    here: "auth: none",
    config: `${KEYS}\nroutes: [{ match: { path: /open }, auth: none, to: u@ }, { match: { path: /closed }, auth: keys@, to: u@ }]`,
    asks: [
      { send: "GET /open", status: 200, served: "GET /open" },
      { send: "GET /closed", status: 401, served: null },
    ],
    refuses: [
      { config: "auth: { keys: { apiKey: { name: apikey } } }\nroutes: [{ name: a, match: {}, to: u@ }]", problem: /routes\[0\].*auth/ },
    ],
  },
  {
    here: "apiKey: { from: [{ header: apikey }, { query: apikey }] }",
    config: `auth: { keys@: { apiKey: { from: [{ header: apikey }, { query: apikey }] } } }
routes: [{ match: { path: /** }, auth: keys@, to: u@ }]`,
    asks: [
      { send: "GET /x?a=1", fields: [acme], status: 200, served: "GET /x?a=1", sent: { apikey: null, "x-consumer-id": "acme" } },
      { send: `GET /x?a=1&apikey=${CALLERS.acmeKey}`, status: 200, served: "GET /x?a=1" },
      { send: `GET /x?apikey=${CALLERS.acmeKey}`, fields: [acme], status: 401, served: null },
    ],
  },
  {
    here: "auth: { optional: keys }",
    config: `${KEYS}\nroutes: [{ match: { path: /** }, auth: { optional: keys@ }, to: u@ }]`,
    asks: [
      { send: "GET /x", status: 200, served: "GET /x", sent: { "x-consumer-id": null } },
      { send: "GET /x", fields: [acme], status: 200, served: "GET /x", sent: { "x-consumer-id": "acme" } },
      { send: "GET /x", fields: ["ApiKey: of-nobody"], status: 401, served: null },
    ],
  },
  {
    here: 'basic: { htpasswd: "file:users.htpasswd" }',
    config: 'auth: { staff@: { basic: { htpasswd: "file:users.htpasswd" } } }\nroutes: [{ match: { path: /** }, auth: staff@, to: u@ }]',
    asks: [
      { send: "GET /x", fields: [basic("secret")], status: 200, served: "GET /x", sent: { authorization: null, "x-consumer-id": "ann" } },
      { send: "GET /x", fields: [basic("wrong")], status: 401, served: null, answer: { "www-authenticate": /^Basic / } },
    ],
    refuses: [
      {
        config:
          'auth: { b: { basic: { htpasswd: "ann:$apr1$a$0123456789012345678901" } } }\nroutes: [{ name: a, match: {}, auth: b, to: u@ }]',
        problem: /insecure: \[weak-hashes\]/,
      },
      {
        config: "auth: { b: { basic: {} } }\nconsumers: [{ id: ann, password: secret }]\nroutes: [{ name: a, match: {}, auth: b, to: u@ }]",
        problem: /`sluice password hash` or `htpasswd -B`/,
      },
    ],
  },
  {
    here: `jwt: { issuer: https://id.example.com, audience: api, secret: "\${JWT_SECRET}", algorithms: [HS256] }`,
    config: `auth:
  id@: { jwt: { issuer: https://id.example.com, audience: api, secret: "\${JWT_SECRET}", algorithms: [HS256] } }
  kept@: { jwt: { issuer: https://id.example.com, audience: api, secret: "\${JWT_SECRET}", algorithms: [HS256] }, forwardCredentials: true }
routes: [{ match: { path: /** }, auth: id@, to: u@ }, { match: { path: /kept }, auth: kept@, to: u@ }]`,
    asks: [
      {
        send: "GET /x",
        fields: [bearer()],
        status: 200,
        served: "GET /x",
        sent: { authorization: null, "x-consumer-id": "alice" },
      },
      {
        send: "GET /kept",
        fields: [bearer()],
        status: 200,
        sent: { authorization: /^Bearer / },
      },
      { send: "GET /x", fields: [bearer({ iss: "https://other.example" })], status: 401, served: null },
      { send: "GET /x", fields: [bearer({ aud: "shop" })], status: 401, served: null },
    ],
    refuses: [
      {
        config: "auth: { j: { jwt: { jwks: https://id.example.com/keys } } }\nroutes: [{ name: a, match: {}, auth: j, to: u@ }]",
        problem: /jwt\.algorithms: is required[\s\S]*jwt\.audience: is required[\s\S]*jwt\.issuer: is required|jwt\.issuer: is required/,
      },
    ],
  },
  {
    here: "insecure: [any-issuer, http-jwks]",
    config: `auth:
  id@: { jwt: { issuer: any, audience: false, jwks: http://keys.internal/certs, algorithms: [RS256], insecure: [any-issuer, http-jwks] } }
routes: [{ match: { path: /** }, auth: id@, to: u@ }]`,
    asks: [],
    warnings: [/any-issuer: tokens are taken whatever issuer they name/, /http-jwks: keys are fetched over plain http/],
    refuses: [
      {
        config:
          "auth: { j: { jwt: { issuer: any, audience: false, jwks: http://keys.internal/certs, algorithms: [RS256] } } }\nroutes: [{ name: a, match: {}, auth: j, to: u@ }]",
        problem: /any-issuer/,
      },
    ],
  },
  {
    here: "identity: { headers: { consumer: x-consumer-username } }",
    alone: true,
    config: `identity: { headers: { consumer: x-consumer-username } }
auth: { keys@: { apiKey: { name: apikey } } }
routes: [{ match: { path: /** }, auth: keys@, to: u@ }, { match: { path: /open }, auth: none, to: u@ }]`,
    asks: [
      {
        send: "GET /x",
        fields: [acme, "X-Consumer-Username: root"],
        status: 200,
        served: "GET /x",
        sent: { "x-consumer-username": "acme" },
      },
      { send: "GET /open", fields: ["X-Consumer-Username: root"], status: 200, served: "GET /open", sent: { "x-consumer-username": null } },
    ],
  },
  {
    here: "forwardAuth: { to: verify, path: /auth, responseHeaders: [x-user] }",
    config: `upstreams: { verify@: { targets: [{ url: ORIGIN2 }] } }
routes: [{ match: { path: /** }, forwardAuth: { to: verify@, path: /auth, responseHeaders: [x-user] }, to: u@ }]`,
    asks: [
      { send: "GET /x", fields: ["Authorization: good", "X-User: root"], status: 200, served: "GET /x", sent: { "x-user": "ann" } },
      { send: "GET /x", fields: ["X-User: root"], status: 401, served: null, answer: { "x-powered-by": "service" } },
    ],
  },
];

const ACCESS: readonly PortingCase[] = [
  {
    here: "authorize: { groups: { any: [admins] } }",
    config: `${KEYS}\nroutes: [{ match: { path: /** }, auth: keys@, authorize: { groups: { any: [admins] } }, to: u@ }]`,
    asks: [
      { send: "GET /x", fields: [acme], status: 200, served: "GET /x", sent: { "x-consumer-groups": "admins" } },
      { send: "GET /x", fields: [globex], status: 403, served: null },
      { send: "GET /x", status: 401, served: null },
    ],
  },
  {
    here: "authorize: { consumers: [acme] }",
    config: `${KEYS}\nroutes: [{ match: { path: /** }, auth: keys@, authorize: { consumers: [acme] }, to: u@ }]`,
    asks: [
      { send: "GET /x", fields: [acme], status: 200, served: "GET /x" },
      { send: "GET /x", fields: [globex], status: 403, served: null },
    ],
  },
  {
    here: "authorize: { when: \"header['x-team'] == 'ops'\" }",
    config: "routes: [{ match: { path: /** }, authorize: { when: \"header['x-team'] == 'ops'\" }, to: u@ }]",
    asks: [
      { send: "GET /x", fields: ["X-Team: ops"], status: 200, served: "GET /x" },
      { send: "GET /x", status: 403, served: null },
    ],
  },
  {
    here: "ip: { allow: [10.0.0.0/8] }",
    config: `routes:
  - { match: { path: /theirs }, ip: { allow: [10.0.0.0/8] }, to: u@ }
  - { match: { path: /ours }, ip: { allow: [127.0.0.0/8] }, to: u@ }`,
    asks: [
      { send: "GET /theirs", status: 403, served: null },
      { send: "GET /ours", status: 200, served: "GET /ours" },
    ],
  },
  {
    here: "ip: { allow: [10.0.0.0/8], deny: [10.9.0.0/16] }",
    config: `routes:
  - { match: { path: /theirs }, ip: { allow: [10.0.0.0/8], deny: [10.9.0.0/16] }, to: u@ }
  - { match: { path: /ours }, ip: { allow: [127.0.0.0/8], deny: [127.9.0.0/16] }, to: u@ }
  - { match: { path: /denied }, ip: { allow: [127.0.0.1], deny: [127.0.0.0/8] }, to: u@ }`,
    asks: [
      { send: "GET /theirs", status: 403, served: null },
      { send: "GET /ours", status: 200, served: "GET /ours" },
      { send: "GET /denied", status: 403, served: null },
    ],
  },
];

const LIMITS: readonly PortingCase[] = [
  {
    here: "rateLimit: [{ per: consumer, quota: 3/day }]",
    once: true,
    config: `${KEYS}\nroutes: [{ match: { path: /** }, auth: keys@, rateLimit: [{ per: consumer, quota: 3/day }], to: u@ }]`,
    asks: [...threeOf([acme]), { send: "GET /x", fields: [globex], status: 200, served: "GET /x" }],
  },
  {
    here: "rateLimit: [{ per: ip, quota: 3/day }]",
    once: true,
    config: "routes: [{ match: { path: /** }, rateLimit: [{ per: ip, quota: 3/day }], to: u@ }]",
    asks: threeOf(),
  },
  {
    here: "rateLimit: [{ per: ip, quota: 3/day, window: rolling }]",
    once: true,
    config: "routes: [{ match: { path: /** }, rateLimit: [{ per: ip, quota: 3/day, window: rolling }], to: u@ }]",
    asks: threeOf(),
  },
  {
    here: "rateLimit: [{ per: ip, rate: 1/minute, burst: 3 }]",
    once: true,
    config: "routes: [{ match: { path: /** }, rateLimit: [{ per: ip, rate: 1/minute, burst: 3 }], to: u@ }]",
    asks: threeOf(),
  },
  {
    here: "rateLimit: [{ per: route, rate: 1/minute, burst: 3 }]",
    once: true,
    config: "routes: [{ match: { path: /** }, rateLimit: [{ per: route, rate: 1/minute, burst: 3 }], to: u@ }]",
    asks: threeOf(),
  },
  {
    here: "rateLimit: [{ per: ip, concurrency: 1 }]",
    config: "routes: [{ match: { path: /** }, rateLimit: [{ per: ip, concurrency: 1 }], to: u@ }]",
    asks: ONE_AT_ONCE,
  },
  {
    here: "limits: { bodyBytes: 1MiB }",
    config: "routes: [{ match: { path: /small }, limits: { bodyBytes: 1MiB }, to: u@ }, { match: { path: /** }, to: u@ }]",
    asks: [
      { send: "POST /small", body: "x", status: 200, served: "POST /small" },
      { send: "POST /small", fields: ["Content-Length: 1048577"], status: 413, served: null },
      { send: "POST /default", fields: ["Content-Length: 10485761"], status: 413, served: null },
    ],
  },
  {
    here: "limits: { bodyBytes: none }",
    config: "routes: [{ match: { path: /** }, limits: { bodyBytes: none }, to: u@ }]",
    asks: [{ send: "PUT /x", body: "x".repeat(10 * 1024 * 1024 + 1), status: 200, served: "PUT /x" }],
    warnings: [/bodyBytes/],
  },
  {
    here: "limits: { bodyRate: none }",
    config: "routes: [{ match: { path: /** }, limits: { bodyRate: none }, to: u@ }]",
    asks: [{ send: "PUT /x", body: "slow", status: 200, served: "PUT /x" }],
  },
];

const MESSAGES: readonly PortingCase[] = [
  {
    here: 'cors: { origins: ["*"], headers: ["*"] }',
    config: 'routes: [{ match: { path: /** }, cors: { origins: ["*"], headers: ["*"] }, to: u@ }]',
    asks: [
      preflight("https://any.example", { "access-control-allow-origin": "*", "access-control-allow-headers": "x-any" }),
      { send: "GET /x", fields: ["Origin: https://any.example"], status: 200, answer: { "access-control-allow-origin": "*" } },
    ],
  },
  {
    here: 'cors: { origins: ["https://app.example.com"] }',
    config: 'routes: [{ match: { path: /** }, cors: { origins: ["https://app.example.com"] }, to: u@ }]',
    asks: [
      preflight(APP, { "access-control-allow-origin": APP }),
      { send: "GET /x", fields: ["Origin: https://other.example"], status: 200, answer: { "access-control-allow-origin": null } },
    ],
  },
  {
    here: 'policySets: { partner: { cors: { origins: ["https://app.example.com"] } } }',
    config: `policySets: { partner@: { cors: { origins: ["https://app.example.com"] } } }
routes: [{ match: { path: /x }, use: [partner@], to: u@ }, { match: { path: /y }, use: [partner@], to: u@ }]`,
    asks: [
      preflight(APP, { "access-control-allow-origin": APP }),
      { send: "GET /y", fields: [`Origin: ${APP}`], status: 200, answer: { "access-control-allow-origin": APP } },
    ],
  },
  {
    here: "headers: { request: { set: { x-app: shop } }, response: { set: { x-frame-options: DENY } } }",
    config: `routes:
  - { match: { path: /** }, headers: { request: { set: { x-app: shop } }, response: { set: { x-frame-options: DENY } } }, to: u@ }`,
    asks: [{ send: "GET /x", fields: ["X-App: forged"], status: 200, sent: { "x-app": "shop" }, answer: { "x-frame-options": "DENY" } }],
  },
  {
    here: 'headers: { request: { set: { x-real-ip: "{client.ip}" } } }',
    config: 'routes: [{ match: { path: /** }, headers: { request: { set: { x-real-ip: "{client.ip}" } } }, to: u@ }]',
    asks: [
      {
        send: "GET /x",
        fields: ["X-Real-IP: 192.0.2.1", "X-Forwarded-For: 192.0.2.1"],
        status: 200,
        sent: { "x-real-ip": "127.0.0.1", "x-forwarded-for": "127.0.0.1" },
      },
    ],
  },
  {
    here: 'headers: { request: { set: { x-key: "{header.authorization ?? header.apikey}" } } }',
    config:
      'routes: [{ match: { path: /** }, headers: { request: { set: { x-key: "{header.authorization ?? header.apikey}" } } }, to: u@ }]',
    asks: [
      { send: "GET /x", fields: ["ApiKey: k"], status: 200, sent: { "x-key": "k" } },
      { send: "GET /x", fields: ["ApiKey: k", "Authorization: a"], status: 200, sent: { "x-key": "a" } },
      { send: "GET /x", status: 200, sent: { "x-key": null } },
    ],
  },
  {
    here: "headers: { request: { setIfAbsent: { x-plan: free } } }",
    config: "routes: [{ match: { path: /** }, headers: { request: { setIfAbsent: { x-plan: free } } }, to: u@ }]",
    asks: [
      { send: "GET /x", status: 200, sent: { "x-plan": "free" } },
      { send: "GET /x", fields: ["X-Plan: pro"], status: 200, sent: { "x-plan": "pro" } },
    ],
  },
  {
    here: "headers: { response: { remove: [x-powered-by] } }",
    config: "routes: [{ match: { path: /** }, headers: { response: { remove: [x-powered-by] } }, to: u@ }]",
    asks: [{ send: "GET /x", status: 200, served: "GET /x", answer: { "x-powered-by": null } }],
  },
  {
    here: "headers: { response: { set: { x-frame-options: DENY } } }",
    config: "routes: [{ match: { path: /** }, headers: { response: { set: { x-frame-options: DENY } } }, to: u@ }]",
    asks: [
      { send: "GET /x", status: 200, answer: { "x-frame-options": "DENY" } },
      { send: "GET /x", status: 500, statuses: [500], answer: { "x-frame-options": "DENY" } },
    ],
  },
  {
    here: "headers: { response: { setIfAbsent: { cache-control: max-age=3600 } } }",
    config: "routes: [{ match: { path: /** }, headers: { response: { setIfAbsent: { cache-control: max-age=3600 } } }, to: u@ }]",
    asks: [{ send: "GET /x", status: 200, answer: { "cache-control": "max-age=3600" } }],
  },
  {
    here: "headers: { request: [{ when: '\"x-plan\" in header', set: { x-plan: pro } }] }",
    config: "routes: [{ match: { path: /** }, headers: { request: [{ when: '\"x-plan\" in header', set: { x-plan: pro } }] }, to: u@ }]",
    asks: [
      { send: "GET /x", fields: ["X-Plan: free"], status: 200, sent: { "x-plan": "pro" } },
      { send: "GET /x", status: 200, served: "GET /x", sent: { "x-plan": null } },
    ],
  },
  {
    here: "headers: { response: [{ when: response.status == 404, set: { cache-control: no-store } }] }",
    config: `routes:
  - { match: { path: /** }, headers: { response: [{ when: response.status == 404, set: { cache-control: no-store } }] }, to: u@ }`,
    asks: [
      { send: "GET /x", statuses: [404], status: 404, answer: { "cache-control": "no-store" } },
      { send: "GET /x", status: 200, answer: { "cache-control": null } },
    ],
  },
  {
    here: "errorPages: { 500-599: { body: Back soon. } }",
    config: `upstreams: { gone@: { targets: [{ url: "http://127.0.0.1:1" }], retry: { attempts: 0 } } }
routes:
  - { match: { path: /** }, errorPages: { 500-599: { body: Back soon. } }, to: u@ }
  - { match: { path: /gone }, errorPages: { 500-599: { body: Back soon. } }, to: gone@ }`,
    asks: [
      { send: "GET /gone", fields: ["Accept: text/plain"], status: 502, text: /^Back soon\.$/ },
      { send: "GET /gone", fields: ["Accept: application/json"], status: 502, text: /^\{/ },
      { send: "GET /x", fields: ["Accept: text/plain"], statuses: [500], status: 500, text: /"name":"ann"/ },
    ],
  },
  {
    here: "errorPages: { 404: { body: Not here. }, intercept: [404, 500-599] }",
    config: "routes: [{ match: { path: /** }, errorPages: { 404: { body: Not here. }, intercept: [404, 500-599] }, to: u@ }]",
    asks: [
      {
        send: "GET /x",
        fields: ["Accept: text/plain"],
        statuses: [404],
        status: 404,
        text: /^Not here\.$/,
        answer: { "x-powered-by": null },
      },
      { send: "GET /x", fields: ["Accept: text/plain"], statuses: [503], status: 503, text: /upstream_status/ },
      { send: "GET /x", status: 200, text: /"name":"ann"/ },
    ],
  },
  {
    here: "cache: { ttl: 1h }",
    once: true,
    config: `routes:
  - { match: { hosts: [one@.example, two@.example] }, cache: { ttl: 1h }, to: u@ }`,
    asks: [
      { send: "GET one@.example/x", status: 200, served: "GET /x" },
      { send: "GET one@.example/x", status: 200, served: null },
      { send: "GET two@.example/x", status: 200, served: "GET /x" },
      { send: "GET one@.example/x?y=1", status: 200, served: "GET /x?y=1" },
    ],
  },
  {
    here: "headers: { response: { onTls: { strict-transport-security: max-age=31536000 } } }",
    alone: true,
    config: `trustedProxies: [127.0.0.1]
routes: [{ match: {}, headers: { response: { onTls: { strict-transport-security: max-age=31536000 } } }, to: u@ }]`,
    asks: [
      { send: "GET a.example/", status: 200, answer: { "strict-transport-security": null } },
      {
        send: "GET a.example/",
        fields: ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"],
        status: 200,
        answer: { "strict-transport-security": "max-age=31536000" },
      },
    ],
  },
  {
    here: "headers: { request: { allow: [accept-language] } }",
    config:
      "routes: [{ match: { path: /few }, headers: { request: { allow: [accept-language] } }, to: u@ }, { match: { path: /** }, to: u@ }]",
    asks: [
      { send: "GET /few", fields: ["Accept-Language: en", "X-Other: 1"], status: 200, sent: { "accept-language": "en", "x-other": null } },
      { send: "GET /all", fields: ["X-Other: 1"], status: 200, sent: { "x-other": "1" } },
    ],
  },
  {
    here: "query: { allow: [page] }",
    config: "routes: [{ match: { path: /few }, query: { allow: [page] }, to: u@ }, { match: { path: /** }, to: u@ }]",
    asks: [
      { send: "GET /few?page=2&debug=1", status: 200, served: "GET /few?page=2" },
      { send: "GET /all?debug=1", status: 200, served: "GET /all?debug=1" },
    ],
  },
  {
    here: "compress: {}",
    config: "routes: [{ match: { path: /** }, compress: {}, to: u@ }]",
    asks: [
      { send: "GET /x", fields: ["Accept-Encoding: gzip"], status: 200, answer: { "content-encoding": "gzip" } },
      { send: "GET /x", fields: ["Accept-Encoding: zstd, br, gzip"], status: 200, answer: { "content-encoding": "zstd" } },
      { send: "GET /x", status: 200, answer: { "content-encoding": null } },
    ],
  },
];

export const POLICY_CASES: readonly PortingCase[] = [...CREDENTIALS, ...ACCESS, ...LIMITS, ...MESSAGES];
