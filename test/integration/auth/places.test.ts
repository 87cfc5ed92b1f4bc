// Credentials where people have them, through a real gateway on both engines: keys in one of several places, keys from the environment, users of an
// htpasswd file, authenticators that forward, and what the gateway says of the ways out that were taken.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} in configuration files is meant
import { hash } from "node:crypto";
import fs from "node:fs";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { signingKey, token } from "../../support/jwt.ts";
import { until, untilAsync } from "../../support/until.ts";

const KEY = `slk_${"k".repeat(43)}`;
const PLAIN = "a-key-as-people-have-it";
const BCRYPT_10 = "$2a$10$k87L/MF28Q673VKh8/cPi.SUl7MU/rWuSiIDDFayrKk/1tBsSQu4u"; // a
const APR1 = "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/"; // myPassword
const TOKEN = "admin-token-of-the-integration-test";
const rsa = signingKey("RS256", "rsa-1");

let folder: string;
let gateway: Gateway;
let server: Server;
/** What the service got last. */
let got: { url: string; headers: string } | null = null;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-places-"));
  fs.writeFileSync(path.join(folder, "users"), `# users\nann:${BCRYPT_10}\nben:${APR1}\n`);
  server = createServer((received, response) => {
    got = { url: received.url ?? "", headers: received.rawHeaders.join("\n") };
    response.end("from the service");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  gateway = await Gateway.start({
    env: { PARTNER_KEY: PLAIN },
    config: `version: 1
workers: 1
listeners: [{ address: "127.0.0.1:0" }, { address: "127.0.0.1:0", engine: net }]
admin: { address: "127.0.0.1:0", token: "${TOKEN}" }
limits: { policyTimeout: 5m } # however slow this machine is
auth:
  keys: { apiKey: { from: [{ header: x-api-key }, { header: authorization, scheme: Bearer }, { query: apikey }, { cookie: k }] } }
  kept: { apiKey: { from: [{ header: x-api-key }, { query: apikey }, { cookie: k }] }, forwardCredentials: true }
  tokens: { jwt: { issuer: any, insecure: [any-issuer], audience: false, keys: [${JSON.stringify(rsa.jwk)}], algorithms: [RS256], from: [{ header: authorization, scheme: Bearer }, { query: jwt }] } }
  users: { basic: { htpasswd: "file:${folder}/users", insecure: [weak-hashes], queue: 4 } }
consumers: [{ id: acme, keys: ["sha256:${hash("sha256", KEY)}", "\${PARTNER_KEY}"] }]
upstreams: { service: { targets: [{ url: "http://127.0.0.1:${port}" }] } }
routes:
  - { name: keys, match: { path: /keys }, auth: keys, to: service }
  - { name: kept, match: { path: /kept }, auth: kept, to: service }
  - { name: withheld, match: { path: /withheld }, auth: { any: [kept], forwardCredentials: false }, to: service }
  - { name: tokens, match: { path: /tokens }, auth: tokens, to: service }
  - { name: users, match: { path: /users }, auth: users, to: service }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  fs.rmSync(folder, { recursive: true });
});

type Headers = Record<string, string>;

/** @param from a loopback address of its own. @returns status, and the code of a problem or the service's answer */
function send(engine: Engine, target: string, headers: Headers = {}, from = "127.0.0.1"): Promise<string> {
  const { port } = new URL(gateway.urls[ENGINES.indexOf(engine)] ?? "");
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path: target, headers, localAddress: from, agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk) => (text += String(chunk)));
      response.on("end", () =>
        resolve(`${response.statusCode} ${response.headers["content-type"]?.includes("problem") === true ? JSON.parse(text).code : text}`),
      );
    });
    sent.on("error", reject);
    sent.end();
  });
}

const OK = "200 from the service";
const basic = (text: string): Headers => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });

describe.each(ENGINES)("%s", (engine) => {
  describe("a key in one of several places", () => {
    it.each<[string, string, Headers]>([
      ["a header", "/keys", { "x-api-key": KEY }],
      ["behind a scheme", "/keys", { authorization: `Bearer ${KEY}` }],
      ["the query", `/keys?a=1&apikey=${KEY}`, {}],
      ["a cookie", "/keys", { cookie: `a=1; k=${KEY}` }],
      ["plain in the environment", "/keys", { "x-api-key": PLAIN }],
    ])("%s gets in, and the service does not see it", async (_, target, headers) => {
      expect(await send(engine, target, headers)).toBe(OK);
      for (const key of [KEY, PLAIN]) expect(`${got?.url} ${got?.headers}`).not.toContain(key);
    });

    it.each<[string, string, Headers]>([
      ["the same key twice", `/keys?apikey=${KEY}`, { "x-api-key": KEY }],
      ["a right one before a wrong one", "/keys", { "x-api-key": KEY, cookie: "k=wrong" }],
      ["a wrong one before a right one", "/keys", { "x-api-key": "wrong", authorization: `Bearer ${KEY}` }],
      ["an empty one beside a right one", "/keys?apikey=", { "x-api-key": KEY }],
    ])("%s in two places is refused", async (_, target, headers) => {
      got = null;
      expect(await send(engine, target, headers)).toBe("401 credentials_invalid");
      expect(got).toBeNull();
    });

    it("another scheme is no credential, and goes on", async () => {
      expect(await send(engine, "/keys", { ...basic("a:b"), "x-api-key": KEY })).toBe(OK);
      expect(got?.headers).toContain("Basic YTpi");
      expect(await send(engine, "/keys", basic("a:b"))).toBe("401 credentials_missing");
    });

    it("none of the headers may be named by Connection", async () =>
      expect(await send(engine, "/keys", { "x-api-key": KEY, connection: "x-api-key" })).toMatch(/^400 /));
  });

  describe("an authenticator that forwards", () => {
    it.each<[string, string, Headers, string]>([
      ["a header", "/kept", { "x-api-key": KEY }, KEY],
      ["a query parameter", `/kept?apikey=${KEY}`, {}, KEY],
      ["a cookie", "/kept", { cookie: `k=${KEY}` }, KEY],
    ])("gives the service the key in %s, where its route does not say otherwise", async (_, target, headers, key) => {
      expect(await send(engine, target, headers)).toBe(OK);
      expect(`${got?.url} ${got?.headers}`).toContain(key);
      expect(await send(engine, target.replace("kept", "withheld"), headers)).toBe(OK);
      expect(`${got?.url} ${got?.headers}`).not.toContain(key);
    });
  });

  it("a token of whatever issuer gets in by one of its places, and not by two", async () => {
    const text = token(rsa, { iss: `https://whoever-${engine}.example`, sub: "alice" });
    const bearer = { authorization: `Bearer ${text}` };
    expect(await send(engine, "/tokens", bearer)).toBe(OK);
    expect(await send(engine, `/tokens?jwt=${text}`)).toBe(OK);
    expect(`${got?.url} ${got?.headers}`).not.toContain(text);
    expect(await send(engine, `/tokens?jwt=${text}`, bearer)).toBe("400 credentials_malformed");
  });

  describe("users of an htpasswd file", () => {
    it.each<[string, string]>([
      ["ann:a", OK],
      ["ben:myPassword", OK],
      ["ann:b", "401 credentials_invalid"],
      ["nobody:a", "401 credentials_invalid"],
    ])("%s: %s", async (credentials, expected) => {
      for (let i = 0; i < 2; i++) expect(await send(engine, "/users", basic(credentials))).toBe(expected);
      if (expected === OK) expect(got?.headers).toContain(`x-consumer-id\n${credentials.split(":")[0]}`);
    });

    it("a flood of wrong passwords from one address is 503, and lets in who comes from another", async () => {
      const flood = Array.from({ length: 30 }, (_, i) => send(engine, "/users", basic(`ann:wrong ${engine} ${i}`)));
      // Not remembered from the other engine.
      expect(await send(engine, "/users", basic(`ben:${engine}`), "127.0.0.2")).toBe("401 credentials_invalid");
      const codes = await Promise.all(flood);
      expect(new Set(codes)).toEqual(new Set(["503 auth_overloaded", "401 credentials_invalid"]));
    });
  });
});

