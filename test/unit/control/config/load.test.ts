// Mistakes and their messages, each at its place. Layers (environment, overlays, defaults) are in layers.test.ts.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the subject is ${VAR} in configuration files
import { describe, expect, it } from "vitest";
import { UNREADABLE } from "../../../../src/base/schema.ts";
import { formatProblem } from "../../../../src/control/config/source/problem.ts";
import { BASE, check, good, problemsOf, unmark, withRoutes } from "../../../support/config-text.ts";

const LATER = "is not in this version yet";

describe("a problem stands at its place and says what to do", () => {
  check("nothing wrong", BASE);
  check("unknown section", `${BASE}‸limts: {}`, "limts: unknown key; did you mean `limits`?");
  check("misspelt section that is required", BASE.replace("routes:", "‸routess:"), "routess: unknown key; did you mean `routes`?");
  check("misspelt key that is required", BASE.replace("name: all", "‸nmae: all"), "routes[0].nmae: unknown key; did you mean `name`?");
  check("number in quotes", `${BASE}workers: ‸"2"`, "workers: expected auto, a number from 1 to 64, or a map with count and cpus");
  check(
    "number in quotes, where nothing else may stand",
    `${BASE}limits: { connections: ‸"2" }`,
    "limits.connections: expected a number, got a text; write it without quotes",
  );
  check(
    "yes",
    withRoutes("- { name: a, match: {}, accessLog: ‸yes, to: users }"),
    "routes[0].accessLog: expected true or false, got a text; write `true`",
  );
  check(
    "one of several numbers",
    withRoutes("- { name: a, match: {}, redirect: { to: /a, status: ‸200 } }"),
    "routes[0].redirect.status: expected 301, 302, 303, 307 or 308",
  );
  check(
    "long socket path",
    BASE.replace("127.0.0.1:0", `‸unix:/${"x".repeat(98)}`),
    "listeners[0].address: expected host:port, [IPv6]:port or unix:/absolute/path of at most 98 bytes",
  );
  check(
    "a value that can't be read is wrong once",
    BASE.replace("127.0.0.1:0", "127.0.0.1:‸${NOT_SET}"),
    "listeners[0].address: the environment variable NOT_SET is not set; set it, or write ${NOT_SET:-default}",
  );
  check(
    "a missing anchor is one problem",
    BASE.replace("{ targets: [{ url: http://10.0.0.1 }] }", "‸*nowhere"),
    "upstreams.users: there is no anchor `&nowhere` before this; define it above",
  );
  check(
    "a word that is no rate",
    `${BASE}limits: { bodyRate: ‸fast }`,
    "limits.bodyRate: expected none, or a map with bytes, after and grace",
  );
  check(
    "a rate of nothing",
    `${BASE}limits: { bodyRate: { bytes: ‸0 } }`,
    "limits.bodyRate.bytes: expected at least 1 byte and at most 1GiB",
  );
  check("no number for an address", `${BASE}limits: { connectionsPerAddress: ‸0 }`, "limits.connectionsPerAddress: expected at least 1");
  check(
    "neither number nor none",
    `${BASE}limits: { bodiesPerAddress: ‸many }`,
    "limits.bodiesPerAddress: expected none or a number from 1 to 10000000",
  );
  check("unknown key", `${BASE}limits: { ‸bodyByte: 1 }`, "limits.bodyByte: unknown key; did you mean `bodyBytes`?");
  check("unknown key far from all", `${BASE}watchdog: { ‸zzzzzz: 1 }`, "watchdog.zzzzzz: unknown key; known keys: timeout, replaceAfter");
  check(
    "less memory than a worker starts with",
    `${BASE}overload: { memory: ‸1MiB }`,
    "overload.memory: expected none, a percentage such as 90%, or a size of at least 64MiB",
  );
  check("a loop that is never late", `${BASE}overload: { loopDelay: ‸1ms }`, "overload.loopDelay: expected at least 5ms");
  check(
    "wrong unit",
    `${BASE}drainTimeout: ‸5`,
    "drainTimeout: expected a duration such as 250ms, 5s or 1m, got 5 without a unit; write `5s` if seconds are meant",
  );
  check(
    "wrong type",
    `${BASE}trustedProxies: ‸10.0.0.0/8`,
    "trustedProxies: expected a list, got a text; write it as [a, b] or as lines that start with `-`",
  );
  check("empty value", `${BASE}limits:‸\n`, "limits: expected a map, got nothing; give it a value, or remove the key");
  check("number out of range", `${BASE}workers: ‸65`, "workers: expected at most 64");
  check("neither number nor auto", `${BASE}workers: ‸[]`, "workers: expected auto, a number from 1 to 64, or a map with count and cpus");
  check("wrong version", BASE.replace("version: 1", "version: ‸2"), "version: expected version: 1");
  check("missing sections", "‸‸version: 1", "listeners: is required; add it", "routes: is required; add it");
  check(
    "bad CIDR",
    `${BASE}trustedProxies: [‸10.0.0.0/33]`,
    "trustedProxies[0]: expected an address, a CIDR block such as 10.0.0.0/8 or 2001:db8::/32, or unix",
  );
  check("ttl bounds crossed", `${BASE}dns: { ttlMin: ‸10s, ttlMax: 1s }`, "dns.ttlMin: ttlMin is larger than ttlMax");
  check(
    "upstream name",
    `version: 1\nlisteners: [{ address: a:0 }]\nupstreams: { ‸a b: { targets: [{ url: http://a }] } }\nroutes: [{ name: a, match: {}, respond: {} }]`,
    "upstreams[\"a b\"]: expected a name of letters, digits, '.', '_' and '-'",
  );
  check(
    "no upstreams where one is needed",
    "version: 1\nlisteners: [{ address: a:0 }]\nroutes: [{ name: a, match: {}, to: ‸users }]",
    "routes[0].to: there is no upstream named users; there are no upstreams",
  );
});

