// Owns the worker threads: how many, which plan they serve, and that a dead one is replaced while the others go on untouched.
// Must never terminate a thread from outside: a live uWebSockets.js app at thread end aborts the whole process.
import { MessageChannel, type Worker } from "node:worker_threads";
import { OperatorError } from "../../base/errors.ts";
import { RestartBackoff } from "../../base/restart-backoff.ts";
import type { Log } from "../../observe/log.ts";
import type { DeprecatedCalls } from "../../plan/deprecated-calls.ts";
import type { KeySetMap } from "../../plan/keys.ts";
import type { EndpointMap, PlanBundle, ToWorker } from "../../plan/messages.ts";
import type { EndpointPlan } from "../../plan/plan.ts";
import type { SharedMemory } from "../../plan/shared-memory.ts";
import type { WarmOutcome, WarmRequest } from "../../plan/warm-plan.ts";
import { TicketKeys } from "./ticket-keys.ts";
import { WarmCalls } from "./warm-calls.ts";
import { type Answer, WorkerThreadHandle } from "./worker-thread.ts";

/** Longest wait (ms) for a thread to build a plan and open its listeners. */
const PREPARE_TIMEOUT_MS = 15_000;
/** Longest wait (ms) for a thread to confirm that it switched. */
const ACTIVATE_TIMEOUT_MS = 5000;
/** Longest wait (ms) beyond the drain time itself for a thread to end. */
const EXIT_GRACE_MS = 2000;
/** Cells beyond one a worker, so that a replacement can start while the failed one still finishes requests with its own. */
export const SPARE_CELLS = 4;

export interface WorkerSetOptions {
  /** Starts a thread that runs src/data/worker/worker.ts. */
  readonly thread: (name: string) => Worker;
  readonly workers: number;
  /** How many of them start at once; the rest when the first one serves. */
  readonly atOnce: number;
  readonly log: Log;
  readonly testHooks: boolean;
  /** A worker serves its first plan. */
  listening?(seat: number): void;
  /** The shared memory of one set of cells (0..workers+SPARE_CELLS-1), made ready for a new writer. */
  memory(cells: number): SharedMemory;
  /** The thread that used these cells is gone: what it counted as under way no longer is. */
  released(cells: number): void;
  /** A worker met a token whose key the source did not have. Never rejects. @returns whether the provider answered, and how long it is not asked again, ms */
  unknownKey(source: string): Promise<{ readonly ok: boolean; readonly restMs: number }>;
  /** A worker reports calls to deprecated routes. */
  deprecatedCalls?(calls: readonly DeprecatedCalls[]): void;
  /** Responses of the URLs with these numbers are no longer true. */
  changed?(numbers: readonly number[]): void;
}

export type PublishResult = { readonly ok: true } | { readonly ok: false; readonly problems: readonly string[] };

/** One worker as an operator sees it. */
export interface SeatStatus {
  readonly seat: number;
  readonly state: "waiting" | "starting" | "ready" | "leaving";
  readonly version: number;
  readonly restarts: number;
  /** Cells in shared memory; -1 for none. */
  readonly cells: number;
  /** Number of its thread in /proc; 0 while it does not serve. */
  readonly kernelThread: number;
  /** ms until the next start, when a crash loop is being slowed down. */
  readonly restartInMs: number;
}

interface Seat {
  readonly index: number;
  readonly backoff: RestartBackoff;
  thread: WorkerThreadHandle | null;
  restarts: number;
  timer: NodeJS.Timeout | null;
  restartAtMs: number;
}

export class WorkerSet {
  readonly #options: WorkerSetOptions;
  readonly #seats: Seat[];
  readonly #threads = new Set<WorkerThreadHandle>();
  readonly #freeCells: number[];
  readonly #ticketKeys = new TicketKeys((keys) => this.#tell({ kind: "ticket-keys", keys }));
  readonly #warmCalls = new WarmCalls();
  readonly #catchingUp = new Set<WorkerThreadHandle>();
  #current: PlanBundle | null = null;
  #stopping = false;

  constructor(options: WorkerSetOptions) {
    this.#options = options;
    this.#seats = Array.from({ length: options.workers }, (_, index) => newSeat(index));
    this.#freeCells = Array.from({ length: options.workers + SPARE_CELLS }, (_, cells) => cells);
  }

