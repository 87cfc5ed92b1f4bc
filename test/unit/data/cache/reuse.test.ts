// What is stored, and what it is good for later: conditions, ranges, validation, stale answers, purges and reloads. Through a whole worker.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { HeaderList } from "../../../../src/base/header-list.ts";
import { workerCache } from "../../../../src/data/cache/worker-cache.ts";
import { dealt, field, fresh, held, NOTHING_HELD, type RouteText, startCached, statusOf } from "../../../support/cached-route.ts";
import type { PlayedClient, PlayedWorker } from "../../../support/played-worker.ts";

let worker: PlayedWorker;
let nowMs = Date.UTC(2026, 0, 1);

beforeEach(() => void vi.spyOn(Date, "now").mockImplementation(() => nowMs));
afterEach(() => {
  vi.restoreAllMocks();
  expect(worker.faults).toEqual([]);
  expect(held(worker)).toEqual(NOTHING_HELD);
  worker.stop();
});

const pass = (seconds: number): void => void (nowMs += seconds * 1000);
const get = (...headers: HeaderList): PlayedClient => worker.ask("/x", { headers });
const ETAG: HeaderList = ["etag", '"v1"'];

const breaker = (more = ""): string => `breaker: { scope: upstream, consecutiveFailures: 1${more === "" ? "" : `, ${more}`} }`;

/** A worker with `/x` stored as "0123456789". */
async function stored(headers: HeaderList, route: RouteText = {}): Promise<void> {
  worker = await startCached(route);
  get();
  worker.last.head(200, headers, 10).data("0123456789").end();
  expect(worker.calls).toHaveLength(1);
}

describe("a hit", () => {
  it("carries its Age and what is left, and no origin is asked (RFC 9111 section 5.1, RFC 9211 section 2.3)", async () => {
    await stored(fresh("content-type", "text/plain", "connection", "x-hop", "age", "5"));
    pass(10);
    const x = get();
    expect([statusOf(x), x.body, field(x, "age"), dealt(x)]).toEqual([200, "0123456789", "15", "sluice; hit; ttl=45"]);
    expect(worker.calls).toHaveLength(1);
  });

  it("answers HEAD from GET, with GET's length and no body (RFC 9110 section 9.3.2)", async () => {
    await stored(fresh());
    const x = worker.ask("/x", { method: "HEAD" });
    expect([statusOf(x), x.head?.length, x.body, x.ended]).toEqual([200, 10, "", true]);
  });

  it("answers If-None-Match and If-Modified-Since itself (RFC 9111 section 4.3.2)", async () => {
    await stored(fresh(...ETAG, "last-modified", "Wed, 31 Dec 2025 00:00:00 GMT", "content-type", "text/plain"));
    const x = get("if-none-match", 'W/"v0", W/"v1"');
    expect([statusOf(x), x.body, field(x, "etag"), field(x, "content-type")]).toEqual([304, "", '"v1"', null]);
    expect(statusOf(get("if-modified-since", "Wed, 31 Dec 2025 00:00:00 GMT"))).toBe(304);
    expect(statusOf(get("if-none-match", '"v2"', "if-modified-since", "Wed, 31 Dec 2025 00:00:00 GMT"))).toBe(200);
  });

  it.each([
    ["bytes=2-4", 206, "234", "bytes 2-4/10"],
    ["bytes=-3", 206, "789", "bytes 7-9/10"],
    ["bytes=8-99", 206, "89", "bytes 8-9/10"],
    ["bytes=10-", 416, "", "bytes */10"],
    ["bytes=1-2,4-5", 200, "0123456789", null],
  ])("answers Range: %s by %i (RFC 9110 section 14.2)", async (range, status, body, contentRange) => {
    await stored(fresh(...ETAG));
    const x = get("range", range);
    expect([statusOf(x), x.body, field(x, "content-range")]).toEqual([status, body, contentRange]);
  });

  it("has If-Range judged by strong comparison (RFC 9110 section 13.1.5)", async () => {
    await stored(fresh(...ETAG));
    expect(statusOf(get("range", "bytes=0-1", "if-range", '"v1"'))).toBe(206);
    expect(statusOf(get("range", "bytes=0-1", "if-range", 'W/"v1"'))).toBe(200);
    expect(statusOf(get("range", "bytes=0-1", "if-range", '"v2"'))).toBe(200);
  });

  it("lets If-Match and If-Unmodified-Since through to the origin (RFC 9111 section 4.3.2)", async () => {
    await stored(fresh(...ETAG));
    for (const headers of [
      ["if-match", '"v1"'],
      ["if-unmodified-since", "Wed, 31 Dec 2025 00:00:00 GMT"],
    ]) {
      const before = worker.calls.length;
      get(...headers);
      expect(worker.calls.length).toBe(before + 1);
      expect(worker.last.request.headers).toContain(headers[0]);
      worker.last.head(412, [], 0).end();
    }
  });
});

