// The jwt authenticator in its worker: what it accepts and makes of it, what it remembers and for how long, and what it does without keys.
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { isAmbiguousFieldName } from "../../../../../../src/base/http.ts";
import { keysOfJwks } from "../../../../../../src/data/credentials/key-material.ts";
import { jwtSchema } from "../../../../../../src/data/policies/auth/jwt/config.ts";
import { stripPlaces } from "../../../../../../src/data/policies/auth/places.ts";
import { VerifyPool } from "../../../../../../src/offload/verify-pool.ts";
import { TestExchange } from "../../../../../support/exchange.ts";
import {
  bearer,
  hsToken,
  ISSUER,
  jwtAuthenticator,
  newSecret,
  nowS,
  said,
  signingKey,
  type TestWorker,
  testWorker,
  token,
} from "../../../../../support/jwt.ts";
import { until } from "../../../../../support/until.ts";

const rsa = signingKey("RS256", "rsa-1");
const stranger = signingKey("RS256", "rsa-1");
const JWKS_URL = "https://id.example.com/jwks.json";
const fixed = { issuer: ISSUER, audience: "api", keys: [rsa.jwk], algorithms: ["RS256"] };
const fetched = { issuer: ISSUER, audience: "api", jwks: JWKS_URL, algorithms: ["RS256"] };

const limits = { full: false };
const warnings: string[] = [];
const pool = new VerifyPool((message) => warnings.push(message));
let worker: TestWorker;
beforeEach(() => {
  limits.full = false;
  worker = testWorker(limits, pool);
});
afterEach(() => {
  vi.useRealTimers();
  expect(warnings).toEqual([]);
});
afterAll(() => pool.close());

const sourceId = (written: unknown): string => jwtSchema().parse(written).providers[0]?.source?.id ?? "";
let version = 0;
/** What the primary would send. */
function publish(written: unknown, keys: readonly unknown[] | null): void {
  const list = keys === null ? null : keysOfJwks({ keys }, false);
  if (list !== null && "problem" in list) throw new Error(list.problem);
  worker.keys.update(new Map([[sourceId(written), { version: ++version, keys: list?.keys ?? null }]]));
}

describe("algorithms", () => {
  test.each(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"])("%s", async (alg) => {
    const key = signingKey(alg, "k");
    const jwt = jwtAuthenticator(worker, { ...fixed, keys: [key.jwk], algorithms: [alg] });
    expect(said(await bearer(jwt, token(key)))).toBe("identity alice");
    expect(said(await bearer(jwt, token({ ...signingKey(alg, "k"), alg })))).toBe("invalid_token: the token's signature is wrong");
  });

  test.each(["HS256", "HS384", "HS512"])("%s", async (alg) => {
    const secret = newSecret();
    const jwt = jwtAuthenticator(worker, { issuer: ISSUER, audience: "api", secret, algorithms: [alg] });
    expect(said(await bearer(jwt, hsToken(alg, secret)))).toBe("identity alice");
    expect(said(await bearer(jwt, hsToken(alg, newSecret())))).toBe("invalid_token: the token's signature is wrong");
  });
});

