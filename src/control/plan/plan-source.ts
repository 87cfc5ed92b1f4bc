// Owns where plans come from: files -> configuration -> plan with every port known. Must never put a plan into force, and must load what reads
// configurations only when one is read: a primary gets its first from the supervisor.
import type { HandedConfiguration } from "../../plan/messages.ts";
import type { Plan } from "../../plan/plan.ts";
import type { ReloadProblem } from "../admin/deps.ts";
import { type CompileContext, compilePlan } from "../config/compile.ts";
import { type ConfigProblem, formatProblem } from "../config/problem.ts";
import type { Config } from "../config/schema.ts";
import { type PickedPorts, resolvePorts } from "../instance/addresses.ts";
import { unpackConfig } from "./packed-config.ts";

export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly string[];
}

export type Loading = ({ readonly ok: true } & LoadedConfig) | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

export type MetricSlots = Required<Pick<CompileContext, "metricSlot" | "limitSlot" | "breakerSlot">>;

export class PlanSource {
  readonly #files: readonly string[];
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #slots: MetricSlots;
  #picked: PickedPorts;
  /** Every file that the last configuration was made of (also a refused one): what to watch. */
  watched: readonly string[] = [];
  /** Of a configuration that another process read: {@link HandedConfiguration.stamps}. */
  stamps: readonly string[] = [];

  /** @param picked ports that an earlier life of this instance picked for addresses with port 0 */
  constructor(options: {
    readonly files: readonly string[];
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly picked: PickedPorts;
    /** Asked when a plan is compiled; may depend on the first configuration. */
    readonly slots: MetricSlots;
  }) {
    this.#files = options.files;
    this.#env = options.env;
    this.#picked = options.picked;
    this.#slots = options.slots;
  }

  /** Ports picked so far. */
  get picked(): PickedPorts {
    return this.#picked;
  }

  /** Takes a configuration that the supervisor read from the same files. */
  accept({ config, warnings, files, stamps }: HandedConfiguration): LoadedConfig {
    this.watched = files;
    this.stamps = stamps;
    return { config: unpackConfig(config), warnings };
  }

  async load(): Promise<Loading> {
    const { loadConfig } = await import("../config/load.ts");
    const result = loadConfig({ files: this.#files, env: this.#env });
    this.watched = result.files;
    if (!result.ok) return { ok: false, problems: result.problems };
    return { ok: true, config: result.config, warnings: result.warnings.map(formatProblem) };
  }

  /** @throws OperatorError when a free port cannot be picked */
  async compile(config: Config, version: number): Promise<Plan> {
    const compiled = compilePlan(config, {
      version,
      metricSlot: (name) => this.#slots.metricSlot(name),
      limitSlot: (name) => this.#slots.limitSlot(name),
      breakerSlot: (name) => this.#slots.breakerSlot(name),
    });
    const { plan, picked } = await resolvePorts(compiled, this.#picked);
    this.#picked = { ...this.#picked, ...picked };
    return plan;
  }
}

/** For the log and the admin listener. */
export function reloadProblems(problems: readonly ConfigProblem[]): readonly ReloadProblem[] {
  return problems.map(({ message, at, path, remedy }) => ({ message, at, path, remedy }));
}