describe("a miss", () => {
  it("with If-None-Match asks for the whole, and answers the condition here, known length or not (RFC 9111 section 4.3.2)", async () => {
    worker = await startCached();
    for (const [path, length] of [
      ["/a", 2],
      ["/b", -1],
    ] as const) {
      const x = worker.ask(path, { headers: ["if-none-match", '"v1"', "if-modified-since", "Wed, 31 Dec 2025 00:00:00 GMT"] });
      expect(worker.last.request.headers).not.toContain("if-none-match");
      expect(worker.last.request.headers).not.toContain("if-modified-since");
      worker.last
        .head(200, fresh(...ETAG), length)
        .data("ab")
        .end();
      expect([statusOf(x), x.body]).toEqual([304, ""]);
      expect(worker.ask(path).body).toBe("ab");
    }
  });

  it("of a WebSocket handshake passes the store by, also where it is not one to open", async () => {
    await stored(fresh(), { route: ["webSocket: false"] });
    const before = worker.calls.length;
    const x = get(
      "connection",
      "Upgrade",
      "upgrade",
      "websocket",
      "sec-websocket-version",
      "13",
      "sec-websocket-key",
      "dGhlIHNhbXBsZSBub25jZQ==",
    );
    if (worker.calls.length > before) worker.last.head(200, [], 0).end();
    expect(dealt(x)).not.toContain("hit");
  });

  it("by HEAD goes to the origin as it is, and fills nothing", async () => {
    worker = await startCached();
    worker.ask("/x", { method: "HEAD" });
    expect(worker.last.request.method).toBe("HEAD");
    worker.last.head(200, fresh(), 10).end();
    get();
    expect(worker.calls).toHaveLength(2);
    worker.last.head(200, fresh(), 0).end();
  });

  it.each([
    ["a miss", []],
    ["no-store beside it", ["no-store, "]],
  ])("with only-if-cached is a 504: %s (RFC 9111 section 5.2.1.7)", async (_, more) => {
    worker = await startCached();
    const x = get("cache-control", `${more[0] ?? ""}only-if-cached`);
    expect([statusOf(x), x.code]).toEqual([504, "cache_miss"]);
    expect(worker.calls).toHaveLength(0);
  });

  it("of a request with no-store is neither served from the store nor fills it (RFC 9111 section 5.2.1.5)", async () => {
    await stored(fresh());
    const x = get("cache-control", "no-store");
    expect(dealt(x)).toBe("");
    worker.last.head(200, fresh(), 1).data("n").end();
    expect([x.body, get().body]).toEqual(["n", "0123456789"]);
  });

  it("is not helped by a request's no-store where the route does not obey clients", async () => {
    worker = await startCached({ cache: "{ clientControl: false }" });
    get("cache-control", "no-store");
    worker.last.head(200, fresh(), 1).data("a").end();
    expect(dealt(get("cache-control", "no-cache"))).toContain("; hit");
  });

  it("of a 204 is stored without a length (RFC 9110 section 8.6)", async () => {
    worker = await startCached();
    get();
    worker.last.head(204, fresh("content-length", "0")).end();
    const x = get();
    expect([statusOf(x), field(x, "content-length"), dealt(x).includes("hit")]).toEqual([204, null, true]);
  });
});

