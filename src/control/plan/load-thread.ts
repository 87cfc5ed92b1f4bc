// Owns loading a configuration beside a gateway that serves: in a thread of its own, with bounds on time and memory, so that no file (huge, hostile, on a
// file system that does not answer) keeps the primary from its work. A thread is kept a while for the next load, as its code is compiled by then. Must never
// end the process, whatever the thread does.
import path from "node:path";
import { Worker } from "node:worker_threads";
import { OperatorError } from "../../base/errors.ts";
import { readMessage, type ThreadJob, type ThreadMessage, type ThreadOutcome } from "./load-job.ts";

/** Longest time (ms) of one load. */
const LOAD_MS_MAX = 60_000;
/** How long (ms) a thread is kept for the next load: its code is compiled, which is half of what a large configuration costs; its memory goes when it ends. */
const KEEP_MS = 60_000;
/** Longest time (ms) for a thread to end that runs nothing any more. */
const END_MS_MAX = 2000;
/** What a load may take, in MiB: more than the largest texts that fit (TEXT_BYTES_MAX) take. */
const HEAP_MB_MAX = 2048;
/** Young objects, in MiB: enough for a parser, which makes many, and little beside the rest. */
const YOUNG_MB_MAX = 24;

export interface LoadBounds {
  readonly timeoutMs: number;
  readonly heapMb: number;
}

const BOUNDS: LoadBounds = { timeoutMs: LOAD_MS_MAX, heapMb: HEAP_MB_MAX };

/** Who waits for the one load under way. */
interface Waiting {
  resolve(message: ThreadMessage): void;
  reject(error: Error): void;
}

export class LoadThread {
  readonly #bounds: LoadBounds;
  /** That have not ended. One that waits for the system cannot be ended. */
  readonly #threads = new Set<Worker>();
  /** One of them, without a job. */
  #kept: Worker | null = null;
  #keepTimer: NodeJS.Timeout | undefined;
  #waiting: Waiting | null = null;

  constructor(bounds: LoadBounds = BOUNDS) {
    this.#bounds = bounds;
  }

  /** One at a time. @throws OperatorError when a bound was reached, Error for a bug */
  async load(job: ThreadJob): Promise<ThreadOutcome> {
    const worker = this.#take() ?? (await this.#begin());
    const { timeoutMs } = this.#bounds;
    let timer: NodeJS.Timeout | undefined;
    try {
      const message = await new Promise<ThreadMessage>((resolve, reject) => {
        const late = `it takes longer than ${timeoutMs / 1000} s to read: ${HANGS}, or make it smaller`;
        timer = setTimeout(() => reject(new OperatorError(late)), timeoutMs);
        this.#waiting = { resolve, reject };
        worker.postMessage(job);
      });
      this.#keep(worker);
      return readMessage(message);
    } catch (error) {
      void worker.terminate();
      throw error;
    } finally {
      this.#waiting = null;
      clearTimeout(timer);
    }
  }

  /** Ends what runs. @returns whether all have ended: else the process cannot end by itself, as one of its threads will not */
  async end(): Promise<boolean> {
    clearTimeout(this.#keepTimer);
    if (this.#threads.size === 0) return true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, END_MS_MAX);
    });
    await Promise.race([Promise.all(Array.from(this.#threads, (worker) => worker.terminate())), late]);
    clearTimeout(timer);
    return this.#threads.size === 0;
  }

  #take(): Worker | null {
    clearTimeout(this.#keepTimer);
    const worker = this.#kept;
    this.#kept = null;
    return worker;
  }

  #keep(worker: Worker): void {
    if (!this.#threads.has(worker)) return;
    this.#kept = worker;
    this.#keepTimer = setTimeout(() => void this.#take()?.terminate(), KEEP_MS).unref();
  }

  async #begin(): Promise<Worker> {
    if (!(await this.end())) throw new OperatorError(`the reading before has not ended: ${HANGS}`);
    const { heapMb } = this.#bounds;
    const worker = new Worker(threadEntry(), {
      name: "sluice-config",
      resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: Math.min(YOUNG_MB_MAX, heapMb) },
    });
    worker.unref();
    this.#threads.add(worker);
    worker.on("message", (message: ThreadMessage) => this.#waiting?.resolve(message));
    worker.on("error", (error) => this.#waiting?.reject(explain(error, heapMb)));
    worker.once("exit", () => {
      this.#threads.delete(worker);
      if (this.#kept === worker) this.#kept = null;
      this.#waiting?.reject(new Error("the thread that loads the configuration ended without an answer"));
    });
    return worker;
  }
}

const HANGS = "look whether a file system hangs";

function explain(error: unknown, heapMb: number): Error {
  const isMemory = error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
  if (isMemory) return new OperatorError(`it takes more than ${heapMb} MiB of memory to read: make it smaller`);
  return error instanceof Error ? error : new Error(String(error));
}

/** load-task.ts in source, load-task.js beside the bundle. */
function threadEntry(): string {
  return path.join(import.meta.dirname, import.meta.filename.endsWith(".ts") ? "load-task.ts" : "load-task.js");
}