describe("upstreams", () => {
  const upstream = (name: string, body: string, ...expected: string[]) =>
    check(name, BASE.replace("targets: [{ url: http://10.0.0.1 }]", body), ...expected.map((message) => `upstreams.users${message}`));
  const target = "targets: [{ url: http://a }]";
  upstream("hash with hashOn", `${target}, balance: hash, hashOn: { header: X-Session }`);
  check(
    "hash without hashOn",
    BASE.replace("{ targets", "‸{ balance: hash, targets"),
    "upstreams.users.hashOn: `balance: hash` and `hashOn` go together",
  );
  upstream(
    "two things to hash on",
    `${target}, balance: hash, hashOn: ‸{ header: a, cookie: b }`,
    ".hashOn: expected exactly one of header, cookie and query",
  );
  upstream(
    "misspelt balance",
    `${target}, balance: ‸roundrobin`,
    ".balance: expected round-robin, least-request, random or hash; did you mean `round-robin`?",
  );
  upstream(
    "target with a path",
    "targets: [{ url: ‸http://a/b }]",
    ".targets[0].url: a target takes no path or query; use the route's `rewrite`",
  );
  upstream("no targets", "targets: ‸[]", ".targets: expected at least 1 entry");
  upstream(
    "the same target twice",
    "targets: [{ url: http://a }, { url: ‸http://A:80/ }]",
    ".targets[1].url: the same as targets[0]; list it once and use its weight",
  );
  upstream("all weights 0", "targets: ‸[{ url: http://a, weight: 0 }]", ".targets: every target has weight 0; give one of them a weight");
  upstream("tls without https", `${target}, tls: ‸{}`, ".tls: no target uses https; write https:// in the targets, or remove tls");
  upstream("half a client certificate", 'targets: [{ url: https://a }], tls: ‸{ cert: "-----BEGIN X" }', ".tls: cert and key go together");
  upstream(
    "retry condition",
    `${target}, retry: { on: [‸always] }`,
    ".retry.on[0]: expected connect-failure, reset, timeout, a status from 400 to 599, or a range such as 500-599",
  );
  upstream(
    "retry status",
    `${target}, retry: { on: [‸200] }`,
    ".retry.on[0]: expected connect-failure, reset, timeout, a status from 400 to 599, or a range such as 500-599",
  );
  upstream("too many retries", `${target}, retry: { attempts: ‸11 }`, ".retry.attempts: expected at most 10");
  upstream(
    "passive health",
    `${target}, health: { passive: ‸true }`,
    ".health.passive: expected a map, or false; write `{}` for its defaults",
  );
  upstream(
    "unknown key in passive health",
    `${target}, health: { passive: { ‸ejectfor: 1s } }`,
    ".health.passive.ejectfor: unknown key; did you mean `ejectFor`?",
  );
  upstream(
    "status range",
    `${target}, health: { active: { expect: ‸299-200 } }`,
    ".health.active.expect: expected a status from 100 to 599, or a range such as 200-299; write `200-299`",
  );
});

