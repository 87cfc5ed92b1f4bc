// Owns load at a fixed rate: requests fall due by the clock, whatever the answers do, and their time counts from there. A slow
// answer therefore cannot hide those that had to wait behind it (coordinated omission). Must never send more than it was told to.
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import { LoadConnection, type LoadTarget } from "./load-connection.ts";

/** One request that is sent again and again. */
export interface Shot {
  /** Whole, head and body. */
  readonly bytes: Buffer;
  readonly method: string;
}

export interface OpenLoopOptions {
  readonly target: LoadTarget;
  /** Sent in turn. */
  readonly shots: readonly Shot[];
  readonly connections: number;
  /** Requests a second. */
  readonly rate: number;
  readonly durationMs: number;
  /** A request without an answer for this long is given up, and its connection with it. */
  readonly timeoutMs: number;
}

/** What became of one shot's requests. */
export interface ShotResult {
  /** Time to the whole answer, microseconds. Those without an answer count with the time they had waited. */
  readonly latency: RecordableHistogram;
  /** Status -> answers. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Requests without a complete answer. */
  readonly failed: number;
}

export interface OpenLoopResult {
  readonly shots: readonly ShotResult[];
  /** Requests that fell due. */
  readonly due: number;
  readonly answered: number;
  /** Requests that fell due while no connection was free. */
  readonly waited: number;
  readonly seconds: number;
  /**
   * How late this generator itself was when a connection was free, microseconds. It is not part of any latency;
   * when it is large, the machine had no room for the generator and the load came in bursts.
   */
  readonly late: RecordableHistogram;
  /** Why requests failed -> how many. */
  readonly failures: ReadonlyMap<string, number>;
}

/** Requests that may wait for a connection; those beyond fail at once. */
export const WAITING_MAX = 100_000;
/** Between looks for requests that wait too long. */
const TIMEOUT_LOOK_MS = 100;
/** Of what is recorded: a minute and more, to three digits. */
const HISTOGRAM = { lowest: 1, highest: 3_600_000_000, figures: 3 } as const;

export const latencyHistogram = (): RecordableHistogram => createHistogram(HISTOGRAM);

/** Microseconds as a histogram takes them. */
export const toRecord = (ms: number): number => Math.min(HISTOGRAM.highest, Math.max(HISTOGRAM.lowest, Math.round(ms * 1000)));

/** A ShotResult while it grows. */
interface Tally {
  readonly latency: RecordableHistogram;
  readonly statuses: Map<number, number>;
  failed: number;
}

export class OpenLoop {
  readonly #options: OpenLoopOptions;
  readonly #results: readonly Tally[];
  readonly #late = latencyHistogram();
  readonly #failures = new Map<string, number>();
  readonly #connections: LoadConnection[];
  /** Connections without a request, used first in first out, so that all are kept busy alike. */
  readonly #free: LoadConnection[] = [];
  /** Numbers of requests that fell due while no connection was free; from `#waitingFrom` on. */
  #waiting: number[] = [];
  #waitingFrom = 0;
  #startMs = 0;
  #next = 0;
  #answered = 0;
  #pending = 0;
  #waited = 0;
  readonly #total: number;
  #ended: () => void = () => {};

