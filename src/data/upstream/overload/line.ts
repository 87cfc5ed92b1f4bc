// Who waits in one worker for a place at one upstream, and who is next: by class of priority, then by what its flow has had, then by time.
// Pure: time is a parameter. Must never take a place or end a call: who is refused is handed back.
import { PRIORITIES, STARVATION_MS } from "../../../plan/overload-plan.ts";
import { type FlowRanks, flowKey } from "../../../shared/overload/flow-ranks.ts";
import { FlowQueue, type QueuedFlow, Turn } from "./flow-queue.ts";

const CLASSES: number = PRIORITIES.length;

/** So long is no waiting, ms: at least this, or most of a base latency. */
const TARGET_MS = 15;
const TARGET_BASES = 0.75;
/** A flow of several is over its share when its oldest has waited longer for this time without a break, ms: at least this, or so many targets. */
const OVER_AFTER_MS = 100;
const OVER_AFTER_TARGETS = 6;
/** Longest wait in a flow that has been late for so long, in targets; and in one over its share. */
const LATE_TARGETS = 4;
const SHORT_TARGETS = 2;
/** A flow that is late is over its share when of its last so many this part was refused. */
const REFUSED_LAST = 32;
const REFUSED_PART = 0.2;
/** Where nobody has looked for longer, ms, the gateway itself did not run: the rest of that time is no waiting, as nobody could have been served in it. */
const STALL_MS = 100;
/** Who waits at a slow service may wait for so many base latencies, within `waitMs`'s multiple. */
const WAIT_BASES = 4;
const WAIT_MULTIPLE_MAX = 4;

export interface LineBounds {
  /** Requests in the line of a worker. */
  readonly length: number;
  /** Bytes that these hold. */
  readonly bytes: number;
  /** Flows told apart; further ones share. */
  readonly flows: number;
  readonly waitMs: number;
}

/** Who waits. The line writes the fields marked so. */
export interface Waiter {
  readonly flow: string;
  readonly weight: number;
  /** Index of PRIORITIES. */
  readonly priority: number;
  /** Held in memory meanwhile. */
  readonly bytes: number;
  /** Monotonic ms; 0 for none. */
  readonly deadlineMs: number;
  /** Of the line. */
  sinceMs: number;
  /** Of the line: null when it does not wait. */
  place: Place | null;
}

/** Where a waiter is. @internal */
export class Place {
  next: Place | null = null;
  previous: Place | null = null;
  readonly waiter: Waiter;
  readonly flow: Flow;
  /** Since when it waits, in the line's time: without that in which the gateway did not run. */
  readonly sinceMs: number;

  constructor(waiter: Waiter, flow: Flow, sinceMs: number) {
    this.waiter = waiter;
    this.flow = flow;
    this.sinceMs = sinceMs;
  }
}

/** Those of one caller, of one class, in order of arrival. */
class Flow implements QueuedFlow {
  readonly name: string;
  readonly key: number;
  readonly priority: number;
  readonly turn: Turn;
  weight = 1;
  size = 0;
  oldest: Place | null = null;
  newest: Place | null = null;
  /** Since when the oldest has waited too long; 0: it has not. */
  lateSinceMs = 0;
  late = false;
  /** Late, and much of it is refused. */
  over = false;
  /** Part of the last that were refused, about. */
  refused = 0;

  constructor(name: string, key: number, priority: number) {
    this.name = name;
    this.key = key;
    this.priority = priority;
    this.turn = new Turn(this);
  }
}

export class Line {
  size = 0;
  bytes = 0;
  /** As configured; may be replaced. */
  bounds: LineBounds;
  readonly #ranks: FlowRanks;
  /** By class; only flows in which somebody waits. */
  readonly #classes: readonly Map<string, Flow>[] = PRIORITIES.map(() => new Map());
  /** The same, in order. */
  readonly #queues: readonly FlowQueue[];
  readonly #counts = new Int32Array(CLASSES);
  /** When each class was served last, or began to wait. */
  readonly #servedMs = new Float64Array(CLASSES);
  /** When expire() has looked last, and how long the gateway did not run while somebody waited. */
  #lookedMs = 0;
  #stalledMs = 0;
  #targetMs = TARGET_MS;
  #waitMs: number;

  constructor(bounds: LineBounds, ranks: FlowRanks) {
    this.bounds = bounds;
    this.#ranks = ranks;
    this.#queues = PRIORITIES.map(() => new FlowQueue(ranks));
    this.#waitMs = bounds.waitMs;
  }

  /** What is long, follows how fast the service is, and how evenly. @param variation standard deviation of its latency, of the mean */
  setPace(baseMs: number, variation: number): void {
    this.#targetMs = Math.min(this.bounds.waitMs / SHORT_TARGETS, Math.max(TARGET_MS, TARGET_BASES * baseMs * (1 + variation)));
    const { waitMs } = this.bounds;
    this.#waitMs = Math.min(WAIT_MULTIPLE_MAX * waitMs, Math.max(waitMs, WAIT_BASES * baseMs));
  }

  /** Longest that anybody waits at present, ms. */
  get waitMs(): number {
    return this.#waitMs;
  }

  /** @returns who is refused for it: itself, another, or null for nobody */
  push(waiter: Waiter, nowMs: number): Waiter | null {
    let refused: Waiter | null = null;
    if (this.size >= this.bounds.length || this.bytes + waiter.bytes > this.bounds.bytes) {
      refused = this.#victim(waiter);
      // Where one that goes would not make room enough: two for one would be no gain.
      if (refused === null || this.bytes - refused.bytes + waiter.bytes > this.bounds.bytes) return waiter;
      this.remove(refused);
    }
    this.#append(waiter, nowMs);
    return refused;
  }