describe("claims", () => {
  test.each<[string, object, object, object, string]>([
    ["aud one of a list", { audience: ["a", "api"] }, { aud: ["x", "api"] }, {}, "identity alice"],
    ["aud not looked at when told so", { audience: false }, { aud: undefined }, {}, "identity alice"],
    ["exp within the skew", { clockSkew: "1m" }, { exp: nowS() - 30 }, {}, "identity alice"],
    ["exp beyond the skew", { clockSkew: "10s" }, { exp: nowS() - 30 }, {}, "invalid_token: the token has expired"],
    ["nbf within the skew", { clockSkew: "1m" }, { nbf: nowS() + 30 }, {}, "identity alice"],
    ["iat within the skew", { clockSkew: "1m" }, { iat: nowS() + 30 }, {}, "identity alice"],
    ["no exp when that is allowed", { requireExp: false, maxAge: "1h" }, { exp: undefined }, {}, "identity alice"],
    ["an old token", { maxAge: "1h" }, { iat: nowS() - 7200 }, {}, "invalid_token: the token is too old (`iat`)"],
    ["a token without iat where its age counts", { maxAge: "1h" }, { iat: undefined }, {}, "invalid_token: the token has no `iat`"],
    ["typ at+jwt", { typ: "at+jwt" }, {}, { typ: "at+jwt" }, "identity alice"],
    ["typ with the long name", { typ: "at+jwt" }, {}, { typ: "application/AT+JWT" }, "identity alice"],
    ["another typ", { typ: "at+jwt" }, {}, { typ: "JWT" }, "invalid_token: the token's `typ` is not at+jwt"],
    ["no typ", { typ: "at+jwt" }, {}, { typ: undefined }, "invalid_token: the token's `typ` is not at+jwt"],
    ["a required claim", { required: ["a.b"] }, { a: { b: 1 } }, {}, "identity alice"],
    ["a required claim that is missing", { required: ["a.b"] }, { a: {} }, {}, "invalid_token: the token lacks the claim a.b"],
    ["a required claim that is empty", { required: ["jti"] }, { jti: "" }, {}, "invalid_token: the token lacks the claim jti"],
    ["a required claim that only a prototype has", { required: ["toString"] }, {}, {}, "invalid_token: the token lacks the claim toString"],
    ["consumer from another claim", { claims: { consumer: "client.id" } }, { client: { id: "acme" } }, {}, "identity acme"],
    [
      "consumer from a claim with dots",
      { claims: { consumer: ["https://x.example/id"] } },
      { "https://x.example/id": "acme" },
      {},
      "identity acme",
    ],
    ["consumer a number", {}, { sub: 4711 }, {}, "identity 4711"],
    ["consumer with a prefix", { consumerPrefix: "corp:" }, {}, {}, "identity corp:alice"],
    ["consumer not known", { onlyKnownConsumers: true }, {}, {}, "invalid_token: the token's consumer is not known here"],
    ["tier not known", { claims: { tier: "plan" } }, { plan: "gold" }, {}, "invalid_token: the token names a tier that is not known here"],
    ["no kid and one key", {}, {}, { kid: undefined }, "identity alice"],
    ["b64 true says nothing new", {}, {}, { b64: true }, "identity alice"],
    ["x5c and x5t are common and ignored", {}, {}, { x5c: ["AA"], x5t: "AA" }, "identity alice"],
    ["jku, which some providers always send", {}, {}, { jku: "https://evil.example/jwks.json" }, "identity alice"],
    ["jku of any form", {}, {}, { jku: null }, "identity alice"],
    ["jwk and x5u", {}, {}, { jwk: stranger.jwk, x5u: "https://evil.example/x.pem" }, "identity alice"],
    ["exp with a fraction", {}, { exp: nowS() + 3600.5 }, {}, "identity alice"],
    ["iat and nbf with a fraction", {}, { iat: nowS() - 0.25, nbf: nowS() - 0.75 }, {}, "identity alice"],
    ["a fraction of a second too late", { clockSkew: "0s" }, { exp: nowS() - 0.5 }, {}, "invalid_token: the token has expired"],
    ["consumer with blanks and beyond ASCII", {}, { sub: "Jürgen Müller" }, {}, "identity Jürgen Müller"],
    ["consumer in another alphabet", {}, { sub: "аlice" }, {}, "identity аlice"],
    [
      "the first of several claims that is there",
      { claims: { consumer: ["client_id", "azp", "sub"] } },
      { azp: "app" },
      {},
      "identity app",
    ],
    [
      "the last of several claims",
      { claims: { consumer: ["client_id", "azp", "sub"] } },
      { client_id: "", azp: null },
      {},
      "identity alice",
    ],
    [
      "a claim that is there decides, also when it is no name",
      { claims: { consumer: ["client_id", "sub"] } },
      { client_id: { id: 1 } },
      {},
      "invalid_token: the claim client_id names no consumer",
    ],
    [
      "none of several claims",
      { claims: { consumer: ["client_id", ["a", "b.c"]] } },
      { a: {} },
      {},
      "invalid_token: none of the claims client_id, a.b.c names a consumer",
    ],
    ["a path in a list of claims", { claims: { consumer: ["client_id", ["a", "b.c"]] } }, { a: { "b.c": "x" } }, {}, "identity x"],
  ])("%s", async (_, written, claims, header, expected) => {
    const jwt = jwtAuthenticator(worker, { ...fixed, ...written });
    expect(said(await bearer(jwt, token(rsa, claims as Record<string, unknown>, header as Record<string, unknown>)))).toBe(expected);
  });

  test("become an identity, joined with what is configured", async () => {
    const jwt = jwtAuthenticator(
      worker,
      { ...fixed, claims: { roles: "realm_access.roles", groups: "groups", tier: "plan" } },
      { consumers: [{ id: "alice", tier: "gold", scopes: ["extra", "users:read"], roles: ["partner"] }], tiers: ["gold", "bronze"] },
    );
    const more = { realm_access: { roles: ["admin"] }, groups: ["a", "Domain Users", "Büro", 7], plan: "bronze" };
    expect(await bearer(jwt, token(rsa, more))).toMatchObject({
      kind: "identity",
      identity: {
        consumer: "alice",
        authenticator: "corp-jwt",
        tier: "gold",
        scopes: ["users:read", "users:write", "extra"],
        roles: ["admin", "partner"],
        groups: ["a", "Domain Users", "Büro", "7"],
        partial: false,
        claims: { iss: ISSUER, sub: "alice", realm_access: { roles: ["admin"] } },
      },
    });
    expect(await bearer(jwt, token(rsa, { ...more, sub: "bob" }))).toMatchObject({
      identity: { consumer: "bob", tier: "bronze", roles: ["admin"] },
    });
  });
});

