// Whose request it is, as far as fairness goes: its flow, its weight, its class. Only looked at when somebody must wait.
import { maskIp } from "../../../base/ip.ts";
import { NORMAL, type OverloadPlan } from "../../../plan/overload-plan.ts";
import type { RequestView } from "../../routing/request-view.ts";

/** @returns the flow's name: of different kinds never the same */
export function flowOf(view: RequestView, { fairBy }: OverloadPlan): string {
  if (fairBy === "none") return "";
  if (fairBy === "route") return `r:${view.route?.name ?? ""}`;
  if (typeof fairBy === "object") {
    const value = headerOf(view, fairBy.header);
    if (value !== null) return `h:${value}`;
  }
  if (fairBy !== "address" && view.identity !== null) return `c:${view.identity.consumer}`;
  return `a:${networkOf(view.clientInfo().ip)}`;
}

/** Of a client's request, as far as it is known who the caller is. */
export function priorityOf(view: RequestView, tiers: OverloadPlan["tiers"]): number {
  const own = view.route?.priority ?? null;
  if (own !== null) return own;
  const tier = view.identity?.tier ?? null;
  return (tier === null ? null : tiers[tier]?.priority) ?? NORMAL;
}

export function weightOf(view: RequestView, { tiers }: OverloadPlan): number {
  const tier = view.identity?.tier ?? null;
  return tier === null ? 1 : (tiers[tier]?.weight ?? 1);
}

/** null: not there, or there more than once. */
function headerOf({ headers }: RequestView, name: string): string | null {
  let found: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    if (found !== null) return null;
    found = headers[i + 1] ?? "";
  }
  return found;
}

/** A caller usually has a whole IPv6 network of 64 bits. @param ip '' on a Unix socket */
const networkOf = (ip: string): string => (ip === "" ? "" : maskIp(ip, 32, 64));
