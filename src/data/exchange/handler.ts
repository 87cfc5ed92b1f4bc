// The interface of handlers: how a route answers. Exactly one a route, chosen at load.
import type { Exchange } from "./exchange.ts";
import type { PolicyRoute } from "./route-context.ts";
import type { Route } from "./runtime.ts";

/** A handler, compiled for one route. */
export interface Handler {
  /**
   * Answers an exchange that all request policies have let pass: by reply(), fail() or events of its own, at once or later. From its return on
   * the exchange has `events`, so that it ends whatever happens. What it throws is answered with `internal_error`.
   */
  handle(x: Exchange, route: Route): void;
}

/** A handler as it is registered. */
export interface HandlerEntry {
  readonly name: string;
  /** Builds it for a route, in the worker; must not throw for a configuration that the primary accepted. */
  readonly create: (config: unknown, route: PolicyRoute) => Handler;
}