describe("routes", () => {
  const routes = (name: string, list: string, ...expected: string[]) => check(name, withRoutes(list), ...expected);
  const route = (name: string, rest: string, ...expected: string[]) =>
    routes(name, `- { name: a, ${rest} }`, ...expected.map((message) => `routes[0]${message}`));
  route("dangling upstream", "match: {}, to: ‸user", ".to: there is no upstream named user; did you mean `users`?");
  route(
    "dangling mirror",
    "match: {}, to: users, mirror: { upstream: ‸shadow }",
    ".mirror.upstream: there is no upstream named shadow; upstreams: users",
  );
  route(
    "dangling in weighted",
    "match: {}, weighted: [{ upstream: ‸usrs }]",
    ".weighted[0].upstream: there is no upstream named usrs; did you mean `users`?",
  );
  routes(
    "leads nowhere",
    "- ‸{ name: a, match: {} }",
    "routes[0]: the route leads nowhere; add `to`, `weighted`, `respond`, `redirect` or `aggregate`",
  );
  route(
    "to and weighted",
    "match: {}, to: users, weighted: ‸[{ upstream: users }]",
    ".weighted: `to` and `weighted` exclude each other; keep one of them",
  );
  route(
    "weights of 0",
    "match: {}, weighted: ‸[{ upstream: users, weight: 0 }]",
    ".weighted: every weight is 0; give one of them a weight",
  );
  route(
    "one upstream twice",
    "match: {}, weighted: [{ upstream: users }, { upstream: ‸users }]",
    ".weighted[1].upstream: users is listed twice; list it once and use its weight",
  );
  route(
    "mirror alone",
    "match: {}, mirror: ‸{ upstream: users }",
    ".mirror: a mirror needs `to` or `weighted` beside it; say where the answer comes from",
  );
  routes(
    "a name twice",
    "- { name: a, match: { path: /a }, to: users }\n- { name: ‸a, match: { path: /b }, to: users }",
    "routes[1].name: the name a is taken by c.yaml:6; give each route its own",
  );
  routes(
    "a tie",
    "- { name: a, match: { path: '/u/{id}' }, to: users }\n- { name: b, match: ‸{ path: '/u/{name}' }, to: users }",
    "routes[1].match: matches the same requests as a (c.yaml:6), and neither is more specific; give one of them a longer path or a further condition",
  );
  route("bad pattern", "match: { path: ‸'/a/**/b' }, to: users", ".match.path: '**' is only possible at the end");
  route(
    "a number where text is meant",
    "match: { headers: { x-v: ‸2 } }, to: users",
    ".match.headers.x-v: expected a text or a map; write it in quotes",
  );
  route(
    "two kinds of condition",
    "match: { query: { q: ‸{ prefix: a, regex: b } } }, to: users",
    ".match.query.q: expected a text, or exactly one of prefix, regex and present",
  );
  route(
    "unknown kind of condition",
    "match: { query: { q: { ‸prefx: a } } }, to: users",
    ".match.query.q.prefx: unknown key; did you mean `prefix`?",
  );
  route(
    "exponential regex",
    "match: { query: { q: { regex: ‸'(a+)+b' } } }, to: users",
    ".match.query.q.regex: a repeated group can take exponential time: repeat a class instead",
  );
  route("method that is never proxied", "match: { methods: [‸connect] }, to: users", ".match.methods[0]: CONNECT is never proxied");
  route(
    "host with a port",
    "match: { hosts: [‸'a.example:80'] }, to: users",
    ".match.hosts[0]: expected a host name without port, such as api.example.com or *.example.com; did you mean `a.example`?",
  );
  route("header name", "match: { headers: { ‸'x y': a } }, to: users", '.match.headers["x y"]: expected an HTTP header name');
  route(
    "unknown parameter in a template, named as written",
    "match: { path: '/u/{id}' }, to: users, headers: { request: { set: { X-Id: ‸'{path.ids}' } } }",
    ".headers.request.set.X-Id: {path.ids}: the route's path has no such parameter (known: id, query.NAME, header.NAME, claims.NAME, host, method, scheme, route, request.id, request.path, consumer.id, consumer.tier, client.ip)",
  );
  route(
    "policy that is wrong",
    "match: {}, to: users, ip: { allow: [‸nowhere] }",
    ".ip.allow[0]: expected an address or a CIDR block such as 10.0.0.0/8 or 2001:db8::/32",
  );
  route(
    "file that is not there",
    "match: {}, respond: { file: ‸missing.html }",
    ".respond: can't read missing.html: there is no such file; paths are relative to the configuration file",
  );
});