describe("a request's no-cache", () => {
  it("is validated, collapsed, and its answer takes the place of the stored one (RFC 9111 section 5.2.1.4)", async () => {
    await stored(fresh(...ETAG));
    const clients = [get("cache-control", "no-cache"), get("cache-control", "no-cache"), get("pragma", "no-cache")];
    expect(worker.calls).toHaveLength(2);
    expect(worker.last.request.headers).toContain("if-none-match");
    worker.last.head(200, fresh("etag", '"v2"'), 3).data("new").end();
    expect(clients.map((x) => x.body)).toEqual(["new", "new", "new"]);
    expect(get().body).toBe("new");
    expect(worker.calls).toHaveLength(2);
  });
});

describe("validation", () => {
  const LATER = "max-age=10";

  it("by 304 brings fields up to date, starts the age anew, and serves the stored body to all (RFC 9111 sections 3.2, 4.3.3, 4.3.4)", async () => {
    await stored(["cache-control", LATER, ...ETAG, "x-a", "1", "content-type", "text/plain"]);
    pass(20);
    const clients = [get(), get()];
    worker.last.head(304, [...ETAG, "x-a", "2", "content-type", "text/evil", "content-length", "3"]).end();
    for (const x of clients)
      expect([statusOf(x), x.body, field(x, "x-a"), field(x, "content-type"), field(x, "age")]).toEqual([
        200,
        "0123456789",
        "2",
        "text/plain",
        "0",
      ]);
    pass(9);
    expect([field(get(), "x-a"), field(get(), "age"), worker.calls.length]).toEqual(["2", "9", 2]);
    pass(2);
    get();
    expect(worker.calls).toHaveLength(3);
    worker.last.head(304, []).end();
  });

  it("keeps to the stored directives when the 304 has none, those of the targeted field included (RFC 9111 section 3.2, RFC 9213)", async () => {
    await stored(["sluice-cache-control", "max-age=10", ...ETAG]);
    pass(20);
    const x = get();
    worker.last.head(304, [...ETAG]).end();
    expect([statusOf(x), field(x, "sluice-cache-control")]).toEqual([200, null]);
    pass(5);
    expect(dealt(get())).toContain("; hit");
    expect(worker.calls).toHaveLength(2);
  });

  it("by a 304 about something else serves it to nobody, and asks for the whole", async () => {
    await stored(["cache-control", LATER, ...ETAG]);
    pass(20);
    const x = get();
    worker.last.head(304, ["etag", '"v7"']).end();
    expect(worker.calls).toHaveLength(3);
    expect(worker.last.request.headers).not.toContain("if-none-match");
    worker.last.head(200, fresh(), 3).data("new").end();
    expect(x.body).toBe("new");
    get();
    expect(worker.last.request.headers).not.toContain("if-none-match"); // what it could not be compared with is gone
    worker.last.head(200, fresh(), 3).data("new").end();
  });

  it("of a client's own condition gives the client 304, and the store what it needs", async () => {
    await stored(["cache-control", LATER, ...ETAG]);
    pass(20);
    const x = get("if-none-match", '"v1"');
    worker.last.head(304, [...ETAG]).end();
    expect(statusOf(x)).toBe(304);
    expect(get().body).toBe("0123456789");
  });

  it("satisfies all who waited with an answer that is stale on arrival, and nobody later (RFC 9111 section 4)", async () => {
    worker = await startCached();
    const answer: HeaderList = ["cache-control", "max-age=0", ...ETAG];
    const clients = [get(), get(), get()];
    worker.last.head(200, answer, 1).data("a").end();
    expect(clients.map((x) => x.body)).toEqual(["a", "a", "a"]);
    get();
    expect(worker.calls).toHaveLength(2);
    worker.last.head(304, answer).end();
  });

  it("that turns private is shared with nobody, and takes the stored one away", async () => {
    await stored(["cache-control", `${LATER}, stale-if-error=900`, ...ETAG]);
    pass(20);
    get();
    worker.last.head(200, ["cache-control", "private"], 2).data("me").end();
    get();
    worker.last.fail();
    expect(dealt(get())).not.toContain("; hit");
    worker.last.fail();
  });
});

