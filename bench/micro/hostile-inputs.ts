// Measures what one request can cost at most, of whatever a client puts into its head: each input fills 16 KiB (the target: 8 KiB), goes the whole way
// through a route that looks at everything, and may cost at most so many times what a plain request costs. A test runs it, so that it cannot rot.
// Run: node bench/micro/hostile-inputs.ts [rounds]; it fails when an input costs too much.
import { fields, type RequestText, WholeRequest } from "../../test/support/whole-request.ts";
import { type Micro, measure } from "./measure.ts";

/** An input may cost so many times what a plain request does, beside what reading its bytes costs. */
export const HOSTILE_COST_MAX = 20;
/** Of a plain request's CPU, so much is our JavaScript, which is what runs here (ARCHITECTURE.md, "Where a request's time goes"). */
const JAVASCRIPT_SHARE = 0.13;

const HEAD_BYTES = 15_500;
const TARGET_BYTES = 8000;
/** uWebSockets.js hands over 98 at most; some are taken already. */
const FIELDS = 90;

/** Everything that a route can look at, in the ways that walk over what a client sends. */
const CONFIG = `version: 1
listeners: [{ address: 127.0.0.1:0, paths: { encodedSlashes: keep, doubleEncodings: keep, emptySegments: keep, backslashes: keep, case: fold } }]
trustedProxies: [10.0.0.0/8]
versioning: { from: [path, header, accept, query] }
errorPages:
  400-599: [{ body: "<p>{requestId}</p>", contentType: text/html }, { body: "{status}" }, { json: { code: "{code}" } }]
clients:
  tv: { userAgent: ["*a*b*c*d*e*", { regex: "(.*x){8}y" }] }
  kiosk: { headers: { x-device: { regex: "[a-z]+-[0-9]*" } } }
auth:
  keys: { apiKey: { name: x-api-key } }
  cookies: { apiKey: { in: cookie, name: session } }
  queries: { apiKey: { in: query, name: api_key } }
  passwords: { basic: {} }
  signed: { signature: { body: unsigned } }
  tokens: { jwt: { providers: [ { issuer: "https://id.example", audience: a, secret: "0123456789abcdef0123456789abcdef", algorithms: [HS256] } ] } }
consumers:
  - id: shop
    keys: ["sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"]
    signingSecrets: [ { keyId: shop-1, secret: "0123456789abcdef0123456789abcdef" } ]
    password: "scrypt:ln=14,r=8,p=1:AAAAAAAAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
upstreams:
  plain: { targets: [{ url: "http://10.0.0.1" }] }
  hashed: { targets: [{ url: "http://10.0.0.2" }], balance: hash, hashOn: { cookie: sid } }
  by-query: { targets: [{ url: "http://10.0.0.3" }], balance: hash, hashOn: { query: sid } }
routes:
  - { name: plain, match: { path: "/plain" }, auth: none, to: plain }
  - name: picky
    match: { path: "/all/**", query: { tier: gold }, headers: { x-tier: gold } }
    auth: none
    to: plain
  - { name: versioned, match: { path: "/all/**", version: "2" }, auth: none, to: plain }
  - { name: kiosks, match: { path: "/all/**", client: kiosk }, auth: none, to: plain }
  - { name: bots, match: { path: "/all/**", client: bot }, auth: none, to: plain }
  - name: all
    match: { path: "/all/**" }
    paths: { encodedSlashes: allow, doubleEncodings: allow, emptySegments: allow, backslashes: allow }
    cors: { origins: ["https://app.example"], headers: ["*"] }
    rateLimit:
      - { per: { header: x-key }, rate: 1000000/s, burst: 1000000, cost: { header: x-cost, max: 2 } }
      - { per: { key: "{query.key}-{header.x-key}" }, rate: 1000000/s, burst: 1000000 }
    auth: { optional: { any: [keys, cookies, queries, passwords, signed, tokens] } }
    authorize: { when: 'query.deny != "yes" || header["x-deny"] != "yes" || true' }
    headers: { request: { remove: [x-internal-*], set: { x-tenant: "{query.tenant}{header.x-tenant}", x-fixed: a } } }
    compress: { minBytes: 1 }
    to: hashed
  - { name: queries, match: { path: "/query/**" }, auth: none, to: by-query }
`;

const PLAIN: RequestText = {
  path: "/plain",
  headers: fields("Host: api.example.com", "Accept: */*", "User-Agent: curl/8.14.1"),
};

