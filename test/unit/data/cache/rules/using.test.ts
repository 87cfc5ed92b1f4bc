// What a stored response is good for: freshness against the request, conditions, ranges, validation, variants, invalidation, and what is said of it.
import { describe, expect, it } from "vitest";
import type { HeaderList } from "../../../../../src/base/header-list.ts";
import { type CacheOutcome, cacheStatus } from "../../../../../src/data/cache/rules/cache-status.ts";
import { needsOrigin, notModifiedHeaders, select } from "../../../../../src/data/cache/rules/conditions.ts";
import { parseCacheControl } from "../../../../../src/data/cache/rules/directives.ts";
import type { Freshness } from "../../../../../src/data/cache/rules/freshness.ts";
import { invalidated } from "../../../../../src/data/cache/rules/invalidation.ts";
import { requestMarks } from "../../../../../src/data/cache/rules/request-marks.ts";
import { howToUse, isOriginError, mayServeOnError } from "../../../../../src/data/cache/rules/reuse.ts";
import { isAbout, updated, validators } from "../../../../../src/data/cache/rules/validation.ts";
import { variantKey } from "../../../../../src/data/cache/rules/variant.ts";

const NOW = Date.UTC(2026, 5, 15, 12, 0, 0);
const date = (seconds: number): string => new Date(NOW + seconds * 1000).toUTCString();

/** Fresh for 60 s, of this age. */
const aged = (age: number, more: Partial<Freshness> = {}): Freshness => ({
  receivedMs: NOW,
  initialAge: age,
  lifetime: 60,
  staleWhileRevalidate: 0,
  staleIfError: 0,
  noCache: false,
  neverStale: false,
  immutable: false,
  ...more,
});

describe("whether a stored response may be used (RFC 9111 sections 4.2, 5.2.1)", () => {
  it.each<[string, number, string, Partial<Freshness>, string]>([
    ["fresh", 59, "", {}, "fresh"],
    ["its lifetime is over (section 4.2)", 60, "", {}, "validate"],
    ["no-cache of the response (section 5.2.2.4)", 1, "", { noCache: true }, "validate"],
    ["no-cache of the request (section 5.2.1.4)", 1, "no-cache", {}, "validate"],
    ["max-age of the request (section 5.2.1.1)", 10, "max-age=9", {}, "validate"],
    ["max-age of the request, met", 10, "max-age=10", {}, "fresh"],
    ["a reload of what is immutable (RFC 8246 section 2)", 10, "max-age=0", { immutable: true }, "fresh"],
    ["another age asked of what is immutable", 10, "max-age=5", { immutable: true }, "validate"],
    ["a reload of what is immutable and stale", 70, "max-age=0", { immutable: true }, "validate"],
    ["min-fresh (section 5.2.1.3)", 50, "min-fresh=11", {}, "validate"],
    ["min-fresh, met", 50, "min-fresh=10", {}, "fresh"],
    ["min-fresh that cannot be read", 1, "min-fresh=x", {}, "validate"],
    ["max-stale (section 5.2.1.2)", 70, "max-stale=10", {}, "stale"],
    ["max-stale, not enough", 71, "max-stale=10", {}, "validate"],
    ["max-stale for any age", 9999, "max-stale", {}, "stale"],
    ["max-stale that cannot be read", 61, "max-stale=x", {}, "validate"],
    ["max-stale against must-revalidate and its kin (section 5.2.2)", 61, "max-stale", { neverStale: true }, "validate"],
    ["max-stale beside a max-age that is not met", 70, "max-stale, max-age=5", {}, "validate"],
    ["stale-while-revalidate (RFC 5861 section 3)", 69, "", { staleWhileRevalidate: 10 }, "background"],
    ["stale-while-revalidate, over", 70, "", { staleWhileRevalidate: 10 }, "validate"],
    ["must-revalidate matters once stale only (section 5.2.2.2)", 30, "", { neverStale: true }, "fresh"],
  ])("%s", (_, age, request, more, use) => {
    expect(howToUse(aged(age, more), parseCacheControl(request), NOW)).toBe(use);
  });

  it.each<[string, number, string, Partial<Freshness>, number, boolean]>([
    ["nothing grants it", 61, "", {}, 0, false],
    ["the response does", 65, "", { staleIfError: 10 }, 0, true],
    ["no longer", 70, "", { staleIfError: 10 }, 0, false],
    ["the request does", 65, "stale-if-error=10", {}, 0, true],
    ["the request does, against must-revalidate and its kin", 65, "stale-if-error=10", { neverStale: true }, 0, false],
    ["the route does, while the breaker is open", 65, "", {}, 10, true],
    ["the route does, against must-revalidate and its kin", 65, "", { neverStale: true }, 10, false],
    ["no-cache", 1, "stale-if-error=10", { noCache: true, staleIfError: 10 }, 10, false],
    ["it is fresh", 1, "", {}, 0, true],
  ])("it stands in for an error (RFC 5861 section 4): %s", (_, age, request, more, extra, may) => {
    expect(mayServeOnError(aged(age, more), parseCacheControl(request), NOW, extra)).toBe(may);
  });

  it("500, 502, 503 and 504 are errors of the origin, and no others (RFC 5861 section 4)", () => {
    expect(Array.from({ length: 500 }, (_, i) => i + 100).filter(isOriginError)).toEqual([500, 502, 503, 504]);
  });
});

