// Owns what the clients of this worker get of an answer that another worker fetches. Must never leave them waiting for a worker that is gone, and never ask
// for them in its place all at once.
import { WheelEntry } from "../../base/timer-wheel.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Route } from "../exchange/runtime.ts";
import type { FillContext, FillOrder } from "./fill-context.ts";
import { Follower, type SharedBody, type SharedHead } from "./follower.ts";
import type { PeerFailure, PeerFollower, PeerHead, PeerNews } from "./peers.ts";
import type { CachedResponse, FillBegin } from "./response-cache.ts";
import { remainingOf } from "./rules/freshness.ts";
import { variantKey } from "./rules/variant.ts";
import { shareAmong } from "./share.ts";

/** How long (ms) beyond the time that the request has the other worker may say nothing. */
const PATIENCE_MS = 1000;
/** The time of a request that has no bound. */
const UNBOUNDED_MS = 60_000;

export class RemoteFill extends WheelEntry implements PeerFollower, SharedBody {
  readonly #order: FillOrder;
  readonly #context: FillContext;
  readonly #followers = new Set<Follower>();
  #stored: CachedResponse | null;
  #head: SharedHead | null = null;
  #peerHead: PeerHead | null = null;
  #bytes: Buffer | null = null;
  #available = 0;
  #over = false;
  #leave: () => void = () => {};
  readonly trailers = null;
  readonly #sinceMs = Date.now();
  /** What was purged before anybody here wanted it. */
  readonly #begun: FillBegin;

  constructor(order: FillOrder, context: FillContext) {
    super();
    this.#order = order;
    this.#context = context;
    this.#stored = order.stored;
    this.#begun = context.cache.begin(order.key);
  }

  /** @param follow tells the other worker. @returns what ends it */
  start(follow: (follower: PeerFollower) => () => void): void {
    const { x, upstream, route } = this.#order;
    const totalMs = route.settings.timeouts?.totalMs ?? upstream.plan.timeouts.totalMs;
    x.runtime.inFlight++;
    x.runtime.services.wheel.arm(this, (totalMs || UNBOUNDED_MS) + PATIENCE_MS);
    this.#leave = follow(this);
  }

  /** See Fill.isOpen. */
  get isOpen(): boolean {
    if (this.#over || !this.#begun.isCurrent(true)) return false;
    const { key, x } = this.#order;
    return this.#stored === null || this.#context.cache.isInForce(this.#stored, key, x.headers);
  }

  get vary(): readonly string[] {
    return this.#peerHead?.vary ?? [];
  }

  serves(x: Exchange): boolean {
    const head = this.#peerHead;
    return head === null || head.vary.length === 0 || variantKey(head.vary, x.headers) === head.variant;
  }

  join(x: Exchange, route: Route): void {
    const follower = new Follower(x, route, this);
    this.#followers.add(follower);
    if (this.#head !== null) this.#begin(follower, this.#head);
  }

  // --- PeerFollower ---

  news(news: PeerNews): void {
    if (this.#over) return;
    switch (news.kind) {
      case "head":
        return this.#headCame(news.head);
      case "data":
        return this.#dataCame(news.bytes);
      case "end":
        return this.#ended();
      case "stored":
        return this.#handOver((x) => this.#context.alone(x, this.#sinceMs));
      case "released":
        this.#context.rememberUncacheable(news.status, news.detail);
        return this.#handOver((x) => this.#context.forward(x, news.detail));
      case "stand-in":
        return this.#standIn(news.status);
      case "failed":
        return this.#failed(news.failure);
    }
  }

  lost(): void {
    if (this.#head !== null) this.#failed(LOST);
    else this.#handOver((x) => this.#context.alone(x, this.#sinceMs));
  }

  onDeadline(): void {
    this.lost();
  }

  #headCame(head: PeerHead): void {
    this.#peerHead = head;
    this.#bytes = Buffer.allocUnsafe(head.length);
    this.#head = { status: head.status, headers: head.headers, length: head.length, receivedMs: head.receivedMs };
    for (const follower of [...this.#followers]) {
      if (this.serves(follower.exchange)) this.#begin(follower, this.#head);
      else this.#context.again(follower.release(), head.vary);
    }
  }

  #begin(follower: Follower, head: SharedHead): void {
    const peer = this.#peerHead as PeerHead; // it has begun
    const age = Math.floor(peer.initialAge + Math.max(0, Date.now() - peer.receivedMs) / 1000);
    follower.begin(head, this.#context.shown(follower.exchange, { ...peer.outcome, collapsed: true }, age));
  }

  #dataCame(bytes: Uint8Array): void {
    this.#bytes?.set(bytes, this.#available);
    this.#available += bytes.length;
    for (const follower of this.#followers) follower.pump();
  }

  #ended(): void {
    this.#context.ended(this);
    for (const follower of [...this.#followers]) follower.pump();
    this.#end();
  }

  #standIn(status: number): void {
    const stored = this.#stored;
    if (stored === null) return this.#handOver((x) => this.#context.forward(x, "stale"));
    this.#stored = null;
    const ttl = remainingOf(stored.freshness, Date.now());
    const outcome = { forward: this.#order.reason, forwardStatus: status, ttl, stored: false, collapsed: true, detail: "" };
    const waiting: Exchange[] = [];
    this.#handOver((x) => waiting.push(x));
    shareAmong(waiting, stored, (x, own) => this.#context.serve(x, own, outcome));
  }

  #failed(failure: PeerFailure): void {
    this.#context.ended(this);
    for (const follower of [...this.#followers]) follower.fail({ ...failure, upstream: this.#order.upstream });
    this.#end();
  }

  #handOver(take: (x: Exchange) => void): void {
    const waiting = [...this.#followers].map((follower) => follower.release());
    this.#context.ended(this);
    for (const x of waiting) take(x);
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    const { runtime } = this.#order.x;
    runtime.services.wheel.disarm(this);
    runtime.inFlight--;
    this.#context.ended(this);
    this.#stored?.release();
    this.#stored = null;
  }

  // --- SharedBody ---

  get available(): number {
    return this.#available;
  }

  get isComplete(): boolean {
    return this.#head !== null && this.#available === this.#head.length;
  }

  read(from: number, to: number): Buffer {
    return (this.#bytes as Buffer).subarray(from, Math.min(to, this.#available)); // some of it is available
  }

  progressed(): void {}

  left(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0 || this.#over || this.isComplete) return;
    this.#leave();
    this.#end();
  }
}

const LOST: PeerFailure = {
  code: "upstream_reset",
  detail: "the worker that fetched the response is gone",
  headers: undefined,
  overloadReason: null,
  hasFixedReply: false,
};
