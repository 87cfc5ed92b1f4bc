// Owns tests of the bytes of request bodies that all workers together may hold.
import { describe, expect, it } from "vitest";
import { BodyBudget, bodyBudgetBytes } from "../../../src/shared/body-budget.ts";

const KIB = 1024;
const BOUND = 1024 * KIB;

function workers(count: number): BodyBudget[] {
  const buffer = new SharedArrayBuffer(bodyBudgetBytes(count));
  return Array.from({ length: count }, (_, index) => new BodyBudget(buffer, index));
}

describe("the budget of bodies", () => {
  it("lets nobody pass the bound, however the workers share it", () => {
    const [a, b] = workers(2) as [BodyBudget, BodyBudget];
    let taken = 0;
    let refused = 0;
    for (let i = 0; i < 300; i++) {
      const bytes = 1 + ((i * 7919) % (20 * KIB));
      if ((i % 3 === 0 ? a : b).take(bytes, BOUND)) taken += bytes;
      else refused++;
    }
    expect(refused).toBeGreaterThan(0);
    expect(taken).toBeLessThanOrEqual(BOUND);
    // Each may have kept a step it does not need.
    expect(taken).toBeGreaterThan(BOUND - 2 * 64 * KIB - 20 * KIB);
    expect(a.held + b.held).toBe(taken);
  });

  it("gives back what is no longer held, but for a step", () => {
    const [a, b] = workers(2) as [BodyBudget, BodyBudget];
    expect(a.take(BOUND, BOUND)).toBe(true);
    expect(b.take(1, BOUND)).toBe(false);
    a.give(BOUND);
    expect(a.reservedBytes).toBe(64 * KIB);
    expect(b.take(BOUND - 64 * KIB, BOUND)).toBe(true);
  });

  it("a body that comes and goes within a step changes nothing that is shared", () => {
    const [a] = workers(1) as [BodyBudget];
    a.take(1, BOUND);
    const reserved = a.reservedBytes;
    for (let i = 0; i < 100; i++) {
      a.take(4096, BOUND);
      a.give(4096);
    }
    expect([a.reservedBytes, a.held]).toEqual([reserved, 1]);
  });

  it("a refusal takes nothing", () => {
    const [a] = workers(1) as [BodyBudget];
    expect(a.take(BOUND + 1, BOUND)).toBe(false);
    expect([a.held, a.reservedBytes]).toEqual([0, 0]);
  });

  it("is free of a worker that is gone", () => {
    const buffer = new SharedArrayBuffer(bodyBudgetBytes(2));
    const [dead, alive] = [new BodyBudget(buffer, 0), new BodyBudget(buffer, 1)];
    dead.take(BOUND, BOUND);
    expect(alive.take(1, BOUND)).toBe(false);
    new BodyBudget(buffer).clearWorker(0);
    expect(alive.take(BOUND, BOUND)).toBe(true);
  });
});
