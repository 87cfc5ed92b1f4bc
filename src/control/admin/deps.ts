// What the admin listener needs from the primary. Types only: the admin listener decides nothing about the instance.
import type { InstanceState } from "../../observe/instance-state.ts";
import type { Totals } from "../../observe/totals.ts";
import type { Plan } from "../../plan/plan.ts";
import type { BreakerState } from "../breakers/breaker-control.ts";
import type { BreakerOrder } from "../breakers/breaker-driver.ts";
import type { CacheLook, CacheSummary, Purged } from "../cache/cache-control.ts";
import type { FleetTold, PurgeOrder } from "../cache/purge-order.ts";
import type { WarmState } from "../cache/warm-up.ts";
import type { ReloadResult } from "../plan/reload.ts";

export interface AdminDeps {
  /** Bearer token that callers over TCP must present; null or '' for none, then only loopback may call. May change on reload. */
  token(): string | null;
  state(): InstanceState;
  readonly totals: Totals;
  /** The plan in force; null before the first. */
  plan(): Plan | null;
  /** The configuration in force, secrets already redacted. */
  config(): unknown;
  /** Load, compile and switch; never rejects for a bad configuration. */
  reload(): Promise<ReloadResult>;
  /** Begin to drain and exit; returns at once. */
  drain(): void;
  /** Every circuit breaker. */
  breakers(): readonly BreakerState[];
  /** @param target null: the upstream's own breaker. @returns whether there is such a breaker */
  forceBreaker(upstream: string, target: string | null, order: BreakerOrder): Promise<boolean>;
  /** What is stored. Both reject with WalkRefused when the store cannot be gone over. */
  readonly cache: { look(url: string): Promise<CacheLook>; summary(): Promise<CacheSummary> };
  /** What is asked for ahead of clients; both null without a list, or before the first time. */
  readonly warmUp: { state(): WarmState | null; order(): WarmState | null };
  /** Here, and in the fleet. Rejects with WalkRefused. */
  purge(order: PurgeOrder): Promise<PurgeDone>;
  /**
   * POST /debug/..., only present with test hooks.
   * @returns null when there is no such action, else what to answer
   */
  debug?(action: string, query: URLSearchParams): Promise<unknown> | null;
}

export interface PurgeDone extends Purged {
  /** null without Redis. */
  readonly fleet: FleetTold | null;
}
