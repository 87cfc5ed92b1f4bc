// The engine net with sockets as everybody may use them (SLUICE_PUBLIC_SOCKETS=1), which is what it falls back to where Node's inner streams are not as it knows them.
import fs from "node:fs";
import https from "node:https";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it, onTestFailed } from "vitest";
import { makeCertificate } from "../../support/certificates.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";

let folder: string;
let upstream: RawUpstream;
let gateway: Gateway;

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-public-sockets-"));
  const { cert, key } = makeCertificate(folder, "server", ["one.test"]);
  upstream = await RawUpstream.start();
  gateway = await Gateway.start({
    env: { SLUICE_PUBLIC_SOCKETS: "1" },
    config: `version: 1
workers: 1
admin: false
listeners:
  - { address: "127.0.0.1:0", engine: net }
  - { address: "127.0.0.1:0", tls: { certificates: [ { cert: ${cert}, key: ${key} } ] } }
  - { address: "127.0.0.1:0", proxyProtocol: true }
  - { address: "unix:${folder}/sluice.sock", engine: net }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${upstream.port}" } ] } }
routes:
  - { name: all, match: { path: /** }, to: u }
  - { name: big, match: { path: /big }, respond: { body: "${"b".repeat(200_000)}" } }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

const portAt = (index: number): number => Number(new URL(gateway.urls[index] ?? "").port);

it.each<[string, () => number | string, string]>([
  ["plain", () => portAt(0), ""],
  ["behind a PROXY header", () => portAt(2), "PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n"],
  ["on a Unix socket", () => path.join(folder, "sluice.sock"), ""],
])("requests are served one after the other on a connection: %s", async (name, where, before) => {
  onTestFailed(() => console.error(gateway.report()));
  await using client = await RawClient.connect(where());
  const target = `/post-${name.replaceAll(" ", "-")}`;
  const body = "0123456789".repeat(20_000);
  client.send(
    `${before}POST ${target} HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body}GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n`,
  );
  expect((await client.response()).status).toBe(200);
  const big = await client.response();
  expect([big.status, big.body.length]).toEqual([200, 200_000]);
  const request = await upstream.received(target);
  expect(request.body.toString("latin1") === body).toBe(true);
  if (before !== "") expect(valuesOf(request, "x-forwarded-for")).toEqual(["203.0.113.7"]);
  client.send("BREW / HTTP/1.1\r\nHost : a.test\r\n\r\n");
  expect((await client.response()).status).toBe(400);
  await client.closes();
});

it("requests are served one after the other on a connection: TLS", async () => {
  onTestFailed(() => console.error(gateway.report()));
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  const get = (target: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = { agent, host: "127.0.0.1", port: portAt(1), path: target, servername: "one.test", rejectUnauthorized: false };
      const request = https.get(options, (response) => {
        let bytes = 0;
        response.on("data", (chunk: Buffer) => (bytes += chunk.length));
        response.on("end", () => resolve(bytes));
      });
      request.on("error", reject);
    });
  expect([await get("/big"), await get("/over-tls"), await get("/big")]).toEqual([200_000, 2, 200_000]);
  agent.destroy();
});
