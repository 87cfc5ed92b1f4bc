// Both pools against a real upstream: whatever a caller does with its calls, the connection and the place in the queue come back.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TimerWheel } from "../../../../../../src/base/timer-wheel.ts";
import { H1Pool } from "../../../../../../src/data/upstream/transport/http1/pool.ts";
import { LONG_READERS_MAX, READ_BYTES, ReadSize } from "../../../../../../src/data/upstream/transport/http1/read-size.ts";
import { UndiciPool } from "../../../../../../src/data/upstream/transport/undici/pool.ts";
import type { Pool, WireCall, WireHandler } from "../../../../../../src/data/upstream/upstream.ts";
import type { UpstreamPlan } from "../../../../../../src/plan/plan.ts";
import { FullBacklog } from "../../../../../support/full-backlog.ts";
import { OK, RawUpstream } from "../../../../../support/raw-upstream.ts";
import { until } from "../../../../../support/until.ts";
import { endpoint, upstreamPlan } from "../../../../../support/upstreams.ts";

/** Remembers how its call went. */
class Watch implements WireHandler {
  end = "";
  bytes = 0;
  call: WireCall | null = null;
  readonly onHead: (call: WireCall) => void;
  readonly onData: (call: WireCall) => void;

  constructor(on: { readonly head?: (call: WireCall) => void; readonly data?: (call: WireCall) => void } = {}) {
    this.onHead = on.head ?? (() => {});
    this.onData = on.data ?? (() => {});
  }

  wireSent(): void {}
  wireHead(): void {
    if (this.call !== null) this.onHead(this.call);
  }
  wireData(chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.call !== null) this.onData(this.call);
  }
  wireEnd(): void {
    this.end = "ended";
  }
  wireError({ code }: { readonly code: string }): void {
    this.end = code;
  }
}

