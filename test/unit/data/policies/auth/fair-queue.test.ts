import { expect, it } from "vitest";
import { FairQueue } from "../../../../../src/data/policies/auth/fair-queue.ts";

/** Waits for each source in turn; `order` gets `source` when called, `-source` when another took the place. */
function line(max: number) {
  const queue = new FairQueue(max);
  const order: string[] = [];
  const wait = (...sources: readonly string[]): readonly boolean[] =>
    sources.map((source) => {
      const turn = queue.wait(source);
      void turn?.then((called) => order.push(called ? source : `-${source}`));
      return turn !== null;
    });
  const drain = async (): Promise<readonly string[]> => {
    while (queue.next());
    await Promise.resolve();
    return order;
  };
  return { queue, wait, drain };
}

it("sources have turns, and within one the order is kept", async () => {
  const { wait, drain } = line(10);
  wait("a", "a", "a", "b", "c", "b");
  expect(await drain()).toEqual(["a", "b", "c", "a", "b", "a"]);
});

it("takes no more than its bound from one source", () => {
  const { queue, wait } = line(3);
  expect(wait("a", "a", "a", "a")).toEqual([true, true, true, false]);
  expect(queue.length).toBe(3);
});

it("when it is full, who has the most places gives up the last one to who has fewer", async () => {
  const { queue, wait, drain } = line(4);
  wait("a", "a", "a", "a");
  expect(wait("b", "b", "b", "c")).toEqual([true, true, false, true]);
  expect(queue.length).toBe(4);
  // b has come twice at a's cost, which leaves both with two; c takes one of the first with two.
  expect((await drain()).toSorted()).toEqual(["-a", "-a", "-a", "a", "b", "b", "c"]);
});

it("is empty when all were called", () => {
  const { queue } = line(2);
  expect(queue.next()).toBe(false);
  void queue.wait("a");
  expect(queue.next()).toBe(true);
  expect(queue.next()).toBe(false);
  expect(queue.length).toBe(0);
});

it("no room at all takes nobody", () => expect(new FairQueue(0).wait("a")).toBeNull());
