// Owns one question to the origin on behalf of the store: asked once, whoever wants the answer follows it (follower.ts). It belongs to no client: the one that
// came first may go. Must never store a response that is not whole, and never make those wait for each other whom its answer does not serve.
import type { ErrorCode } from "../../base/errors.ts";
import type { HeaderList } from "../../base/header-list.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { shedByCaller } from "../exchange/overload.ts";
import type { Route } from "../exchange/runtime.ts";
import type { CallFailure, ResponseSink } from "../upstream/call-request.ts";
import type { WireHead } from "../upstream/upstream.ts";
import { UpstreamCall } from "../upstream/upstream-call.ts";
import { partHeaders } from "./entry.ts";
import type { FillContext, FillOrder } from "./fill-context.ts";
import { Follower, type SharedBody, type SharedHead } from "./follower.ts";
import type { Pieces } from "./growing-body.ts";
import { Intake } from "./intake.ts";
import { Passed } from "./passed.ts";
import { PeerAudience } from "./peer-audience.ts";
import type { PeerHead, PeerSink } from "./peers.ts";
import { type Asks, Question } from "./question.ts";
import type { CachedResponse } from "./response-cache.ts";
import { outdates, type Storable, type Unstorable } from "./rules/assess.ts";
import type { CacheOutcome } from "./rules/cache-status.ts";
import { ageOf, remainingOf } from "./rules/freshness.ts";
import { isOriginError } from "./rules/reuse.ts";
import { confirms, isAbout, updated } from "./rules/validation.ts";
import { variantKey } from "./rules/variant.ts";
import { shareAmong } from "./share.ts";
import { hasRoom, readByAll } from "./window.ts";

export class Fill extends Question implements ResponseSink, SharedBody {
  readonly #call: UpstreamCall;
  readonly #followers = new Set<Follower>();
  readonly #peers = new PeerAudience();
  readonly #intake: Intake;
  /** The client's request, by which the response was selected. */
  readonly #request: HeaderList;
  /** What all but the one who asked get of it. */
  #head: SharedHead | null = null;
  /** What that one gets: with what is for him alone, such as a cookie that is not stored. */
  #ownHead: SharedHead | null = null;
  trailers: HeaderList | null = null;
  #storable: Storable | null = null;
  #outcome: CacheOutcome;
  /** The only one who takes the response, as it is not stored. */
  #passed: Passed | null = null;
  #complete = false;
  #outgrown = false;
  #over = false;
  /** Its followers are being given to others: that they leave means nothing. */
  #handing = false;

  /** See Question. */
  constructor(order: FillOrder, context: FillContext, how: { readonly method: Asks; readonly background: boolean }) {
    super(order, context, how);
    const { x, upstream } = order;
    this.#request = x.headers;
    this.#intake = new Intake(order, context);
    this.#outcome = { forward: order.reason, forwardStatus: 0, ttl: null, stored: false, collapsed: false, detail: "" };
    this.#call = new UpstreamCall(upstream, this, this);
    x.runtime.inFlight++;
  }

  start(): void {
    const refusal = this.isRefresh ? null : this.#refusal(); // a refresh has been let in or not before
    if (refusal === null) return this.#call.start();
    const { detail, headers } = refusal;
    const { upstream } = this.order;
    this.onFailure({ code: "overloaded", detail, headers, overloadReason: "instance", hasFixedReply: false, upstream });
  }

