// Owns the warnings about named ways out (`insecure`): each that is written is told, where it stands.
import { isWayOut, WAYS_OUT } from "../../../base/ways-out.ts";
import { type AuthConfig, namesOf } from "../../../data/policies/auth/config.ts";
import type { Plan, RoutePlan } from "../../../plan/plan.ts";
import type { Draft } from "../schema/sections.ts";
import { nodeAt } from "../source/located.ts";
import type { PathPart } from "../source/problem.ts";
import type { Findings } from "./references.ts";

/** Those of the authenticators that a route names, each once. */
export function waysOutOf({ policies }: RoutePlan, { authenticators }: Pick<Plan, "authenticators">): readonly string[] {
  const tree = (policies.find(({ name }) => name === "auth")?.config as AuthConfig | undefined)?.tree ?? null; // parsed by authSchema
  const names = tree === null ? [] : namesOf(tree);
  return [...new Set(authenticators.filter(({ name }) => names.includes(name)).flatMap(({ insecure }) => insecure))];
}

export function checkWaysOut({ sections }: Draft, findings: Findings): void {
  for (const { name, kind } of sections.auth ?? []) {
    const path: PathPart[] = ["auth", name, kind];
    warnOf(path, findings);
    const providers = nodeAt(findings.root, [...path, "providers"]);
    if (providers?.kind === "list") for (const i of providers.items.keys()) warnOf([...path, "providers", i], findings);
  }
}

/** @param path of what may have the key */
function warnOf(path: readonly PathPart[], { root, warn }: Findings): void {
  const list = nodeAt(root, [...path, "insecure"]);
  if (list?.kind !== "list") return;
  for (const [i, node] of list.items.entries()) {
    const name = node.kind === "scalar" ? node.value : null;
    if (isWayOut(name)) warn([...path, "insecure", i], `${name}: ${WAYS_OUT[name].warning}`, WAYS_OUT[name].remedy);
  }
}
