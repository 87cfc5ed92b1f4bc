// Owns the fixed answer of a route: static page, mock, maintenance.
import type { HandlerEntry } from "../../exchange/handler.ts";
import { reply } from "../../exchange/reply.ts";
import { fixedReply } from "../fixed-reply.ts";
import type { RespondConfig } from "./config.ts";

/** Answers every request alike. The reply carries the body also for HEAD: its length is told, none of it is sent. */
export const createRespond: HandlerEntry["create"] = (config) => {
  const answer = fixedReply(config as RespondConfig); // parsed by respondSchema in the primary
  return { handle: (x) => reply(x, answer()) };
};
