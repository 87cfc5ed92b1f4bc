// Watches how loaded one worker is itself (its event loop, its memory, its requests in flight), and says which requests it should not take.
// Must cost a request nothing while there is nothing wrong but one comparison: see `free`.
import { getHeapStatistics, type HeapInfo } from "node:v8";
import { monotonicMs } from "../../base/clock.ts";
import { nowMs } from "../../base/turn-clock.ts";
import { BACKGROUND, RETRY, type WorkerOverloadPlan } from "../../plan/overload-plan.ts";
import { ShedControl } from "./shed-control.ts";

/** How often the loop is looked at, ms: while something is under way, and while nothing is. */
const LOOK_MS = 20;
const LOOK_IDLE_MS = 100;
/** How often memory is, ms. */
const MEMORY_MS = 250;
/** It counts when it was above its bound so many times in a row. */
const MEMORY_TIMES = 8;
/** Of `inFlight`, what requests of each of PRIORITIES may fill. */
const IN_FLIGHT_PARTS: readonly number[] = [1, 0.95, 0.9, 0.85, 0.8, 0.8];
const HIGHEST = 0;
const IN_FLIGHT_LEAST = Math.min(...IN_FLIGHT_PARTS);

/** The bound that it stays above; '' for none. */
export type LoadTrouble = "" | "loopDelay" | "memory";

/** Of one worker, for the upstreams that it calls: what of a latency is its own. */
export interface OwnDelay {
  /** How late its event loop was when it was looked at last, ms. */
  readonly delayMs: number;
}

/** Requests under way: those of the worker's services. */
export interface UnderWay {
  readonly inFlight: number;
  readonly webSockets: number;
}

export class WorkerLoad implements OwnDelay {
  /** Whoever finds more requests in flight than this asks {@link refuses}. */
  free = Number.POSITIVE_INFINITY;
  delayMs = 0;
  /** Heap and buffers in use, bytes. */
  memoryBytes = 0;
  /** When it had more to do than it can last, monotonicMs() in whole seconds; 0 for never. */
  overloadedAtS = 0;
  /** Since somebody zeroed them: what `mode: on` would have had to choose from; what was refused of {@link RETRY} and {@link BACKGROUND}. */
  shadowed = 0;
  retriesRefused = 0;
  backgroundRefused = 0;
  readonly #underWay: UnderWay;
  readonly #control: ShedControl;
  #plan: WorkerOverloadPlan = { mode: "off", loopDelayMs: null, inFlight: null, memory: null, tiers: {} };
  #loop = performance.eventLoopUtilization();
  #dueMs = 0;
  #memoryDueMs = 0;
  #memoryTimes = 0;

  constructor(underWay: UnderWay) {
    this.#underWay = underWay;
    this.#control = new ShedControl(() => {
      const loop = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(loop, this.#loop);
      this.#loop = loop;
      return utilization;
    });
  }

  /** Looks from now on. Keeps no thread alive. */
  start(): void {
    this.#arm(LOOK_IDLE_MS);
  }

  /** The plan in force has changed. */
  use(plan: WorkerOverloadPlan): void {
    this.#plan = plan;
    this.#control.shadow = plan.mode !== "on";
    this.#control.boundMs = plan.mode === "off" ? Number.POSITIVE_INFINITY : (plan.loopDelayMs ?? Number.POSITIVE_INFINITY);
    if (plan.mode === "off") this.#control.end();
    this.#setFree();
  }

  /** Of what comes, that is taken: 1 while nothing is refused. */
  get part(): number {
    return this.#plan.mode === "on" ? this.#control.part : 1;
  }

  /**
   * To be asked for each request, mirror copy, refresh or further attempt beyond {@link free}.
   * @param priority index of PRIORITIES @returns whether it must not be taken
   */
  refuses(priority: number): boolean {
    const { mode } = this.#plan;
    const full = this.#isFull(priority);
    if (!full && !this.#control.active) return false;
    if (full) this.#noteTime();
    if (mode !== "on") {
      this.shadowed++;
      return false;
    }
    const now = nowMs();
    // The bound itself holds, whoever starves.
    const refused = full ? this.#isFull(HIGHEST) || !this.#control.starved(priority, now) : this.#control.refuses(priority, now);
    if (refused && priority === RETRY) this.retriesRefused++;
    else if (refused && priority === BACKGROUND) this.backgroundRefused++;
    return refused;
  }

  /** Of that class nothing is taken at present, not even for want of any: for whose true class is known later, and who is asked for then. Counts nothing. */
  closes(priority: number): boolean {
    if (this.#plan.mode !== "on") return false;
    if (this.#isFull(priority)) return this.#isFull(HIGHEST) || !this.#control.isDue(priority, nowMs());
    return this.#control.active && this.#control.closes(priority, nowMs());
  }

  #isFull(priority: number): boolean {
    const { inFlight } = this.#plan;
    if (inFlight === null || this.#plan.mode === "off") return false;
    return this.#underWay.inFlight - this.#underWay.webSockets > Math.max(1, inFlight * (IN_FLIGHT_PARTS[priority] ?? 1));
  }

  #noteTime(): void {
    this.overloadedAtS = Math.floor(monotonicMs() / 1000);
  }

  #setFree(): void {
    const { mode, inFlight } = this.#plan;
    if (mode === "off") this.free = Number.POSITIVE_INFINITY;
    else if (this.#control.active) this.free = -1;
    else this.free = inFlight === null ? Number.POSITIVE_INFINITY : Math.max(1, inFlight * IN_FLIGHT_LEAST);
  }

  #arm(ms: number): void {
    this.#dueMs = performance.now() + ms;
    setTimeout(this.#look, ms).unref();
  }

  readonly #look = (): void => {
    const now = performance.now();
    this.delayMs = Math.max(0, now - this.#dueMs);
    if (now >= this.#memoryDueMs) this.#lookAtMemory(now);
    if (this.#plan.mode !== "off") {
      this.#control.sample(now, this.delayMs, this.#memoryTimes >= MEMORY_TIMES);
      this.#setFree();
      if (this.#control.active) this.#noteTime();
    }
    this.#arm(this.#underWay.inFlight > 0 || this.#control.active ? LOOK_MS : LOOK_IDLE_MS);
  };

  #lookAtMemory(now: number): void {
    this.#memoryDueMs = now + MEMORY_MS;
    const heap = getHeapStatistics();
    this.memoryBytes = heap.used_heap_size + heap.external_memory;
    this.#memoryTimes = this.#isHeavy(heap) ? this.#memoryTimes + 1 : 0;
  }

  #isHeavy(heap: HeapInfo): boolean {
    const { memory } = this.#plan;
    if (memory === null) return false;
    return "bytes" in memory ? this.memoryBytes > memory.bytes : heap.used_heap_size > memory.part * heap.heap_size_limit;
  }

  /** For people. */
  get trouble(): LoadTrouble {
    if (!this.#control.active) return "";
    return this.#memoryTimes >= MEMORY_TIMES ? "memory" : "loopDelay";
  }
}

/** How a refusal is explained to operators. */
export function explained(load: WorkerLoad): string {
  if (load.trouble === "memory") return `the worker holds ${Math.round(load.memoryBytes / 1024 ** 2)} MiB`;
  if (load.trouble === "loopDelay") return `the worker's event loop is ${Math.round(load.delayMs)} ms late`;
  return "the worker has as many requests in flight as it may";
}