describe("scopes, roles and groups", () => {
  const LONG = "x".repeat(257);
  test.each<[string, unknown, readonly string[], boolean]>([
    ["a list", ["a", "b"], ["a", "b"], false],
    [
      "names with blanks, beyond ASCII, with a backslash and a comma",
      ["Domain Users", "Büro", "CORP\\x", "a,b"],
      ["Domain Users", "Büro", "CORP\\x", "a,b"],
      false,
    ],
    ["a text is one name", "Domain Users", ["Domain Users"], false],
    ["numbers", [7, 0, -3], ["7", "0", "-3"], false],
    ["a number alone", 7, ["7"], false],
    ["a map: its keys", { admin: { org: "x" }, editor: true, viewer: false, guest: null }, ["admin", "editor"], false],
    ["a map with a key that is no name", { admin: true, "\n": true }, ["admin"], true],
    [
      "a list of maps",
      [{ name: "a", id: 1 }, { value: "b", display: "B" }, { id: 3 }, { name: "", value: "c" }],
      ["a", "b", "3", "c"],
      false,
    ],
    ["a list of all kinds", ["a", { name: "b" }, 3], ["a", "b", "3"], false],
    ["nothing", null, [], false],
    ["an empty text", "", [], false],
    ["nothing in a list", ["a", null, ""], ["a"], false],
    ["what cannot be used is left out", ["a", "b\u0007", " c", LONG, true, 1.5, ["d"], {}, { name: "e\n" }], ["a"], true],
    ["true", true, [], true],
    ["too many", Array.from({ length: 1001 }, (_, i) => i), Array.from({ length: 1000 }, (_, i) => String(i)), true],
  ])("%s", async (_, groups, expected, partial) => {
    const jwt = jwtAuthenticator(worker, { ...fixed, claims: { groups: "groups", roles: "roles" } });
    expect(await bearer(jwt, token(rsa, { groups, roles: groups }))).toMatchObject({
      kind: "identity",
      identity: { groups: expected, roles: expected, partial },
    });
  });

  test.each<[string, unknown, readonly string[], boolean]>([
    ["a text: a list with blanks between", " a  b ", ["a", "b"], false],
    ["a list", ["a", "b"], ["a", "b"], false],
    ["a map", { admin: true, guest: false }, ["admin"], false],
    ["a number", 1, ["1"], false],
    ["a word with a blank is no scope", ["a b", "c"], ["c"], true],
    ["a line end in a word", "users:read\r\nadmin", [], true],
    ["quotes and letters beyond ASCII", ['"x"', "é", "c"], ["c"], true],
    ["lists in lists", [["admin"]], [], true],
  ])("scopes: %s", async (_, scope, expected, partial) =>
    expect(await bearer(jwtAuthenticator(worker, fixed), token(rsa, { scope }))).toMatchObject({
      kind: "identity",
      identity: { scopes: expected, partial },
    }),
  );
});

describe("consumerPrefix keeps ids apart on both sides", () => {
  const providers = [
    { issuer: "https://a.example", audience: "api", keys: [rsa.jwk], algorithms: ["RS256"] },
    { issuer: "https://b.example", audience: "api", keys: [rsa.jwk], algorithms: ["RS256"], consumerPrefix: "partner:" },
    { issuer: "https://c.example", audience: "api", keys: [rsa.jwk], algorithms: ["RS256"], consumerPrefix: "partner:x" },
    { issuer: "https://d.example", audience: "api", keys: [rsa.jwk], algorithms: ["RS256"], consumerPrefix: "part" },
  ];
  const OTHERS = "invalid_token: the token's consumer has the prefix of another issuer";
  test.each<[string, string, string]>([
    ["a", "alice", "identity alice"],
    ["a", "partner:42", OTHERS],
    ["a", "partner:", OTHERS],
    ["a", "PARTNER:42", "identity PARTNER:42"],
    ["a", "particle", OTHERS],
    ["a", "mesh:42", OTHERS],
    ["b", "42", "identity partner:42"],
    ["b", "x1", OTHERS],
    ["b", "partner:x1", "identity partner:partner:x1"],
    ["c", "1", "identity partner:x1"],
    ["d", "y", "identity party"],
    ["d", "ner:42", OTHERS],
  ])("issuer %s, sub %s: %s", async (issuer, sub, expected) => {
    const jwt = jwtAuthenticator(worker, { providers }, { others: ["mesh:"] });
    expect(said(await bearer(jwt, token(rsa, { iss: `https://${issuer}.example`, sub })))).toBe(expected);
  });

  test("a prefix that another plan brings counts for tokens that were verified before", async () => {
    const text = token(rsa, { sub: "mesh:42" });
    expect(said(await bearer(jwtAuthenticator(worker, fixed, { fingerprint: "f" }), text))).toBe("identity mesh:42");
    expect(said(await bearer(jwtAuthenticator(worker, fixed, { fingerprint: "f", others: ["mesh:"] }), text))).toBe(OTHERS);
  });
});

