// Owns what operators do with the store of responses: purge, and look at what is there and why something is not. Primary only; must never hold up
// whoever serves: the store is gone over in slices (store-walk.ts).
import { decodeHead, freshnessFrom, stampsFrom } from "../../data/cache/entry.ts";
import { ageOf, remainingOf } from "../../data/cache/rules/freshness.ts";
import { proxyOf } from "../../data/handlers/proxy/config.ts";
import type { Plan } from "../../plan/plan.ts";
import type { AccountHolder } from "../../shared/cache/accounts.ts";
import type { RouteStoreCounts, StoreCounts, StoreState } from "../../shared/cache/counts.ts";
import { keyedQuery, ownerNumber, type QueryRule, tagNumber, urlNumber } from "../../shared/cache/names.ts";
import type { Reason, Reasons } from "../../shared/cache/reasons.ts";
import type { Stamps } from "../../shared/cache/stamps.ts";
import type { ObjectView, ResponseStore } from "../../shared/cache/store.ts";
import type { NotedOrder } from "../../shared/cache/tier-purges.ts";
import type { PurgeOrder } from "./purge-order.ts";
import { StoreWalk } from "./store-walk.ts";

/** Rules of queries that are remembered. With more than these, a purge by URL is one by all that its path has. */
const RULES_MAX = 256;
/** Responses of one URL that are shown. */
const SHOWN_MAX = 1000;

/** @property removed responses that a walk has removed, or made stale; null where none was needed: what is named by URL or tag is void at once, and leaves with time */
export interface Purged {
  readonly removed: number | null;
}

export interface StoredResponse {
  readonly url: string;
  /** '' for one that is gone: nobody finds its responses any more. */
  readonly route: string;
  readonly status: number;
  readonly ageSeconds: number;
  readonly lifetimeSeconds: number;
  /** It was purged softly, or its lifetime is over: served only where a stale response may be. */
  readonly stale: boolean;
  readonly softlyPurged: boolean;
  /** Head and key included. */
  readonly bytes: number;
  readonly bodyBytes: number;
  /** Request fields by which its variants are told apart. */
  readonly vary: readonly string[];
  readonly storedAt: string;
}

export interface CacheLook {
  readonly url: string;
  readonly stored: readonly StoredResponse[];
  /** There are more. */
  readonly more: boolean;
  /** Why the last request that the store could not answer, or whose response it did not take, went by it; null when nothing is known of one. */
  readonly lastNotStored: { readonly reason: Reason; readonly at: string } | null;
}

export interface CacheSummary extends StoreCounts {
  readonly routes: readonly RouteSummary[];
}

interface RouteSummary {
  /** '' for those that are gone. */
  readonly route: string;
  readonly responses: number;
  readonly bytes: number;
  /** `maxShare` in bytes; null for none. */
  readonly limitBytes: number | null;
  /** What counts against it: replaced responses too, until their memory is used again. null where that is not known, as of `evicted`. */
  readonly occupiedBytes: number | null;
  /** Ever. */
  readonly evicted: number | null;
}

export interface CacheControlParts {
  readonly store: ResponseStore;
  readonly stamps: Stamps;
  readonly reasons: Reasons;
}

interface CachingRoute extends AccountHolder {
  readonly name: string;
  readonly query: QueryRule;
}

const cachingRoutes = (plan: Plan): readonly CachingRoute[] =>
  plan.routes.flatMap(({ name, handler }) => {
    const cache = proxyOf(handler)?.cache ?? null;
    return cache === null ? [] : [{ name, query: cache.query, owner: ownerNumber(name), share: cache.maxShare }];
  });

export class CacheControl {
  readonly #store: ResponseStore;
  readonly #stamps: Stamps;
  readonly #reasons: Reasons;
  readonly #walk: StoreWalk;
  /** All that were ever in force, by their text: what was stored under one is found again when it comes back. */
  readonly #rules = new Map<string, QueryRule>([["all", { kind: "all" }]]);
  #forgotRules = false;
  readonly #routes = new Map<number, string>();

  constructor({ store, stamps, reasons }: CacheControlParts) {
    this.#store = store;
    this.#stamps = stamps;
    this.#reasons = reasons;
    this.#walk = new StoreWalk(store);
  }