/** As much of a piece as fits. */
const fill = (piece: string, bytes = HEAD_BYTES): string => piece.repeat(Math.ceil(bytes / piece.length)).slice(0, bytes);
const one = (name: string, piece: string): string => `${name}: ${fill(piece)}`;
/** The same in as many lines as there may be. */
const lines = (name: string, piece: string): string[] =>
  Array.from({ length: FIELDS }, () => `${name}: ${fill(piece, Math.floor(HEAD_BYTES / FIELDS) - name.length - 4)}`);

interface Input {
  readonly name: string;
  readonly request: RequestText;
  /** In turn, instead: where a repetition would be remembered. */
  readonly requests?: readonly RequestText[];
}

const head = (name: string, ...written: readonly string[]): Input => ({
  name,
  request: { path: "/all/x", headers: fields("Host: api.example.com", ...written) },
});
/** Of a request that is answered with an error page. */
const failing = (name: string, ...written: readonly string[]): Input => ({
  name: `${name}, on an error`,
  request: { path: "/nowhere", headers: fields("Host: api.example.com", ...written) },
});
const behindProxy = (name: string, ...written: readonly string[]): Input => ({
  name: `${name}, behind a proxy`,
  request: { ...head(name, ...written).request, peer: "10.0.0.1" },
});
const query = (name: string, piece: string, path = "/all/x"): Input => ({
  name: `query of ${name}`,
  request: { path, query: fill(piece, TARGET_BYTES), headers: fields("Host: api.example.com") },
});
const path = (name: string, piece: string): Input => ({
  name: `path of ${name}`,
  request: { path: `/all${fill(piece, TARGET_BYTES)}`, headers: fields("Host: api.example.com") },
});
const signature = (covered: string): string => `sig=(${covered});created=${Math.floor(Date.now() / 1000)};keyid="shop-1";nonce="n"`;
const base64url = (text: string): string => Buffer.from(text).toString("base64url");

/** More than a worker remembers. */
const TOKENS = 320;
const tokens = (name: string, payload: (i: number) => string): Input => {
  const of = (i: number): RequestText => {
    const token = `${base64url('{"alg":"HS256","typ":"JWT"}')}.${base64url(payload(i))}.c2ln`;
    return head("", `Authorization: Bearer ${token}`).request;
  };
  return { name: `a token of ${name}`, request: of(0), requests: Array.from({ length: TOKENS }, (_, i) => of(i)) };
};

