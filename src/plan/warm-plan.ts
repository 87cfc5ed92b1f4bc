// What is asked for ahead of clients, so that the response store has it. Types only.
import type { HeaderList } from "../base/header-list.ts";

/** One request of the gateway's own, through its whole pipeline. */
export interface WarmRequest {
  /** As operators write it. */
  readonly url: string;
  readonly scheme: "http" | "https";
  /** Host header. */
  readonly authority: string;
  /** As written: admission normalises it. */
  readonly path: string;
  /** '' for none. */
  readonly query: string;
  /** Flat, names lowercase, without Host. */
  readonly headers: Readonly<HeaderList>;
}

export interface WarmPlan {
  readonly requests: readonly WarmRequest[];
  /** Requests at once. */
  readonly concurrency: number;
}

/**
 * stored: it is there now. present: it was there, fresh. failed: neither.
 * @property reason of a failure, for operators; '' for none
 */
export interface WarmOutcome {
  readonly result: "stored" | "present" | "failed";
  readonly reason: string;
}
