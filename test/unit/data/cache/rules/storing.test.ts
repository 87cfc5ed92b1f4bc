// Whether a response is stored, for how long it is fresh, and how old it is on arrival.
import { describe, expect, it } from "vitest";
import type { HeaderList } from "../../../../../src/base/header-list.ts";
import { type Answered, assess, outdates, type Storable, type StoreRules, varyNames } from "../../../../../src/data/cache/rules/assess.ts";
import { ageOf, remainingOf } from "../../../../../src/data/cache/rules/freshness.ts";

const NOW = Date.UTC(2026, 5, 15, 12, 0, 0);
const date = (seconds: number): string => new Date(NOW + seconds * 1000).toUTCString();
const RULES: StoreRules = {
  ttl: -1,
  byStatus: new Map(),
  heuristic: false,
  staleWhileRevalidate: -1,
  staleIfError: -1,
  setCookie: "refuse",
  isKeyedByCaller: false,
  obeysRequests: true,
  keyCookies: [],
  ignoresCookies: false,
};

function judge(headers: HeaderList, answered: Partial<Answered> = {}, rules: Partial<StoreRules> = {}): Storable | string {
  const whole = {
    method: "GET",
    requestHeaders: [],
    sentHeaders: answered.requestHeaders ?? [],
    hasUnproven: false,
    status: 200,
    headers,
    times: { sentMs: NOW, receivedMs: NOW },
    ...answered,
  };
  return assess(whole, { ...RULES, ...rules });
}

const lifetime = (judged: Storable | string): number | string => (typeof judged === "string" ? judged : judged.freshness.lifetime);
const cc = (value: string, ...more: HeaderList): HeaderList => ["cache-control", value, ...more];

