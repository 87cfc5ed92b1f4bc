// Owns what the store does for one route's requests: serve what is there, ask once for what is not, pass by what is none of its business.
// Must never answer a request that the route's policies have not let through: it stands where the handler does.
import { getList, type HeaderList } from "../../base/header-list.ts";
import type { CacheSettings } from "../../plan/cache-plan.ts";
import { keyedQuery, tagNumber, tagsIn, urlNumber } from "../../shared/cache/names.ts";
import { CACHE } from "../../shared/cache/outcomes.ts";
import type { Reasons } from "../../shared/cache/reasons.ts";
import { BODY_NONE, type Exchange } from "../exchange/exchange.ts";
import { fail } from "../exchange/reply.ts";
import type { Route } from "../exchange/runtime.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { PassesBy } from "./bypass.ts";
import { Fill } from "./fill.ts";
import type { FillContext, FillOrder } from "./fill-context.ts";
import { type FillTable, type Turn, UNLEASED } from "./fill-table.ts";
import { Follower } from "./follower.ts";
import { type KeyMaker, urlOf } from "./key.ts";
import { RemoteFill } from "./remote-fill.ts";
import type { CachedResponse, ResponseCache } from "./response-cache.ts";
import type { StoreRules } from "./rules/assess.ts";
import { type CacheOutcome, cacheStatus, type ForwardReason } from "./rules/cache-status.ts";
import { needsOrigin } from "./rules/conditions.ts";
import { type Directives, NO_DIRECTIVES } from "./rules/directives.ts";
import { ageOf, remainingOf } from "./rules/freshness.ts";
import { invalidated, isUnsafe } from "./rules/invalidation.ts";
import { howToUse, mayServeOnError, requestDirectives, type Use } from "./rules/reuse.ts";
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
  forward(x: Exchange, route: Route, upstream: Upstream): void;
}

export class RouteCache {
  readonly #parts: RouteCacheParts;
  readonly #rules: StoreRules;