describe("a range of what is not stored", () => {
  const PART: HeaderList = ["content-range", "bytes 0-1/10"];
  const isPassed = (x: PlayedClient): void => expect([statusOf(x), x.body, dealt(x)]).toEqual([206, "01", "sluice; fwd=partial"]);

  it("goes to the origin as it is, and the whole is fetched for those to come when it may be stored (RFC 9111 section 3.3)", async () => {
    worker = await startCached();
    const x = get("range", "bytes=0-1", "if-range", '"v1"');
    expect(worker.last.request.headers).toEqual(expect.arrayContaining(["range", "if-range"]));
    const part = worker.last.head(206, fresh(...PART, ...ETAG), 2);
    expect(worker.calls).toHaveLength(2);
    expect(worker.last.request.headers).not.toEqual(expect.arrayContaining(["range"]));
    const whole = worker.last;
    part.data("01").end();
    isPassed(x);
    whole
      .head(200, fresh(...ETAG), 10)
      .data("0123456789")
      .end();
    const later = get("range", "bytes=8-");
    expect([statusOf(later), later.body, field(later, "content-range")]).toEqual([206, "89", "bytes 8-9/10"]);
    expect(get().body).toBe("0123456789");
    expect(worker.calls).toHaveLength(2);
  });

  it("is answered in whole by an origin that knows no ranges, and what came is fetched once more for those to come", async () => {
    worker = await startCached();
    const x = get("range", "bytes=0-1");
    worker.calls[0]?.head(200, fresh(), 10).data("0123456789").end();
    expect([statusOf(x), x.body]).toEqual([200, "0123456789"]);
    worker.last.head(200, fresh(), 10).data("0123456789").end();
    expect(statusOf(get("range", "bytes=0-1"))).toBe(206);
    expect(worker.calls).toHaveLength(2);
  });

  it.each<[string, HeaderList]>([
    ["it is larger than what is stored", fresh("content-range", "bytes 0-1/2000")],
    ["its size is not known", fresh("content-range", "bytes 0-1/*")],
    ["it has several parts", fresh("content-type", "multipart/byteranges; boundary=x")],
    ["it is for one caller", ["cache-control", "private", ...PART]],
    ["it has no lifetime", PART],
    ["it varies by anything", fresh("vary", "*", ...PART)],
  ])("is all that is asked for when %s", async (_, headers) => {
    worker = await startCached({ top: "cache: { maxObject: 1KiB }" });
    const x = get("range", "bytes=0-1");
    worker.last
      .head(206, [...headers], 2)
      .data("01")
      .end();
    isPassed(x);
    expect(worker.calls).toHaveLength(1);
  });

  it("does not have the whole fetched again and again when that turns out not to be for storing", async () => {
    worker = await startCached();
    for (let i = 0; i < 3; i++) {
      const before = worker.calls.length;
      get("range", "bytes=0-1");
      const part = worker.calls[before];
      part?.head(206, fresh(...PART), 2);
      if (i === 0) worker.last.head(200, ["cache-control", "no-store"], 10);
      part?.data("01").end();
    }
    expect(worker.calls).toHaveLength(4);
    expect(worker.calls[1]?.discarded).toBe(true);
  });

  it("never stores a part as the whole, whatever the origin calls it", async () => {
    worker = await startCached({ cache: "{ statuses: { 200-299: 60s } }" });
    get();
    worker.last
      .head(206, fresh(...PART), 2)
      .data("01")
      .end();
    get();
    expect(worker.calls).toHaveLength(2);
    worker.last.head(200, fresh(), 10).data("01234").fail();
    get();
    expect(worker.calls).toHaveLength(3);
    worker.last.head(200, fresh(), 10).data("0123456789").end();
  });

  it.each(["bytes=0-1,5-6", `bytes=${Array(500).fill("0-").join(",")}`, "bytes=0-1,0-1", "lines=0-1", "bytes=1-0"])(
    "of several parts, of other units and what is none gets the whole stored response: %.20s (RFC 9110 section 14.2)",
    async (range) => {
      await stored(fresh(...ETAG));
      const x = get("range", range);
      expect([statusOf(x), x.body, field(x, "content-range"), worker.calls.length]).toEqual([200, "0123456789", null, 1]);
    },
  );
});

