import { createHmac, hash } from "node:crypto";
import { describe, expect, it, test } from "vitest";
import { benchCredentials } from "../../../../../bench/micro/credentials.ts";
import { isAmbiguousFieldName } from "../../../../../src/base/http.ts";
import type { AuthOutcome } from "../../../../../src/data/exchange/identity/authenticator.ts";
import { stripPlaces } from "../../../../../src/data/policies/auth/places.ts";
import { BASE, problemsOf } from "../../../../support/config-text.ts";
import { authenticatorOf, authenticatorsOf, outcomeText } from "../../../../support/configured-authenticators.ts";
import { flat, type RequestSketch, TestExchange } from "../../../../support/exchange.ts";

const KEY = "slk_acme-key-of-a-test-1";
const OTHER = "slk_other-key-of-a-test-2";
const PEPPER = "pepper-of-this-test";
const sha256 = (key: string) => `sha256:${hash("sha256", key)}`;
const peppered = (key: string, pepper = PEPPER) => `hmac-sha256:${createHmac("sha256", pepper).update(key).digest("hex")}`;

const sections = (apiKey: string, keys = [sha256(KEY)]): string =>
  `auth: { partners: { apiKey: { ${apiKey} } } }
tiers: { gold: {} }
consumers:
  - { id: acme, tier: gold, scopes: ["orders:read"], roles: [partner], groups: [eu], keys: [${keys.join(", ")}] }
  - { id: other, keys: ["${sha256(OTHER)}"] }
`;

const FROM = "from: [{ header: X-Api-Key }, { header: authorization, scheme: Bearer }, { query: apikey }, { cookie: k }]";
const UNKNOWN = "refused: the API key in the header x-api-key is not known";

describe("a key", () => {
  const check = (name: string, apiKey: string, request: RequestSketch, expected: string) =>
    it(name, () =>
      expect(outcomeText(authenticatorOf(sections(apiKey)).authenticate(new TestExchange(request)) as AuthOutcome)).toBe(expected),
    );
  const header = (name: string, value: string | string[], expected: string) =>
    check(name, "name: X-Api-Key", { headers: { "x-api-key": value } }, expected);
  check("none", "name: x-api-key", {}, "absent");
  header("right", KEY, "acme");
  header("of another consumer", OTHER, "other");
  header("unknown", `${KEY}1`, UNKNOWN);
  header("in another case", KEY.toUpperCase(), UNKNOWN);
  header("its hash", sha256(KEY), UNKNOWN);
  header("its digest", hash("sha256", KEY), UNKNOWN);
  header("empty", "", "refused: the API key in the header x-api-key is empty");
  header("twice", [KEY, KEY], "refused: more than one API key in the header x-api-key, or another that is spelt almost like it");
  const odd = "refused: the API key in the header x-api-key is longer than 512 characters, or has others than visible ASCII";
  header("with a space", `${KEY} `, odd);
  header("with a scheme", `Bearer ${KEY}`, odd);
  header("not ASCII", `${KEY}\xe9`, odd);
  header("too long", "a".repeat(513), odd);
  header("as long as may be", "a".repeat(512), UNKNOWN);
  check("in a cookie", "in: cookie, name: key", { headers: { cookie: `a=1; key=${KEY}` } }, "acme");
  check("in the query", "in: query, name: key", { query: `key=${KEY}` }, "acme");
  check("in the query, encoded", "in: query, name: key", { query: `key=${KEY.replace("_", "%5F")}` }, "acme");
  check(
    "in the query, not UTF-8",
    "in: query, name: key",
    { query: `key=%ff${KEY}` },
    UNKNOWN.replace("header x-api-key", "query parameter key"),
  );
  check("where nobody looks", "in: query, name: key", { headers: { key: KEY } }, "absent");
});

