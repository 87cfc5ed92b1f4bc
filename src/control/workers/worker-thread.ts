// Owns one worker thread as the primary sees it: its state, its one outstanding question, its death.
// Must never decide what to do about it: that is worker-set.ts.
import type { Worker } from "node:worker_threads";
import type { DeprecatedCalls } from "../../plan/deprecated-calls.ts";
import type { FromWorker, ToWorker } from "../../plan/messages.ts";
import type { WarmOutcome } from "../../plan/warm-plan.ts";

/** What a question to a worker came to. */
export type Answer =
  | { readonly kind: "yes" }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "died" }
  | { readonly kind: "silent" };

/** idle: spawned, told nothing yet. leaving: stopped accepting (drain or uncaught error), still finishing requests. */
export type ThreadState = "idle" | "starting" | "ready" | "leaving" | "gone";

export interface ThreadEvents {
  /** It reported an uncaught error and will exit when its requests are done. */
  failed(thread: WorkerThreadHandle, message: string): void;
  /** It is gone. `expected` when it was asked to drain or had reported its failure. */
  exited(thread: WorkerThreadHandle, code: number, expected: boolean): void;
  warning(thread: WorkerThreadHandle, message: string): void;
  /** A token in it names a key that the source did not have. Answered by a message `keys-checked`. */
  unknownKey(thread: WorkerThreadHandle, source: string): void;
  /** It wants a line to the worker with these cells. */
  link(thread: WorkerThreadHandle, cells: number): void;
  deprecatedCalls(calls: readonly DeprecatedCalls[]): void;
  /** Answers a message `warm`. */
  warmed(id: number, outcome: WarmOutcome): void;
  changed(numbers: readonly number[]): void;
}

export class WorkerThreadHandle {
  readonly seat: number;
  readonly bornMs = performance.now();
  /** Index of its cells in shared memory; -1 while idle. */
  cells = -1;
  state: ThreadState = "idle";
  /** Its number in /proc; 0 before it serves, or where there is none. */
  kernelThread = 0;
  /** Version of the plan it serves; 0 before the first. */
  version = 0;
  /** Exchanges it had to cut at the end. */
  cut = 0;
  /** Text of the error that the thread died of without a chance to report it itself. */
  lastError: string | null = null;
  readonly #worker: Worker;
  readonly #gone: Promise<void>;
  #answer: ((answer: Answer) => void) | null = null;
  #askedVersion = 0;

  constructor(worker: Worker, seat: number, events: ThreadEvents) {
    this.seat = seat;
    this.#worker = worker;
    this.#worker.on("message", (message: FromWorker) => this.#heard(message, events));
    this.#worker.on("error", (error) => {
      this.lastError = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    this.#gone = new Promise((resolve) => {
      this.#worker.once("exit", (code) => {
        const expected = this.state === "leaving";
        this.state = "gone";
        this.#settle({ kind: "died" });
        events.exited(this, code, expected);
        resolve();
      });
    });
  }

  /** Resolves when the thread is gone. */
  get gone(): Promise<void> {
    return this.#gone;
  }

  send(message: ToWorker): void {
    this.#worker.postMessage(message, message.kind === "linked" && message.port !== null ? [message.port] : []);
  }

  /** Sends something that is answered, about one plan version. One question at a time. @param timeoutMs then the answer is `silent` and a late one is ignored */
  ask(message: ToWorker, version: number, timeoutMs: number): Promise<Answer> {
    return new Promise((resolve) => {
      if (this.state === "gone") {
        resolve({ kind: "died" });
        return;
      }
      const timer = setTimeout(() => this.#settle({ kind: "silent" }), timeoutMs);
      this.#askedVersion = version;
      this.#answer = (answer) => {
        clearTimeout(timer);
        resolve(answer);
      };
      this.send(message);
    });
  }

  /** Asks it to finish and end itself. @param timeoutMs 0 cuts at once */
  drain(timeoutMs: number): void {
    if (this.state === "gone") return;
    this.state = "leaving";
    this.send({ kind: "drain", timeoutMs });
  }

  /** @param version what the answer is about; one that comes too late, about an older question, is dropped */
  #settle(answer: Answer, version = this.#askedVersion): void {
    if (version !== this.#askedVersion) return;
    const waiting = this.#answer;
    this.#answer = null;
    waiting?.(answer);
  }

  #heard(message: FromWorker, events: ThreadEvents): void {
    switch (message.kind) {
      case "ready":
      case "activated":
        this.version = message.version;
        if (message.kind === "ready") this.kernelThread = message.thread;
        if (this.state === "starting") this.state = "ready";
        this.#settle({ kind: "yes" }, message.version);
        break;
      case "prepared":
        this.#settle({ kind: "yes" }, message.version);
        break;
      case "refused":
        this.#settle({ kind: "refused", message: message.message }, message.version);
        break;
      case "failed":
        this.state = "leaving";
        this.#settle({ kind: "died" });
        events.failed(this, message.message);
        break;
      case "drained":
        this.cut = message.cut;
        break;
      case "warning":
        events.warning(this, message.message);
        break;
      case "unknown-key":
        events.unknownKey(this, message.source);
        break;
      case "link":
        events.link(this, message.worker);
        break;
      case "changed":
        events.changed(message.numbers);
        break;
      case "deprecated-calls":
        events.deprecatedCalls(message.calls);
        break;
      case "warmed":
        events.warmed(message.id, message.outcome);
        break;
    }
  }
}
