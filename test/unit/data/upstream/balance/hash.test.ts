// Owns tests of consistent hashing: stability, movement, balance, bounded loads, keys.
import { describe, expect, test } from "vitest";
import { hash32 } from "../../../../../src/base/hash32.ts";
import { hashKey } from "../../../../../src/data/upstream/balance/hash-key.ts";
import { HashRing, RING_POINTS_MAX } from "../../../../../src/data/upstream/balance/hash-ring.ts";
import { Member } from "../../../../../src/data/upstream/endpoint-set.ts";
import type { EndpointPlan, HashOn } from "../../../../../src/plan/plan.ts";
import { type RequestSketch, TestExchange } from "../../../../support/exchange.ts";
import { endpoint, endpoints, inertPool, Rig, upstreamPlan } from "../../../../support/upstreams.ts";

const plan = upstreamPlan({ balance: "hash", hashOn: { kind: "header", name: "x-session" } });
const KEYS = 4000;
const exchanges = Array.from({ length: KEYS }, (_, i) => new TestExchange({ headers: { "x-session": `session-${i}` } }));
const owners = (rig: Rig): string[] => exchanges.map((x) => rig.upstream.select(x, null)?.plan.key ?? "none");
const moved = (before: readonly string[], after: readonly string[]): number[] =>
  before.flatMap((owner, i) => (owner === after[i] ? [] : [i]));
const ten = endpoints(Array<number>(10).fill(1));

describe("stability", () => {
  test("a key stays, in every worker and whatever the order of the list", () => {
    const before = owners(new Rig(plan, ten, 1));
    expect(owners(new Rig(plan, ten, 2))).toEqual(before);
    expect(owners(new Rig(plan, [...ten].reverse(), 3))).toEqual(before);
  });

  test("the hash never changes: other instances of a fleet, other versions", () => {
    expect([hash32(""), hash32("a"), hash32("session-1"), hash32("é€")]).toMatchInlineSnapshot(`
      [
        2872998923,
        444641715,
        599268235,
        2451746111,
      ]
    `);
  });

  test("an added endpoint takes about 1/n of the keys, and only it does", () => {
    const before = owners(new Rig(plan, ten));
    const after = owners(new Rig(plan, [...ten, endpoint("new", 10)]));
    const changed = moved(before, after);
    expect(new Set(changed.map((i) => after[i]))).toEqual(new Set(["new"]));
    expect(changed.length / KEYS).toBeGreaterThan(0.5 / 11);
    expect(changed.length / KEYS).toBeLessThan(1.5 / 11);
  });

  test("of a lost, downed or ejected endpoint only its own keys move, to many others, and come back", () => {
    const rig = new Rig(plan, ten);
    const before = owners(rig);
    const removed = owners(new Rig(plan, ten.slice(1)));
    expect(new Set(moved(before, removed).map((i) => before[i]))).toEqual(new Set(["a"]));
    rig.health.setDown(0, true, rig.nowMs);
    const down = owners(rig);
    expect(down).toEqual(removed);
    expect(new Set(moved(before, down).map((i) => down[i])).size).toBeGreaterThan(6);
    rig.health.setDown(0, false, rig.nowMs);
    expect(owners(rig)).toEqual(before);
  });

  test("a changed weight moves keys to or from that endpoint only", () => {
    const before = owners(new Rig(plan, ten));
    const after = owners(new Rig(plan, [endpoint("a", 0, { weight: 2 }), ...ten.slice(1)]));
    expect(new Set(moved(before, after).map((i) => after[i]))).toEqual(new Set(["a"]));
  });
});

describe("balance", () => {
  test.each([{ weights: [1, 1, 1, 1, 1] }, { weights: [3, 1, 1] }, { weights: [100, 50, 50] }])(
    "keys are spread by weight within 25 %: $weights",
    ({ weights }) => {
      const found = owners(new Rig(plan, endpoints(weights)));
      const sum = weights.reduce((a, b) => a + b, 0);
      weights.forEach((weight, i) => {
        const share = found.filter((key) => key === String.fromCharCode(97 + i)).length / KEYS;
        expect(Math.abs(share / (weight / sum) - 1)).toBeLessThan(0.25);
      });
    },
  );

  test.each([[Array<number>(100).fill(1)], [[10_000, 1]], [Array<number>(4096).fill(100)]])(
    "the ring is bounded and everybody is on it",
    (weights) => {
      const members = (weights as number[]).map((weight, slot) => new Member(endpoint(`e${slot}`, slot, { weight }), inertPool()));
      const ring = new HashRing(members);
      expect(ring.length).toBeLessThanOrEqual(RING_POINTS_MAX);
      const seen = new Set(Array.from({ length: ring.length }, (_, i) => ring.ownerAt(i)));
      expect(seen.size).toBe(members.length);
    },
  );
});