describe("a key in one of several places", () => {
  const everywhere = "header x-api-key or the header authorization (Bearer) or the query parameter apikey or the cookie k";
  const several = `refused: more than one API key in the ${everywhere}, or another that is spelt almost like it`;
  const bearer = { authorization: `bearer ${KEY}` };
  it.each<[string, RequestSketch, string]>([
    ["none", {}, "absent"],
    ["in the first", { headers: { "x-api-key": KEY } }, "acme"],
    ["behind a scheme", { headers: bearer }, "acme"],
    ["behind another scheme", { headers: { authorization: `Basic ${KEY}` } }, "absent"],
    ["without the scheme", { headers: { authorization: KEY } }, "absent"],
    ["in the query", { query: `apikey=${KEY}` }, "acme"],
    ["in the cookie", { headers: { cookie: `k=${KEY}` } }, "acme"],
    ["beside another scheme's credential", { headers: { "x-api-key": KEY, authorization: "Basic YTpi" } }, "acme"],
    ["in two, the same", { headers: { ...bearer, "x-api-key": KEY } }, several],
    ["in two, the first unknown", { headers: { "x-api-key": "no", cookie: `k=${KEY}` } }, several],
    ["in two, the second unknown", { headers: { "x-api-key": KEY }, query: "apikey=no" }, several],
    ["in two, the second empty", { headers: { "x-api-key": KEY }, query: "apikey=" }, several],
    ["twice in one", { query: `apikey=${KEY}&apikey=${KEY}` }, several],
    ["empty", { query: "apikey=" }, `refused: the API key in the ${everywhere} is empty`],
    ["beside a look-alike of another place", { headers: { "x-api-key": KEY, x_api_key: KEY } }, several],
  ])("%s", (_, request, expected) => {
    const x = new TestExchange(request);
    x.hasAmbiguousFieldNames = x.headers.some((name, i) => i % 2 === 0 && isAmbiguousFieldName(name)); // as the listener does
    expect(outcomeText(authenticatorOf(sections(FROM)).authenticate(x) as AuthOutcome)).toBe(expected);
  });
});

it("gives the consumer's grants, and the same identity each time", () => {
  const authenticator = authenticatorOf(sections("name: x-api-key"));
  const ask = () => authenticator.authenticate(new TestExchange({ headers: { "x-api-key": KEY } }));
  const first = ask();
  expect(first).toEqual({
    kind: "identity",
    identity: {
      consumer: "acme",
      authenticator: "partners",
      tier: "gold",
      scopes: ["orders:read"],
      roles: ["partner"],
      groups: ["eu"],
      partial: false,
      claims: null,
      expiresMs: Number.POSITIVE_INFINITY,
    },
  });
  expect(ask()).toBe(first);
});

it("its challenge and its words name the place where the key belongs", () => {
  const named = (apiKey: string) => {
    const { challenge, takes, places } = authenticatorOf(sections(apiKey));
    return [challenge, takes, ...places.map(({ id }) => id)];
  };
  expect(named("name: X-Api-Key")).toEqual([
    'ApiKey realm="partners", in="header", name="x-api-key"',
    "an API key in the header x-api-key",
    "header x-api-key",
  ]);
  expect(named("in: query, name: api_key")).toEqual([
    'ApiKey realm="partners", in="query", name="api_key"',
    "an API key in the query parameter api_key",
    "query api_key",
  ]);
  expect(named(FROM)).toEqual([
    'ApiKey realm="partners", in="header", name="x-api-key"',
    "an API key in the header x-api-key or the header authorization (Bearer) or the query parameter apikey or the cookie k",
    "header x-api-key",
    "header authorization bearer",
    "query apikey",
    "cookie k",
  ]);
});

it("says nothing of the key", () => {
  const authenticator = authenticatorOf(sections("name: x-api-key"));
  for (const key of [`${KEY}x`, `${KEY} x`]) {
    const said = JSON.stringify(authenticator.authenticate(new TestExchange({ headers: { "x-api-key": key } })));
    expect(said).not.toContain(KEY);
  }
});

describe("with a pepper", () => {
  const check = (name: string, keys: string[], expected: string) =>
    it(name, () => {
      const authenticator = authenticatorOf(sections(`name: x-api-key, pepper: ${PEPPER}`, keys));
      // The second time it is known already.
      for (let i = 0; i < 2; i++) {
        const outcome = authenticator.authenticate(new TestExchange({ headers: { "x-api-key": KEY } }));
        expect(outcomeText(outcome as AuthOutcome)).toBe(expected);
      }
    });
  check("made with it", [peppered(KEY)], "acme");
  check("made with another", [peppered(KEY, "another-pepper-of-it")], UNKNOWN);
  check("made without", [sha256(KEY)], "acme");
  it("two authenticators with peppers of their own do not share keys", () => {
    const two = `auth: { a: { apiKey: { name: x-a, pepper: ${PEPPER} } }, b: { apiKey: { name: x-b, pepper: another-pepper-of-it } } }
consumers: [{ id: acme, keys: ["${peppered(KEY)}"] }]
`;
    const found = [...authenticatorsOf(two).values()].map((each) =>
      outcomeText(each.authenticate(new TestExchange({ headers: { "x-a": KEY, "x-b": KEY } })) as AuthOutcome),
    );
    expect(found).toEqual(["acme", UNKNOWN.replace("x-api-key", "x-b")]);
  });
});

