// The life of a key source against a real HTTP server: fetched, refreshed, kept while the provider is down, asked once for unknown keys.
import fs from "node:fs";
import type { ServerResponse } from "node:http";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { KeySource } from "../../../../src/control/keys/key-source.ts";
import { KeySources } from "../../../../src/control/keys/key-sources.ts";
import { jwtSchema } from "../../../../src/data/policies/auth/jwt/config.ts";
import type { KeySetMap, KeySourcePlan, VerificationKeyPlan } from "../../../../src/plan/keys.ts";
import type { AuthenticatorPlan } from "../../../../src/plan/plan.ts";
import { Authority } from "../../../support/authority.ts";
import { signingKey } from "../../../support/jwt.ts";
import { KeyServer } from "../../../support/key-server.ts";
import { until } from "../../../support/until.ts";

const a = signingKey("RS256", "a").jwk;
const b = signingKey("ES256", "b").jwk;

let server: KeyServer;
const sources: KeySource[] = [];
const events: string[] = [];
beforeEach(async () => {
  server = await KeyServer.start();
  server.keys = [a];
  events.length = 0;
});
afterEach(async () => {
  for (const source of sources.splice(0)) source.stop();
  await server.close();
});

const kids = (keys: readonly VerificationKeyPlan[] | null): string => keys?.map((key) => key.kid).join() ?? "none";

function planOf(changes: Partial<KeySourcePlan> = {}): KeySourcePlan {
  return {
    id: "s",
    kind: "jwks",
    url: server.jwks,
    issuer: server.url,
    timeoutMs: 2000,
    refreshMinMs: 3_600_000,
    refreshMaxMs: 3_600_000,
    cooldownMs: 3_600_000,
    staleForMs: 3_600_000,
    ca: null,
    allowHttp: false,
    ...changes,
  };
}

function start(changes: Partial<KeySourcePlan> = {}): KeySource {
  const source = new KeySource(planOf(changes), {
    random: () => 0.5,
    onKeys: (_, keys) => events.push(kids(keys)),
    onTrouble: (_, reason) => events.push(reason === null ? "well" : `trouble: ${reason}`),
  });
  sources.push(source);
  return source;
}

test("fetches at once, and says keys only when they changed", async () => {
  const source = start({ refreshMinMs: 20, refreshMaxMs: 20 });
  await source.firstAttempt;
  expect(events).toEqual(["a"]);
  await until("it is refreshed", () => server.fetches > 3);
  expect(events).toEqual(["a"]);
  server.keys = [a, b];
  await until("the new key is there", () => events.length > 1);
  expect(events).toEqual(["a", "a,b"]);
  expect(source.state()).toMatchObject({ state: "fresh", keys: 2, trouble: null, fetches: { failed: 0 } });
});

test("max-age decides within the bounds", async () => {
  server.headers = { "cache-control": "max-age=0" };
  start({ refreshMinMs: 30 });
  await until("it is refreshed soon", () => server.fetches > 2);
  server.headers = { "cache-control": "max-age=86400" };
  const { fetches } = server;
  await until("the last answer is in", () => server.fetches > fetches);
  const slow = start({ refreshMaxMs: 3_600_000, refreshMinMs: 1 });
  await slow.firstAttempt;
  const counted = server.fetches;
  // Whatever was due soon would have been fetched by the time three other fetches are through.
  for (let i = 0; i < 3; i++) await start().firstAttempt;
  expect(server.fetches).toBe(counted + 3);
});

test("keys at hand stay while the provider is down, and trouble is said once", async () => {
  const source = start({ refreshMinMs: 10, refreshMaxMs: 10 });
  await source.firstAttempt;
  server.answer = (response) => response.writeHead(500).end();
  await until("it failed", () => events.length > 1);
  await source.check();
  expect(events).toEqual(["a", "trouble: status 500"]);
  expect(source.state()).toMatchObject({ state: "stale", keys: 1, trouble: "status 500" });
  server.answer = null;
  await until("it is well again", () => events.includes("well"));
  expect(kids(source.keys)).toBe("a");
  expect(events).toEqual(["a", "trouble: status 500", "well"]);
});

