// The own HTTP/2 client against node:http2 over real sockets: requests and responses of every shape, byte for byte; sessions, streams and who waits.
import { createHash, randomBytes } from "node:crypto";
import http2, { type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { afterEach, describe, expect, it } from "vitest";
import { TimerWheel } from "../../../../../../src/base/timer-wheel.ts";
import { H2Pool } from "../../../../../../src/data/upstream/transport/h2/pool.ts";
import type { PoolPlan } from "../../../../../../src/plan/plan.ts";
import { FullBacklog } from "../../../../../support/full-backlog.ts";
import { endpoint, upstreamPlan } from "../../../../../support/upstreams.ts";
import { ask, streamed } from "../../../../../support/wire-calls.ts";

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0).reverse()) close();
});

const digest = (body: Buffer): string => createHash("sha256").update(body).digest("hex").slice(0, 16);

interface Origin {
  readonly port: number;
  /** Sessions that were opened so far. */
  readonly sessions: http2.ServerHttp2Session[];
}

async function origin(
  answer: (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
  settings: http2.Settings = {},
): Promise<Origin> {
  const server = http2.createServer({ settings });
  const sessions: http2.ServerHttp2Session[] = [];
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => {});
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    answer(stream, headers);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sessions };
}

function poolTo(port: number, part: Partial<PoolPlan> = {}): H2Pool {
  const wheel = new TimerWheel();
  const plan = upstreamPlan({ protocol: "h2c" });
  const pool = new H2Pool(endpoint("a", 0, { port }), { ...plan, pool: { ...plan.pool, ...part } }, wheel);
  open.push(() => {
    pool.close();
    wheel.stop();
  });
  return pool;
}

