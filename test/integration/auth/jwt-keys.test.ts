// Keys from a real OpenID Connect provider: discovery, rotation under load, floods of unknown keys, a provider that is down, workers that come and go.
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { part, signingKey, token } from "../../support/jwt.ts";
import { KeyServer } from "../../support/key-server.ts";
import { OidcServer } from "../../support/oidc.ts";
import { Origin } from "../../support/origin.ts";
import { SteadyClient } from "../../support/steady-client.ts";
import { until } from "../../support/until.ts";

/** For what follows a message from the primary to all workers. */
const WITHIN = { timeout: 10_000 };

let origin: Origin;
beforeEach(async () => {
  origin = await Origin.start("u");
});
afterEach(() => origin[Symbol.asyncDispose]());

interface Sketch {
  readonly issuer: string;
  /** YAML: where keys come from. */
  readonly keys: string;
  readonly keyFetch?: string;
  readonly workers?: number;
}

const config = ({ issuer, keys, keyFetch = "cooldown: 1h", workers = 2 }: Sketch): string => `version: 1
workers: ${workers}
listeners: [{ address: 127.0.0.1:0 }]
admin: { address: 127.0.0.1:0 }
upstreams: { u: { targets: [{ url: "${origin.url}" }] } }
auth: { corp: { jwt: { issuer: "${issuer}", audience: api, ${keys}, algorithms: [RS256], keyFetch: { ${keyFetch} } } } }
routes: [{ name: all, match: { path: /** }, auth: corp, to: u }]
`;

const status = async (gateway: Gateway, text: string): Promise<number> => {
  const response = await fetch(gateway.url, { headers: { authorization: `Bearer ${text}`, connection: "close" } });
  await response.arrayBuffer();
  return response.status;
};

/** Requests on new connections reach every worker before long. */
async function statuses(gateway: Gateway, texts: readonly string[]): Promise<Set<number>> {
  return new Set(await Promise.all(texts.map((text) => status(gateway, text))));
}

const metric = async (gateway: Gateway, name: string): Promise<number> => {
  const text = String((await gateway.admin("GET", "/metrics")).body);
  return Number(new RegExp(`^${name.replace(/[{}"]/g, "\\$&")} (.*)$`, "m").exec(text)?.[1] ?? "NaN");
};

const oneOf = (texts: readonly string[]) => {
  let i = 0;
  return () => ({ authorization: `Bearer ${texts[i++ % texts.length]}` });
};

