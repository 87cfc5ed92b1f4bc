// TLS to the upstream: whom the gateway believes, what it shows of itself, and what a client is told when that fails.
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { Authority, type IssuedCertificate } from "../../support/authority.ts";
import { DnsServer } from "../../support/dns-server.ts";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { TlsOrigin } from "../../support/tls-origin.ts";
import { until } from "../../support/until.ts";
import { WebSocketClient } from "../../support/web-socket-origin.ts";

let folder: string;
let dns: DnsServer;
let origin: TlsOrigin;
let older: TlsOrigin;
let ancient: TlsOrigin;
let expired: TlsOrigin;
let mutual: TlsOrigin;
let alerting: { readonly port: number; readonly process: ChildProcess };
let plain: Origin;
let gateway: Gateway;

/** Node refuses client certificates by closing the connection; others, as this one, say why with a TLS alert. */
async function alertingServer({ cert, key }: IssuedCertificate, clientCa: string): Promise<typeof alerting> {
  const trust = ["-CAfile", clientCa, "-Verify", "1", "-verify_return_error"];
  const child = spawn("openssl", ["s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key, ...trust, "-tls1_3", "-www"]);
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (printed += text));
  process.once("exit", () => child.kill());
  await until("openssl listens", () => /ACCEPT 127\.0\.0\.1:\d+/.test(printed));
  return { port: Number(/ACCEPT 127\.0\.0\.1:(\d+)/.exec(printed)?.[1]), process: child };
}

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-upstream-tls-"));
  const authority = new Authority(folder);
  const stranger = new Authority(folder, "stranger");
  const server = authority.issue("server", ["api.test"]);
  const client = authority.issue("client", ["gateway.test"]);
  const wrongClient = stranger.issue("wrong-client", ["gateway.test"]);
  dns = await DnsServer.listen();
  for (const name of ["api.test", "other.test"]) dns.zone.set(name, { a: ["127.0.0.1"] });
  origin = await TlsOrigin.start(server);
  older = await TlsOrigin.start({ ...server, maxVersion: "TLSv1.2", clientCa: authority.ca });
  ancient = await TlsOrigin.start({ ...server, maxVersion: "TLSv1.1" });
  expired = await TlsOrigin.start(authority.issue("expired", ["api.test"], { expired: true }));
  mutual = await TlsOrigin.start({ ...server, clientCa: authority.ca });
  alerting = await alertingServer(server, authority.ca);
  plain = await Origin.start("plain");
  const ca = `ca: ${authority.ca}`;
  const shown = (files: { cert: string; key: string }): string => `cert: ${files.cert}, key: ${files.key}`;
  const upstreams: Record<string, [port: number, tls: string, host?: string]> = {
    named: [origin.port, ca, "api.test"],
    misnamed: [origin.port, ca, "other.test"],
    renamed: [origin.port, `${ca}, serverName: api.test`, "other.test"],
    address: [origin.port, ca, "127.0.0.1"],
    "address-renamed": [origin.port, `${ca}, serverName: api.test`, "127.0.0.1"],
    stranger: [origin.port, `ca: ${stranger.ca}, serverName: api.test`],
    "system-roots": [origin.port, "serverName: api.test"],
    unverified: [origin.port, "insecureSkipVerify: true"], // the former key,
    opened: [origin.port, "serverName: other.test }, insecure: [tls-unverified]"],
    "not-so-old": [ancient.port, `${ca}, serverName: api.test`],
    old: [ancient.port, `${ca}, serverName: api.test }, insecure: [old-tls]`],
    "old-named": [ancient.port, `${ca} }, insecure: [old-tls]`, "other.test"],
    "old-for-new": [origin.port, `${ca}, serverName: api.test }, insecure: [old-tls]`],
    expired: [expired.port, `${ca}, serverName: api.test`],
    mutual: [mutual.port, `${ca}, serverName: api.test, ${shown(client)}`],
    "mutual-older": [older.port, `${ca}, serverName: api.test, ${shown(client)}`],
    "alert-without": [alerting.port, `${ca}, serverName: api.test`],
    "alert-stranger": [alerting.port, `${ca}, serverName: api.test, ${shown(wrongClient)}`],
    "mutual-without-older": [older.port, `${ca}, serverName: api.test`],
    plain: [Number(new URL(plain.url).port), ca],
  };
  const active = "active: { path: /healthz, interval: 200ms, unhealthyAfter: 1 }";
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "127.0.0.1:0" }
dns: { servers: [ "${dns.address}" ] }
upstreams:
${Object.entries(upstreams)
  .map(
    ([name, [port, tls, host = "127.0.0.1"]]) =>
      `  ${name}: { targets: [ { url: "https://${host}:${port}" } ], ${tls.includes("}") ? `tls: { ${tls}` : `tls: { ${tls} }`}, health: { passive: false }, retry: { budget: 100% } }`,
  )
  .join("\n")}
  alert-undici: { targets: [ { url: "https://127.0.0.1:${alerting.port}" } ], tls: { ${ca}, serverName: api.test }, pool: { client: undici } }
  old-undici: { targets: [ { url: "https://127.0.0.1:${ancient.port}" } ], tls: { ${ca}, serverName: api.test }, insecure: [old-tls], pool: { client: undici } }
  old-probed: { targets: [ { url: "https://127.0.0.1:${ancient.port}" } ], tls: { ${ca}, serverName: api.test }, insecure: [old-tls], health: { ${active} } }
  probed: { targets: [ { url: "https://127.0.0.1:${mutual.port}" } ], tls: { ${ca}, serverName: api.test, ${shown(client)} }, health: { ${active} } }
  probed-badly: { targets: [ { url: "https://127.0.0.1:${mutual.port}" } ], tls: { ${ca}, ${shown(client)} }, health: { ${active} } }
routes:
${[...Object.keys(upstreams), "alert-undici", "old-undici", "old-probed", "probed", "probed-badly"].map((name) => `  - { name: ${name}, match: { path: "/${name}/**" }, to: ${name} }`).join("\n")}
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  for (const each of [origin, older, ancient, expired, mutual, plain]) await each[Symbol.asyncDispose]();
  alerting.process.kill();
  dns.close();
  fs.rmSync(folder, { recursive: true });
});

