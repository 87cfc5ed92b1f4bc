// Owns the check that `rewrite.response` can find the way back which it is asked for.
import type { RewriteConfig } from "../../../data/policies/rewrite/config.ts";
import type { Mapping } from "../../../data/policies/rewrite/config-mapping.ts";
import type { Draft } from "../schema/sections.ts";
import type { PathPart } from "../source/problem.ts";
import type { Findings } from "./references.ts";

const isAutoAlone = (mapping: Mapping<unknown> | null): boolean => mapping?.auto === true && mapping.rules.length === 0;

/** What is mapped back depends on who asks (scheme, host, prefix), and a cache answers many with one response: until it maps on the way out, nothing does. */
function checkCache(path: readonly PathPart[], { report }: Findings): void {
  report(
    [...path, "response"],
    "this route's responses are stored (`cache`) and serve all clients, and what is mapped back depends on who asks",
    "keep one of them (`response: null` takes away what a default or a set has), or give the paths with redirects and cookies a route of their own",
  );
}

/** A template or a regular expression has no way back: there, `auto` knows hosts, but no paths. */
export function checkRewrites({ routes }: Draft, findings: Findings): void {
  for (const [i, { policies }] of routes.entries()) {
    const rewrite = policies.find(({ name }) => name === "rewrite")?.config as RewriteConfig | undefined; // parsed by rewriteSchema
    if (rewrite === undefined || rewrite.response === null) continue;
    if (policies.some(({ name }) => name === "cache")) checkCache(["routes", i, "rewrite"], findings);
    if (rewrite.kind === "prefix") continue;
    const { location, cookies } = rewrite.response;
    if (!isAutoAlone(location) && !cookies.some(({ rule }) => isAutoAlone(rule.path))) continue;
    findings.warn(
      ["routes", i, "rewrite", "response"],
      `\`auto\` finds no way back through \`rewrite.${rewrite.kind}\`: paths stay as the service says`,
      "list them, as in `location: [{ from: /v2, to: /shop }, auto]` and `cookies: { path: [{ from: /v2, to: /shop }] }`",
    );
  }
}
