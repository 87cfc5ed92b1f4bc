// Upgrades a WebSocket towards an upstream and hands the connection to the listener's engine.
import type { Exchange } from "../exchange.ts";
import { fail } from "../response/reply.ts";
import type { Route } from "../runtime.ts";
import type { Upstream } from "./upstream.ts";

export function forwardWebSocket(x: Exchange, _route: Route, _upstream: Upstream): void {
  fail(x, "upgrade_unsupported", "");
}
