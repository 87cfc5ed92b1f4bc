// Owns reading the tree section by section, upstream by upstream and route by route, so that one mistake hides no other.
import type { z } from "zod";
import { name as nameSchema } from "../../base/schema.ts";
import { POLICY_SCHEMAS } from "../../data/policies/schemas.ts";
import type { PolicyPlan } from "../../plan/plan.ts";
import type { ConfigFiles } from "./files.ts";
import { IS_REQUIRED, meantKeys, problemsOf, unknownKeysIssue } from "./issues.ts";
import { type Located, type LocatedMap, overlay, positionAt } from "./located.ts";
import { parseAt } from "./parse.ts";
import { addAll, type ConfigProblem, formatPath, type PathPart, PROBLEMS_MAX } from "./problem.ts";
import { upstreams as allUpstreams, CONFIG_KEYS, type Config, type NamedUpstream, SECTIONS } from "./schema.ts";
import { routes as allRoutes, defaults, type RouteConfig, route, routeOf } from "./schema-route.ts";
import { type UpstreamConfig, upstream } from "./schema-upstream.ts";

/** What could be read, whatever else is wrong: what the cross-checks look at. */
export interface Draft {
  readonly listeners: Config["listeners"];
  /** Names of all upstreams, also of broken ones. */
  readonly upstreamNames: readonly string[];
  readonly upstreams: readonly NamedUpstream[];
  /** By index in the file; null where the route is broken. */
  readonly routes: readonly (RouteConfig | null)[];
  readonly sections: Partial<Pick<Config, keyof typeof SECTIONS>>;
  /** null unless every part is right by the schema. */
  readonly complete: Omit<Config, "fileHashes" | "redisConsumers"> | null;
}

/** Set by build.ts, from {@link sectionPresets}; from source there is none. */
declare const SECTION_PRESETS: Readonly<Record<string, unknown>> | undefined;

/** What each section is when nobody has written it, for those that may be left out: JSON. */
export function sectionPresets(): Readonly<Record<string, unknown>> {
  const absent = Object.entries(SECTIONS).map(([key, schema]) => [key, schema().safeParse(undefined)] as const);
  return Object.fromEntries(absent.flatMap(([key, parsed]) => (parsed.success ? [[key, parsed.data]] : [])));
}

/** Saves a cold start the schemas of the sections that a file does not have. */
const PRESETS = typeof SECTION_PRESETS === "undefined" ? {} : SECTION_PRESETS;

/** @returns the tree with the defaults merged under the routes, the draft, and what the schema found wrong. */
export function readSections(
  tree: LocatedMap,
  files: ConfigFiles,
): { readonly root: LocatedMap; readonly draft: Draft; readonly problems: readonly ConfigProblem[] } {
  const root = withDefaults(tree);
  const unknown = unknownSections(root);
  const problems: ConfigProblem[] = [...problemsOf(unknown, root, []), ...defaultsProblems(root)];
  const sections: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries(SECTIONS)) {
    const preset = root.entries.has(key) ? undefined : PRESETS[key];
    const parsed = preset === undefined ? parseAt(schema(), root, [key]) : { value: preset };
    if ("value" in parsed) sections[key] = parsed.value;
    else addAll(problems, parsed.problems);
  }
  const known = sections as Partial<Pick<Config, keyof typeof SECTIONS>>; // each value is its own schema's output
  const { upstreams, upstreamNames } = readUpstreams(root, files, problems);
  const routes = readRoutes(root, files, problems);
  const good = routes.filter((parsed) => parsed !== null);
  const whole = problems.length === 0 && good.length === routes.length;
  const complete = whole ? { ...(known as Pick<Config, keyof typeof SECTIONS>), upstreams, routes: good } : null; // no problem: every section is there
  const draft = { listeners: known.listeners ?? [], upstreamNames, upstreams, routes, sections: known, complete };
  const meant = new Set(unknown.flatMap(meantKeys));
  return { root, draft, problems: problems.filter(({ message, path }) => message !== IS_REQUIRED || !meant.has(path)) };
}

/** Lays every route over `defaults`. */
function withDefaults(root: LocatedMap): LocatedMap {
  const under = root.entries.get("defaults")?.node;
  const routes = root.entries.get("routes");
  if (under?.kind !== "map" || routes?.node.kind !== "list") return root;
  const items = routes.node.items.map((item) => overlay(withoutReplaced(under, item), item));
  return { ...root, entries: new Map(root.entries).set("routes", { keyAt: routes.keyAt, node: { ...routes.node, items } }) };
}

/** Keys of which a route's own replaces the default whole: half of one tree in another would mean something that nobody wrote. */
const REPLACED_WHOLE: readonly string[] = ["auth"];

function withoutReplaced(under: LocatedMap, route: Located): LocatedMap {
  const own = REPLACED_WHOLE.filter((key) => route.kind === "map" && holdsMap(route.entries.get(key)?.node) && under.entries.has(key));
  if (own.length === 0) return under;
  return { ...under, entries: new Map([...under.entries].filter(([key]) => !own.includes(key))) };
}

