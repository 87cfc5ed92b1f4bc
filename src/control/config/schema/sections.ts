// Owns reading the tree section by section, upstream by upstream and route by route, so that one mistake hides no other.
import type { z } from "zod";
import { name as nameSchema } from "../../../base/schema.ts";
import type { FeaturePlan } from "../../../plan/plan.ts";
import type { ConfigFiles } from "../source/files.ts";
import { type Located, type LocatedMap, nodeAt, positionAt, replaceAt, without } from "../source/located.ts";
import { addAll, type ConfigProblem, formatPath, type PathPart, PROBLEMS_MAX, problemKey } from "../source/problem.ts";
import { FEATURES, featureOf } from "./features.ts";
import { IS_REQUIRED, meantKeys, problemsOf, unknownKeysIssue } from "./issues.ts";
import { parseAt } from "./parse.ts";
import { routes as allRoutes, defaults, POLICY_SETS_MAX, policySet, policySets, type RouteConfig, route, routeOf } from "./route.ts";
import { standsAt, usedSets, withoutNulls, withRouteLayers } from "./route-layers.ts";
import { areRelated, salvage } from "./salvage.ts";
import { upstreams as allUpstreams, CONFIG_KEYS, type Config, IGNORED_PREFIX, type NamedUpstream, SECTIONS } from "./schema.ts";
import { type UpstreamConfig, upstream, upstreamDefaults } from "./upstream.ts";
import { withUpstreamDefaults } from "./upstream-defaults.ts";

/** What could be read, whatever else is wrong: what the cross-checks look at. Every index is one in the tree that comes with it. */
export interface Draft {
  readonly listeners: Config["listeners"];
  /** Names of all upstreams, also of broken ones. */
  readonly upstreamNames: readonly string[];
  readonly upstreams: readonly NamedUpstream[];
  readonly routes: readonly RouteConfig[];
  readonly sections: Partial<Pick<Config, keyof typeof SECTIONS>>;
  /** The whole tree, defaults and policy sets merged under the routes, and the upstreams' defaults under upstreams. */
  readonly written: LocatedMap;
  /** Where the value stands in the files that counts at a path of that tree. */
  readonly standsAt: (path: readonly PathPart[]) => readonly PathPart[];
  /** Paths in it of what had to be taken out so that the rest could be read. */
  readonly lost: readonly (readonly PathPart[])[];
  /** null unless every part is right by the schema. */
  readonly complete: Omit<Config, "certificateFiles" | "errorPageFiles" | "modules" | "leftOut" | "redisConsumers"> | null;
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

/** @returns the tree with defaults and policy sets merged under routes and upstreams and without what is wrong, the draft, and what the schema found wrong. */
export function readSections(
  tree: LocatedMap,
  files: ConfigFiles,
): { readonly root: LocatedMap; readonly draft: Draft; readonly problems: readonly ConfigProblem[] } {
  const { root: merged, problems: idle } = withRouteLayers(tree);
  const whole = withUpstreamDefaults(merged);
  const reading = new Reading(whole, files);
  const unknown = unknownSections(whole);
  addAll(reading.problems, problemsOf(unknown, whole, []));
  reading.tell(defaultsProblems(defaults, "defaults", whole));
  reading.tell(defaultsProblems(upstreamDefaults, "upstreamDefaults", whole));
  for (const more of [policySetsProblems(whole), idle]) reading.tell(more);
  const sections: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries(SECTIONS)) {
    const preset = whole.entries.has(key) ? undefined : PRESETS[key];
    const value = preset ?? reading.read(schema(), [key]);
    if (value !== undefined) sections[key] = value;
  }
  const known = sections as Partial<Pick<Config, keyof typeof SECTIONS>>; // each value is its own schema's output
  const { upstreams, upstreamNames } = readUpstreams(reading);
  const routes = readRoutes(reading);
  const { problems, lost } = reading;
  addAll(lost, lackingSets(whole));
  // No problem: every section is there.
  const complete = problems.length === 0 ? { ...(known as Pick<Config, keyof typeof SECTIONS>), upstreams, routes } : null;
  const draft = {
    listeners: known.listeners ?? [],
    upstreamNames,
    upstreams,
    routes,
    sections: known,
    written: whole,
    standsAt: (path: readonly PathPart[]) => standsAt(tree, path),
    lost,
    complete,
  };
  const meant = new Set(unknown.flatMap(meantKeys));
  return { root: reading.rest, draft, problems: problems.filter(({ message, path }) => message !== IS_REQUIRED || !meant.has(path)) };
}

