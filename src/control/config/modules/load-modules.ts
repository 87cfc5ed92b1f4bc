// Owns the policies of the user's own in a configuration: reads their modules, tries them out apart, and puts what is known of them in the place of what was
// written. Whatever is wrong with one is a problem of the configuration, with its place.
import path from "node:path";
import { commonParamNames } from "../../../data/routing/pattern.ts";
import type { ModuleFilePlan, ModuleUse } from "../../../plan/module-plan.ts";
import type { RouteConfig } from "../schema/route.ts";
import type { ConfigFiles } from "../source/files.ts";
import { type Located, type LocatedMap, nodeAt, positionAt, writtenPath } from "../source/located.ts";
import { type ConfigProblem, formatPath, formatPosition, type PathPart, suggest } from "../source/problem.ts";
import { ModuleGraph } from "./module-graph.ts";
import type { FromModuleThread, RouteFacts } from "./module-messages.ts";
import { MODULE_MS_MAX, ModuleThread } from "./module-thread.ts";

/** Modules of one configuration. */
export const MODULES_MAX = 64;

/** The key of a route under which they stand. */
const KEY = "policies";

export interface LoadedModules {
  /** The same, with what is known of their modules. */
  readonly routes: readonly RouteConfig[];
  readonly files: readonly ModuleFilePlan[];
  readonly problems: readonly ConfigProblem[];
}

/** What is written once and stands in one route, or by the defaults in many. */
interface Written {
  /** Of the first route that has it. */
  readonly path: readonly PathPart[];
  readonly module: string;
  readonly node: Located;
  readonly config: Located | null;
  readonly routes: RouteFacts[];
}

interface Draft {
  readonly routes: readonly RouteConfig[];
  readonly upstreamNames: readonly string[];
}

export function loadModules({ routes, upstreamNames }: Draft, root: LocatedMap, files: ConfigFiles): LoadedModules {
  if (!routes.some(hasModules)) return { routes, files: [], problems: [] };
  const all = writtenIn(routes, root);
  const loading = new Loading(root, files, upstreamNames);
  try {
    const uses = new Map([...all].map(([key, each]) => [key, loading.use(each)]));
    const replaced = routes.map((route, i) =>
      hasModules(route) ? { ...route, uses: route.modules.flatMap((_, j) => uses.get(keyOf(root, i, j)) ?? []) } : route,
    );
    return { routes: replaced, files: [...loading.sources.values()], problems: loading.problems };
  } finally {
    loading.end();
  }
}

const hasModules = (route: RouteConfig): boolean => route.modules.length > 0;

const keyOf = (root: LocatedMap, route: number, index: number): string =>
  formatPosition(positionAt(root, ["routes", route, KEY, index, "module"]));

function writtenIn(routes: readonly RouteConfig[], root: LocatedMap): ReadonlyMap<string, Written> {
  const all = new Map<string, Written>();
  for (const [i, route] of routes.entries()) {
    for (const [j, { module }] of route.modules.entries()) {
      const at = ["routes", i, KEY, j];
      const node = nodeAt(root, [...at, "module"]);
      if (node === undefined) continue;
      const key = keyOf(root, i, j);
      const known = all.get(key) ?? { path: at, module, node, config: nodeAt(root, [...at, "with"]) ?? null, routes: [] };
      known.routes.push(factsOf(route));
      all.set(key, known);
    }
  }
  return all;
}

/** What the schema has refused has no route: every path can be read. */
const factsOf = ({ name, match: { paths, methods } }: RouteConfig): RouteFacts => ({
  name,
  path: paths[0] ?? "",
  parameters: commonParamNames(paths),
  methods,
});

class Loading {
  readonly #root: LocatedMap;
  readonly #thread = new ModuleThread();
  readonly #graph: ModuleGraph;
  readonly #upstreamNames: readonly string[];
  readonly #modules = new Set<string>();
  readonly sources = new Map<string, ModuleFilePlan>();
  readonly problems: ConfigProblem[] = [];

  constructor(root: LocatedMap, files: ConfigFiles, upstreamNames: readonly string[]) {
    this.#root = root;
    this.#graph = new ModuleGraph(this.#thread, files);
    this.#upstreamNames = upstreamNames;
  }

  end(): void {
    this.#thread.end();
  }

  /** @returns null when there is something wrong with it, which is among {@link problems} */
  use({ path: at, module, node, config, routes }: Written): ModuleUse | null {
    const place = [...at, "module"];
    const file = path.isAbsolute(module) ? module : path.join(path.dirname(node.at.file), module);
    this.#modules.add(file);
    if (this.#modules.size > MODULES_MAX)
      return this.#refuse(place, `more than ${MODULES_MAX} policy modules`, "let one module do more, by `with`");
    const loaded = this.#graph.load(file, node.at);
    if (!loaded.ok) {
      this.problems.push({ ...loaded.problem, path: this.#format(place) });
      return null;
    }
    const answer = this.#thread.ask({ kind: "use", url: loaded.url, files: loaded.files, config, routes });
    const known = this.#known(answer, { place, file, config: [...at, "with"] });
    if (known === null) return null;
    for (const each of loaded.files) this.sources.set(each.url, each);
    const { name, phase, hooks, upstreams } = known;
    for (const upstream of upstreams)
      if (!this.#upstreamNames.includes(upstream))
        return this.#refuse(
          place,
          `the policy ${name} sends to an upstream ${upstream}, which there is not`,
          suggest(upstream, this.#upstreamNames, "upstreams"),
        );
    return { url: loaded.url, file: module, name, phase, hooks, upstreams, with: known.with };
  }

  #known(
    answer: FromModuleThread | null,
    { place, file, config }: { readonly place: readonly PathPart[]; readonly file: string; readonly config: readonly PathPart[] },
  ): (FromModuleThread & { kind: "use" }) | null {
    if (answer?.kind === "use") return answer;
    if (answer?.kind === "problems") {
      const above = this.#format(config);
      for (const problem of answer.problems)
        this.problems.push({ ...problem, at: this.#atConfig(problem, config), path: joined(above, problem.path) });
      return null;
    }
    if (answer?.kind === "fault" && answer.fault.place !== null) {
      const { message, place: at } = answer.fault;
      const { path: inFile, line, column } = at;
      this.problems.push({
        at: { file: this.#graph.shown(inFile), line, column },
        path: this.#format(place),
        message: `${file}: ${message}`,
        remedy: "",
      });
      return null;
    }
    const late = `it takes longer than ${MODULE_MS_MAX / 1000} s to load, or more memory than it may`;
    return this.#refuse(place, `${file}: ${answer?.kind === "fault" ? answer.fault.message : late}`, "");
  }

  /** A configuration that is not written has no place of its own. */
  #atConfig({ at }: ConfigProblem, config: readonly PathPart[]): ConfigProblem["at"] {
    return at.line === 0 && at.file === "" ? positionAt(this.#root, config) : at;
  }

  #refuse(place: readonly PathPart[], message: string, remedy: string): null {
    this.problems.push({ at: positionAt(this.#root, place), path: this.#format(place), message, remedy });
    return null;
  }

  #format(place: readonly PathPart[]): string {
    return formatPath(writtenPath(this.#root, place));
  }
}

const joined = (above: string, below: string): string => (below === "" || below.startsWith("[") ? above + below : `${above}.${below}`);