/** Anything else replaces (or, null, removes) by itself. */
const holdsMap = (node: Located | undefined): boolean => node?.kind === "map";

function unknownSections(root: LocatedMap): z.core.$ZodIssue[] {
  const unknown = [...root.entries.keys()].filter((key) => !CONFIG_KEYS.includes(key)).slice(0, PROBLEMS_MAX + 1);
  return unknown.length === 0 ? [] : [unknownKeysIssue(unknown, CONFIG_KEYS)];
}

/** What is wrong with the defaults by themselves. Keys that are missing may come from the routes. */
function defaultsProblems(root: LocatedMap): ConfigProblem[] {
  if (!root.entries.has("defaults")) return [];
  const parsed = parseAt(defaults(), root, ["defaults"]);
  return "value" in parsed ? [] : parsed.problems.filter((problem) => problem.message !== IS_REQUIRED);
}

function readUpstreams(
  root: LocatedMap,
  files: ConfigFiles,
  problems: ConfigProblem[],
): { upstreams: NamedUpstream[]; upstreamNames: string[] } {
  const node = root.entries.get("upstreams")?.node;
  if (node?.kind !== "map") {
    const parsed = parseAt(allUpstreams(), root, ["upstreams"]);
    if (!("value" in parsed)) addAll(problems, parsed.problems);
    return { upstreams: [], upstreamNames: [] };
  }
  const names = parseNames(node, problems);
  const upstreams: NamedUpstream[] = [];
  for (const name of names) {
    const parsed = parseAt(upstream(), root, ["upstreams", name]);
    if ("value" in parsed)
      upstreams.push({ ...resolveFallback(parsed.value, ["upstreams", name, "breaker", "fallback"], { root, files, problems }), name });
    else addAll(problems, parsed.problems);
  }
  return { upstreams, upstreamNames: names };
}

function parseNames(node: LocatedMap, problems: ConfigProblem[]): string[] {
  return [...node.entries].map(([name, entry]) => {
    if (!nameSchema().safeParse(name).success) {
      problems.push({
        at: entry.keyAt,
        path: formatPath(["upstreams", name]),
        message: "expected a name of letters, digits, '.', '_' and '-'",
        remedy: "",
      });
    }
    return name;
  });
}

function readRoutes(root: LocatedMap, files: ConfigFiles, problems: ConfigProblem[]): (RouteConfig | null)[] {
  const node = root.entries.get("routes")?.node;
  const list: readonly Located[] = node?.kind === "list" ? node.items : [];
  if (list.length === 0) {
    const parsed = parseAt(allRoutes(), root, ["routes"]);
    if (!("value" in parsed)) addAll(problems, parsed.problems);
  }
  return list.map((_, i) => {
    const parsed = parseAt(route(), root, ["routes", i]);
    if ("value" in parsed) return resolvePolicies(routeOf(parsed.value), ["routes", i], { root, files, problems });
    addAll(problems, parsed.problems);
    return null;
  });
}

/** What reading a named file needs, and where it complains. */
interface Reading {
  readonly root: LocatedMap;
  readonly files: ConfigFiles;
  readonly problems: ConfigProblem[];
}

/** Lets a breaker's fixed answer read the file it names. */
function resolveFallback(upstream: UpstreamConfig, path: readonly PathPart[], reading: Reading): UpstreamConfig {
  const { breaker } = upstream;
  if (breaker?.fallback?.kind !== "respond") return upstream;
  const config = resolvePolicy({ name: "respond", config: breaker.fallback.config }, path, reading).config;
  return { ...upstream, breaker: { ...breaker, fallback: { kind: "respond", config } } };
}

/** Lets policies read the files they name. */
function resolvePolicies(parsed: RouteConfig, path: readonly PathPart[], reading: Reading): RouteConfig | null {
  const before = reading.problems.length;
  const policies = parsed.policies.map((policy) => resolvePolicy(policy, path, reading));
  return reading.problems.length > before ? null : { ...parsed, policies };
}

/** @param path where the policy's key stands */
function resolvePolicy(policy: PolicyPlan, path: readonly PathPart[], { root, files, problems }: Reading): PolicyPlan {
  const at = positionAt(root, [...path, policy.name, "file"]);
  const read = (name: string): Uint8Array => {
    const content = files.read(files.resolve(at.file, name));
    if (Buffer.isBuffer(content)) return new Uint8Array(content);
    throw new Error(`can't read ${name}: ${content.message}`);
  };
  try {
    const config = POLICY_SCHEMAS.find((schema) => schema.key === policy.name)?.resolve(policy.config, read);
    return { name: policy.name, config };
  } catch (error) {
    problems.push({
      at,
      path: formatPath([...path, policy.name]),
      message: error instanceof Error ? error.message : String(error),
      remedy: "paths are relative to the configuration file",
    });
    return policy;
  }
}
