// The own HTTP/2 client before servers that are played frame by frame: GOAWAY, refusals, windows, silence, and servers that break rules.
import { PassThrough } from "node:stream";
import { afterEach, describe, expect, it } from "vitest";
import { ERROR_CODE, FRAME } from "../../../../../../src/base/http2/protocol.ts";
import { TimerWheel } from "../../../../../../src/base/timer-wheel.ts";
import { H2Pool } from "../../../../../../src/data/upstream/transport/h2/pool.ts";
import type { PoolPlan, UpstreamPlan } from "../../../../../../src/plan/plan.ts";
import { type PlayedConnection, PlayedHttp2Server } from "../../../../../support/played-http2-server.ts";
import { block, data, frame, goAway, rst, settings, settingsAck, windowUpdate } from "../../../../../support/raw-http2.ts";
import { until } from "../../../../../support/until.ts";
import { endpoint, upstreamPlan } from "../../../../../support/upstreams.ts";
import { ask, streamed } from "../../../../../support/wire-calls.ts";

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0).reverse()) close();
});

async function server(greeting?: Buffer | null): Promise<PlayedHttp2Server> {
  const played = await PlayedHttp2Server.start(greeting);
  open.push(() => played.close());
  return played;
}

function poolTo(port: number, part: Partial<PoolPlan> = {}, more: Partial<UpstreamPlan> = {}): H2Pool {
  const wheel = new TimerWheel();
  const plan = upstreamPlan({ protocol: "h2c", ...more });
  const pool = new H2Pool(endpoint("a", 0, { port }), { ...plan, pool: { ...plan.pool, keepAliveMs: 60_000, ...part } }, wheel);
  open.push(() => {
    pool.close();
    wheel.stop();
  });
  return pool;
}

const head = (id: number, ...fields: readonly (readonly [string, string])[]): Buffer =>
  frame(FRAME.headers, 4, id, block([[":status", "200"], ...fields]));
const ok = (id: number): Buffer => frame(FRAME.headers, 5, id, block([[":status", "200"]]));

/** A session over which a call has been answered: whatever greets it has come. */
async function warmed(played: PlayedHttp2Server, pool: H2Pool): Promise<PlayedConnection> {
  const asked = ask(pool);
  const connection = await played.connection();
  await connection.received(FRAME.headers);
  connection.send(ok(1));
  await asked.over;
  return connection;
}