describe("a HEAD that has to be asked for", () => {
  const head = (...headers: HeaderList): PlayedClient => worker.ask("/x", { method: "HEAD", headers });
  const OLD: HeaderList = ["cache-control", "max-age=10", "x-a", "1"];
  const MODIFIED: HeaderList = ["last-modified", "Wed, 31 Dec 2025 00:00:00 GMT"];

  it.each<[string, HeaderList, HeaderList, number]>([
    ["its tag", ETAG, ETAG, -1],
    ["its date", MODIFIED, MODIFIED, -1],
    ["both, and the length", [...ETAG, ...MODIFIED], [...ETAG, ...MODIFIED], 10],
    ["the length, where there is no validator", [], [], 10],
  ])("goes on as HEAD, and makes the stored GET fresh by %s (RFC 9111 section 4.3.5)", async (_, own, said, length) => {
    await stored([...OLD, ...own]);
    pass(20);
    const [one, two] = [head(), head()];
    expect(worker.calls.map(({ request }) => request.method)).toEqual(["GET", "HEAD"]);
    worker.last.head(200, ["cache-control", "max-age=30", "x-a", "2", ...said], length).end();
    for (const x of [one, two])
      expect([statusOf(x), x.body, field(x, "x-a"), x.head?.length, dealt(x)]).toEqual([
        200,
        "",
        "2",
        10,
        expect.stringContaining("fwd=stale; fwd-status=200; ttl=30; stored"),
      ]);
    pass(20);
    const later = get();
    expect([later.body, field(later, "x-a"), dealt(later)]).toEqual(["0123456789", "2", "sluice; hit; ttl=10"]);
    expect(worker.calls).toHaveLength(2);
  });

  it("makes it fresh by a 304 too", async () => {
    await stored([...OLD, ...ETAG]);
    pass(20);
    const x = head();
    expect(worker.last.request.headers).toContain("if-none-match");
    worker.last.head(304, fresh(...ETAG)).end();
    expect([statusOf(x), x.head?.length, get().body]).toEqual([200, 10, "0123456789"]);
  });

  it.each<[string, HeaderList, number]>([
    ["another tag", ["etag", '"v2"'], 10],
    ["another date", [...ETAG, "last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"], 10],
    ["another length", ETAG, 11],
  ])("takes the stored GET away by %s", async (_, said, length) => {
    await stored([...OLD, "cache-control", "stale-if-error=900", ...ETAG]);
    pass(20);
    const x = head();
    worker.last.head(200, fresh("x-a", "2", ...said), length).end();
    expect([statusOf(x), field(x, "x-a"), x.head?.length]).toEqual([200, "2", length]);
    const after = get();
    worker.last.fail();
    expect(statusOf(after)).toBe(502);
  });

  it.each<[string, HeaderList, number]>([
    ["that names neither validator nor length", fresh(), 200],
    ["that is an error", [], 500],
    ["that is of another status", fresh(), 301],
    ["for one caller alone", ["cache-control", "private", "set-cookie", "a=b"], 401],
  ])("leaves the stored GET as it is by an answer %s", async (_, said, status) => {
    await stored([...OLD, "cache-control", "stale-if-error=900", ...ETAG], { cache: "{ staleIfError: 0 }" });
    pass(1000);
    const x = head();
    worker.last.head(status, said).end();
    expect(statusOf(x)).toBe(status);
    get();
    expect(worker.last.request.headers).toContain("if-none-match");
    worker.last.head(304, []).end();
  });

  it("does not take away what others are served by an answer that is different for its own cookie", async () => {
    await stored([...OLD, ...ETAG], { cache: "{ ttl: 10s }" });
    pass(20);
    head("cookie", "sid=1");
    worker.last.head(200, ["etag", '"mine"'], 3).end();
    get();
    expect(worker.last.request.headers).toContain("if-none-match");
    worker.last.head(304, []).end();
  });

  it("is answered by a GET that is under way, by its condition, and by what stands in for a failure", async () => {
    await stored([...OLD, ...ETAG], { cache: "{ staleIfError: 60s }" });
    pass(20);
    get();
    const joined = head();
    expect(worker.calls).toHaveLength(2);
    worker.last.head(304, ["cache-control", "max-age=10"]).end();
    expect(statusOf(joined)).toBe(200);
    pass(20);
    const conditional = head("if-none-match", '"v1"');
    worker.last.head(200, ["cache-control", "max-age=10", ...ETAG], 10).end();
    expect(statusOf(conditional)).toBe(304);
    pass(20);
    const [failed, error] = [head(), head()];
    worker.last.head(503, [], 0).end();
    expect([failed, error].map((x) => [statusOf(x), x.head?.length])).toEqual(Array(2).fill([200, 10]));
    const one = head();
    worker.last.fail();
    expect(statusOf(one)).toBe(200);
  });

  it("lets each who waits ask by itself where its answer is another one's alone, and nobody's GET is held back", async () => {
    await stored([...OLD, ...ETAG]);
    pass(20);
    const clients = [head(), head()];
    worker.last.head(200, fresh("etag", '"v2"'), 4).end();
    expect(worker.calls).toHaveLength(3);
    worker.last.head(200, fresh("etag", '"v2"'), 4).end();
    expect(clients.map((x) => [statusOf(x), x.head?.length])).toEqual(Array(2).fill([200, 4]));
    const gets = [get(), get()];
    expect(worker.calls).toHaveLength(4);
    worker.last.head(200, fresh("etag", '"v2"'), 4).data("abcd").end();
    expect(gets.map((x) => x.body)).toEqual(["abcd", "abcd"]);
  });
});