test("keys that are too old are dropped", async () => {
  const source = start({ refreshMinMs: 10, refreshMaxMs: 10, staleForMs: 1 });
  await source.firstAttempt;
  server.answer = (response) => response.destroy();
  await until("they are dropped", () => events.includes("none"));
  expect(source.state()).toMatchObject({ state: "missing", keys: 0 });
});

test.each<[string, NonNullable<KeyServer["answer"]>, RegExp]>([
  ["an error", (response) => response.writeHead(503).end(), /^status 503$/],
  [
    "a redirect to another host",
    (response) => response.writeHead(302, { location: "http://127.0.0.2:1/jwks.json" }).end(),
    /^status 302: redirects to another origin are not followed/,
  ],
  [
    "a redirect to another scheme",
    (response) => response.writeHead(301, { location: server.jwks.replace("http:", "https:") }).end(),
    /^status 301: redirects to another origin/,
  ],
  [
    "a redirect with a password",
    (response) => response.writeHead(307, { location: server.jwks.replace("//", "//a:b@") }).end(),
    /^status 307: redirects to another origin/,
  ],
  ["a redirect to nowhere", (response) => response.writeHead(302).end(), /^status 302 without a Location/],
  ["a redirect to itself", (response) => response.writeHead(302, { location: "/jwks.json" }).end(), /^more than 5 redirects/],
  ["a status that only looks like one", (response) => response.writeHead(304, { location: "/jwks.json?2" }).end(), /^status 304$/],
  ["no JSON", (response) => response.end("<html>"), /not JSON/],
  ["no key set", (response) => response.end("{}"), /not a JWK set/],
  ["no usable key", (response) => response.end(JSON.stringify({ keys: [{ kty: "oct", k: "AAAA" }] })), /no usable key.*shared secret/],
  ["an empty set", (response) => response.end('{"keys":[]}'), /no usable key/],
  ["too much", (response) => response.end("x".repeat(600_000)), /larger than 512 KiB/],
  ["something compressed", (response) => response.writeHead(200, { "content-encoding": "gzip" }).end("x"), /compressed/],
  ["nothing", (response) => void response.writeHead(200).flushHeaders(), /no answer within 100 ms/],
  ["a reset", (response) => void response.destroy(), /ECONNRESET/],
])("%s is no key set", async (_, answer, reason) => {
  server.answer = answer;
  const source = start(reason.source.includes("100 ms") ? { timeoutMs: 100 } : {});
  await source.firstAttempt;
  expect(source.keys).toBeNull();
  expect(source.state()).toMatchObject({ state: "missing", trouble: expect.stringMatching(reason), ageMs: null });
  server.answer = null;
});

test.each([301, 302, 303, 307, 308])("a redirect %d within the origin is followed, relative or absolute", async (status) => {
  const targets = ["/keys/jwks.json", `${server.url}/keys/v2`];
  server.answer = (response) => {
    const location = targets.shift();
    if (location === undefined) response.end(JSON.stringify({ keys: [b] }));
    else response.writeHead(status, { location }).end("moved");
  };
  const source = start();
  await source.firstAttempt;
  expect(kids(source.keys)).toBe("b");
  expect(server.fetches).toBe(3);
});

test("a byte order mark is no part of the key set", async () => {
  server.answer = (response) => response.end(`\ufeff${JSON.stringify({ keys: [a] })}`);
  const source = start();
  await source.firstAttempt;
  expect(kids(source.keys)).toBe("a");
});

test.each<[string, string, string | null]>([
  ["names its issuers by a pattern with a name of its own", "https://login.example/{tenantid}/v2.0", null],
  ["names another pattern", "https://login.example/{tenantid}/v1.0", "the discovery document is another issuer's"],
  ["names one tenant", "https://login.example/t-1/v2.0", "the discovery document is another issuer's"],
])("a discovery document that %s", async (_, issuer, trouble) => {
  server.discovery = { issuer, jwks_uri: server.jwks };
  const url = `${server.url}/.well-known/openid-configuration`;
  const source = start({ kind: "discovery", url, issuer: "https://login.example/{tid}/v2.0" });
  await source.firstAttempt;
  expect([kids(source.keys), source.state().trouble]).toEqual([trouble === null ? "a" : "none", trouble]);
});