  /** Gives all workers their first plan. @throws OperatorError when one cannot serve it (the address is taken, a certificate unreadable...). */
  async start(bundle: PlanBundle): Promise<void> {
    this.#current = bundle;
    const begin = (seats: readonly Seat[]): Promise<Answer>[] => {
      for (const seat of seats) seat.thread = this.#spawn(seat);
      return seats.map((seat) => this.#begin(seat));
    };
    const early = begin(this.#seats.slice(0, this.#options.atOnce));
    const first = await Promise.race(early);
    // Whoever stopped us meanwhile has told those that were there: no more may come.
    const more = first.kind === "yes" && !this.#stopping ? this.#seats.slice(this.#options.atOnce) : [];
    const answers = await Promise.all([...early, ...begin(more)]);
    for (const [index, answer] of answers.entries()) {
      if (answer.kind === "yes") continue;
      throw new OperatorError(`worker ${index}: ${reasonOf(answer, this.#seats[index]?.thread?.lastError ?? null)}`);
    }
  }

  async #begin(seat: Seat): Promise<Answer> {
    const answer = await this.#init(seat);
    if (answer.kind === "yes") this.#options.listening?.(seat.index);
    return answer;
  }

  /**
   * Hands a plan to all workers; only when all can serve it does it take effect.
   * A worker that dies meanwhile is given a second chance with its replacement, one that waits for a restart gets whatever wins.
   */
  async publish(bundle: PlanBundle): Promise<PublishResult> {
    const results = await Promise.all(this.#seats.map((seat) => this.#prepare(seat, bundle)));
    const problems = results.flatMap((result) => (result.problem === null ? [] : [result.problem]));
    const version = bundle.plan.version;
    if (problems.length > 0) {
      for (const { thread } of results) if (thread !== null && thread.state !== "gone") thread.send({ kind: "discard", version });
      return { ok: false, problems: [...new Set(problems)] };
    }
    this.#current = bundle;
    const prepared = results.flatMap(({ thread }) => (thread?.state === "ready" ? [thread] : []));
    const answers = prepared.map((thread) => thread.ask({ kind: "activate", version }, version, ACTIVATE_TIMEOUT_MS));
    for (const seat of this.#seats) {
      if (seat.thread?.state === "ready" && !prepared.includes(seat.thread)) void this.#catchUp(seat, seat.thread);
    }
    for (const [i, answer] of (await Promise.all(answers)).entries()) {
      if (answer.kind === "silent") this.#options.log.error("a worker has not switched yet", { worker: prepared[i]?.seat, version });
    }
    return { ok: true };
  }

  /** Discovery has news: every worker hears of it, one that starts later too. */
  setEndpoints(upstream: string, endpoints: readonly EndpointPlan[]): void {
    if (this.#current === null) return;
    const all: EndpointMap = new Map([...this.#current.endpoints, [upstream, endpoints]]);
    this.#current = { ...this.#current, endpoints: all };
    this.#tell({ kind: "endpoints", upstream, endpoints });
  }

  /** Key sources have news: every worker hears of it, one that starts later too. */
  setKeys(sets: KeySetMap): void {
    if (this.#current === null) return;
    this.#current = { ...this.#current, keys: new Map([...this.#current.keys, ...sets]) };
    this.#tell({ kind: "keys", sets });
  }

  /** Has one of the workers make a request of the gateway's own. Never rejects. */
  warm(request: WarmRequest): Promise<WarmOutcome> {
    const serving = this.#seats.flatMap(({ thread }) => (thread?.state === "ready" ? [thread] : []));
    return this.#warmCalls.ask(serving, request);
  }

  #tell(message: ToWorker): void {
    for (const thread of this.#threads) if (thread.state === "starting" || thread.state === "ready") thread.send(message);
  }

  /**
   * Ends all workers. @param timeoutMs for what is under way; 0 cuts at once (also when a drain is under way already).
   * @param blocked seats whose worker does not answer: told to drain, but not waited for
   * @returns how many exchanges were cut, and the seats of threads that did not end (blocked): only the process's end can end them.
   */
  async drain(timeoutMs: number, blocked: readonly number[] = []): Promise<{ readonly cut: number; readonly stuck: readonly number[] }> {
    this.#stopping = true;
    this.#ticketKeys.stop();
    for (const seat of this.#seats) if (seat.timer !== null) clearTimeout(seat.timer);
    const threads = [...this.#threads];
    for (const thread of threads) thread.drain(timeoutMs);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, timeoutMs + EXIT_GRACE_MS);
    });
    const awaited = threads.filter((thread) => !blocked.includes(thread.seat) || thread !== this.#seats[thread.seat]?.thread);
    await Promise.race([Promise.all(awaited.map((thread) => thread.gone)), late]);
    clearTimeout(timer);
    return {
      cut: threads.reduce((sum, thread) => sum + thread.cut, 0),
      stuck: threads.filter((thread) => thread.state !== "gone").map((thread) => thread.seat),
    };
  }

  status(): readonly SeatStatus[] {
    const now = performance.now();
    return this.#seats.map((seat) => ({
      seat: seat.index,
      state: statusOf(seat.thread),
      version: seat.thread?.version ?? 0,
      restarts: seat.restarts,
      cells: seat.thread?.cells ?? -1,
      kernelThread: seat.thread?.kernelThread ?? 0,
      restartInMs: seat.timer === null ? 0 : Math.max(0, Math.round(seat.restartAtMs - now)),
    }));
  }

  /** Test hook: make a worker throw, or block its event loop. */
  disturb(seat: number, message: { readonly kind: "crash" } | { readonly kind: "block"; readonly ms: number }): boolean {
    const thread = this.#seats[seat]?.thread ?? null;
    if (!this.#options.testHooks || thread === null) return false;
    thread.send(message);
    return true;
  }

  #spawn(seat: Seat): WorkerThreadHandle {
    const thread = new WorkerThreadHandle(this.#options.thread(`sluice-worker-${seat.index}`), seat.index, {
      failed: (dead, message) => {
        this.#options.log.error("a worker failed", { worker: dead.seat, error: message });
        this.#vacate(seat, dead);
      },
      exited: (dead, code, expected) => this.#exited(seat, dead, code, expected),
      warning: (from, message) => this.#options.log.warn(message, { worker: from.seat }),
      deprecatedCalls: (calls) => this.#options.deprecatedCalls?.(calls),
      warmed: (id, outcome) => this.#warmCalls.answered(id, outcome),
      changed: (numbers) => this.#options.changed?.(numbers),
      link: (from, cells) => this.#link(from, cells),
      unknownKey: (from, source) => {
        void this.#options.unknownKey(source).then((checked) => {
          if (from.state !== "gone") from.send({ kind: "keys-checked", source, ...checked });
        });
      },
    });
    this.#threads.add(thread);
    return thread;
  }