function unknownSections(root: LocatedMap): z.core.$ZodIssue[] {
  const unknown = [...root.entries.keys()]
    .filter((key) => !CONFIG_KEYS.includes(key) && !key.startsWith(IGNORED_PREFIX))
    .slice(0, PROBLEMS_MAX + 1);
  return unknown.length === 0 ? [] : [unknownKeysIssue(unknown, CONFIG_KEYS)];
}

/** What is wrong with defaults by themselves. Keys that are missing may come from what they are laid under. */
function defaultsProblems(schema: () => z.ZodType, key: string, root: LocatedMap): ConfigProblem[] {
  if (!root.entries.has(key)) return [];
  const parsed = parseAt(schema(), root, [key]);
  return "value" in parsed ? [] : parsed.problems.filter((problem) => problem.message !== IS_REQUIRED);
}

/** What is wrong with each policy set by itself, whether a route uses it or not. Keys that are missing may come from another layer. */
function policySetsProblems(root: LocatedMap): ConfigProblem[] {
  const node = root.entries.get("policySets")?.node;
  if (node === undefined) return [];
  const judged = replaceAt(root, ["policySets", "*"], withoutNulls);
  if (node.kind !== "map" || node.entries.size > POLICY_SETS_MAX) {
    const parsed = parseAt(policySets(), judged, ["policySets"]);
    return "value" in parsed ? [] : [...parsed.problems];
  }
  const problems: ConfigProblem[] = [];
  for (const name of parseNames("policySets", node, problems)) {
    const parsed = parseAt(policySet(), judged, ["policySets", name]);
    if (!("value" in parsed))
      addAll(
        problems,
        parsed.problems.filter((problem) => problem.message !== IS_REQUIRED),
      );
  }
  return problems;
}

/** What a route does not have because it names a set that is not there: nothing is said of its lack. */
function* lackingSets(root: LocatedMap): Generator<readonly PathPart[]> {
  const routes = root.entries.get("routes")?.node;
  for (const [i, route] of routes?.kind === "list" ? routes.items.entries() : []) {
    if (usedSets(route).every((name) => nodeAt(root, ["policySets", name]) !== undefined)) continue;
    for (const { key } of FEATURES) if (nodeAt(route, [key]) === undefined) yield ["routes", i, key];
  }
}

function readUpstreams(reading: Reading): { upstreams: NamedUpstream[]; upstreamNames: string[] } {
  const node = reading.root.entries.get("upstreams")?.node;
  if (node?.kind !== "map") {
    reading.read(allUpstreams(), ["upstreams"]);
    return { upstreams: [], upstreamNames: [] };
  }
  const names = parseNames("upstreams", node, reading.problems);
  const upstreams = names.flatMap((name) => {
    const parsed = reading.read(upstream(), ["upstreams", name]);
    return parsed === undefined ? [] : [{ ...resolveFallback(parsed, ["upstreams", name, "breaker", "fallback"], reading), name }];
  });
  return { upstreams, upstreamNames: names };
}

function parseNames(section: string, node: LocatedMap, problems: ConfigProblem[]): string[] {
  return [...node.entries].map(([name, entry]) => {
    if (!nameSchema().safeParse(name).success) {
      problems.push({
        at: entry.keyAt,
        path: formatPath([section, name]),
        message: "expected a name of letters, digits, '.', '_' and '-'",
        remedy: "",
      });
    }
    return name;
  });
}

function readRoutes(reading: Reading): RouteConfig[] {
  const node = reading.root.entries.get("routes")?.node;
  const list: readonly Located[] = node?.kind === "list" ? node.items : [];
  if (list.length === 0) reading.read(allRoutes(), ["routes"]);
  const routes: RouteConfig[] = [];
  for (const i of list.keys()) {
    const parsed = reading.read(route(), ["routes", i], { name: `unnamed-${i}` });
    if (parsed !== undefined) routes.push(resolvePolicies(routeOf(parsed), ["routes", i], reading));
  }
  reading.dropLost(["routes"]);
  return routes;
}

