// Owns the answer of a route by relaying it to an upstream: chosen by weight, over HTTP or as a WebSocket.
import type { CacheSettings } from "../../../plan/cache-plan.ts";
import type { Plan, WeightedUpstream } from "../../../plan/plan.ts";
import { createChanges, createRouteCache } from "../../cache/create.ts";
import type { ForwardOrder, HeadWatcher } from "../../cache/forward.ts";
import type { RouteCache } from "../../cache/route-cache.ts";
import { isUnsafe } from "../../cache/rules/invalidation.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import { finish } from "../../exchange/finish.ts";
import type { Handler, HandlerEntry } from "../../exchange/handler.ts";
import { shedByCaller } from "../../exchange/overload.ts";
import type { ResponseHead } from "../../exchange/policy.ts";
import { fail, reply } from "../../exchange/reply.ts";
import type { PolicyRoute } from "../../exchange/route-context.ts";
import type { Route } from "../../exchange/runtime.ts";
import type { Upstream } from "../../upstream/upstream.ts";
import type { MirrorConfig, ProxyConfig } from "./config.ts";
import { countForward } from "./max-forwards.ts";
import { Relay } from "./relay.ts";
import { StickySplit } from "./sticky-split.ts";

export const createProxy: HandlerEntry["create"] = (config, context) => new ProxyHandler(config as ProxyConfig, context); // compiled in the primary

class ProxyHandler implements Handler {
  readonly #config: ProxyConfig;
  readonly #weightTotal: number;
  readonly #split: StickySplit | null;
  /** What has been answered before may be answered from there; null: nothing is kept. */
  readonly #cache: RouteCache | null;
  /** Told of what may change a stored response; null where no route stores any. */
  readonly #changes: HeadWatcher | null;

  constructor(config: ProxyConfig, context: PolicyRoute) {
    this.#config = config;
    this.#weightTotal = config.to.reduce((sum, { weight }) => sum + weight, 0);
    this.#split = config.stickyBy === null ? null : new StickySplit(config.to, config.stickyBy);
    const changes = createChanges(context, storing(context));
    this.#changes = changes === null ? null : (x, { status, headers }) => changes.answered(x, status, headers);
    this.#cache = config.cache === null ? null : this.#cacheOf(context, config.cache);
  }

  handle(x: Exchange, route: Route): void {
    const { mirror, webSocket } = this.#config;
    const answer = x.method === "OPTIONS" ? countForward(x) : undefined;
    if (answer !== undefined) return reply(x, answer);
    const upstream = x.runtime.upstreams[x.sentTo < 0 ? this.#choose(x) : x.sentTo] as Upstream; // indices come from the plan's own list
    if (x.wantsWebSocket && webSocket) this.#openWebSocket(x, upstream);
    else if (this.#cache !== null) this.#cache.handle(x, route, upstream);
    else if (this.#changes === null) new Relay(x, route, upstream, mirror).start();
    else this.#forward(x, { route, upstream, watcher: null });
  }

  #openWebSocket(x: Exchange, upstream: Upstream): void {
    // A worker with too much to do leaves it to a route's cache to refuse, which has nothing to do with this.
    const refusal = this.#cache === null ? null : shedByCaller(x);
    if (refusal === null) openWebSocket(x, this.#config, upstream);
    else reply(x, refusal);
  }

  #cacheOf(context: PolicyRoute, settings: CacheSettings): RouteCache {
    return createRouteCache(context, {
      settings,
      keyedByUpstream: this.#split !== null,
      forward: (x, order) => this.#forward(x, order),
    });
  }

  #forward(x: Exchange, { route, upstream, watcher }: ForwardOrder): void {
    const { mirror } = this.#config;
    const sees = watcher ?? (isUnsafe(x.method) ? this.#changes : null);
    const relay = sees === null ? new Relay(x, route, upstream, mirror) : new WatchedRelay(x, { route, upstream, watcher: sees }, mirror);
    relay.start();
  }

  /** @returns the index of an upstream: the caller's own part of a sticky split, else by weight */
  #choose(x: Exchange): number {
    const own = this.#split === null ? -1 : this.#split.choose(x);
    return own < 0 ? chooseByWeight(this.#config.to, this.#weightTotal) : own;
  }
}

/** Whose response's head somebody wants to see, as the client is told it. */
class WatchedRelay extends Relay {
  readonly #watcher: HeadWatcher;

  constructor(x: Exchange, { route, upstream, watcher }: ForwardOrder & { readonly watcher: HeadWatcher }, mirror: MirrorConfig | null) {
    super(x, route, upstream, mirror);
    this.#watcher = watcher;
  }

  protected override upstreamHead(head: ResponseHead): void {
    super.upstreamHead(head); // what is stored has addresses of the client's side, as what the client is told
    this.#watcher(this.x, head);
  }
}

const storingByPlan = new WeakMap<Plan, readonly CacheSettings[]>();

/** @returns what the plan's routes say of storing, of those that do */
function storing({ resources: { plan } }: PolicyRoute): readonly CacheSettings[] {
  let all = storingByPlan.get(plan);
  if (all === undefined) {
    all = plan.routes.flatMap(({ handler }) => (handler.name === "proxy" ? ((handler.config as ProxyConfig).cache ?? []) : [])); // compiled in the primary
    storingByPlan.set(plan, all);
  }
  return all;
}

/** @returns the index of an upstream */
function chooseByWeight(to: readonly WeightedUpstream[], weightTotal: number): number {
  let index = (to[0] as WeightedUpstream).upstream; // the primary refuses an empty list
  if (to.length > 1) {
    let point = Math.random() * weightTotal;
    for (const choice of to) {
      index = choice.upstream;
      if ((point -= choice.weight) < 0) break;
    }
  }
  return index;
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
