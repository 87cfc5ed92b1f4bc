// Owns what a worker remembers of credentials that are dear to verify, and how many may be verified at once. For kinds whose work is asynchronous.
// Must never keep a credential: only its salted hash. A flood of bad credentials evicts no good one.
import { hash, randomBytes } from "node:crypto";
import { Expiring } from "../expiring.ts";
import { FairQueue } from "./fair-queue.ts";

/** Other for each thread, so that what a cache holds says nothing outside of it. Made when first used: node:crypto takes a new thread 10 ms to load. */
let salt: string | null = null;

/** What the verification of one credential found. */
export interface Finding<V> {
  readonly verdict: V;
  /** Remembered among the good ones; they are evicted only by others of theirs. */
  readonly good: boolean;
  /** performance.now() ms until which it is remembered; 0 for not at all. */
  readonly untilMs: number;
}

export interface VerdictBounds {
  /** Credentials being verified at once. */
  readonly running: number;
  /** Credentials that wait for that; beyond it nothing is taken. */
  readonly waiting: number;
  /** Verdicts remembered, good ones and bad ones each. */
  readonly remembered: number;
}

export class Verdicts<V> {
  private readonly bounds: VerdictBounds;
  private readonly good: Expiring<V>;
  private readonly bad: Expiring<V>;
  /** Being verified or waiting for it, by key: the same credential is never verified twice at once. */
  private readonly pending = new Map<string, Promise<V | null>>();
  private readonly queue: FairQueue;
  private running = 0;

  constructor(bounds: VerdictBounds) {
    this.bounds = bounds;
    this.queue = new FairQueue(bounds.waiting);
    this.good = new Expiring(bounds.remembered);
    this.bad = new Expiring(bounds.remembered);
  }

  /** The name under which a credential is remembered. */
  key(credential: string): string {
    salt ??= randomBytes(16).toString("hex");
    return hash("sha256", salt + credential, "base64url");
  }

  /** @returns undefined when nothing is known (any more) */
  recall(key: string, nowMs: number): V | undefined {
    return this.good.get(key, nowMs) ?? this.bad.get(key, nowMs);
  }

  /** It proved to be out of date. */
  forget(key: string): void {
    this.good.delete(key);
    this.bad.delete(key);
  }

  /**
   * Verifies a credential, or joins whoever does it already.
   * @param verify must not reject
   * @param source who asks; sources that wait have turns, whatever number of credentials each brings
   * @returns null when too many are waiting, at once or when another source took the place in line
   */
  decide(key: string, verify: () => Promise<Finding<V>>, source = ""): Promise<V | null> | null {
    const under = this.pending.get(key);
    if (under !== undefined) return under;
    if (this.running < this.bounds.running) {
      this.running++; // whoever waits takes over the place of the one before
      return this.begin(key, this.work(key, verify));
    }
    const turn = this.queue.wait(source);
    return turn === null ? null : this.begin(key, this.later(key, verify, turn));
  }

  private begin(key: string, verdict: Promise<V | null>): Promise<V | null> {
    this.pending.set(key, verdict);
    return verdict;
  }

  private async later(key: string, verify: () => Promise<Finding<V>>, turn: Promise<boolean>): Promise<V | null> {
    if (await turn) return this.work(key, verify);
    this.pending.delete(key);
    return null;
  }

  private async work(key: string, verify: () => Promise<Finding<V>>): Promise<V> {
    try {
      const { verdict, good, untilMs } = await verify();
      if (untilMs > 0) (good ? this.good : this.bad).set(key, verdict, untilMs);
      return verdict;
    } finally {
      this.pending.delete(key);
      if (!this.queue.next()) this.running--;
    }
  }
}
