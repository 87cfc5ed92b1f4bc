// Owns the judgement whether a worker's event loop is blocked, from the age of its heartbeat. Decides when to speak, not what to do.

export interface WatchdogLimits {
  /** A heartbeat older than this (ms) is reported. */
  readonly timeoutMs: number;
  /** A heartbeat older than this (ms) is beyond waiting; 0: never. */
  readonly replaceAfterMs: number;
}

export interface WatchdogEvents {
  /** @param policy of the user's own that the worker is in; null for none */
  blocked(seat: number, ageMs: number, policy: string | null): void;
  recovered(seat: number): void;
  /** Once for each blocking: the worker will not come back by waiting. */
  replace(seat: number, ageMs: number, policy: string | null): void;
}

/** A reading of one worker's heartbeat. */
export interface Beat {
  readonly seat: number;
  /** ms since its last sign of life. */
  readonly ageMs: number;
  /** The policy of the user's own that it was in when it was looked at; null for none. */
  readonly policy: string | null;
}

export class Watchdog {
  #limits: WatchdogLimits;
  readonly #events: WatchdogEvents;
  /** Blocked seats; true once `replace` was said. */
  readonly #blocked = new Map<number, boolean>();

  constructor(limits: WatchdogLimits, events: WatchdogEvents) {
    this.#limits = limits;
    this.#events = events;
  }

  /** From a new configuration. */
  set limits(limits: WatchdogLimits) {
    this.#limits = limits;
  }

  /** Seats whose worker is blocked now. */
  get blocked(): readonly number[] {
    return [...this.#blocked.keys()];
  }

  /** Call regularly. @param beats every worker that should be alive; one that is missing (replaced) is no longer blocked */
  look(beats: readonly Beat[]): void {
    const { timeoutMs, replaceAfterMs } = this.#limits;
    const late = new Set<number>();
    for (const { seat, ageMs, policy } of beats) {
      if (ageMs <= timeoutMs) continue;
      late.add(seat);
      if (!this.#blocked.has(seat)) {
        this.#blocked.set(seat, false);
        this.#events.blocked(seat, ageMs, policy);
      }
      if (replaceAfterMs > 0 && ageMs > replaceAfterMs && this.#blocked.get(seat) === false) {
        this.#blocked.set(seat, true);
        this.#events.replace(seat, ageMs, policy);
      }
    }
    for (const seat of this.#blocked.keys()) {
      if (late.has(seat)) continue;
      this.#blocked.delete(seat);
      this.#events.recovered(seat);
    }
  }

  /** The replacement did not work out: say `replace` again when it is still blocked. */
  retry(): void {
    for (const seat of this.#blocked.keys()) this.#blocked.set(seat, false);
  }
}