describe("conditions (RFC 9111 section 4.3.2, RFC 9110 section 13)", () => {
  const STORED: HeaderList = ["etag", '"a,b"', "last-modified", date(-100), "date", date(0)];
  const of = (request: HeaderList, headers = STORED, status = 200, method = "GET", length = 10): string => {
    const selected = select(method, request, { status, headers, receivedMs: NOW }, length);
    return selected.kind === "range" ? `${selected.first}-${selected.last}` : selected.kind;
  };

  it.each<[HeaderList, string]>([
    [["if-none-match", '"a,b"'], "not-modified"],
    [["if-none-match", 'W/"a,b"'], "not-modified"],
    [["if-none-match", '"x", "a,b"'], "not-modified"],
    [["if-none-match", '"x"', "if-none-match", '"a,b"'], "not-modified"],
    [["if-none-match", " * "], "not-modified"],
    [["if-none-match", '"a", "b"'], "whole"],
    [["if-none-match", '"a,b'], "whole"],
    [["if-none-match", '"a,b"x'], "whole"],
    [["if-none-match", ""], "whole"],
    [["if-none-match", '"x"', "if-modified-since", date(0)], "whole"],
    [["if-modified-since", date(-100)], "not-modified"],
    [["if-modified-since", date(-101)], "whole"],
    [["if-modified-since", "0"], "whole"],
    [["if-none-match", `${'"x",'.repeat(64)}"a,b"`], "whole"],
  ])("%o: %s", (request, expected) => {
    expect(of(request)).toBe(expected);
  });

  it("without Last-Modified go by Date, and without that by the arrival", () => {
    expect(of(["if-modified-since", date(0)], ["date", date(0)])).toBe("not-modified");
    expect(of(["if-modified-since", date(-1)], ["date", date(0)])).toBe("whole");
    expect(of(["if-modified-since", date(0)], [])).toBe("not-modified");
  });

  it("count only where the answer would be 200 (RFC 9110 section 13.2.1)", () => {
    expect(of(["if-none-match", '"a,b"'], STORED, 404)).toBe("whole");
    expect(of(["if-none-match", '"a,b"'], STORED, 200, "HEAD")).toBe("not-modified");
  });

  it("that are the origin's to judge go there", () => {
    expect(
      [
        ["if-match", "*"],
        ["if-unmodified-since", "x"],
        ["if-none-match", "*"],
      ].map((fields) => needsOrigin(requestMarks(fields))),
    ).toEqual([true, true, false]);
  });

  it.each<[string, string]>([
    ["bytes=0-0", "0-0"],
    ["bytes=2-", "2-9"],
    ["bytes=-4", "6-9"],
    ["bytes=-40", "0-9"],
    ["bytes=5-500", "5-9"],
    ["Bytes= 1-2", "1-2"],
    ["bytes=10-", "unsatisfiable"],
    ["bytes=-0", "unsatisfiable"],
    ["bytes=3-2", "whole"],
    ["bytes=-", "whole"],
    ["bytes=0-1,3-4", "whole"],
    ["bytes=a-b", "whole"],
    ["bytes=0-1;x", "whole"],
    ["bytes=9999999999999999-", "whole"],
    ["items=0-1", "whole"],
  ])("Range: %s: %s (RFC 9110 section 14.2)", (range, expected) => {
    expect(of(["range", range])).toBe(expected);
  });

  it.each<[string, HeaderList, string]>([
    ['"a,b"', STORED, "0-1"],
    ['W/"a,b"', ["etag", 'W/"a,b"'], "whole"],
    ['"other"', STORED, "whole"],
    [date(-100), STORED, "0-1"],
    [date(-99), STORED, "whole"],
    [date(0), ["last-modified", date(0), "date", date(0)], "whole"],
    [date(-100), ["last-modified", date(-100)], "whole"],
    ["a,b", STORED, "whole"],
  ])("If-Range: %s against %o: %s (RFC 9110 sections 8.8.2.2, 13.1.5)", (condition, headers, expected) => {
    expect(of(["range", "bytes=0-1", "if-range", condition], headers)).toBe(expected);
  });

  it("of ranges count for GET, a 200 and a known length alone", () => {
    expect(of(["range", "bytes=0-1"], STORED, 404)).toBe("whole");
    expect(of(["range", "bytes=0-1"], STORED, 200, "HEAD")).toBe("whole");
    expect(of(["range", "bytes=0-1"], STORED, 200, "GET", -1)).toBe("whole");
    expect(of(["range", "bytes=0-"], STORED, 200, "GET", 0)).toBe("unsatisfiable");
  });

  it("leave in a 304 what belongs there (RFC 9110 section 15.4.5)", () => {
    const stored: HeaderList = [
      "etag",
      '"a"',
      "last-modified",
      "x",
      "content-type",
      "t",
      "content-encoding",
      "gzip",
      "content-location",
      "/a",
      "vary",
      "b",
      "cache-control",
      "max-age=1",
      "expires",
      "x",
      "date",
      "d",
    ];
    expect(notModifiedHeaders(stored)).toEqual([
      "etag",
      '"a"',
      "content-location",
      "/a",
      "vary",
      "b",
      "cache-control",
      "max-age=1",
      "expires",
      "x",
      "date",
      "d",
    ]);
  });
});