describe("a real provider", () => {
  test("its keys rotate under load and no valid token is refused, after one fetch", async () => {
    await using oidc = await OidcServer.start();
    await using gateway = await Gateway.start({ config: config({ issuer: oidc.issuer, keys: "discovery: true" }) });
    expect(oidc.fetches).toBe(1);
    const load = { url: gateway.url, connections: 8, keepAlive: true };
    const old = new SteadyClient({ ...load, headers: oneOf(await oidc.tokens(20)) });
    await until("there is load", () => old.ok > 200);
    oidc.rotate("k2");
    const young = new SteadyClient({ ...load, headers: oneOf(await oidc.tokens(20)) });
    await until("both are served", () => young.ok > 500 && old.ok > 500);
    await old.stop();
    await young.stop();
    expect([...old.failures, ...young.failures]).toEqual([]);
    expect(oidc.fetches).toBe(2);
    expect(await statuses(gateway, await oidc.tokens(20))).toEqual(new Set([200]));
    expect(oidc.fetches).toBe(2);
  });

  test("a key that it withdraws ends its tokens with the next refresh, on every worker", async () => {
    await using oidc = await OidcServer.start();
    const keyFetch = "refreshMin: 100ms, refreshMax: 100ms, cooldown: 1h";
    await using gateway = await Gateway.start({ config: config({ issuer: oidc.issuer, keys: "discovery: true", keyFetch }) });
    const old = await oidc.tokens(10);
    expect(await statuses(gateway, old)).toEqual(new Set([200]));
    oidc.rotate("k2", 0);
    const { fetches } = oidc;
    await until("the new set is fetched", () => oidc.fetches > fetches + 1);
    await expect.poll(() => statuses(gateway, old), WITHIN).toEqual(new Set([401]));
    expect(await statuses(gateway, await oidc.tokens(10))).toEqual(new Set([200]));
  });

  test("a key that it replaces under the same name is found by one fetch, at whichever worker its tokens come; forged ones cause no more", async () => {
    await using server = await KeyServer.start();
    const [before, after, forged] = [signingKey("RS256", "k"), signingKey("RS256", "k"), signingKey("RS256", "k")];
    server.keys = [before.jwk];
    await using gateway = await Gateway.start({ config: config({ issuer: server.url, keys: `jwks: "${server.jwks}"` }) });
    const tokens = (key: typeof before) => Array.from({ length: 20 }, (_, i) => token(key, { iss: server.url, jti: String(i) }));
    expect(await statuses(gateway, tokens(before))).toEqual(new Set([200]));
    server.keys = [after.jwk];
    expect(await statuses(gateway, tokens(after))).toEqual(new Set([200]));
    expect(await statuses(gateway, [...tokens(forged), ...tokens(before)])).toEqual(new Set([401]));
    expect(server.fetches).toBe(2);
  });

  test("while it is down, the keys at hand verify tokens never seen before; operators see it", async () => {
    await using oidc = await OidcServer.start();
    const keyFetch = "refreshMin: 100ms, refreshMax: 100ms";
    await using gateway = await Gateway.start({ config: config({ issuer: oidc.issuer, keys: "discovery: true", keyFetch }) });
    const tokens = await oidc.tokens(30);
    await oidc.stop();
    await gateway.said(
      `the keys at ${oidc.issuer}/.well-known/openid-configuration cannot be fetched: ECONNREFUSED; those at hand stay in use`,
    );
    for (let i = 0; i < 30; i += 10) expect(await statuses(gateway, tokens.slice(i, i + 10))).toEqual(new Set([200]));
    const url = `${oidc.issuer}/.well-known/openid-configuration`;
    expect(await metric(gateway, `sluice_key_source_up{url="${url}"}`)).toBe(0);
    expect(await metric(gateway, `sluice_key_source_keys{url="${url}"}`)).toBe(1);
    expect((await gateway.admin("GET", "/readyz")).body).toMatchObject({
      status: "ready",
      concerns: [expect.stringMatching(/keys at .* cannot be fetched/)],
    });
    // Nobody can tell whether a key that is not at hand exists.
    expect(await status(gateway, token({ ...signingKey("RS256", "new") }, { iss: oidc.issuer }))).toBe(503);
  });
});

describe("a provider that is down at the start", () => {
  test("the gateway starts, refuses with 503, and serves as soon as the keys are there", async () => {
    const key = signingKey("RS256", "a");
    const first = await KeyServer.start();
    const port = Number(new URL(first.url).port);
    await first.close();
    await using gateway = await Gateway.start({ config: config({ issuer: first.url, keys: `jwks: "${first.jwks}"` }) });
    const text = token(key, { iss: first.url });
    const refused = await fetch(gateway.url, { headers: { authorization: `Bearer ${text}` } });
    expect([refused.status, await refused.json()]).toMatchObject([503, { code: "auth_unavailable" }]);
    expect(origin.requests).toBe(0);
    await using server = await KeyServer.start({ port });
    server.keys = [key.jwk];
    await gateway.said(`the keys at ${first.jwks} can be fetched again`);
    await expect.poll(() => statuses(gateway, [text, text, text, text]), WITHIN).toEqual(new Set([200]));
  });
});

