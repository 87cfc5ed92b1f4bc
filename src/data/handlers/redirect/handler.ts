// Owns the answer of a route that has moved: its new address, which the operator chose. Must never put a credential into a Location.
import type { Exchange } from "../../exchange/exchange.ts";
import type { HandlerEntry } from "../../exchange/handler.ts";
import type { Reply } from "../../exchange/policy.ts";
import { reply } from "../../exchange/reply.ts";
import { compiledAddress } from "../../exchange/templates.ts";
import type { RedirectConfig } from "../../policies/redirect/config.ts";
import { NO_HOST, parseTarget, redirectReply, shownQueryOf, singleSlash } from "../../policies/redirect/location.ts";

const UNSAFE: Reply = { kind: "problem", code: "bad_path", detail: "The path is unsafe in this route's redirect." };

/** `redirect.to`. */
export const createRedirect: HandlerEntry["create"] = (config, { paramNames }) => {
  const answer = redirectTo(config as RedirectConfig, paramNames); // parsed by redirectSchema in the primary
  return { handle: (x) => reply(x, answer(x)) };
};

/** @throws Error when there is no `to`: the primary makes a handler of no such configuration */
export function redirectTo({ to = "", status, keepQuery }: RedirectConfig, paramNames: readonly string[]): (x: Exchange) => Reply {
  const locate = locator(to, paramNames);
  return (x) => {
    const location = locate(x);
    return typeof location === "object" ? location : redirectReply(status, location, keepQuery ? shownQueryOf(x) : "");
  };
}

/** @returns what makes the new address of an exchange, or the problem to answer */
function locator(to: string, paramNames: readonly string[]): (x: Exchange) => string | Reply {
  const target = parseTarget(to);
  if (target === null) throw new Error(`redirect.to ${JSON.stringify(to)} was accepted, but is not safe`);
  const { prefix, requestHost, port } = target;
  const rest = compiledAddress(target.rest, paramNames);
  return (x) => {
    if (requestHost && x.host === "") return NO_HOST;
    const rendered = rest(x);
    if (rendered === null) return UNSAFE;
    if (prefix === "") return singleSlash(rendered);
    return prefix + (requestHost ? x.host : "") + port + rendered;
  };
}
