// Cache-Control and its targeted kin, in every shape: whole, doubled, overflowing, quoted, half-read.
import { describe, expect, it } from "vitest";
import { DELTA_SECONDS_MAX, type Directives, noDirectives, parseCacheControl } from "../../../../../src/data/cache/rules/directives.ts";
import { requestDirectives } from "../../../../../src/data/cache/rules/reuse.ts";
import { targetedDirectives } from "../../../../../src/data/cache/rules/targeted.ts";

/** What is said beyond nothing. */
function said(directives: Readonly<Directives> | null): Partial<Directives> | null {
  if (directives === null) return null;
  const none = noDirectives();
  return Object.fromEntries(
    Object.entries(directives).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(none[key as keyof Directives])),
  );
}

describe("Cache-Control (RFC 9111 section 5.2)", () => {
  it.each<[string, Partial<Directives>]>([
    ["", {}],
    [",, ,", {}],
    ["max-age=60", { maxAge: 60 }],
    ["MAX-AGE=60, No-Store", { maxAge: 60, noStore: true }],
    ['max-age="60"', { maxAge: 60 }],
    ["max-age=0060", { maxAge: 60 }],
    ["s-maxage=1,max-age=2", { sMaxAge: 1, maxAge: 2 }],
    ["public,immutable , must-understand", { isPublic: true, immutable: true, mustUnderstand: true }],
    ["stale-while-revalidate=5, stale-if-error=6", { staleWhileRevalidate: 5, staleIfError: 6 }],
    ["x-unknown=1, also; odd, max-age=3", { maxAge: 3 }],
    ["no-store=maybe", { noStore: true }],
    ["must-revalidate=1, proxy-revalidate=x", { mustRevalidate: true, proxyRevalidate: true }],
  ])("%s", (field, expected) => {
    expect(said(parseCacheControl(field))).toEqual(expected);
  });

  it.each<[string, Partial<Directives>]>([
    ["max-age=60, max-age=30", { maxAge: 30 }],
    ["max-age=30, max-age=60", { maxAge: 30 }],
    ["max-age=60, max-age=x", { maxAge: 0 }],
    ["s-maxage=9, s-maxage=5", { sMaxAge: 5 }],
    ["min-fresh=5, min-fresh=9", { minFresh: 9 }],
    ["private, public", { isPrivate: true, isPublic: true }],
  ])("said twice: the stricter counts (section 4.2.1): %s", (field, expected) => {
    expect(said(parseCacheControl(field))).toEqual(expected);
  });

  it.each([
    ["max-age=2147483648", 2 ** 31],
    ["max-age=99999999999999999999999999", 2 ** 31],
    ["max-age=2147483647", 2 ** 31 - 1],
  ])("what is beyond delta-seconds counts as the greatest (section 1.2.2): %s", (field, seconds) => {
    expect(DELTA_SECONDS_MAX).toBe(2 ** 31);
    expect(parseCacheControl(field).maxAge).toBe(seconds);
  });

  it.each([
    "max-age",
    "max-age=",
    "max-age=-1",
    "max-age=1.5",
    "max-age=1 2",
    "max-age= 60",
    "max-age =60",
    "max-age=60;x",
    "max-age=0x3c",
    "max-age='60'",
    'max-age="60',
    'max-age="6"0',
    "max-age=60s",
  ])("a lifetime that cannot be read is none (section 4.2.1): %s", (field) => {
    expect(parseCacheControl(field).maxAge).toBe(0);
  });

  it.each<[string, Partial<Directives>]>([
    ["public; max-age=30", {}],
    ["immutable; x", {}],
    ["must-understand;", {}],
    ["no-store; x", { noStore: true }],
    ["private; x", { isPrivate: true }],
    ["no-cache;", { noCache: true }],
    ["max-stale=x", { maxStale: 0 }],
  ])("a directive that is read in part makes nothing fresher, and nothing less private: %s", (field, expected) => {
    expect(said(parseCacheControl(field))).toEqual(expected);
  });

  it.each<[string, Partial<Directives>]>([
    ['no-cache="X-A, x-b"', { unstoredFields: ["x-a", "x-b"] }],
    ['private="set-cookie", no-cache=x-b', { unstoredFields: ["set-cookie", "x-b"] }],
    ['no-cache=""', { noCache: true }],
    ['no-cache="x y"', { noCache: true }],
    ['private="a', { isPrivate: true }],
    [`private="${Array.from({ length: 40 }, (_, i) => `x-${i}`).join(",")}"`, { isPrivate: true }],
    ['no-cache="a\\"b"', { noCache: true }],
  ])("lists of fields (sections 5.2.2.4, 5.2.2.7): %s", (field, expected) => {
    expect(said(parseCacheControl(field))).toEqual(expected);
  });

  it.each<[string, Partial<Directives>]>([
    ['x="a, no-store"', {}],
    ['x="a, no-store', { noStore: true }],
    ['x="a, no-store, y="b"', { noStore: true }],
    ['"a, no-store, b"', { noStore: true }],
    ['x="\\", private, ", no-store', { noStore: true }],
    ['x=", private, "z", max-age=9', { isPrivate: true, maxAge: 9 }],
    ['x="a" , no-store', { noStore: true }],
  ])("only a string that is an argument hides a comma: %s", (field, expected) => {
    expect(said(parseCacheControl(field))).toEqual(expected);
  });

  it("of more elements than are looked at is not stored", () => {
    expect(parseCacheControl(`${"a,".repeat(64)}max-age=1`).noStore).toBe(true);
    expect(parseCacheControl(`${"a,".repeat(60)}max-age=1`)).toMatchObject({ noStore: false, maxAge: 1 });
  });

  it.each(['"\\'.repeat(32_000), '="\\'.repeat(20_000), 'x="'.repeat(20_000), '="\\"='.repeat(12_000), ',="'.repeat(20_000)])(
    "is looked through once, whatever its quotation marks (case %#)",
    (field) => {
      const looked = { chars: 0 };
      const charCodeAt = String.prototype.charCodeAt;
      String.prototype.charCodeAt = function (this: string, at: number): number {
        looked.chars++;
        return charCodeAt.call(this, at);
      };
      try {
        parseCacheControl(field);
      } finally {
        String.prototype.charCodeAt = charCodeAt;
      }
      expect(looked.chars).toBeLessThan(field.length * 70);
    },
  );
});

