// Owns the way to https of a route, before anybody is asked for credentials. Must never put a credential into a Location.
import type { Exchange } from "../../exchange/exchange.ts";
import type { Policy, PolicyFactory, Reply } from "../../exchange/policy.ts";
import type { RedirectConfig } from "./config.ts";
import { NO_HOST, redirectReply, shownQueryOf } from "./location.ts";

const HTTPS_PORT = 443;

/** Where `https` asks for it. `to` is the handler's (handlers/redirect): it may be made of what is known of the caller. */
export const createRedirect: PolicyFactory = (config): Policy => {
  const { https, httpsPort, status } = config as RedirectConfig; // parsed by redirectSchema in the primary
  if (!https) return { name: "redirect" };
  const port = httpsPort === HTTPS_PORT ? "" : `:${httpsPort}`;
  const toHttps = (x: Exchange): Reply =>
    x.host === "" ? NO_HOST : redirectReply(status, `https://${x.host}${port}${x.path}`, shownQueryOf(x));
  return { name: "redirect", onRequest: (x) => (isPlain(x) ? toHttps(x) : undefined) };
};

const isPlain = (x: Exchange): boolean => !x.secure && x.clientInfo().scheme === "http";