  constructor(parts: RouteCacheParts) {
    this.#parts = parts;
    const { ttl, byStatus, heuristic, staleWhileRevalidate, staleIfError, setCookie, perConsumer } = parts.settings;
    this.#rules = {
      ttl,
      byStatus: new Map(byStatus),
      heuristic,
      staleWhileRevalidate,
      staleIfError,
      setCookie,
      isKeyedByCaller: parts.authenticates && perConsumer,
    };
  }

  /** Answers an exchange that the policies have let through. Never throws. @param upstream that it would go to @param alone whatever other workers ask */
  handle(x: Exchange, route: Route, upstream: Upstream, alone = false): void {
    const { keys, keyedByUpstream, cache, passesBy } = this.#parts;
    const chosen = passesBy === null ? null : passesBy(x);
    if (chosen !== null)
      return this.#forward(x, route, upstream, { reason: "bypass", detail: chosen === "debug" ? "debug" : "configured" });
    const reason = this.#passesBy(x);
    if (reason !== null) return this.#forward(x, route, upstream, { reason, detail: "" });
    const key = keys.of(x, keyedByUpstream || x.sentTo >= 0 ? upstream : null);
    if (key === null) return this.#forward(x, route, upstream, { reason: "bypass", detail: "no-key" });
    const directives = this.#directives(x);
    const stored = cache.find(key, x.headers);
    if (stored === null) return this.#missed(x, { x, route, upstream, key, stored: null, reason: "uri-miss", alone }, directives);
    const use = this.#use(stored, directives);
    if (use === "validate") {
      const reason = directives.noCache || directives.maxAge >= 0 ? "request" : "stale";
      return this.#missed(x, { x, route, upstream, key, stored, reason, alone }, directives);
    }
    if (use === "background") this.#refresh(x, { x, route, upstream, key, reason: "stale", stored: cache.find(key, x.headers), alone });
    x.cacheResult = use === "fresh" ? CACHE.hit : CACHE.stale;
    this.#serve(x, route, stored, hitOutcome(stored));
  }

  /** @returns why a request is none of the store's business; null when it is */
  #passesBy(x: Exchange): ForwardReason | null {
    if (x.method !== "GET" && x.method !== "HEAD") return "method";
    if (x.bodyKind !== BODY_NONE || x.wantsWebSocket || needsOrigin(x.headers)) return "bypass";
    return this.#parts.settings.clientControl && requestDirectives(x.headers).noStore ? "request" : null;
  }

  #directives(x: Exchange): Readonly<Directives> {
    return this.#parts.settings.clientControl ? requestDirectives(x.headers) : NO_DIRECTIVES;
  }

  #use(stored: CachedResponse, directives: Directives): Use {
    const { freshness, isVoid } = stored;
    // Purged softly: stale from now on, for as long as what is stale may be used.
    if (!isVoid) return howToUse(freshness, directives, Date.now());
    return howToUse({ ...freshness, lifetime: Math.min(freshness.lifetime, ageOf(freshness, Date.now())) }, directives, Date.now());
  }

  /** Nothing that may be served as it is. */
  #missed(x: Exchange, order: Order, directives: Directives): void {
    const { route, upstream, key, stored, reason } = order;
    x.cacheResult = CACHE.miss;
    if (directives.onlyIfCached) {
      stored?.release();
      return fail(x, "cache_miss");
    }
    const { fills, cache } = this.#parts;
    const isPartial = getList(x.headers, "range") !== undefined && stored === null;
    const isHead = x.method === "HEAD" && stored === null;
    if (isPartial || isHead || fills.isUncacheable(key.text)) {
      stored?.release();
      return this.#forward(x, route, upstream, { reason: isPartial ? "partial" : reason, detail: isPartial || isHead ? "" : "remembered" });
    }
    const id = `${directives.noCache ? "!" : ""}${cache.variantOf(key, x.headers)}`;
    const running = fills.get(id);
    if (running?.isOpen === true) {
      stored?.release();
      return running.join(x, route);
    }
    const turn: Turn = order.alone ? UNLEASED : fills.turn(id);
    const context = this.#context(order, id, turn);
    const fill = turn.kind === "mine" ? new Fill(order, context, false) : new RemoteFill(order, context);
    fills.set(id, fill);
    fill.join(x, route);
    if (fill instanceof Fill) fill.start();
    else if (turn.kind === "other") fill.start(turn.follow);
  }

  /** Validates what has just been served, for those to come. */
  #refresh(x: Exchange, order: Order): void {
    const { fills, cache } = this.#parts;
    const { key, stored } = order;
    const id = cache.variantOf(key, x.headers);
    const turn = fills.get(id) === undefined && fills.mayRefresh() ? fills.turn(id) : null;
    if (turn?.kind !== "mine") return stored?.release();
    const fill = new Fill(order, this.#context(order, id, turn), true);
    fills.set(id, fill);
    fill.start();
  }

  #context({ route, upstream, key }: Order, id: string, turn: Turn): FillContext {
    let isRunning = true;
    const { cache, fills, maxObjectBytes, owner, settings } = this.#parts;
    return {
      cache,
      budget: fills.pieces,
      maxObjectBytes,
      rules: this.#rules,
      owner,
      tagsOf: (headers) => this.#tags(headers),
      sentPath: (x) => this.#sentPath(x),
      shown: (x, outcome, age) => {
        x.cacheResult = outcome.collapsed ? CACHE.collapsed : CACHE.miss;
        return this.#shown(outcome, age);
      },
      mayStandIn: (stored, x, open) =>
        mayServeOnError(
          stored.freshness,
          x === null ? NO_DIRECTIVES : this.#directives(x),
          Date.now(),
          open ? Math.max(0, settings.staleIfOpen) : 0,
        ),
      serve: (x, stored, outcome) => {
        x.cacheResult = outcome.collapsed ? CACHE.collapsed : outcome.forwardStatus === 304 ? CACHE.revalidated : CACHE.stale;
        this.#serve(x, route, stored, outcome);
      },
      again: (x) => this.handle(x, route, upstream),
      alone: (x) => this.handle(x, route, upstream, true),
      forward: (x, detail) => this.#forward(x, route, upstream, { reason: "uri-miss", detail }),
      rememberUncacheable: (why) => {
        fills.rememberUncacheable(key.text);
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
    follower.begin({ status: head.status, headers: head.headers, length, receivedMs: freshness.receivedMs }, this.#shown(outcome, age));
  }

  #shown(outcome: CacheOutcome, age: number | null): HeaderList {
    const fields: HeaderList = age === null ? [] : ["age", String(age)];
    if (this.#parts.settings.showStatus) fields.push("cache-status", cacheStatus(this.#parts.name, outcome));
    return fields;
  }

  #forward(x: Exchange, route: Route, upstream: Upstream, why: { readonly reason: ForwardReason; readonly detail: string }): void {
    x.cacheResult = PASSING.has(why.reason) ? CACHE.bypass : CACHE.miss;
    const { reasons, settings } = this.#parts;
    const noted = why.detail === "debug" || why.detail === "no-key" ? why.detail : why.reason;
    if (PASSING.has(why.reason) && why.reason !== "method") reasons.note(urlNumber(urlOf(x, keyedQuery(x.query, settings.query))), noted);
    if (settings.showStatus) {
      const outcome = { forward: why.reason, forwardStatus: 0, ttl: null, stored: false, collapsed: false, detail: why.detail };
      x.addResponseHeader("cache-status", cacheStatus(this.#parts.name, outcome));
    }
    this.#parts.forward(x, route, upstream);
  }

  /** An unsafe request has been answered by the origin (RFC 9111 section 4.4). */
  changed(x: Exchange, status: number, headers: HeaderList): void {
    if (!isUnsafe(x.method)) return;
    const url = urlOf(x, "");
    const target = x.query === "" ? x.path : `${x.path}?${x.query}`;
    const origin = url.slice(0, url.length - x.path.length);
    for (const changed of invalidated({ method: x.method, status, headers, origin, target })) {
      const [path = "/", query = ""] = changed.split("?", 2);
      const keyed = keyedQuery(query, this.#parts.settings.query);
      this.#parts.cache.invalidate(`${origin}${path}${keyed === "" ? "" : `?${keyed}`}`);
    }
  }

  /** What does not count in the key is not sent. */
  #sentPath(x: Exchange): string {
    const { query } = this.#parts.settings;
    const mark = x.upstreamPath.indexOf("?");
    if (query.kind === "all" || mark < 0) return x.upstreamPath;
    const kept = keyedQuery(x.upstreamPath.slice(mark + 1), query);
    const path = x.upstreamPath.slice(0, mark);
    return kept === "" ? path : `${path}?${kept}`;
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

interface Order extends FillOrder {
  /** Whatever other workers ask. */
  readonly alone: boolean;
}

/** Reasons for which the store was none of the request's business. */
const PASSING: ReadonlySet<ForwardReason> = new Set(["bypass", "method", "request"]);

const hitOutcome = ({ freshness }: CachedResponse): CacheOutcome => ({
  forward: null,
  forwardStatus: 0,
  ttl: remainingOf(freshness, Date.now()),
  stored: false,
  collapsed: false,
  detail: "",
});
