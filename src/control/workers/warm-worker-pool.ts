// Owns worker threads that are started before the number of workers is known: they load their code while the configuration is read and
// the plan made. Must never send them a message.
import { availableParallelism } from "node:os";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { semiSpaceMb } from "../../base/heap.ts";
import type { WorkerData } from "../../plan/messages.ts";

/** @returns the worker's entry: data/worker/worker.ts in source, worker.js beside the bundle. */
export function workerEntry(): string {
  return path.join(import.meta.dirname, import.meta.filename.endsWith(".ts") ? "../../data/worker/worker.ts" : "worker.js");
}

/**
 * How many threads start at once: not more than there are cores left beside the primary, which is busy then too, but one. The others would only
 * keep that one from its core; they start when it serves.
 */
export function initialWorkerCount(): number {
  return Math.max(1, availableParallelism() - 1);
}

/**
 * Young objects of a worker, in MiB: three semi-spaces. V8 lets them grow to several times as much before it collects them, and gives the memory back
 * minutes later. Never a bound on old objects: reaching it ends the thread, and with it the process, as a thread with a live uWebSockets.js app
 * cannot be ended alone.
 */
const youngMbMax = (): number => 3 * semiSpaceMb();

/** Node would make this process's standard streams, to connect the thread's with them, before it starts the thread: ms that a start waits for. */
function startThread(entry: string, name: string, workerData: WorkerData): Worker {
  const worker = new Worker(entry, {
    name,
    workerData,
    stdout: true,
    stderr: true,
    resourceLimits: { maxYoungGenerationSizeMb: youngMbMax() },
  });
  worker.stdout.on("data", (text: Buffer) => process.stdout.write(text));
  worker.stderr.on("data", (text: Buffer) => process.stderr.write(text));
  return worker;
}

export class WarmWorkerPool {
  readonly #entry: string;
  readonly #data: WorkerData;
  readonly #ready: Worker[] = [];
  #begun = 0;

  /** Starts one thread. */
  constructor(entry: string, data: WorkerData) {
    this.#entry = entry;
    this.#data = data;
    this.#begin();
  }

  /** Starts as many more. */
  startMore(count: number): void {
    for (let i = 0; i < count; i++) this.#begin();
  }

  /** @returns a thread that loads or has loaded its code. */
  acquire(name: string): Worker {
    const worker = this.#ready.shift();
    if (worker === undefined) return startThread(this.#entry, name, this.#data);
    worker.removeAllListeners();
    return worker;
  }

  /** Ends those that nobody has acquired. They have opened nothing, so ending them from outside is safe. */
  discardIdle(): void {
    for (const worker of this.#ready.splice(0)) void worker.terminate();
  }

  #begin(): void {
    const worker = startThread(this.#entry, `sluice-worker-${this.#begun++}`, this.#data);
    const forget = () => void this.#ready.splice(0, this.#ready.length, ...this.#ready.filter((each) => each !== worker));
    // One that fails to load is not handed out; its successor will fail before our eyes and be reported.
    worker.once("error", forget);
    worker.once("exit", forget);
    this.#ready.push(worker);
  }
}