const HEADS: readonly Input[] = [
  head("Connection of options", one("Connection", "a,")),
  head("Connection of commas", one("Connection", ",")),
  head("Connection lines", ...lines("Connection", "x-abc,")),
  head(
    "32 Connection options and many fields",
    `Connection: ${Array.from({ length: 32 }, (_, i) => `x-n${i}`).join()}`,
    ...lines("X-A", "v"),
  ),
  head("Connection of one long option", one("Connection", "a")),
  head("a Host of dots", one("Host", ".")),
  head("Accept of commas", `Accept: application/json;version=1${fill(",")}`),
  head("Accept of types", one("Accept", "a/vnd.b,")),
  head("Accept of versions", `Accept: ${Array.from({ length: 64 }, (_, i) => `a/b;version=${i};q=0.${i % 9}${fill(";a=1", 200)}`).join()}`),
  head("Accept of one long type", one("Accept", "application/vnd.v1-1.")),
  head("Accept of a long version", `Accept: application/vnd.acme.v${fill("1-")}x`),
  head("Accept of one text", `Accept: a/b;version="${fill("\\a")}"`),
  head("Accept of blanks", `Accept: a/b;version=1${fill(" ")}`),
  head("Accept lines", ...lines("Accept", "a/b;version=1,")),
  failing("Accept of commas", one("Accept", ",")),
  failing("Accept of ranges", one("Accept", "a/b;q=0.1,")),
  failing("Accept of parameters", one("Accept", "text/html;q=1;")),
  failing("Accept of quotes", `Accept: text/html;a=${fill('"\\"')}`),
  failing("Accept lines", ...lines("Accept", "text/*;q=0,")),
  head("a long version", one("Api-Version", "1")),
  head("User-Agent of stars' parts", one("User-Agent", "abcd")),
  head("User-Agent of a pattern's parts", one("User-Agent", "x")),
  head("X-Device of letters", one("X-Device", "a-")),
  head("Accept-Encoding of commas", one("Accept-Encoding", ",")),
  head("Accept-Encoding of codings", one("Accept-Encoding", "a;q=1,")),
  head("Accept-Encoding lines", ...lines("Accept-Encoding", "br;q=0,")),
  head("Cookie of semicolons", one("Cookie", ";")),
  head("Cookie of pairs", one("Cookie", "session=;")),
  head("Cookie of other pairs", one("Cookie", "a=b; ")),
  head("Cookie of blanks", one("Cookie", " ")),
  head("Cookie lines", ...lines("Cookie", "a;")),
  head("Via of commas", one("Via", ",")),
  head("Via lines", ...lines("Via", "1.1 a, ")),
  head("X-Forwarded-For of a stranger", one("X-Forwarded-For", "10.0.0.1, ")),
  head("fields in odd spellings", ...Array.from({ length: FIELDS }, (_, i) => `x_a.b~${i}_${fill("c_", 100)}: ${fill("v", 50)}`)),
  head("look-alikes of a key", ...Array.from({ length: FIELDS }, () => `x_api_key: ${fill("v", 140)}`)),
  head("a field of obs-text", one("X-A", "\xe4")),
  head("a very long name", `${fill("x-")}: 1`),
  head("Authorization of blanks", one("Authorization", "Basic ")),
  head("Authorization of base64", `Authorization: Basic ${fill("YQ")}`),
  head("a token of dots", `Authorization: Bearer ${fill(".")}`),
  tokens("one payload", (i) => `{"a":"${i}${fill("a", 11_000)}"}`),
  tokens("many claims", (i) => `{${Array.from({ length: 1100 }, (_, k) => `"c${k}":${i}`).join()}}`),
  tokens("deep nesting", (i) => `{"i":${i},"a":${"[".repeat(5500)}${"]".repeat(5500)}}`),
  tokens("names that are there twice", (i) => `{"i":${i}${fill(',"a":1', 11_000)}}`),
  head("a long API key", one("X-Api-Key", "k")),
  head("Signature-Input of components", `Signature: sig=:${fill("a", 64)}:`, `Signature-Input: sig=(${fill('"a" ')}`),
  head("Signature-Input of parameters", "Signature: sig=:YQ==:", `Signature-Input: sig=()${fill(";a=1")}`),
  head("Signature-Input of one text", "Signature: sig=:YQ==:", `Signature-Input: sig=("${fill("a")}`),
  head("Signature of bytes", `Signature: sig=:${fill("A")}:`, `Signature-Input: ${signature('"@method"')}`),
  head(
    "a signature over 32 fields in odd company",
    "Signature: sig=:YQ==:",
    `Signature-Input: ${signature(Array.from({ length: 32 }, (_, i) => `"x-f${i}"`).join(" "))}`,
    ...Array.from({ length: 32 }, (_, i) => `x-f${i}: ${fill("v", 200)}`),
    ...Array.from({ length: 50 }, (_, i) => `x_odd_${i}: ${fill("v", 120)}`),
  ),
  head("a signature over one long field", "Signature: sig=:YQ==:", `Signature-Input: ${signature('"x-long"')}`, one("X-Long", "v")),
  head("User-Agent of words", one("User-Agent", "bo ")),
  head("X-Cost of digits", one("X-Cost", "9")),
  head("If-None-Match of tags", one("If-None-Match", 'W/"a",')),
  head("X-Request-Id of letters", one("X-Request-Id", "a")),
  head("as many fields as there may be", ...lines("X-A", "v")),
  head("Origin of dots", one("Origin", "https://a.")),
  head("a template's field", one("X-Tenant", "\xe4a")),
  {
    name: "a preflight that asks for names",
    request: {
      ...head("", "Origin: https://app.example", "Access-Control-Request-Method: GET", one("Access-Control-Request-Headers", "a,")).request,
      method: "OPTIONS",
    },
  },
  {
    name: "a handshake of subprotocols",
    request: {
      path: "/all/x",
      headers: fields(
        "Host: a",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        one("Sec-WebSocket-Protocol", "a,"),
      ),
    },
  },
];