  constructor(options: OpenLoopOptions) {
    this.#options = options;
    this.#total = Math.max(1, Math.round((options.rate * options.durationMs) / 1000));
    this.#results = options.shots.map(() => ({ latency: latencyHistogram(), statuses: new Map(), failed: 0 }));
    this.#connections = Array.from(
      { length: options.connections },
      () =>
        new LoadConnection(options.target, {
          ready: (connection) => this.#ready(connection),
          answered: (connection, status) => this.#answer(connection, status),
          lost: (connection, reason) => this.#lost(connection, reason),
        }),
    );
  }

  /** @returns when every request was answered or given up. @throws Error when no connection can be made at all */
  async run(): Promise<OpenLoopResult> {
    await Promise.all(this.#connections.map((connection) => connection.open()));
    this.#startMs = performance.now();
    const watch = setInterval(() => this.#giveUpOld(), TIMEOUT_LOOK_MS);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ended = resolve;
    this.#pump();
    await promise;
    clearInterval(watch);
    for (const connection of this.#connections) connection.close();
    const seconds = (performance.now() - this.#startMs) / 1000;
    return {
      shots: this.#results,
      due: this.#next,
      answered: this.#answered,
      waited: this.#waited,
      seconds: Math.max(seconds, this.#options.durationMs / 1000),
      late: this.#late,
      failures: this.#failures,
    };
  }

  /** When the n-th request falls due. */
  #dueMs(n: number): number {
    return this.#startMs + (n * 1000) / this.#options.rate;
  }

  /** Looks at the clock without pause: no timer of Node is finer than a millisecond, and a rate of 10000 has ten requests in one. */
  #pump = (): void => {
    const nowMs = performance.now();
    while (this.#next < this.#total && this.#dueMs(this.#next) <= nowMs) this.#fallDue(this.#next++, nowMs);
    if (this.#next < this.#total) setImmediate(this.#pump);
    else this.#endIfDone();
  };

  #fallDue(n: number, nowMs: number): void {
    this.#pending++;
    const connection = this.#free.shift();
    if (connection !== undefined) {
      this.#late.record(toRecord(nowMs - this.#dueMs(n)));
      return this.#send(connection, n, nowMs);
    }
    this.#waited++;
    if (this.#waiting.length - this.#waitingFrom < WAITING_MAX) this.#waiting.push(n);
    else this.#giveUp(n, "too many requests waited for a connection");
  }

  /** @param countsFromMs when its time begins */
  #send(connection: LoadConnection, n: number, countsFromMs: number): void {
    const shot = this.#options.shots[n % this.#options.shots.length] as Shot; // there is at least one
    connection.send(shot, n, countsFromMs);
  }

  #ready(connection: LoadConnection): void {
    const n = this.#waiting[this.#waitingFrom];
    if (n === undefined) return void this.#free.push(connection);
    this.#waitingFrom++;
    if (this.#waitingFrom > 1024 && this.#waitingFrom * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#waitingFrom);
      this.#waitingFrom = 0;
    }
    // It waited because of the server: its time counts from when it fell due.
    this.#send(connection, n, this.#dueMs(n));
  }

  #answer(connection: LoadConnection, status: number): void {
    const result = this.#resultOf(connection.request);
    result.latency.record(toRecord(performance.now() - connection.countsFromMs));
    result.statuses.set(status, (result.statuses.get(status) ?? 0) + 1);
    this.#answered++;
    this.#pending--;
    this.#endIfDone();
  }

  #lost(connection: LoadConnection, reason: string): void {
    if (connection.request >= 0) this.#giveUp(connection.request, reason, connection.countsFromMs);
    else if (reason !== "") this.#count(reason);
    const at = this.#free.indexOf(connection);
    if (at >= 0) this.#free.splice(at, 1);
  }

  #giveUp(n: number, reason: string, countsFromMs = this.#dueMs(n)): void {
    const result = this.#resultOf(n);
    result.latency.record(toRecord(performance.now() - countsFromMs));
    result.failed++;
    this.#count(reason);
    this.#pending--;
    this.#endIfDone();
  }

  /** Reasons come from a short list and from the system's error messages; addresses in them are the target's. */
  #count(reason: string): void {
    this.#failures.set(reason, (this.#failures.get(reason) ?? 0) + 1);
  }

  #giveUpOld(): void {
    const { timeoutMs } = this.#options;
    const nowMs = performance.now();
    while (true) {
      const n = this.#waiting[this.#waitingFrom];
      if (n === undefined || nowMs - this.#dueMs(n) < timeoutMs) break;
      this.#waitingFrom++;
      this.#giveUp(n, "no connection was free in time");
    }
    for (const connection of this.#connections) {
      if (connection.request >= 0 && nowMs - connection.sentMs > timeoutMs) connection.fail("no answer in time");
    }
  }

  #resultOf(n: number): Tally {
    return this.#results[n % this.#results.length] as Tally; // there is at least one
  }

  #endIfDone(): void {
    if (this.#pending === 0 && this.#next >= this.#total) this.#ended();
  }
}