describe("GOAWAY", () => {
  it("what the server never looked at goes out again on another session, any method; what it did look at ends where it is", async () => {
    const played = await server();
    const pool = poolTo(played.port);
    const calls = [ask(pool, { path: "/1" }), ask(pool, { method: "POST", path: "/2", body: Buffer.from("x"), contentLength: 1 })];
    const first = await played.connection();
    await first.received(FRAME.headers, 2);
    first.send(goAway(1, ERROR_CODE.noError));
    const second = await played.connection(1);
    const [again] = await second.received(FRAME.headers);
    await second.received(FRAME.data);
    first.send(ok(1));
    second.send(ok(again?.id ?? 0));
    const outcomes = await Promise.all(calls.map(({ over }) => over));
    expect(outcomes.map(({ status, error }) => [status, error])).toEqual([
      [200, null],
      [200, null],
    ]);
    expect(calls.map(({ sent }) => sent)).toEqual([1, 2]);
    await until("the first session is closed", () => first.closed);
    expect(pool.stats.connected).toBe(1);
  });

  it("a body that was streamed cannot be taken back: its request fails as one that was not processed", async () => {
    const played = await server();
    const asked = ask(poolTo(played.port), { method: "POST", ...streamed([Buffer.from("x")]) });
    const first = await played.connection();
    await first.received(FRAME.headers);
    first.send(goAway(0, ERROR_CODE.noError));
    expect((await asked.over).error).toMatchObject({ code: "upstream_reset", unsent: true });
  });

  it("a request is sent twice at most: a server that refuses again is believed", async () => {
    const played = await server();
    const asked = ask(poolTo(played.port));
    const connection = await played.connection();
    await connection.received(FRAME.headers, 1);
    connection.send(rst(1, ERROR_CODE.refusedStream));
    await connection.received(FRAME.headers, 2);
    connection.send(rst(3, ERROR_CODE.refusedStream));
    expect((await asked.over).error).toMatchObject({ code: "upstream_reset", unsent: true, reason: "RST_STREAM REFUSED_STREAM" });
    expect(asked.sent).toBe(2);
  });

  it("uploads that wait for windows go over to another session whole, and leave nothing behind on the first", async () => {
    const played = await server();
    const pool = poolTo(played.port);
    const held = ask(pool); // keeps the first session open
    const bodies = [Buffer.alloc(100_000, "1"), Buffer.alloc(100_000, "2")];
    const calls = bodies.map((body) => ask(pool, { method: "POST", body, contentLength: body.length }));
    const first = await played.connection();
    await until("the window is used up", () => first.of(FRAME.data).reduce((sum, { payload }) => sum + payload.length, 0) === 65_535);
    first.send(goAway(1, ERROR_CODE.noError), windowUpdate(0, 1_000_000), frame(FRAME.ping, 0, 0, "12345678"));
    await first.received(FRAME.ping);
    const second = await played.connection(1);
    await second.received(FRAME.headers, 2);
    second.send(windowUpdate(0, 1_000_000), windowUpdate(1, 100_000), windowUpdate(3, 100_000));
    const sent = (id: number): Buffer =>
      Buffer.concat(
        second
          .of(FRAME.data)
          .filter((each) => each.id === id)
          .map(({ payload }) => payload),
      );
    await until("both have come", () => sent(1).length === 100_000 && sent(3).length === 100_000);
    expect([sent(1).equals(bodies[0] as Buffer), sent(3).equals(bodies[1] as Buffer)]).toEqual([true, true]);
    second.send(ok(1), ok(3));
    first.send(ok(1));
    expect((await Promise.all([held, ...calls].map(({ over }) => over))).map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  it("in two steps: the first names no stream, and nothing is lost between them", async () => {
    const played = await server();
    const pool = poolTo(played.port);
    const before = ask(pool);
    const first = await played.connection();
    await first.received(FRAME.headers);
    first.send(goAway(0x7fffffff, ERROR_CODE.noError));
    await until("it is heard", () => pool.stats.running === 1);
    await until("another session is there", () => {
      const probe = ask(pool);
      probe.call?.cancel();
      return played.connections.length > 1;
    });
    first.send(goAway(1, ERROR_CODE.noError), ok(1));
    expect((await before.over).status).toBe(200);
  });
});

describe("windows", () => {
  it("an upload waits for the window, and its source with it", async () => {
    const played = await server(Buffer.concat([settings([4, 1000]), settingsAck()]));
    const pool = poolTo(played.port);
    const warm = ask(pool);
    const connection = await played.connection();
    await connection.received(FRAME.headers);
    connection.send(ok(1));
    await warm.over;
    const body = new PassThrough();
    const asked = ask(pool, { method: "POST", body, contentLength: -1 });
    body.write(Buffer.alloc(800));
    body.write(Buffer.alloc(800));
    const sentBytes = (): number => connection.of(FRAME.data).reduce((sum, { payload }) => sum + payload.length, 0);
    await until("the window is used up", () => sentBytes() === 1000);
    await until("the source is held back", () => body.isPaused());
    connection.send(windowUpdate(3, 600));
    await until("the rest has come", () => sentBytes() === 1600);
    await until("the source goes on", () => !body.isPaused());
    body.end();
    connection.send(ok(3));
    expect((await asked.over).status).toBe(200);
  });

  it("a response beyond what its reader takes is held back by its window, and given back as it is taken", async () => {
    const played = await server();
    const pool = poolTo(played.port);
    const asked = ask(pool, {}, (each) => {
      each.onHead = () => each.call?.pause();
    });
    const connection = await played.connection();
    await connection.received(FRAME.headers);
    connection.send(head(1));
    for (let i = 0; i < 16; i++) connection.send(data(1, Buffer.alloc(16_384)));
    await connection.received(FRAME.settings, 2); // ours, and the acknowledgement
    connection.send(frame(FRAME.ping, 0, 0, "12345678"));
    await connection.received(FRAME.ping);
    expect(asked.bytes).toBe(0);
    expect(connection.of(FRAME.windowUpdate).filter(({ id }) => id === 1)).toEqual([]);
    asked.call?.resume();
    expect(asked.bytes).toBe(16 * 16_384);
    const [given] = (await connection.received(FRAME.windowUpdate, 2)).filter(({ id }) => id === 1);
    expect(given?.payload.readUInt32BE(0)).toBe(16 * 16_384);
  });
});

describe("silence", () => {
  it("a call that is given up on a silent session has it pinged; without an answer the session is thrown away, and others take the calls", async () => {
    const played = await server();
    const pool = poolTo(played.port, {}, { timeouts: { connectMs: 1000, attemptMs: 1, idleMs: 1000, totalMs: 0 } });
    const connection = await warmed(played, pool);
    const waiting = ask(pool);
    const given = ask(pool);
    await connection.received(FRAME.headers, 3);
    const sentMs = performance.now();
    await until("an attempt's time is over", () => performance.now() - sentMs > 2);
    given.call?.cancel();
    await connection.received(FRAME.ping);
    const next = ask(pool);
    const other = await played.connection(1);
    await other.received(FRAME.headers);
    other.send(ok(1));
    expect((await next.over).status).toBe(200);
    expect((await waiting.over).error).toMatchObject({ code: "upstream_reset", reason: "a ping is not answered" });
    await until("it is closed", () => connection.closed);
  });

  it("a session that answers its ping is used again", async () => {
    const played = await server();
    const pool = poolTo(played.port, {}, { timeouts: { connectMs: 1000, attemptMs: 1, idleMs: 1000, totalMs: 0 } });
    const connection = await warmed(played, pool);
    const given = ask(pool);
    await connection.received(FRAME.headers, 2);
    const sentMs = performance.now();
    await until("an attempt's time is over", () => performance.now() - sentMs > 2);
    given.call?.cancel();
    const [ping] = await connection.received(FRAME.ping);
    connection.send(frame(FRAME.ping, 1, 0, ping?.payload));
    await until("it has room", () => {
      const probe = ask(pool);
      probe.call?.cancel();
      return connection.of(FRAME.headers).length > 2;
    });
    expect(connection.closed).toBe(false);
  });

  it("nobody is pinged while nothing is awaited, nor by default while something is", async () => {
    const played = await server();
    const pool = poolTo(played.port);
    const asked = ask(pool);
    const connection = await played.connection();
    await connection.received(FRAME.headers);
    connection.send(ok(1));
    await asked.over;
    ask(pool);
    await connection.received(FRAME.headers, 2);
    expect(connection.of(FRAME.ping)).toEqual([]);
  });

  it("`ping` asks a session that is silent while answers are awaited; one that finds this too often is asked half as often", async () => {
    const played = await server();
    const pool = poolTo(played.port, { pingMs: 1 });
    ask(pool);
    const connection = await played.connection();
    await connection.received(FRAME.ping);
    connection.send(goAway(1, ERROR_CODE.enhanceYourCalm, "too_many_pings"));
    await until("it is heard", () => pool.pingPauseMs === 20_000);
  });
});

describe("servers that break rules", () => {
  it.each<readonly [what: string, bytes: readonly Buffer[]]>([
    ["HTTP/1.1", [Buffer.from("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")]],
    ["a block that cannot be decoded", [frame(FRAME.headers, 5, 1, Buffer.from([0x80]))]],
    ["a push", [frame(FRAME.pushPromise, 4, 1, Buffer.from([0, 0, 0, 2]))]],
    ["a frame that is too large", [frame(0, 0, 1, Buffer.alloc(16_385))]],
  ])("%s ends the session, and its calls fail", async (_, bytes) => {
    const played = await server(null);
    const pool = poolTo(played.port);
    const asked = ask(pool);
    const connection = await played.connection();
    await connection.received(FRAME.headers);
    connection.send(settings(), ...bytes);
    expect((await asked.over).error?.code).toBe("upstream_reset");
    await connection.received(FRAME.goAway);
    await until("no session is left", () => pool.stats.connected === 0);
  });

  it.each<readonly [what: string, bytes: readonly Buffer[]]>([
    ["transfer-encoding", [head(1, ["transfer-encoding", "chunked"])]],
    ["a line end in a value", [head(1, ["x-a", "1\r\n2"])]],
    ["content that HEAD does not have", [head(1), data(1, "x")]],
    ["more content than its length", [head(1, ["content-length", "1"]), data(1, "xx")]],
    ["two lengths", [head(1, ["content-length", "1"], ["content-length", "2"])]],
  ])("%s fails its call as invalid, and no other", async (_, bytes) => {
    const played = await server();
    const pool = poolTo(played.port);
    const asked = ask(pool, { method: "HEAD" });
    const other = ask(pool);
    const connection = await played.connection();
    await connection.received(FRAME.headers, 2);
    connection.send(...bytes, ok(3));
    expect((await asked.over).error).toMatchObject({ code: "upstream_invalid", unsent: false });
    expect((await other.over).status).toBe(200);
  });

  it("a session that closes while an upload goes on fails its call, and stops the source", async () => {
    const played = await server();
    const body = new PassThrough();
    body.write("x");
    const asked = ask(poolTo(played.port), { method: "POST", body, contentLength: -1 });
    const connection = await played.connection();
    await connection.received(FRAME.data);
    connection.socket.destroy();
    expect((await asked.over).error).toMatchObject({ code: "upstream_reset", unsent: false });
    expect(body.destroyed).toBe(true);
  });
});
