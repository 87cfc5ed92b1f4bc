// Owns the warning that requests which a protected route does not match would reach a service through a public one. Asks the compiled table, as
// workers do. Must only warn: a public route may be meant.
import type { AuthTree } from "../../../data/policies/auth/config.ts";
import { compareBelowHost } from "../../../data/routing/order.ts";
import { type Pattern, parsePattern, patternMatches, samplePath } from "../../../data/routing/pattern.ts";
import type { MatchPlan } from "../../../plan/plan.ts";
import { answers } from "../schema/features.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { Draft } from "../schema/sections.ts";
import { authOf } from "./auth-of.ts";
import type { Findings } from "./references.ts";
import { type ProbedRequest, RouteProbe } from "./route-probe.ts";
import { FORWARD_AUTH } from "./service-of.ts";

/** Stands where a pattern takes anything; no route should name it. */
const SAMPLE = "sluice-sample";
/** What a `**` is tried with: deeper than most patterns that could be more specific. */
const SAMPLE_REST = [SAMPLE, SAMPLE, SAMPLE];
/** Without HEAD, which comes with GET, and OPTIONS, which changes nothing. */
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/** Protected routes that one warning names. */
const NAMES_MAX = 3;

interface Indexed {
  readonly index: number;
  readonly route: RouteConfig;
  readonly match: MatchPlan;
}

/** Where a request comes in. */
type Entry = Pick<ProbedRequest, "listener" | "scheme">;

/** A request for a protected route's host and path that the route does not match. */
interface Leftover {
  readonly entry: Entry;
  readonly method: string;
  readonly headers: readonly string[];
  /** What it lacks; '' when it is the method that differs. */
  readonly lacks: string;
}

export function checkFallThrough(draft: Draft, findings: Findings): void {
  if (draft.complete === null) return; // what could not be read might take what falls
  const all: Indexed[] = [];
  for (const [index, route] of draft.routes.entries()) {
    all.push({ index, route, match: route.match });
  }
  const entries = entriesOf(draft);
  const conditional = all.filter(({ route, match }) => isProtected(route) && leftovers(match, entries).length > 0);
  if (conditional.length === 0 || !all.some(({ route }) => isOpen(route))) return;
  const probe = new RouteProbe(all, draft.complete);
  const fallen = new Map<number, { readonly names: string[]; readonly example: string }>();
  for (const from of conditional) {
    const fall = fallOf(from, probe, entries);
    if (fall === null) continue;
    const before = fallen.get(fall.to.index);
    if (before === undefined) fallen.set(fall.to.index, { names: [from.route.name], example: fall.example });
    else before.names.push(from.route.name);
  }
  for (const [index, { names, example }] of fallen)
    findings.warn(
      ["routes", index, "auth"],
      `takes requests without credentials that ${listed(names)}, which ${names.length === 1 ? "is" : "are"} protected, would not match: ${example}`,
      "match less here, or add a protected route for whatever else comes to those paths",
    );
}

const listed = (names: readonly string[]): string =>
  names.length <= NAMES_MAX ? names.join(", ") : `${names.slice(0, NAMES_MAX).join(", ")} and ${names.length - NAMES_MAX} more`;

/** Nobody unknown passes. */
const isProtected = (route: RouteConfig): boolean => {
  const tree = authOf(route)?.tree ?? null;
  if (hasForwardAuth(route)) return true;
  return tree !== null && (demands(tree) || route.policies.some(({ name }) => name === "authorize"));
};

function demands(tree: AuthTree): boolean {
  if (tree.kind === "one") return true;
  if (tree.kind === "optional") return false;
  return tree.kind === "any" ? tree.of.every(demands) : tree.of.some(demands);
}

/** Public, and leads to a service. */
const isOpen = (route: RouteConfig): boolean =>
  (authOf(route)?.tree ?? null) === null && !hasForwardAuth(route) && !route.policies.some(answers);

/** A service decides about its requests. */
const hasForwardAuth = ({ policies }: RouteConfig): boolean => policies.some(({ name }) => name === FORWARD_AUTH);

/** Every way in. */
function entriesOf({ listeners, sections }: Draft): readonly Entry[] {
  const isProxied = (sections.trustedProxies ?? []).length > 0;
  const all = listeners.flatMap(({ name: listener, certificates, redirectToHttps }) => {
    const own = certificates === null ? "http" : "https";
    return (["https", "http"] as const)
      .filter((scheme) => (isProxied || scheme === own) && (scheme === "https" || redirectToHttps === null))
      .map((scheme) => ({ listener, scheme }));
  });
  return [...new Map(all.map((entry) => [`${entry.listener} ${entry.scheme}`, entry])).values()];
}