describe("issuer: any", () => {
  const any = { ...fixed, issuer: "any", insecure: ["any-issuer"] };
  test.each<[string, Readonly<Record<string, unknown>>, string]>([
    ["takes whatever issuer a token names", { iss: "https://whoever.example" }, "identity alice"],
    ["takes a token that names none", { iss: undefined }, "identity alice"],
    ["looks at the audience all the same", { iss: "x", aud: "other" }, "invalid_token: the token is for another audience"],
  ])("%s", async (_, claims, expected) => expect(said(await bearer(jwtAuthenticator(worker, any), token(rsa, claims)))).toMatch(expected));
  test("is no issuer of that name without the way out", async () =>
    expect(said(await bearer(jwtAuthenticator(worker, fixed), token(rsa, { iss: "any" })))).toBe(
      "invalid_token: the token is from another issuer",
    ));
});

describe("an issuer with a name in braces", () => {
  const written = { ...fixed, issuer: "https://login.example/{tid}/v2.0", tenants: ["t-1", "t-2"], consumerPrefix: "corp:{tid}:" };
  const any = { ...written, tenants: undefined, insecure: ["any-tenant"] };
  const iss = (tenant: string): string => `https://login.example/${tenant}/v2.0`;
  const OTHER = "invalid_token: the token is from another issuer";
  test.each<[string, object, object, string]>([
    ["a tenant of the list", written, { iss: iss("t-1"), tid: "t-1" }, "identity corp:t-1:alice"],
    ["another tenant of the list", written, { iss: iss("t-2"), tid: "t-2" }, "identity corp:t-2:alice"],
    ["a tenant that is not in the list", written, { iss: iss("t-3"), tid: "t-3" }, OTHER],
    ["any tenant, where that is written", any, { iss: iss("t-3"), tid: "t-3" }, "identity corp:t-3:alice"],
    ["a claim of another tenant", written, { iss: iss("t-1"), tid: "t-2" }, OTHER],
    ["no such claim", written, { iss: iss("t-1") }, OTHER],
    ["a claim that is no text", any, { iss: iss("7"), tid: 7 }, OTHER],
    ["the pattern itself", any, { iss: iss("{tid}"), tid: "{tid}" }, OTHER],
    ["an empty tenant", any, { iss: "https://login.example//v2.0", tid: "" }, OTHER],
    ["a tenant of two segments", any, { iss: iss("a/b"), tid: "a/b" }, OTHER],
    ["a tenant with a dot", any, { iss: iss("a.b"), tid: "a.b" }, OTHER],
    ["a tenant of 64 characters", any, { iss: iss("a".repeat(64)), tid: "a".repeat(64) }, `identity corp:${"a".repeat(64)}:alice`],
    ["a tenant of 65 characters", any, { iss: iss("a".repeat(65)), tid: "a".repeat(65) }, OTHER],
    ["head and tail that overlap", any, { iss: "https://login.example/v2.0", tid: "" }, OTHER],
    ["a longer host", any, { iss: "https://login.example.evil/t/v2.0", tid: "t" }, OTHER],
    ["something behind it", any, { iss: `${iss("t")}/x`, tid: "t" }, OTHER],
    [
      "a claim that only a prototype has",
      { ...any, issuer: "https://login.example/{constructor}/v2.0", consumerPrefix: "" },
      { iss: iss("Object") },
      OTHER,
    ],
    ["an id of another tenant", any, { iss: iss("t"), tid: "t", sub: "x:y" }, "identity corp:t:x:y"],
  ])("%s", async (_, config, claims, expected) =>
    expect(said(await bearer(jwtAuthenticator(worker, config), token(rsa, claims as Record<string, unknown>)))).toBe(expected),
  );

  test("an issuer that is written whole wins over the pattern that it fits", async () => {
    const own = signingKey("RS256", "rsa-1");
    const jwt = jwtAuthenticator(worker, {
      providers: [any, { ...fixed, issuer: iss("t-9"), keys: [own.jwk] }],
    });
    expect(said(await bearer(jwt, token(own, { iss: iss("t-9"), tid: "t-9" })))).toBe("identity alice");
    expect(said(await bearer(jwt, token(rsa, { iss: iss("t-9"), tid: "t-9" })))).toContain("signature is wrong");
    expect(said(await bearer(jwt, token(rsa, { iss: iss("t-8"), tid: "t-8" })))).toBe("identity corp:t-8:alice");
  });
});

