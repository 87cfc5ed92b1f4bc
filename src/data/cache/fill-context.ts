// What a question to the origin uses of its route, and what it is about. Types only.
import type { ErrorCode } from "../../base/errors.ts";
import type { HeaderList } from "../../base/header-list.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Route } from "../exchange/runtime.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { PieceBudget } from "./growing-body.ts";
import type { CachedResponse, CacheKey, ResponseCache } from "./response-cache.ts";
import type { RouteTier } from "./route-tier.ts";
import type { StoreRules } from "./rules/assess.ts";
import type { CacheOutcome, ForwardReason } from "./rules/cache-status.ts";

/** What a fill needs to know of the route's cache. */
export interface FillContext {
  readonly cache: ResponseCache;
  readonly budget: PieceBudget;
  readonly maxObjectBytes: number;
  readonly rules: StoreRules;
  /** null: what is stored stays in this instance. */
  readonly tier: RouteTier | null;
  /** An opaque number of the route. */
  readonly owner: number;
  tagsOf(headers: HeaderList): readonly number[];
  /** Of path and query as policies have left them, what is sent: when not all of the query counts. */
  sentPath(x: Exchange, path: string): string;
  /** The origin gets an Authorization that no authenticator has looked at. @param sent header section */
  hasUnproven(x: Exchange, sent: HeaderList): boolean;
  /** Whether policies put this field into the request by what the key holds. @param name lowercase */
  isKeyed(x: Exchange, name: string): boolean;
  /** Fields for one client: Age, Cache-Status. Notes for log and metrics how it is answered. */
  shown(x: Exchange, outcome: CacheOutcome, age: number | null): HeaderList;
  /** Whether a stored response may be served in place of an error. @param code of the gateway's own; null for the origin's answer */
  mayStandIn(stale: CachedResponse, x: Exchange, code: ErrorCode | null): boolean;
  /** Serves a stored response to one client. */
  serve(x: Exchange, stored: CachedResponse, outcome: CacheOutcome): void;
  /** What is stored for a request is no longer true. */
  forget(key: CacheKey, request: HeaderList): void;
  /** Answers an exchange by a request of its own: what it waited for is not for it. @param vary the fields by which variants are told apart; null: that is not known */
  again(x: Exchange, vary: readonly string[] | null): void;
  /** Answers it by this worker, whoever else asks too; by what has arrived since, however short it lives: that is what it has waited for. @param sinceMs Date.now() */
  alone(x: Exchange, sinceMs: number): void;
  /** Without looking into the store. */
  forward(x: Exchange, detail: string): void;
  /** The answer is not one to wait for: further requests of its kind go on by themselves for a while. @param status of it; 0 when that is not known */
  rememberUncacheable(status: number, why: string): void;
  /** Nobody may join any more. */
  ended(fill: object): void;
}

/** What is asked, and why. */
export interface FillOrder {
  readonly x: Exchange;
  readonly route: Route;
  readonly upstream: Upstream;
  readonly key: CacheKey;
  readonly reason: ForwardReason;
  /** What is to be validated, or may stand in; owned by the fill. null for none. */
  readonly stored: CachedResponse | null;
  /** It is asked whether that still holds; else only for a new one. */
  readonly validates: boolean;
}