describe("what a later version brings is refused by name", () => {
  const later = (place: string, key: string, text: string) =>
    check(`${place}${key}`, text, `${place}${key}: \`${key}\` ${LATER}; remove it`);
  for (const key of ["transcode", "graphql"]) {
    later("routes[0].", key, withRoutes(`- { name: a, match: {}, to: users, ‸${key}: {} }`));
    later("defaults.", key, `${BASE}defaults: { ‸${key}: {} }`);
  }
  for (const key of ["descriptors", "protos", "reflection"])
    later("upstreams.users.", key, BASE.replace("{ targets", `{ ‸${key}: 1, targets`));
  check("grpc", BASE.replace("{ targets", "{ protocol: ‸grpc, targets"), `upstreams.users.protocol: protocol: grpc ${LATER}`);
  check("auth: none is accepted", withRoutes("- { name: a, match: {}, to: users, auth: none }"));
});

describe("the protocol of an upstream fits its targets", () => {
  const upstream = (text: string): string => BASE.replace("{ targets: [{ url: http://10.0.0.1 }] }", text);
  const http = "targets: [{ url: http://10.0.0.1 }]";
  const https = "targets: [{ url: https://10.0.0.1 }]";
  for (const [protocol, targets] of [
    ["http", http],
    ["http1", https],
    ["h2", https],
    ["h2c", http],
    ["h2c", "targets: [{ url: http+srv://_http._tcp.users.internal }]"],
  ])
    check(`${protocol} to ${targets}`, upstream(`{ protocol: ${protocol}, ${targets} }`));
  check(
    "another word",
    upstream(`{ protocol: ‸http3, ${https} }`),
    "upstreams.users.protocol: expected http1, h2 or h2c; did you mean `http1`?",
  );
  check(
    "h2 in cleartext",
    upstream(`{ protocol: ‸h2, ${http} }`),
    "upstreams.users.protocol: h2 needs https targets, and http://10.0.0.1:80 is none; use https targets, or h2c for HTTP/2 in cleartext",
  );
  check(
    "h2c over TLS",
    upstream(`{ protocol: ‸h2c, ${https} }`),
    "upstreams.users.protocol: h2c needs http targets, and https://10.0.0.1:443 is none; use http targets, or h2 for HTTP/2 over TLS",
  );
  check(
    "undici",
    upstream(`{ protocol: h2c, ${http}, pool: { client: ‸undici } }`),
    "upstreams.users.pool.client: undici speaks HTTP/1.1 only; remove it, or use protocol: http1",
  );
});

describe("what stands for a file that cannot be read is no word that anybody can write", () => {
  const jwt = (key: string): string =>
    `auth: { a: { jwt: { issuer: https://id.example.com, audience: api, algorithms: [HS256], ${key} } } }\ndefaults: { auth: a }\n`;
  check(
    "as a secret",
    BASE + jwt("secret: ‸(unreadable)"),
    "auth.a.jwt.secret: is too short: HS256 needs 32 bytes, HS384 48, HS512 64; make one with `openssl rand -hex 32`",
  );
  check(
    "as keys",
    BASE + jwt("keys: ‸(unreadable)"),
    "auth.a.jwt.keys: is neither PEM nor JSON; give file:path of a JWK set or PEM public keys, or the JWK set itself",
  );
  check(
    "as the key of the internal token",
    `${BASE}identity: { internalToken: { algorithm: HS256, key: ‸(unreadable) } }`,
    "identity.internalToken.key: expected a secret of at least 32 bytes",
  );
  it("it differs each time that it is made", async () => {
    const again = "../../../../src/base/schema.ts?again"; // another instance of the module, as another process has
    expect((await import(again)).UNREADABLE).toMatch(/^\(unreadable \S+ \S+\)$/);
    expect((await import(again)).UNREADABLE).not.toBe(UNREADABLE);
  });
});

it("all mistakes are reported at once, sorted, however different", () => {
  const { text, places } = unmark(`version: 1
listeners: [{ ‸addres: 127.0.0.1:0 }]
upstreams:
  users: { targets: [{ url: ‸ftp://a }] }
redis: ‸{}
routes:
  - { name: a, match: { path: ‸x }, to: ‸user }
  - { name: ‸a, match: { path: /u }, to: users }
  - { name: c, match: ‸{ path: /u }, to: users }
`);
  expect(problemsOf(text).map((line) => `${line.split(" ")[0]} `)).toEqual(places);
});

