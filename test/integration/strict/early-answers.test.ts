// A response that comes while its request is still on the way must arrive, whoever makes it, however the client goes about its upload: a connection that is closed
// on unread bytes is reset, and the reset can overtake the response (RFC 9112 section 9.6). Each case as often as it takes to see a race.
import type net from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines } from "../../support/both-engines.ts";
import { field, type RawClient, type RawResponse } from "../../support/raw-client.ts";
import type { UpstreamConnection } from "../../support/raw-upstream.ts";

const TIMES = 30;
const UPLOAD_BYTES = 3 * 1024 * 1024;
const PIECE = Buffer.alloc(64 * 1024, 0x61);

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `auth: { keys: { apiKey: { name: x-key } } }
consumers: [ { id: one, keys: [ "sha256:${"ab".repeat(32)}" ] } ]
defaults: { auth: none }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ], health: { passive: false }, retry: { attempts: 0 } } }
routes:
  - { name: all, match: { path: "/**" }, to: u }
  - { name: small, match: { path: "/small" }, to: u, limits: { bodyBytes: 1000 } }
  - { name: known, match: { path: "/known" }, to: u, auth: keys }
`,
  );
});
afterAll(() => rig[Symbol.asyncDispose]());

type Framing = "length" | "chunked";

/** Writes a whole upload, whatever comes back meanwhile, then reads. */
async function upload(path: string, framing: Framing, reads: "at once" | "afterwards"): Promise<RawResponse> {
  rig.report();
  const client: RawClient = await rig.connect("net");
  const { socket } = client;
  if (reads === "afterwards") socket.pause();
  client.send(
    `POST ${path} HTTP/1.1\r\nHost: a.example\r\n${framing === "length" ? `Content-Length: ${UPLOAD_BYTES}` : "Transfer-Encoding: chunked"}\r\n\r\n`,
  );
  for (let sent = 0; sent < UPLOAD_BYTES && !client.reset; sent += PIECE.length) {
    if (framing === "chunked") socket.write(`${PIECE.length.toString(16)}\r\n`);
    socket.write(PIECE);
    if (framing === "chunked") socket.write("\r\n");
    await flushed(socket);
  }
  if (framing === "chunked") socket.write("0\r\n\r\n");
  socket.resume();
  const response = await client.response();
  // Of an upload that was nearly there the rest is read away, and the connection is kept.
  if (field(response, "connection") === "close") await client.closes();
  client.destroy();
  return response;
}

/** Until the kernel has it, or the connection is gone. */
const flushed = (socket: net.Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.destroyed || socket.writableLength < 4 * PIECE.length) return void setImmediate(resolve);
    const done = (): void => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });

/** The same thing so many times, some of them side by side. */
async function often(path: string, framing: Framing, reads: "at once" | "afterwards"): Promise<string[]> {
  const outcomes: string[] = [];
  for (let i = 0; i < TIMES; i += 5) {
    const some = await Promise.all(
      Array.from({ length: 5 }, () =>
        upload(path, framing, reads).then(
          (response) => String(response.status),
          (error: unknown) => String(error).slice(0, 80),
        ),
      ),
    );
    outcomes.push(...some);
  }
  return [...new Set(outcomes)];
}

const CASES = (["length", "chunked"] as const).flatMap((framing) =>
  (["at once", "afterwards"] as const).map((reads) => ({ framing, reads })),
);

describe.each(CASES)("an upload with $framing by a client that reads $reads", ({ framing, reads }) => {
  it("gets the gateway's 413", async () => {
    expect(await often("/small", framing, reads)).toEqual(["413"]);
  });

  it("gets the gateway's 401", async () => {
    expect(await often("/known", framing, reads)).toEqual(["401"]);
  });

  it.each<[string, (connection: UpstreamConnection) => void]>([
    ["goes on reading", () => {}],
    ["ends its side of the connection", (connection) => connection.end()],
    ["is gone at once, so that its connection is reset", (connection) => connection.socket.destroySoon()],
  ])("gets the 403 of a service that %s", async (how, then) => {
    const path = `/early-${framing}-${reads.replace(" ", "-")}-${how.length}`;
    rig.upstream.onHead(path, (connection) => {
      connection.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
      then(connection);
    });
    expect(await often(path, framing, reads)).toEqual(["403"]);
  });
});

it("a short rest of a body is read away, and its connection kept", async () => {
  await using client = await rig.connect("net");
  for (let i = 0; i < 3; i++) {
    client.send(`POST /known HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5000\r\n\r\n`);
    const response = await client.response();
    expect([response.status, field(response, "connection")]).toEqual([401, undefined]);
    client.send("x".repeat(5000));
  }
  client.send("GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n");
  expect((await client.response()).status).toBe(200);
});