/** Answers with what it got: method, path and fields as JSON in a field, the body as the body. */
const echo = (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void => {
  const chunks: Buffer[] = [];
  let trailers = "";
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("trailers", (given) => {
    trailers = JSON.stringify(given);
  });
  stream.on("end", () => {
    if (stream.destroyed) return;
    stream.respond({ ":status": 200, "x-got": JSON.stringify(headers), "x-trailers": trailers });
    stream.end(Buffer.concat(chunks));
  });
};

const field = (headers: readonly string[] | undefined, name: string): string | undefined => {
  for (let i = 0; i < (headers?.length ?? 0); i += 2) if (headers?.[i] === name) return headers[i + 1];
  return undefined;
};

describe("requests", () => {
  it("Host becomes :authority, and pseudo-header fields, fields and length arrive as they were given", async () => {
    const pool = poolTo((await origin(echo)).port);
    const headers = ["host", "users.example:81", "accept", "text/html", "te", "trailers", "x-bytes", "caf\xe9", "cookie", "a=1; b=2"];
    const { head, status } = await ask(pool, { method: "PUT", path: "/a/b?c=d", headers, body: Buffer.from("hi"), contentLength: 2 }).over;
    const got = JSON.parse(field(head?.headers, "x-got") ?? "{}") as Record<string, unknown>;
    expect(status).toBe(200);
    expect(got).toMatchObject({
      ":method": "PUT",
      ":scheme": "http",
      ":authority": "users.example:81",
      ":path": "/a/b?c=d",
      accept: "text/html",
      te: "trailers",
      "x-bytes": "caf\xe9",
      cookie: "a=1; b=2",
      "content-length": "2",
    });
    expect(got).not.toHaveProperty("host");
  });

  it.each<readonly [method: string, length: string | undefined]>([
    ["POST", "0"],
    ["GET", undefined],
    ["DELETE", undefined],
  ])("%s without a body says content-length %j (RFC 9110 section 8.6)", async (method, length) => {
    const { head } = await ask(poolTo((await origin(echo)).port), { method }).over;
    expect((JSON.parse(field(head?.headers, "x-got") ?? "{}") as Record<string, unknown>)["content-length"]).toBe(length);
  });

  it("what requests have in common is encoded once, and arrives with each", async () => {
    const pool = poolTo((await origin(echo)).port);
    const common = { list: ["host", "users.example", "accept", "text/html", "x-a", "1"], bytes: null };
    for (const id of ["1", "2", "3"]) {
      const { head } = await ask(pool, { headers: [...common.list, "x-request-id", id], common }).over;
      const got = JSON.parse(field(head?.headers, "x-got") ?? "{}") as Record<string, unknown>;
      expect(got).toMatchObject({ ":authority": "users.example", accept: "text/html", "x-a": "1", "x-request-id": id });
      expect(common.bytes).not.toBeNull();
    }
  });

  it.each([0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 262_144, 8 * 1024 * 1024])(
    "a body of %i bytes arrives and comes back",
    async (length) => {
      const pool = poolTo((await origin(echo)).port);
      const body = randomBytes(length);
      const whole = await ask(pool, { method: "POST", body, contentLength: length }).over;
      expect([whole.error, whole.body.length, digest(whole.body)]).toEqual([null, length, digest(body)]);
      const pieces = [body.subarray(0, length >> 1), body.subarray(length >> 1)];
      for (const contentLength of [-1, length]) {
        const parts = await ask(pool, { method: "POST", ...streamed(pieces, contentLength) }).over;
        expect([parts.error, parts.body.length, digest(parts.body)]).toEqual([null, length, digest(body)]);
      }
    },
  );

  it("trailers go up behind a streamed body", async () => {
    const pool = poolTo((await origin(echo)).port);
    const { head } = await ask(pool, { method: "POST", ...streamed([Buffer.from("x")]), trailers: () => ["x-sum", "1"] }).over;
    expect(field(head?.headers, "x-trailers")).toBe('{"x-sum":"1"}');
  });

  it.each<readonly [what: string, part: object]>([
    ["a line end in a value", { headers: ["host", "a", "x-a", "1\r\n2"] }],
    ["a space in a target", { path: "/a b" }],
    ["a target that begins with no slash", { path: "a" }],
    ["a space in a method", { method: "GET X" }],
    ["a line end in Host", { headers: ["host", "a\n"] }],
  ])("%s is not sent, and its session goes on", async (_, part) => {
    const pool = poolTo((await origin(echo)).port);
    expect((await ask(pool).over).status).toBe(200);
    expect((await ask(pool, part).over).error).toMatchObject({ code: "upstream_invalid", unsent: true });
    expect((await ask(pool).over).status).toBe(200);
  });

  it.each<readonly [what: string, contentLength: number]>([
    ["longer", 3],
    ["shorter", 9],
  ])("a body %s than its Content-Length breaks its request, and no other", async (_, contentLength) => {
    const pool = poolTo((await origin(echo)).port);
    const other = ask(pool, { method: "POST", body: Buffer.alloc(100_000), contentLength: 100_000 });
    const broken = await ask(pool, { method: "POST", ...streamed([Buffer.from("12345")], contentLength) }).over;
    expect(broken.error).toMatchObject({ code: "upstream_reset", unsent: false });
    expect((await other.over).body.length).toBe(100_000);
  });
});

describe("responses", () => {
  it("fields, trailers, several of one name, and the length", async () => {
    const { port } = await origin((stream) => {
      stream.respond(
        { ":status": 200, "content-length": 2, "set-cookie": ["a=1", "b=2"], "retry-after": "3", "x-request-id": "theirs" },
        { waitForTrailers: true },
      );
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "x-two": ["1", "2"] }));
      stream.end("ok");
    });
    const { status, head, body, trailers } = await ask(poolTo(port)).over;
    expect([status, body.toString(), head?.length, head?.retryAfter, head?.fault]).toEqual([200, "ok", 2, "3", ""]);
    expect(head?.headers.filter((_, i, all) => all[i - (i % 2)] === "set-cookie")).toEqual(["set-cookie", "a=1", "set-cookie", "b=2"]);
    expect(field(head?.headers, "x-request-id")).toBeUndefined();
    expect({ ...trailers }).toEqual({ "grpc-status": "0", "x-two": ["1", "2"] });
  });

  it.each<readonly [method: string, status: number, length: number, want: number]>([
    ["HEAD", 200, 5, 5],
    ["GET", 304, 5, 5],
    ["GET", 204, -1, -1],
    ["GET", 200, -1, 0],
  ])("%s answered with %i and no content has the length of its field, %i", async (method, status, length, want) => {
    const { port } = await origin((stream) => {
      stream.respond({ ":status": status, ...(length < 0 ? {} : { "content-length": length }) }, { endStream: true });
    });
    const { head, body, error } = await ask(poolTo(port), { method }).over;
    expect([error, head?.length, body.length]).toEqual([null, want, 0]);
  });

  it("informational responses are told ahead of the final one", async () => {
    const { port } = await origin((stream) => {
      stream.additionalHeaders({ ":status": 103, link: "</a>; rel=preload" });
      stream.additionalHeaders({ ":status": 102 });
      stream.respond({ ":status": 200 });
      stream.end("x");
    });
    const asked = ask(poolTo(port));
    const { status, body } = await asked.over;
    expect([status, body.toString()]).toEqual([200, "x"]);
    expect(asked.interim.map(([interim, headers]) => [interim, headers.slice(0, 2)])).toEqual([
      [103, ["link", "</a>; rel=preload"]],
      [102, []],
    ]);
  });

  it("a reader that pauses holds the service back, and gets everything in the end, while others go on", async () => {
    const body = randomBytes(4 * 1024 * 1024);
    const written = Promise.withResolvers<void>();
    const { port } = await origin((stream, headers) => {
      stream.respond({ ":status": 200 });
      if (headers[":path"] === "/big") stream.end(body, () => written.resolve());
      else stream.end("small");
    });
    const pool = poolTo(port);
    const slow = ask(pool, { path: "/big" }, (asked) => {
      asked.onHead = () => asked.call?.pause();
    });
    await slow.headCame.promise;
    for (let i = 0; i < 20; i++) expect((await ask(pool).over).body.toString()).toBe("small");
    expect(slow.bytes).toBe(0);
    slow.onChunk = () => {
      slow.call?.pause();
      setImmediate(() => slow.call?.resume());
    };
    slow.call?.resume();
    const all = await slow.over;
    expect([all.body.length, digest(all.body)]).toEqual([body.length, digest(body)]);
    expect(pool.stats).toMatchObject({ connected: 1, running: 0 });
  });
});

