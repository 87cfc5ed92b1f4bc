// What is kept ready of a hit, and for whom: never another time, another plan, another request's fields. Through a whole worker, whose clients take what is ready.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { HeaderList } from "../../../../src/base/header-list.ts";
import { PeerGone } from "../../../../src/base/policy-failure.ts";
import { ReadyHit, ReadyHits } from "../../../../src/data/cache/ready-hits.ts";
import type { Freshness } from "../../../../src/data/cache/rules/freshness.ts";
import { PreparedBytes, PreparedResponse } from "../../../../src/data/exchange/prepared-response.ts";
import { Leases } from "../../../../src/shared/cache/leases.ts";
import { dealt, field, fresh, held, NOTHING_HELD, type RouteText, startCached, statusOf } from "../../../support/cached-route.ts";
import { PlayedClient, type PlayedWorker } from "../../../support/played-worker.ts";

let worker: PlayedWorker;
let nowMs = 0;

beforeEach(() => {
  nowMs = Date.UTC(2026, 0, 1) + 250;
  vi.spyOn(Date, "now").mockImplementation(() => nowMs);
});
afterEach(() => {
  vi.restoreAllMocks();
  if (worker === undefined) return;
  expect(worker.faults).toEqual([]);
  expect(held(worker)).toEqual(NOTHING_HELD);
  worker.stop();
});

const get = (...headers: HeaderList): PlayedClient => worker.ask("/x", { headers });

/** A worker with `/x` stored, asked for often enough that it is ready. */
async function ready(headers: HeaderList = fresh(), route: RouteText = {}, ...request: HeaderList): Promise<void> {
  worker = await startCached(route);
  get(...request);
  worker.last.head(200, headers, 10).data("0123456789").end();
  nowMs += 100; // at the very moment Age and what is left are whole, and change with the next one
  get(...request);
  get(...request);
}