describe("stale responses", () => {
  it("are served while one validation runs in the background (RFC 5861 section 3)", async () => {
    await stored(["cache-control", "max-age=10, stale-while-revalidate=30", ...ETAG]);
    pass(20);
    const clients = [get(), get(), get()];
    expect(clients.map((x) => [x.body, dealt(x).includes("; hit")])).toEqual(clients.map(() => ["0123456789", true]));
    expect(worker.calls).toHaveLength(2);
    worker.last.head(200, ["cache-control", "max-age=10", "etag", '"v2"'], 3).data("new").end();
    expect(get().body).toBe("new");
    expect(worker.calls).toHaveLength(2);
  });

  it("are no longer served behind that window", async () => {
    await stored(["cache-control", "max-age=10, stale-while-revalidate=30", ...ETAG]);
    pass(41);
    const x = get();
    expect(statusOf(x)).toBe(0);
    worker.last.head(304, []).end();
    expect(statusOf(x)).toBe(200);
  });

  it("are not fetched in the background for ever when the answer outgrows its bounds", async () => {
    await stored(["cache-control", "max-age=10, stale-while-revalidate=30"], { top: "cache: { maxObject: 1KiB }" });
    pass(20);
    get();
    worker.last.head(200, fresh()).data("x".repeat(2000));
    expect(worker.last.cancelled).toBe(true);
  });

  it.each([500, 502, 503, 504])("stand in for %i, to all who wait (RFC 5861 section 4)", async (status) => {
    await stored(["cache-control", "max-age=10, stale-if-error=60"]);
    pass(20);
    const clients = [get(), get()];
    worker.last.head(status, [], 4).data("oops").end();
    expect(clients.map((x) => [statusOf(x), x.body])).toEqual([
      [200, "0123456789"],
      [200, "0123456789"],
    ]);
  });

  it.each([401, 403, 404, 410, 302, 429, 501])("do not stand in for %i", async (status) => {
    await stored(["cache-control", "max-age=10, stale-if-error=60"]);
    pass(20);
    const x = get();
    worker.last.head(status, [], 4).data("oops").end();
    expect([statusOf(x), x.body]).toEqual([status, "oops"]);
  });

  it("stand in for a connection that fails, without a validator too, and for an open breaker only as the route grants", async () => {
    await stored(["cache-control", "max-age=10"], { cache: "{ staleIfError: 60s }" });
    pass(20);
    const x = get();
    worker.last.fail({ code: "connect_failed", unsent: true });
    expect([statusOf(x), x.body]).toEqual([200, "0123456789"]);
    pass(60);
    const late = get();
    worker.last.fail();
    expect(statusOf(late)).toBe(502);
  });

  it.each<[string, RouteText, HeaderList, string]>([
    ["breaker.fallback: stale", { upstream: breaker("fallback: stale") }, [], "served for a year"],
    ["breaker.fallback: { stale: 60s }", { upstream: breaker("fallback: { stale: 60s }") }, [], "served for 60 s"],
    ["staleIfOpen", { upstream: breaker(), cache: "{ staleIfOpen: 60s }" }, [], "served for 60 s"],
    ["staleIfOpen before the fallback", { upstream: breaker("fallback: stale"), cache: "{ staleIfOpen: 60s }" }, [], "served for 60 s"],
    ["staleIfOpen of nothing", { upstream: breaker("fallback: stale"), cache: "{ staleIfOpen: 0 }" }, [], "refused"],
    ["neither", { upstream: breaker() }, [], "refused"],
    ["must-revalidate", { upstream: breaker("fallback: stale") }, ["cache-control", "max-age=10, must-revalidate"], "refused"],
    ["no-cache", { upstream: breaker("fallback: stale") }, ["cache-control", "max-age=10, no-cache"], "refused"],
    ["s-maxage", { upstream: breaker("fallback: stale") }, ["cache-control", "s-maxage=10"], "refused"],
  ])("stand in for an open breaker as upstream and route say: %s", async (_, route, headers, expected) => {
    await stored([...ETAG, ...(headers.length === 0 ? ["cache-control", "max-age=10"] : headers)], route);
    const failed = worker.ask("/other");
    worker.last.fail();
    expect(statusOf(failed)).toBe(502);
    const ask = (): string => {
      const x = get();
      if (statusOf(x) === 200)
        expect([x.body, dealt(x)]).toEqual(["0123456789", expect.stringMatching(/^sluice; fwd=stale; ttl=-\d+; detail=breaker_open$/)]);
      return statusOf(x) === 200 ? "served" : x.code;
    };
    pass(20);
    const soon = ask();
    pass(60);
    const later = ask();
    pass(365 * 24 * 3600);
    expect([soon, later, ask()]).toEqual(
      { "served for a year": ["served", "served", "served"], "served for 60 s": ["served", "breaker_open", "breaker_open"] }[expected] ?? [
        "breaker_open",
        "breaker_open",
        "breaker_open",
      ],
    );
    expect(worker.calls).toHaveLength(2);
    expect(worker.ask("/nothing").code).toBe("breaker_open");
  });

  it("stand in for an open breaker also while nobody waits for the origin's errors", async () => {
    await stored(["cache-control", "max-age=10", ...ETAG], {
      upstream: breaker("fallback: stale"),
    });
    pass(20);
    const first = get();
    worker.last.head(500, [], 4).data("oops").end();
    expect(statusOf(first)).toBe(500);
    const second = get();
    expect([statusOf(second), second.body]).toEqual([200, "0123456789"]);
  });

  it.each<[string, string, number]>([
    ["staleIfError", "{ staleIfError: 60s }", 200],
    ["staleIfOpen", "{ staleIfOpen: 60s }", 200],
    ["neither", "{}", 503],
  ])("stand in for what is refused under load, by %s", async (_, cache, status) => {
    await stored(["cache-control", "max-age=10"], {
      cache,
      upstream: "overload: { mode: on, minimum: 1, maximum: 1, queue: { length: 0 } }",
    });
    pass(20);
    const busy = worker.ask("/busy");
    const [one, two] = [get(), get()];
    expect([one, two].map((x) => [statusOf(x), status === 200 ? x.body : x.code])).toEqual(
      Array(2).fill([status, status === 200 ? "0123456789" : "overloaded"]),
    );
    if (status === 200) expect(dealt(one)).toBe("sluice; fwd=stale; ttl=-10; detail=overloaded");
    expect(worker.ask("/nothing").code).toBe("overloaded");
    worker.last.head(200, [], 0).end();
    expect(statusOf(busy)).toBe(200);
  });

  it("never stand in for a limit that refuses the caller", async () => {
    await stored(["cache-control", "max-age=10"], {
      cache: "{ staleIfError: 1h, staleIfOpen: 1h, staleWhileRevalidate: 1h }",
      route: ["rateLimit: [{ per: ip, quota: 1/day }]"],
    });
    pass(20);
    const x = get();
    expect([statusOf(x), x.code, x.body.includes("0123456789")]).toEqual([429, "quota_exceeded", false]);
  });

  it.each(["must-revalidate", "proxy-revalidate", "s-maxage=10", "no-cache"])(
    "are never served with %s, whatever the request says (RFC 9111 sections 4.2.4, 5.2.2)",
    async (directive) => {
      await stored(["cache-control", `max-age=10, ${directive}`, ...ETAG], { cache: "{ staleIfError: 60s, staleWhileRevalidate: 60s }" });
      pass(20);
      const x = get("cache-control", "max-stale, stale-if-error=600");
      expect(statusOf(x)).toBe(0);
      worker.last.head(503, [], 0).end();
      expect(statusOf(x)).toBe(503);
    },
  );

  it("are served to max-stale, within what the request takes (RFC 9111 section 5.2.1.2)", async () => {
    await stored(["cache-control", "max-age=10", ...ETAG]);
    pass(20);
    expect(dealt(get("cache-control", "max-stale=15"))).toBe("sluice; hit; ttl=-10");
    get("cache-control", "max-stale=5");
    expect(worker.calls).toHaveLength(2);
    worker.last.head(304, []).end();
  });
});

