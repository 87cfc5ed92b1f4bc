// Owns loading a configuration beside a gateway that serves: in a thread of its own, with bounds on time and memory, so that no file (huge, hostile, on a
// file system that does not answer) keeps the primary from its work. Must never end the process, whatever the thread does.
import path from "node:path";
import { Worker } from "node:worker_threads";
import { OperatorError } from "../../base/errors.ts";
import { readMessage, type ThreadJob, type ThreadMessage, type ThreadOutcome } from "./load-job.ts";

/** Longest time (ms) of one load. */
const LOAD_MS_MAX = 60_000;
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

export class LoadThread {
  readonly #bounds: LoadBounds;
  /** That have not ended. One that waits for the system cannot be ended. */
  readonly #threads = new Set<Worker>();

  constructor(bounds: LoadBounds = BOUNDS) {
    this.#bounds = bounds;
  }

  /** One at a time. @throws OperatorError when a bound was reached, Error for a bug */
  async load(job: ThreadJob): Promise<ThreadOutcome> {
    if (!(await this.end())) throw new OperatorError(`the reading before has not ended: ${HANGS}`);
    const { timeoutMs, heapMb } = this.#bounds;
    const worker = new Worker(threadEntry(), {
      name: "sluice-config",
      workerData: job,
      resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: Math.min(YOUNG_MB_MAX, heapMb) },
    });
    worker.unref();
    this.#threads.add(worker);
    worker.once("exit", () => this.#threads.delete(worker));
    let timer: NodeJS.Timeout | undefined;
    try {
      const message = await new Promise<ThreadMessage>((resolve, reject) => {
        const late = `it takes longer than ${timeoutMs / 1000} s to read: ${HANGS}, or make it smaller`;
        timer = setTimeout(() => reject(new OperatorError(late)), timeoutMs);
        worker.once("message", resolve);
        worker.on("error", (error) => reject(explain(error, heapMb)));
        worker.once("exit", () => reject(new Error("the thread that loads the configuration ended without an answer")));
      });
      return readMessage(message);
    } finally {
      clearTimeout(timer);
      void worker.terminate();
    }
  }

  /** Ends what runs. @returns whether all have ended: else the process cannot end by itself, as one of its threads will not */
  async end(): Promise<boolean> {
    if (this.#threads.size === 0) return true;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, END_MS_MAX);
    });
    await Promise.race([Promise.all(Array.from(this.#threads, (worker) => worker.terminate())), late]);
    clearTimeout(timer);
    return this.#threads.size === 0;
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