describe("is taken out of what goes upstream", () => {
  const strip = (apiKey: string, headers: RequestSketch["headers"], path: string) => {
    const authenticator = authenticatorOf(sections(apiKey));
    const request = { path, headers: flat(headers ?? {}) };
    stripPlaces(authenticator.places, request);
    return [request.headers, request.path];
  };
  const everywhere = { "x-key": KEY, cookie: `x-key=${KEY}; a=1`, a: "1" };
  it("header", () => expect(strip("name: x-key", everywhere, "/?x-key=1")).toEqual([["cookie", everywhere.cookie, "a", "1"], "/?x-key=1"]));
  it("cookie", () =>
    expect(strip("in: cookie, name: x-key", everywhere, "/?x-key=1")).toEqual([["x-key", KEY, "cookie", "a=1", "a", "1"], "/?x-key=1"]));
  it("every place of `from`, and other schemes stay", () => {
    const sent = { "x-api-key": KEY, authorization: `bearer ${KEY}`, cookie: `k=${KEY}; a=1`, a: "1" };
    expect(strip(FROM, sent, `/?apikey=${KEY}&b=2`)).toEqual([["cookie", "a=1", "a", "1"], "/?b=2"]);
    expect(strip(FROM, { authorization: "Basic YTpi" }, "/")).toEqual([["authorization", "Basic YTpi"], "/"]);
  });
  it("query", () => expect(strip("in: query, name: x-key", everywhere, "/?x-key=1&b=2")).toEqual([flat(everywhere), "/?b=2"]));
});

test("the benchmark of credentials still does its work", async () => {
  // Plain and peppered keys, the password and the signature are recognised; the unknown keys are not.
  expect((await benchCredentials(1)).recognised).toBe(4 * 1000);
});

