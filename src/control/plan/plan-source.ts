// Owns where plans come from: files -> configuration -> plan with every port known. Must never put a plan into force.
import type { Plan } from "../../plan/plan.ts";
import { workersHere } from "../config/check/worker-count.ts";
import { type CompileContext, compilePlan } from "../config/compile/compile.ts";
import type { MayLeaveOut } from "../config/load.ts";
import type { Config } from "../config/schema/schema.ts";
import { ConfigFiles, type WatchedFile } from "../config/source/files.ts";
import type { PipedTexts } from "../config/source/piped.ts";
import type { ConfigProblem } from "../config/source/problem.ts";
import type { RedisConsumerSet } from "../config/source/redis-consumers.ts";
import type { RefusedSet } from "../consumers/redis-consumers.ts";
import { type PickedPorts, resolvePorts } from "../instance/addresses.ts";
import { type LoadOutcome, runLoadJob } from "./load-job.ts";
import { LoadThread } from "./load-thread.ts";
import { fitOpenFiles, openFilesMax } from "./open-files.ts";
import type { ReloadProblem } from "./reload.ts";

export interface LoadedConfig {
  readonly config: Config;
  readonly warnings: readonly string[];
  /** The files as they were read. null: not made of files that can be read. */
  readonly content: ConfigFiles | null;
  /** The first set of consumers, when it was another that could be used. */
  readonly refused: RefusedSet | null;
}

export type Loading = ({ readonly ok: true } & LoadedConfig) | { readonly ok: false; readonly problems: readonly ConfigProblem[] };

export type MetricSlots = Required<
  Pick<CompileContext, "metricSlot" | "limitSlot" | "decisionSlot" | "legSlot" | "policySlot" | "tierSlot" | "breakerSlot" | "overloadSlot">
>;

export class PlanSource {
  readonly #files: readonly string[];
  readonly piped: PipedTexts;
  readonly #env: Readonly<Record<string, string | undefined>>;
  readonly #slots: MetricSlots;
  readonly #warn: (message: string) => void;
  #picked: PickedPorts;
  /** As many as there are: a reload changes nothing of it. */
  #workers: number | null = null;
  #warned: string | null = null;
  #watched: () => readonly WatchedFile[] = () => [];
  readonly #thread = new LoadThread();

  /** @param picked ports that an earlier life of this instance picked for addresses with port 0 */
  constructor(options: {
    readonly files: readonly string[];
    /** Those of the files that came through a pipe, as they did. */
    readonly piped: PipedTexts;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly picked: PickedPorts;
    /** Asked when a plan is compiled; may depend on the first configuration. */
    readonly slots: MetricSlots;
    /** Told what an operator should know of a plan, once. */
    readonly warn: (message: string) => void;
  }) {
    this.#files = options.files;
    this.piped = options.piped;
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
   * @param leaveOut which listeners may be left out when their certificates cannot be used, as long as others are left
   */
  async load(
    sets: readonly (RedisConsumerSet | null)[] = [null],
    before: ConfigFiles | null = null,
    leaveOut: MayLeaveOut = [],
  ): Promise<Loading> {
    const content = before ?? new ConfigFiles();
    const outcome = runLoadJob({ files: this.#files, piped: this.piped, env: this.#env, sets, leaveOut }, content);
    if (before === null) this.#watched = () => content.watched();
    return outcome.ok ? loaded(outcome, sets, content) : outcome;
  }

  /** As {@link load}, in a thread of its own: this one goes on meanwhile. Never rejects: what goes wrong with the thread is a problem like others. */
  async loadApart(sets: readonly (RedisConsumerSet | null)[], before: ConfigFiles | null, leaveOut: MayLeaveOut = []): Promise<Loading> {
    const job = { files: this.#files, piped: this.piped, env: { ...this.#env }, sets, leaveOut, before: before?.snapshot() ?? null };
    try {
      const { outcome, watched, content } = await this.#thread.load(job);
      if (before === null) this.#watched = () => watched;
      return outcome.ok ? loaded(outcome, sets, content === null ? null : ConfigFiles.from(content)) : outcome;
    } catch (error) {
      const at = { file: this.#files.join(", "), line: 0, column: 0 };
      return { ok: false, problems: [{ at, path: "", message: error instanceof Error ? error.message : String(error), remedy: "" }] };
    }
  }

  /** Every file that the last configuration was made of (also a refused one), as it was read: what to watch. */
  get watched(): readonly WatchedFile[] {
    return this.#watched();
  }

  /** No more loads. See {@link LoadThread.end}. */
  end(): Promise<boolean> {
    return this.#thread.end();
  }

  /** @throws OperatorError when a free port cannot be picked */
  async compile(config: Config, version: number): Promise<Plan> {
    const compiled = compilePlan(config, {
      version,
      metricSlot: (name) => this.#slots.metricSlot(name),
      limitSlot: (name) => this.#slots.limitSlot(name),
      decisionSlot: (name) => this.#slots.decisionSlot(name),
      legSlot: (name) => this.#slots.legSlot(name),
      breakerSlot: (name) => this.#slots.breakerSlot(name),
      overloadSlot: (name) => this.#slots.overloadSlot(name),
      policySlot: (name) => this.#slots.policySlot(name),
      tierSlot: (name) => this.#slots.tierSlot(name),
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

/** With the sets themselves again: whether it is the same one is asked by identity. */
function loaded(outcome: LoadOutcome & { ok: true }, sets: readonly (RedisConsumerSet | null)[], content: ConfigFiles | null): Loading {
  const { config, warnings, refused } = outcome;
  const refusedSet = refused === null ? null : (sets[refused.set] ?? null);
  return {
    ok: true,
    config: config.redisConsumers === null ? config : { ...config, redisConsumers: sets[outcome.set] ?? null },
    warnings,
    content,
    refused: refused === null || refusedSet === null ? null : { set: refusedSet, problems: refused.problems },
  };
}

/** For the log and the admin listener. */
export function reloadProblems(problems: readonly ConfigProblem[]): readonly ReloadProblem[] {
  return problems.map(({ message, at, path, remedy }) => ({ message, at, path, remedy }));
}
