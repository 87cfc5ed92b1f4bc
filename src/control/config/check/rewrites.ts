// Owns the check that `rewrite.response` can find the way back which it is asked for.
import type { RewriteConfig } from "../../../data/policies/rewrite/config.ts";
import type { Mapping } from "../../../data/policies/rewrite/config-mapping.ts";
import type { Draft } from "../schema/sections.ts";
import type { Findings } from "./references.ts";

const isAutoAlone = (mapping: Mapping<unknown> | null): boolean => mapping?.auto === true && mapping.rules.length === 0;

/** A template or a regular expression has no way back: there, `auto` knows hosts, but no paths. */
export function checkRewrites({ routes }: Draft, findings: Findings): void {
  for (const [i, { policies }] of routes.entries()) {
    const rewrite = policies.find(({ name }) => name === "rewrite")?.config as RewriteConfig | undefined; // parsed by rewriteSchema
    if (rewrite === undefined || rewrite.response === null) continue;
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
