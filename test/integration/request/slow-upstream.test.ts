// An upstream that takes a body slowly, but takes it, is not cut off: its time to answer runs from the last byte that it took.
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { digestOf, pour } from "../../support/body-upstream.ts";
import { Gateway } from "../../support/gateway.ts";

const BYTES = 64 * 1024 * 1024;
const READ_BYTES = 256 * 1024;
/** At most 256 KiB in 20 ms: the body takes longer than the response timeout, by more than what the kernel holds on the way. */
const READ_EVERY_MS = 20;

let origin: http.Server;
let gateway: Gateway;

beforeAll(async () => {
  const { createHash } = await import("node:crypto");
  origin = http.createServer((request, response) => {
    const hash = createHash("sha256");
    let length = 0;
    const timer = setInterval(() => {
      const chunk = request.read(Math.min(READ_BYTES, request.readableLength)) as Buffer | null; // no encoding is set
      if (chunk === null) return;
      hash.update(chunk);
      length += chunk.length;
    }, READ_EVERY_MS);
    request.on("readable", () => {}); // not flowing: read by the timer alone
    request.once("close", () => clearInterval(timer));
    request.once("end", () => response.end(`${length} ${hash.digest("hex")}`));
  });
  await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
  const { port } = origin.address() as AddressInfo; // a TCP server that listens has one
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
admin: false
limits: { bodyBytes: 128MiB }
listeners: [ { address: 127.0.0.1:0 }, { address: 127.0.0.1:0, engine: net } ]
upstreams:
  slow: { targets: [ { url: "http://127.0.0.1:${port}" } ], timeouts: { response: 2s, total: 2500ms }, retry: { attempts: 0 } }
routes: [ { name: all, match: { path: /** }, to: slow } ]
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  origin.close();
});

it.each([
  ["uws", 0],
  ["net", 1],
] as const)("%s", async (_engine, listener) => {
  const { port } = new URL(gateway.urls[listener] ?? "");
  const answer = await new Promise<string>((resolve, reject) => {
    const request = http.request({ host: "127.0.0.1", port, method: "PUT", headers: { "content-length": BYTES } }, (response) => {
      response.toArray().then((parts) => resolve(`${response.statusCode} ${Buffer.concat(parts)}`), reject);
    });
    request.once("error", reject);
    void pour(BYTES, request).then(() => request.end());
  });
  expect(answer).toBe(`200 ${digestOf(BYTES)}`);
});