describe("several providers", () => {
  test("the issuer chooses, and keys of one never count for another", async () => {
    const other = { ...signingKey("ES256", "rsa-1") };
    const jwt = jwtAuthenticator(worker, {
      providers: [
        { issuer: "https://a.example", audience: "api", keys: [rsa.jwk], algorithms: ["RS256"] },
        { issuer: "https://b.example", audience: "api-b", keys: [other.jwk], algorithms: ["ES256"], consumerPrefix: "b:" },
      ],
    });
    expect(said(await bearer(jwt, token(rsa, { iss: "https://a.example" })))).toBe("identity alice");
    expect(said(await bearer(jwt, token(other, { iss: "https://b.example", aud: "api-b" })))).toBe("identity b:alice");
    expect(said(await bearer(jwt, token(rsa, { iss: "https://b.example", aud: "api-b" })))).toContain("algorithm that is not allowed");
    expect(said(await bearer(jwt, token(other, { iss: "https://a.example" })))).toContain("algorithm that is not allowed");
    expect(said(await bearer(jwt, token(rsa)))).toContain("another issuer");
  });
});

const FROM = [{ header: "Authorization", scheme: "Bearer" }, { header: "x-auth", scheme: "Token" }, { query: "token" }];

describe("where the token stands", () => {
  const text = token(rsa);
  const ask = async (written: object, request: ConstructorParameters<typeof TestExchange>[0]) => {
    const x = new TestExchange(request);
    x.hasAmbiguousFieldNames = x.headers.some((name, i) => i % 2 === 0 && isAmbiguousFieldName(name)); // as the listener does
    return said(await jwtAuthenticator(worker, { ...fixed, ...written }).authenticate(x));
  };
  test.each<[string, object, NonNullable<ConstructorParameters<typeof TestExchange>[0]>, string | RegExp]>([
    ["nowhere", {}, {}, "absent"],
    ["another scheme", {}, { headers: { authorization: "Basic YTpi" } }, "absent"],
    ["a scheme that begins alike", {}, { headers: { authorization: `BearerX ${text}` } }, "absent"],
    ["the scheme in any case", {}, { headers: { authorization: `bEARER ${text}` } }, "identity alice"],
    ["several blanks", {}, { headers: { authorization: `Bearer   ${text}` } }, "identity alice"],
    ["no token", {}, { headers: { authorization: "Bearer" } }, /^invalid_token/],
    ["no token after a blank", {}, { headers: { authorization: "Bearer " } }, /^invalid_token/],
    [
      "two headers",
      {},
      { headers: { authorization: [`Bearer ${text}`, `Bearer ${text}`] } },
      /^invalid_request: the request has more than one token/,
    ],
    ["two headers, one of them Basic", {}, { headers: { authorization: ["Basic YTpi", `Bearer ${text}`] } }, /^invalid_request/],
    [
      "a header that services may read as the same",
      { name: "X-Token" },
      { headers: { "x-token": text, x_token: text } },
      /^invalid_request/,
    ],
    ["two tokens in one header", {}, { headers: { authorization: `Bearer ${text}, Bearer ${text}` } }, /^invalid_token/],
    ["a header of its own", { name: "X-Token" }, { headers: { "x-token": text } }, "identity alice"],
    ["a header of its own takes no scheme", { name: "X-Token" }, { headers: { "x-token": `Bearer ${text}` } }, /^invalid_token/],
    ["a cookie", { in: "cookie", name: "sid" }, { headers: { cookie: `a=1; sid=${text}; b=2` } }, "identity alice"],
    ["a cookie twice", { in: "cookie", name: "sid" }, { headers: { cookie: [`sid=${text}`, `sid=${text}`] } }, /^invalid_request/],
    ["no such cookie", { in: "cookie", name: "sid" }, { headers: { cookie: `xsid=${text}; sid2=${text}` } }, "absent"],
    ["the query", { in: "query" }, { query: `a=1&access_token=${text}` }, "identity alice"],
    ["the query twice", { in: "query" }, { query: `access_token=${text}&access_token=${text}` }, /^invalid_request/],
    ["no such parameter", { in: "query" }, { query: `xaccess_token=${text}&access_token2=${text}` }, "absent"],
    ["one of several places", { from: FROM }, { query: `token=${text}` }, "identity alice"],
    ["the scheme of one of several places", { from: FROM }, { headers: { "x-auth": `Token ${text}` } }, "identity alice"],
    [
      "two places at once, the same token",
      { from: FROM },
      { headers: { authorization: `Bearer ${text}` }, query: `token=${text}` },
      /^invalid_request/,
    ],
    ["none of several places", { from: FROM }, { query: `access_token=${text}`, headers: { "x-auth": text } }, "absent"],
    ["the header when it should be the query", { in: "query" }, { headers: { authorization: `Bearer ${text}` } }, "absent"],
  ])("%s", async (_, written, request, expected) => expect(await ask(written, request)).toMatch(expected));

  test("what the route takes names every place", () => {
    const { takes } = jwtAuthenticator(worker, { ...fixed, from: FROM });
    expect(takes).toBe("a token in the header authorization (Bearer) or the header x-auth (Token) or the query parameter token");
    expect(jwtAuthenticator(worker, fixed).takes).toBe("a Bearer token in the header authorization");
  });

  test("it is taken out of what goes upstream, and nothing else is", () => {
    const stripped = (written: object, headers: string[]): string[] => {
      stripPlaces(jwtAuthenticator(worker, { ...fixed, ...written }).places, { path: "/", headers });
      return headers;
    };
    expect(stripped({}, ["a", "1", "authorization", `Bearer ${text}`, "b", "2"])).toEqual(["a", "1", "b", "2"]);
    expect(stripped({}, ["authorization", "Basic YTpi"])).toEqual(["authorization", "Basic YTpi"]);
    expect(stripped({ name: "x-token" }, ["x-token", text, "b", "2"])).toEqual(["b", "2"]);
    expect(stripped({ in: "cookie", name: "sid" }, ["cookie", `a=1; sid=${text}; b=2`])).toEqual(["cookie", "a=1; b=2"]);
    expect(stripped({ in: "cookie", name: "sid" }, ["cookie", `sid=${text}`])).toEqual([]);
    const { places } = jwtAuthenticator(worker, { ...fixed, in: "query" });
    const stripPath = places[0]?.stripPath;
    expect(stripPath?.(`/a?access_token=${text}`)).toBe("/a");
    expect(stripPath?.(`/a?b=1&access_token=${text}&c=%20`)).toBe("/a?b=1&c=%20");
    expect(stripPath?.("/access_token=1")).toBe("/access_token=1");
    expect(jwtAuthenticator(worker, fixed).places.map((each) => each.stripPath)).toEqual([null]);
  });
});

