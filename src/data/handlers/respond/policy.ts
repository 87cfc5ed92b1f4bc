// Owns the fixed answer of a route: static page, mock, maintenance.
import type { PolicyFactory } from "../../exchange/policy.ts";
import type { RespondConfig } from "./config.ts";
import { fixedReply } from "./fixed-reply.ts";

/** Answers every request alike. The reply carries the body also for HEAD: its length is told, the pipeline sends none of it. */
export const createRespond: PolicyFactory = (config) => ({
  name: "respond",
  onRequest: fixedReply(config as RespondConfig), // parsed by respondSchema in the primary
});
