// Whose turn it is among flows, held to looking at all of them each time.
import { describe, expect, it } from "vitest";
import { FlowQueue, type QueuedFlow, Turn } from "../../../../../src/data/upstream/overload/flow-queue.ts";
import { HeapNode, MinHeap } from "../../../../../src/data/upstream/overload/min-heap.ts";
import { FlowRanks, flowKey } from "../../../../../src/shared/overload/flow-ranks.ts";
import { FLOW_SLOTS, FLOW_WORDS } from "../../../../../src/shared/overload/layout.ts";
import { seededRandom } from "../../../../support/upstreams.ts";

class TestFlow implements QueuedFlow {
  readonly name: string;
  readonly key: number;
  readonly turn: Turn = new Turn(this);
  size = 0;
  weight = 1;

  constructor(name: string) {
    this.name = name;
    this.key = flowKey(name);
  }
}

const newRanks = () => new FlowRanks(new ArrayBuffer((FLOW_SLOTS * FLOW_WORDS + 1) * 8), 1, 0);

it.each([1, 2, 3, 4, 5])(
  "of many flows the next one has the smallest tag and the longest one is the longest, whatever comes and goes (seed %i)",
  (seed) => {
    const random = seededRandom(seed);
    const ranks = newRanks();
    const queue = new FlowQueue(ranks);
    const flows = Array.from({ length: 40 }, (_, i) => new TestFlow(`flow ${i}`));
    const any = (): TestFlow => flows[Math.floor(random() * flows.length)] as TestFlow;
    for (let i = 0; i < 5000; i++) {
      const flow = any();
      const what = random();
      if (what < 0.45) {
        flow.size++;
        queue.grown(flow);
      } else if (what < 0.55 && flow.size > 0) {
        flow.size--;
        queue.shrunk(flow);
      } else if (what < 0.65)
        ranks.served(any().key, 1 + Math.floor(random() * 3)); // by another worker
      else {
        const next = queue.next as TestFlow | null;
        const waiting = flows.filter(({ size }) => size > 0);
        expect(next === null).toBe(waiting.length === 0);
        if (next === null) continue;
        expect(ranks.tag(next.key)).toBe(Math.min(...waiting.map(({ key }) => ranks.tag(key))));
        expect(queue.longest?.size).toBe(Math.max(...waiting.map(({ size }) => size)));
        ranks.served(next.key, next.weight);
        next.size--;
        queue.shrunk(next);
      }
    }
  },
);

describe("flows that owe nothing", () => {
  it("take turns in the order in which somebody began to wait, so that new ones pass nobody", () => {
    const queue = new FlowQueue(newRanks());
    const [first, second, third] = ["a", "b", "c"].map((name) => new TestFlow(name)) as [TestFlow, TestFlow, TestFlow];
    for (const flow of [second, first, third]) {
      flow.size = 1;
      queue.grown(flow);
    }
    const order: string[] = [];
    for (let flow = queue.next as TestFlow | null; flow !== null; flow = queue.next as TestFlow | null) {
      order.push(flow.name);
      flow.size = 0;
      queue.shrunk(flow);
    }
    expect(order).toEqual(["b", "a", "c"]);
    expect([queue.next, queue.longest]).toEqual([null, null]);
  });
});

it("a heap has its smallest key on top, whatever is moved and taken out", () => {
  const random = seededRandom(7);
  const heap = new MinHeap<number>();
  const nodes = Array.from({ length: 50 }, (_, i) => new HeapNode(i));
  for (let i = 0; i < 3000; i++) {
    const node = nodes[Math.floor(random() * nodes.length)] as HeapNode<number>;
    if (random() < 0.4) heap.remove(node);
    else heap.put(node, Math.floor(random() * 100));
    const keys = nodes.filter(({ inHeap }) => inHeap).map(({ key }) => key);
    expect(heap.top?.key ?? null).toBe(keys.length === 0 ? null : Math.min(...keys));
  }
});
