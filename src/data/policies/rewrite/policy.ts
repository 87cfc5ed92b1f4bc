// Owns the path that the upstream sees, and the way back of what it says of itself. What it makes of a path is normalised again: nothing unsafe leaves here.

import { removeHeader } from "../../../base/header-list.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Policy, PolicyFactory, Reply, UpstreamRequest } from "../../exchange/policy.ts";
import { compiledAddress } from "../../exchange/templates.ts";
import { splitTarget } from "../../routing/normalise.ts";
import { normaliseMade } from "../../routing/path-rules.ts";
import type { RequestRewrite, RewriteConfig } from "./config.ts";
import { PREFIX_HEADER, prefixEnd, stripped, tellPrefix } from "./prefix.ts";
import { rewriteResponse } from "./response.ts";

const DOT_SEGMENT = /\/\.\.?(?:\/|$)/;
const UNSAFE: Reply = { kind: "problem", code: "bad_path", detail: "The path is unsafe after this route's rewrite." };

/** Sets `x.upstreamPath` from the normalised path and the query; the query is kept. */
export const createRewrite: PolicyFactory = (config, route): Policy => {
  const given = config as RewriteConfig; // parsed by rewriteSchema in the primary
  const policy: Policy = { name: "rewrite" };
  if (given.kind !== "prefix" || given.strip !== "" || given.add !== "") policy.onRequest = onRequest(rewriter(given, route.paramNames));
  if (given.kind === "prefix" && given.strip !== "") policy.onUpstreamRequest = prefixForwarder(given.strip, given.forwardPrefix);
  if (given.response !== null) policy.onUpstreamResponse = rewriteResponse(given.response, given);
  return policy;
};

const onRequest =
  (rewrite: (x: Exchange) => string | null) =>
  (x: Exchange): Reply | undefined => {
    const rewritten = rewrite(x);
    const target = rewritten === null ? null : splitTarget(rewritten);
    // Values may have made a dot segment where the template has none: resolving it would leave the place the operator chose.
    const path = target === null || DOT_SEGMENT.test(target.path) ? null : normaliseMade(target.path, x.spellings);
    if (target === null || path === null) return UNSAFE;
    const query = target.query === "" ? x.query : x.query === "" ? target.query : `${target.query}&${x.query}`;
    x.upstreamPath = query === "" ? path : `${path}?${query}`;
    return undefined;
  };

/** @returns what makes the new path (and possibly a query) of an exchange, not yet checked */
function rewriter(config: RequestRewrite, paramNames: readonly string[]): (x: Exchange) => string | null {
  switch (config.kind) {
    case "path": {
      return compiledAddress(config.path, paramNames);
    }
    case "prefix": {
      const { strip, add } = config;
      return (x) => add + stripped(x.path, strip) || "/";
    }
    case "regex": {
      const regex = new RegExp(config.regex, "u"); // judged by patternProblem in the primary: linear
      const { to } = config;
      return (x) => x.path.replace(regex, to);
    }
  }
}

/** What the service hears of the prefix that is removed. A leg of an aggregate has a path of its own, from which nothing was removed. */
const prefixForwarder =
  (strip: string, forwards: boolean) =>
  (x: Exchange, { path, headers }: UpstreamRequest): void => {
    if (!forwards) removeHeader(headers, PREFIX_HEADER);
    else if (path === x.upstreamPath) tellPrefix(headers, prefixEnd(x.path, strip) < 0 ? "" : strip);
  };
