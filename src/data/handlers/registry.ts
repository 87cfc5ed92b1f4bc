// THE list of handlers: how a route can answer. Data plane side: name -> factory. The schemas stand in schemas.ts, which only the primary loads.
import type { HandlerEntry } from "../exchange/handler.ts";
import { createAggregate } from "./aggregate/handler.ts";
import { createProxy } from "./proxy/handler.ts";
import { createRedirect } from "./redirect/handler.ts";
import { createRespond } from "./respond/handler.ts";

/** Every handler. */
export const HANDLERS: readonly HandlerEntry[] = [
  { name: "aggregate", create: createAggregate },
  { name: "proxy", create: createProxy },
  { name: "redirect", create: createRedirect },
  { name: "respond", create: createRespond },
];
