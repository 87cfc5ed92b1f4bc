// All mistakes of a file are told in one run: no mistake hides another, wherever the two stand.
import { describe, expect, it } from "vitest";
import { problemsOf } from "../../../support/config-text.ts";

/** A configuration with a choice at each `«NAME|right|wrong»`: all right ones make a file that loads. */
const TEXT = `version: 1
«unknown section||limts: {}»
drainTimeout: «duration|5s|5»
workers: «workers|1|65»
dns: { servers: [«name server|10.0.0.53|nowhere»], ttlMin: «ttl bounds|1s|10m», ttlMax: 5m }
listeners:
  - { address: 127.0.0.1:8080, «unknown key of a listener||adress: a» }
  - { address: «address taken|127.0.0.1:8081|127.0.0.1:8080» }
  - { address: «address without port|127.0.0.1:8082|10.0.0.9» }
admin: { address: 0.0.0.0:9901, token: "«admin token|0123456789abcdef|file:nowhere/token»" }
limits: { bodyBytes: «size|1MiB|big», headerCount: «count|50|0» }
auth:
  keys: { apiKey: { in: header, name: «name of a header|x-api-key|x api key» } }
  staff:
    jwt:
      issuer: https://id.example.com
      «audience|audience: api|typ: at+jwt»
      discovery: true
      claims: { roles: roles, tier: tier }
      algorithms: [RS256, «algorithm|ES256|none»]
identity: { headers: { «headers that are shared|scopes: x-scopes|scopes: x-consumer-id» }, protect: [«protected header|x-user|user»] }
tiers:
  gold: { rate: «rate of a tier|10/s|10», quota: «quota of a tier|10/day|10 a day» }
consumers:
  - { id: acme, tier: gold, «unknown key of a consumer||kees: 1» }
  - { id: «consumer twice|globex|acme», tier: «tier nobody has|gold|silver» }
upstreams:
  users:
    targets: [{ url: «scheme of a target|http://a|ftp://a» }, { url: http://b }, { url: «target twice|http://c|http://b» }]
    balance: «balance|random|randm»
    retry: { attempts: «attempts|1|99» }
    breaker: { window: «window|10s|1ms», slowCallRate: 50%, «slow calls|slowCall: 1s|minimumRequests: 3» }
  orders:
    targets: [{ url: http://d }]
    «tls without https||tls: { serverName: d }»
  mirror: { targets: [{ url: http://e, weight: «weight|1|-1» }] }
defaults:
  auth: none
  headers: { request: { remove: [«default headers|x-internal-*|a b»] } }
  timeouts: { connect: «default timeout|1s|soon» }
routes:
  - name: users
    match: { path: "/users/{id}" }
    headers:
      request:
        set: { «name of a header to set|x-a|connection»: "«value under it|1|a\\nb»", x-b: "«template|{id}|{nope}»" }
        remove: [«header to remove|x-c|x c»]
    rateLimit: [{ per: «per|ip|everybody», rate: 1/s, burst: «burst|5|0» }]
    mirror: { upstream: «mirror|mirror|miror» }
    to: «upstream|users|user»
  - name: tied
    match: { path: /tie, methods: [GET], «condition|headers: { x-a: b }|hosts: [a.example]» }
    compress: { minBytes: «unit of compress|1KiB|1 KiB» }
    to: users
  - name: tie
    match: { path: /tie, methods: [GET], hosts: [a.example] }
    cors: { origins: ["*"], credentials: «credentials|false|true», maxAge: «maximum age|1m|1» }
    to: orders
  - «missing name|name: rewritten|accessLog: true»
    match: { path: "/old/{id}" }
    rewrite: { path: "«rewrite template|/new/{id}|/new/{no}»" }
    timeouts: { «unknown timeout|idle|idel»: 1m }
    «leads nowhere|to: users|webSocket: true»
  - name: guarded
    match: { path: /guarded }
    auth: «authenticator|staff|staf»
    authorize: { tiers: [«tier of authorize|gold|golden»], «empty claims|roles: { any: [a] }|time: [{ from: "01:00", to: "01:00" }]» }
    rateLimit: [{ per: ip, rate: 1/s, quota: «quota|5/day|5», mode: «mode needs redis|local|fleet» }]
    to: users
  - name: «route name taken|fixed|users»
    match: { path: /fixed }
    respond: { status: «status without body|200|204», body: x, contentType: «content type|text/plain|" a"» }
`;

const CHOICE = /«([^|»]+)\|([^|»]*)\|([^»]*)»/g;
const names = [...TEXT.matchAll(CHOICE)].map(([, name = ""]) => name);

/** Messages without position: a choice moves what stands behind it in its line. */
const messagesWith = (...wrong: readonly string[]): readonly string[] =>
  problemsOf(TEXT.replace(CHOICE, (_, name: string, right: string, other: string) => (wrong.includes(name) ? other : right))).map(
    (problem) => problem.replace(/^\S+ /, "").replace("set.connection: expected a header value", "set.x-a: expected a header value"), // its key may be wrong too
  );

it("no two choices have one name", () => expect(new Set(names).size).toBe(names.length));
it("with all that is right it loads", () => expect(messagesWith()).toEqual([]));

/** What could hide one another stands near: in one object, route or section. */
const NEIGHBOURS = 12;

const alone = new Map(names.map((name) => [name, messagesWith(name)]));

describe.each(names)("%s", (name) => {
  it("is one mistake", () => expect(alone.get(name)).toHaveLength(1));
  it("hides no other, and is hidden by none", () => {
    for (const other of names.slice(names.indexOf(name) + 1, names.indexOf(name) + 1 + NEIGHBOURS)) {
      const expected = [...(alone.get(name) ?? []), ...(alone.get(other) ?? [])].sort();
      expect([name, other, [...messagesWith(name, other)].sort()]).toEqual([name, other, expected]);
    }
  });
});

it("all together are told in one run", () => {
  const expected = names.flatMap((name) => alone.get(name) ?? []).sort();
  expect([...messagesWith(...names)].sort()).toEqual(expected);
});