describe("storing (RFC 9111 section 3)", () => {
  it.each<[HeaderList, number | string]>([
    [[], "no-lifetime"],
    [cc("max-age=60"), 60],
    [cc("max-age=0"), "no-validator"],
    [cc("max-age=0", "etag", '"a"'), 0],
    [cc("max-age=0, s-maxage=15"), 15],
    [cc("max-age=60, s-maxage=0", "etag", '"a"'), 0],
    [cc("no-store, max-age=60"), "no-store"],
    [cc("private, max-age=60"), "private"],
    [cc("no-cache"), "no-validator"],
    [cc("no-cache", "last-modified", date(-9)), 0],
    [cc("max-age=60", "cdn-cache-control", "no-store"), "no-store"],
    [cc("no-store", "cdn-cache-control", "max-age=9"), 9],
    [cc("max-age=60", "cdn-cache-control", "broken="), 60],
    [["expires", date(500), "cdn-cache-control", "public"], "no-lifetime"],
    [cc("max-age=60", "set-cookie", "a=b"), "set-cookie"],
    [cc('max-age=60, no-cache="set-cookie"', "set-cookie", "a=b"), 60],
    [cc("max-age=60", "vary", "*"), "vary-star"],
    [cc("max-age=60", "vary", "a, *"), "vary-star"],
    [cc("max-age=60", "vary", Array.from({ length: 17 }, (_, i) => `x${i}`).join()), "vary-too-long"],
    [cc("max-age=10", "age", "20"), "no-validator"],
  ])("%o: %s", (headers, expected) => {
    expect(lifetime(judge(headers))).toBe(expected);
  });

  it.each<[string, Partial<Answered>, HeaderList, number | string]>([
    ["HEAD fills nothing (RFC 9110 section 9.3.2)", { method: "HEAD" }, cc("max-age=60"), "method"],
    ["a part is no whole (section 3.3)", { status: 206 }, cc("max-age=60"), "partial"],
    ["an interim answer is none", { status: 103 }, cc("max-age=60"), "status"],
    ["a 304 that nobody asked for", { status: 304 }, cc("max-age=60"), "status"],
    ["a request's no-store (section 5.2.1.5)", { requestHeaders: cc("no-store") }, cc("max-age=60"), "request-no-store"],
    ["an error with a lifetime of its own", { status: 500 }, cc("max-age=60"), 60],
    ["an error without", { status: 404 }, [], "no-lifetime"],
    ["an unknown status with must-understand (section 5.2.2.3)", { status: 599 }, cc("max-age=60, must-understand"), "status"],
    ["no-store beside must-understand (section 5.2.2.3)", { status: 200 }, cc("max-age=60, no-store, must-understand"), 60],
    ["no-store beside must-understand, of an unknown status", { status: 599 }, cc("max-age=60, no-store, must-understand"), "no-store"],
  ])("%s", (_, answered, headers, expected) => {
    expect(lifetime(judge(headers, answered))).toBe(expected);
  });

  it.each<[string, Partial<Answered>, Partial<StoreRules>, number | string]>([
    ["max-age=60", {}, {}, "authorization"],
    ["max-age=60, public", {}, {}, 60],
    ["max-age=60, must-revalidate", {}, {}, 60],
    ["s-maxage=60", {}, {}, 60],
    ["max-age=60", {}, { isKeyedByCaller: true }, 60],
    ["max-age=60", { hasUnproven: true }, { isKeyedByCaller: true }, "authorization"],
    ["max-age=60, private", {}, { isKeyedByCaller: true }, "private"],
  ])("with Authorization (section 3.5): %s %o %o", (control, answered, rules, expected) => {
    expect(lifetime(judge(cc(control), { requestHeaders: ["authorization", "Basic x"], ...answered }, rules))).toBe(expected);
  });

  it.each<[HeaderList, HeaderList, Partial<StoreRules>, number | string]>([
    [["cookie", "sid=1"], [], {}, "cookie"],
    [["cookie", "sid=1"], ["cache-control", "max-age=9"], {}, 9],
    [["cookie", "sid=1"], ["cache-control", "public"], {}, 30],
    [["cookie", "sid=1"], ["vary", "cookie"], {}, 30],
    [["cookie", "lang=en"], [], { keyCookies: ["lang"] }, 30],
    [["cookie", "lang=en; sid=1"], [], { keyCookies: ["lang"] }, "cookie"],
    [["cookie", "sid=1"], [], { ignoresCookies: true }, 30],
    [["cookie", "sid=1"], [], { isKeyedByCaller: true }, 30],
    [[], [], {}, 30],
  ])(
    "a lifetime that the route alone grants is none for whom the origin was shown a cookie (section 7.3): %o %o %o",
    (sentHeaders, headers, rules, expected) => {
      expect(lifetime(judge(headers, { sentHeaders }, { ttl: 30, ...rules }))).toBe(expected);
    },
  );

  it("of Set-Cookie only where the route keeps it (section 7.3)", () => {
    const judged = judge(cc("max-age=60", "set-cookie", "a=b"), {}, { setCookie: "keep" });
    expect(judged).toMatchObject({ headers: ["cache-control", "max-age=60", "set-cookie", "a=b"] });
  });

  it("leaves out what belongs to a connection or to one client (section 3.1)", () => {
    const judged = judge(
      cc(
        'max-age=60, private="x-one"',
        "connection",
        "x-hop",
        "keep-alive",
        "timeout=5",
        "transfer-encoding",
        "chunked",
        "proxy-authentication-info",
        "x",
        "age",
        "3",
        "content-length",
        "5",
        "x-one",
        "1",
        "x-two",
        "2",
      ),
    );
    expect(judged).toMatchObject({ headers: ["cache-control", 'max-age=60, private="x-one"', "x-two", "2"] });
  });

  it("is over for what is stored when the response itself is not for storing, and not when the request was the reason", () => {
    expect([outdates(200, "private"), outdates(404, "no-lifetime"), outdates(301, "no-store")]).toEqual([true, true, true]);
    expect([outdates(200, "authorization"), outdates(200, "cookie"), outdates(500, "no-lifetime"), outdates(401, "no-lifetime")]).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });

  it("tells variants apart by names in lowercase, sorted, each once (section 4.1)", () => {
    expect(varyNames(["vary", "B, a ,, b", "vary", "C"])).toEqual(["a", "b", "c"]);
    expect(varyNames(["vary", "a b"])).toBe("vary-star");
    expect(varyNames([])).toEqual([]);
  });
});