const NOTHING = { rest: null, lost: [], hidden: [] } as const;

/** One reading of a tree: collects what is wrong, and what is left when that is taken out. */
class Reading {
  readonly root: LocatedMap;
  readonly files: ConfigFiles;
  readonly problems: ConfigProblem[] = [];
  readonly #told = new Set<string>();
  readonly lost: (readonly PathPart[])[] = [];
  /** The tree without what is wrong. */
  rest: LocatedMap;
  /** Paths of items of which nothing is left. */
  readonly #gone: (readonly PathPart[])[] = [];

  constructor(root: LocatedMap, files: ConfigFiles) {
    this.root = root;
    this.files = files;
    this.rest = root;
  }

  /** @param fill stands for keys without which nothing could be read. @returns what could be read of the value at a path; undefined for nothing */
  read<S extends z.ZodType>(schema: S, path: readonly PathPart[], fill?: Readonly<Record<string, string>>): z.output<S> | undefined {
    const parsed = parseAt(schema, this.root, path);
    if ("value" in parsed) return parsed.value;
    this.tell(parsed.problems);
    // No more than that are told: what else is wrong with it, and the checks of the rest, would be work for nobody.
    if (this.crowded) return undefined;
    const { rest, lost, hidden } = parsed.node === undefined ? NOTHING : salvage(schema, parsed.node, fill);
    addAll(this.problems, problemsOf(hidden, this.root, path));
    if (rest === null) {
      this.lost.push(path);
      this.#gone.push(path);
      return undefined;
    }
    for (const below of lost) this.lost.push([...path, ...below]);
    const whole = replaceAt(this.rest, path.map(String), () => rest.node);
    if (whole.kind === "map") this.rest = whole;
    return rest.value;
  }

  /** What stands in a layer that many routes share is told once. */
  tell(problems: readonly ConfigProblem[]): void {
    for (const problem of problems) {
      const key = problemKey(problem);
      if (!this.#told.has(key)) this.problems.push(problem);
      this.#told.add(key);
    }
  }

  /** There are more problems than are told: then nothing is checked any further. */
  get crowded(): boolean {
    return this.problems.length > PROBLEMS_MAX;
  }

  /** Takes the items of a list of which nothing is left out of the tree. */
  dropLost(list: readonly PathPart[]): void {
    if (this.crowded) return;
    for (const path of this.#gone.filter((path) => path.length > list.length && areRelated(path, list)).reverse()) {
      const rest = without(this.rest, path);
      if (rest.kind === "map") this.rest = rest;
    }
  }
}

/** Lets a breaker's fixed answer read the file it names. */
function resolveFallback(upstream: UpstreamConfig, path: readonly PathPart[], reading: Reading): UpstreamConfig {
  const { breaker } = upstream;
  if (breaker?.fallback?.kind !== "respond") return upstream;
  const config = resolvePolicy({ name: "respond", config: breaker.fallback.config }, path, reading).config;
  return { ...upstream, breaker: { ...breaker, fallback: { kind: "respond", config } } };
}

/** Lets policies read the files they name. */
function resolvePolicies(parsed: RouteConfig, path: readonly PathPart[], reading: Reading): RouteConfig {
  return { ...parsed, policies: parsed.policies.map((policy) => resolvePolicy(policy, path, reading)) };
}

/** @param path where the policy's key stands */
function resolvePolicy(policy: FeaturePlan, path: readonly PathPart[], { root, files, problems }: Reading): FeaturePlan {
  const at = positionAt(root, [...path, policy.name, "file"]);
  const read = (name: string): Uint8Array => {
    const content = files.read(files.resolve(at.file, name));
    if (Buffer.isBuffer(content)) return new Uint8Array(content);
    throw new Error(`can't read ${name}: ${content.message}`);
  };
  try {
    const config = featureOf(policy.name).resolve(policy.config, read);
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
