// Owns what the store does for one route's requests: serve what is there, ask once for what is not, pass by what is none of its business.
// Must never answer a request that the route's policies have not let through: it stands where the handler does.
import type { ErrorCode } from "../../base/errors.ts";
import { getHeader, getList, type HeaderList } from "../../base/header-list.ts";
import type { CacheSettings } from "../../plan/cache-plan.ts";
import { BACKGROUND } from "../../plan/overload-plan.ts";
import { keyedQuery, tagNumber, tagsIn, urlNumber } from "../../shared/cache/names.ts";
import { CACHE } from "../../shared/cache/outcomes.ts";
import type { Reasons } from "../../shared/cache/reasons.ts";
import { BODY_NONE, type Exchange } from "../exchange/exchange.ts";
import { shedByCaller } from "../exchange/overload.ts";
import type { ResponseHead } from "../exchange/policy.ts";
import { fail, reply } from "../exchange/reply.ts";
import type { Route } from "../exchange/runtime.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { PassesBy } from "./bypass.ts";
import { Fill } from "./fill.ts";
import type { FillContext, FillOrder } from "./fill-context.ts";
import { type FillTable, type Turn, UNLEASED } from "./fill-table.ts";
import { Follower } from "./follower.ts";
import type { ForwardOrder, HeadWatcher } from "./forward.ts";
import { isStorable, type KeyMaker, sentPath, urlOf } from "./key.ts";
import { ReadyServing } from "./ready-serving.ts";
import { RemoteFill } from "./remote-fill.ts";
import type { CachedResponse, CacheKey, ResponseCache } from "./response-cache.ts";
import { assess, type StoreRules } from "./rules/assess.ts";
import { type CacheOutcome, cacheStatus, type ForwardReason } from "./rules/cache-status.ts";
import { needsOrigin, select, wholeLength } from "./rules/conditions.ts";
import { type Directives, NO_DIRECTIVES } from "./rules/directives.ts";
import { ageOf, type Freshness, remainingOf } from "./rules/freshness.ts";
import { MARK, requestMarks } from "./rules/request-marks.ts";
import { howToUse, isOriginError, mayServeOnError, requestDirectives } from "./rules/reuse.ts";
import { StoredBody } from "./stored-body.ts";

/** Tags of one response that count; one with more is not found by the others. */
const TAGS_MAX = 64;
const NO_TAGS: readonly number[] = [];

/** What a route's cache is made of. */
export interface RouteCacheParts {
  readonly cache: ResponseCache;
  readonly fills: FillTable;
  readonly keys: KeyMaker;
  readonly settings: CacheSettings;
  /** The token of Cache-Status. */
  readonly name: string;
  readonly maxObjectBytes: number;
  /** An opaque number of the route. */
  readonly owner: number;
  /** The route asks who calls. */
  readonly authenticates: boolean;
  /** By which upstream a request would be answered: told apart when callers are given theirs by rule. */
  readonly keyedByUpstream: boolean;
  /** null: nothing does but what HTTP says. */
  readonly passesBy: PassesBy | null;
  readonly reasons: Reasons;
  /** Relays an exchange without the store. */
  forward(x: Exchange, order: ForwardOrder): void;
}

export class RouteCache {
  readonly #parts: RouteCacheParts;
  readonly #rules: StoreRules;
  readonly #ready: ReadyServing;