describe("validation (RFC 9111 section 4.3)", () => {
  it("asks with both validators that there are (section 4.3.1)", () => {
    expect(validators(["etag", 'W/"a"', "last-modified", "x"])).toEqual(["if-none-match", 'W/"a"', "if-modified-since", "x"]);
    expect(validators([])).toEqual([]);
  });

  it.each<[HeaderList, HeaderList, boolean]>([
    [["etag", '"a"'], ["etag", '"a"'], true],
    [["etag", '"a"'], ["etag", '"b"'], false],
    [["etag", 'W/"a"'], ["etag", '"a"'], true],
    [[], ["etag", '"a"'], false],
    [["etag", '"a"', "last-modified", "x"], ["last-modified", "x"], true],
    [["last-modified", "x"], ["last-modified", "y"], false],
    [["last-modified", "x"], [], true],
    [["etag", '"a"', "last-modified", "x"], ["etag", '"a"', "last-modified", "y"], true],
  ])("a 304 is about what is stored (section 4.3.4): %o %o: %s", (stored, notModified, expected) => {
    expect(isAbout(stored, notModified)).toBe(expected);
  });

  it("brings fields up to date, and none that describes the bytes (section 3.2)", () => {
    const stored: HeaderList = ["x-a", "1", "x-b", "1", "x-a", "2", "content-type", "t", "content-encoding", "gzip"];
    const fields: HeaderList = [
      "x-a",
      "3",
      "x-c",
      "4",
      "content-type",
      "evil",
      "content-encoding",
      "br",
      "content-length",
      "0",
      "content-range",
      "bytes 0-1/2",
      "connection",
      "close",
      "transfer-encoding",
      "chunked",
    ];
    expect(updated(stored, fields)).toEqual(["x-b", "1", "content-type", "t", "content-encoding", "gzip", "x-a", "3", "x-c", "4"]);
    expect(stored).toHaveLength(10);
  });
});

