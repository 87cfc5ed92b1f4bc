// Owns what one route has in the fleet's Redis: what it asks for there, what it writes, and how a response found there comes into the store of this instance.
import type { HeaderList } from "../../base/header-list.ts";
import type { CacheSettings, TierPlan } from "../../plan/cache-plan.ts";
import type { LogPlace } from "../../shared/cache/tier-purges.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { CacheKey, FillBegin, NewEntry, ResponseCache } from "./response-cache.ts";
import { ageOf, type Freshness, remainingOf } from "./rules/freshness.ts";
import type { Tier, TierFind } from "./tier/tier.ts";

export interface RouteTierParts {
  readonly tier: Tier;
  readonly cache: ResponseCache;
  readonly settings: CacheSettings;
  readonly limits: TierPlan;
  /** The token of Cache-Status: caches of different names share nothing. */
  readonly name: string;
  /** See NewEntry. */
  readonly owner: number;
}

export class RouteTier {
  readonly #parts: RouteTierParts;
  readonly #space: string;

  constructor(parts: RouteTierParts) {
    this.#parts = parts;
    this.#space = `${parts.tier.prefix}:cache:${parts.name}:`;
  }

  /** Whether a look makes sense now. */
  get isUsable(): boolean {
    return this.#parts.tier.isUsable;
  }

  /** To be kept from before the origin is asked; null when the response is not to be written. */
  place(): LogPlace | null {
    return this.#parts.tier.place();
  }

  /** Looks for what a request selects. Never rejects. */
  look(key: CacheKey, request: HeaderList): Promise<TierFind | null> {
    const { tier, cache, limits } = this.#parts;
    const url = key.text.slice(0, key.text.indexOf("\n"));
    return tier.look({
      space: this.#space,
      text: cache.variantOf(key, request),
      url,
      urlNumber: key.stamp,
      limits,
      variantOf: (vary) => cache.nameOf(key, vary, request),
    });
  }

  /** Puts a find into the store of this instance. @param begin from before it was looked for @returns whether it is there now */
  adopt({ record, body, isSoft }: TierFind, key: CacheKey, { x, begin }: { readonly x: Exchange; readonly begin: FillBegin }): boolean {
    const { cache, owner } = this.#parts;
    const { status, headers, vary, tags } = record;
    const storable = { freshness: localFreshness(record.freshness, isSoft, Date.now()), vary, headers };
    const reservation = cache.reserve(
      { key, request: x.headers, storable, status, bodyBytes: body.length, tags, owner, replaces: null },
      begin,
    );
    if (reservation === null) return false;
    reservation.body.set(body);
    const stored = reservation.commit();
    reservation.release();
    return stored;
  }

  /** Writes what has just been stored here, in the background. @param place from before the origin was asked */
  share({ key, request, storable, status, bodyBytes, tags }: NewEntry, place: LogPlace | null, copyBody: () => Buffer): void {
    if (place === null) return;
    const { tier, cache, limits } = this.#parts;
    const { freshness, vary, headers } = storable;
    tier.write({
      space: this.#space,
      text: cache.nameOf(key, vary, request),
      variantOf: vary.length === 0 ? null : key.text,
      record: { status, vary, tags, headers, freshness, place },
      bodyBytes,
      copyBody,
      ttlMs: this.#usefulMs(freshness),
      limits,
    });
  }

  /** What is stored for a request is no longer true. */
  forget(key: CacheKey, request: HeaderList): void {
    const { tier, cache, limits } = this.#parts;
    tier.remove(this.#space, cache.variantOf(key, request), limits);
  }

  /** How long anything may still be done with it, ms. */
  #usefulMs(freshness: Freshness): number {
    if (freshness.noCache) return 0;
    const { staleIfOpen } = this.#parts.settings;
    const granted = freshness.neverStale ? 0 : Math.max(0, staleIfOpen);
    const stale = Math.max(freshness.staleWhileRevalidate, freshness.staleIfError, granted);
    return (remainingOf(freshness, Date.now()) + stale) * 1000;
  }
}

/** By this machine's clock: what seems to come from the future came now. What was purged softly is stale from now on. */
function localFreshness(freshness: Freshness, isSoft: boolean, nowMs: number): Freshness {
  const own = { ...freshness, receivedMs: Math.min(freshness.receivedMs, nowMs) };
  return isSoft ? { ...own, lifetime: Math.min(own.lifetime, ageOf(own, nowMs)) } : own;
}
