// Client certificates through a real gateway: who gets in, as whom, and what resumed sessions and server names change about that: nothing.
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Authority, type IssuedCertificate } from "../../support/authority.ts";
import { Gateway } from "../../support/gateway.ts";

let folder: string;
let gateway: Gateway;
let authority: Authority;
const clients: Record<string, IssuedCertificate> = {};

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-mtls-"));
  authority = new Authority(folder);
  const stranger = new Authority(folder, "stranger");
  const first = authority.issue("first", ["one.test"]);
  const second = authority.issue("second", ["two.test"]);
  clients["acme"] = authority.issue("acme", ["acme.test"]);
  clients["other"] = authority.issue("other", ["other.test"]);
  clients["stranger"] = stranger.issue("stranger-client", ["acme.test"]);
  clients["expired"] = authority.issue("expired", ["acme.test"], { expired: true });
  clients["server"] = authority.issue("server-only", ["acme.test"], { extensions: ["extendedKeyUsage=serverAuth"] });
  const certificates = `[{ cert: ${first.cert}, key: ${first.key} }, { cert: ${second.cert}, key: ${second.key}, hosts: [two.test] }]`;
  gateway = await Gateway.start({
    config: `version: 1
workers: 2
listeners:
  - { address: "127.0.0.1:0", tls: { certificates: ${certificates}, clientCa: ${authority.ca} } }
  - { address: "127.0.0.1:0", tls: { certificates: ${certificates}, clientCa: ${authority.ca}, clientCertificates: optional } }
  - { address: "127.0.0.1:0" }
admin: { address: "127.0.0.1:0" }
auth: { mesh: { mtls: { consumerFrom: san, onlyKnownConsumers: true } } }
consumers: [{ id: acme, certificates: [acme.test] }]
routes:
  - { name: closed, match: { path: /closed }, auth: mesh, respond: { body: closed } }
  - { name: open, match: { path: /open }, auth: none, respond: { body: open } }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

const REQUIRED = 0;
const OPTIONAL = 1;
const PLAIN = 2;

interface Ask {
  readonly listener: number;
  readonly client?: string;
  readonly serverName?: string;
  readonly target?: string;
}

/** @returns status and code of the error, or `refused` when there was no answer at all */
async function ask({ listener, client, serverName = "one.test", target = "/closed" }: Ask): Promise<string> {
  const url = new URL(target, gateway.urls[listener]);
  const certificate = client === undefined ? undefined : clients[client];
  const mine = certificate === undefined ? {} : { cert: fs.readFileSync(certificate.cert), key: fs.readFileSync(certificate.key) };
  const options = {
    servername: serverName,
    ca: fs.readFileSync(authority.ca),
    checkServerIdentity: () => undefined,
    agent: false,
    ...mine,
  };
  return new Promise((resolve) => {
    const request =
      url.protocol === "https:" ? https.get(url, { ...options, headers: { host: serverName } }) : http.get(url, { agent: false });
    request.on("error", () => resolve("refused"));
    request.on("response", (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => resolve(response.statusCode === 200 ? body : `${response.statusCode} ${JSON.parse(body).code}`));
      response.on("error", () => resolve("refused"));
    });
  });
}

describe.each(["one.test", "two.test"])("as %s", (serverName) => {
  it.each<[string, number, string | undefined, string]>([
    ["a known client", REQUIRED, "acme", "closed"],
    ["an unknown client", REQUIRED, "other", "401 credentials_invalid"],
    ["no certificate", REQUIRED, undefined, "refused"],
    ["another authority's", REQUIRED, "stranger", "refused"],
    ["one that has expired", REQUIRED, "expired", "refused"],
    ["one for servers only", REQUIRED, "server", "refused"],
    ["a known client, where it is optional", OPTIONAL, "acme", "closed"],
    ["no certificate, where it is optional", OPTIONAL, undefined, "401 credentials_missing"],
    ["another authority's, where it is optional", OPTIONAL, "stranger", "refused"],
    ["one that has expired, where it is optional", OPTIONAL, "expired", "refused"],
    ["one for servers only, where it is optional", OPTIONAL, "server", "refused"],
  ])("%s", async (_, listener, client, expected) => {
    expect(await ask({ listener, serverName, ...(client === undefined ? {} : { client }) })).toBe(expected);
  });
});

it("a public route needs no certificate where it is optional, and one where it is required", async () => {
  expect(await ask({ listener: OPTIONAL, target: "/open" })).toBe("open");
  expect(await ask({ listener: REQUIRED, target: "/open" })).toBe("refused");
  expect(await ask({ listener: PLAIN, target: "/open" })).toBe("open");
});

it("without TLS nobody is proven", async () => expect(await ask({ listener: PLAIN })).toBe("401 credentials_missing"));

/** One TLS connection that asks for /closed. @returns the status (0: none), the session for a later one, and whether this one resumed */
async function connect(
  listener: number,
  options: tls.ConnectionOptions,
): Promise<{ status: number; session: Buffer | undefined; resumed: boolean }> {
  const port = Number(new URL(gateway.urls[listener] ?? "").port);
  const socket = tls.connect({ host: "127.0.0.1", port, servername: "one.test", rejectUnauthorized: false, ...options });
  let session: Buffer | undefined;
  let resumed = false;
  let text = "";
  socket.on("session", (fresh) => (session = fresh));
  socket.on("secureConnect", () => {
    resumed = socket.isSessionReused();
    socket.write("GET /closed HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n");
  });
  socket.setEncoding("latin1").on("data", (chunk) => (text += chunk));
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("close", resolve));
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0), session, resumed };
}

describe.each(["TLSv1.2", "TLSv1.3"] as const)("a resumed session, %s", (version) => {
  it.each<[string, number, string | undefined, number]>([
    ["keeps who it is", REQUIRED, "acme", 200],
    ["without certificate stays nobody", OPTIONAL, undefined, 401],
  ])("%s", async (_, listener, client, expected) => {
    const certificate = client === undefined ? undefined : clients[client];
    const mine = certificate === undefined ? {} : { cert: fs.readFileSync(certificate.cert), key: fs.readFileSync(certificate.key) };
    const first = await connect(listener, { minVersion: version, maxVersion: version, ...mine });
    expect([first.status, first.session === undefined]).toEqual([expected, false]);
    // The workers do not know each other's sessions: go on until the one that gave it is met. What resumes shows no certificate again.
    for (let i = 0; i < 100; i++) {
      const next = await connect(listener, { minVersion: version, maxVersion: version, session: first.session, ...mine });
      expect(next.status).toBe(expected);
      if (next.resumed) return;
    }
    throw new Error("no session was resumed");
  });

  it("of a certificate that was not accepted is no way in", async () => {
    const bad = clients["stranger"];
    const mine = { cert: fs.readFileSync(bad?.cert ?? ""), key: fs.readFileSync(bad?.key ?? "") };
    const first = await connect(OPTIONAL, { minVersion: version, maxVersion: version, ...mine });
    expect(first.status).toBe(0);
    for (let i = 0; i < 10; i++) {
      const next = await connect(OPTIONAL, { minVersion: version, maxVersion: version, session: first.session });
      expect(next.status).toBe(next.resumed ? 0 : 401);
    }
  });
});