async function ask(target: string, method = "GET"): Promise<{ status: number; text: string; code: string | undefined }> {
  onTestFailed(() => console.error(gateway.report()));
  const response = await fetch(gateway.url + target, { method });
  const text = await response.text();
  return { status: response.status, text, code: /"code":"(\w+)"/.exec(text)?.[1] };
}

describe("the service's certificate", () => {
  it.each([
    ["a name that it covers", "named", "api.test"],
    ["another name that is asked for and verified", "renamed", "api.test"],
    ["an address, with the name that is asked for", "address-renamed", "api.test"],
    ["no verification", "unverified", false],
  ])("serves: %s", async (_, name, serverName) => {
    const before = origin.connections.length;
    expect(await ask(`/${name}/x`)).toMatchObject({ status: 200, text: "ok" });
    expect(origin.connections.slice(before)).toMatchObject([{ serverName, protocol: "TLSv1.3" }]);
  });

  it.each([
    ["a name that it does not cover", "misnamed"],
    ["an address that it does not cover", "address"],
    ["another authority", "stranger"],
    ["an authority that the system does not know", "system-roots"],
    ["expired", "expired"],
    ["a service without TLS", "plain"],
  ])("502 upstream_tls, and the request is not sent: %s", async (_, name) => {
    const before = [origin, expired].map((each) => each.requests);
    const { status, code, text } = await ask(`/${name}/x`, "POST");
    expect({ status, code }).toEqual({ status: 502, code: "upstream_tls" });
    expect(text).not.toMatch(/127\.0\.0\.1|api\.test|certificate/);
    expect([origin, expired].map((each) => each.requests)).toEqual(before);
    expect(plain.requests).toBe(0);
  });

  it("tells the log why", async () => {
    await ask("/misnamed/why");
    const line = () => gateway.lines().find((each) => each["path"] === "/misnamed/why");
    await until("the log has it", () => line() !== undefined);
    expect(line()).toMatchObject({ status: 502, code: "upstream_tls", detail: expect.stringMatching(/altnames/) });
  });
});

