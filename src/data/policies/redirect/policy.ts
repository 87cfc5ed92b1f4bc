// Owns the redirect of a route: where to, and that the place is one the operator chose. Must never put a credential into a Location.
import type { Exchange } from "../../exchange/exchange.ts";
import type { Policy, PolicyFactory, Reply } from "../../exchange/policy.ts";
import { compiledAddress } from "../../exchange/templates.ts";
import type { RedirectConfig } from "./config.ts";
import { parseTarget, singleSlash, withQuery } from "./location.ts";

const HTTPS_PORT = 443;

const NO_HOST: Reply = { kind: "problem", code: "bad_request", detail: "Without a Host header there is no address to redirect to." };
const UNSAFE: Reply = { kind: "problem", code: "bad_path", detail: "The path is unsafe in this route's redirect." };

/** To https where asked, before anybody is asked for credentials; to the configured address, which may be made of what is known of the caller, behind that. */
export const createRedirect: PolicyFactory = (config, route): Policy => {
  const { to, https, httpsPort, status, keepQuery } = config as RedirectConfig; // parsed by redirectSchema in the primary
  const answer = (location: string, query: string): Reply => ({
    kind: "response",
    status,
    headers: ["location", withQuery(location, query)],
    body: null,
  });
  const locate = to === undefined ? null : locator(to, route.paramNames);
  const port = httpsPort === HTTPS_PORT ? "" : `:${httpsPort}`;
  const toHttps = (x: Exchange): Reply => (x.host === "" ? NO_HOST : answer(`https://${x.host}${port}${x.path}`, queryOf(x)));
  return {
    name: "redirect",
    ...(https ? { onEdge: (x) => (isPlain(x) ? toHttps(x) : undefined) } : {}),
    ...(locate === null
      ? {}
      : {
          onRequest(x) {
            const location = locate(x);
            return typeof location === "object" ? location : answer(location, keepQuery ? queryOf(x) : "");
          },
        }),
  };
};

const isPlain = (x: Exchange): boolean => !x.secure && x.clientInfo().scheme === "http";

/** Without the credentials that `auth` looked for: a Location stands in logs and histories, and may lead to another host. */
const queryOf = (x: Exchange): string => x.shownQuery ?? x.query;

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
