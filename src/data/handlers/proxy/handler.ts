// Owns the answer of a route by relaying it to an upstream: chosen by weight, over HTTP or as a WebSocket.
import type { WeightedUpstream } from "../../../plan/plan.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import { finish } from "../../exchange/finish.ts";
import type { Handler, HandlerEntry } from "../../exchange/handler.ts";
import { fail, reply } from "../../exchange/reply.ts";
import type { Route, Runtime } from "../../exchange/runtime.ts";
import type { Upstream } from "../../upstream/upstream.ts";
import type { ProxyConfig } from "./config.ts";
import { countForward } from "./max-forwards.ts";
import { Relay } from "./relay.ts";

export const createProxy: HandlerEntry["create"] = (config) => new ProxyHandler(config as ProxyConfig); // compiled in the primary

class ProxyHandler implements Handler {
  readonly #config: ProxyConfig;
  readonly #weightTotal: number;

  constructor(config: ProxyConfig) {
    this.#config = config;
    this.#weightTotal = config.to.reduce((sum, { weight }) => sum + weight, 0);
  }

  handle(x: Exchange, route: Route): void {
    const { to, mirror, webSocket } = this.#config;
    const answer = x.method === "OPTIONS" ? countForward(x) : undefined;
    if (answer !== undefined) return reply(x, answer);
    const upstream = x.sentTo < 0 ? chooseUpstream(x.runtime, to, this.#weightTotal) : (x.runtime.upstreams[x.sentTo] as Upstream); // of the plan's own list
    if (x.wantsWebSocket && webSocket) openWebSocket(x, this.#config, upstream);
    else new Relay(x, route, upstream, mirror).start();
  }
}

function chooseUpstream(runtime: Runtime, to: readonly WeightedUpstream[], weightTotal: number): Upstream {
  let index = (to[0] as WeightedUpstream).upstream; // the primary refuses an empty list
  if (to.length > 1) {
    let point = Math.random() * weightTotal;
    for (const choice of to) {
      index = choice.upstream;
      if ((point -= choice.weight) < 0) break;
    }
  }
  return runtime.upstreams[index] as Upstream; // indices come from the plan's own list
}

/** The code for WebSockets is loaded with the first one: workers start a third faster without it. */
function openWebSocket(x: Exchange, config: ProxyConfig, upstream: Upstream): void {
  import("./websocket/upgrade.ts")
    .then(
      ({ upgradeToWebSocket }) => {
        if (x.closed) {
          x.errorCode ??= "client_aborted"; // it went before anybody listened for that
          return finish(x);
        }
        upgradeToWebSocket(x, config, upstream);
      },
      (error: unknown) => crashed(x, error),
    )
    .catch((error: unknown) => crashed(x, error));
}

function crashed(x: Exchange, error: unknown): void {
  x.runtime.services.reportFault("opening a WebSocket failed inside the gateway", error, x.requestId);
  if (!x.started && !x.closed) fail(x, "internal_error");
  else {
    x.abort();
    finish(x);
  }
}