const isEntry = ({ listeners, scheme }: MatchPlan, entry: Entry): boolean =>
  (listeners.length === 0 || listeners.includes(entry.listener)) && (scheme === null || scheme === entry.scheme);

function leftovers(match: MatchPlan, entries: readonly Entry[]): readonly Leftover[] {
  const { listeners, scheme, methods } = match;
  const lacks = [
    ...(listeners.length === 0 ? [] : [`the listener ${listeners.join(" or ")}`]),
    ...(scheme === null ? [] : [`the scheme ${scheme}`]),
  ];
  const [method = "GET"] = methods;
  return entries.flatMap((entry) =>
    isEntry(match, entry) ? leftoversAt(match, entry) : [{ entry, method, headers: [], lacks: lacks.join(" and ") }],
  );
}

function leftoversAt({ methods, headers, query, client, versions }: MatchPlan, entry: Entry): readonly Leftover[] {
  const lacks = [
    ...headers.map(({ name }) => `the header ${name}`),
    ...query.map(({ name }) => `the query parameter ${name}`),
    ...(client === null ? [] : [`a client of type ${client}`]),
    ...(versions.length === 0 ? [] : [`the version ${versions.join(" or ")}`]),
  ].join(", ");
  const agent = client === "desktop" ? ["user-agent", "bot"] : []; // who sends none counts as desktop
  const bare =
    lacks === "" ? [] : (methods.length === 0 ? METHODS.slice(0, 1) : methods).map((method) => ({ entry, method, headers: agent, lacks }));
  const others = methods.length === 0 ? [] : METHODS.filter((method) => !methods.includes(method));
  return [...bare, ...others.map((method) => ({ entry, method, headers: agent, lacks: "" }))];
}

/** The first public route that takes what this one leaves, and by which request. */
function fallOf(
  from: Indexed,
  probe: RouteProbe<Indexed>,
  entries: readonly Entry[],
): { readonly to: Indexed; readonly example: string } | null {
  for (const path of from.match.paths) {
    const fall = fallAt(from, path, { probe, entries });
    if (fall !== null) return fall;
  }
  return null;
}

/** @param written one of its paths */
function fallAt(
  from: Indexed,
  written: string,
  { probe, entries }: { readonly probe: RouteProbe<Indexed>; readonly entries: readonly Entry[] },
): { readonly to: Indexed; readonly example: string } | null {
  const path = sampleOf(written);
  // `*.suffix`, read as a host, is one that it stands for.
  for (const host of from.match.hosts.length === 0 ? [""] : from.match.hosts) {
    for (const { entry, method, headers, lacks } of leftovers(from.match, entries)) {
      const to = probe.routeOf({ ...entry, method, host, path, query: "", headers });
      if (
        to === null ||
        !isOpen(to.route) ||
        !outranks({ ...from.match, paths: [written] }, takingOf(to.match, path), host) ||
        isSite(from, to)
      )
        continue;
      // A public route that names the place, or the method, was written for it.
      if (!isEntry(from.match, entry) && (to.match.listeners.length > 0 || to.match.scheme !== null)) continue;
      if (lacks === "" && to.match.methods.length > 0) continue;
      return { to, example: `${method} ${host}${written}${lacks === "" ? "" : ` without ${lacks}`}` };
    }
  }
  return null;
}

/** Else the public one would take its requests in any case. @param host of both, or of the first alone: then that is the more specific one */
function outranks(match: MatchPlan, other: MatchPlan, host: string): boolean {
  const sameHost = host === "" ? other.hosts.length === 0 : other.hosts.includes(host);
  return !sameHost || compareBelowHost(match, other) < 0;
}

/** A route for everything that leads to other services: a web site beside an API. */
function isSite(from: Indexed, to: Indexed): boolean {
  if (patternsOf(to.match).some(({ literalLength }) => literalLength > 0)) return false;
  const services = servicesOf(from.route);
  return !servicesOf(to.route).some((name) => services.includes(name));
}

const servicesOf = ({ to, weighted }: RouteConfig): readonly string[] =>
  weighted?.map(({ upstream }) => upstream) ?? (to === undefined ? [] : [to]);

function sampleOf(text: string): string {
  const pattern = parsePattern(text);
  return "error" in pattern ? text : samplePath(pattern, () => SAMPLE, SAMPLE_REST); // the schema has refused broken patterns
}

const patternsOf = ({ paths }: MatchPlan): readonly Pattern[] =>
  paths.map(parsePattern).flatMap((pattern) => ("error" in pattern ? [] : [pattern]));

/** With those of its paths that take a request's path. */
function takingOf(match: MatchPlan, path: string): MatchPlan {
  const taking = patternsOf(match).filter((pattern) => patternMatches(pattern, path));
  return taking.length === 0 ? match : { ...match, paths: taking.map(({ text }) => text) }; // none: by a version in the path
}
