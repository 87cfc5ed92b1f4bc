// A split by caller: shares, who moves when weights change, and what the callers are told apart by.
import { describe, expect, it } from "vitest";
import type { StickyBy } from "../../../../../src/data/handlers/proxy/config.ts";
import { StickySplit } from "../../../../../src/data/handlers/proxy/sticky-split.ts";
import { type RequestSketch, TestExchange } from "../../../../support/exchange.ts";
import { chiSquare } from "../../../../support/upstreams.ts";

const CALLERS = 20_000;
const BY_HEADER: StickyBy = { kind: "header", name: "x-user" };
const callers = Array.from({ length: CALLERS }, (_, i) => new TestExchange({ headers: { "x-user": `user-${i}` } }));

/** Names -> weights; the upstreams' indexes follow the alphabet, whatever the order. */
const split = (weights: Readonly<Record<string, number>>, on: StickyBy = BY_HEADER) =>
  new StickySplit(
    Object.entries(weights).map(([name, weight]) => ({ upstream: name.charCodeAt(0) - 97, weight })),
    { on, names: Object.keys(weights) },
  );
const places = (weights: Readonly<Record<string, number>>): number[] => callers.map((x) => split(weights).choose(x));
const counts = (list: readonly number[]): number[] =>
  list.reduce<number[]>((sum, place) => {
    sum[place] = (sum[place] ?? 0) + 1;
    return sum;
  }, []);
/** Critical value for p = 0.001 and this many degrees of freedom. */
const CHI_SQUARE_MAX: Readonly<Record<number, number>> = { 1: 10.83, 2: 13.82, 3: 16.27 };

describe("shares", () => {
  it.each([
    { a: 95, b: 5 },
    { a: 1, b: 1 },
    { a: 1, b: 2, c: 3, d: 4 },
    { a: 9999, b: 1000, c: 100 },
  ])("are those of the weights: %o", (weights) => {
    const found = counts(places(weights));
    const wanted = Object.values(weights);
    expect(chiSquare(found, wanted)).toBeLessThan(CHI_SQUARE_MAX[wanted.length - 1] ?? 0);
  });
  it("of different splits depend on each other only by names: the same two upstreams split the same callers alike", () => {
    expect(places({ b: 1, a: 1 })).toEqual(places({ a: 1, b: 1 }));
    const [first, second] = [places({ a: 1, b: 1 }), places({ c: 1, d: 1 })];
    const table = [0, 1].flatMap((one) => [2, 3].map((two) => first.filter((place, i) => place === one && second[i] === two).length));
    expect(chiSquare(table, [1, 1, 1, 1])).toBeLessThan(CHI_SQUARE_MAX[3] ?? 0);
  });
});

describe("when weights change", () => {
  /** Callers that move, by where from and where to. */
  const moves = (before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): ReadonlyMap<string, number> => {
    const [from, to] = [places(before), places(after)];
    const found = new Map<string, number>();
    for (const [i, place] of from.entries()) {
      const way = `${place}>${to[i]}`;
      if (place !== to[i]) found.set(way, (found.get(way) ?? 0) + 1);
    }
    return found;
  };
  it("a canary that grows from 5 to 10 percent takes 5 percent of the callers, and gives none back", () => {
    const found = moves({ a: 95, b: 5 }, { a: 90, b: 10 });
    expect([...found.keys()]).toEqual(["0>1"]);
    expect((found.get("0>1") ?? 0) / CALLERS).toBeCloseTo(0.05, 2);
  });
  it("among three, only the one whose weight grows wins callers, from each of the others by its share", () => {
    const found = moves({ a: 60, b: 30, c: 10 }, { a: 60, b: 30, c: 30 });
    expect([...found.keys()].sort()).toEqual(["0>2", "1>2"]);
    const moved = (found.get("0>2") ?? 0) + (found.get("1>2") ?? 0);
    expect(moved / CALLERS).toBeCloseTo(30 / 120 - 10 / 100, 2);
    expect((found.get("0>2") ?? 0) / moved).toBeCloseTo(2 / 3, 1);
  });
  it("one that is taken away leaves its callers to the others, and nobody else moves", () => {
    const found = moves({ a: 2, b: 2, c: 1 }, { a: 2, b: 2 });
    expect([...found.keys()].sort()).toEqual(["2>0", "2>1"]);
  });
  it("weights in the same proportion move nobody", () => expect(moves({ a: 95, b: 5 }, { a: 950, b: 50 }).size).toBe(0));
  it("the order of the list moves nobody", () => expect(places({ c: 1, b: 2, a: 3 })).toEqual(places({ a: 3, b: 2, c: 1 })));
});

describe("callers are told apart by", () => {
  const halves = (on: StickyBy, ...sketches: readonly RequestSketch[]) =>
    sketches.map((sketch) => split({ a: 1, b: 1 }, on).choose(new TestExchange(sketch)));
  it("a header that was sent once", () => {
    const [one, again, none, empty, twice] = halves(
      BY_HEADER,
      { headers: { "x-user": "u" }, ip: "192.0.2.1" },
      { headers: { "x-user": "u" }, ip: "192.0.2.2" },
      {},
      { headers: { "x-user": "" } },
      { headers: { "x-user": ["u", "v"] } },
    );
    expect(again).toBe(one);
    expect([none, empty, twice]).toEqual([-1, -1, -1]);
  });
  it("a cookie", () => {
    const on: StickyBy = { kind: "cookie", name: "sid" };
    const [one, again, none] = halves(
      on,
      { headers: { cookie: "sid=1" } },
      { headers: { cookie: "a=b; sid=1" } },
      { headers: { cookie: "a=b" } },
    );
    expect(one).toBeGreaterThanOrEqual(0);
    expect([again, none]).toEqual([one, -1]);
  });
  it("the address", () => {
    const [one, again] = halves({ kind: "ip" }, { ip: "192.0.2.1" }, { ip: "192.0.2.1", headers: { "x-user": "u" } });
    expect(again).toBe(one);
  });
  it("the consumer, and nobody by that when none is proven", () => {
    const on: StickyBy = { kind: "consumer" };
    expect(halves(on, {})).toEqual([-1]);
    const named = (consumer: string): number => {
      const x = new TestExchange({});
      Object.assign(x, { identity: { consumer, tier: null, claims: null } });
      return split({ a: 1, b: 1 }, on).choose(x);
    };
    expect(named("initech")).toBe(named("initech"));
    expect(new Set(Array.from({ length: 20 }, (_, i) => named(`c-${i}`)))).toEqual(new Set([0, 1]));
  });
});

it("where callers belong never changes: other workers, instances and versions agree", () => {
  const some = split({ a: 90, b: 10 });
  const canaries = callers.flatMap((x, i) => (i < 100 && some.choose(x) === 1 ? [i] : []));
  expect(canaries).toMatchInlineSnapshot(`
    [
      10,
      15,
      16,
      26,
      30,
      55,
      64,
      69,
      91,
      96,
      99,
    ]
  `);
});