  /** A plan may come into force: before any worker stores anything under it. */
  expect(plan: Plan): void {
    const routes = cachingRoutes(plan);
    this.#store.accounts.open(routes, new Set([...this.#routes.keys(), ...routes.map(({ owner }) => owner)]));
    for (const { query } of routes) {
      const text = JSON.stringify(query);
      if (this.#rules.has(text)) continue;
      if (this.#rules.size < RULES_MAX) this.#rules.set(text, query);
      else this.#forgotRules = true;
    }
  }

  /** It is in force. */
  follow(plan: Plan): void {
    this.#routes.clear();
    const routes = cachingRoutes(plan);
    for (const { owner, name } of routes) this.#routes.set(owner, name);
    this.#store.accounts.setLimits(routes);
  }

  /** What an order names, in numbers, under every rule. */
  named({ soft, everything, urls, prefixes, tags, changed = [] }: PurgeOrder): NotedOrder {
    const names = [...changed, ...urls.flatMap((url) => [...this.#namesOf(url)].map(urlNumber)), ...tags.map(tagNumber)];
    return { soft, everything, names, prefixes: [...prefixes, ...this.#forgotten(urls)] };
  }

  /** Beginnings of URLs whose names under some rule are no longer known. */
  #forgotten(urls: readonly string[]): readonly string[] {
    return this.#forgotRules ? urls.map((url) => url.split("?", 1)[0] ?? url) : [];
  }

  counts(): StoreState {
    return { ...this.#store.counts(), routes: this.#routeCounts() };
  }

  /** Of the routes that are counted by themselves: all, where there are not many hundreds of them. */
  #routeCounts(): readonly RouteStoreCounts[] {
    return [...this.#routes].flatMap(([owner, route]) => {
      const counts = this.#store.accounts.counts(owner);
      return counts === null ? [] : [{ route, ...counts }];
    });
  }

  /**
   * What is named by URL or tag is void when this returns, prefixes and everything when the promise resolves.
   * @throws WalkRefused when the store could not be gone over: prefixes are then not purged, or not all of them
   */
  async purge(order: PurgeOrder): Promise<Purged> {
    const { soft, everything, urls, prefixes, tags, changed = [] } = order;
    for (const number of changed) this.#stamps.purgeUrl(number, soft);
    for (const url of urls) for (const name of this.#namesOf(url)) this.#stamps.purgeUrl(urlNumber(name), soft);
    for (const tag of tags) this.#stamps.purgeTag(tagNumber(tag), soft);
    const begins = [...prefixes, ...this.#forgotten(urls)].map((text) => Buffer.from(text, "latin1"));
    if (!everything && begins.length === 0) return { removed: null };
    this.#stamps.beginWalk(); // whoever is being answered now does not store it
    let softened = 0;
    const removed = await this.#walk.run((object) => {
      if (!everything && !begins.some((begin) => object.keyBegins(begin))) return false;
      if (!soft) return true;
      object.setMark(1);
      softened++;
      return false;
    });
    return { removed: removed + softened };
  }

  /** What the keys of a URL begin with, under every rule. */
  #namesOf(url: string): ReadonlySet<string> {
    const mark = url.indexOf("?");
    if (mark < 0) return new Set([url]);
    const [path, query] = [url.slice(0, mark), url.slice(mark + 1)];
    return new Set(
      [...this.#rules.values()].map((rule) => {
        const kept = keyedQuery(query, rule);
        return kept === "" ? path : `${path}?${kept}`;
      }),
    );
  }

  /** @param url in the form of cachedUrls() @throws WalkRefused */
  async look(url: string): Promise<CacheLook> {
    const names = [...this.#namesOf(url)];
    const begins = names.map((name) => Buffer.from(`${name}\n`, "latin1"));
    const stored: StoredResponse[] = [];
    let more = false;
    await this.#walk.run((object) => {
      if (!begins.some((begin) => object.keyBegins(begin))) return false;
      const shown = this.#shown(object);
      if (shown !== null && stored.length >= SHOWN_MAX) more = true;
      else if (shown !== null) stored.push(shown);
      return false;
    });
    const reasons = names.map((name) => this.#reasons.of(urlNumber(name))).filter((each) => each !== null);
    const [last] = reasons.sort((a, b) => b.atMs - a.atMs);
    return { url, stored, more, lastNotStored: last === undefined ? null : { reason: last.reason, at: new Date(last.atMs).toISOString() } };
  }

  /** @returns null for what is no response, or void */
  #shown(object: ObjectView): StoredResponse | null {
    const { status, vary, stamps } = decodeHead(object.head.toString("latin1"));
    const fact = (index: number): number => object.fact(index);
    const { hard, soft } = stampsFrom(fact);
    if (status === 0 || this.#stamps.hard(stamps) !== hard) return null;
    const freshness = freshnessFrom(fact);
    const nowMs = Date.now();
    const softlyPurged = object.mark !== 0 || this.#stamps.soft(stamps) !== soft;
    return {
      url: object.key.split("\n", 1)[0] ?? "",
      route: this.#routes.get(object.owner) ?? "",
      status,
      ageSeconds: Math.floor(ageOf(freshness, nowMs)),
      lifetimeSeconds: Math.floor(freshness.lifetime),
      stale: softlyPurged || remainingOf(freshness, nowMs) <= 0,
      softlyPurged,
      bytes: object.occupiedBytes,
      bodyBytes: object.bodyBytes,
      vary,
      storedAt: new Date(freshness.receivedMs).toISOString(),
    };
  }

  /** @throws WalkRefused */
  async summary(): Promise<CacheSummary> {
    const counted = new Map<string, { responses: number; bytes: number }>();
    for (const name of this.#routes.values()) counted.set(name, { responses: 0, bytes: 0 });
    await this.#walk.run((object) => {
      const route = this.#routes.get(object.owner) ?? "";
      const count = counted.get(route) ?? { responses: 0, bytes: 0 };
      count.responses++;
      count.bytes += object.occupiedBytes;
      counted.set(route, count);
      return false;
    });
    const accounts = new Map(this.#routeCounts().map((each) => [each.route, each]));
    const routes = [...counted].map(([route, count]) => {
      const { limitBytes = null, occupiedBytes = null, evicted = null } = accounts.get(route) ?? {};
      return { route, ...count, limitBytes, occupiedBytes, evicted };
    });
    return { ...this.#store.counts(), routes };
  }
}