describe("configuration", () => {
  const check = (name: string, text: string, ...expected: string[]) =>
    it(name, () => expect(problemsOf(`${BASE}${text}defaults: { auth: none }\n`)).toEqual(expected));
  const auth = (name: string, apiKey: string, ...expected: string[]) =>
    check(name, `auth: { a: { apiKey: { ${apiKey} } } }\n`, ...expected);
  auth("no name", "in: header", "c.yaml:6:22: auth.a.apiKey.name: is required; add `name`, or `from` for several places");
  auth(
    "a header that frames",
    "name: Content-Length",
    "c.yaml:6:30: auth.a.apiKey.name: this header can't carry a key; use one such as x-api-key",
  );
  auth(
    "Authorization",
    "name: authorization",
    "c.yaml:6:30: auth.a.apiKey.name: a scheme stands before what is in it; write `from: [{ header: authorization, scheme: Bearer }]`",
  );
  auth(
    "several places",
    "from: [{ header: X-Key }, { header: authorization, scheme: Bearer }, { header: authorization, scheme: ApiKey }, { query: k }, { cookie: k }]",
  );
  auth(
    "`from` beside the short form",
    "in: header, name: x-key, from: [{ query: k }]",
    "c.yaml:6:28: auth.a.apiKey.in: stands beside `from`; put that place into `from`",
    "c.yaml:6:42: auth.a.apiKey.name: stands beside `from`; put that place into `from`",
  );
  auth("no place", "from: []", "c.yaml:6:30: auth.a.apiKey.from: expected at least 1 entry");
  auth(
    "a place of two kinds",
    "from: [{ header: x-key, query: k }]",
    "c.yaml:6:31: auth.a.apiKey.from[0]: expected exactly one of header, query and cookie; write an entry for each place",
  );
  auth(
    "a scheme without a header",
    "from: [{ query: k, scheme: Bearer }]",
    "c.yaml:6:51: auth.a.apiKey.from[0].scheme: only headers have schemes; remove it, or name a header",
  );
  auth(
    "Authorization without a scheme",
    "from: [{ header: Authorization }]",
    "c.yaml:6:31: auth.a.apiKey.from[0]: in `authorization` a scheme stands before each credential; add `scheme: Bearer`, or whatever clients write there",
  );
  auth(
    "a place that frames",
    "from: [{ header: cookie }]",
    "c.yaml:6:41: auth.a.apiKey.from[0].header: this header can't carry a credential; use one such as x-api-key",
  );
  auth(
    "the same place twice",
    "from: [{ query: k }, { header: a }, { query: k }]",
    "c.yaml:6:60: auth.a.apiKey.from[2]: looks at what [0] looks at: each credential there would be two; remove one of them",
  );
  auth(
    "one header with a scheme and without",
    "from: [{ header: x_key }, { header: x-key, scheme: Token }]",
    "c.yaml:6:50: auth.a.apiKey.from[1]: looks at what [0] looks at: each credential there would be two; remove one of them",
  );
  auth("a misspelt place", "from: [{ haeder: x-key }]", "c.yaml:6:33: auth.a.apiKey.from[0].haeder: unknown key; did you mean `header`?");
  check(
    "a place that is removed from what clients send",
    "auth: { a: { apiKey: { from: [{ query: k }, { header: x-consumer-id }] } } }\n",
    "c.yaml:6:55: auth.a.apiKey.from[1].header: this header is removed from what clients send: no credential could arrive in it; choose another name",
  );
  auth("query name", "in: query, name: a&b", "c.yaml:6:41: auth.a.apiKey.name: expected 1 to 64 letters, digits and . _ ~ -");
  auth("short pepper", "name: a, pepper: short", "c.yaml:6:41: auth.a.apiKey.pepper: expected at least 16 characters");
  auth(
    "unreadable pepper",
    "name: a, pepper: file:nowhere",
    "c.yaml:6:41: auth.a.apiKey.pepper: can't read nowhere: there is no such file; paths are relative to the configuration file",
  );
  check(
    "a key instead of a hash",
    `consumers: [{ id: a, keys: [${KEY}] }]\n`,
    "c.yaml:6:29: consumers[0].keys[0]: expected `sha256:` or `hmac-sha256:` and 64 hexadecimal digits, as `sluice key create` prints them; a key itself, of 8 to 512 visible ASCII characters, comes from the environment or a file",
  );
  check(
    "the same id, key, user name, certificate and signing key twice",
    `consumers:
  - { id: acme, keys: ["${sha256(KEY)}"] }
  - { id: b, keys: ["${sha256(OTHER)}", "${sha256(KEY)}"] }
  - { id: acme }
  - { id: c, username: u, certificates: [Example.com], signingSecrets: [{ keyId: k, secret: "${"s".repeat(32)}" }], password: "scrypt:ln=15,r=8,p=1:AAAAAAAAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAA" }
  - { id: u, certificates: [example.com], signingSecrets: [{ keyId: k, secret: "${"t".repeat(32)}" }], password: "scrypt:ln=15,r=8,p=1:AAAAAAAAAAAAAAAAAAAAAA:AAAAAAAAAAAAAAAAAAAAAA" }
`,
    "c.yaml:8:96: consumers[1].keys[1]: the hash of a key is the same as consumers[0].keys[0] at c.yaml:7:24; it must lead to one consumer: change or remove one of them",
    "c.yaml:9:11: consumers[2].id: the id is the same as consumers[0].id at c.yaml:7:11; it must lead to one consumer: change or remove one of them",
    "c.yaml:11:11: consumers[4].id: the user name is the same as consumers[3].username at c.yaml:10:24; it must lead to one consumer: change or remove one of them",
    "c.yaml:11:29: consumers[4].certificates[0]: the certificate is the same as consumers[3].certificates[0] at c.yaml:10:42; it must lead to one consumer: change or remove one of them",
    "c.yaml:11:69: consumers[4].signingSecrets[0].keyId: the keyId is the same as consumers[3].signingSecrets[0].keyId at c.yaml:10:82; it must lead to one consumer: change or remove one of them",
  );
  check(
    "a peppered key that nobody can check",
    `auth: { a: { apiKey: { name: x } } }\nconsumers: [{ id: a, keys: ["${peppered(KEY)}"] }]\n`,
    "c.yaml:7:29: consumers[0].keys[0]: no apiKey authenticator has a pepper to check this key with; set `pepper` under auth.NAME.apiKey",
  );
});
