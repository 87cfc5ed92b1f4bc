// Owns the checks that keep the headers by which services know a caller to the gateway: no part of the configuration may set or read them as a client's.
import { cgiEquivalent } from "../../../base/http.ts";
import type { AggregateConfig } from "../../../data/handlers/aggregate/config-plan.ts";
import type { PlaceConfig } from "../../../data/policies/auth/config-places.ts";
import { changesIn } from "../../../data/policies/config-changes.ts";
import type { HeadersConfig } from "../../../data/policies/headers/config.ts";
import type { FeaturePlan } from "../../../plan/plan.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Draft } from "../schema/sections.ts";
import { nodeAt } from "../source/located.ts";
import type { PathPart } from "../source/problem.ts";
import { asWritten } from "./as-written.ts";
import type { Findings } from "./references.ts";

export function checkIdentity(draft: Draft, findings: Findings): void {
  const { root, report } = findings;
  const { identity } = draft.sections;
  if (identity === undefined) return;
  const names = new Set(identity.protectedNames);
  for (const [index, route] of draft.routes.entries()) {
    for (const path of writes(route))
      if (names.has(cgiEquivalent(String(path.at(-1)))))
        report(
          asWritten(root, ["routes", index, ...path]),
          "services take this header for who is calling: only the gateway writes it",
          "`identity.headers` and `identity.claims` say what it holds",
        );
    for (const { name } of route.match.headers)
      if (names.has(name))
        report(
          asWritten(root, ["routes", index, "match", "headers", name]),
          "no request has this header: it is removed from what clients send, and who is calling is not known before a route is chosen",
          "use `authorize`",
        );
  }
  for (const { name, deadlineHeader } of draft.upstreams)
    if (deadlineHeader !== null && names.has(deadlineHeader))
      report(["upstreams", name, "deadlineHeader"], "services take this header for who is calling", "choose another name");
  for (const { name, kind, config } of draft.sections.auth ?? []) {
    const { from = [] } = config as { readonly from?: readonly PlaceConfig[] }; // as the kinds that read a header spell it
    for (const [i, place] of from.entries())
      if (place.in === "header" && names.has(place.name))
        report(
          nodeAt(root, ["auth", name, kind, "from"]) === undefined
            ? ["auth", name, kind, "name"]
            : ["auth", name, kind, "from", i, "header"],
          "this header is removed from what clients send: no credential could arrive in it",
          "choose another name",
        );
  }
  checkToken(findings);
}

/** Where the route writes request headers. */
function writes(route: RouteConfig): PathPart[][] {
  const config = route.policies.find((policy) => policy.name === "headers")?.config as HeadersConfig | undefined; // parsed by headersSchema
  const changes = config === undefined ? [] : changesIn(config.request);
  return [
    ...changes.flatMap(({ at, change }) =>
      (["set", "setIfAbsent", "add"] as const).flatMap((action) =>
        Object.keys(change[action]).map((name) => ["headers", "request", ...at, action, name]),
      ),
    ),
    ...route.policies.flatMap(legWrites),
  ];
}

function legWrites(feature: FeaturePlan): PathPart[][] {
  if (feature.name !== "aggregate") return [];
  const { legs, legsAt } = feature.config as AggregateConfig; // parsed by aggregateSchema
  return legs.flatMap((leg) => Object.keys(leg.headers).map((header) => ["aggregate", ...legsAt, leg.name, "headers", header]));
}

/** A key in the file itself is a key in every backup of it. */
function checkToken({ root, warn }: Findings): void {
  const path = ["identity", "internalToken", "key"];
  const node = nodeAt(root, path);
  if (node?.kind === "scalar" && !node.fromEnv && typeof node.value === "string")
    warn(path, "the key stands in the configuration itself", "write `file:path`, or take it from the environment");
}
