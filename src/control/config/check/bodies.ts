// Owns the checks of request bodies without limit (`bodyBytes: none`): the warning where it is written, and policies that would have to hold such a body.
import type { ForwardAuthConfig } from "../../../data/policies/forwardAuth/config.ts";
import type { Draft } from "../schema/sections.ts";
import { nodeAt } from "../source/located.ts";
import type { PathPart } from "../source/problem.ts";
import type { Findings } from "./references.ts";
import { FORWARD_AUTH } from "./service-of.ts";

export function checkBodies({ routes, sections }: Draft, findings: Findings): void {
  warnOf(["limits"], findings);
  const ofInstance = sections.limits?.bodyBytes;
  for (const [i, { limits, policies }] of routes.entries()) {
    warnOf(["routes", i, "limits"], findings);
    const bodyBytes = limits?.bodyBytes === undefined ? ofInstance : limits.bodyBytes;
    if (bodyBytes !== null) continue;
    const forwardAuth = policies.find(({ name }) => name === FORWARD_AUTH)?.config as ForwardAuthConfig | undefined; // parsed by forwardAuthSchema
    if (forwardAuth?.body?.over !== "omit") continue;
    findings.report(
      ["routes", i, FORWARD_AUTH, "body", "over"],
      "`over: omit` collects a body of unknown length whole before it leaves it out, and nothing bounds the route's bodies (`limits.bodyBytes: none`)",
      "write `over: refuse`, or give the route `limits: { bodyBytes: SIZE }`",
    );
  }
}

/** @param path of what may have the key */
function warnOf(path: readonly PathPart[], { root, warn }: Findings): void {
  const node = nodeAt(root, [...path, "bodyBytes"]);
  if (node?.kind !== "scalar" || node.value !== "none") return;
  warn(
    [...path, "bodyBytes"],
    "none: request bodies of any size go to the service, which has to bound them itself",
    "write the largest size that it takes, if there is one",
  );
}