  /** Two workers that ask for each other at once get two lines, and use the one that they hear of first. */
  #link(from: WorkerThreadHandle, cells: number): void {
    const to = [...this.#threads].find((thread) => thread.cells === cells && thread.state !== "gone");
    if (to === undefined || to === from) return from.send({ kind: "linked", worker: cells, port: null });
    const { port1, port2 } = new MessageChannel();
    from.send({ kind: "linked", worker: cells, port: port1 });
    to.send({ kind: "linked", worker: from.cells, port: port2 });
  }

  /** Sends the current plan to the idle thread of a seat. */
  async #init(seat: Seat): Promise<Answer> {
    const thread = seat.thread;
    const cells = this.#freeCells.shift();
    if (thread === null || this.#current === null) throw new Error("a seat was initialised without thread or plan");
    if (cells === undefined) return { kind: "refused", message: "all shared memory cells are in use by workers that are still finishing" };
    thread.cells = cells;
    thread.state = "starting";
    const { workers, testHooks } = this.#options;
    const shared = this.#options.memory(cells);
    return await thread.ask(
      { kind: "init", shared, seat: seat.index, workers, bundle: this.#current, ticketKeys: this.#ticketKeys.current, testHooks },
      this.#current.plan.version,
      PREPARE_TIMEOUT_MS,
    );
  }

  async #prepare(seat: Seat, bundle: PlanBundle): Promise<{ readonly thread: WorkerThreadHandle | null; readonly problem: string | null }> {
    for (let death = 0; death < 2; death++) {
      const thread = await this.#settled(seat);
      if (thread === null) return { thread: null, problem: null };
      const answer = await thread.ask({ kind: "prepare", bundle }, bundle.plan.version, PREPARE_TIMEOUT_MS);
      if (answer.kind === "yes") return { thread, problem: null };
      if (answer.kind !== "died") return { thread, problem: reasonOf(answer, null) };
    }
    return { thread: null, problem: `worker ${seat.index} died twice while it built this plan; the log has the stack` };
  }