describe("unknown keys", () => {
  test("are asked for once in a cooldown, however many ask", async () => {
    const source = start({ cooldownMs: 3_600_000 });
    await source.firstAttempt;
    server.keys = [a, b];
    const answers = await Promise.all(Array.from({ length: 1000 }, () => source.check()));
    expect(new Set(answers.map((answer) => answer.ok))).toEqual(new Set([true]));
    expect(events).toEqual(["a", "a,b"]);
    expect(server.fetches).toBe(2);
    const again = await source.check();
    expect(again.ok).toBe(true);
    expect(again.restMs).toBeGreaterThan(0);
    expect(server.fetches).toBe(2);
  });

  test("a fetch that began before the question does not count as its answer", async () => {
    const held: ServerResponse[] = [];
    server.answer = (response) => void held.push(response);
    const source = start();
    await until("the first fetch is under way", () => held.length === 1);
    const checking = source.check();
    server.answer = null;
    server.keys = [a, b];
    held[0]?.end(JSON.stringify({ keys: [a] }));
    expect(await checking).toMatchObject({ ok: true });
    expect(events).toEqual(["a", "a,b"]);
    expect(server.fetches).toBe(2);
  });

  test("the answer says when the provider is down", async () => {
    const source = start();
    await source.firstAttempt;
    server.answer = (response) => response.writeHead(500).end();
    expect(await source.check()).toMatchObject({ ok: false });
    expect(await source.check()).toMatchObject({ ok: false });
    expect(server.fetches).toBe(2);
  });
});