describe.each([
  ["http1", H1Pool],
  ["undici", UndiciPool],
] as const)("%s", (_, PoolClass) => {
  let upstream: RawUpstream;
  let pool: Pool;
  beforeEach(async () => {
    upstream = await RawUpstream.start();
    const plan: UpstreamPlan = upstreamPlan({
      pool: { client: "http1", connections: 1, pipelining: 1, streams: 100, pingMs: 0, keepAliveMs: 60_000, queue: 1 },
    });
    pool = new PoolClass(endpoint("a", 0, { port: upstream.port }), plan, new TimerWheel());
  });
  afterEach(async () => {
    await upstream[Symbol.asyncDispose]();
    pool.close();
  });

  function ask(path: string, watch = new Watch(), method = "GET"): Watch {
    watch.call = pool.dispatch({ method, path, headers: ["host", "a"], body: null, contentLength: 0 }, watch);
    return watch;
  }
  const ends = (watch: Watch): Promise<void> => until("the call ends", () => watch.end !== "");

  it("an unwanted answer that never ends does not keep its connection", async () => {
    upstream.answer("/endless", "HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n");
    const unwanted = ask("/endless", new Watch({ head: (call) => call.discard() }));
    const next = ask("/next");
    await ends(next);
    expect([unwanted.end, next.end]).toEqual(["", "ended"]);
  });

  it("a cancelled call leaves the queue at once", async () => {
    upstream.on("/held", () => {});
    ask("/held");
    await upstream.received("/held");
    for (let i = 0; i < 200; i++) ask("/gone").call?.cancel();
    expect(pool.stats.queued).toBe(0);
    const next = ask("/next");
    expect(pool.stats.queued).toBe(1);
    for (const { socket } of upstream.connections) socket.write(OK);
    await ends(next);
    expect(next.end).toBe("ended");
    expect(upstream.to("/gone")).toEqual([]);
  });

  it("a call is in line while all connections are busy, not while one is being made or when it is sent", async () => {
    upstream.on("/held", () => {});
    const held = ask("/held");
    expect(held.call?.inLine).toBe(false);
    await upstream.received("/held");
    const queued = ask("/queued");
    expect([held.call?.inLine, queued.call?.inLine]).toEqual([false, true]);
    held.call?.cancel();
    await ends(queued);
    expect(queued.call?.inLine).toBe(false);
  });

  it("nobody is in line at a target that cannot be connected to", async () => {
    await using full = await FullBacklog.start();
    const plan = upstreamPlan({
      pool: { client: "http1", connections: 1, pipelining: 1, streams: 100, pingMs: 0, keepAliveMs: 60_000, queue: 10 },
      timeouts: { connectMs: 100, attemptMs: 1000, idleMs: 1000, totalMs: 0 },
    });
    const unreachable = new PoolClass(endpoint("a", 0, { port: full.port }), plan, new TimerWheel());
    const calls = Array.from({ length: 3 }, () => {
      const watch = new Watch();
      watch.call = unreachable.dispatch({ method: "GET", path: "/", headers: ["host", "a"], body: null, contentLength: 0 }, watch);
      return watch;
    });
    expect(calls[0]?.call?.inLine).toBe(false);
    await until("the first attempt has failed", () => calls[0]?.end === "connect_timeout");
    expect(calls.slice(1).map(({ call }) => call?.inLine)).toEqual([false, false]);
    for (const { call } of calls) call?.cancel();
    unreachable.close();
  });

  it("a refused call that is cancelled gives no place back", async () => {
    upstream.on("/held", () => {});
    ask("/held");
    await upstream.received("/held");
    ask("/queued");
    ask("/refused").call?.cancel();
    expect(pool.stats.queued).toBe(1);
    const refused = ask("/refused");
    await ends(refused);
    expect(refused.end).toBe("overloaded");
  });

  it("what a server wrongly sends behind its answer to HEAD reaches nobody", async () => {
    const body = Promise.withResolvers<void>();
    upstream.on("/head", (connection) => {
      connection.write("HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n");
      // A little later, as a packet of its own.
      setTimeout(() => {
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
        body.resolve();
      }, 2);
    });
    upstream.on("/next", (connection) => void body.promise.then(() => connection.write(OK)));
    const head = ask("/head", new Watch(), "HEAD");
    const next = ask("/next");
    await ends(next);
    expect([head.end, head.bytes, next.end, next.bytes]).toEqual(["ended", 0, "ended", "ok".length]);
  });

  it("a pause ends with the answer", async () => {
    const paused = ask("/paused", new Watch({ data: (call) => call.pause() }));
    await until("the answer is there", () => paused.bytes === 2);
    paused.call?.resume();
    await ends(paused);
    const next = ask("/next");
    await ends(next);
    expect(next.end).toBe("ended");
    expect(upstream.connections).toHaveLength(1);
  });
});

describe("what a client has not taken of a response that is over", () => {
  const BODY_BYTES = 8 * 1024 * 1024;

  /** @returns how many more responses may be read much at once */
  function longReadsLeft(): number {
    const readers = Array.from({ length: LONG_READERS_MAX + 1 }, () => new ReadSize());
    const left = readers.filter((reader) => {
      reader.begins(true);
      reader.read(READ_BYTES);
      return reader.next().length > READ_BYTES;
    });
    for (const reader of readers) reader.reset();
    return left.length;
  }

  it.each<[string, (call: WireCall) => void]>([
    ["taken", (call) => call.resume()],
    ["given up", (call) => call.cancel()],
  ])("counts until it is %s", async (_, release) => {
    await using upstream = await RawUpstream.start();
    upstream.answer("/", `HTTP/1.1 200 OK\r\nContent-Length: ${BODY_BYTES}\r\n\r\n${"x".repeat(BODY_BYTES)}`);
    const pool = new H1Pool(endpoint("a", 0, { port: upstream.port }), upstreamPlan({}), new TimerWheel());
    const watch: Watch = new Watch({ data: (call) => watch.bytes === BODY_BYTES && call.pause() });
    watch.call = pool.dispatch({ method: "GET", path: "/", headers: ["host", "a"], body: null, contentLength: 0 }, watch);
    await until("the call ends", () => watch.end !== "");
    expect(watch.end).toBe("ended");
    expect(longReadsLeft()).toBe(LONG_READERS_MAX - 1);
    for (let i = 0; i < 2; i++) release(watch.call);
    expect(longReadsLeft()).toBe(LONG_READERS_MAX);
    pool.close();
  });
});
