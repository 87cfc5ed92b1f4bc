// Many clients at once, each with bytes of its own, slow and fast on both sides: every byte that arrives is looked at, so that none of another client's can be
// among them. All connections of a worker read into one buffer.
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bothListeners, ENGINES } from "../../support/both-engines.ts";
import { makeCertificate } from "../../support/certificates.ts";
import { Gateway } from "../../support/gateway.ts";

const KINDS = [...ENGINES, "net over TLS"] as const;
type Kind = (typeof KINDS)[number];

let folder: string;
let origin: http.Server;
let gateway: Gateway;

/** Bytes that say whose they are, and where among them they stand. */
function bytesOf(client: number, round: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 16) bytes.write(`${client}.${round}.${at}................`.slice(0, 16), at, "latin1");
  return bytes;
}

beforeAll(async () => {
  // Sends every body back as it comes: with its length or in chunks, at once or with pauses.
  origin = http.createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? "", "http://x");
    if (searchParams.get("framing") === "length") response.setHeader("content-length", request.headers["content-length"] ?? "0");
    const slow = searchParams.get("pace") === "slow";
    request.on("data", (chunk: Buffer) => {
      response.write(chunk);
      if (!slow) return;
      request.pause();
      setTimeout(() => request.resume(), 2);
    });
    request.on("end", () => response.end());
  });
  await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
  const { port } = origin.address() as AddressInfo; // a TCP server that listens has one
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-crowd-"));
  const { cert, key } = makeCertificate(folder, "one", ["one.example"]);
  gateway = await Gateway.start({
    config: `${bothListeners}  - { address: 127.0.0.1:0, tls: { certificates: [ { cert: ${cert}, key: ${key} } ] } }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ], health: { passive: false } } }
routes: [ { name: all, match: { path: "/**" }, to: u } ]
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  origin.closeAllConnections();
  origin.close();
  fs.rmSync(folder, { recursive: true });
});

interface Load {
  readonly clients: number;
  readonly rounds: number;
  readonly bytes: number;
  readonly pace: "slow" | "fast";
}

/** One client on one connection. @returns what did not come back as it was sent */
async function client(kind: Kind, number: number, { rounds, bytes, pace }: Load): Promise<string[]> {
  const options = { keepAlive: true, maxSockets: 1 };
  const agent = kind === "net over TLS" ? new https.Agent({ ...options, rejectUnauthorized: false }) : new http.Agent(options);
  const wrong: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const length = bytes + ((number * 37 + round * 11) % 97);
    const sent = bytesOf(number, round, length);
    const framing = (number + round) % 2 === 0 ? "length" : "chunked";
    const received = await exchange(agent, kind, { sent, framing, pace });
    if (!received.equals(sent))
      wrong.push(`client ${number} round ${round}: ${received.length} of ${length} bytes, first other at ${firstOther(received, sent)}`);
  }
  agent.destroy();
  return wrong;
}

const firstOther = (a: Buffer, b: Buffer): number => a.findIndex((byte, i) => byte !== b[i]);

function exchange(
  agent: http.Agent,
  kind: Kind,
  { sent, framing, pace }: { sent: Buffer; framing: string; pace: string },
): Promise<Buffer> {
  const url = `${gateway.urls[KINDS.indexOf(kind)]}/echo?framing=${framing}&pace=${pace}`;
  return new Promise((resolve, reject) => {
    const headers: http.OutgoingHttpHeaders = framing === "length" ? { "content-length": sent.length } : { "transfer-encoding": "chunked" };
    const request = (kind === "net over TLS" ? https : http).request(url, { method: "POST", agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        if (pace !== "slow") return;
        response.pause();
        setTimeout(() => response.resume(), 1);
      });
      response.on("end", () => resolve(Buffer.concat(chunks)));
      response.on("error", reject);
    });
    request.on("error", reject);
    // In pieces of odd lengths, so that reads begin and end anywhere.
    for (let at = 0; at < sent.length; at += 7919) request.write(sent.subarray(at, at + 7919));
    request.end();
  });
}

describe.each(KINDS)("%s", (kind) => {
  it.each<[string, Load]>([
    ["2 clients with long bodies", { clients: 2, rounds: 3, bytes: 2_000_000, pace: "fast" }],
    ["64 clients with short bodies", { clients: 64, rounds: 8, bytes: 300, pace: "fast" }],
    ["64 clients with bodies of 4 KiB", { clients: 64, rounds: 6, bytes: 4096, pace: "fast" }],
    ["16 clients with bodies of 100 KB, all slow", { clients: 16, rounds: 2, bytes: 100_000, pace: "slow" }],
    ["64 clients with bodies of 60 KB", { clients: 64, rounds: 2, bytes: 60_000, pace: "fast" }],
  ])("%s get their own bytes back, and no others", async (_, load) => {
    const wrong = await Promise.all(Array.from({ length: load.clients }, (_, number) => client(kind, number, load)));
    expect(wrong.flat()).toEqual([]);
  });
});
