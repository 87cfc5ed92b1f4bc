// Owns that workers run on the CPUs that the configuration names, by taskset(1): Node has no call for it. A look compares what is with
// what should be, so that replaced workers, and cpusets that were changed meanwhile, are covered by the same code.
// Must never delay the start or fail it: it begins when the workers serve, and what does not work is said and left.
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { allowedCpusOf, formatCpuList } from "../../base/cpu-list.ts";
import type { Log } from "../../observe/log.ts";
import type { SeatStatus } from "./worker-set.ts";

/** Longest run (ms) of a taskset. */
const TASKSET_MS_MAX = 5000;
/** Threads that have their places are looked at again this often, ms. */
const LOOK_AGAIN_MS = 5000;

export interface CpuPinsOptions {
  /** Worker N belongs on the Nth, counted again from the first where there are more workers. Not empty. */
  readonly cpus: readonly number[];
  readonly log: Log;
  /** Program that sets affinities. */
  readonly taskset?: string;
}

type Seat = Pick<SeatStatus, "seat" | "kernelThread">;

export class CpuPins {
  readonly #options: CpuPinsOptions;
  /** Seat -> the thread that is on its CPU. */
  readonly #pinned = new Map<number, number>();
  /** Threads that could not be moved: not tried again. Those that are gone are forgotten. */
  readonly #abandoned = new Set<number>();
  #looking = false;
  #lookedMs = Number.NEGATIVE_INFINITY;
  /** Why workers are not where they belong; null when they are. */
  trouble: string | null = null;

  constructor(options: CpuPinsOptions) {
    this.#options = options;
  }

  /** @returns the CPU that a seat's thread is pinned to; null while it is not. */
  cpuOf({ seat, kernelThread }: Seat): number | null {
    return kernelThread !== 0 && this.#pinned.get(seat) === kernelThread ? this.#wanted(seat) : null;
  }

  /** From time to time: returns at once, works in the background. Never throws. */
  look(seats: readonly Seat[]): void {
    const serving = seats.filter((each) => each.kernelThread !== 0);
    const news = serving.some((each) => this.cpuOf(each) === null && !this.#abandoned.has(each.kernelThread));
    const now = performance.now();
    if (this.#looking || (!news && now - this.#lookedMs < LOOK_AGAIN_MS)) return;
    this.#looking = true;
    this.#lookedMs = now;
    void this.#align(serving)
      .catch((error: unknown) => this.#fail(`/proc cannot be read: ${reason(error)}`, {}))
      .finally(() => {
        this.#looking = false;
      });
  }

  #wanted(seat: number): number {
    return this.#options.cpus[seat % this.#options.cpus.length] ?? 0;
  }

  async #align(serving: readonly Seat[]): Promise<void> {
    // Asynchronous on purpose: it makes this thread, which is not pinned, the one that starts Node's thread pool. Threads inherit.
    const threads = (await readdir("/proc/self/task")).map(Number);
    for (const thread of this.#abandoned) if (!threads.includes(thread)) this.#abandoned.delete(thread);
    for (const { seat, kernelThread } of serving) await this.#pin(seat, kernelThread);
    const own = new Set(serving.map((each) => each.kernelThread));
    const all = await affinityOf(process.pid);
    for (const thread of threads) if (all !== null && !own.has(thread)) await this.#release(thread, all);
    if (serving.every((each) => this.cpuOf(each) !== null)) this.trouble = null;
  }

  async #pin(seat: number, thread: number): Promise<void> {
    if (this.#abandoned.has(thread)) return;
    const cpu = this.#wanted(seat);
    const before = await affinityOf(thread);
    if (before === null) return; // gone meanwhile
    if (before === String(cpu)) {
      this.#pinned.set(seat, thread);
      return;
    }
    this.#pinned.delete(seat);
    const problem = await this.#move(thread, String(cpu));
    const after = await affinityOf(thread);
    if (after === null) return;
    if (after === String(cpu)) {
      this.#pinned.set(seat, thread);
      this.#options.log.info("a worker is pinned", { worker: seat, cpu, thread });
      return;
    }
    this.#abandoned.add(thread);
    this.#fail(`worker ${seat} is not pinned to CPU ${cpu}: ${problem ?? `it may run on ${after}`}`, { worker: seat, cpu });
  }

  /**
   * A thread that a pinned worker has started (to verify tokens) has inherited its one CPU, and would take it from the worker. So would a
   * worker that failed and finishes its requests beside its replacement. @param all CPUs of the main thread
   */
  async #release(thread: number, all: string): Promise<void> {
    const mask = await affinityOf(thread);
    if (mask === null || mask === all || this.#abandoned.has(thread)) return;
    if (!this.#options.cpus.some((cpu) => mask === String(cpu))) return; // not by inheritance
    const problem = await this.#move(thread, all);
    if (problem === null) return;
    this.#abandoned.add(thread);
    this.#options.log.warn("a worker's helper thread stays on the worker's CPU", { thread, reason: problem });
  }

  /** @returns why not; null when it went well. */
  async #move(thread: number, list: string): Promise<string | null> {
    const { taskset = "taskset" } = this.#options;
    try {
      await promisify(execFile)(taskset, ["-pc", list, String(thread)], { timeout: TASKSET_MS_MAX });
      return null;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return `${taskset} is not there (Debian: util-linux)`;
      return reason(error);
    }
  }

  #fail(trouble: string, fields: Readonly<Record<string, unknown>>): void {
    const known = this.trouble === trouble;
    this.trouble = trouble;
    if (!known) this.#options.log.warn("a worker cannot be pinned: the kernel chooses its CPU", { ...fields, reason: trouble });
  }
}

/** @returns `Cpus_allowed_list` of a thread of this process, in its shortest form; null when it is gone. */
async function affinityOf(thread: number): Promise<string | null> {
  try {
    const cpus = allowedCpusOf(await readFile(`/proc/self/task/${thread}/status`, "utf8"));
    return cpus === null ? null : formatCpuList(cpus);
  } catch {
    return null;
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message.trim() : String(error));