describe("variants (RFC 9111 section 4.1)", () => {
  const key = (name: string, ...values: string[]): string =>
    variantKey(
      [name],
      values.flatMap((value) => [name, value]),
    );

  it.each<[string, string, string]>([
    ["accept-encoding", "gzip, br", "br;q=0.5,gzip"],
    ["accept-encoding", "x-gzip", "gzip"],
    ["accept-encoding", "gzip;q=0", ""],
    ["accept-language", "en, DE", "EN,de"],
    ["accept-language", "en;q=0.5", "en; q=0.5"],
    ["x-any", "a, b", "a,b"],
  ])("are one where no origin may answer otherwise: %s: %s and %s", (name, one, other) => {
    expect(key(name, one)).toBe(key(name, other));
  });

  it.each<[string, string, string]>([
    ["accept-encoding", "gzip", "br"],
    ["accept-encoding", "gzip", "gzip, dcb"],
    ["accept-encoding", "gzip, dcb", "gzip, dcz"],
    ["accept-encoding", "gzip", "gzip, *;q=0"],
    ["accept-encoding", "gzip, br, zstd, deflate", "*"],
    ["accept-encoding", "gzip", "gzip, identity;q=0"],
    ["accept-encoding", "gzip", "gzip, b\u00f6r"],
    ["accept-language", "en, de", "de, en"],
    ["accept-language", "en;q=0.5, de", "en, de;q=0.5"],
    ["x-any", "a, b", "a b"],
    ["x-any", '"a, b"', '"a,b"'],
    ["cookie", "a=1, 2", "a=1,2"],
    ["user-agent", "A (x, y)", "A (x,y)"],
    ["x-any", "A", "a"],
  ])("are two in doubt: %s: %s and %s", (name, one, other) => {
    expect(key(name, one)).not.toBe(key(name, other));
  });

  it("tell a field that is not there from an empty one, and join its lines", () => {
    expect(key("x-a")).not.toBe(key("x-a", ""));
    expect(key("x-a", "1", "2")).toBe(key("x-a", "1, 2"));
    expect(variantKey([], ["x-a", "1"])).toBe("");
  });

  it("never run into each other, whatever a client sends", () => {
    const names = ["x-a", "x-b"];
    expect(variantKey(names, ["x-a", "1", "x-b", "2"])).not.toBe(variantKey(names, ["x-a", "1x-b2"]));
    expect(variantKey(names, ["x-a", "1"])).not.toBe(variantKey(names, ["x-b", "1"]));
  });

  it("of a field with more elements than are looked at are taken as they are", () => {
    const many = Array.from({ length: 40 }, (_, i) => `c${i}`).join(", ");
    expect(key("accept-encoding", many)).not.toBe(key("accept-encoding", `${many}, gzip`));
    expect(key("accept-language", many)).not.toBe(key("accept-language", `${many}, en`));
  });
});

describe("invalidation (RFC 9111 section 4.4)", () => {
  const after = (method: string, status: number, headers: HeaderList = []): readonly string[] =>
    invalidated({ method, status, headers, origin: "http://a.example:8080", target: "/x?y=1" });

  it.each<[string, number, HeaderList, readonly string[]]>([
    ["POST", 200, [], ["/x?y=1"]],
    ["DELETE", 302, [], ["/x?y=1"]],
    ["M-SEARCH", 204, [], ["/x?y=1"]],
    ["POST", 404, [], []],
    ["POST", 503, [], []],
    ["GET", 200, [], []],
    ["HEAD", 200, [], []],
    ["OPTIONS", 200, [], []],
    ["POST", 201, ["location", "/new"], ["/x?y=1", "/new"]],
    ["POST", 201, ["location", "http://a.example:8080/n?q=1#f", "content-location", "z"], ["/x?y=1", "/n?q=1", "/z"]],
    ["POST", 201, ["location", "http://A.EXAMPLE:8080/n"], ["/x?y=1", "/n"]],
    ["POST", 201, ["location", "http://b.example/n"], ["/x?y=1"]],
    ["POST", 201, ["location", "//b.example/n"], ["/x?y=1"]],
    ["POST", 201, ["location", "https://a.example:8080/n"], ["/x?y=1"]],
    ["POST", 201, ["location", "http://a.example/n"], ["/x?y=1"]],
    ["POST", 201, ["location", "http://[broken"], ["/x?y=1"]],
    ["POST", 201, ["location", "javascript:alert(1)"], ["/x?y=1"]],
  ])("%s %i %o: %o", (method, status, headers, expected) => {
    expect(after(method, status, headers)).toEqual(expected);
  });
});

describe("Cache-Status (RFC 9211 section 2)", () => {
  const NOTHING: CacheOutcome = { forward: null, forwardStatus: 0, ttl: null, stored: false, collapsed: false, detail: "" };
  it.each<[Partial<CacheOutcome>, string]>([
    [{ ttl: 30.9 }, "me; hit; ttl=30"],
    [{ ttl: -0.5 }, "me; hit; ttl=-1"],
    [{ forward: "uri-miss", forwardStatus: 200, ttl: 60, stored: true }, "me; fwd=uri-miss; fwd-status=200; ttl=60; stored"],
    [{ forward: "stale", forwardStatus: 304, stored: true, collapsed: true }, "me; fwd=stale; fwd-status=304; stored; collapsed"],
    [{ forward: "bypass", detail: "no-key" }, "me; fwd=bypass; detail=no-key"],
    [{ stored: true, forwardStatus: 200 }, "me; hit"],
  ])("%o: %s", (outcome, expected) => {
    expect(cacheStatus("me", { ...NOTHING, ...outcome })).toBe(expected);
  });
});