  constructor(parts: RouteCacheParts) {
    this.#parts = parts;
    this.#ready = new ReadyServing((x, stored, age) => this.#shown(x, hitOutcome(stored), age));
    const {
      ttl,
      byStatus,
      heuristic,
      staleWhileRevalidate,
      staleIfError,
      setCookie,
      perConsumer,
      clientControl,
      keyCookies,
      ignoresCookies,
    } = parts.settings;
    this.#rules = {
      ttl,
      byStatus: new Map(byStatus),
      heuristic,
      staleWhileRevalidate,
      staleIfError,
      setCookie,
      isKeyedByCaller: parts.authenticates && perConsumer,
      obeysRequests: clientControl,
      keyCookies,
      ignoresCookies,
    };
  }

  /** Answers an exchange that the policies have let through. Never throws. @param upstream that it would go to @param course what it has waited for already */
  handle(x: Exchange, route: Route, upstream: Upstream, course: Course = FIRST): void {
    const chosen = this.#parts.passesBy === null ? null : this.#parts.passesBy(x);
    if (chosen !== null)
      return this.#forward(x, route, upstream, { reason: "bypass", detail: chosen === "debug" ? "debug" : "configured" });
    if (x.method !== "GET" && x.method !== "HEAD") return this.#forward(x, route, upstream, { reason: "method", detail: "" });
    const marks = marksOf(x);
    const directives = (marks & MARK.directives) === 0 ? NO_DIRECTIVES : this.#directives(x);
    const reason = passesBy(x, marks, directives);
    const { keys, keyedByUpstream, cache } = this.#parts;
    const key = reason === null ? keys.of(x, keyedByUpstream || x.sentTo >= 0 ? upstream : null) : null;
    const stored = key === null ? null : cache.find(key, x.headers);
    if (key === null || (stored === null && !isStorable(key))) {
      // Section 5.2.1.7.
      if (directives.onlyIfCached) return fail(x, "cache_miss");
      return this.#forward(x, route, upstream, { reason: reason ?? "bypass", detail: reason === null ? "no-key" : "" });
    }
    if (stored === null)
      return this.#missed(x, { x, route, upstream, key, stored: null, validates: false, reason: "uri-miss", course }, directives);
    const nowMs = Date.now();
    const use = stored.freshness.receivedMs >= course.sinceMs && !stored.isVoid ? "fresh" : howToUse(inForce(stored), directives, nowMs);
    if (use === "validate") {
      const reason = directives.noCache || directives.maxAge >= 0 ? "request" : "stale";
      return this.#missed(x, { x, route, upstream, key, stored, validates: true, reason, course }, directives);
    }
    if (use === "background") this.#refresh(x, { x, route, upstream, key, reason: "stale", stored: null, validates: true, course });
    x.cacheResult = use === "fresh" ? CACHE.hit : CACHE.stale;
    if (use === "fresh" && isWhole(x, marks, stored) && this.#ready.serve(x, stored, nowMs)) return;
    this.#serve(x, route, stored, hitOutcome(stored));
  }

  #directives(x: Exchange): Readonly<Directives> {
    return this.#parts.settings.clientControl ? requestDirectives(x.headers) : NO_DIRECTIVES;
  }

  /** Nothing that may be served as it is. */
  #missed(x: Exchange, order: Order, directives: Directives): void {
    const { route, upstream, key, stored, reason } = order;
    x.cacheResult = CACHE.miss;
    if (directives.onlyIfCached) {
      stored?.release();
      return fail(x, "cache_miss");
    }
    if (stored !== null && x.method === "HEAD") return this.#compare(x, order);
    const { fills } = this.#parts;
    if (stored === null && x.method === "HEAD") return this.#forward(x, route, upstream, { reason, detail: "" });
    if (stored === null && getList(x.headers, "range") !== undefined) {
      const watcher = (_: Exchange, head: ResponseHead): void => this.#partCame(x, order, head);
      return this.#forward(x, route, upstream, { reason: "partial", detail: "", watcher });
    }
    if (fills.isUncacheable(kindOf(x, key))) {
      if (stored !== null && this.#mayStandIn(stored, directives, upstream)) return this.#askAlone(x, order);
      stored?.release();
      return this.#forward(x, route, upstream, { reason, detail: "remembered" });
    }
    const id = this.#questionOf(x, order, directives.noCache ? "!" : "");
    const running = fills.get(id);
    if (running?.isOpen === true && running.serves(x)) {
      stored?.release();
      return running.join(x, route);
    }
    const turn: Turn = order.course.alone ? UNLEASED : fills.turn(id);
    const context = this.#context(order, id, turn);
    const fill = turn.kind === "mine" ? new Fill(order, context, CLIENTS) : new RemoteFill(order, context);
    fills.set(id, fill);
    fill.join(x, route);
    if (fill instanceof Fill) fill.start();
    else if (turn.kind === "other") fill.start(turn.follow);
  }

  /**
   * A range of what is not stored goes to the origin as it is, whatever the size of the whole. What comes says whether that may be stored: then it is fetched
   * for those to come, and nobody waits for it.
   */
  #partCame(x: Exchange, order: Order, { status, headers, length }: ResponseHead): void {
    const { fills, keys, maxObjectBytes } = this.#parts;
    const whole = status === 206 ? wholeLength(headers) : status === 200 ? length : -1;
    if (whole < 0 || whole > maxObjectBytes || fills.isUncacheable(kindOf(x, order.key))) return;
    const now = Date.now();
    const asked = { method: "GET", requestHeaders: x.headers, sentHeaders: x.headers, hasUnproven: keys.hasUnproven(x, x.headers) };
    const judged = assess({ ...asked, status: 200, headers, times: { sentMs: now, receivedMs: now } }, this.#rules);
    if (typeof judged !== "string") this.#refresh(x, { ...order, reason: "partial" });
  }

  /** In any case. */
  #mayStandIn(stored: CachedResponse, directives: Directives, upstream: Upstream): boolean {
    const { staleIfOpen } = this.#parts.settings;
    const grants = [standInGrant("breaker_open", staleIfOpen, upstream), standInGrant("overloaded", staleIfOpen, upstream)];
    return mayServeOnError(inForce(stored), directives, Date.now(), Math.max(...grants));
  }

  /** Nobody waits for such an answer, but what is stored may take the place of one that does not come. */
  #askAlone(x: Exchange, order: Order): void {
    const fill = new Fill({ ...order, validates: false }, this.#context(order, "", UNLEASED), CLIENTS);
    fill.join(x, order.route);
    fill.start();
  }

  /** A HEAD is asked by HEAD: what comes says whether what is stored still holds, and brings it up to date (section 4.3.5). */
  #compare(x: Exchange, order: Order): void {
    const { fills } = this.#parts;
    const id = this.#questionOf(x, order, "^");
    for (const running of [fills.get(this.#questionOf(x, order, "")), fills.get(id)]) {
      if (running?.isOpen !== true || !running.serves(x)) continue;
      order.stored?.release();
      return running.join(x, order.route);
    }
    const fill = new Fill(order, this.#context(order, id, UNLEASED), HEADS);
    fills.set(id, fill);
    fill.join(x, order.route);
    fill.start();
  }

  /** The name of what has to be asked. What is under way may tell its variants apart before any is stored: each of the others is a question of its own. */
  #questionOf(x: Exchange, { key, course }: Order, mark: string): string {
    const { fills, cache } = this.#parts;
    if (course.vary !== null) return mark + cache.nameOf(key, course.vary, x.headers);
    const id = mark + cache.variantOf(key, x.headers);
    const running = fills.get(id);
    return running === undefined || running.serves(x) ? id : mark + cache.nameOf(key, running.vary, x.headers);
  }

  /** Fetches, or validates what has just been served, for those to come. */
  #refresh(x: Exchange, order: Order): void {
    const { fills, cache } = this.#parts;
    const { key, validates } = order;
    const id = cache.variantOf(key, x.headers);
    const { load, inFlight } = x.runtime.services;
    const rests = inFlight > load.free && load.refuses(BACKGROUND);
    const turn = !rests && fills.get(id) === undefined && fills.mayRefresh() ? fills.turn(id) : null;
    if (turn?.kind !== "mine") return;
    // Another reference than that of whom it is served to, and only for the one request of many that asks.
    const stored = validates ? cache.find(key, x.headers) : null;
    const fill = new Fill({ ...order, stored }, this.#context(order, id, turn), STORE);
    fills.set(id, fill);
    fill.start();
  }

  #context({ x, route, upstream, key }: Order, id: string, turn: Turn): FillContext {
    let isRunning = true;
    const { cache, fills, keys, maxObjectBytes, owner, settings } = this.#parts;
    return {
      cache,
      budget: fills.pieces,
      maxObjectBytes,
      rules: this.#rules,
      owner,
      tagsOf: (headers) => this.#tags(headers),
      sentPath: (x, path) => sentPath(x, path, settings.query),
      hasUnproven: (x, sent) => keys.hasUnproven(x, sent),
      isKeyed: (x, name) => settings.keyHeaders.includes(name) || keys.adds(x, name),
      shown: (x, outcome, age) => {
        x.cacheResult = outcome.collapsed ? CACHE.collapsed : CACHE.miss;
        return this.#shown(x, outcome, age);
      },
      mayStandIn: (stored, x, code) =>
        mayServeOnError(inForce(stored), this.#directives(x), Date.now(), standInGrant(code, settings.staleIfOpen, upstream)),
      serve: (x, stored, outcome) => {
        x.cacheResult = outcome.collapsed
          ? CACHE.collapsed
          : outcome.forwardStatus === 304 || outcome.stored
            ? CACHE.revalidated
            : CACHE.stale;
        this.#serve(x, route, stored, outcome);
      },
      again: (x, vary) => this.handle(x, route, upstream, { ...FIRST, vary }),
      alone: (x, sinceMs) => this.handle(x, route, upstream, { ...FIRST, alone: true, sinceMs }),
      forward: (x, detail) => this.#forward(x, route, upstream, { reason: "uri-miss", detail }),
      rememberUncacheable: (status, why) => {
        // That there was no room for it passes too.
        fills.rememberUncacheable(kindOf(x, key), isOriginError(status) || why === "not-stored");
        this.#parts.reasons.note(key.stamp, why);
      },
      ended: (fill) => {
        fills.delete(id, fill);
        if (isRunning && turn.kind === "mine") turn.release();
        isRunning = false;
      },
    };
  }

  #serve(x: Exchange, route: Route, stored: CachedResponse, outcome: CacheOutcome): void {
    const { head, freshness, length } = stored;
    const age = Math.floor(ageOf(freshness, Date.now()));
    x.cacheAge = age;
    x.clientInfo(); // while it can be known: the access log wants it
    const follower = new Follower(x, route, new StoredBody(stored));
    follower.begin({ status: head.status, headers: head.headers, length, receivedMs: freshness.receivedMs }, this.#shown(x, outcome, age));
  }

  #shown(x: Exchange, outcome: CacheOutcome, age: number | null): HeaderList {
    const fields: HeaderList = age === null ? [] : ["age", String(age)];
    if (this.#parts.settings.showStatus || x.isBackground) fields.push("cache-status", cacheStatus(this.#parts.name, outcome));
    return fields;
  }

  #forward(x: Exchange, route: Route, upstream: Upstream, why: ForwardCause): void {
    x.cacheResult = PASSING.has(why.reason) ? CACHE.bypass : CACHE.miss;
    const { reasons, settings } = this.#parts;
    const noted = why.detail === "debug" || why.detail === "no-key" ? why.detail : why.reason;
    if (PASSING.has(why.reason) && why.reason !== "method") reasons.note(urlNumber(urlOf(x, keyedQuery(x.query, settings.query))), noted);
    if (settings.showStatus || x.isBackground) {
      const outcome = { forward: why.reason, forwardStatus: 0, ttl: null, stored: false, collapsed: false, detail: why.detail };
      x.addResponseHeader("cache-status", cacheStatus(this.#parts.name, outcome));
    }
    const refusal = shedByCaller(x);
    if (refusal === null) this.#parts.forward(x, { route, upstream, watcher: why.watcher ?? null });
    else reply(x, refusal);
  }

  #tags(headers: HeaderList): readonly number[] {
    const { tagFields } = this.#parts.settings;
    if (tagFields.length === 0) return NO_TAGS;
    const tags = new Set<number>();
    for (const name of tagFields) {
      for (const tag of tagsIn(getList(headers, name) ?? "")) if (tags.size < TAGS_MAX) tags.add(tagNumber(tag));
    }
    return [...tags];
  }
}

