// Owns the way to https of a route, before anybody is asked for credentials. Must never put a credential into a Location.
import type { Policy, PolicyFactory } from "../../exchange/policy.ts";
import type { RedirectConfig } from "./config.ts";
import { httpsReply, isPlain, shownQueryOf } from "./location.ts";

/** Where `https` asks for it. `to` is the handler's (handlers/redirect): it may be made of what is known of the caller. */
export const createRedirect: PolicyFactory = (config): Policy => {
  const { https, httpsPort: port, status } = config as RedirectConfig; // parsed by redirectSchema in the primary
  if (!https) return { name: "redirect" };
  return { name: "redirect", onRequest: (x) => (isPlain(x) ? httpsReply(x, { port, status, query: shownQueryOf(x) }) : undefined) };
};
