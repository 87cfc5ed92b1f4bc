// Several requests on one connection, against an upstream that shows each byte: who shares, and that everyone gets his own answer whatever happens
// to the connection meanwhile.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TimerWheel } from "../../../../../../src/base/timer-wheel.ts";
import { PipeliningPolicy } from "../../../../../../src/data/upstream/transport/http1/pipelining-policy.ts";
import { H1Pool } from "../../../../../../src/data/upstream/transport/http1/pool.ts";
import type { WireCall, WireHandler, WireRequest } from "../../../../../../src/data/upstream/upstream.ts";
import { RawUpstream, type UpstreamConnection } from "../../../../../support/raw-upstream.ts";
import { until } from "../../../../../support/until.ts";
import { endpoint, seededRandom, upstreamPlan } from "../../../../../support/upstreams.ts";

class Watch implements WireHandler {
  end = "";
  body = "";
  sent = 0;
  call: WireCall | null = null;
  readonly onData: (call: WireCall) => void;
  constructor(onData: (call: WireCall) => void = () => {}) {
    this.onData = onData;
  }
  wireSent(): void {
    this.sent++;
  }
  wireHead(): void {}
  wireData(chunk: Buffer): void {
    this.body += chunk.toString();
    if (this.call !== null) this.onData(this.call);
  }
  wireEnd(): void {
    this.end = "ended";
  }
  wireError({ code }: { readonly code: string }): void {
    this.end = code;
  }
}

const say = (text: string, more = ""): string => `HTTP/1.1 200 OK\r\n${more}Content-Length: ${text.length}\r\n\r\n${text}`;

let upstream: RawUpstream;
let pool: H1Pool;
const open = (connections: number, pipelining = 4): H1Pool =>
  new H1Pool(
    endpoint("a", 0, { port: upstream.port }),
    upstreamPlan({ pool: { client: "http1", connections, pipelining, streams: 100, pingMs: 0, keepAliveMs: 60_000, queue: 10_000 } }),
    new TimerWheel(),
  );
beforeEach(async () => {
  upstream = await RawUpstream.start();
});
afterEach(async () => {
  pool.close();
  await upstream[Symbol.asyncDispose]();
});

function ask(path: string, watch = new Watch(), part: Partial<WireRequest> = {}): Watch {
  watch.call = pool.dispatch({ method: "GET", path, headers: ["host", "a"], body: null, contentLength: 0, ...part }, watch);
  return watch;
}
const ended = (...watches: Watch[]): Promise<void> => until("all calls end", () => watches.every((watch) => watch.end !== ""));
/** A pool whose connections have answered once. */
async function warm(connections: number, pipelining = 4): Promise<void> {
  pool = open(connections, pipelining);
  await ended(...Array.from({ length: connections }, () => ask("/warm")));
  await until("all are open", () => pool.stats.connected === connections);
}
/** The connection that carried the first request for a path. */
function carrier(path: string): UpstreamConnection {
  const found = upstream.connections.find((each) => carried.get(each)?.includes(path));
  if (found === undefined) throw new Error(`nobody carried ${path}`);
  return found;
}
const carried = new Map<UpstreamConnection, string[]>();
function remember(path: string, then: (connection: UpstreamConnection) => void = () => {}): void {
  upstream.on(path, (connection) => {
    carried.set(connection, [...(carried.get(connection) ?? []), path]);
    then(connection);
  });
}

