// Owns what the bodies of requests are held to in one worker, whoever reads them: bytes held by all workers together, bodies arriving from one
// address, and the least pace (body-watch.ts). Requests without a body and bodies that come at once pay nothing of the latter two.

import type { AddressBucket } from "../../../shared/address-bucket.ts";
import type { AddressCounts } from "../../../shared/address-counts.ts";
import type { BodyBudget } from "../../../shared/body-budget.ts";
import type { Exchange } from "../exchange.ts";
import { BodyWatch, type WatchedBody } from "./body-watch.ts";

/** Said to who has too many. */
const TOO_MANY = "too many request bodies of this address are arriving at once (limits.bodiesPerAddress)";
/** Said in the log. */
export const NO_ROOM = "limits.bufferedBodyBytes of request bodies are held already";

export class BodyLimits {
  readonly #budget: BodyBudget;
  readonly #counts: AddressCounts;
  readonly #buckets: AddressBucket;
  /** Bodies that began in this turn of the event loop. */
  #fresh: WatchedBody[] = [];

  constructor(budget: BodyBudget, counts: AddressCounts, buckets: AddressBucket) {
    this.#budget = budget;
    this.#counts = counts;
    this.#buckets = buckets;
  }

  /** Bytes that this worker keeps. */
  get heldBytes(): number {
    return this.#budget.held;
  }

  /** Bytes of an exchange's body are kept from now on: until they are let go, or the exchange is over. @returns false when there is no room */
  hold(x: Exchange, bytes: number): boolean {
    if (!this.#budget.take(bytes, x.runtime.limits.bufferedBodyBytes)) return false;
    x.heldBodyBytes += bytes;
    return true;
  }

  letGo(x: Exchange, bytes: number): void {
    x.heldBodyBytes -= bytes;
    this.#budget.give(bytes);
  }

  /** A body is awaited. What of it is not there when this turn of the event loop is over is watched, and counted for its address. */
  watch(body: WatchedBody): void {
    if (this.#fresh.push(body) === 1) setImmediate(() => this.#lookAtFresh());
  }

  /** The exchange is over: what its body held is free. */
  over(x: Exchange): void {
    if (x.heldBodyBytes > 0) this.letGo(x, x.heldBodyBytes);
    if (x.bodyWatch !== null) this.arrived(x);
  }

  /** The whole body is there. */
  arrived(x: Exchange): void {
    const watch = x.bodyWatch;
    if (watch === null) return;
    x.bodyWatch = null;
    watch.end();
    if (watch.bucket >= 0) this.#counts.leave(watch.bucket);
  }

  #lookAtFresh(): void {
    const bodies = this.#fresh;
    this.#fresh = [];
    for (const body of bodies) {
      const { x } = body;
      if (x.bodyDone || x.finished || x.closed) continue;
      try {
        this.#begin(body);
      } catch (error) {
        x.runtime.services.reportFault("watching a request body failed", error, x.requestId);
        body.bodyRefused("internal_error", "");
      }
    }
  }

  #begin(body: WatchedBody): void {
    const { x } = body;
    const { bodiesPerAddress } = x.runtime.limits;
    let bucket = -1;
    if (bodiesPerAddress !== null && x.clientInfo().ip !== "") {
      bucket = this.#buckets.of(x.clientInfo().ip);
      if (!this.#counts.enter(bucket, bodiesPerAddress)) return body.bodyRefused("concurrency_limited", TOO_MANY);
    }
    x.bodyWatch = new BodyWatch(body, bucket);
  }
}