describe("what the route grants (RFC 9111 sections 4.2.2, 5.2.2.10)", () => {
  it.each<[number, HeaderList, Partial<StoreRules>, number | string]>([
    [200, [], { ttl: 30 }, 30],
    [200, cc("max-age=5"), { ttl: 30 }, 5],
    [200, ["expires", "0"], { ttl: 30 }, "no-validator"],
    [302, [], { ttl: 30 }, "no-lifetime"],
    [302, cc("public"), { ttl: 30 }, 30],
    [404, [], { ttl: 30 }, "no-lifetime"],
    [404, [], { byStatus: new Map([[404, 10]]) }, 10],
    [503, [], { byStatus: new Map([[503, 1]]) }, 1],
    [200, ["last-modified", date(-1000), "date", date(0)], { heuristic: true }, 100],
    [200, ["last-modified", date(-1e9), "date", date(0)], { heuristic: true }, 86_400],
    [200, ["last-modified", date(1000), "date", date(0)], { heuristic: true }, 0],
    [200, ["last-modified", "yesterday"], { heuristic: true }, "no-lifetime"],
    [201, ["last-modified", date(-1000)], { heuristic: true }, "no-lifetime"],
    [200, ["last-modified", date(-1000)], {}, "no-lifetime"],
  ])("%i %o %o: %s", (status, headers, rules, expected) => {
    expect(lifetime(judge(headers, { status }, rules))).toBe(expected);
  });

  it.each<[string, Partial<StoreRules>, number, number]>([
    ["max-age=1", {}, 0, 0],
    ["max-age=1", { staleWhileRevalidate: 5, staleIfError: 6 }, 5, 6],
    ["max-age=1, stale-while-revalidate=2, stale-if-error=3", { staleWhileRevalidate: 5, staleIfError: 6 }, 2, 3],
    ["s-maxage=1", { staleWhileRevalidate: 5, staleIfError: 6 }, 0, 0],
    ["s-maxage=1, stale-while-revalidate=2", {}, 2, 0],
    ["max-age=1, must-revalidate, stale-while-revalidate=2, stale-if-error=3", {}, 0, 0],
    ["max-age=1, proxy-revalidate", { staleIfError: 6 }, 0, 0],
  ])("of stale uses: %s %o (RFC 5861)", (control, rules, swr, sie) => {
    expect(judge(cc(control), {}, rules)).toMatchObject({ freshness: { staleWhileRevalidate: swr, staleIfError: sie } });
  });
});

describe("Expires and Date (RFC 9111 sections 4.2.1, 5.3; RFC 9110 section 5.6.7)", () => {
  it.each<[HeaderList, number]>([
    [["expires", date(60), "date", date(0)], 60],
    [["expires", date(60), "date", date(-100)], 160],
    [["expires", date(60)], 60],
    [["expires", date(60), "date", "not a date"], 60],
    [["expires", date(3600), "date", date(3000)], 600],
    [["expires", "Monday, 15-Jun-26 12:01:00 GMT", "date", date(0)], 60],
    [["expires", "Mon Jun 15 12:01:00 2026", "date", date(0)], 60],
    [["expires", date(60).toLowerCase(), "date", date(0)], 60], // section 4.2: whatever the case
    [["expires", "MONDAY, 15-JUN-26 12:01:00 gmt", "date", date(0)], 60],
  ])("%o: %i", (headers, seconds) => {
    expect(lifetime(judge([...headers, "etag", '"a"']))).toBe(seconds);
  });

  it.each([
    "0",
    "-1",
    "",
    "60",
    "soon",
    "Thu, 18 Aug 2050 02:01:18",
    "Thu, 18 Aug 2050 02:01:18 UTC",
    "Thu, 32 Aug 2050 02:01:18 GMT",
    "Thu, 18 Aug 2050 2:01:18 GMT",
    "Thu, 18 Aug 2050 25:01:18 GMT",
    "Thu,  18 Aug 2050 02:01:18 GMT",
    "2050-08-18T02:01:18Z",
  ])("what is no date has expired: Expires: %s", (expires) => {
    expect(lifetime(judge(["expires", expires, "etag", '"a"']))).toBe(0);
  });

  it("two of them are no date", () => {
    expect(lifetime(judge(["expires", date(60), "expires", date(90), "etag", '"a"']))).toBe(0);
  });
});

describe("age (RFC 9111 sections 4.2.3, 5.1)", () => {
  it.each<[HeaderList, number, number]>([
    [[], 0, 0],
    [[], 3, 3],
    [["age", "7"], 0, 7],
    [["age", "7"], 3, 10],
    [["age", "7, 99"], 0, 7],
    [["age", "7", "age", "99"], 0, 7],
    [["age", "-7"], 0, 0],
    [["age", "7.5"], 0, 0],
    [["age", "a7"], 0, 0],
    [["age", "99999999999999999999"], 0, 2 ** 31],
    [["date", date(-20)], 0, 20],
    [["date", date(-20), "age", "5"], 0, 20],
    [["date", date(-20), "age", "50"], 0, 50],
    [["date", date(500)], 0, 0],
    [["date", "gibberish"], 0, 0],
    [["date", "0"], 0, 0],
  ])("%o on the way for %i s: %i", (headers, delay, age) => {
    const judged = judge(cc("max-age=9999999999", ...headers, "etag", '"a"'), { times: { sentMs: NOW - delay * 1000, receivedMs: NOW } });
    if (typeof judged === "string") throw new Error(judged);
    expect(judged.freshness.initialAge).toBe(age);
    expect(ageOf(judged.freshness, NOW + 4000)).toBe(age + 4);
    expect(ageOf(judged.freshness, NOW - 4000)).toBe(age);
    expect(remainingOf(judged.freshness, NOW)).toBe(2 ** 31 - age);
  });
});