  /** @returns why this worker does not take it: of all who want it already, behind a look into Redis, it has room for nobody; null when it does */
  #refusal(): ReturnType<typeof shedByCaller> {
    const refusal = shedByCaller(this.order.x);
    if (refusal === null || this.#peers.size > 0) return null;
    for (const { exchange } of this.#followers) if (exchange !== this.order.x && shedByCaller(exchange) === null) return null;
    return refusal;
  }

  /** Whether a request that comes now can be served by it: not one behind a purge which the answer, or what it validates, may be older than. */
  get isOpen(): boolean {
    if (this.#over || this.#passed !== null || this.#outgrown || !this.#intake.isCurrent) return false;
    return this.stored === null || this.#intake.isInForce(this.stored);
  }

  get vary(): readonly string[] {
    return this.#storable?.vary ?? [];
  }

  serves(x: Exchange): boolean {
    const { vary } = this;
    return x.headers === this.#request || vary.length === 0 || variantKey(vary, x.headers) === variantKey(vary, this.#request);
  }

  /** One more who wants the answer. Only while {@link isOpen}, and when it {@link serves} him. */
  join(x: Exchange, route: Route): void {
    const follower = new Follower(x, route, this);
    this.#followers.add(follower);
    if (this.#head !== null) this.#beginOne(follower, this.#head);
  }

  /** Another worker follows. Only while {@link isOpen}. @returns to be called when it no longer does */
  follow(sink: PeerSink): () => void {
    this.#peers.join(sink, this.#peerHead(), this.#intake.soFar);
    return () => {
      this.#peers.leave(sink);
      this.#leftAlone();
    };
  }

  #peerHead(): PeerHead | null {
    const head = this.#head;
    const storable = this.#storable;
    if (head === null || head.length < 0 || storable === null) return null;
    const { vary, freshness } = storable;
    return { ...head, initialAge: freshness.initialAge, outcome: this.#outcome, vary, variant: variantKey(vary, this.#request) };
  }

  // --- ResponseSink ---

  /** For whom the origin was asked; it is no part of what is stored (RFC 9111 section 3). */
  onInterim(status: number, headers: HeaderList): void {
    for (const follower of this.#followers) if (follower.exchange === this.order.x) follower.onInterim(status, headers);
  }

  onHead(status: number, head: WireHead): void {
    this.#outcome = { ...this.#outcome, forwardStatus: status };
    this.received(status, head);
    if (this.#passed !== null) {
      head.headers.push(...this.context.shown(this.order.x, this.#outcome, null)); // another attempt, after takeBack()
      return this.#passed.onHead(status, head);
    }
    const stored = this.stored;
    if (stored !== null && status === 304) return this.#validated(stored, head.headers);
    if (stored !== null && isOriginError(status) && this.context.mayStandIn(stored, this.order.x, null)) {
      this.#call.discard();
      return this.#serveStored(stored);
    }
    if (this.method === "HEAD") return this.#compared(stored, status, head);
    const judged = this.judge(status, head.headers);
    if (typeof judged === "string" || !this.#intake.accept(judged, status, head)) {
      const why = typeof judged === "string" ? judged : head.length > this.context.maxObjectBytes ? "too-large" : "not-stored";
      const mayLie = stored !== null || this.context.tier !== null; // in the fleet's Redis longer than here
      if (mayLie && outdates(status, why)) this.context.forget(this.order.key, this.#request);
      this.#dropStored();
      return this.#pass(status, head, why);
    }
    this.#dropStored();
    this.#storable = judged;
    const { receivedMs } = judged.freshness;
    this.#outcome = { ...this.#outcome, stored: true, ttl: remainingOf(judged.freshness, receivedMs) };
    this.#head = { status, headers: partHeaders(judged.headers).headers, length: head.length, receivedMs };
    this.#ownHead = { ...this.#head, headers: partHeaders(head.headers).headers };
    const peerHead = this.#peers.size === 0 ? null : this.#peerHead();
    if (peerHead !== null) this.#peers.begin(peerHead);
    this.#beginAll(this.#head);
  }

  /** Those whom the response selects as it did the one that was sent; the others go on by themselves. */
  #beginAll(head: SharedHead): void {
    for (const follower of [...this.#followers]) {
      if (this.serves(follower.exchange)) this.#beginOne(follower, head);
      else this.context.again(follower.release(), this.vary);
    }
  }

  #beginOne(follower: Follower, head: SharedHead): void {
    const { exchange: x } = follower;
    const freshness = this.#storable?.freshness;
    if (x === this.order.x) follower.begin(this.#ownHead ?? head, this.context.shown(x, this.#outcome, null));
    else {
      const age = freshness === undefined ? null : Math.floor(ageOf(freshness, Date.now()));
      follower.begin(head, this.context.shown(x, { ...this.#outcome, collapsed: true }, age));
    }
  }

  onData(chunk: Buffer): boolean {
    if (this.#passed !== null) return this.#passed.onData(chunk);
    const { bytes } = this.#intake;
    if (bytes === null) return true;
    if (!this.#outgrown && !bytes.append(chunk)) this.#outgrow(chunk);
    else if (this.#outgrown) (bytes as Pieces).slideOn(chunk, readByAll(this.#followers)); // only pieces outgrow their bounds
    if (this.#peers.size > 0) this.#peers.data(chunk);
    for (const follower of this.#followers) follower.pump();
    return this.#hasRoom();
  }

  /** More than is stored: it goes on as a relay for those who have begun. */
  #outgrow(chunk: Buffer): void {
    this.#outgrown = true;
    this.context.rememberUncacheable(0, "too-large");
    this.context.ended(this);
    this.#peers.finish({ kind: "released", detail: "too-large", status: 0 });
    if (this.#followers.size === 0) return this.#cancel();
    (this.#intake.bytes as Pieces).slideOn(chunk, readByAll(this.#followers)); // a body of known length fits
  }

  /** What is stored is read on whoever is slow; of what is not, only as much as its slowest reader has not read. */
  #hasRoom(): boolean {
    return !this.#outgrown || hasRoom(this.available, this.#followers, this.context);
  }

  onEnd(trailers: HeaderList | null): void {
    if (this.#passed !== null) {
      this.#passed.onEnd(trailers);
      return this.#end();
    }
    this.#complete = true;
    this.trailers = trailers;
    const stored = !this.#outgrown && trailers === null && this.#intake.store();
    this.context.ended(this);
    this.#peers.finish({ kind: "end" }, stored ? { kind: "stored" } : { kind: "released", detail: "not-stored", status: 0 });
    for (const follower of [...this.#followers]) follower.pump();
    this.#endIfUnread();
  }

  onFailure(failure: CallFailure): void {
    if (this.#passed !== null) {
      this.#passed.onFailure(failure);
      return this.#end();
    }
    const stored = this.stored;
    const { code } = failure;
    if (this.#head === null && stored !== null && this.context.mayStandIn(stored, this.order.x, code)) {
      this.#outcome = { ...this.#outcome, detail: code };
      return this.#serveStored(stored);
    }
    this.context.ended(this);
    if (this.background && this.#head === null && this.#isRefusal(code)) return this.#leaveToClients(failure);
    const { upstream: _own, ...told } = failure;
    this.#peers.finish({ kind: "failed", failure: told });
    for (const follower of [...this.#followers]) follower.fail(failure);
    this.#end();
  }

  /** There was no room for it, or it has waited for that until its time was over. */
  #isRefusal(code: ErrorCode): boolean {
    return code === "overloaded" || (code === "total_timeout" && this.record.attempts === 0);
  }

  /** It was refused as background work, which says nothing of a client's request: clients who joined it ask by themselves, in their own classes. */
  #leaveToClients(failure: CallFailure): void {
    this.#peers.finish({ kind: "stored" }); // their workers look, and ask
    const clients: Exchange[] = [];
    for (const follower of [...this.#followers]) {
      if (follower.exchange.isBackground) follower.fail(failure);
      else clients.push(follower.release());
    }
    this.#end();
    for (const x of clients) this.context.again(x, null);
  }

  takeBack(): boolean {
    if (this.#passed !== null) return this.#passed.takeBack();
    return this.#head === null;
  }

  /** The origin says that what is stored still holds. */
  #validated(stored: CachedResponse, fields: HeaderList): void {
    this.#call.discard();
    const { status, hidden } = stored.head;
    const headers = updated([...stored.head.headers, ...hidden], fields);
    const judged = isAbout(stored.head.headers, fields) ? this.judge(status, headers) : "no-validator";
    this.context.ended(this);
    if (typeof judged === "string") {
      // Not about what is stored, or no longer to be stored: whoever waits asks for himself, and nobody asks about it again.
      if (outdates(status, judged)) this.context.forget(this.order.key, this.#request);
      this.#peers.finish({ kind: "released", detail: judged, status });
      const waiting = this.#releaseAll();
      this.#dropStored();
      this.#end();
      for (const x of waiting) this.context.forward(x, judged);
      return;
    }
    const isStored = this.#intake.renew(stored, judged, headers);
    this.#peers.finish(isStored ? { kind: "stored" } : { kind: "released", detail: "not-stored", status: 0 });
    const fresh: CachedResponse = {
      head: { ...stored.head, ...partHeaders(judged.headers) },
      freshness: judged.freshness,
      length: stored.length,
      body: stored.body,
      isVoid: false,
      ready: null,
      sequence: stored.sequence,
      object: stored.object,
      release: () => stored.release(),
    };
    this.#serveAll(fresh, { ...this.#outcome, stored: isStored, ttl: remainingOf(fresh.freshness, fresh.freshness.receivedMs) });
  }

  /** What a HEAD says of what is stored (RFC 9111 section 4.3.5). It is stored itself by nobody. */
  #compared(stored: CachedResponse | null, status: number, head: WireHead): void {
    if (stored !== null && status === 200) {
      const said = confirms({ headers: stored.head.headers, length: stored.length }, head);
      if (said === "same") return this.#validated(stored, head.headers);
      const judged = this.judge(status, head.headers);
      if (said === "other" && (typeof judged !== "string" || outdates(status, judged))) this.context.forget(this.order.key, this.#request);
    }
    this.#dropStored();
    this.#pass(status, head, "head");
  }

  #serveStored(stored: CachedResponse): void {
    this.context.ended(this);
    this.#peers.finish({ kind: "stand-in", status: this.#outcome.forwardStatus });
    this.#serveAll(stored, { ...this.#outcome, ttl: remainingOf(stored.freshness, Date.now()) });
  }

  /** Each client gets it as a hit of its own. The bytes stay for as long as one of them reads. */
  #serveAll(stored: CachedResponse, outcome: CacheOutcome): void {
    const waiting = this.#releaseAll();
    this.stored = null;
    shareAmong(waiting, stored, (x, own) => this.context.serve(x, own, { ...outcome, collapsed: x !== this.order.x }));
    this.#end();
  }

  /** Not to be stored: whose request it answers takes it as it comes, and nobody else may have it; the others are let go at once. */
  #pass(status: number, head: WireHead, why: Unstorable | "too-large" | "not-stored" | "head"): void {
    if (why !== "head") this.context.rememberUncacheable(status, why);
    this.context.ended(this);
    this.#outcome = { ...this.#outcome, detail: why };
    this.#peers.finish({ kind: "released", detail: why, status });
    const { x: asker } = this.order;
    const waiting = this.#releaseAll();
    const others = waiting.filter((x) => x !== asker);
    if (others.length === waiting.length) {
      this.#call.discard();
      this.#end();
    } else {
      this.#passed = new Passed(asker, this.order.route, this.#call, () => this.#end());
      head.headers.push(...this.context.shown(asker, this.#outcome, null));
      this.#passed.onHead(status, head);
    }
    for (const x of others) this.context.forward(x, why);
  }

  #releaseAll(): readonly Exchange[] {
    this.#handing = true;
    return [...this.#followers].map((follower) => follower.release());
  }

  #dropStored(): void {
    this.stored?.release();
    this.stored = null;
  }

  #cancel(): void {
    this.#call.cancel();
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.context.ended(this);
    this.#dropStored();
    this.#intake.release();
    this.order.x.runtime.inFlight--;
  }

  #endIfUnread(): void {
    if (this.#complete && this.#followers.size === 0) this.#end();
  }

  // --- SharedBody ---

  get available(): number {
    return this.#intake.available;
  }

  get isComplete(): boolean {
    return this.#complete;
  }

  read(from: number, to: number): Buffer {
    return this.#intake.read(from, to);
  }

  progressed(): void {
    if (!this.#outgrown || this.#complete) return;
    (this.#intake.bytes as Pieces).dropBefore(readByAll(this.#followers)); // only pieces outgrow their bounds
    if (this.#hasRoom()) this.#call.resume();
  }

  left(follower: Follower): void {
    this.#followers.delete(follower);
    if (this.#followers.size > 0 && !this.#complete) return this.progressed();
    this.#leftAlone();
  }

  /** One who wanted it has gone. */
  #leftAlone(): void {
    if (this.#complete) return this.#endIfUnread();
    if (this.#followers.size > 0 || this.#peers.size > 0) return;
    // What is being stored is finished for those to come; what nobody has begun to answer, or what is not stored, is for nobody.
    const isWanted = !this.#outgrown && (this.background || this.#head !== null);
    if (!isWanted && this.#passed === null && !this.#over && !this.#handing) this.#cancel();
  }
}
