// Owns the handler `aggregate`: the start of each exchange of a route whose answer is made of several services' answers.
import type { Exchange } from "../../exchange/exchange.ts";
import type { Handler, HandlerEntry } from "../../exchange/handler.ts";
import type { Route } from "../../exchange/runtime.ts";
import { Aggregation } from "./aggregation.ts";
import type { AggregateConfig } from "./config-plan.ts";
import { RouteLegs } from "./route-legs.ts";

export const createAggregate: HandlerEntry["create"] = (config, route) => new Aggregate(new RouteLegs(config as AggregateConfig, route)); // parsed by aggregateSchema in the primary

class Aggregate implements Handler {
  readonly #legs: RouteLegs;

  constructor(legs: RouteLegs) {
    this.#legs = legs;
  }

  handle(x: Exchange, route: Route): void {
    new Aggregation(x, route, this.#legs).start();
  }
}
