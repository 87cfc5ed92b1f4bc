// The line in front of an upstream by itself: who is next, who is refused, what is bounded.
import { describe, expect, it } from "vitest";
import { Line, type LineBounds, type Waiter } from "../../../../../src/data/upstream/overload/line.ts";
import { NORMAL, PRIORITIES, STARVATION_MS } from "../../../../../src/plan/overload-plan.ts";
import { FlowRanks } from "../../../../../src/shared/overload/flow-ranks.ts";
import { FLOW_SLOTS, FLOW_WORDS, PRIORITY_CLASSES } from "../../../../../src/shared/overload/layout.ts";
import { seeded } from "../../../../support/overload-sim.ts";

const BOUNDS: LineBounds = { length: 100, bytes: 1_000_000, flows: 16, waitMs: 250 };
const ranks = () => new FlowRanks(new ArrayBuffer((FLOW_SLOTS * FLOW_WORDS + 1) * 8), 1, 0);
const waiter = (flow: string, part: Partial<Waiter> = {}): Waiter => ({
  flow,
  weight: 1,
  priority: NORMAL,
  bytes: 0,
  deadlineMs: 0,
  sinceMs: 0,
  place: null,
  ...part,
});
const line = (part: Partial<LineBounds> = {}) => new Line({ ...BOUNDS, ...part }, ranks());
const served = (of: Line, times: number, nowMs = 0) => Array.from({ length: times }, () => of.shift(nowMs)?.flow ?? "nobody");

it("the classes of priority are as many as the shared memory has", () => {
  expect(PRIORITIES).toHaveLength(PRIORITY_CLASSES);
});

describe("turns", () => {
  it("go to each flow alike, however many it has in line", () => {
    const of = line();
    for (let i = 0; i < 20; i++) of.push(waiter("a"), 0);
    for (let i = 0; i < 3; i++) of.push(waiter("b"), 0);
    expect(served(of, 6).filter((flow) => flow === "b")).toHaveLength(3);
  });

  it("go to a flow by its weight", () => {
    const of = line();
    for (let i = 0; i < 40; i++) of.push(waiter("gold", { weight: 3 }), 0);
    for (let i = 0; i < 40; i++) of.push(waiter("free"), 0);
    expect(served(of, 40).filter((flow) => flow === "gold")).toHaveLength(30);
  });

  it("count over all workers: what a flow has had on one, it has had on the other", () => {
    const shared = ranks();
    const [one, two] = [new Line(BOUNDS, shared), new Line(BOUNDS, shared)];
    for (let i = 0; i < 10; i++) one.push(waiter("a"), 0);
    served(one, 10);
    two.push(waiter("a"), 0);
    two.push(waiter("b"), 0);
    expect(served(two, 2)).toEqual(["b", "a"]);
  });

  it("of a higher class come first, and none of the others starves", () => {
    const of = line({ length: 1000 });
    for (let i = 0; i < 100; i++) of.push(waiter("low", { priority: NORMAL + 1 }), 0);
    const at: number[] = [];
    for (let ms = 0; ms <= 5 * STARVATION_MS; ms += 10) {
      of.push(waiter("high", { priority: NORMAL - 1 }), ms);
      if (of.shift(ms)?.flow === "low") at.push(ms);
    }
    expect(at.length).toBeGreaterThanOrEqual(3);
    expect(at.length).toBeLessThanOrEqual(5);
  });

  it("within a flow are first come, first served, also when it has been late for long: then they wait less", () => {
    const of = line();
    const waiters = Array.from({ length: 6 }, () => waiter("a"));
    for (const each of waiters.slice(0, 3)) of.push(each, 0);
    expect(of.shift(1)).toBe(waiters[0]);
    const out: Waiter[] = [];
    of.expire(20, out);
    for (const each of waiters.slice(3)) of.push(each, 119);
    of.expire(70, out);
    of.expire(121, out);
    expect(out).toEqual([waiters[1], waiters[2]]);
    expect(of.shift(121)).toBe(waiters[3]);
  });

  it("within a flow that is late, and much of which is refused, are the newest first", () => {
    const of = line();
    const out: Waiter[] = [];
    for (let i = 0; i < 12; i++) of.push(waiter("a"), 0);
    of.expire(20, out);
    const [older, newer] = [waiter("a"), waiter("a")];
    of.push(older, 119);
    of.expire(70, out);
    of.expire(121, out);
    expect(out).toHaveLength(12);
    of.push(newer, 122);
    of.expire(140, out);
    expect(of.shift(140)).toBe(newer);
    of.expire(150, out);
    expect(out.at(-1)).toBe(older);
  });
});