describe("who shares", () => {
  it("requests of one turn go out in one write on one connection, and each gets its own answer", async () => {
    await warm(2);
    const packets: number[] = [];
    for (const { socket } of upstream.connections)
      socket.prependListener("data", (chunk: Buffer) => packets.push(chunk.toString().split("GET ").length - 1));
    for (const name of ["a", "b", "c"]) remember(`/${name}`, (connection) => connection.write(say(name)));
    const watches = ["a", "b", "c"].map((name) => ask(`/${name}`));
    await ended(...watches);
    expect(watches.map(({ body, sent }) => [body, sent])).toEqual([["a", 1], ["b", 1], ["c", 1]]); // biome-ignore format: a table
    expect(packets).toEqual([3]);
  });

  it("no connection gets more than `pipelining` of them, and all of them as many", async () => {
    await warm(3);
    let held = 0;
    remember("/held", () => void held++);
    const watches = Array.from({ length: 9 }, () => ask("/held"));
    await until("all have arrived", () => held === 9);
    const counts = upstream.connections.map((each) => carried.get(each)?.length ?? 0);
    expect(counts).toEqual([3, 3, 3]);
    for (const each of upstream.connections) each.write(say("x").repeat(3));
    await ended(...watches);
  });

  it("a connection that has not answered yet carries one", async () => {
    pool = open(1);
    let held = 0;
    remember("/held", () => void held++);
    const watches = [ask("/held"), ask("/held"), ask("/held")];
    await until("the first arrives", () => held === 1);
    await new Promise(setImmediate);
    expect(held).toBe(1);
    upstream.connections[0]?.write(say("x"));
    await until("the others follow together", () => held === 3);
    upstream.connections[0]?.write(say("x").repeat(2));
    await ended(...watches);
  });

  it.each([
    ["HEAD", {}],
    ["DELETE", {}],
    ["POST", { body: Buffer.from("ab"), contentLength: 2 }],
    ["GET", { body: Buffer.from("ab"), contentLength: 2 }],
  ])("%s %o goes alone", async (method, part) => {
    await warm(2);
    remember("/get", () => {});
    remember("/other", () => {});
    const get = ask("/get");
    const other = ask("/other", new Watch(), { method, ...part });
    await Promise.all([upstream.received("/get"), upstream.received("/other")]);
    expect(carrier("/get")).not.toBe(carrier("/other"));
    for (const each of upstream.connections) each.write(say(method === "HEAD" ? "" : "x"));
    await ended(get, other);
  });

  it("one that must not be sent does not take the others along", async () => {
    await warm(1);
    const watches = [ask("/a"), ask("/b\r\nX: y"), ask("/c")];
    await ended(...watches);
    expect(watches.map(({ end }) => end)).toEqual(["ended", "upstream_invalid", "ended"]);
  });
});

