// Owns short ways to write matches, and the reference router: a linear scan by the total order, written from config/REFERENCE.md and not from the table.

import type { Exchange } from "../../../../src/data/exchange/exchange.ts";
import { clientType } from "../../../../src/data/routing/client-type.ts";
import { compareBelowHost } from "../../../../src/data/routing/order.ts";
import { parsePattern, patternMatches } from "../../../../src/data/routing/pattern.ts";
import { MATCH_METHOD, MATCH_NONE } from "../../../../src/data/routing/router.ts";
import type { MatchPlan } from "../../../../src/plan/plan.ts";
import type { ValueMatch } from "../../../../src/plan/routing-terms.ts";

export const match = (path: string | readonly string[], rest: Partial<MatchPlan> = {}): MatchPlan => ({
  hosts: [],
  paths: [path].flat(),
  listeners: [],
  scheme: null,
  methods: [],
  headers: [],
  query: [],
  client: null,
  versions: [],
  ...rest,
});

export const exact = (name: string, value: string): ValueMatch => ({ name, kind: "exact", value });
export const prefix = (name: string, value: string): ValueMatch => ({ name, kind: "prefix", value });
export const regex = (name: string, value: string): ValueMatch => ({ name, kind: "regex", value });
export const present = (name: string): ValueMatch => ({ name, kind: "present" });

/** Precedence of the route's best host for this request: 0 exact, then the longer the suffix the smaller; null when none matches. */
function hostTier(hosts: readonly string[], host: string): number | null {
  if (hosts.length === 0) return 1_000_000;
  const tiers = hosts.flatMap((each) => {
    if (each === host) return [0];
    return each.startsWith("*.") && host.endsWith(each.slice(1)) && host.length > each.length - 1 ? [1000 - each.length] : [];
  });
  return tiers.length === 0 ? null : Math.min(...tiers);
}

function pathMatches(text: string, path: string): boolean {
  const pattern = parsePattern(text);
  if ("error" in pattern) throw new Error(pattern.error);
  return patternMatches(pattern, path);
}

const methodFits = (methods: readonly string[], method: string): boolean =>
  methods.length === 0 || methods.includes(method) || (method === "HEAD" && methods.includes("GET"));

function valueFits(condition: ValueMatch, values: readonly string[]): boolean {
  if (values.length === 0) return false;
  switch (condition.kind) {
    case "exact":
      return values.every((value) => value === condition.value);
    case "prefix":
      return values.every((value) => value.startsWith(condition.value));
    case "regex":
      return values.every((value) => new RegExp(`^(?:${condition.value})$`, "u").test(value));
    case "present":
      return true;
  }
}

const headerValues = (x: Exchange, name: string): readonly string[] => x.headers.filter((_, i) => i % 2 === 1 && x.headers[i - 1] === name);

export interface Reference {
  readonly result: number;
  /** Only with MATCH_METHOD. */
  readonly allowed: readonly string[];
}

export function referenceMatch(matches: readonly MatchPlan[], x: Exchange): Reference {
  const known = [...matches.keys()].filter((i) => {
    const { hosts, paths, listeners, scheme } = matches[i]!; // i is an index of matches
    if (listeners.length > 0 && !listeners.includes(x.listener)) return false;
    if (scheme !== null && scheme !== (x.secure ? "https" : "http")) return false;
    return hostTier(hosts, x.host) !== null && paths.some((path) => pathMatches(path, x.path));
  });
  const methodKnown = known.filter((i) => methodFits(matches[i]!.methods, x.method));
  const query = new URLSearchParams(x.query);
  const winner = methodKnown
    .filter((i) => {
      const { headers, query: wanted, client } = matches[i]!;
      return (
        headers.every((condition) => valueFits(condition, headerValues(x, condition.name))) &&
        wanted.every((condition) => valueFits(condition, query.getAll(condition.name))) &&
        (client === null || client === clientType(x))
      );
    })
    .sort((a, b) => {
      const left = matches[a]!;
      const right = matches[b]!;
      return (hostTier(left.hosts, x.host) ?? 0) - (hostTier(right.hosts, x.host) ?? 0) || compareBelowHost(left, right) || a - b;
    })[0];
  if (winner !== undefined) return { result: winner, allowed: [] };
  if (known.length === 0 || methodKnown.length > 0) return { result: MATCH_NONE, allowed: [] };
  const allowed = new Set(known.flatMap((i) => matches[i]!.methods));
  if (allowed.has("GET")) allowed.add("HEAD");
  return { result: MATCH_METHOD, allowed: [...allowed].sort() };
}

/** Values of the winner's parameters by plain splitting. */
export function referenceParams(text: string, path: string): readonly string[] {
  const parts = path.slice(1).split("/");
  return text
    .slice(1)
    .split("/")
    .flatMap((segment, i) => {
      if (segment === "**") return [parts.slice(i).join("/")];
      return segment.startsWith("{") ? [parts[i] ?? ""] : [];
    });
}

/** Seeded: the same cases on every run. @returns 0 <= n < below */
export function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
