// Overload control in simulated time: services of some servers behind instances that limit what is in flight and let the rest wait.
// Uses the limit and the line of the gateway themselves; only clock and randomness are played.
import { Line, type Waiter } from "../../src/data/upstream/overload/line.ts";
import { FlowRanks } from "../../src/shared/overload/flow-ranks.ts";
import { FLOW_SLOTS, FLOW_WORDS } from "../../src/shared/overload/layout.ts";
import { LimitControl } from "../../src/shared/overload/limit-control.ts";
import { STATE_WORDS, TOTAL_BLOCKED, TOTAL_HELD, TOTAL_SQUARES, TOTAL_WORDS } from "../../src/shared/overload/limit-state.ts";

/** mulberry32. @returns uniform in [0, 1) */
export function seeded(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export interface Stream {
  readonly name: string;
  /** Requests a second. */
  readonly rate: number | ((ms: number) => number);
  readonly weight?: number;
  /** Index of PRIORITIES. */
  readonly priority?: number;
  /** Class of routes. */
  readonly route?: number;
  /** Which instance. */
  readonly at?: number;
  /** Instead of the service's own. */
  readonly latency?: (ms: number) => number;
}

export interface Setup {
  readonly seed: number;
  readonly seconds: number;
  /** Of the service: now, or over time. */
  readonly servers?: number | ((ms: number) => number);
  /** Milliseconds that a server takes. @param random uniform in [0, 1) */
  readonly latency: (ms: number, random: () => number) => number;
  readonly streams: readonly Stream[];
  readonly instances?: number;
  readonly limited?: boolean;
  /** Counted from here on, s. */
  readonly warm?: number;
  /** Called each 100 ms. */
  readonly watch?: (ms: number, sim: { limit(instance: number): number; base(instance: number): number }) => void;
}

export interface Result {
  offered: number;
  answered: number;
  refused: number;
  /** Sorted, ms. */
  latencies: number[];
  p99: number;
  /** Instants of answers, ms. */
  atMs: number[];
  refusedAtMs: number[];
}

interface Request extends Waiter {
  readonly stream: Stream;
  readonly arrivedMs: number;
  sentMs: number;
}

class Instance {
  readonly totals = new Float64Array(TOTAL_WORDS);
  readonly state = new Float64Array(STATE_WORDS);
  readonly control = new LimitControl(this.state, 0);
  readonly line: Line;
  inFlight = 0;
  /** Integral of what is in flight, less `inFlight x now`. */
  area = 0;

  constructor() {
    const ranks = new FlowRanks(new ArrayBuffer((FLOW_SLOTS * FLOW_WORDS + 1) * 8), 1, 0);
    this.line = new Line({ length: 1024, bytes: 1 << 20, flows: 256, waitMs: 250 }, ranks);
  }
}

const BOUNDS = { minimum: 1, maximum: 1000, shadow: false };

export function simulate(setup: Setup): Map<string, Result> {
  return new Simulation(setup).run();
}

class Simulation {
  readonly #setup: Setup;
  readonly #random: () => number;
  readonly #results = new Map<string, Result>();
  readonly #instances: Instance[];
  readonly #service: Request[] = [];
  #serviceHead = 0;
  #busy = 0;
  #now = 0;
  readonly #times: number[] = [];
  readonly #works: (() => void)[] = [];
  readonly #expired: Waiter[] = [];

  constructor(setup: Setup) {
    this.#setup = setup;
    this.#random = seeded(setup.seed);
    this.#instances = Array.from({ length: setup.instances ?? 1 }, () => new Instance());
    for (const { name } of setup.streams)
      this.#results.set(name, { offered: 0, answered: 0, refused: 0, latencies: [], p99: 0, atMs: [], refusedAtMs: [] });
  }

  run(): Map<string, Result> {
    const endMs = this.#setup.seconds * 1000;
    for (const stream of this.#setup.streams) this.#at(this.#gap(stream), () => this.#arrive(stream));
    const tick = () => {
      for (const each of this.#instances) this.#pump(each);
      if (this.#now < endMs) this.#at(this.#now + 5, tick);
    };
    this.#at(5, tick);
    const watch = () => {
      const limit = (i: number) => this.#instances[i]?.control.limit(BOUNDS) ?? 0;
      this.#setup.watch?.(this.#now, { limit, base: (i) => this.#instances[i]?.control.baseMs ?? 0 });
      if (this.#now < endMs) this.#at(this.#now + 100, watch);
    };
    this.#at(100, watch);
    for (let next = this.#next(); next !== null; next = this.#next()) next();
    for (const result of this.#results.values()) {
      result.latencies.sort((a, b) => a - b);
      result.p99 = result.latencies[Math.floor(result.latencies.length * 0.99)] ?? 0;
    }
    return this.#results;
  }

  #gap({ rate }: Stream): number {
    const now = typeof rate === "function" ? rate(this.#now) : rate;
    return this.#now + (now > 0 ? (-Math.log(1 - this.#random()) * 1000) / now : 50);
  }

  #arrive(stream: Stream): void {
    const { rate } = stream;
    if (typeof rate === "number" || rate(this.#now) > 0) this.#accept(stream);
    if (this.#now < this.#setup.seconds * 1000) this.#at(this.#gap(stream), () => this.#arrive(stream));
  }

  #accept(stream: Stream): void {
    const request: Request = {
      stream,
      arrivedMs: this.#now,
      sentMs: 0,
      flow: stream.name,
      weight: stream.weight ?? 1,
      priority: stream.priority ?? 2,
      bytes: 0,
      deadlineMs: 0,
      sinceMs: 0,
      place: null,
    };
    if (this.#counts(request)) this.#result(request).offered++;
    const instance = this.#instanceOf(request);
    if (this.#setup.limited === false || (instance.line.size === 0 && instance.inFlight < instance.control.limit(BOUNDS)))
      return this.#send(request, instance);
    instance.totals[TOTAL_BLOCKED] = (instance.totals[TOTAL_BLOCKED] ?? 0) + 1;
    const refused = instance.line.push(request, this.#now);
    if (refused !== null) this.#refuse(refused as Request);
    this.#pump(instance);
  }

  #send(request: Request, instance: Instance): void {
    this.#use(instance, 1);
    request.sentMs = this.#now;
    this.#service.push(request);
    this.#serve();
  }

  #use(instance: Instance, by: 1 | -1): void {
    instance.inFlight += by;
    instance.area -= by * this.#now;
  }

  #serve(): void {
    const { servers = 8, latency } = this.#setup;
    const most = typeof servers === "function" ? servers(this.#now) : servers;
    while (this.#busy < most && this.#serviceHead < this.#service.length) {
      const request = this.#service[this.#serviceHead++] as Request;
      if (this.#serviceHead > 1000) {
        this.#service.splice(0, this.#serviceHead);
        this.#serviceHead = 0;
      }
      this.#busy++;
      const ms = (request.stream.latency ?? ((at) => latency(at, this.#random)))(this.#now);
      this.#at(this.#now + ms, () => {
        this.#busy--;
        this.#serve();
        this.#answered(request);
      });
    }
  }

  #answered(request: Request): void {
    const instance = this.#instanceOf(request);
    this.#use(instance, -1);
    const ms = this.#now - request.sentMs;
    const k = 2 * (request.stream.route ?? 0);
    const { totals } = instance;
    totals[k] = (totals[k] ?? 0) + 1;
    totals[k + 1] = (totals[k + 1] ?? 0) + ms;
    totals[TOTAL_SQUARES] = (totals[TOTAL_SQUARES] ?? 0) + ms * ms;
    if (this.#counts(request)) {
      const result = this.#result(request);
      result.answered++;
      result.latencies.push(this.#now - request.arrivedMs);
      result.atMs.push(this.#now);
    }
    this.#pump(instance);
  }

  #pump(instance: Instance): void {
    const { control, line, totals } = instance;
    totals[TOTAL_HELD] = instance.area + instance.inFlight * this.#now;
    if (this.#now >= control.dueMs && control.step(totals, { nowMs: this.#now, wallMs: this.#now + 1e12 }, BOUNDS))
      line.setPace(control.baseMs, control.variation);
    if (line.size === 0) return;
    line.expire(this.#now, this.#expired);
    for (const each of this.#expired.splice(0)) this.#refuse(each as Request);
    while (instance.inFlight < control.limit(BOUNDS)) {
      const next = line.shift(this.#now);
      if (next === null) break;
      this.#send(next as Request, instance);
    }
  }

  #refuse(request: Request): void {
    if (!this.#counts(request)) return;
    const result = this.#result(request);
    result.refused++;
    result.refusedAtMs.push(this.#now);
  }

  #counts({ arrivedMs }: Request): boolean {
    return arrivedMs >= (this.#setup.warm ?? 2) * 1000;
  }

  #result({ stream }: Request): Result {
    return this.#results.get(stream.name) as Result;
  }

  #instanceOf({ stream }: Request): Instance {
    return this.#instances[stream.at ?? 0] as Instance;
  }

  // --- A heap of what is to be done ---

  #at(ms: number, work: () => void): void {
    const times = this.#times;
    const works = this.#works;
    let i = times.length;
    times.push(ms);
    works.push(work);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if ((times[parent] as number) <= ms) break;
      times[i] = times[parent] as number;
      works[i] = works[parent] as () => void;
      i = parent;
    }
    times[i] = ms;
    works[i] = work;
  }

  #next(): (() => void) | null {
    const times = this.#times;
    const works = this.#works;
    const first = works[0];
    if (first === undefined) return null;
    this.#now = times[0] as number;
    const ms = times.pop() as number;
    const work = works.pop() as () => void;
    const size = times.length;
    if (size === 0) return first;
    let i = 0;
    for (;;) {
      let least = 2 * i + 1;
      if (least >= size) break;
      if (least + 1 < size && (times[least + 1] as number) < (times[least] as number)) least++;
      if ((times[least] as number) >= ms) break;
      times[i] = times[least] as number;
      works[i] = works[least] as () => void;
      i = least;
    }
    times[i] = ms;
    works[i] = work;
    return first;
  }
}

// --- Services ---

type Latency = Setup["latency"];
export const fixed =
  (ms: number): Latency =>
  () =>
    ms;
export const exponential =
  (ms: number): Latency =>
  (_at, random) =>
    -Math.log(1 - random()) * ms;
export const lognormal =
  (ms: number, s: number): Latency =>
  (_at, random) => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return ms * Math.exp(s * normal - (s * s) / 2);
  };
/** 9 of 10 in 5 ms, 1 of 10 in 155 ms: 20 ms on average. */
export const bimodal: Latency = (_at, random) => (random() < 0.9 ? 5 : 155);