  /** It gives up. Harmless when it does not wait. */
  remove(waiter: Waiter): void {
    const { place } = waiter;
    if (place === null) return;
    waiter.place = null;
    const { flow } = place;
    if (place.previous === null) flow.oldest = place.next;
    else place.previous.next = place.next;
    if (place.next === null) flow.newest = place.previous;
    else place.next.previous = place.previous;
    flow.size--;
    this.size--;
    this.bytes -= waiter.bytes;
    this.#counts[flow.priority] = (this.#counts[flow.priority] ?? 0) - 1;
    this.#queues[flow.priority]?.shrunk(flow);
    if (flow.size === 0) this.#classes[flow.priority]?.delete(flow.name);
  }

  /** Class of who is next; CLASSES for nobody. */
  nextClass(nowMs: number): number {
    let first = CLASSES;
    for (let c = 0; c < CLASSES; c++) {
      if ((this.#counts[c] ?? 0) === 0) continue;
      if (first === CLASSES) first = c;
      else if (nowMs - (this.#servedMs[c] ?? 0) > STARVATION_MS) return c;
    }
    return first;
  }

  /** Tag of who is next: smaller comes first, over all workers. */
  nextTag(nowMs: number): number {
    const flow = this.#nextFlow(this.nextClass(nowMs));
    return flow === null ? Number.POSITIVE_INFINITY : this.#ranks.tag(flow.key);
  }

  /** Takes out who is next, and counts it for its flow. Call expire() before. */
  shift(nowMs: number): Waiter | null {
    const c = this.nextClass(nowMs);
    const flow = this.#nextFlow(c);
    const place = flow === null ? null : flow.over ? flow.newest : flow.oldest;
    if (flow === null || place === null) return null;
    this.#ranks.served(flow.key, flow.weight);
    flow.refused -= flow.refused / REFUSED_LAST;
    this.#servedMs[c] = nowMs;
    this.remove(place.waiter);
    return place.waiter;
  }

  /** Takes out who has waited too long. @param out filled with them */
  expire(nowMs: number, out: Waiter[]): void {
    const stalledMs = nowMs - this.#lookedMs - STALL_MS;
    if (stalledMs > 0 && this.size > 0) this.#stalledMs += stalledMs;
    this.#lookedMs = nowMs;
    const atMs = nowMs - this.#stalledMs;
    for (const flows of this.#classes) {
      for (const flow of flows.values()) {
        this.#look(flow, atMs);
        const targets = flow.over ? SHORT_TARGETS : flow.late ? LATE_TARGETS : Number.POSITIVE_INFINITY;
        const longestMs = Math.min(this.#waitMs, targets * this.#targetMs);
        for (let place = flow.oldest; place !== null; place = flow.oldest) {
          const { waiter } = place;
          if (atMs - place.sinceMs <= longestMs && (waiter.deadlineMs === 0 || nowMs < waiter.deadlineMs)) break;
          out.push(waiter);
          flow.refused += (1 - flow.refused) / REFUSED_LAST;
          this.remove(waiter);
        }
      }
    }
  }

  /** Is the flow over its share? @param atMs in the line's time */
  #look(flow: Flow, atMs: number): void {
    const waitedMs = flow.oldest === null ? 0 : atMs - flow.oldest.sinceMs;
    if (waitedMs < this.#targetMs) {
      flow.lateSinceMs = 0;
      flow.late = flow.over = false;
    } else if (flow.lateSinceMs === 0) flow.lateSinceMs = atMs;
    else if (flow.size > 1) {
      const known = flow.refused > REFUSED_PART; // it was over its share a moment ago
      const afterMs = known ? this.#targetMs : Math.max(OVER_AFTER_MS, OVER_AFTER_TARGETS * this.#targetMs);
      if (atMs - flow.lateSinceMs <= afterMs) return;
      flow.late = true;
      if (known) flow.over = true;
    }
  }

  #append(waiter: Waiter, nowMs: number): void {
    const c = waiter.priority;
    const flows = this.#classes[c] as Map<string, Flow>; // an index of PRIORITIES
    const key = flowKey(waiter.flow);
    let { flow: name } = waiter;
    let flow = flows.get(name);
    if (flow === undefined && flows.size >= this.bounds.flows) flow = flows.get((name = `\0${(key >>> 0) % this.bounds.flows}`));
    if (flow === undefined) flows.set(name, (flow = new Flow(name, key, c)));
    flow.weight = waiter.weight;
    if ((this.#counts[c] ?? 0) === 0) this.#servedMs[c] = nowMs;
    if (this.size === 0) this.#lookedMs = nowMs;
    const place = new Place(waiter, flow, nowMs - this.#stalledMs);
    place.previous = flow.newest;
    if (flow.newest === null) flow.oldest = place;
    else flow.newest.next = place;
    flow.newest = place;
    waiter.place = place;
    waiter.sinceMs = nowMs;
    flow.size++;
    this.#queues[c]?.grown(flow);
    this.size++;
    this.bytes += waiter.bytes;
    this.#counts[c] = (this.#counts[c] ?? 0) + 1;
  }

  /** The line is full: the lowest class gives up the oldest of its longest flow. null: the one that comes has less right than all who wait. */
  #victim(comes: Waiter): Waiter | null {
    for (let c = CLASSES - 1; c >= comes.priority; c--) {
      const longest = this.#queues[c]?.longest as Flow | null; // only flows were put there
      if (longest !== null) return longest.oldest?.waiter ?? null;
    }
    return null;
  }

  #nextFlow(c: number): Flow | null {
    return (this.#queues[c]?.next ?? null) as Flow | null; // the same
  }
}