/** Why a request is not answered by the store. */
interface ForwardCause {
  readonly reason: ForwardReason;
  readonly detail: string;
  readonly watcher?: HeadWatcher;
}

/** For whom is asked. */
const CLIENTS = { method: "GET", background: false } as const;
const STORE = { method: "GET", background: true } as const;
const HEADS = { method: "HEAD", background: false } as const;

/** What an exchange has waited for already. */
interface Course {
  /** It is answered by this worker, whatever others ask. */
  readonly alone: boolean;
  /** What has arrived since (Date.now() ms) is what it has waited for: it is served, fresh or not. Infinity for nothing. */
  readonly sinceMs: number;
  /** The fields by which the answer that it waited for turned out to be another variant's. */
  readonly vary: readonly string[] | null;
}

/** Reasons for which the store was none of the request's business. */
const PASSING: ReadonlySet<ForwardReason> = new Set(["bypass", "method", "request"]);

const FIRST: Course = { alone: false, sinceMs: Number.POSITIVE_INFINITY, vary: null };

interface Order extends FillOrder {
  readonly course: Course;
}

function marksOf({ headers, sharedHeaders }: Exchange): number {
  if (sharedHeaders === null) return requestMarks(headers);
  if (sharedHeaders.cacheMarks < 0) sharedHeaders.cacheMarks = requestMarks(headers);
  return sharedHeaders.cacheMarks;
}

