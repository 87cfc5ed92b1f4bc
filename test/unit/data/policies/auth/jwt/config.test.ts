// What the configuration of jwt accepts, and that everything dangerous is refused at load, at its place and with a remedy.
import { generateKeyPairSync } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConfig } from "../../../../../../src/control/config/load.ts";
import { redactConfig } from "../../../../../../src/control/config/output/redact.ts";
import { formatProblem } from "../../../../../../src/control/config/source/problem.ts";
import { jwtSchema } from "../../../../../../src/data/policies/auth/jwt/config.ts";
import { signingKey } from "../../../../../support/jwt.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-jwt-"));
const rsa = signingKey("RS256", "rsa-1");
const ec = signingKey("ES256", "ec-1");
const weak = signingKey("RS256", "weak", { bits: 1024 });
const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
const SECRET = "a secret of at least thirty-two bytes";

beforeAll(() => {
  const write = (name: string, text: string | Buffer) => fs.writeFileSync(path.join(folder, name), text);
  write("public.pem", pair.publicKey.export({ type: "spki", format: "pem" }));
  write("private.pem", pair.privateKey.export({ type: "pkcs8", format: "pem" }));
  write("jwks.json", JSON.stringify({ keys: [rsa.jwk, ec.jwk] }));
  write("private.json", JSON.stringify({ keys: [pair.privateKey.export({ format: "jwk" })] }));
  write("weak.json", JSON.stringify({ keys: [weak.jwk] }));
  write("mixed.json", JSON.stringify({ keys: [{ ...rsa.jwk, use: "enc" }, ec.jwk, weak.jwk] }));
  write("marked.json", `\ufeff${JSON.stringify({ keys: [ec.jwk] })}`);
  write("enc.json", JSON.stringify({ keys: [{ ...rsa.jwk, use: "enc" }] }));
  write("leaked.json", JSON.stringify({ keys: [ec.jwk, pair.privateKey.export({ format: "jwk" })] }));
  write("oct.json", JSON.stringify({ keys: [{ kty: "oct", kid: "s", k: Buffer.from(SECRET).toString("base64url") }] }));
  write("words.txt", "no key at all");
  write("hs.key", `${SECRET}\n`);
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** Loads a whole configuration with one authenticator. */
function load(jwt: string, env: Readonly<Record<string, string>> = {}) {
  const file = path.join(folder, "c.yaml");
  fs.writeFileSync(
    file,
    `version: 1
listeners: [{ address: 127.0.0.1:0 }]
auth: { corp: { jwt: { ${jwt} } } }
upstreams: { users: { targets: [{ url: http://10.0.0.1 }] } }
routes: [{ name: all, match: {}, auth: corp, to: users }]
`,
  );
  return loadConfig({ files: [file], env });
}

function problems(jwt: string, env: Readonly<Record<string, string>> = {}): string[] {
  const result = load(jwt, env);
  return result.ok ? [] : result.problems.map(formatProblem).map((text) => text.slice(text.indexOf("auth.corp.jwt")));
}

const TENANTS = "issuer: 'https://login.example/{tid}/v2.0', audience: api";
const WHO = "issuer: 'https://id.example.com', audience: api";

describe("is accepted", () => {
  test.each([
    [`${WHO}, jwks: 'https://id.example.com/jwks.json', algorithms: [RS256, ES256]`],
    [`${WHO}, discovery: true, algorithms: [PS512]`],
    [`${WHO}, discovery: 'http://127.0.0.1:9000/.well-known/openid-configuration', algorithms: [EdDSA]`],
    [`${WHO}, jwks: 'http://localhost/jwks', algorithms: [RS256]`],
    [`${WHO}, keys: 'file:public.pem', algorithms: [RS256]`],
    [`${WHO}, keys: 'file:jwks.json', algorithms: [RS256, ES256]`],
    [`${WHO}, keys: 'file:oct.json', algorithms: [HS256]`],
    [`${WHO}, secret: 'file:hs.key', algorithms: [HS256]`],
    [`${WHO}, secret: '\${KEY}', algorithms: [HS256]`],
    [
      "issuer: x, audience: [a, b], keys: 'file:public.pem', algorithms: [RS256], claims: { roles: ['https://x/roles'], tier: plan }, required: [jti]",
    ],
    ["issuer: x, audience: false, keys: 'file:public.pem', algorithms: [RS256], in: cookie, name: sid"],
    [
      `providers: [{ ${WHO}, discovery: true, algorithms: [RS256] }, { issuer: b, audience: b, keys: 'file:public.pem', algorithms: [RS256] }], in: query`,
    ],
    [`${WHO}, keys: 'file:mixed.json', algorithms: [ES256]`],
    [`${WHO}, keys: 'file:marked.json', algorithms: [ES256]`],
    [`${WHO}, keys: 'file:public.pem', algorithms: [RS256], claims: { consumer: [client_id, [a, b.c], 'https://x.example/id'] }`],
    [`${TENANTS}, tenants: [t-1], jwks: 'https://a/', algorithms: [RS256], consumerPrefix: 'corp:{tid}:'`],
    [`${TENANTS}, insecure: [any-tenant], discovery: 'https://login.example/common/v2.0', algorithms: [RS256]`],
    ["issuer: any, insecure: [any-issuer], audience: api, keys: 'file:public.pem', algorithms: [RS256]"],
    [`${WHO}, jwks: 'http://id.internal/jwks', insecure: [http-jwks], algorithms: [RS256]`],
    [
      `${WHO}, from: [{ header: authorization, scheme: Bearer }, { query: jwt }, { cookie: session }], jwks: 'https://a/', algorithms: [RS256]`,
    ],
  ])("%s", (jwt) => expect(problems(jwt, { KEY: SECRET })).toEqual([]));

  test("ways out are warned of where they stand, and go into the plan once each, in the table's order", () => {
    const result = load(
      `providers: [{ ${WHO}, jwks: 'http://a.internal/', insecure: [http-jwks], algorithms: [RS256] }, { issuer: b, audience: b, jwks: 'http://b.internal/', insecure: [http-jwks, http-jwks], algorithms: [RS256] }]`,
    );
    const warning = "http-jwks: keys are fetched over plain http: whoever can change the answer on its way can sign tokens";
    expect(result.ok && result.warnings.map(({ path, message }) => [path, message])).toEqual([
      ["auth.corp.jwt.providers[0].insecure[0]", warning],
      ["auth.corp.jwt.providers[1].insecure[0]", warning],
      ["auth.corp.jwt.providers[1].insecure[1]", warning],
    ]);
    expect(result.ok && result.config.auth.map(({ insecure }) => insecure)).toEqual([["http-jwks"]]);
  });

  test("keys of a file that cannot be used are left out, as those of a URL are, with a warning", () => {
    const result = load(`${WHO}, keys: 'file:mixed.json', algorithms: [ES256]`);
    expect(result.ok && result.warnings.map(({ message }) => message)).toEqual([
      "a key is left out: keys[0] is not for signatures (`use`)",
      "a key is left out: keys[2] has 1024 bits: RSA keys need at least 2048",
    ]);
  });

  test("tenants whose consumers are not kept apart are worth a warning", () => {
    const warnings = (more: string) => {
      const result = load(`${TENANTS}, ${more}, jwks: 'https://a/', algorithms: [RS256]`);
      return result.ok ? result.warnings.map(({ message }) => message) : null;
    };
    const shared = ["the tenants of https://login.example/{tid}/v2.0 share one name space: each could name a consumer of another"];
    expect(warnings("tenants: [a, b]")).toEqual(shared);
    const open = ["any-tenant: everybody who becomes a tenant of the provider can issue tokens"];
    expect(warnings("insecure: [any-tenant], consumerPrefix: 'corp:'")?.toSorted()).toEqual([...open, ...shared]);
    expect(warnings("insecure: [any-tenant], consumerPrefix: 'corp:{tid}:'")).toEqual(open);
    expect(warnings("tenants: [a]")).toEqual([]);
    expect(warnings("tenants: [a, b], consumerPrefix: 'corp:{tid}:'")).toEqual([]);
  });
});

describe("is refused", () => {
  const from = (keys: string, algorithms = "[RS256]"): string => `${WHO}, ${keys}, algorithms: ${algorithms}`;
  test.each<[string, string, ...RegExp[]]>([
    ["no algorithms", `${WHO}, discovery: true`, /^auth.corp.jwt.algorithms: is required.*the token must not choose/s],
    ["an empty list", from("discovery: true", "[]"), /algorithms: expected at least 1 entry/],
    ["none", from("discovery: true", "[none]"), /algorithms\[0\]: `none` would let tokens in that nobody signed: list/],
    ["None", from("discovery: true", "[RS256, NoNe]"), /algorithms\[1\]: `none` would let tokens in/],
    ["an unknown algorithm", from("discovery: true", "[RS257]"), /algorithms\[0\]: expected RS256.*did you mean `RS256`/s],
    ["no issuer", "audience: a, discovery: true, algorithms: [RS256]", /issuer: is required/],
    ["no audience", "issuer: a, jwks: 'https://a/', algorithms: [RS256]", /audience: is required.*or `false`/s],
    ["no keys", `${WHO}, algorithms: [RS256]`, /jwks: where the keys come from is missing.*add jwks, discovery, keys or secret/s],
    ["two origins", from("discovery: true, jwks: 'https://a/'"), /discovery: stands beside `jwks`/],
    [
      "HS with published keys",
      from("jwks: 'https://a/'", "[RS256, HS256]"),
      /algorithms: HS256 needs a shared secret.*remove it, or give `secret`/s,
    ],
    ["HS with discovery", from("discovery: true", "[HS512]"), /algorithms: HS512 needs a shared secret/],
    ["HS with a public key", from("keys: 'file:public.pem'", "[HS256]"), /algorithms: none of the keys fits HS256.*never a public key/s],
    ["RS with a secret", from(`secret: '${SECRET}'`), /algorithms: none of the keys fits RS256.*a shared secret fits HS256/s],
    ["a public key as secret", from("secret: 'file:public.pem'", "[HS256]"), /secret: is a PEM key.*a public key is no secret/s],
    ["a short secret", from("secret: short", "[HS256]"), /secret: is too short: HS256 needs 32 bytes.*openssl rand/s],
    ["a secret too short for HS512", from(`secret: '${SECRET}'`, "[HS512]"), /algorithms: none of the keys fits HS512.*longer secret/s],
    ["a file whose only key is for encryption", from("keys: 'file:enc.json'"), /keys: keys\[0\] is not for signatures/],
    ["a private key beside a good one", from("keys: 'file:leaked.json'", "[ES256]"), /keys: keys\[1\] is a private key/],
    [
      "any tenant without saying so",
      `${TENANTS}, jwks: 'https://a/', algorithms: [RS256]`,
      /tenants: everybody can become a tenant.*insecure: \[any-tenant\]/s,
    ],
    [
      "tenants and any tenant",
      `${TENANTS}, tenants: [a], insecure: [any-tenant], jwks: 'https://a/', algorithms: [RS256]`,
      /insecure: any-tenant stands beside `tenants`/,
    ],
    ["tenants of one issuer", from("jwks: 'https://a/', tenants: [a]"), /tenants: the issuer has no name in braces/],
    ["any tenant of one issuer", from("jwks: 'https://a/', insecure: [any-tenant]"), /insecure: the issuer has no name in braces/],
    [
      "any issuer without saying so",
      "issuer: any, audience: api, jwks: 'https://a/', algorithms: [RS256]",
      /issuer: whoever has one of the keys could issue tokens.*to take any, add `insecure: \[any-issuer\]`/s,
    ],
    [
      "any issuer beside a named one",
      from("jwks: 'https://a/', insecure: [any-issuer]"),
      /insecure: any-issuer stands beside an issuer that is named; remove it, or write `issuer: any`/,
    ],
    [
      "any issuer by discovery",
      "issuer: any, insecure: [any-issuer], audience: api, discovery: 'https://a/', algorithms: [RS256]",
      /discovery: a discovery document belongs to one issuer, and none is named/,
    ],
    [
      "any issuer among others",
      `providers: [{ ${WHO}, discovery: true, algorithms: [RS256] }, { issuer: any, insecure: [any-issuer], audience: b, keys: 'file:public.pem', algorithms: [RS256] }]`,
      /providers\[1\].issuer: a provider for any issuer stands alone.*two authenticators/s,
    ],
    [
      "a way out of another kind",
      from("jwks: 'https://a/', insecure: [weak-hashes]"),
      /insecure\[0\]: `weak-hashes` opens nothing here: it belongs under auth.NAME.basic/,
    ],
    [
      "a way out that nobody knows",
      from("jwks: 'https://a/', insecure: [http-jwk]"),
      /insecure\[0\]: expected any-issuer.*did you mean `http-jwks`/s,
    ],
    [
      "http for keys that come by https",
      from("jwks: 'https://a/', insecure: [http-jwks]"),
      /insecure: http-jwks opens nothing: the keys come by https/,
    ],
    [
      "http for keys of a file",
      from("keys: 'file:public.pem', insecure: [http-jwks]"),
      /insecure: http-jwks opens nothing: no key is fetched/,
    ],
    [
      "a tenant with a slash",
      `${TENANTS}, tenants: ['a/b'], jwks: 'https://a/', algorithms: [RS256]`,
      /tenants\[0\]: expected 1 to 64 letters/,
    ],
    [
      "two names in braces",
      "issuer: 'https://{a}/{b}', audience: api, tenants: [x], jwks: 'https://a/', algorithms: [RS256]",
      /issuer: has other braces/,
      /tenants: the issuer has no name/,
    ],
    [
      "braces that are no name",
      "issuer: 'https://x/{a.b}/', audience: api, jwks: 'https://a/', algorithms: [RS256]",
      /issuer: has other braces/,
    ],
    [
      "a URL made of a claim",
      `${TENANTS}, tenants: [a], discovery: true, algorithms: [RS256]`,
      /discovery: no one document belongs to this issuer, and no claim is put into a URL/,
    ],
    [
      "a tenant's place in the prefix of one issuer",
      from("jwks: 'https://a/', consumerPrefix: 'x:{tid}:'"),
      /consumerPrefix: the issuer has no name in braces/,
    ],
    [
      "another name in the prefix",
      `${TENANTS}, tenants: [a], jwks: 'https://a/', algorithms: [RS256], consumerPrefix: 'x:{org}:'`,
      /consumerPrefix: the name in its braces is not the issuer's.*write \{tid\}/s,
    ],
    [
      "a tenant that could run into the id",
      `${TENANTS}, tenants: [a], jwks: 'https://a/', algorithms: [RS256], consumerPrefix: 'x:{tid}'`,
      /consumerPrefix: the tenant's name could run into others/,
    ],
    [
      "a tenant with nothing before it",
      `${TENANTS}, tenants: [a], jwks: 'https://a/', algorithms: [RS256], consumerPrefix: '{tid}:'`,
      /consumerPrefix: the tenant's name could run into others/,
    ],
    [
      "patterns that could be the same issuer",
      `providers: [{ issuer: 'https://{a}.x/v1', audience: a, tenants: [t], jwks: 'https://a/', algorithms: [RS256] }, { issuer: 'https://y.{b}/v1', audience: a, tenants: [t], jwks: 'https://a/', algorithms: [RS256] }]`,
      /providers\[1\].issuer: the same `iss` could be one of another provider's issuers/,
    ],
    [
      "prefixes that begin alike up to the tenant",
      `providers: [{ issuer: 'https://{a}.x/v1', audience: a, tenants: [t], jwks: 'https://a/', algorithms: [RS256], consumerPrefix: 'x:{a}:' }, { issuer: y, audience: a, jwks: 'https://a/', algorithms: [RS256], consumerPrefix: 'x:' }]`,
      /the consumerPrefix x: begins as x:\{a\}: of corp does/,
    ],
    [
      "plain http",
      from("jwks: 'http://id.example.com/jwks'"),
      /jwks: keys must not be fetched over plain http.*https:\/\/.*insecure: \[http-jwks\]/s,
    ],
    ["ftp, whatever is opened", from("jwks: 'ftp://id.example.com/jwks', insecure: [http-jwks]"), /jwks: expected an https:\/\/ URL[^[]*$/],
    [
      "plain http discovery",
      "issuer: 'http://id.example.com', audience: a, discovery: true, algorithms: [RS256]",
      /discovery: keys must not be fetched over plain http/,
    ],
    ["http to what only looks like loopback", from("jwks: 'http://127.0.0.1.evil.example/'"), /plain http/],
    ["another scheme", from("jwks: 'file:///etc/keys'"), /jwks: expected an https:\/\/ URL/],
    ["no URL", from("jwks: keys.json"), /jwks: expected an absolute URL/],
    ["credentials in a URL", from("jwks: 'https://u:p@a/'"), /jwks: expected a URL without credentials/],
    ["a weak RSA key", from("keys: 'file:weak.json'"), /keys: keys\[0\] has 1024 bits: RSA keys need at least 2048.*remove or mend/s],
    ["a private JWK", from("keys: 'file:private.json'"), /keys: keys\[0\] is a private key/],
    ["a private PEM", from("keys: 'file:private.pem'"), /keys: holds a private key/],
    ["no key", from("keys: 'file:words.txt'"), /keys: is neither PEM nor JSON/],
    ["no such file", from("keys: 'file:nothing.json'"), /keys: can't read nothing.json/],
    ["no such secret", from("secret: 'file:nothing.key'", "[HS256]"), /secret: can't read nothing.key/],
    ["a key that fits no algorithm", from("keys: 'file:public.pem'", "[ES256]"), /algorithms: none of the keys fits ES256/],
    [
      "tokens without end",
      from("discovery: true, requireExp: false"),
      /requireExp: without `exp` a token would be good for ever.*add maxAge/s,
    ],
    [
      "two providers of one issuer",
      `providers: [{ ${from("discovery: true")} }, { ${from("discovery: true")} }]`,
      /providers\[1\].issuer: another provider has the same issuer/,
    ],
    ["a wrong provider", `providers: [{ ${WHO}, discovery: true, algorithms: [none] }]`, /providers\[0\].algorithms\[0\]: `none`/],
    ["a provider without keys", `providers: [{ ${WHO}, algorithms: [RS256] }]`, /providers\[0\].jwks: where the keys come from is missing/],
    [
      "fields beside providers",
      `${WHO}, providers: [{ ${from("discovery: true")} }]`,
      /issuer: stands beside `providers`/,
      /audience: stands beside `providers`/,
    ],
    ["a cookie without name", `${from("discovery: true")}, in: cookie`, /name: is required for a cookie/],
    ["a skew of hours", `${from("discovery: true")}, clockSkew: 2h`, /clockSkew: expected at most 10m/],
    ["an unknown key", `${from("discovery: true")}, algorithm: RS256`, /algorithm: unknown key.*did you mean `algorithms`/s],
    ["an empty claim path", `${from("discovery: true")}, claims: { consumer: a..b }`, /claims.consumer: expected the name of a claim/],
  ])("%s", (_, jwt, ...expected) => {
    const found = problems(jwt);
    expect(found).toHaveLength(expected.length);
    for (const [i, each] of expected.entries()) expect(found[i]).toMatch(each);
  });

  test("no message holds the secret", () => {
    const short = "hunter2-hunter2";
    expect(problems(from(`secret: '${short}'`, "[HS256]")).join()).not.toContain(short);
    expect(problems(from("secret: '$\u007bKEY}'", "[HS256]"), { KEY: short }).join()).not.toContain(short);
  });
});

test("what is shown of a configuration hides secrets, also those in key sets", () => {
  for (const jwt of [`${WHO}, secret: 'file:hs.key', algorithms: [HS256]`, `${WHO}, keys: 'file:oct.json', algorithms: [HS256]`]) {
    const result = load(jwt);
    if (!result.ok) throw new Error(result.problems.map(formatProblem).join());
    const shown = JSON.stringify(redactConfig(result.config));
    expect(shown).toContain("corp");
    expect(shown).not.toContain(SECRET);
    expect(shown).not.toContain(Buffer.from(SECRET).toString("base64url"));
  }
});

test("files that were read are watched", () => {
  expect(load(`${WHO}, keys: 'file:public.pem', algorithms: [RS256]`).files).toContain(path.join(folder, "public.pem"));
});

test("sources are the same exactly when everything about them is", () => {
  const id = (more: object) =>
    jwtSchema().parse({ issuer: "https://a", audience: "x", jwks: "https://a/jwks", algorithms: ["RS256"], ...more }).providers[0]?.source
      ?.id;
  expect(id({ audience: "y", algorithms: ["ES256"] })).toBe(id({}));
  expect(id({ keyFetch: { timeout: "1s" } })).not.toBe(id({}));
  expect(id({ jwks: "https://b/jwks" })).not.toBe(id({}));
});