describe("who is refused", () => {
  it("is nobody for the time in which the gateway itself did not run", () => {
    const of = line();
    const [one, two] = [waiter("a"), waiter("b")];
    of.push(one, 0);
    const out: Waiter[] = [];
    of.expire(5, out);
    of.push(two, 10);
    of.expire(2000, out);
    expect(out).toEqual([]);
    for (let ms = 2005; ms <= 2000 + of.waitMs; ms += 5) of.expire(ms, out);
    expect(out).toEqual([one, two]);
  });

  it("when the line is full is the oldest of the longest flow of the lowest class, never one above whoever comes", () => {
    const of = line({ length: 4 });
    const first = waiter("a");
    for (const each of [first, waiter("a"), waiter("a"), waiter("b")]) of.push(each, 0);
    expect(of.push(waiter("b"), 0)).toBe(first);
    const low = waiter("c", { priority: NORMAL + 1 });
    expect(of.push(low, 0)).toBe(low);
    expect(of.size).toBe(4);
  });

  it("is whoever has waited too long, or beyond its deadline", () => {
    const of = line();
    const [patient, hasty] = [waiter("a"), waiter("b", { deadlineMs: 50 })];
    of.push(patient, 0);
    of.push(hasty, 0);
    const out: Waiter[] = [];
    of.expire(49, out);
    expect(out).toEqual([]);
    of.expire(50, out);
    expect(out).toEqual([hasty]);
    for (let ms = 55; ms <= 250; ms += 5) of.expire(ms, out);
    expect(out).toEqual([hasty]);
    of.expire(251, out);
    expect(out).toEqual([hasty, patient]);
    expect(of.size).toBe(0);
  });
});

it.each([1, 2, 3, 4, 5])("is bounded, loses nobody and serves nobody twice, in any order of events (seed %i)", (seed) => {
  const random = seeded(seed);
  const of = line({ length: 20, bytes: 100, flows: 4 });
  const inLine = new Set<Waiter>();
  const leaves = (each: Waiter | null) => {
    if (each === null) return;
    expect(inLine.delete(each)).toBe(true);
    expect(each.place).toBeNull();
  };
  for (let ms = 0, i = 0; i < 5000; i++, ms += random() * 10) {
    const way = random();
    if (way < 0.6) {
      const flow = `flow ${Math.floor(random() * 8)}`;
      const each = waiter(flow, {
        priority: Math.floor(random() * 5),
        bytes: Math.floor(random() * 20),
        weight: 1 + Math.floor(random() * 3),
      });
      inLine.add(each);
      leaves(of.push(each, ms));
    } else if (way < 0.8) leaves(of.shift(ms));
    else if (way < 0.9) {
      const [each] = inLine;
      if (each !== undefined) of.remove(each);
      if (each !== undefined) leaves(each);
    } else {
      const out: Waiter[] = [];
      of.expire(ms, out);
      for (const each of out) leaves(each);
    }
    expect(of.size).toBe(inLine.size);
    expect(of.size).toBeLessThanOrEqual(20);
    expect(of.bytes).toBe([...inLine].reduce((sum, each) => sum + each.bytes, 0));
    expect(of.bytes).toBeLessThanOrEqual(100);
  }
});