describe("ends before the end", () => {
  it("a call that is cancelled resets its stream with CANCEL, whatever it was at, and its session goes on", async () => {
    const codes: number[] = [];
    const closed = Promise.withResolvers<void>();
    const { port, sessions } = await origin((stream, headers) => {
      if (headers[":path"] === "/") {
        stream.respond({ ":status": 200 });
        return void stream.end();
      }
      stream.on("close", () => {
        codes.push(stream.rstCode);
        if (codes.length === 3) closed.resolve();
      });
      if (headers[":path"] !== "/silent") stream.respond({ ":status": 200 });
      if (headers[":path"] === "/data") stream.write("x");
    });
    const pool = poolTo(port);
    expect((await ask(pool).over).status).toBe(200);
    const silent = ask(pool, { path: "/silent" });
    const upload = ask(pool, { path: "/head", method: "POST", body: new PassThrough(), contentLength: -1 });
    const data = ask(pool, { path: "/data" });
    await Promise.all([upload.headCame.promise, data.headCame.promise]);
    for (const each of [silent, upload, data]) each.call?.cancel();
    await closed.promise;
    expect(codes).toEqual([8, 8, 8]);
    expect((await ask(pool).over).status).toBe(200);
    expect([sessions.length, pool.stats.running]).toEqual([1, 0]);
  });

  it("a call cancelled before its session is there is never sent", async () => {
    let requests = 0;
    const { port } = await origin((stream) => {
      requests++;
      stream.respond({ ":status": 200 }, { endStream: true });
    });
    const pool = poolTo(port);
    const first = ask(pool);
    first.call?.cancel();
    expect((await ask(pool).over).status).toBe(200);
    expect([requests, first.sent]).toEqual([1, 0]);
  });

  it("an answer that comes before the upload's end is complete, and the upload ends with NO_ERROR", async () => {
    const code = Promise.withResolvers<number>();
    const { port } = await origin((stream) => {
      stream.on("close", () => code.resolve(stream.rstCode));
      stream.respond({ ":status": 413 });
      stream.end("too large");
    });
    const body = new PassThrough();
    body.write("some");
    const { status, body: answer, error } = await ask(poolTo(port), { method: "POST", body, contentLength: -1 }).over;
    expect([status, answer.toString(), error]).toEqual([413, "too large", null]);
    expect(await code.promise).toBe(0);
    expect(body.destroyed).toBe(true);
  });

  it("a response that is discarded is read away when it is short, and reset when it is long", async () => {
    const code = Promise.withResolvers<number>();
    const { port } = await origin((stream, headers) => {
      stream.respond({ ":status": 503 });
      if (headers[":path"] === "/short") return void stream.end("sorry");
      stream.on("close", () => code.resolve(stream.rstCode));
      stream.write(Buffer.alloc(200_000));
    });
    const pool = poolTo(port);
    for (const path of ["/short", "/long"]) {
      const asked = ask(pool, { path }, (each) => {
        each.onHead = () => each.call?.discard();
      });
      await asked.headCame.promise;
    }
    expect(await code.promise).toBe(8);
  });

  it.each<readonly [code: number, want: object]>([
    [http2.constants.NGHTTP2_INTERNAL_ERROR, { code: "upstream_reset", unsent: false }],
    [http2.constants.NGHTTP2_ENHANCE_YOUR_CALM, { code: "upstream_reset", unsent: false }],
    [http2.constants.NGHTTP2_REFUSED_STREAM, { code: "upstream_reset", unsent: true }],
    [http2.constants.NGHTTP2_HTTP_1_1_REQUIRED, { code: "upstream_invalid", unsent: false }],
  ])("a stream that the service resets with %i fails", async (code, want) => {
    const { port } = await origin((stream) => stream.close(code));
    expect((await ask(poolTo(port), { method: "POST", ...streamed([Buffer.from("x")]) }).over).error).toMatchObject(want);
  });

  it("a session that breaks off fails its calls, and the next call gets another one", async () => {
    const { port, sessions } = await origin((stream, headers) => {
      if (headers[":path"] === "/cut") return void sessions[0]?.destroy();
      stream.respond({ ":status": 200 }, { endStream: true });
    });
    const pool = poolTo(port);
    expect((await ask(pool).over).status).toBe(200);
    expect((await ask(pool, { path: "/cut" }).over).error).toMatchObject({ code: "upstream_reset", unsent: false });
    expect((await ask(pool).over).status).toBe(200);
    expect(sessions.length).toBe(2);
  });
});