describe("a hit that is ready", () => {
  it("is what one that is not ready is, but for the request's id", async () => {
    await ready(fresh("content-type", "text/plain", "x-latin", "caf\u00e9", "set-cookie2", "a", "x-two", "1", "x-two", "2"));
    nowMs += 1000; // another second
    const [first, second, third] = [get(), get("x-request-id", "mine"), get()];
    expect([first.readied, second.readied === null, third.readied === second.readied]).toEqual([null, false, true]);
    const without = (x: PlayedClient): unknown => [
      x.head?.status,
      x.head?.length,
      x.body,
      (x.head?.headers ?? []).map((text, i, all) => (all[i - 1] === "x-request-id" ? "" : text)),
    ];
    expect(without(second)).toEqual(without(first));
    expect(without(third)).toEqual(without(first));
    expect([field(second, "x-request-id"), field(third, "x-request-id")]).toEqual(["mine", third.requestId]);
    expect([first.cacheAge, third.cacheAge, third.cacheResult]).toEqual([1, 1, first.cacheResult]);
  });

  it("counts seconds: Age and what is left are those of each request", async () => {
    await ready(fresh("age", "5"));
    for (let passed = 0; passed < 54_000; passed += 171) {
      const start = Date.UTC(2026, 0, 1) + 250;
      nowMs = start + passed;
      const x = get();
      expect([field(x, "age"), dealt(x)]).toEqual([
        String(Math.floor(5 + passed / 1000)),
        `sluice; hit; ttl=${Math.floor(60 - 5 - passed / 1000)}`,
      ]);
    }
    expect(worker.calls).toHaveLength(1);
  });

  it("does not outlive its response", async () => {
    await ready();
    expect(get().readied).not.toBeNull();
    nowMs += 60_001;
    const x = get();
    expect([x.readied, worker.calls.length]).toEqual([null, 2]);
    worker.last.head(200, fresh(), 3).data("new").end();
    expect([get(), get(), get()].map(({ body }) => body)).toEqual(["new", "new", "new"]);
  });

  it("does not outlive a purge, hard or soft", async () => {
    await ready();
    const { purges } = worker.services;
    const { urlNumber } = await import("../../../../src/shared/cache/names.ts");
    purges.purgeUrl(urlNumber("http://api.example.com/x"), false);
    expect([get().readied, worker.calls.length]).toEqual([null, 2]);
    worker.last.head(200, fresh("etag", '"1"'), 3).data("new").end();
    nowMs += 100;
    expect([get(), get(), get()].map(({ readied }) => readied === null)).toEqual([true, false, false]);
    purges.purgeUrl(urlNumber("http://api.example.com/x"), true);
    expect([get().readied, worker.calls.length]).toEqual([null, 3]);
    worker.last.head(304, []).end();
  });

  it("does not outlive a soft purge, whatever the clock does while it is looked at", async () => {
    await ready(fresh("etag", '"1"'));
    const { urlNumber } = await import("../../../../src/shared/cache/names.ts");
    worker.services.purges.purgeUrl(urlNumber("http://api.example.com/x"), true);
    vi.spyOn(Date, "now").mockImplementation(() => nowMs++);
    expect([get().readied, worker.calls.length]).toEqual([null, 2]);
    worker.last.head(304, []).end();
  });

  it("or any other answer of a client that has reset its connection leaves nothing behind", async () => {
    await ready();
    nowMs += 1000; // its first hit of a second is none that is ready
    const leases: string[] = [];
    const take = Leases.prototype.take;
    vi.spyOn(Leases.prototype, "take").mockImplementation(function (this: Leases, ...args) {
      const turn = take.apply(this, args);
      leases.push(turn.kind);
      return turn;
    });
    const gone = vi.spyOn(PlayedClient.prototype, "peerAddress").mockImplementation(function (this: PlayedClient) {
      if (this.closed) return "";
      throw new PeerGone();
    });
    const clients = [get(), worker.ask("/absent")];
    gone.mockRestore();
    expect(clients.map(({ finished, code }) => [finished, code])).toEqual(Array(2).fill([true, "client_aborted"]));
    expect(held(worker)).toEqual(NOTHING_HELD);
    worker.ask("/absent");
    worker.last.head(200, fresh(), 0).end();
    expect(leases).toEqual(["mine"]);
  });

  it("is not kept for what a long text tells apart, as clients may have chosen it", async () => {
    const cors = ['cors: { origins: ["https://*.example.com"] }'];
    await ready(fresh(), { route: cors });
    const origins = ["short", "l".repeat(600)].map((label) => `https://${label}.example.com`);
    const readied = origins.map((origin) => [get("origin", origin), get("origin", origin), get("origin", origin)][2]?.readied !== null);
    expect(readied).toEqual([true, false]);
  });

  it.each<[string, HeaderList, string]>([
    ["If-None-Match that matches", ["if-none-match", '"1"'], "304 "],
    ["If-Modified-Since", ["if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"], "304 "],
    ["Range", ["range", "bytes=1-2"], "206 12"],
    ["a Range beyond the end", ["range", "bytes=99-"], "416 "],
    ["If-None-Match of another one", ["if-none-match", '"2"'], "200 0123456789"],
    ["If-Range of another one", ["range", "bytes=1-2", "if-range", '"2"'], "200 0123456789"],
    ["Pragma beside nothing else that matters", ["pragma", "x"], "200 0123456789"],
  ])("leaves %s as it is", async (_, headers, expected) => {
    await ready(fresh("etag", '"1"', "last-modified", "Wed, 31 Dec 2025 00:00:00 GMT"));
    const x = get(...headers);
    expect(`${statusOf(x)} ${x.body}`).toBe(expected);
    expect(x.readied === null).toBe(!expected.startsWith("200"));
    expect(worker.calls).toHaveLength(1);
  });

  it("leaves HEAD as it is", async () => {
    await ready();
    const x = worker.ask("/x", { method: "HEAD" });
    expect([x.readied, x.body, x.head?.length]).toEqual([null, "", 10]);
  });

  it.each([["no-cache"], ["max-age=0"], ["min-fresh=61"], ["no-store"]])("is not given to Cache-Control: %s", async (directive) => {
    await ready();
    const x = get("cache-control", directive);
    expect([x.readied, worker.calls.length]).toEqual([null, 2]);
    worker.last.head(200, fresh(), 1).data("n").end();
    expect(x.body).toBe("n");
  });

  it("goes to If-Match by way of the origin", async () => {
    await ready();
    expect([get("if-match", '"1"').readied, worker.calls.length]).toEqual([null, 2]);
    worker.last.head(412, [], 0).end();
  });

  it("is another variant's for another variant", async () => {
    worker = await startCached();
    const ask = (language: string): PlayedClient => get("accept-language", language);
    for (const language of ["de", "fr"]) {
      ask(language);
      worker.last
        .head(200, fresh("vary", "accept-language", "content-language", language), 2)
        .data(language)
        .end();
    }
    nowMs += 100;
    for (let i = 0; i < 4; i++)
      for (const language of ["de", "fr"]) {
        const x = ask(language);
        expect([x.body, field(x, "content-language")]).toEqual([language, language]);
      }
    expect([ask("de").readied === null, worker.calls.length]).toEqual([false, 2]);
  });
});

