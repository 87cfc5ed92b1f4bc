// Owns what the store does for one route's requests: serve what is there, ask once for what is not, pass by what is none of its business.
// Must never answer a request that the route's policies have not let through: it stands where the handler does.
import { getList, type HeaderList } from "../../base/header-list.ts";
import type { CacheSettings } from "../../plan/cache-plan.ts";
import { BACKGROUND } from "../../plan/overload-plan.ts";
import { keyedQuery, tagNumber, tagsIn, urlNumber } from "../../shared/cache/names.ts";
import { CACHE } from "../../shared/cache/outcomes.ts";
import type { Reasons } from "../../shared/cache/reasons.ts";
import type { Exchange } from "../exchange/exchange.ts";
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
import { type FillKind, lookAlone, lookFirst, mayLook } from "./looks.ts";
import { ReadyServing } from "./ready-serving.ts";
import { RemoteFill } from "./remote-fill.ts";
import { inForce, isWhole, kindOf, marksOf, passesBy, settleClient } from "./requests.ts";
import type { CachedResponse, ResponseCache } from "./response-cache.ts";
import type { RouteTier } from "./route-tier.ts";
import { assess, type StoreRules } from "./rules/assess.ts";
import { type CacheOutcome, cacheStatus, type ForwardReason, hitOutcome } from "./rules/cache-status.ts";
import { wholeLength } from "./rules/conditions.ts";
import { type Directives, NO_DIRECTIVES } from "./rules/directives.ts";
import { ageOf, remainingOf } from "./rules/freshness.ts";
import { MARK } from "./rules/request-marks.ts";
import { howToUse, isOriginError, mayServeOnError, requestDirectives } from "./rules/reuse.ts";
import { standInGrant } from "./stand-in.ts";
import { StoredBody } from "./stored-body.ts";
import type { TierLook } from "./tier-look.ts";

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
  /** null: what is stored stays in this instance. */
  readonly tier: RouteTier | null;
  /** Relays an exchange without the store. */
  forward(x: Exchange, order: ForwardOrder): void;
}

export class RouteCache {
  readonly #parts: RouteCacheParts;
  readonly #rules: StoreRules;
  readonly #ready: ReadyServing;

