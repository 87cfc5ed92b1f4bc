// Owns the fixed, total order of routes (which of two wins) and the search for ties (which is refused at load).
// Order in the file never counts. Pure; used by the primary (sort, refuse) and by compile.ts (rank).
import type { MatchPlan } from "../../plan/plan.ts";
import type { ValueMatch } from "../../plan/routing-terms.ts";
import { comparePatterns, compareText, mayTie, type Pattern, parsePattern, patternWeight } from "./pattern.ts";

/** Most ties that {@link findTies} reports: one is enough to refuse, a few help to mend. */
export const TIES_MAX = 100;

/** What the comparison needs of a match, worked out once. */
interface Key {
  readonly match: MatchPlan;
  /** Of several the most specific. */
  readonly pattern: Pattern;
  /** {@link canonicalText}, once it was needed: most comparisons end before. */
  text?: string;
}

const keyOf = (match: MatchPlan): Key => ({
  match,
  pattern: match.paths.map(patternOf).reduce((best, each) => (comparePatterns(each, best) < 0 ? each : best)),
});

function patternOf(path: string): Pattern {
  const pattern = parsePattern(path);
  if ("error" in pattern) throw new RangeError(`path ${JSON.stringify(path)}: ${pattern.error}`);
  return pattern;
}

/** One for each path. */
const keysOf = (match: MatchPlan): readonly Key[] => match.paths.map((path) => ({ match, pattern: patternOf(path) }));

/**
 * The order that config/REFERENCE.md promises ("Which route wins"): exact host before wildcard (longer suffix first) before none; exact path before
 * parameters before `**`, longer literal first (see comparePatterns); then a listener before none; then a scheme before none; then methods
 * before none; then a version before none; then more header conditions, then more query conditions (of equally many: exact, then
 * prefix, then regex, then present); then a client type before none. What is left is ordered by text, so that the order is total.
 *
 * A route with several hosts or paths is listed under its best ones; at run time a request's own host and path decide (see compile.ts).
 * @returns < 0 when `a` comes first. 0 only for matches that say the same.
 * @throws RangeError for a path that parsePattern refuses
 */
export const compareMatches = (a: MatchPlan, b: MatchPlan): number => compareKeys(keyOf(a), keyOf(b));

/** Like {@link compareMatches} but without hosts: the order among routes that the same host reaches. */
export const compareBelowHost = (a: MatchPlan, b: MatchPlan): number => compareKeysBelowHost(keyOf(a), keyOf(b));

/** Indexes of `matches` in total order. Parses each pattern once: use it rather than sort(compareMatches) for many. */
export function sortMatches(matches: readonly MatchPlan[], order: "with-host" | "below-host" = "with-host"): readonly number[] {
  const keys = matches.map(keyOf);
  const compare = order === "with-host" ? compareKeys : compareKeysBelowHost;
  // Equal matches keep their place: Array.sort is stable.
  return [...keys.keys()].sort((a, b) => compare(keys[a]!, keys[b]!)); // a and b are indexes of keys
}

const compareKeys = (a: Key, b: Key): number => compareHosts(a.match.hosts, b.match.hosts) || compareKeysBelowHost(a, b);

const compareKeysBelowHost = (a: Key, b: Key): number =>
  comparePatterns(a.pattern, b.pattern) || compareConditions(a.match, b.match) || compareText(textOf(a), textOf(b));

const textOf = (key: Key): string => (key.text ??= canonicalText(key.match));

/** Best host first: 0 exact, 1 wildcard, 2 any; longer suffix first. */
function compareHosts(a: readonly string[], b: readonly string[]): number {
  const best = (hosts: readonly string[]): { tier: number; length: number } => {
    if (hosts.length === 0) return { tier: 2, length: 0 };
    if (hosts.some((host) => !host.startsWith("*."))) return { tier: 0, length: 0 };
    return { tier: 1, length: Math.max(...hosts.map((host) => host.length)) };
  };
  const bestA = best(a);
  const bestB = best(b);
  return bestA.tier - bestB.tier || bestB.length - bestA.length;
}

/** Everything but host, path and the final text order: 0 means that neither is more specific. */
function compareConditions(a: MatchPlan, b: MatchPlan): number {
  return (
    Number(a.listeners.length === 0) - Number(b.listeners.length === 0) ||
    Number(a.scheme === null) - Number(b.scheme === null) ||
    compareMethods(a.methods, b.methods) ||
    Number(a.versions.length === 0) - Number(b.versions.length === 0) ||
    compareValues(a.headers, b.headers) ||
    compareValues(a.query, b.query) ||
    Number(a.client === null) - Number(b.client === null)
  );
}