describe("whoever waits behind another", () => {
  it("is sent again on a connection of its own when the one before it takes its time", async () => {
    await warm(2);
    remember("/slow");
    remember("/quick", (connection) => {
      if (!carried.get(connection)?.includes("/slow")) connection.write(say("quick"));
    });
    const slow = ask("/slow");
    const quick = ask("/quick");
    await ended(quick);
    expect(quick).toMatchObject({ end: "ended", body: "quick", sent: 2 });
    // What still comes for it on the first connection reaches nobody, and the connection is not used again.
    carrier("/slow").write(say("slow") + say("too late"));
    await ended(slow);
    expect(slow.body).toBe("slow");
    await until("the connection is closed", () => carrier("/slow").closed);
    expect(quick.body).toBe("quick");
  });

  it("shares no more for a while after that", async () => {
    await warm(3);
    remember("/slow");
    remember("/quick", (connection) => {
      if (!carried.get(connection)?.includes("/slow")) connection.write(say("quick"));
    });
    const slow = ask("/slow");
    await ended(ask("/quick"));
    remember("/a");
    remember("/b");
    ask("/a");
    ask("/b");
    await Promise.all([upstream.received("/a"), upstream.received("/b")]);
    expect(carrier("/a")).not.toBe(carrier("/b"));
    slow.call?.cancel();
  });

  it("is sent again when the client of the one before it reads slowly", async () => {
    await warm(2);
    remember("/big", (connection) => connection.write(`HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n${"x".repeat(50)}`));
    remember("/next", (connection) => {
      if (!carried.get(connection)?.includes("/big")) connection.write(say("next"));
    });
    const big = ask("/big", new Watch((call) => call.pause()));
    const next = ask("/next");
    await ended(next);
    expect(next.body).toBe("next");
    carrier("/big").write("x".repeat(50));
    big.call?.resume();
    await ended(big);
    expect(big.body).toHaveLength(100);
  });

  it.each([
    ["says that it closes", (connection: UpstreamConnection) => connection.end(say("first", "Connection: close\r\n"))],
    ["closes", (connection: UpstreamConnection) => connection.end(say("first"))],
    ["answers until it closes", (connection: UpstreamConnection) => connection.end("HTTP/1.1 200 OK\r\n\r\nfirst")],
  ])("is sent again when the server %s behind the first answer", async (_, answer) => {
    await warm(1);
    remember("/first", answer);
    remember("/next", (connection) => {
      if (!carried.get(connection)?.includes("/first")) connection.write(say("next"));
    });
    const watches = [ask("/first"), ask("/next"), ask("/next")];
    await ended(...watches);
    expect(watches.map(({ body }) => body)).toEqual(["first", "next", "next"]);
  });

  it("is sent again when the answer before it is no HTTP; the one that got it fails", async () => {
    await warm(2);
    remember("/bad", (connection) => connection.write("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"));
    remember("/next", (connection) => {
      if (!carried.get(connection)?.includes("/bad")) connection.write(say("next"));
    });
    const watches = [ask("/bad"), ask("/next")];
    await ended(...watches);
    expect(watches.map(({ end, body }) => `${end} ${body}`)).toEqual(["upstream_invalid ", "ended next"]);
  });

  it("is sent again once only: after that its failure is told", async () => {
    await warm(1);
    remember("/first", (connection) => connection.end(say("first", "Connection: close\r\n")));
    remember("/next", (connection) => {
      if (!carried.get(connection)?.includes("/first")) connection.reset();
    });
    const watches = [ask("/first"), ask("/next")];
    await ended(...watches);
    expect(watches.map(({ end }) => end)).toEqual(["ended", "upstream_reset"]);
  });

  it("keeps its answer when the one before it is cancelled, and the other way round", async () => {
    await warm(1);
    for (const name of ["a", "b", "c"]) remember(`/${name}`);
    const [a, b, c] = [ask("/a"), ask("/b"), ask("/c")];
    await upstream.received("/c");
    a.call?.cancel();
    b.call?.discard();
    carrier("/c").write(say("for a") + say("for b") + say("for c"));
    await ended(c);
    expect([a.body, b.body, c.body]).toEqual(["", "", "for c"]);
    expect(pool.stats).toMatchObject({ connected: 1, running: 0 });
  });

  it("loses its connection when nobody wants the last answer", async () => {
    await warm(1);
    for (const name of ["a", "b"]) remember(`/${name}`);
    const [a, b] = [ask("/a"), ask("/b")];
    await upstream.received("/b");
    b.call?.cancel();
    carrier("/b").write(say("for a"));
    await ended(a);
    await until("the connection is closed", () => carrier("/b").closed);
    expect(pool.stats.connected).toBe(0);
  });

  it("is not asked for when it was cancelled before it was sent", async () => {
    await warm(1);
    const [a, b] = [ask("/a"), ask("/b")];
    a.call?.cancel();
    await ended(b);
    expect(upstream.to("/a")).toEqual([]);
  });
});

describe("a server that does not answer in HTTP, or more than it was asked", () => {
  it.each([
    ["two answers to one request", say("b") + say("more")],
    ["bytes behind the last answer", `${say("b")}\r\n`],
    ["no HTTP", "HTTP/1.1 200\n\n"],
  ])("gets no several requests on a connection any more: %s", async (_, bytes) => {
    await warm(2);
    remember("/a", (connection) => connection.write(say("a")));
    remember("/b", (connection) => connection.write(bytes));
    await ended(ask("/a"), ask("/b"));
    await ended(ask("/warm"), ask("/warm"));
    remember("/c");
    remember("/d");
    const watches = [ask("/c"), ask("/d")];
    await Promise.all([upstream.received("/c"), upstream.received("/d")]);
    expect(carrier("/c")).not.toBe(carrier("/d"));
    for (const each of upstream.connections) each.write(say("x"));
    await ended(...watches);
  });
});

