// What a route's cache wants of whoever relays a request that it does not answer. Types only.
import type { Exchange } from "../exchange/exchange.ts";
import type { ResponseHead } from "../exchange/policy.ts";
import type { Route } from "../exchange/runtime.ts";
import type { Upstream } from "../upstream/upstream.ts";

/** Sees the head of a response, with addresses of the client's side, before it goes to the client. Must not change it. */
export type HeadWatcher = (x: Exchange, head: ResponseHead) => void;

/** A request to be relayed without the store. */
export interface ForwardOrder {
  readonly route: Route;
  readonly upstream: Upstream;
  /** null: nobody. */
  readonly watcher: HeadWatcher | null;
}