/** Methods before none; a route that asks for HEAD by name before one that gets it with GET. */
const compareMethods = (a: readonly string[], b: readonly string[]): number =>
  Number(a.length === 0) - Number(b.length === 0) || Number(!onlyHead(a)) - Number(!onlyHead(b));

const onlyHead = (methods: readonly string[]): boolean => methods.includes("HEAD") && !methods.includes("GET");

/** Value conditions from the most to the least specific kind. */
const KINDS = ["exact", "prefix", "regex", "present"] as const satisfies readonly ValueMatch["kind"][];

function compareValues(a: readonly ValueMatch[], b: readonly ValueMatch[]): number {
  if (a.length !== b.length) return b.length - a.length;
  for (const kind of KINDS) {
    const byKind = count(b, kind) - count(a, kind);
    if (byKind !== 0) return byKind;
  }
  return prefixLength(b) - prefixLength(a);
}

const count = (values: readonly ValueMatch[], kind: ValueMatch["kind"]): number => values.filter((value) => value.kind === kind).length;
const prefixLength = (values: readonly ValueMatch[]): number =>
  values.reduce((sum, value) => sum + (value.kind === "prefix" ? value.value.length : 0), 0);

/** The match as text, independent of the order in which its lists were written. */
const canonicalText = (match: MatchPlan): string =>
  JSON.stringify([
    match.hosts.toSorted(),
    match.methods.toSorted(),
    valuesText(match.headers),
    valuesText(match.query),
    match.client,
    match.listeners.toSorted(),
    match.scheme,
    match.paths.toSorted(),
    match.versions,
  ]);

const valuesText = (values: readonly ValueMatch[]): readonly string[] => values.map(valueText).toSorted();
const valueText = (value: ValueMatch): string => JSON.stringify([value.name, value.kind, value.kind === "present" ? "" : value.value]);

/**
 * Whether some request could match both with nothing but text order to decide: the same host reaches both, two of the paths weigh the same and do not
 * exclude each other, nor do the conditions. Regular expressions of conditions are taken to overlap unless an exact value disproves it.
 * @throws RangeError for a path that parsePattern refuses
 */
export const tie = (a: MatchPlan, b: MatchPlan): boolean =>
  shareHost(a.hosts, b.hosts) && keysOf(a).some((left) => keysOf(b).some((right) => patternsTie(left, right) && conditionsTie(a, b)));

const shareHost = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === 0 ? b.length === 0 : a.some((host) => b.includes(host));

const patternsTie = (a: Key, b: Key): boolean => patternWeight(a.pattern) === patternWeight(b.pattern) && mayTie(a.pattern, b.pattern);

function conditionsTie(a: MatchPlan, b: MatchPlan): boolean {
  if (compareValues(a.headers, b.headers) !== 0 || compareValues(a.query, b.query) !== 0) return false;
  if (a.methods.length === 0 ? b.methods.length > 0 : !a.methods.some((method) => b.methods.includes(method))) return false;
  if (a.client !== b.client || a.scheme !== b.scheme) return false;
  if (a.listeners.length === 0 ? b.listeners.length > 0 : !a.listeners.some((name) => b.listeners.includes(name))) return false;
  if (a.versions.length === 0 ? b.versions.length > 0 : !a.versions.some((version) => b.versions.includes(version))) return false;
  return !exclude(a.headers, b.headers) && !exclude(a.query, b.query);
}

/** Some condition of `a` and one of `b` on the same name can never hold together. */
const exclude = (a: readonly ValueMatch[], b: readonly ValueMatch[]): boolean =>
  a.some((left) => b.some((right) => left.name === right.name && (disjoint(left, right) || disjoint(right, left))));

function disjoint(a: ValueMatch, b: ValueMatch): boolean {
  if (a.kind === "exact") {
    if (b.kind === "exact") return a.value !== b.value;
    if (b.kind === "prefix") return !a.value.startsWith(b.value);
    return b.kind === "regex" && !compileValueRegex(b.value).test(a.value);
  }
  return a.kind === "prefix" && b.kind === "prefix" && !a.value.startsWith(b.value) && !b.value.startsWith(a.value);
}