describe("discovery", () => {
  const discovery = () => ({ kind: "discovery" as const, url: `${server.url}/.well-known/openid-configuration` });

  test("finds the key set, and asks for the document once", async () => {
    const source = start(discovery());
    await source.firstAttempt;
    expect(kids(source.keys)).toBe("a");
    await source.check();
    expect([server.discoveries, server.fetches]).toEqual([1, 2]);
  });

  test.each<[string, unknown, RegExp]>([
    ["another issuer's document", { issuer: "https://evil.example", jwks_uri: "https://evil.example/jwks" }, /another issuer's/],
    ["no issuer", { jwks_uri: "https://evil.example/jwks" }, /another issuer's/],
    ["no object", [], /another issuer's/],
  ])("%s is refused", async (_, document, reason) => {
    server.discovery = document;
    const source = start(discovery());
    await source.firstAttempt;
    expect(source.state().trouble).toMatch(reason);
    expect(server.fetches).toBe(0);
  });

  test.each<[unknown, RegExp]>([
    ["http://id.example.com/jwks", /plain http/],
    ["file:///etc/passwd", /https/],
    [undefined, /no jwks_uri/],
    [1, /no jwks_uri/],
  ])("the key set is not fetched from %s", async (jwksUri, reason) => {
    server.discovery = { issuer: server.url, jwks_uri: jwksUri };
    const source = start(discovery());
    await source.firstAttempt;
    expect(source.state().trouble).toMatch(reason);
  });
});

test("a key set over plain http is fetched where the operator has opened that", async () => {
  // This machine, and no address of it as far as the rule knows.
  server.discovery = { issuer: server.url, jwks_uri: server.jwks.replace("127.0.0.1", "0.0.0.0") };
  const plan = { kind: "discovery" as const, url: `${server.url}/.well-known/openid-configuration` };
  const [closed, open] = [start(plan), start({ ...plan, allowHttp: true })];
  await Promise.all([closed.firstAttempt, open.firstAttempt]);
  expect(closed.state().trouble).toMatch(/plain http/);
  expect(open.state()).toMatchObject({ trouble: null, state: "fresh", keys: 1 });
});

test("TLS is verified, against the authorities given", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-keys-"));
  const authority = new Authority(folder);
  const { cert, key } = authority.issue("id", ["127.0.0.1"]);
  await using tls = await KeyServer.start({ tls: { cert: fs.readFileSync(cert), key: fs.readFileSync(key) } });
  tls.keys = [a];
  const trusting = start({ url: tls.jwks, ca: fs.readFileSync(authority.ca, "utf8") });
  await trusting.firstAttempt;
  expect(kids(trusting.keys)).toBe("a");
  const strict = start({ url: tls.jwks });
  await strict.firstAttempt;
  expect(strict.state().trouble).toMatch(/SIGNED|VERIFY|ISSUER/);
  const { fetches } = tls;
  expect(fetches).toBe(1);
  const stranger = start({ url: tls.jwks, ca: fs.readFileSync(new Authority(folder, "other").ca, "utf8") });
  await stranger.firstAttempt;
  expect(stranger.keys).toBeNull();
  fs.rmSync(folder, { recursive: true });
});

describe("sources of plans", () => {
  const news: KeySetMap[] = [];
  const warnings: string[] = [];
  const all = () =>
    new KeySources({
      random: Math.random,
      onChange: (sets) => news.push(sets),
      onWarning: (message) => warnings.push(message),
      onInfo: (message) => warnings.push(message),
    });
  const authenticator = (name: string, jwks: string): AuthenticatorPlan => {
    const config = jwtSchema().parse({ issuer: "https://a", audience: "x", jwks, algorithms: ["RS256"], keyFetch: { timeout: "1s" } });
    return { name, kind: "jwt", config, forwardCredentials: false, insecure: [], fingerprint: name };
  };
  beforeEach(() => {
    news.length = 0;
    warnings.length = 0;
  });

  test("a plan gets its keys, two authenticators share a source, and what no plan uses ends", async () => {
    const keys = all();
    const plan = {
      authenticators: [
        authenticator("one", server.jwks),
        authenticator("two", server.jwks),
        { name: "x", kind: "basic", config: {}, forwardCredentials: false, insecure: [], fingerprint: "" },
      ],
    };
    const prepared = await keys.prepare(plan);
    expect([...prepared.sets.values()].map((set) => kids(set.keys))).toEqual(["a"]);
    expect(server.fetches).toBe(1);
    prepared.commit();
    expect(keys.states()).toMatchObject([{ url: server.jwks, authenticators: ["one", "two"], state: "fresh", keys: 1 }]);
    const same = await keys.prepare(plan);
    same.commit();
    expect(server.fetches).toBe(1);
    (await keys.prepare({ authenticators: [] })).commit();
    expect(keys.states()).toEqual([]);
    const anew = await keys.prepare(plan);
    expect(server.fetches).toBe(2);
    anew.abandon();
    keys.stop();
  });

  test("an abandoned plan leaves the one in force its sources", async () => {
    const keys = all();
    const plan = { authenticators: [authenticator("one", server.jwks)] };
    (await keys.prepare(plan)).commit();
    (await keys.prepare({ authenticators: [] })).abandon();
    expect(keys.states()).toHaveLength(1);
    keys.stop();
  });

  test("keys that come after a plan was prepared are said when it takes force", async () => {
    server.answer = (response) => response.writeHead(500).end();
    const keys = all();
    const plan = { authenticators: [authenticator("one", server.jwks)] };
    const prepared = await keys.prepare(plan);
    expect([...prepared.sets.values()]).toEqual([{ version: 0, keys: null }]);
    expect(warnings).toEqual([
      `the keys at ${server.jwks} cannot be fetched: status 500; there are none yet: its tokens are answered with 503`,
    ]);
    server.answer = null;
    await until("the keys are there", () => news.length === 1);
    prepared.commit();
    expect(news.map((sets) => [...sets.values()].map((set) => kids(set.keys)))).toEqual([["a"], ["a"]]);
    expect(warnings).toHaveLength(2);
    keys.stop();
  });

  test("a question about a source that is no more is answered", async () => {
    expect(await all().check("gone")).toEqual({ ok: false, restMs: 0 });
  });
});
