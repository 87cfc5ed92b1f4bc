// Owns where plans come from: files -> configuration -> plan with every port known. Must never put a plan into force.
import type { Plan } from "../../plan/plan.ts";
import type { ReloadProblem } from "../admin/deps.ts";
import { type CompileContext, compilePlan } from "../config/compile.ts";
import { ConfigFiles } from "../config/files.ts";
import { loadConfig } from "../config/load.ts";
import { type ConfigProblem, formatProblem } from "../config/problem.ts";
import type { RedisConsumerSet } from "../config/redis-consumers.ts";
import type { Config } from "../config/schema.ts";
import type { RefusedSet } from "../consumers/redis-consumers.ts";
import { type PickedPorts, resolvePorts } from "../instance/addresses.ts";
import { workersHere } from "../workers/worker-count.ts";
import { fitOpenFiles, openFilesMax } from "./open-files.ts";

export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly string[];
  /** The files as they were read. null: not made of files that can be read. */
  readonly content: ConfigFiles | null;
  /** The first set of consumers, when it was another that could be used. */
  readonly refused: RefusedSet | null;
}

export type Loading = ({ readonly ok: true } & LoadedConfig) | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

export type MetricSlots = Required<Pick<CompileContext, "metricSlot" | "limitSlot" | "breakerSlot">>;

export class PlanSource {
  readonly #files: readonly string[];
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #slots: MetricSlots;
  readonly #warn: (message: string) => void;
  #picked: PickedPorts;
  /** As many as there are: a reload changes nothing of it. */
  #workers: number | null = null;
  #warned: string | null = null;
  /** Every file that the last configuration was made of (also a refused one): what to watch. */
  watched: readonly string[] = [];
  /** What tells whether each of them is still as it was read. */
  stamps: readonly string[] = [];

  /** @param picked ports that an earlier life of this instance picked for addresses with port 0 */
  constructor(options: {
    readonly files: readonly string[];
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly picked: PickedPorts;
    /** Asked when a plan is compiled; may depend on the first configuration. */
    readonly slots: MetricSlots;
    /** Told what an operator should know of a plan, once. */
    readonly warn: (message: string) => void;
  }) {
    this.#files = options.files;
    this.#env = options.env;
    this.#picked = options.picked;
    this.#slots = options.slots;
    this.#warn = options.warn;
  }

  /** Ports picked so far. */
  get picked(): PickedPorts {
    return this.#picked;
  }

  /**
   * @param sets consumers of Redis to make it with: the first that gives a configuration without mistakes
   * @param before the files as they were read before; without it they are read
   */
  async load(sets: readonly (RedisConsumerSet | null)[] = [null], before: ConfigFiles | null = null): Promise<Loading> {
    const content = before ?? new ConfigFiles();
    let refused: RefusedSet | null = null;
    let problems: readonly ConfigProblem[] = [];
    for (const set of sets) {
      const result = loadConfig({ files: this.#files, env: this.#env, content, redisConsumers: set });
      if (before === null) {
        this.watched = content.paths;
        this.stamps = content.stamps;
      }
      if (result.ok) return { ok: true, config: result.config, warnings: result.warnings.map(formatProblem), content, refused };
      problems = result.problems;
      if (set !== null) refused ??= { set, problems };
    }
    return { ok: false, problems };
  }

  /** @throws OperatorError when a free port cannot be picked */
  async compile(config: Config, version: number): Promise<Plan> {
    const compiled = compilePlan(config, {
      version,
      metricSlot: (name) => this.#slots.metricSlot(name),
      limitSlot: (name) => this.#slots.limitSlot(name),
      breakerSlot: (name) => this.#slots.breakerSlot(name),
    });
    this.#workers ??= workersHere(config.workers).count;
    const { plan: fitting, warning } = fitOpenFiles(compiled, this.#workers, openFilesMax());
    if (warning !== null && warning !== this.#warned) this.#warn(warning);
    this.#warned = warning;
    const { plan, picked } = await resolvePorts(fitting, this.#picked);
    this.#picked = { ...this.#picked, ...picked };
    return plan;
  }
}

/** For the log and the admin listener. */
export function reloadProblems(problems: readonly ConfigProblem[]): readonly ReloadProblem[] {
  return problems.map(({ message, at, path, remedy }) => ({ message, at, path, remedy }));
}