describe("the bytes of a hit", () => {
  /** Clients whose kernel has not taken what was sent. */
  const slow = (): void =>
    void vi.spyOn(PlayedClient.prototype, "sendPrepared").mockImplementation(function (this: PlayedClient) {
      this.started = true;
    });

  it("are held until the client has them all", async () => {
    await ready();
    slow();
    const x = get();
    expect(held(worker)).toEqual({ ...NOTHING_HELD, exchanges: 1, pins: 1 });
    x.end();
    expect(held(worker)).toEqual(NOTHING_HELD);
  });

  it("are let go when the client goes, or the exchange is broken off", async () => {
    await ready();
    slow();
    const [gone, cut] = [get(), get()];
    expect(held(worker).pins).toBe(2);
    gone.leave();
    cut.abort();
    expect([held(worker), gone.code, cut.code]).toEqual([NOTHING_HELD, "client_aborted", "client_aborted"]);
  });

  it("are let go when the engine fails", async () => {
    await ready();
    vi.spyOn(PlayedClient.prototype, "sendPrepared").mockImplementation(function (this: PlayedClient) {
      this.started = true;
      throw new Error("the socket is not what it was");
    });
    const x = get();
    expect([x.cut, held(worker), worker.faults.splice(0).length]).toEqual([true, NOTHING_HELD, 1]);
  });
});

describe("response policies", () => {
  it("that only copy stand in what is ready", async () => {
    await ready(fresh("x-secret", "1"), {
      route: [
        "headers: { response: { set: { x-fixed: always }, onTls: { x-tls: only }, remove: [x-secret] } }",
        "deprecation: { since: 2025-01-01 }",
      ],
    });
    const x = get();
    expect(x.readied).not.toBeNull();
    expect(["x-fixed", "x-secret", "x-tls", "deprecation"].map((name) => field(x, name))).toEqual(["always", null, null, "@1735689600"]);
  });

  it("that tell origins apart do so", async () => {
    await ready(fresh(), { route: ["cors: { origins: [https://one.example, https://two.example], credentials: true }"] });
    const ask = (origin: string | null): PlayedClient => get(...(origin === null ? [] : ["origin", origin]));
    const origins = ["https://one.example", "https://two.example", "https://evil.example", null];
    for (let i = 0; i < 6; i++)
      for (const origin of origins) {
        const x = ask(origin);
        const allowed = origin === null || origin.includes("evil") ? null : origin;
        expect([field(x, "access-control-allow-origin"), field(x, "vary")]).toEqual([allowed, "origin"]);
        expect(x.readied === null).toBe(i === 0 && allowed !== null);
      }
  });

  it("that read anything else of a request run for each", async () => {
    await ready(fresh(), { route: ['headers: { response: { set: { x-for: "{header.x-who}" } } }'] });
    const [ann, bob] = [get("x-who", "ann"), get("x-who", "bob")];
    expect([field(ann, "x-for"), field(bob, "x-for"), ann.readied, bob.readied]).toEqual(["ann", "bob", null, null]);
  });

  it("with a condition run for each", async () => {
    await ready(fresh(), { route: [`headers: { response: [{ when: 'header["x-who"] == "ann"', set: { x-is: ann } }] }`] });
    const [ann, bob] = [get("x-who", "ann"), get("x-who", "bob")];
    expect([field(ann, "x-is"), field(bob, "x-is")]).toEqual(["ann", null]);
  });

  it("that take the request's id away take it away here too", async () => {
    await ready(fresh(), { route: ["headers: { response: { remove: [x-request-id] } }"] });
    const x = get("x-request-id", "mine");
    expect([x.readied === null, field(x, "x-request-id")]).toEqual([false, null]);
  });

  it("that put another text in its place are not kept", async () => {
    await ready(fresh(), { route: ["headers: { response: { set: { x-request-id: none } } }"] });
    const x = get();
    expect([x.readied, field(x, "x-request-id")]).toEqual([null, "none"]);
  });

  it("that limit hold on hits", async () => {
    await ready(fresh(), { route: ["rateLimit: [{ per: ip, rate: 4/h, burst: 4 }]"] });
    expect([statusOf(get()), statusOf(get())]).toEqual([200, 429]);
  });

  it("that count tell each client what is left of it, beside what is ready", async () => {
    await ready(fresh("ratelimit", "of the service"), { route: ["rateLimit: [{ per: ip, rate: 9/h, burst: 9 }]"] });
    const left = (x: PlayedClient): string | undefined => /r=(\d+)/.exec(field(x, "ratelimit") ?? "")?.[1];
    const [one, two] = [get(), get()];
    expect([one.readied === null, two.readied === one.readied, left(one), left(two)]).toEqual([false, true, "5", "4"]);
    expect(field(two, "ratelimit-policy")).toBe(field(one, "ratelimit-policy"));
    expect([...(two.head?.headers ?? [])].sort()).toEqual([...new Set(two.head?.headers)].sort());
  });

  it("that change responses by filters see each", async () => {
    await ready(fresh("content-type", "text/plain"), { route: ["compress: { minBytes: 1B }"] });
    expect(get().readied).toBeNull();
  });
});