describe("purges", () => {
  it("make what is stored void, in every variant, at once", async () => {
    worker = await startCached();
    for (const lang of ["en", "de"]) {
      get("accept-language", lang);
      worker.last.head(200, fresh("vary", "accept-language"), 2).data(lang).end();
    }
    workerCache(worker.services).cache.invalidate("http://api.example.com/x");
    for (const lang of ["en", "de"]) {
      get("accept-language", lang);
      worker.last.head(200, fresh("vary", "accept-language"), 2).data("xx").end();
    }
    expect(worker.calls).toHaveLength(4);
  });

  it("during a fill keep its answer out of the store, and not from those who wait", async () => {
    worker = await startCached();
    for (const length of [2, -1]) {
      const x = get();
      worker.last.head(200, fresh(), length).data("a");
      workerCache(worker.services).cache.invalidate("http://api.example.com/x");
      worker.last.data("b").end();
      expect(x.body).toBe("ab");
    }
    get();
    expect(worker.calls).toHaveLength(3);
    worker.last.head(200, fresh(), 0).end();
  });

  it("leave nothing that a grace rule finds", async () => {
    await stored(["cache-control", "max-age=10, stale-if-error=600, stale-while-revalidate=600"]);
    workerCache(worker.services).cache.invalidate("http://api.example.com/x");
    const x = get();
    worker.last.fail();
    expect(statusOf(x)).toBe(502);
  });

  it.each([
    ["POST", 200, true],
    ["PUT", 204, true],
    ["DELETE", 302, true],
    ["PATCH", 201, true],
    ["FROBNICATE", 200, true],
    ["POST", 404, false],
    ["POST", 500, false],
    ["OPTIONS", 200, false],
  ])("by %s answered %i: %s (RFC 9111 section 4.4)", async (method, status, isPurged) => {
    await stored(fresh());
    worker.ask("/x", { method });
    worker.last.head(status, [], 0).end();
    expect(dealt(get()).includes("; hit")).toBe(!isPurged);
    if (isPurged) worker.last.head(200, fresh(), 0).end();
  });

  it("by Location and Content-Location hold for the same host alone (RFC 9111 section 4.4)", async () => {
    worker = await startCached();
    const fill = (path: string): number => {
      const before = worker.calls.length;
      worker.ask(path);
      if (worker.calls.length > before) worker.last.head(200, fresh(), 1).data("a").end();
      return worker.calls.length - before;
    };
    for (const path of ["/a", "/b", "/c"]) fill(path);
    worker.ask("/other", { method: "POST" });
    worker.last.head(201, ["location", "/a", "content-location", "http://api.example.com/b"], 0).end();
    worker.ask("/other", { method: "POST" });
    worker.last.head(201, ["location", "http://evil.example.com/c"], 0).end();
    expect(["/a", "/b", "/c"].map(fill)).toEqual([1, 1, 0]);
  });
});
