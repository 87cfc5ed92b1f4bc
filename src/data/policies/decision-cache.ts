// Owns the decisions that a worker keeps for a while. Must never keep a failure, a cookie, or a refusal other than 401 and 403.

import type { CacheConfig } from "./config-subrequest.ts";
import { type Decision, isSmall, lifetimeMs, type ServiceAnswer } from "./decision.ts";
import { Expiring } from "./expiring.ts";

const CACHED_DENIALS: ReadonlySet<number> = new Set([401, 403]);

export class DecisionCache {
  readonly #config: CacheConfig;
  /** Apart, so that a flood of refused requests drives out nobody who may pass. */
  readonly #allowed: Expiring<Decision>;
  readonly #denied: Expiring<Decision>;

  constructor(config: CacheConfig) {
    this.#config = config;
    this.#allowed = new Expiring(config.entries);
    this.#denied = new Expiring(config.entries);
  }

  /** @param nowMs performance.now() */
  recall(key: string, nowMs: number): Decision | undefined {
    return this.#allowed.get(key, nowMs) ?? this.#denied.get(key, nowMs);
  }

  /** @param answer that the decision was made of */
  keep(key: string, decision: Decision, answer: Pick<ServiceAnswer, "headers">, nowMs: number): void {
    if (!isSmall(decision)) return;
    const { forMs, deniedForMs } = this.#config;
    if (decision.kind === "allowed") {
      this.#denied.delete(key);
      const ms = lifetimeMs(answer, forMs);
      if (ms > 0) this.#allowed.set(key, decision, nowMs + ms);
    } else if (decision.kind === "denied" && CACHED_DENIALS.has(decision.answer.status)) {
      this.#allowed.delete(key); // of two subrequests at once
      const ms = lifetimeMs(answer, deniedForMs);
      if (ms > 0) this.#denied.set(key, decision, nowMs + ms);
    }
  }
}
