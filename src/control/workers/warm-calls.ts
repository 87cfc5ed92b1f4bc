// Owns the requests of the warm-up that workers are making: which thread has which, so that one that ends leaves nobody waiting.
import type { WarmOutcome, WarmRequest } from "../../plan/warm-plan.ts";
import type { WorkerThreadHandle } from "./worker-thread.ts";

interface Waiting {
  readonly thread: WorkerThreadHandle;
  resolve(outcome: WarmOutcome): void;
}

export class WarmCalls {
  readonly #waiting = new Map<number, Waiting>();
  #ids = 0;

  /** @param threads that serve, in an order that stays. Never rejects */
  ask(threads: readonly WorkerThreadHandle[], request: WarmRequest): Promise<WarmOutcome> {
    const id = ++this.#ids;
    const thread = threads[id % threads.length];
    if (thread === undefined) return Promise.resolve({ result: "failed", reason: "no worker serves" });
    return new Promise((resolve) => {
      this.#waiting.set(id, { thread, resolve });
      thread.send({ kind: "warm", id, request });
    });
  }

  answered(id: number, outcome: WarmOutcome): void {
    this.#waiting.get(id)?.resolve(outcome);
    this.#waiting.delete(id);
  }

  /** What it was at will not be answered. */
  gone(thread: WorkerThreadHandle): void {
    for (const [id, waiting] of this.#waiting)
      if (waiting.thread === thread) this.answered(id, { result: "failed", reason: "the worker ended" });
  }
}