describe("a request's", () => {
  it.each<[readonly string[], Partial<Directives>]>([
    [["pragma", "no-cache"], { noCache: true }],
    [["pragma", "x, No-Cache"], { noCache: true }],
    [["pragma", "no-cached"], {}],
    [["pragma", "no-cache", "cache-control", "max-age=5"], { maxAge: 5 }],
    [["cache-control", "max-stale"], { maxStale: Number.POSITIVE_INFINITY }],
    [["cache-control", "only-if-cached, min-fresh=3"], { onlyIfCached: true, minFresh: 3 }],
    [["cache-control", "max-age=9", "cache-control", "no-cache"], { maxAge: 9, noCache: true }],
    [[], {}],
  ])("directives, Pragma where there are none (RFC 9111 sections 5.2.1, 5.4): %o", (headers, expected) => {
    const directives = requestDirectives([...headers]);
    expect(said(directives)).toEqual(expected);
  });
});

describe("targeted fields (RFC 9213)", () => {
  it.each<[readonly string[], Partial<Directives> | null]>([
    [["cache-control", "max-age=1"], null],
    [["cdn-cache-control", "max-age=60"], { maxAge: 60 }],
    [["cdn-cache-control", "max-age=60, max-age=30"], { maxAge: 30 }],
    [["cdn-cache-control", "no-store"], { noStore: true }],
    [["cdn-cache-control", "no-store=?0, max-age=1"], { maxAge: 1 }],
    [["cdn-cache-control", 'private="x", max-age=5;a=b;c'], { isPrivate: true, maxAge: 5 }],
    [["cdn-cache-control", 'x=(1 "a" tok;p);q, y=:YQ==:, max-age=5'], { maxAge: 5 }],
    [["cdn-cache-control", "max-age=60", "sluice-cache-control", "max-age=5"], { maxAge: 5 }],
    [["cdn-cache-control", "max-age=1", "cdn-cache-control", "public"], { maxAge: 1, isPublic: true }],
    [["cdn-cache-control", "max-age=999999999999999"], { maxAge: 2 ** 31 }],
  ])("are read as a dictionary, the first in the list counting (sections 2.1, 2.2): %o", (headers, expected) => {
    expect(said(targetedDirectives([...headers]))).toEqual(expected);
  });

  it.each([
    "",
    " ",
    "max-age=60,",
    "MAX-AGE=60",
    "max-age=60 public",
    "max-age=-1",
    "max-age=6.5",
    'max-age="60"',
    "max-age=?1",
    "max-age",
    "no-store=1",
    'private="x',
    "a=(1 2",
    ", a",
    "a;",
    "a=@x",
    "max-age=6000000000000000000",
    `${"a,".repeat(3000)}b`,
  ])("that are broken count for nothing, alone: the next one does (section 2.2): %s", (field) => {
    expect(targetedDirectives(["sluice-cache-control", field])).toBeNull();
    expect(said(targetedDirectives(["sluice-cache-control", field, "cdn-cache-control", "max-age=7"]))).toEqual({ maxAge: 7 });
  });
});