describe("without a bound", () => {
  test("a key stays at its target, however much of it is under way", () => {
    const rig = new Rig(plan, endpoints([1, 1, 1, 1]));
    const hot = exchanges[0] ?? new TestExchange();
    const home = rig.upstream.select(hot, null);
    for (let underWay = 0; underWay < 100; underWay += 1) {
      const chosen = rig.upstream.select(hot, null);
      expect(chosen).toBe(home);
      if (chosen !== null) rig.upstream.begin(chosen);
    }
  });

  test("a warming target takes more and more of its own keys, and each comes back once", () => {
    const slow = { ...plan, slowStartMs: 100_000 };
    const before = owners(new Rig(slow, ten));
    const rig = new Rig(slow, ten);
    rig.health.setDown(0, true, rig.nowMs);
    rig.health.setDown(0, false, rig.nowMs);
    let taken = new Set<number>();
    for (const part of [0.1, 0.4, 0.7, 1]) {
      const now = owners(rig);
      expect(new Set(moved(before, now).map((i) => before[i]))).toEqual(part === 1 ? new Set() : new Set(["a"]));
      const mine = new Set(now.flatMap((owner, i) => (owner === "a" ? [i] : [])));
      expect([...taken].every((i) => mine.has(i))).toBe(true);
      const all = before.filter((owner) => owner === "a").length;
      expect(Math.abs(mine.size / all - part)).toBeLessThan(0.1);
      taken = mine;
      rig.nowMs += 100_000 / 3 + 1;
    }
  });
});

test("targets that all warm up take all keys where the ring says", () => {
  const cold = endpoints(Array<number>(10).fill(1), 1_000_000);
  expect(owners(new Rig({ ...plan, slowStartMs: 100_000 }, cold))).toEqual(owners(new Rig(plan, ten)));
});

describe("bounded loads", () => {
  const plan = upstreamPlan({ balance: "hash", hashOn: { kind: "header", name: "x-session" }, hashLoadFactor: 1.25 });
  const cap = (underWay: number, weight: number, sum: number): number => Math.ceil((1.25 * (underWay + 1) * weight) / sum);

  test.each([{ weights: [1, 1, 1, 1] }, { weights: [4, 2, 1, 1] }])("one hot key never overfills an endpoint: $weights", ({ weights }) => {
    const rig = new Rig(plan, endpoints(weights));
    const hot = exchanges[0] ?? new TestExchange();
    const sum = weights.reduce((a, b) => a + b, 0);
    for (let underWay = 0; underWay < 400; underWay += 1) {
      const chosen = rig.upstream.select(hot, null);
      if (chosen === null) throw new Error("nothing chosen");
      rig.upstream.begin(chosen);
      const { slot, plan: at } = chosen as { slot: number; plan: EndpointPlan }; // readonly fields, spelled out for the message
      expect(rig.health.inFlight(slot), `${at.key} with ${underWay} under way`).toBeLessThanOrEqual(cap(underWay, at.weight, sum));
    }
  });

  test("while load is even, keys stay where the ring says; freed room is used again", () => {
    const rig = new Rig(plan, endpoints([1, 1, 1, 1]));
    const hot = exchanges[1] ?? new TestExchange();
    const home = rig.upstream.select(hot, null);
    if (home === null) throw new Error("nothing chosen");
    rig.upstream.begin(home);
    const next = rig.upstream.select(hot, null);
    expect(next).not.toBe(home);
    rig.upstream.done(home, "success");
    expect(rig.upstream.select(hot, null)).toBe(home);
  });
});

test("exchanges without a key go anywhere", () => {
  const rig = new Rig(plan, endpoints([1, 1, 1]));
  const keyless = new TestExchange();
  const seen = new Set(Array.from({ length: 100 }, () => rig.upstream.select(keyless, null)?.plan.key));
  expect([...seen].sort()).toEqual(["a", "b", "c"]);
});

test.each<{ on: HashOn; request: RequestSketch; key: string }>([
  { on: { kind: "ip" }, request: { ip: "198.51.100.7" }, key: "198.51.100.7" },
  { on: { kind: "path" }, request: { path: "/a/b", query: "c" }, key: "/a/b" },
  { on: { kind: "header", name: "x-session" }, request: { headers: { "x-session": "s1" } }, key: "s1" },
  { on: { kind: "header", name: "x-session" }, request: {}, key: "" },
  { on: { kind: "cookie", name: "sid" }, request: { headers: { cookie: "a=1; sid=42; b=2" } }, key: "42" },
  { on: { kind: "cookie", name: "sid" }, request: { headers: { cookie: "xsid=1;sid=42 " } }, key: "42" },
  { on: { kind: "cookie", name: "sid" }, request: { headers: { cookie: ["a=sid=1", "sid=7"] } }, key: "7" },
  { on: { kind: "cookie", name: "sid" }, request: { headers: { cookie: "sid; sid=" } }, key: "" },
  { on: { kind: "cookie", name: "sid" }, request: { headers: { cookie: ";;; ;" } }, key: "" },
  { on: { kind: "query", name: "user" }, request: { query: "a=1&user=u%201&user2=2" }, key: "u%201" },
  { on: { kind: "query", name: "user" }, request: { query: "user=1&user=2" }, key: "" },
  { on: { kind: "query", name: "user" }, request: { query: "a;user=1&user=1" }, key: "" },
  { on: { kind: "header", name: "x-user" }, request: { headers: { "x-user": ["1", "2"] } }, key: "" },
  { on: { kind: "query", name: "user" }, request: { query: "superuser=1&user" }, key: "" },
  { on: { kind: "query", name: "user" }, request: { query: "" }, key: "" },
])("the key of $request by $on is '$key'", ({ on, request, key }) => {
  expect(hashKey(new TestExchange(request), on)).toBe(key);
});