describe("memory", () => {
  test("a verified token is answered at once, from one verification, whoever asks at the same time", async () => {
    const jwt = jwtAuthenticator(worker, fixed);
    const text = token(rsa);
    const first = await Promise.all(Array.from({ length: 20 }, () => bearer(jwt, text)));
    expect(new Set(first.map(said))).toEqual(new Set(["identity alice"]));
    expect(worker.verifications).toBe(1);
    const again = jwt.authenticate(new TestExchange({ headers: { authorization: `Bearer ${text}` } }));
    expect(again).toBe(first[0]); // no promise, and the very same object
  });

  test("a refused token is not verified again for a while", async () => {
    const jwt = jwtAuthenticator(worker, { ...fixed, failuresFor: "1m" });
    const text = token(signingKey("RS256", "rsa-1"));
    for (let i = 0; i < 3; i++) expect(said(await bearer(jwt, text))).toContain("signature is wrong");
    expect(worker.verifications).toBe(1);
  });

  test("exp counts on every hit", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const jwt = jwtAuthenticator(worker, { ...fixed, clockSkew: "0s", cacheFor: "1d" });
    const text = token(rsa, { exp: nowS() + 60 });
    expect(said(await bearer(jwt, text))).toBe("identity alice");
    vi.setSystemTime(Date.now() + 59_000);
    expect(said(await bearer(jwt, text))).toBe("identity alice");
    vi.setSystemTime(Date.now() + 2000);
    expect(said(await bearer(jwt, text))).toBe("invalid_token: the token has expired");
    expect(worker.verifications).toBe(1);
  });

  test("a token that is not good yet is good when its time comes", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const jwt = jwtAuthenticator(worker, { ...fixed, clockSkew: "0s" });
    const text = token(rsa, { nbf: nowS() + 3 });
    expect(said(await bearer(jwt, text))).toContain("not good yet");
    vi.setSystemTime(Date.now() + 4000);
    expect(said(await bearer(jwt, text))).toBe("identity alice");
  });

  test("after cacheFor a token is verified again; while too many wait, it stays good", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const jwt = jwtAuthenticator(worker, { ...fixed, cacheFor: "1m" });
    const text = token(rsa);
    await bearer(jwt, text);
    vi.setSystemTime(Date.now() + 61_000);
    limits.full = true;
    expect(said(await bearer(jwt, text))).toBe("identity alice");
    expect(said(await bearer(jwt, token(rsa, { sub: "bob" })))).toBe("auth_overloaded: too many tokens wait to be verified");
    expect(worker.verifications).toBe(1);
    limits.full = false;
    expect(said(await bearer(jwt, text))).toBe("identity alice");
    expect(worker.verifications).toBe(2);
  });

  test("a flood of refused tokens pushes out no verified one", async () => {
    const jwt = jwtAuthenticator(worker, { ...fixed, cacheEntries: 4 });
    const text = token(rsa);
    await bearer(jwt, text);
    for (let i = 0; i < 10_000; i++) await bearer(jwt, `${text}${i}.${i}`);
    await bearer(jwt, text);
    expect(worker.verifications).toBe(1);
  });

  test("survives a reload that leaves the authenticator alone, and takes up changed consumers", async () => {
    const before = jwtAuthenticator(worker, fixed, { fingerprint: "f1" });
    const text = token(rsa);
    await bearer(before, text);
    const after = jwtAuthenticator(worker, fixed, { fingerprint: "f1", consumers: [{ id: "alice", tier: "gold" }], tiers: ["gold"] });
    expect(await bearer(after, text)).toMatchObject({ identity: { tier: "gold" } });
    expect(await bearer(before, text)).toMatchObject({ identity: { tier: null } });
    expect(worker.verifications).toBe(1);
    expect(said(await bearer(jwtAuthenticator(worker, fixed, { fingerprint: "f2" }), text))).toBe("identity alice");
    expect(worker.verifications).toBe(2);
  });
});

