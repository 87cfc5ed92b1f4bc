// Owns the warnings about named ways out (`insecure`): each that is written is told, where it stands, and so is one that opens nothing.
import { isWayOut, WAYS_OUT, type WayOut } from "../../../base/ways-out.ts";
import { type AuthConfig, namesOf } from "../../../data/policies/auth/config.ts";
import type { Plan, RoutePlan } from "../../../plan/plan.ts";
import { answers } from "../schema/features.ts";
import type { Draft } from "../schema/sections.ts";
import { nodeAt } from "../source/located.ts";
import type { PathPart } from "../source/problem.ts";
import { type Findings, hasSecureTarget } from "./references.ts";

/** What a route's requests may meet: its own, those of its authenticators and of its upstreams, each once. */
export function waysOutOf(
  { policies, upstreams, insecure }: RoutePlan,
  plan: Pick<Plan, "authenticators" | "upstreams">,
): readonly string[] {
  const tree = (policies.find(({ name }) => name === "auth")?.config as AuthConfig | undefined)?.tree ?? null; // parsed by authSchema
  const names = tree === null ? [] : namesOf(tree);
  const authenticators = plan.authenticators.filter(({ name }) => names.includes(name));
  const asked = upstreams.map((index) => plan.upstreams[index]);
  return [...new Set([...insecure, ...[...authenticators, ...asked].flatMap((each) => each?.insecure ?? [])])];
}

/** Keys that stand for a name, from before there were names: where, and what is written there. */
const FORMER_KEYS: readonly (readonly [path: readonly string[], value: unknown, name: WayOut])[] = [
  [["tls", "insecureSkipVerify"], true, "tls-unverified"],
  [["methodOverride"], "keep", "method-override"],
];

export function checkWaysOut({ sections, upstreams, routes }: Draft, findings: Findings): void {
  for (const { name, kind } of sections.auth ?? []) {
    const path: PathPart[] = ["auth", name, kind];
    warnOf(path, findings);
    const providers = nodeAt(findings.root, [...path, "providers"]);
    if (providers?.kind === "list") for (const i of providers.items.keys()) warnOf([...path, "providers", i], findings);
  }
  if (sections.redis?.tls?.verify === false) warnOf(["redis"], findings);
  const told = new Set<unknown>(); // what is in defaults is told once
  for (const { name, insecure, targets } of upstreams) {
    if (insecure.length === 0) continue;
    const path = ["upstreams", name];
    if (!hasSecureTarget(targets) && !findings.isLost([...path, "targets"]) && nodeAt(findings.root, [...path, "tls"]) === undefined)
      findings.report([...path, "insecure"], `${insecure.join(", ")}: opens nothing, as no target uses https`, "remove it");
    else warnOf(path, findings, told);
  }
  for (const [i, { insecure, policies }] of routes.entries()) {
    if (insecure.length === 0) continue;
    const answering = policies.find(answers);
    if (answering === undefined || answering.name === "aggregate") warnOf(["routes", i], findings, told);
    else if (isOwn(["routes", i], findings))
      findings.warn(["routes", i, "insecure"], `${insecure.join(", ")}: opens nothing, as nothing goes upstream`, "remove it");
  }
}

/** Written on the route itself: what all routes have from elsewhere is there for those that need it. */
const isOwn = (path: readonly PathPart[], findings: Findings): boolean =>
  nodeAt(findings.root, [...path, "insecure"]) !== undefined &&
  findings.format([...path, "insecure"]) === `${findings.format(path)}.insecure`;

/** @param path of what may have the key. @param told values that have been told of */
function warnOf(path: readonly PathPart[], { root, warn }: Findings, told: Set<unknown> = new Set()): void {
  const say = (place: readonly PathPart[], name: WayOut): void => {
    const { at } = nodeAt(root, place) ?? { at: null };
    if (told.has(at)) return;
    told.add(at);
    warn(place, `${name}: ${WAYS_OUT[name].warning}`, WAYS_OUT[name].remedy);
  };
  const list = nodeAt(root, [...path, "insecure"]);
  for (const [i, node] of list?.kind === "list" ? list.items.entries() : []) {
    const name = node.kind === "scalar" ? node.value : null;
    if (isWayOut(name)) say([...path, "insecure", i], name);
  }
  for (const [key, value, name] of FORMER_KEYS) {
    const node = nodeAt(root, [...path, ...key]);
    if (node?.kind === "scalar" && node.value === value) say([...path, ...key], name);
  }
}