describe("admin", () => {
  const admin = (value: string, ...expected: string[]) => check(value, `${BASE}admin: ${value}`, ...expected);
  admin("false");
  admin("{ address: '[::1]:9901' }");
  admin("{ address: 0.0.0.0:9901, token: abcdefghijklmnop }");
  admin(
    "{ address: ‸0.0.0.0:9901 }",
    "admin.address: without a token the admin listener must stay on this machine; set admin.token, or use 127.0.0.1",
  );
  admin("‸true", "admin: expected a map with address and token, or false; write `{}` for its defaults");
  it("is on loopback unless said otherwise", () =>
    expect(good([BASE]).config.admin).toMatchObject({ address: { address: "127.0.0.1:9901" }, token: null }));
});

describe("listeners", () => {
  const listeners = (value: string, ...expected: string[]) => check(value, BASE.replace("[{ address: 127.0.0.1:0 }]", value), ...expected);
  listeners("[{ address: 127.0.0.1:0 }, { address: 127.0.0.1:0 }]");
  listeners(
    "[{ address: '[::1]:80' }, { address: ‸'[0:0::1]:80' }]",
    "listeners[1].address: the address [::1]:80 is taken by listeners[0].address; give each listener its own",
  );
  listeners(
    "[{ address: 'unix:/a', tls: { certificates: [{ cert: ‸/no/a.pem, key: ‸/no/a.key }] }, proxyProtocol: true }]",
    "listeners[0].tls.certificates[0].cert: can't read /no/a.pem: there is no such file; paths are relative to the configuration file",
    "listeners[0].tls.certificates[0].key: can't read /no/a.key: there is no such file; paths are relative to the configuration file",
  );
  listeners("‸[]", "listeners: expected at least 1 entry");
  listeners(
    "[{ address: a:1, http2: ‸true }]",
    "listeners[0].http2: http2 needs tls: it is agreed on in the handshake; add tls, or write `h2c: true` for clients that know",
  );
  for (const key of ["strict", "h2c", "proxyProtocol"])
    listeners(
      `[{ address: a:1, ${key}: true, engine: ‸uws }]`,
      `listeners[0].engine: the uws engine has no \`${key}\`; write \`engine: net\`, or remove what needs it`,
    );
  check(
    "the admin listener's address",
    `‸${BASE.replace("127.0.0.1:0", "127.0.0.1:9901")}`,
    "admin: the address 127.0.0.1:9901 is taken by listeners[0].address; give the admin listener its own",
  );
});

it("the pool's own queue is read with a hint where there is a line in front of the upstream, and wherever it is written", () => {
  const of = (upstream: string, defaults = "") =>
    good([`${BASE.replace(/users: \{[^\n]*/, `users: { targets: [{ url: "http://a" }], ${upstream} }`)}\n${defaults}`]).warnings.map(
      formatProblem,
    );
  const hint = (path: string) =>
    expect.stringMatching(new RegExp(`${path}.pool.queue: with \`overload.mode: on\` requests wait in the line of`));
  expect(of("pool: { queue: 5 }, overload: { mode: on }")).toEqual([hint("upstreams.users")]);
  expect(of("overload: { mode: on }", "upstreamDefaults: { pool: { queue: 5 } }\n")).toEqual([hint("upstreamDefaults")]);
  expect(of("pool: { queue: 5 }, overload: { mode: shadow }")).toEqual([]);
  expect(of("pool: { connections: 5 }, overload: { mode: on }")).toEqual([]);
});

it("warnings do not refuse", () => {
  const text = `${withRoutes("- { name: a, match: {}, to: users, respond: { body: x } }").replace("routes:", "  spare: { targets: [{ url: http://b }] }\nroutes:")}\nadmin: { token: short }\n`;
  expect(good([text]).warnings.map(formatProblem)).toEqual([
    "c.yaml:5:10: upstreams.spare: no route uses this upstream; remove it, or send a route there",
    "c.yaml:7:45: routes[0].respond: this answers every request: the upstream is never reached; remove one of them, unless this is maintenance",
    "c.yaml:8:17: admin.token: the token is short enough to guess; use at least 16 random characters",
  ]);
});
