// Owns loading a configuration beside a gateway that serves: in a thread of its own, with bounds on time and memory, so that no file (huge, hostile, on a
// file system that does not answer) keeps the primary from its work. Must never end the process, whatever the thread does.
import path from "node:path";
import { Worker } from "node:worker_threads";
import { OperatorError } from "../../base/errors.ts";
import type { ThreadJob, ThreadOutcome } from "./load-job.ts";

/** Longest time (ms) of one load. */
const LOAD_MS_MAX = 60_000;
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
  /** A thread that was given up and has not ended: it waits for the system, which nobody can take it out of. */
  #stuck = 0;

  constructor(bounds: LoadBounds = BOUNDS) {
    this.#bounds = bounds;
  }

  /** The process cannot end by itself: one of its threads will not. */
  get isStuck(): boolean {
    return this.#stuck > 0;
  }

  /** @throws OperatorError when a bound was reached, Error for a bug */
  async load(job: ThreadJob): Promise<ThreadOutcome> {
    if (this.isStuck) throw new OperatorError(`the reading before has not ended: ${HANGS}`);
    const { timeoutMs, heapMb } = this.#bounds;
    const worker = new Worker(threadEntry(), {
      name: "sluice-config",
      workerData: job,
      resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: Math.min(YOUNG_MB_MAX, heapMb) },
    });
    worker.unref();
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<ThreadOutcome>((resolve, reject) => {
        timer = setTimeout(
          () => reject(new OperatorError(`it takes longer than ${timeoutMs / 1000} s to read: ${HANGS}, or make it smaller`)),
          timeoutMs,
        );
        worker.once("message", resolve);
        worker.once("error", (error) => reject(explain(error, heapMb)));
        worker.once("exit", () => reject(new Error("the thread that loads the configuration ended without an answer")));
      });
    } finally {
      clearTimeout(timer);
      this.#end(worker);
    }
  }

  /** Waits for nobody. */
  #end(worker: Worker): void {
    this.#stuck++;
    worker.removeAllListeners().on("error", () => {}); // it was given up
    void worker.terminate().finally(() => this.#stuck--);
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
