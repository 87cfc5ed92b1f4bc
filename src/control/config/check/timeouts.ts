// Owns what a route's timeouts change of those of its upstreams, and the check that a total leaves room for an attempt. Pure.
import { formatDurationMs } from "../../../base/units.ts";
import type { TimeoutsPlan } from "../../../plan/plan.ts";
import { answers, featureOf } from "../schema/features.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { NamedUpstream } from "../schema/schema.ts";
import type { Draft } from "../schema/sections.ts";
import { totalMsOf, type WrittenTimeouts } from "../schema/timeouts.ts";
import { keyPositionAt, nodeAt } from "../source/located.ts";
import { formatPosition, type PathPart } from "../source/problem.ts";
import type { Findings } from "./references.ts";

/** What a route's timeouts change of those of its upstreams: with a longer attempt the total grows where nobody wrote one. */
export function routeTimeoutsFor(written: WrittenTimeouts, upstreams: readonly NamedUpstream[]): Partial<TimeoutsPlan> {
  if (written.totalMs !== undefined || (written.attemptMs === undefined && written.connectMs === undefined)) return written;
  const totals = upstreams.map((upstream) =>
    upstream.writtenTimeouts.totalMs === undefined
      ? totalMsOf({ ...upstream.timeouts, ...written }, upstream.retry)
      : upstream.timeouts.totalMs,
  );
  const unchanged = totals.every((totalMs, i) => totalMs === upstreams[i]?.timeouts.totalMs);
  // 0 is none, and so more than any other.
  return unchanged ? written : { ...written, totalMs: totals.includes(0) ? 0 : Math.max(...totals) };
}

/** The upstreams that answer a route's requests, those that stand in for others included. */
export function upstreamsOf(
  { to, weighted, policies, uses }: RouteConfig,
  upstreams: ReadonlyMap<string, NamedUpstream>,
): readonly NamedUpstream[] {
  const handlers = policies.filter(answers).flatMap(({ name, config }) => featureOf(name).upstreams(config));
  const named = [
    to,
    ...(weighted ?? []).map((part) => part.upstream),
    ...handlers.map(({ name }) => name),
    ...uses.flatMap((use) => use.upstreams),
  ];
  const own = named.flatMap((name) => upstreams.get(name ?? "") ?? []);
  const others = own.flatMap(({ breaker }) => (breaker?.fallback?.kind === "upstream" ? (upstreams.get(breaker.fallback.name) ?? []) : []));
  return [...new Set([...own, ...others])];
}

const KEYS = { connectMs: "connect", attemptMs: "attempt" } as const;

/** A total that ends before a single attempt can is a mistake in one of the two. */
export function checkTimeouts(draft: Draft, findings: Findings): void {
  const upstreams = new Map(draft.upstreams.map((upstream) => [upstream.name, upstream]));
  const placed = (written: Placed["written"] | undefined, path: readonly PathPart[]): Placed => ({
    written: written ?? {},
    path: [...path, "timeouts"],
  });
  for (const { name, writtenTimeouts } of draft.upstreams) {
    const own = placed(writtenTimeouts, ["upstreams", name]);
    checkPair(own, own, findings);
  }
  for (const [index, route] of draft.routes.entries()) {
    const own = placed(route.timeouts, ["routes", index]);
    if (route.timeouts === undefined) continue;
    checkPair(own, own, findings);
    for (const { name, writtenTimeouts } of upstreamsOf(route, upstreams)) {
      const below = placed(writtenTimeouts, ["upstreams", name]);
      const { totalMs, ...without } = writtenTimeouts;
      // The route's own win: only what it leaves to the upstream is compared with what it says.
      if (own.written.totalMs === undefined) checkPair(own, { ...below, written: totalMs === undefined ? {} : { totalMs } }, findings);
      else checkPair({ ...below, written: { ...without, ...blanked(own.written) } }, own, findings);
    }
  }
}

/** Timeouts with the place that they were written at. */
interface Placed {
  readonly written: { readonly [K in keyof WrittenTimeouts]?: number | undefined };
  readonly path: readonly PathPart[];
}

/** Takes the keys that the route writes itself out of those of the upstream. */
const blanked = (written: Placed["written"]): Readonly<Record<string, undefined>> =>
  Object.fromEntries(Object.keys(written).map((key) => [key, undefined]));

/** @param parts whose connecting and attempts @param whole whose total. The message stands where the route speaks, if one of them is a route's. */
function checkPair(parts: Placed, whole: Placed, findings: Findings): void {
  const { totalMs } = whole.written;
  if (totalMs === undefined || totalMs === 0) return;
  for (const key of ["connectMs", "attemptMs"] as const) {
    const ms = parts.written[key];
    if (ms === undefined || ms <= totalMs) continue;
    const [partPath, totalPath] = [
      [...parts.path, KEYS[key]],
      [...whole.path, "total"],
    ];
    const isRoutes = parts.path[0] === "routes" && whole.path[0] !== "routes";
    const [at, other] = isRoutes ? [partPath, totalPath] : [totalPath, partPath];
    const total = `\`total: ${formatDurationMs(totalMs)}\``;
    const part = `\`${KEYS[key]}: ${formatDurationMs(ms)}\``;
    const where =
      nodeAt(findings.root, other) === undefined
        ? ""
        : ` (${findings.format(other)} at ${formatPosition(keyPositionAt(findings.root, other))})`;
    const message = isRoutes
      ? `${part} could never be waited for: ${total}${where} ends before`
      : `${total} ends before ${part}${where} does`;
    findings.report(at, message, `lower \`${KEYS[key]}\`, or raise \`total\` (left out, it follows from the others)`);
  }
}