/** All of what is stored is what the request gets. */
const isWhole = (x: Exchange, marks: number, { head, freshness, length }: CachedResponse): boolean =>
  x.method === "GET" &&
  ((marks & MARK.own) === 0 || select(x.method, x.headers, { ...head, receivedMs: freshness.receivedMs }, length).kind === "whole");

/** @returns why a GET or HEAD is none of the store's business; null when it is */
function passesBy(x: Exchange, marks: number, directives: Directives): ForwardReason | null {
  if (x.bodyKind !== BODY_NONE || x.wantsWebSocket || needsOrigin(marks)) return "bypass";
  return directives.noStore ? "request" : null;
}

/** Purged softly: stale from now on, for as long as what is stale may be used. */
function inForce({ freshness, isVoid }: CachedResponse): Freshness {
  return isVoid ? { ...freshness, lifetime: Math.min(freshness.lifetime, ageOf(freshness, Date.now())) } : freshness;
}

/** Requests that are alike in what can keep an answer from being stored: those of one kind do not speak for another. */
const kindOf = (x: Exchange, { text }: CacheKey): string =>
  `${text}\u0002${getHeader(x.headers, "authorization") === undefined ? "" : "a"}${getHeader(x.headers, "cookie") === undefined ? "" : "c"}`;

/** @param code of the gateway's own error @param staleIfOpen of the route, seconds; -1 for not given. @returns how long after its lifetime a response may stand in by the operator's word, seconds */
function standInGrant(code: ErrorCode | null, staleIfOpen: number, { plan }: Upstream): number {
  if (code !== "breaker_open" && code !== "overloaded") return 0;
  if (staleIfOpen >= 0) return staleIfOpen;
  const fallback = plan.breaker?.fallback ?? null;
  if (code === "overloaded" || fallback?.kind !== "stale") return 0;
  return fallback.forS < 0 ? Number.POSITIVE_INFINITY : fallback.forS;
}

const hitOutcome = ({ freshness }: CachedResponse): CacheOutcome => ({
  forward: null,
  forwardStatus: 0,
  ttl: remainingOf(freshness, Date.now()),
  stored: false,
  collapsed: false,
  detail: "",
});
