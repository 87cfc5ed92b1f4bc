// API keys, passwords, signed requests and opaque tokens through a real gateway, on both engines and two workers: who gets in, what the service
// sees of the credentials (nothing), and what the gateway writes down of them (nothing).
import { createHmac, hash, randomUUID } from "node:crypto";
import fs from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hashPassword } from "../../../src/data/credentials/password-hash.ts";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { IntrospectionProvider } from "../../support/introspection-provider.ts";
import { contentDigest, signMessage } from "../../support/message-signer.ts";
import { until } from "../../support/until.ts";

const KEY = `slk_${"k".repeat(43)}`;
const PEPPERED = `slk_${"p".repeat(43)}`;
const LATE = `slk_${"l".repeat(43)}`;
const PEPPER = "pepper of the integration test";
const SECRET = "signing secret of the integration test";
const CLIENT_SECRET = "client secret of the integration test";
const PASSWORD = "correct horse battery";

let folder: string;
let gateway: Gateway;
let provider: IntrospectionProvider;
let server: Server;
/** What the service got last. */
let got: { url: string; headers: string[]; body: string } | null = null;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-credentials-"));
  fs.mkdirSync(path.join(folder, "consumers"));
  server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    got = { url: request.url ?? "", headers: request.rawHeaders, body };
    response.end("from the service");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  provider = await IntrospectionProvider.start();
  const password = await hashPassword(PASSWORD, { scheme: "argon2id", memoryKib: 8192, passes: 1, lanes: 1 });
  gateway = await Gateway.start({
    files: { pepper: `${PEPPER}\n`, secret: SECRET, "client-secret": CLIENT_SECRET, password },
    config: `version: 1
workers: 2
listeners: [{ address: "127.0.0.1:0" }, { address: "127.0.0.1:0", engine: net }]
admin: { address: "127.0.0.1:0" }
auth:
  keys: { apiKey: { name: x-api-key, pepper: "file:pepper" } }
  query-keys: { apiKey: { in: query, name: api_key } }
  cookie-keys: { apiKey: { in: cookie, name: key } }
  legacy: { basic: {} }
  signed: { signature: {} }
  oauth: { introspection: { endpoint: "${provider.url}", clientId: gw, clientSecret: "file:client-secret" } }
consumersFrom: { directory: "${folder}/consumers" }
consumers:
  - id: acme
    keys: ["sha256:${hash("sha256", KEY)}", "hmac-sha256:${createHmac("sha256", PEPPER).update(PEPPERED).digest("hex")}"]
    password: file:password
    signingSecrets: [{ keyId: acme-1, secret: "file:secret" }]
upstreams: { service: { targets: [{ url: "http://127.0.0.1:${port}" }] } }
routes:
  - { name: keys, match: { path: /keys }, auth: keys, to: service }
  - { name: query, match: { path: /query }, auth: query-keys, to: service }
  - { name: cookie, match: { path: /cookie }, auth: cookie-keys, to: service }
  - { name: basic, match: { path: /basic }, auth: legacy, to: service }
  - { name: signed, match: { path: /signed }, auth: signed, to: service }
  - { name: oauth, match: { path: /oauth }, auth: oauth, to: service }
  - { name: any, match: { path: /any }, auth: { any: [keys, legacy, oauth] }, to: service }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  fs.rmSync(folder, { recursive: true });
});

const urlOf = (engine: Engine, target: string): string => `${gateway.urls[ENGINES.indexOf(engine)]}${target}`;

interface Sent {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** @returns status, and the code of a problem or the service's answer */
async function send(engine: Engine, target: string, { method = "GET", headers = {}, body }: Sent = {}): Promise<string> {
  got = null;
  // A connection for each, so that both workers get some.
  const response = await fetch(urlOf(engine, target), {
    method,
    headers: { ...headers, connection: "close" },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  return `${response.status} ${response.headers.get("content-type")?.includes("problem") === true ? JSON.parse(text).code : text}`;
}

const OK = "200 from the service";
const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });

describe.each(ENGINES)("%s", (engine) => {
  const gets = (name: string, target: string, headers: Record<string, string>, expected: string) =>
    it(name, async () => {
      for (let i = 0; i < 4; i++) expect(await send(engine, target, { headers })).toBe(expected);
    });

  describe("API keys", () => {
    gets("in a header", "/keys", { "x-api-key": KEY }, OK);
    gets("with a pepper", "/keys", { "x-api-key": PEPPERED }, OK);
    gets("without its pepper", `/query?api_key=${PEPPERED}`, {}, "401 credentials_invalid");
    gets("none", "/keys", {}, "401 credentials_missing");
    gets("unknown", "/keys", { "x-api-key": `${KEY}x` }, "401 credentials_invalid");
    gets("as another header", "/keys", { x_api_key: KEY }, "401 credentials_invalid");
    gets("where another route wants it", `/keys?api_key=${KEY}`, {}, "401 credentials_missing");
    gets("in the query", `/query?a=1&api_key=${KEY}&b=2`, {}, OK);
    gets("twice in the query", `/query?api_key=${KEY}&api_key=${KEY}`, {}, "401 credentials_invalid");
    gets("in a cookie", "/cookie", { cookie: `a=1; key=${KEY}; b=2` }, OK);
    it("do not reach the service", async () => {
      await send(engine, "/keys", { headers: { "x-api-key": KEY } });
      expect(got?.headers.join()).not.toContain(KEY);
      await send(engine, `/query?a=%31&api_key=${KEY}&b`);
      expect(got?.url).toBe("/query?a=%31&b");
      await send(engine, "/cookie", { headers: { cookie: `a=1; key=${KEY}; b=2` } });
      expect(got?.headers.join()).toContain("a=1; b=2");
      expect(got?.headers.join()).not.toContain(KEY);
    });
  });

  describe("passwords", () => {
    gets("right", "/basic", basic(`acme:${PASSWORD}`), OK);
    gets("wrong", "/basic", basic("acme:wrong"), "401 credentials_invalid");
    gets("of nobody", "/basic", basic(`nobody:${PASSWORD}`), "401 credentials_invalid");
    gets("none", "/basic", {}, "401 credentials_missing");
    it("do not reach the service, and are asked for by name", async () => {
      await send(engine, "/basic", { headers: basic(`acme:${PASSWORD}`) });
      expect(got?.headers.join().toLowerCase()).not.toContain("authorization");
      const response = await fetch(urlOf(engine, "/basic"));
      expect(response.headers.get("www-authenticate")).toBe('Basic realm="legacy", charset="UTF-8"');
    });
  });

  describe("tokens", () => {
    it("active and not, and not what the service sees", async () => {
      provider.scripts.set(`good-${engine}`, { active: true, sub: "acme" });
      expect(await send(engine, "/oauth", { headers: { authorization: `Bearer good-${engine}` } })).toBe(OK);
      expect(got?.headers.join()).not.toContain("good-");
      expect(await send(engine, "/oauth", { headers: { authorization: "Bearer bad" } })).toBe("401 credentials_invalid");
      provider.scripts.set(`down-${engine}`, (response) => response.writeHead(500).end());
      expect(await send(engine, "/oauth", { headers: { authorization: `Bearer down-${engine}` } })).toBe("503 auth_unavailable");
      expect(await send(engine, "/oauth")).toBe("401 credentials_missing");
    });
  });

  describe("any of several", () => {
    gets("a key", "/any", { "x-api-key": KEY }, OK);
    gets("a password", "/any", basic(`acme:${PASSWORD}`), OK);
    gets("a wrong password beside a right key", "/any", { "x-api-key": KEY, ...basic("acme:wrong") }, OK);
    gets("nothing", "/any", {}, "401 credentials_missing");
  });

  describe("signed requests", () => {
    /** A request for /signed, signed; what is sent may differ from what was signed. */
    const signed = (
      body: string | null,
      nonce: string = randomUUID(),
      method = body === null ? "GET" : "POST",
    ): Sent & { readonly headers: Record<string, string> } => {
      const digest = body === null ? {} : { "content-digest": contentDigest(body) };
      const authority = new URL(urlOf(engine, "/")).host;
      const components = { "@method": method, "@authority": authority, "@path": "/signed", "@query": "?a=1", ...digest };
      const parameters = `created=${Math.floor(Date.now() / 1000)};keyid="acme-1";nonce="${nonce}"`;
      return {
        method,
        headers: { ...digest, ...signMessage({ components, secret: SECRET, parameters }) },
        ...(body === null ? {} : { body }),
      };
    };
    const ask = (sent: Sent) => send(engine, "/signed?a=1", sent);

    it("get in, and the service sees the body and no signature", async () => {
      // In the gateway's first second nobody can know whether a nonce is new.
      let first = "";
      while (!first.startsWith("200")) first = await ask(signed(null));
      const body = "x".repeat(200_000);
      expect(await ask(signed(body))).toBe(OK);
      expect(got?.body).toBe(body);
      expect(got?.headers.map((name) => name.toLowerCase())).not.toContain("signature");
      expect(got?.headers.map((name) => name.toLowerCase())).toContain("content-digest");
      expect(await ask(signed(""))).toBe(OK);
    });

    it("a changed body does not get in", async () => {
      expect(await ask({ ...signed("some body"), body: "some Body" })).toBe("401 credentials_invalid");
      expect(await ask({ ...signed("some body"), body: "x".repeat(100_000) })).toBe("401 credentials_invalid");
      expect(got).toBe(null);
    });

    it("too large a body does not get in", async () => {
      expect(await ask(signed("x".repeat(2 ** 20 + 1)))).toBe("413 body_too_large");
      expect(got).toBe(null);
    });

    /** Opens a request whose body comes in chunks of what length it likes. */
    const open = (headers: Record<string, string>) => {
      const { hostname, port, host } = new URL(urlOf(engine, "/"));
      const socket = net.connect(Number(port), hostname).setEncoding("latin1");
      const said = { answer: "" };
      socket.on("data", (text: string) => (said.answer += text)).on("error", () => {});
      const lines = Object.entries({ host, "transfer-encoding": "chunked", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`POST /signed?a=1 HTTP/1.1\r\n${lines.join("")}\r\n`);
      return { socket, said, chunk: (text: string) => socket.write(`${text.length.toString(16)}\r\n${text}\r\n`) };
    };

    it("a body in chunks", async () => {
      for (const [sent, expected] of [
        ["some body", 200],
        ["some Body", 401],
      ] as const) {
        const { socket, said, chunk } = open(signed("some body").headers);
        for (const piece of [sent.slice(0, 4), sent.slice(4)]) chunk(piece);
        socket.write("0\r\n\r\n");
        await until("there is an answer", () => said.answer.includes("\r\n\r\n"));
        socket.destroy();
        expect(said.answer).toMatch(new RegExp(`^HTTP/1\\.1 ${expected} `));
        if (expected === 200) expect(got?.body).toBe("some body");
      }
    });

    it("a body that turns out too large is cut off with an answer", async () => {
      const { socket, said, chunk } = open(signed("x").headers);
      for (let i = 0; i < 20; i++) chunk("x".repeat(64 * 1024));
      await until("there is an answer", () => said.answer.includes("\r\n\r\n"));
      socket.destroy();
      expect(said.answer).toMatch(/^HTTP\/1\.1 413 /);
    });

    it("a client that goes away in the middle of a body leaves nothing behind", async () => {
      const { socket, chunk } = open(signed("some body").headers);
      chunk("some");
      const inFlight = async (): Promise<number> => {
        const { body } = await gateway.admin("GET", "/workers");
        return (body as { inFlight: number }[]).reduce((sum, worker) => sum + worker.inFlight, 0); // the admin listener's own format
      };
      let now = -1;
      const is = (count: number): boolean => {
        void inFlight().then((seen) => (now = seen));
        return now === count;
      };
      await until("the request is under way", () => is(1));
      socket.destroy();
      await until("it is over", () => is(0), 10_000);
    });

    it("a nonce is taken once, by whichever worker", async () => {
      const nonce = randomUUID();
      const answers = await Promise.all(Array.from({ length: 20 }, () => ask(signed(null, nonce))));
      // Where two workers meet at the same instant, neither lets it in.
      expect(answers.filter((answer) => answer === OK).length).toBeLessThanOrEqual(1);
      expect(await ask(signed(null, nonce))).toBe("401 credentials_invalid");
    });
  });
});

it("a consumer that comes into the directory is known without a restart, and one that goes is not any more", async () => {
  const file = path.join(folder, "consumers", "late.yaml");
  const ask = () => send("uws", "/keys", { headers: { "x-api-key": LATE } });
  expect(await ask()).toBe("401 credentials_invalid");
  fs.writeFileSync(file, `id: late\nkeys: ["sha256:${hash("sha256", LATE)}"]\n`);
  await gateway.said("reloaded", 1);
  for (let i = 0; i < 4; i++) expect(await ask()).toBe(OK);
  fs.writeFileSync(file, `id: acme\nkeys: ["sha256:${hash("sha256", LATE)}"]\n`);
  const refusal = await gateway.said("reload refused: the old configuration stays in force", 1);
  expect(JSON.stringify(refusal)).toContain("late.yaml:1:5: consumers[1].id: the id is the same as consumers[0].id at");
  expect(await ask()).toBe(OK);
  fs.rmSync(file);
  await gateway.said("reloaded", 2);
  expect(await ask()).toBe("401 credentials_invalid");
});

it("no secret is in the logs or in what the admin listener shows", async () => {
  const shown = JSON.stringify([
    await gateway.admin("GET", "/config"),
    await gateway.admin("GET", "/routes"),
    await gateway.admin("GET", "/status"),
  ]);
  expect(shown).toContain("acme-1");
  await gateway.stop(); // the access log is written to its end
  expect(gateway.output).toContain("credentials_invalid");
  for (const secret of [KEY, PEPPERED, LATE, PEPPER, SECRET, CLIENT_SECRET, PASSWORD, hash("sha256", KEY), "argon2id"]) {
    expect(gateway.output).not.toContain(secret);
    expect(shown).not.toContain(secret);
  }
});