/**
 * The regular expression of a header or query condition: `u` flag, and the whole value must match.
 * @throws SyntaxError when it is none: the configuration checks that at load
 */
export const compileValueRegex = (source: string): RegExp => new RegExp(`^(?:${source})$`, "u");

/** Two routes, by index, that {@link tie}; a < b. */
export interface Tie {
  readonly a: number;
  readonly b: number;
}

/**
 * Every tie, in index order, up to {@link TIES_MAX}. Routes are compared only within buckets of the same host, weight of the path and kind of conditions,
 * and there of the same literal text around parameters (when all have it at the same places) and (when all ask the same names for exact values) of the
 * same values: linear for real tables.
 * @param matches of one path each (see pathVariants)
 * @throws RangeError for a path that parsePattern refuses
 */
export function findTies(matches: readonly MatchPlan[]): readonly Tie[] {
  const keys = matches.map(keyOf);
  const buckets = new Map<string, number[]>();
  for (const [index, key] of keys.entries()) {
    const below = `${patternWeight(key.pattern)}\n${conditionShape(key.match)}`;
    for (const host of key.match.hosts.length === 0 ? [""] : new Set(key.match.hosts)) addTo(buckets, `${host}\n${below}`, index);
  }
  const found = new Map<string, Tie>();
  for (const bucket of buckets.values()) {
    for (const group of bucket.length > 1 ? byExactValues(bucket, keys) : []) collectTies(group, keys, found);
    if (found.size >= TIES_MAX) break;
  }
  return [...found.values()].sort((x, y) => x.a - y.a || x.b - y.b);
}

/** Equal for all matches that weigh the same. Methods that differ but overlap stay in one bucket. */
const conditionShape = (match: MatchPlan): string =>
  JSON.stringify([
    match.listeners.length > 0,
    match.scheme,
    match.methods.length > 0,
    match.versions.length > 0,
    match.client,
    KINDS.map((kind) => [count(match.headers, kind), count(match.query, kind)]),
  ]);

/** Splits a bucket by method, version, exact values and literal text around parameters where that cannot part two routes that tie. */
function byExactValues(bucket: readonly number[], keys: readonly Key[]): Iterable<readonly number[]> {
  const names = new Set(bucket.map((index) => JSON.stringify(exactValues(keys[index]!.match).map(([name]) => name)))); // index of keys
  const splitValues = names.size === 1;
  const splitText = new Set(bucket.map((index) => JSON.stringify(partTexts(keys[index]!).map((text) => text.length)))).size === 1; // index of keys
  const groups = new Map<string, number[]>();
  for (const index of bucket) {
    const key = keys[index]!; // index of keys
    const { match } = key;
    const values = `${splitValues ? JSON.stringify(exactValues(match)) : ""}\n${splitText ? JSON.stringify(partTexts(key)) : ""}`;
    for (const method of match.methods.length === 0 ? [""] : new Set(match.methods))
      for (const version of match.versions.length === 0 ? [""] : match.versions) addTo(groups, `${method}\n${version}\n${values}`, index);
  }
  return groups.values();
}

const partTexts = ({ pattern }: Key): readonly string[] =>
  pattern.segments.flatMap((segment) => (segment.kind === "part" ? [segment.prefix, segment.suffix] : []));

const exactValues = (match: MatchPlan): readonly (readonly [string, string])[] =>
  [...match.headers.map((value) => ["h", value] as const), ...match.query.map((value) => ["q", value] as const)]
    .flatMap(([where, value]) => (value.kind === "exact" ? [[`${where}:${value.name}`, value.value] as const] : []))
    .sort((a, b) => compareText(a[0], b[0]));

function collectTies(group: readonly number[], keys: readonly Key[], found: Map<string, Tie>): void {
  for (let i = 0; i < group.length; i++) {
    for (let j = i + 1; j < group.length; j++) {
      const a = Math.min(group[i]!, group[j]!); // i, j < length
      const b = Math.max(group[i]!, group[j]!);
      const [left, right] = [keys[a]!, keys[b]!]; // indexes of keys
      if (!conditionsTie(left.match, right.match) || !patternsTie(left, right)) continue;
      found.set(`${a}:${b}`, { a, b });
      if (found.size >= TIES_MAX) return;
    }
  }
}

function addTo(map: Map<string, number[]>, key: string, index: number): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [index]);
  else list.push(index);
}