describe("fetched keys", () => {
  test("without keys nothing passes, and the answer says so", async () => {
    const jwt = jwtAuthenticator(worker, fetched);
    const text = token(rsa);
    expect(said(await bearer(jwt, text))).toBe("auth_unavailable: the issuer's keys are not known at present");
    publish(fetched, [rsa.jwk]);
    expect(said(await bearer(jwt, text))).toBe("identity alice");
    publish(fetched, null);
    expect(said(await bearer(jwt, text))).toBe("auth_unavailable: the issuer's keys are not known at present");
  });

  test("a withdrawn key ends what was verified with it at once", async () => {
    const jwt = jwtAuthenticator(worker, fetched);
    const next = signingKey("RS256", "rsa-2");
    publish(fetched, [rsa.jwk, next.jwk]);
    const [old, young] = [token(rsa), token(next)];
    for (const text of [old, young]) expect(said(await bearer(jwt, text))).toBe("identity alice");
    publish(fetched, [next.jwk]);
    const asking = bearer(jwt, old);
    await until("the primary is asked", () => worker.asked.length > 0);
    worker.keys.answered(sourceId(fetched), true, 1000);
    expect(said(await asking)).toBe("invalid_token: the token is signed with a key that the issuer does not have");
    expect(said(await bearer(jwt, young))).toBe("identity alice");
    expect(worker.verifications).toBe(2);
  });

  test("a key that keeps its name but changes is another key", async () => {
    const jwt = jwtAuthenticator(worker, fetched);
    publish(fetched, [rsa.jwk]);
    const text = token(rsa);
    expect(said(await bearer(jwt, text))).toBe("identity alice");
    const impostor = signingKey("RS256", "rsa-1");
    publish(fetched, [impostor.jwk]);
    const asking = bearer(jwt, text);
    await until("the primary is asked", () => worker.asked.length > 0);
    worker.keys.answered(sourceId(fetched), true, 60_000);
    expect(said(await asking)).toContain("signature is wrong");
    expect(said(await bearer(jwt, token(impostor)))).toBe("identity alice");
  });

  test("a signature that fails under a key of that name asks for new keys, once in a cooldown", async () => {
    const jwt = jwtAuthenticator(worker, fetched);
    publish(fetched, [rsa.jwk]);
    const next = signingKey("RS256", "rsa-1");
    const asking = Promise.all(Array.from({ length: 50 }, (_, i) => bearer(jwt, token(next, { jti: String(i) }))));
    await until("the primary is asked", () => worker.asked.length > 0);
    publish(fetched, [next.jwk]);
    worker.keys.answered(sourceId(fetched), true, 60_000);
    expect(new Set((await asking).map(said))).toEqual(new Set(["identity alice"]));
    for (let i = 0; i < 20; i++) expect(said(await bearer(jwt, token(stranger, { jti: String(i) })))).toContain("signature is wrong");
    expect(worker.asked.length).toBe(1);
  });

  test("a key of that name for another algorithm asks for new keys, and is refused while the provider is down", async () => {
    const both = { ...fetched, algorithms: ["RS256", "ES256"] };
    const jwt = jwtAuthenticator(worker, both);
    publish(both, [rsa.jwk]);
    const next = signingKey("ES256", "rsa-1");
    const refusedFirst = bearer(jwt, token(next, { jti: "first" }));
    await until("the primary is asked", () => worker.asked.length > 0);
    worker.keys.answered(sourceId(both), false, 0);
    expect(said(await refusedFirst)).toContain("does not fit the issuer's keys");
    const asking = bearer(jwt, token(next));
    await until("the primary is asked again", () => worker.asked.length > 1);
    publish(both, [next.jwk]);
    worker.keys.answered(sourceId(both), true, 60_000);
    expect(said(await asking)).toBe("identity alice");
  });

  test("an unknown key is asked for once, all who wait get the new one, and the rest is for as long as the primary says", async () => {
    const jwt = jwtAuthenticator(worker, fetched);
    publish(fetched, [rsa.jwk]);
    const next = signingKey("RS256", "rsa-2");
    const asking = Promise.all(Array.from({ length: 50 }, (_, i) => bearer(jwt, token(next, { jti: String(i) }))));
    await until("the primary is asked", () => worker.asked.length > 0);
    publish(fetched, [rsa.jwk, next.jwk]);
    worker.keys.answered(sourceId(fetched), true, 60_000);
    expect(new Set((await asking).map(said))).toEqual(new Set(["identity alice"]));
    for (let i = 0; i < 100; i++) {
      const outcome = await bearer(jwt, token(rsa, { jti: String(i) }, { kid: `random-${i}` }));
      expect(said(outcome)).toBe("invalid_token: the token is signed with a key that the issuer does not have");
    }
    expect(worker.asked).toEqual([sourceId(fetched)]);
  });

  test("nobody can tell about an unknown key while the provider is down: 503, not 401", async () => {
    const jwt = jwtAuthenticator(worker, fetched);
    publish(fetched, [rsa.jwk]);
    const asking = bearer(jwt, token(rsa, {}, { kid: "new" }));
    await until("the primary is asked", () => worker.asked.length > 0);
    worker.keys.answered(sourceId(fetched), false, 60_000);
    expect(said(await asking)).toBe("auth_unavailable: the issuer's keys are not known at present");
    expect(said(await bearer(jwt, token(rsa)))).toBe("identity alice");
  });

  test("more than a bound may not wait for the answer", async () => {
    const jwt = jwtAuthenticator(worker, fetched);
    publish(fetched, [rsa.jwk]);
    const asking = Array.from({ length: 1100 }, (_, i) => bearer(jwt, token({ ...rsa, kid: `new-${i}` })));
    const last = asking.at(-1);
    expect(last === undefined ? "" : said(await last)).toBe("auth_overloaded: too many tokens wait to be verified");
    worker.keys.answered(sourceId(fetched), true, 60_000);
    const outcomes = (await Promise.all(asking)).map(said);
    expect(outcomes.filter((each) => each.startsWith("invalid_token"))).toHaveLength(1000);
    expect(worker.asked).toHaveLength(1);
  });

  test("a nameless key that was replaced is found by asking when a signature is wrong", async () => {
    const jwt = jwtAuthenticator(worker, fetched);
    const { kid: _, ...nameless } = rsa.jwk;
    publish(fetched, [nameless]);
    expect(said(await bearer(jwt, token(rsa, {}, { kid: undefined })))).toBe("identity alice");
    const next = signingKey("RS256", "");
    const { kid: __, ...nextNameless } = next.jwk;
    const asking = bearer(jwt, token(next, {}, { kid: undefined }));
    await until("the primary is asked", () => worker.asked.length > 0);
    publish(fetched, [nextNameless]);
    worker.keys.answered(sourceId(fetched), true, 60_000);
    expect(said(await asking)).toBe("identity alice");
  });

  test("an older key set never replaces a newer one", async () => {
    const jwt = jwtAuthenticator(worker, fetched);
    publish(fetched, [rsa.jwk]);
    worker.keys.update(new Map([[sourceId(fetched), { version: 0, keys: null }]]));
    expect(said(await bearer(jwt, token(rsa)))).toBe("identity alice");
  });

  test("a source that came back after plans without it is heard again", async () => {
    jwtAuthenticator(worker, fetched, { fingerprint: "f" });
    publish(fetched, [rsa.jwk]);
    worker.keys.keepOnly(new Set());
    const again = jwtAuthenticator(worker, fetched, { fingerprint: "f" });
    publish(fetched, [rsa.jwk]);
    expect(said(await bearer(again, token(rsa)))).toBe("identity alice");
  });
});