  /** @returns the seat's thread once it serves the plan in force; null when there is none that will soon. */
  async #settled(seat: Seat): Promise<WorkerThreadHandle | null> {
    const endMs = performance.now() + PREPARE_TIMEOUT_MS;
    while (performance.now() < endMs) {
      const thread = seat.thread;
      if (thread?.state === "ready" && thread.version === this.#current?.plan.version && !this.#stopping) return thread;
      if (this.#stopping || (seat.timer !== null && seat.backoff.deaths > 1)) return null;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return null;
  }

  /** Brings a thread that missed a publication to the current plan; one that cannot take it is replaced. */
  async #catchUp(seat: Seat, thread: WorkerThreadHandle): Promise<void> {
    if (this.#catchingUp.has(thread)) return;
    this.#catchingUp.add(thread);
    await this.#follow(seat, thread);
    this.#catchingUp.delete(thread);
  }

  async #follow(seat: Seat, thread: WorkerThreadHandle): Promise<void> {
    while (thread.state === "ready" && this.#current !== null && thread.version !== this.#current.plan.version) {
      const bundle = this.#current;
      const { version } = bundle.plan;
      const answer = await thread.ask({ kind: "prepare", bundle }, bundle.plan.version, PREPARE_TIMEOUT_MS);
      if (answer.kind === "yes") await thread.ask({ kind: "activate", version }, version, ACTIVATE_TIMEOUT_MS);
      else if (answer.kind !== "died") {
        this.#options.log.error("a worker cannot take the current plan: replacing it", {
          worker: seat.index,
          reason: reasonOf(answer, null),
        });
        thread.drain(bundle.plan.drainTimeoutMs);
        this.#vacate(seat, thread);
        return;
      }
    }
  }

  #exited(seat: Seat, thread: WorkerThreadHandle, code: number, expected: boolean): void {
    this.#threads.delete(thread);
    this.#warmCalls.gone(thread);
    if (thread.cells >= 0) {
      this.#options.released(thread.cells);
      this.#freeCells.push(thread.cells);
    }
    if (!expected && !this.#stopping) this.#options.log.error("a worker died", { worker: seat.index, code, error: thread.lastError });
    this.#vacate(seat, thread);
  }

  /** The seat's thread no longer serves: start another, at once or (crash loop) later. */
  #vacate(seat: Seat, thread: WorkerThreadHandle): void {
    // Before the first plan is out, start() reports the failure: nothing is restarted.
    if (seat.thread !== thread || this.#stopping || (thread.version === 0 && seat.restarts === 0)) return;
    seat.thread = null;
    const delayMs = seat.backoff.next(performance.now() - thread.bornMs);
    seat.restarts++;
    seat.restartAtMs = performance.now() + delayMs;
    const { deaths } = seat.backoff;
    if (deaths > 1) this.#options.log.error("a worker keeps dying: waiting before the next start", { worker: seat.index, deaths, delayMs });
    seat.timer = setTimeout(() => void this.#replace(seat), delayMs);
  }

  async #replace(seat: Seat): Promise<void> {
    seat.timer = null;
    const thread = this.#spawn(seat);
    seat.thread = thread;
    const answer = await this.#init(seat);
    if (this.#stopping || seat.thread !== thread) return;
    if (answer.kind === "yes") {
      this.#options.log.info("a worker was replaced", { worker: seat.index, restarts: seat.restarts });
      await this.#catchUp(seat, thread);
    } else if (answer.kind !== "died") {
      this.#options.log.error("a replacement worker cannot start", { worker: seat.index, reason: reasonOf(answer, null) });
      thread.drain(0);
      this.#vacate(seat, thread);
    }
  }
}

function newSeat(index: number): Seat {
  return { index, backoff: new RestartBackoff(), thread: null, restarts: 0, timer: null, restartAtMs: 0 };
}

function statusOf(thread: WorkerThreadHandle | null): SeatStatus["state"] {
  if (thread === null) return "waiting";
  if (thread.state === "idle") return "starting";
  return thread.state === "gone" ? "waiting" : thread.state;
}

function reasonOf(answer: Answer, lastError: string | null): string {
  switch (answer.kind) {
    case "refused":
      return answer.message;
    case "died":
      return `it died while it built this plan${lastError === null ? "" : `: ${lastError}`}`;
    case "silent":
      return `it did not answer within ${PREPARE_TIMEOUT_MS / 1000} s (is its event loop blocked?)`;
    case "yes":
      return "";
  }
}