describe("what is kept", () => {
  const freshness: Freshness = {
    receivedMs: 1000,
    initialAge: 0.25,
    lifetime: 10.5,
    staleWhileRevalidate: 0,
    staleIfError: 0,
    noCache: false,
    neverStale: false,
    immutable: false,
  };

  it("holds until Age or the seconds that are left change, and not before it began", () => {
    const hit = new ReadyHit({}, "");
    expect(hit.holdsAt(1000)).toBe(false);
    hit.beginAt(freshness, 1100); // age 0.35, 10.15 left
    expect([1099, 1100, 1249, 1251].map((at) => hit.holdsAt(at))).toEqual([false, true, true, false]);
    hit.beginAt(freshness, 1300); // age 0.55, 9.95 left: Age changes first
    expect([hit.age, hit.holdsAt(1749), hit.holdsAt(1750)]).toEqual([0, true, false]);
  });

  it("is bounded for each response, whatever requests are told apart by", () => {
    const counted: number[] = [];
    const hits = new ReadyHits((bytes) => counted.push(bytes));
    const mark = {};
    const first = hits.of(mark, "0");
    for (let i = 1; i < 5; i++) hits.of(mark, String(i));
    const second = hits.of(mark, "1");
    expect([hits.of(mark, "1") === second, hits.of(mark, "0") === first, hits.of({}, "1") === second]).toEqual([true, false, false]);
    for (let second = 0; second < 3; second++) hits.put(hits.of(mark, "1"), new PreparedResponse(200, [], -1, 0), 100);
    expect(counted).toEqual([...Array(8).fill(1), 100]);
  });

  it("as bytes has the id of each request, or no place for it", () => {
    const bytes = new PreparedBytes("id: abc;", 4, 3, { date: "", body: Buffer.from("body") });
    expect([bytes.with("xyz")?.toString(), bytes.with("four"), bytes.length]).toEqual(["id: xyz;body", null, 12]);
    const long = "l".repeat(100);
    expect(new PreparedBytes(`<${long}>`, 1, 100, { date: "", body: null }).with("m".repeat(100))?.toString()).toBe(`<${"m".repeat(100)}>`);
    expect(new PreparedBytes("none", -1, 3, { date: "", body: null }).with("any length")?.toString()).toBe("none");
  });

  it("as text leaves out what an engine writes itself", () => {
    const response = new PreparedResponse(200, ["a", "1", "date", "x", "x-request-id", "old", "b", "2"], 5, 0);
    expect(response.fieldsFor("new", "date")).toEqual({ lines: "a: 1\r\nx-request-id: new\r\nb: 2\r\n", idAt: 20 });
  });
});
