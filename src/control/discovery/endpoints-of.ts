// Owns the step from targets and answers to endpoints, before they have slots. Pure.
import type { EndpointPlan, TargetPlan } from "../../plan/plan.ts";
import type { Answer, NameSource } from "./resolve-name.ts";
import { authorityOf, type ParsedTarget, parseTarget } from "./target-url.ts";

/** An endpoint that has no slot yet. */
export type Candidate = Omit<EndpointPlan, "slot" | "sinceMs">;

/**
 * @param answerOf the last good answer for a name; null for none yet.
 * @returns in the order of the targets, one for each key: a place that is named twice has the sum of the weights.
 */
export function candidatesOf(targets: readonly TargetPlan[], answerOf: (source: NameSource) => Answer | null): Candidate[] {
  const byKey = new Map<string, Candidate>();
  for (const target of targets) {
    for (const candidate of expand(parseTarget(target), answerOf)) {
      const twin = byKey.get(candidate.key);
      byKey.set(candidate.key, twin === undefined ? candidate : { ...twin, weight: twin.weight + candidate.weight });
    }
  }
  return [...byKey.values()];
}

function expand(target: ParsedTarget, answerOf: (source: NameSource) => Answer | null): Candidate[] {
  const scheme = target.tls ? "https" : "http";
  if (target.source.kind === "literal") {
    const authority = authorityOf(target.host, target.port, target.tls);
    const key = `${scheme}://${withPort(authority, target.port)}`;
    return [{ key, tls: target.tls, address: target.host, port: target.port, authority, weight: target.weight }];
  }
  return (answerOf(target.source)?.addresses ?? []).map((found) => {
    const port = found.port === 0 ? target.port : found.port;
    const authority = authorityOf(found.host, port, target.tls);
    const key = `${scheme}://${withPort(authority, port)}#${found.address}`;
    return { key, tls: target.tls, address: found.address, port, authority, weight: target.weight * found.weight };
  });
}

/** Keys always name the port. */
const withPort = (authority: string, port: number): string => (authority.endsWith(`:${port}`) ? authority : `${authority}:${port}`);
