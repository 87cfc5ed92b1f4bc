// Owns one look into the fleet's Redis on behalf of all who want the same response: what is found is in the store when they are answered, what is not is asked of the
// origin, under the same lease, for the same clients. Must never hold up a client for longer than the tier takes at most.
import { crashed } from "../exchange/crash.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Route } from "../exchange/runtime.ts";
import type { Fill } from "./fill.ts";
import type { FillContext, FillOrder } from "./fill-context.ts";
import type { RunningFill } from "./fill-table.ts";
import { Follower, type SharedBody } from "./follower.ts";
import type { PeerSink } from "./peers.ts";
import type { CachedResponse, FillBegin } from "./response-cache.ts";
import type { RouteTier } from "./route-tier.ts";
import { NO_DIRECTIVES } from "./rules/directives.ts";
import { howToUse } from "./rules/reuse.ts";
import type { TierFind } from "./tier/tier.ts";

export interface LookParts {
  readonly tier: RouteTier;
  /** Of the fill that comes when nothing is found. */
  readonly context: FillContext;
  /** See Fill. */
  readonly isBackground: boolean;
  /** It is in the store now, or nowhere. */
  looked(x: Exchange): void;
  /** Makes the question that takes the place of the look among what is under way; null: who finds nothing asks by himself. */
  readonly ask: ((order: FillOrder) => Fill) | null;
}

export class TierLook implements RunningFill, SharedBody {
  readonly vary: readonly string[] = [];
  readonly available = 0;
  readonly isComplete = false;
  readonly trailers = null;
  readonly #order: FillOrder;
  readonly #parts: LookParts;
  readonly #begin: FillBegin;
  readonly #followers = new Map<Follower, Route>();
  /** With what ends it, once the origin is asked. */
  readonly #peers = new Map<PeerSink, (() => void) | null>();
  #over = false;
  #handing = false;

  constructor(order: FillOrder, parts: LookParts) {
    order.x.clientInfo(); // while it can be known
    order.stored?.release(); // it may be purged meanwhile, and is found again then
    this.#order = order;
    this.#parts = parts;
    this.#begin = parts.context.cache.begin(order.key);
  }

  start(): void {
    const { x, key } = this.#order;
    x.runtime.inFlight++;
    void this.#parts.tier.look(key, x.headers).then((find) => this.#answered(find));
  }

  get isOpen(): boolean {
    return !this.#over;
  }

  serves(): boolean {
    return true;
  }

  join(x: Exchange, route: Route): void {
    this.#followers.set(new Follower(x, route, this), route);
  }

  follow(sink: PeerSink): () => void {
    this.#peers.set(sink, null);
    return () => {
      const leave = this.#peers.get(sink);
      this.#peers.delete(sink);
      leave?.();
      this.#leftAlone();
    };
  }

  /** Never throws: whoever waits would wait for ever. */
  #answered(find: TierFind | null): void {
    const { x, key } = this.#order;
    x.runtime.inFlight--;
    if (this.#over) return;
    this.#over = true;
    const { cache } = this.#parts.context;
    if (find !== null && this.#isNewer(find)) this.#parts.tier.adopt(find, key, { x, begin: this.#begin });
    const stored = cache.find(key, x.headers);
    const use = stored === null || stored.isVoid ? "validate" : howToUse(stored.freshness, NO_DIRECTIVES, Date.now());
    const { ask, looked } = this.#parts;
    if (use === "validate" && ask !== null) return this.#ask(stored, ask);
    stored?.release();
    const waiting = this.#releaseAll();
    this.#parts.context.ended(this);
    for (const sink of this.#peers.keys()) sink.tell({ kind: "stored" });
    for (const each of waiting.keys()) guarded(each, looked);
  }

  /** Than what is here. */
  #isNewer({ record }: TierFind): boolean {
    const { x, key } = this.#order;
    const stored = this.#parts.context.cache.find(key, x.headers);
    stored?.release();
    return stored === null || record.freshness.receivedMs > stored.freshness.receivedMs;
  }

  /** @param stored what may be validated, or stand in; owned by the fill */
  #ask(stored: CachedResponse | null, ask: (order: FillOrder) => Fill): void {
    const waiting = this.#releaseAll();
    const [first = this.#order.x] = waiting.keys();
    const reason = stored === null ? "uri-miss" : "stale";
    const fill = ask({ ...this.#order, x: first, stored, validates: stored !== null, reason });
    for (const [x, route] of waiting) fill.join(x, route);
    for (const sink of this.#peers.keys()) this.#peers.set(sink, fill.follow(sink));
    fill.start();
  }

  #releaseAll(): ReadonlyMap<Exchange, Route> {
    this.#handing = true;
    return new Map([...this.#followers].map(([follower, route]) => [follower.release(), route]));
  }

  #leftAlone(): void {
    const isWanted = this.#followers.size > 0 || this.#peers.size > 0 || this.#parts.isBackground;
    if (isWanted || this.#over || this.#handing) return;
    this.#over = true;
    this.#parts.context.ended(this);
  }

  // --- SharedBody: nothing comes from here ---

  read(): Buffer {
    throw new RangeError("a look has no body");
  }

  progressed(): void {}

  left(follower: Follower): void {
    this.#followers.delete(follower);
    this.#leftAlone();
  }
}

/** What goes wrong with one who has waited is his alone, and nobody else would see to his end. */
function guarded(x: Exchange, work: (x: Exchange) => void): void {
  try {
    work(x);
  } catch (error) {
    crashed(x, error, "answering what waited for Redis failed inside the gateway");
  }
}
