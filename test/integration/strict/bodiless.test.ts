// Responses without a body (HEAD, 204, 304), on connections that stay open and on those that close: their lengths, and that a close that is
// announced is done. And the end of a chunked response behind which the connection closes.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { field } from "../../support/raw-client.ts";

let rig: BothEngines;
beforeAll(async () => {
  rig = await BothEngines.start(
    (port) => `upstreams:
  u: { targets: [ { url: "http://127.0.0.1:${port}" } ] }
routes:
  - { name: all, match: { path: "/**" }, to: u }
  - { name: r204, match: { path: /respond/204 }, respond: { status: 204 } }
  - { name: r304, match: { path: /respond/304 }, respond: { status: 304, headers: { etag: '"x"' } } }
  - { name: r200, match: { path: /respond/200 }, respond: { status: 200, body: hello } }
  - { name: cors, match: { path: /cors }, to: u, cors: { origins: ["https://app.example"] } }
`,
  );
  rig.upstream.answer("/204", "HTTP/1.1 204 No Content\r\n\r\n");
  rig.upstream.answer("/304", 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n');
  rig.upstream.answer("/304-length", 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 7\r\n\r\n');
  rig.upstream.answer("/head", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  rig.upstream.answer("/head-chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
});
afterAll(() => rig[Symbol.asyncDispose]());

interface Case {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly fields?: string;
  readonly status: number;
  /** Content-Length of the response; undefined for none. */
  readonly length?: string;
}

const CASES: readonly Case[] = [
  { name: "a service's 204", method: "GET", path: "/204", status: 204 },
  { name: "a service's 304 without a length", method: "GET", path: "/304", status: 304 },
  { name: "a service's 304 with a length", method: "GET", path: "/304-length", status: 304, length: "7" },
  { name: "HEAD with a length", method: "HEAD", path: "/head", status: 200, length: "5" },
  { name: "HEAD without a length", method: "HEAD", path: "/head-chunked", status: 200 },
  { name: "HEAD of a 204", method: "HEAD", path: "/204", status: 204 },
  { name: "a fixed 204", method: "GET", path: "/respond/204", status: 204 },
  { name: "a fixed 304", method: "GET", path: "/respond/304", status: 304 },
  { name: "HEAD of a fixed answer", method: "HEAD", path: "/respond/200", status: 200, length: "5" },
  {
    name: "a preflight",
    method: "OPTIONS",
    path: "/cors",
    fields: "Origin: https://app.example\r\nAccess-Control-Request-Method: GET\r\n",
    status: 204,
  },
];

/** What makes the gateway close, with what it takes to say so. */
const WAYS = {
  "on a connection that stays open": { fields: "", body: "", closes: false },
  "behind Connection: close": { fields: "Connection: close\r\n", body: "", closes: true },
  "behind Connection: close in a list": { fields: "Connection: close, x-a\r\n", body: "", closes: true },
  // The uws engine trusts nothing that follows a chunked request.
  "after a chunked request": { fields: "Transfer-Encoding: chunked\r\n", body: "2\r\nok\r\n0\r\n\r\n", closes: null },
} as const;

describe.each(ENGINES)("%s", (engine) => {
  for (const [way, { fields, body, closes }] of Object.entries(WAYS)) {
    it.each(CASES)(`$name ${way} has the length that is known and no other, and closes exactly when that is said`, async (each) => {
      rig.report();
      const expectsClose = closes ?? engine === "uws";
      await using client = await rig.connect(engine);
      const request = (more: string): string =>
        `${each.method} ${each.path} HTTP/1.1\r\nHost: a.example\r\n${each.fields ?? ""}${more}\r\n`;
      client.send(request(fields) + body);
      const response = await client.response(each.method === "HEAD");
      expect(response.status).toBe(each.status);
      expect(field(response, "content-length")).toBe(each.length);
      // node:http says how a body would be framed, and that it keeps a connection alive.
      if (engine === "uws") expect(field(response, "transfer-encoding")).toBeUndefined();
      if (expectsClose) expect(field(response, "connection")?.toLowerCase()).toBe("close");
      else expect(field(response, "connection")?.toLowerCase()).not.toBe("close");
      expect(Date.parse(field(response, "date") ?? "")).toBeGreaterThan(0);
      if (expectsClose) await client.closes();
      else {
        client.send(request(""));
        expect((await client.response(each.method === "HEAD")).status).toBe(each.status);
      }
      expect(client.pending.toString("latin1")).toBe("");
      expect(client.reset).toBe(false);
    });
  }

  it("a chunked response behind which the connection closes ends without a trailer that no service sent", async () => {
    rig.report();
    // More than goes out with the head in one write.
    const size = 100_000;
    rig.upstream.answer(
      "/chunked",
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${size.toString(16)}\r\n${"x".repeat(size)}\r\n0\r\n\r\n`,
    );
    await using client = await rig.connect(engine);
    client.send("GET /chunked HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nTE: trailers\r\n\r\n");
    const response = await client.response();
    expect([response.status, response.body.length, response.trailers]).toEqual([200, size, []]);
    await client.closes();
    expect(client.pending.toString("latin1")).toBe("");
  });
});