describe("sharing rests", () => {
  const get: WireRequest = { method: "GET", path: "/", headers: [], body: null, contentLength: 0 };

  it("longer each time somebody waits in vain soon after, up to a minute; a quiet time forgives", () => {
    const sharing = new PipeliningPolicy(8);
    const restsAt = (nowMs: number): number => {
      sharing.stalled(nowMs);
      let until = nowMs;
      while (!sharing.allows(get, until)) until += 500;
      return until - nowMs;
    };
    const rests: number[] = [];
    for (let nowMs = 0, i = 0; i < 8; i++) {
      const rest = restsAt(nowMs);
      rests.push(rest);
      nowMs += rest;
    }
    expect(rests).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    expect(restsAt(1e6)).toBe(1000);
  });

  it("and what was sent before it began does not lengthen it", () => {
    const sharing = new PipeliningPolicy(8);
    for (const nowMs of [0, 1, 2, 999]) sharing.stalled(nowMs);
    expect(sharing.allows(get, 1000)).toBe(true);
  });
});

describe("a storm", () => {
  /** What an upstream may do with a request. */
  function respond(random: () => number, connection: UpstreamConnection, name: string): void {
    const dice = random();
    const text = name + "-".repeat(Math.floor(random() * 40) ** 3 % 30_000);
    const chunked = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
    if (dice < 0.01) connection.reset();
    else if (dice < 0.02) connection.end();
    else if (dice < 0.04) connection.end(say(text, "Connection: close\r\n"));
    else if (dice < 0.05) connection.end(`HTTP/1.1 200 OK\r\n\r\n${text}`);
    else if (dice < 0.3) connection.write(chunked);
    else connection.write(random() < 0.2 ? `HTTP/1.1 103 Early Hints\r\n\r\n${say(text)}` : say(text));
  }

  it.each([1, 2, 3])("nobody gets the answer to another's request (seed %i)", async (seed) => {
    const random = seededRandom(seed);
    pool = open(6, 8);
    // In order, as HTTP/1.1 has it; some only after a while.
    const lines = new Map<UpstreamConnection, Promise<void>>();
    upstream.on("/", (connection, { target }) => {
      const name = target.slice(target.indexOf("=") + 1);
      const pauseMs = random() < 0.01 ? 80 : 0;
      const before = lines.get(connection) ?? Promise.resolve();
      lines.set(
        connection,
        before.then(async () => {
          if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
          respond(random, connection, name);
        }),
      );
    });
    const watches: Watch[] = [];
    const given = new Set<Watch>();
    for (let round = 0; round < 60; round++) {
      const turn = Array.from({ length: 1 + Math.floor(random() * 40) }, (_, i) => {
        const how = random();
        const watch = new Watch((call) => {
          if (how > 0.03) return;
          call.pause();
          setTimeout(() => call.resume(), 5);
        });
        ask(`/?id=${round}.${i};`, watch);
        if (how > 0.95) {
          given.add(watch);
          setTimeout(() => (how > 0.97 ? watch.call?.cancel() : watch.call?.discard()), random() * 4);
        }
        return Object.assign(watch, { name: `${round}.${i};` });
      });
      watches.push(...turn);
      if (random() < 0.7) await new Promise(setImmediate);
      else await ended(...turn.filter((watch) => !given.has(watch)));
    }
    await ended(...watches.filter((watch) => !given.has(watch)));
    const wrong = watches.filter((watch) => watch.body !== "" && !watch.body.startsWith((watch as Watch & { name: string }).name));
    expect(wrong.map(({ body }) => body.slice(0, 40))).toEqual([]);
    expect(watches.filter(({ end }) => end === "ended").length).toBeGreaterThan(watches.length * 0.8);
    await until("no connection is left busy", () => pool.stats.running === 0 && pool.stats.queued === 0);
  });
});
