// Routes of one listener or one scheme, listeners that redirect to https, and headers on TLS alone: on both engines, through a reload.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Authority } from "../../support/authority.ts";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { field, RawClient } from "../../support/raw-client.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";
import { untilAsync } from "../../support/until.ts";

const LISTENERS = ["secure", "internal", "redirecting"] as const;
type Name = (typeof LISTENERS)[number];

let folder: string;
let authority: Authority;
let upstream: RawUpstream;
let gateway: Gateway;
let config: string;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-listener-names-"));
  authority = new Authority(folder);
  const { cert, key } = authority.issue("one", ["one.test"]);
  upstream = await RawUpstream.start();
  const written: Record<Name, string> = {
    secure: `name: NAME, tls: { certificates: [{ cert: ${cert}, key: ${key} }] }`,
    internal: "name: NAME",
    redirecting: "name: NAME, redirectToHttps: 8443",
  };
  config = `version: 1
workers: 1
admin: false
trustedProxies: [127.0.0.2]
auth: { k: { apiKey: { in: query, name: key } } }
defaults: { auth: none, headers: { response: { onTls: { strict-transport-security: "max-age=60" } } } }
listeners:
${LISTENERS.flatMap((name) => ENGINES.map((engine) => `  - { address: "127.0.0.1:0", engine: ${engine}, ${written[name].replace("NAME", `${name}-${engine}`)} }\n`)).join("")}upstreams: { u: { targets: [{ url: "http://127.0.0.1:${upstream.port}" }] } }
routes:
  - { name: all, match: { path: "/**" }, to: u }
  - { name: secure, match: { path: /by-scheme, scheme: https }, respond: { body: secure } }
  - { name: plain, match: { path: /by-scheme, scheme: http }, respond: { body: plain } }
  - { name: internal, match: { path: /only, listener: [internal-uws, internal-net], methods: [POST] }, respond: { body: internal } }
  - { name: guarded, match: { path: /guarded }, auth: k, to: u }
consumers: [{ id: c, keys: ["sha256:${"0".repeat(64)}"] }]
`;
  gateway = await Gateway.start({ config });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

const portOf = (name: Name, engine: Engine): number =>
  Number(new URL(gateway.urls[LISTENERS.indexOf(name) * ENGINES.length + ENGINES.indexOf(engine)] ?? "").port);

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly location: string | undefined;
  readonly hsts: string | undefined;
}

async function plainly(port: number, line: string, fields = ""): Promise<Answer> {
  await using client = await RawClient.connect(port);
  client.send(`${line} HTTP/1.1\r\nHost: one.test:81\r\n${fields}\r\n`);
  const response = await client.response();
  return {
    status: response.status,
    body: response.body.toString(),
    location: field(response, "location"),
    hsts: field(response, "strict-transport-security"),
  };
}

function overTls(port: number, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: "127.0.0.1", port, servername: "one.test", ca: fs.readFileSync(authority.ca) });
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
    });
    socket.on("end", () => resolve(text)).on("error", reject);
    socket.write(`${line} HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n`);
  });
}

describe.each(ENGINES)("on the engine %s", (engine) => {
  it("a route of one listener does not exist on the others, not even as a method", async () => {
    expect(await plainly(portOf("internal", engine), "POST /only", "content-length: 0\r\n")).toMatchObject({
      status: 200,
      body: "internal",
    });
    const from = upstream.requests.length;
    expect(await overTls(portOf("secure", engine), "POST /only")).toMatch(/^HTTP\/1.1 200 /);
    expect(upstream.requests.slice(from).map(({ target }) => target)).toEqual(["/only"]); // by the route for all
  });

  it("a route of one scheme takes what came by it, and headers for TLS go out there alone", async () => {
    const secure = await overTls(portOf("secure", engine), "GET /by-scheme");
    expect(secure).toMatch(/\r\n\r\nsecure$/);
    expect(secure.toLowerCase()).toContain("strict-transport-security: max-age=60\r\n");
    expect(await plainly(portOf("internal", engine), "GET /by-scheme")).toMatchObject({ status: 200, body: "plain", hsts: undefined });
    // Nobody believes a client that is no trusted proxy.
    expect(await plainly(portOf("internal", engine), "GET /by-scheme", "x-forwarded-proto: https\r\n")).toMatchObject({ body: "plain" });
  });

  it.each<[string, string, string]>([
    ["GET /a?b=1", "", "https://one.test:8443/a?b=1"],
    ["POST /by-scheme", "content-length: 3\r\n", "https://one.test:8443/by-scheme"],
    ["GET /guarded?key=secret&x=1", "", "https://one.test:8443/guarded?x=1"],
    ["GET /nowhere/../a", "", "https://one.test:8443/a"],
    ["OPTIONS /a", "origin: https://a.example\r\naccess-control-request-method: PUT\r\n", "https://one.test:8443/a"],
    [
      "GET /ws",
      "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
      "https://one.test:8443/ws",
    ],
  ])("a listener that redirects sends %s to https before anything else", async (line, fields, location) => {
    const from = upstream.requests.length;
    const body = fields.startsWith("content-length: 3") ? "abc" : "";
    await using client = await RawClient.connect(portOf("redirecting", engine));
    client.send(`${line} HTTP/1.1\r\nHost: one.test:81\r\n${fields}\r\n${body}`);
    const response = await client.response();
    expect([response.status, field(response, "location")]).toEqual([308, location]);
    expect(upstream.requests.length).toBe(from);
  });

  it("a listener that redirects refuses what is not admitted", async () => {
    expect(await plainly(portOf("redirecting", engine), "GET /a%2Fb")).toMatchObject({ status: 400, location: undefined });
    expect(await plainly(portOf("redirecting", engine), "TRACE /a")).toMatchObject({ status: 501, location: undefined });
  });
});

it("a reload turns redirects off and gives names to other listeners", async () => {
  const changed = config
    .replaceAll(", redirectToHttps: 8443", "")
    .replaceAll("name: redirecting-", "name: swap-")
    .replaceAll("name: internal-", "name: redirecting-")
    .replaceAll("name: swap-", "name: internal-");
  fs.writeFileSync(gateway.configFile, changed);
  gateway.signal("SIGHUP");
  for (const engine of ENGINES) {
    await untilAsync("the names change", async () => {
      expect(await plainly(portOf("redirecting", engine), "POST /only", "content-length: 0\r\n")).toMatchObject({ body: "internal" });
    });
    expect((await plainly(portOf("internal", engine), "GET /by-scheme")).status).toBe(200);
  }
});
