// Owns POST /breakers/UPSTREAM[/TARGET]/ORDER: an operator forces a breaker, or gives it back to the outcomes.
import { BREAKER_ORDERS } from "../breakers/breaker-driver.ts";
import type { AdminDeps } from "./deps.ts";
import { type AdminAnswer, json, problem } from "./problem.ts";
import { breakersView } from "./views.ts";

/** @param path begins with `/breakers/`; a target is its key as `/upstreams` shows it, percent-encoded */
export async function breakers(deps: AdminDeps, method: string, path: string): Promise<AdminAnswer> {
  const parts = path.split("/").slice(2).map(decoded);
  const [upstream = null, target = null] = parts.slice(0, -1);
  const order = BREAKER_ORDERS.find((each) => each === parts.at(-1));
  if (order === undefined || upstream === null || parts.length > 3 || parts.includes(null) || parts.includes(""))
    return problem("not_found");
  if (method !== "POST") return problem("method_not_allowed", {}, { allow: "POST" });
  if (!(await deps.forceBreaker(upstream, target, order))) return problem("not_found");
  const forced = deps.breakers().filter((each) => each.upstream === upstream && each.target === target);
  return json(breakersView(forced, deps.state())[0] ?? null);
}

/** @returns null for what is not percent-encoding */
function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}