test("a flood of unknown keys leads to one fetch in a cooldown, over all workers", async () => {
  const key = signingKey("RS256", "a");
  await using server = await KeyServer.start();
  server.keys = [key.jwk];
  await using gateway = await Gateway.start({ config: config({ issuer: server.url, keys: `jwks: "${server.jwks}"` }) });
  expect(server.fetches).toBe(1);
  const [, payload = "", signed = ""] = token(key, { iss: server.url }).split(".");
  const forged = Array.from({ length: 3000 }, (_, i) => `${part({ alg: "RS256", kid: `random-${i}` })}.${payload}.${signed}`);
  const before = token(key, { iss: server.url });
  let i = 0;
  const headers = () => ({ authorization: `Bearer ${forged[i++ % forged.length]}` });
  const flood = new SteadyClient({ url: gateway.url, connections: 16, keepAlive: true, headers });
  await until("the flood is through", () => i >= forged.length, 30_000);
  await flood.stop();
  expect(flood.ok).toBe(0);
  expect(new Set(flood.failures.map((each) => each.slice(0, 10)))).toEqual(new Set(["status 401"]));
  expect(server.fetches).toBe(2);
  expect(await status(gateway, before)).toBe(200);
});

describe("workers", () => {
  test("one that replaces a dead one has the keys of now", async () => {
    const [a, b] = [signingKey("RS256", "a"), signingKey("RS256", "b")];
    await using server = await KeyServer.start();
    server.keys = [a.jwk];
    await using gateway = await Gateway.start({ config: config({ issuer: server.url, keys: `jwks: "${server.jwks}"`, workers: 1 }) });
    server.keys = [b.jwk];
    expect(await status(gateway, token(b, { iss: server.url }))).toBe(200);
    await gateway.admin("POST", "/debug/crash?worker=0");
    await gateway.said("a worker was replaced");
    expect(await status(gateway, token(b, { iss: server.url, jti: "1" }))).toBe(200);
    expect(await status(gateway, token(a, { iss: server.url }))).toBe(401);
    expect(server.fetches).toBe(2);
  });

  test("a reload brings the keys of a new provider, and keeps those that stay", async () => {
    const key = signingKey("RS256", "a");
    await using one = await KeyServer.start();
    await using two = await KeyServer.start();
    one.keys = [key.jwk];
    two.keys = [key.jwk];
    const sketch = { issuer: one.url, keys: `jwks: "${one.jwks}"` };
    await using gateway = await Gateway.start({ config: config(sketch) });
    const text = token(key, { iss: one.url });
    expect(await status(gateway, text)).toBe(200);
    gateway.writeConfig(config(sketch).replace("name: all", "name: renamed"));
    await gateway.said("reloaded");
    expect(await status(gateway, text)).toBe(200);
    expect(one.fetches).toBe(1);
    gateway.writeConfig(config({ issuer: two.url, keys: `jwks: "${two.jwks}"` }));
    await gateway.said("reloaded", 2);
    expect(await statuses(gateway, [token(key, { iss: two.url }), token(key, { iss: two.url, jti: "1" })])).toEqual(new Set([200]));
    expect(await status(gateway, text)).toBe(401);
    expect([one.fetches, two.fetches]).toEqual([1, 1]);
  });

  test("a drain ends while tokens are being verified", async () => {
    const key = signingKey("RS256", "a");
    await using server = await KeyServer.start();
    server.keys = [key.jwk];
    const gateway = await Gateway.start({ config: config({ issuer: server.url, keys: `jwks: "${server.jwks}"` }) });
    let i = 0;
    const bad = token(key, { iss: server.url }).slice(0, -5);
    const forged = Array.from({ length: 5000 }, (_, n) => `${bad}${n.toString(36).padStart(4, "A")}A`);
    const headers = () => ({ authorization: `Bearer ${forged[i++ % forged.length]}` });
    const flood = new SteadyClient({ url: gateway.url, connections: 32, keepAlive: true, headers });
    await until("the flood is on", () => i > 500);
    expect(await gateway.stop()).toBe(0);
    await flood.stop();
    expect(flood.ok).toBe(0);
    await gateway[Symbol.asyncDispose]();
  });
});