const PROXIED: readonly Input[] = [
  behindProxy("X-Forwarded-For of trusted hops", one("X-Forwarded-For", "10.0.0.1, ")),
  behindProxy("X-Forwarded-For of commas", `X-Forwarded-For: ${fill(",")}1.1.1.1`),
  behindProxy("X-Forwarded-For lines", ...lines("X-Forwarded-For", "10.0.0.1,")),
  behindProxy("X-Forwarded-For of one long address", one("X-Forwarded-For", ":")),
  behindProxy("Forwarded of elements", one("Forwarded", "for=10.0.0.1,")),
  behindProxy("Forwarded of commas", `Forwarded: ${fill(",")}for=1.1.1.1`),
  behindProxy("Forwarded of quotes", `Forwarded: ${fill('"\\""')}`),
  behindProxy("Forwarded of parameters", one("Forwarded", "a=b;")),
  behindProxy("Forwarded of semicolons", one("Forwarded", ";")),
  behindProxy("Forwarded of one long text", `Forwarded: for="${fill("\\a")}"`),
  behindProxy("Forwarded lines", ...lines("Forwarded", 'for=10.0.0.1;a="b",')),
  behindProxy("X-Forwarded-Host of commas", "X-Forwarded-For: 1.1.1.1, 10.0.0.2", one("X-Forwarded-Host", ",")),
  behindProxy("X-Forwarded-Proto of commas", "X-Forwarded-For: 1.1.1.1, 10.0.0.2", one("X-Forwarded-Proto", ",")),
  behindProxy("what only proxies say", ...Array.from({ length: FIELDS }, (_, i) => `x-forwarded-${i}: ${fill("v", 120)}`)),
];

const TARGETS: readonly Input[] = [
  query("ampersands", "&"),
  query("names", "a&"),
  query("pairs", "a=b&"),
  query("semicolons", ";"),
  query("pairs with semicolons", "a=b;"),
  query("encoded names", "%61=&"),
  query("the name it looks for, almost", "%74ie%71=1&"),
  query("the name it looks for", "tier=gold&"),
  query("versions", "api-version=2&"),
  query("another name it looks for", "key=1&"),
  query("equals signs", "="),
  query("plus signs", "+&"),
  query("broken percent signs", "%&"),
  query("one long value", "tenant=%C3%A4"),
  query("names, for a hash", "a&", "/query/x"),
  path("segments", "/a"),
  path("versions", "/v2"),
  path("dot segments", "/."),
  path("encoded dots", "/%2e"),
  path("encoded reserved characters", "/%40"),
  path("characters to encode", '"'),
  path("one segment", "a"),
  path("climbing", "/a/.."),
  path("encoded slashes", "/%2f"),
  path("double encodings", "/%252f"),
  path("empty segments", "//a"),
  path("backslashes", "/A\\"),
];

export const HOSTILE_INPUTS: readonly Input[] = [...HEADS, ...PROXIED, ...TARGETS];

function running(whole: WholeRequest, { name, request, requests = [request] }: Input): Micro {
  let turn = 0;
  return {
    name,
    prepare: () => {
      const { code } = whole.run(request);
      if (code === "internal_error" || code === "headers_too_large" || code === "uri_too_long") throw new Error(`${name}: ${code}`);
      return (count) => {
        let sum = 0;
        for (let i = 0; i < count; i++) sum += whole.run(requests[turn++ % requests.length] as RequestText).status; // the rest of its length
        return sum;
      };
    },
  };
}

function micros(): readonly Micro[] {
  const whole = new WholeRequest(CONFIG);
  if (whole.run(PLAIN).status !== 200 || !whole.sent.startsWith("GET /plain ")) throw new Error("a plain request does not pass");
  return [running(whole, { name: "a plain request", request: PLAIN }), ...HOSTILE_INPUTS.map((input) => running(whole, input))];
}

export const MICRO: readonly Micro[] = micros();

export interface HostileCost {
  readonly name: string;
  readonly ns: number;
  /** Times a plain request's CPU. */
  readonly ratio: number;
}

/** @returns the dearest first; what the machine does beside it makes only the larger numbers larger, so each is the least of its rounds */
export function hostileCosts(options: {
  readonly rounds: number;
  readonly batchMs: number;
  readonly warmMs: number;
}): readonly HostileCost[] {
  const [plain, ...inputs] = measure(MICRO, options);
  const unit = (plain?.minNs ?? Number.NaN) / JAVASCRIPT_SHARE;
  return inputs.map(({ name, minNs }) => ({ name, ns: minNs, ratio: minNs / unit })).sort((a, b) => b.ratio - a.ratio);
}

if (import.meta.main) {
  const costs = hostileCosts({ rounds: Number(process.argv[2] ?? 20), batchMs: 2, warmMs: 100 });
  for (const { name, ns, ratio } of costs)
    console.log(`${name.padEnd(60)} ${(ns / 1000).toFixed(1).padStart(9)} us ${ratio.toFixed(1).padStart(6)} times`);
  if (costs.some(({ ratio }) => ratio > HOSTILE_COST_MAX)) process.exitCode = 1;
  process.exit(); // services of a worker run on
}