  constructor(parts: RouteCacheParts) {
    this.#parts = parts;
    this.#ready = new ReadyServing((x, stored, age) => this.#shown(x, hitOutcome(remainingOf(stored.freshness, Date.now()), ""), age));
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
    if (stored === null) {
      settleClient(x, null);
      return this.#missed(x, { x, route, upstream, key, stored, validates: false, reason: "uri-miss", course }, directives);
    }
    const nowMs = Date.now();
    const arrived = stored.freshness.receivedMs >= course.sinceMs && !stored.isVoid;
    const use = arrived ? "fresh" : howToUse(inForce(stored, nowMs), directives, nowMs);
    const isHit = use === "fresh" && course.looked === "";
    if (isHit) {
      x.cacheResult = CACHE.hit;
      if (isWhole(x, marks, stored) && this.#ready.serve(x, stored, nowMs)) return;
    }
    settleClient(x, stored);
    if (use === "validate") {
      const reason = directives.noCache || directives.maxAge >= 0 ? "request" : "stale";
      return this.#missed(x, { x, route, upstream, key, stored, validates: true, reason, course }, directives);
    }
    if (use === "background") this.#refresh(x, { x, route, upstream, key, reason: "stale", stored: null, validates: true, course });
    if (!isHit) x.cacheResult = use === "fresh" ? CACHE.redis : CACHE.stale;
    this.#serve(x, route, stored, hitOutcome(remainingOf(stored.freshness, nowMs), course.looked === "" ? "" : "redis"));
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
    const isPart = stored === null && getList(x.headers, "range") !== undefined;
    if ((isPart || (stored === null && x.method === "HEAD")) && this.#looksAlone(x, order)) return;
    if (stored === null && x.method === "HEAD") return this.#forward(x, route, upstream, { reason, detail: "" });
    if (isPart) {
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
    if (turn.kind === "other") {
      const remote = new RemoteFill(order, context);
      fills.set(id, remote);
      remote.join(x, route);
      return remote.start(turn.follow);
    }
    // Who asks for something newer asks the origin.
    const fill =
      reason === "request" || directives.noCache ? new Fill(order, context, CLIENTS) : this.#newFill(order, id, { context, kind: CLIENTS });
    fills.set(id, fill);
    fill.join(x, route);
    fill.start();
  }

  /** Asks the origin, on a route that shares with the fleet after a look there. */
  #newFill(order: Order, id: string, { context, kind }: { readonly context: FillContext; readonly kind: FillKind }): Fill | TierLook {
    const { tier } = this.#parts;
    if (!mayLook(tier, order.course, id)) return new Fill(order, context, kind);
    return lookFirst({ order, context, tier, id, kind, fills: this.#parts.fills, looked: this.#afterLook(order, id) });
  }

  /** What fills nothing may be answered from what the fleet has. @returns false when there is nothing to be looked for */
  #looksAlone(x: Exchange, order: Order): boolean {
    const { tier, fills, cache } = this.#parts;
    const id = tier === null ? "" : `?${cache.variantOf(order.key, x.headers)}`;
    if (!mayLook(tier, order.course, id) || fills.isUncacheable(kindOf(x, order.key))) return false;
    const running = fills.get(id);
    const context = this.#context(order, id, UNLEASED);
    lookAlone({ order, context, tier, id, kind: null, fills, looked: this.#afterLook(order, id) }, running);
    return true;
  }

  #afterLook({ route, upstream }: Order, id: string): (x: Exchange) => void {
    return (x) => this.handle(x, route, upstream, { ...FIRST, looked: id });
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
    const nowMs = Date.now();
    return mayServeOnError(inForce(stored, nowMs), directives, nowMs, Math.max(...grants));
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
    const turn = fills.get(id) === undefined && fills.mayRefresh() ? fills.turn(id) : null;
    if (turn?.kind !== "mine") return;
    const { load, inFlight } = x.runtime.services;
    if (inFlight > load.free && load.refuses(BACKGROUND)) return turn.release(); // last: the question counts, and may take what a class has
    // Another reference than that of whom it is served to, and only for the one request of many that asks.
    const stored = validates ? cache.find(key, x.headers) : null;
    const fill = this.#newFill({ ...order, stored }, id, { context: this.#context(order, id, turn), kind: STORE });
    fills.set(id, fill);
    fill.start();
  }

  #context({ x, route, upstream, key }: Order, id: string, turn: Turn): FillContext {
    let isRunning = true;
    const { cache, fills, keys, maxObjectBytes, owner, settings, tier } = this.#parts;
    return {
      cache,
      tier,
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
      mayStandIn: (stored, x, code) => {
        const nowMs = Date.now();
        return mayServeOnError(inForce(stored, nowMs), this.#directives(x), nowMs, standInGrant(code, settings.staleIfOpen, upstream));
      },
      serve: (x, stored, outcome) => {
        x.cacheResult = outcome.collapsed
          ? CACHE.collapsed
          : outcome.forwardStatus === 304 || outcome.stored
            ? CACHE.revalidated
            : CACHE.stale;
        this.#serve(x, route, stored, outcome);
      },
      forget: (key, request) => {
        tier?.forget(key, request);
        cache.forget(key, request);
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
  /** The question for which the fleet's Redis was asked, and had the answer; '' for none. */
  readonly looked: string;
}

/** Reasons for which the store was none of the request's business. */
const PASSING: ReadonlySet<ForwardReason> = new Set(["bypass", "method", "request"]);

const FIRST: Course = { alone: false, sinceMs: Number.POSITIVE_INFINITY, vary: null, looked: "" };

interface Order extends FillOrder {
  readonly course: Course;
}