describe("sessions", () => {
  it("64 calls at once share one session", async () => {
    const { port, sessions } = await origin(echo);
    const pool = poolTo(port);
    const bodies = Array.from({ length: 64 }, (_, i) => randomBytes(1 + i * 1000));
    const outcomes = await Promise.all(bodies.map((body) => ask(pool, { method: "POST", body, contentLength: body.length }).over));
    expect(outcomes.map(({ body }) => digest(body))).toEqual(bodies.map(digest));
    expect(sessions.length).toBe(1);
  });

  it("no more streams than the target allows, or we do; then a further session, and beyond `connections` a queue", async () => {
    const held: ServerHttp2Stream[] = [];
    const came = Promise.withResolvers<void>();
    let most = 0;
    const { port, sessions } = await origin(
      (stream) => {
        held.push(stream);
        most = Math.max(most, held.filter((each) => each.session === stream.session && !each.closed).length);
        if (held.length === 6) came.resolve();
        if (held.length > 6) stream.respond({ ":status": 200 }, { endStream: true });
      },
      { maxConcurrentStreams: 3 },
    );
    const pool = poolTo(port, { connections: 2, queue: 3 });
    const first = ask(pool, { path: "/settle" });
    await expect.poll(() => held.length).toBe(1);
    const others = Array.from({ length: 8 }, () => ask(pool));
    await came.promise;
    expect(pool.stats).toEqual({ connected: 2, running: 6, queued: 3 });
    expect(others.at(-1)?.call?.inLine).toBe(true);
    expect((await ask(pool).over).error).toMatchObject({ code: "overloaded", unsent: true });
    for (const stream of held) stream.respond({ ":status": 200 }, { endStream: true });
    const outcomes = await Promise.all([first, ...others].map((each) => each.over));
    expect(outcomes.map(({ status }) => status)).toEqual(new Array(9).fill(200));
    expect([sessions.length, most]).toEqual([2, 3]);
  });

  it("nobody listens: all that wait for the session learn of it", async () => {
    const { port } = await origin(echo);
    for (const close of open.splice(0)) close();
    await expect.poll(async () => (await ask(poolTo(port)).over).error?.code).toBe("connect_failed");
    const pool = poolTo(port);
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => ask(pool).over));
    expect(outcomes.map(({ error }) => [error?.code, error?.unsent])).toEqual(new Array(5).fill(["connect_failed", true]));
  });

  it("a target that does not accept is connect_timeout, for all that wait", async () => {
    await using target = await FullBacklog.start();
    const wheel = new TimerWheel();
    const pool = new H2Pool(endpoint("a", 0, { port: target.port }), upstreamPlan({ protocol: "h2c", connectMaxMs: 50 }), wheel);
    const calls = [ask(pool), ask(pool)];
    expect(calls.map(({ call }) => call?.inLine)).toEqual([false, false]);
    const outcomes = await Promise.all(calls.map(({ over }) => over));
    expect(outcomes.map(({ error }) => [error?.code, error?.unsent])).toEqual([
      ["connect_timeout", true],
      ["connect_timeout", true],
    ]);
    wheel.stop();
  });

  it("closing lets what is under way end, then says so and goes", async () => {
    const streams: ServerHttp2Stream[] = [];
    const { port, sessions } = await origin((stream) => streams.push(stream));
    const pool = poolTo(port);
    const asked = ask(pool);
    await expect.poll(() => streams.length).toBe(1);
    const goneAway = new Promise((resolve) => sessions[0]?.on("goaway", resolve));
    pool.close();
    streams[0]?.respond({ ":status": 200 });
    streams[0]?.end("bye");
    expect((await asked.over).body.toString()).toBe("bye");
    expect(await goneAway).toBe(0);
    await expect.poll(() => pool.stats.connected).toBe(0);
  });

  it("an idle session is given up after keepAlive", async () => {
    const { port } = await origin(echo);
    const pool = poolTo(port, { keepAliveMs: 1 });
    expect((await ask(pool).over).status).toBe(200);
    await expect.poll(() => pool.stats.connected, { timeout: 5000 }).toBe(0);
    expect((await ask(pool).over).status).toBe(200);
  });
});