it("a changed file of users counts as a reload does, and a broken one leaves all as it was", async () => {
  const file = path.join(folder, "users");
  fs.writeFileSync(file, `ann:${BCRYPT_10}\ncid:${BCRYPT_10}\n`);
  await untilAsync("cid gets in", async () => expect(await send("uws", "/users", basic("cid:a"))).toBe(OK));
  expect(await send("uws", "/users", basic("ben:myPassword"))).toBe("401 credentials_invalid");
  fs.writeFileSync(file, "ann:secret\n");
  await until("the mistake is told", () =>
    gateway.lines().some((line) => JSON.stringify(line).includes("line 1: ann: expected a hash of the password")),
  );
  expect(await send("uws", "/users", basic("cid:a"))).toBe(OK);
  expect(JSON.stringify(gateway.lines())).not.toContain(BCRYPT_10);
});

it("the ways out are told: in the log at the start, and on /readyz to operators", async () => {
  const url = new URL("/readyz", gateway.adminUrl);
  const told = async (headers: Headers): Promise<unknown> =>
    ((await (await fetch(url, { headers })).json()) as { insecure?: unknown }).insecure;
  expect(await told({ authorization: `Bearer ${TOKEN}` })).toEqual(["any-issuer (auth.tokens)", "weak-hashes (auth.users)"]);
  expect(await told({})).toBeUndefined();
  const log = JSON.stringify(gateway.lines());
  for (const warning of ["any-issuer: tokens are taken whatever issuer they name", "the key itself stands there"])
    expect(log).toContain(warning);
  expect(log).not.toContain(PLAIN);
});
