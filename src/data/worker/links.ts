// Owns this worker's lines to the other workers: the primary makes one when either side first asks for it.
import type { MessagePort } from "node:worker_threads";
import type { WorkerLinks } from "../exchange/runtime.ts";

type Linked = Parameters<WorkerLinks["linkTo"]>[1];

export class Links implements WorkerLinks {
  onLink: WorkerLinks["onLink"] = null;
  readonly #ask: (worker: number) => void;
  readonly #ports = new Map<number, MessagePort>();
  readonly #waiting = new Map<number, Linked[]>();

  /** @param ask has the primary make a line to the worker with these cells */
  constructor(ask: (worker: number) => void) {
    this.#ask = ask;
  }

  linkTo(worker: number, linked: Linked): void {
    const port = this.#ports.get(worker);
    if (port !== undefined) return linked(port);
    const waiting = this.#waiting.get(worker);
    if (waiting !== undefined) return void waiting.push(linked);
    this.#waiting.set(worker, [linked]);
    this.#ask(worker);
  }

  /** The primary has made one. @param port null: that worker is gone */
  linked(worker: number, port: MessagePort | null): void {
    const waiting = this.#waiting.get(worker) ?? [];
    this.#waiting.delete(worker);
    if (port !== null) {
      this.#ports.set(worker, port);
      port.on("close", () => {
        if (this.#ports.get(worker) === port) this.#ports.delete(worker);
      });
      this.onLink?.(worker, port);
    }
    for (const linked of waiting) linked(port);
  }
}