describe("ways out", () => {
  it("tls-unverified takes any certificate", async () => {
    const before = origin.connections.length;
    expect(await ask("/opened/x")).toMatchObject({ status: 200, text: "ok" });
    expect(origin.connections.slice(before)).toMatchObject([{ serverName: "other.test" }]);
  });

  it("old-tls speaks TLS of before, with both clients", async () => {
    expect(await ask("/not-so-old/x")).toMatchObject({ status: 502, code: "upstream_tls" });
    for (const name of ["old", "old-undici"]) expect(await ask(`/${name}/x`)).toMatchObject({ status: 200, text: "ok" });
    // A probe may have come in between.
    expect(new Set(ancient.connections.map(({ protocol, serverName }) => `${protocol} ${serverName}`))).toEqual(
      new Set(["TLSv1.1 api.test"]),
    );
  });

  it("old-tls verifies all the same, and speaks what is newest", async () => {
    expect(await ask("/old-named/x")).toMatchObject({ status: 502, code: "upstream_tls" });
    const before = origin.connections.length;
    expect(await ask("/old-for-new/x")).toMatchObject({ status: 200 });
    expect(origin.connections.slice(before)).toMatchObject([{ protocol: "TLSv1.3" }]);
  });

  it("old-tls holds for WebSockets and probes", async () => {
    await using client = await WebSocketClient.open(`${gateway.url.replace("http", "ws")}/old/ws`);
    client.ws.send("hello");
    expect(await client.received(1)).toEqual(["hello"]);
    await gateway.said("target is unhealthy"); // that of another upstream: the probes have run
    expect(await ask("/old-probed/x")).toMatchObject({ status: 200 });
  });

  it("are named by /readyz, with where they stand", async () => {
    const { body } = await gateway.admin("GET", "/readyz");
    expect(body).toMatchObject({
      status: "ready",
      insecure: expect.arrayContaining([
        "tls-unverified (upstreams.unverified)",
        "tls-unverified (upstreams.opened)",
        "old-tls (upstreams.old)",
      ]),
    });
  });
});

describe("the gateway's own certificate (mTLS)", () => {
  it.each([
    ["TLS 1.3", "mutual", () => mutual],
    ["TLS 1.2", "mutual-older", () => older],
  ])("is shown: %s", async (_, name, service) => {
    expect(await ask(`/${name}/x`)).toMatchObject({ status: 200, text: "ok" });
    expect(service().connections.at(-1)).toMatchObject({ client: "gateway.test" });
  });

  // TLS 1.3 refuses a client's certificate only after the client's side of the handshake is done: then the alert meets the request.
  it.each(["alert-without", "alert-undici", "alert-stranger", "mutual-without-older"])(
    "502 upstream_tls when it is missing or unknown: %s",
    async (name) => {
      for (const method of ["GET", "POST"]) {
        const { status, code } = await ask(`/${name}/x`, method);
        expect({ status, code }).toEqual({ status: 502, code: "upstream_tls" });
      }
    },
  );

  it("is shown by probes, which verify too", async () => {
    expect(await ask("/probed/x")).toMatchObject({ status: 200 });
    await gateway.said("target is unhealthy");
    expect(gateway.lines("target is unhealthy")).toMatchObject([{ upstream: "probed-badly" }]);
    expect(await ask("/probed-badly/x")).toMatchObject({ status: 503, code: "no_healthy_target" });
  });
});

it.each([
  ["TLS 1.3", "address-renamed", () => origin],
  ["TLS 1.2, client certificate included", "mutual-older", () => older],
])("resumes the session on a new connection: %s", async (_, name, service) => {
  for (let i = 0; i < 3; i++) expect(await ask(`/${name}/close`)).toMatchObject({ status: 200 });
  const before = service().connections.length;
  expect(await ask(`/${name}/close`)).toMatchObject({ status: 200 });
  expect(service().connections.slice(before)).toMatchObject([{ resumed: true }]);
});

describe("WebSockets", () => {
  const open = (target: string): WebSocketClient => new WebSocketClient(gateway.url.replace("http", "ws") + target);

  it("go over it, with SNI and client certificate", async () => {
    await using client = await WebSocketClient.open(`${gateway.url.replace("http", "ws")}/mutual/ws`);
    client.ws.send("hello");
    expect(await client.received(1)).toEqual(["hello"]);
    expect(mutual.connections.at(-1)).toMatchObject({ serverName: "api.test", client: "gateway.test" });
  });

  it.each(["misnamed", "stranger", "expired", "mutual-without-older", "alert-without"])("502 upstream_tls: %s", async (name) => {
    onTestFailed(() => console.error(gateway.report()));
    await using client = open(`/${name}/ws`);
    await until("the handshake is answered", () => client.refusal !== null || client.closed !== null);
    expect(client.refusal).toMatchObject({ status: 502, body: expect.stringContaining('"code":"upstream_tls"') });
  });
});
