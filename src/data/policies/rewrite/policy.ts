// Owns the path that the upstream sees. What it makes is normalised again: nothing unsafe leaves here.
import type { Exchange } from "../../exchange/exchange.ts";
import type { Policy, PolicyFactory, Reply } from "../../exchange/policy.ts";
import { compiledAddress } from "../../exchange/templates.ts";
import { segmentKey, splitTarget } from "../../routing/normalise.ts";
import { normaliseMade } from "../../routing/path-rules.ts";
import type { RewriteConfig } from "./config.ts";

const DOT_SEGMENT = /\/\.\.?(?:\/|$)/;
const UNSAFE: Reply = { kind: "problem", code: "bad_path", detail: "The path is unsafe after this route's rewrite." };

/** Sets `x.upstreamPath` from the normalised path and the query; the query is kept. */
export const createRewrite: PolicyFactory = (config, route): Policy => {
  const rewrite = rewriter(config as RewriteConfig, route.paramNames); // parsed by rewriteSchema in the primary
  return {
    name: "rewrite",
    onRequest(x) {
      const rewritten = rewrite(x);
      const target = rewritten === null ? null : splitTarget(rewritten);
      // Values may have made a dot segment where the template has none: resolving it would leave the place the operator chose.
      const path = target === null || DOT_SEGMENT.test(target.path) ? null : normaliseMade(target.path, x.spellings);
      if (target === null || path === null) return UNSAFE;
      const query = target.query === "" ? x.query : x.query === "" ? target.query : `${target.query}&${x.query}`;
      x.upstreamPath = query === "" ? path : `${path}?${query}`;
      return undefined;
    },
  };
};

/** @returns what makes the new path (and possibly a query) of an exchange, not yet checked */
function rewriter(config: RewriteConfig, paramNames: readonly string[]): (x: Exchange) => string | null {
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

/** @param path normalised @param prefix without trailing slash; '' for none. @returns the path without the prefix: with a leading slash, or '' for nothing left */
export function stripped(path: string, prefix: string): string {
  if (prefix === "") return path;
  const end = path.startsWith(prefix) ? prefix.length : path.includes("%") ? encodedPrefixEnd(path, prefix) : -1;
  if (end === path.length) return "";
  return end >= 0 && path.charCodeAt(end) === 0x2f ? path.slice(end) : path;
}

/** Where the prefix ends in a path that spells its reserved characters encoded (`/%40me` for `/@me`), as the router reads it; -1 if it is not there. */
function encodedPrefixEnd(path: string, prefix: string): number {
  let end = 0;
  for (const segment of prefix.slice(1).split("/")) {
    const next = path.indexOf("/", end + 1);
    const stop = next < 0 ? path.length : next;
    if (path.charCodeAt(end) !== 0x2f || segmentKey(path.slice(end + 1, stop)) !== segment) return -1;
    end = stop;
  }
  return end;
}
