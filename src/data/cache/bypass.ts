// Owns which requests of a route pass by its store: those that the configuration names, and those of somebody who debugs and proves it by a token.
import { getList } from "../../base/header-list.ts";
import type { BypassRule, CacheDebug } from "../../plan/cache-plan.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Expression } from "../routing/expression/expression-view.ts";
import { compileExpression } from "../routing/expression/load-expression.ts";

/** What passes by, as the detail of Cache-Status says it; null for what does not. */
export type PassesBy = (x: Exchange) => "bypass" | "debug" | null;

/** @returns null when nothing ever does. @throws Error for a condition that the primary accepted and that cannot be compiled */
export function createBypass(route: string, rule: BypassRule | null, debug: CacheDebug | null): PassesBy | null {
  if (rule === null && debug === null) return null;
  const { headers, cookies, when } = rule ?? { headers: [], cookies: [], when: null };
  const condition = when === null ? null : compiled(route, when);
  return (x) => {
    if (debug !== null && isDebugger(x, debug)) return "debug";
    for (const name of headers) if (x.header(name) !== undefined) return "bypass";
    if (cookies.length > 0 && hasCookie(x, cookies)) return "bypass";
    // What cannot be told is not taken for an ordinary request.
    return condition !== null && condition.holds(x, Date.now()) !== false ? "bypass" : null;
  };
}

function compiled(route: string, when: string): Expression {
  const expression = compileExpression(when, "request");
  if ("error" in expression) throw new Error(`route ${route}: cache.bypass.when: ${expression.error}`);
  return expression;
}

function hasCookie(x: Exchange, names: readonly string[]): boolean {
  const field = getList(x.headers, "cookie");
  if (field === undefined) return false;
  return field.split(/[;,]/).some((pair) => names.includes((pair.split("=", 1)[0] ?? "").trim()));
}

/** In constant time: digests have one length. A token that is sent in several fields is none. */
function isDebugger(x: Exchange, { header, token }: CacheDebug): boolean {
  const given = getList(x.headers, header);
  if (given === undefined) return false;
  const { createHash, timingSafeEqual } = process.getBuiltinModule("node:crypto");
  const digest = (text: string): Buffer => createHash("sha256").update(text, "latin1").digest();
  return timingSafeEqual(digest(given), digest(token));
}
