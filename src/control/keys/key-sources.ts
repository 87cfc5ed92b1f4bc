// Owns which key sources are alive: those of the plan in force and of plans being prepared. Says their news to whoever tells the workers.
// Must never hold up a plan for long because a provider is down.
import type { JwtConfig } from "../../data/policies/auth/jwt/config.ts";
import type { KeySourceStatus } from "../../observe/instance-state.ts";
import type { KeySetMap, KeySetPlan, KeySourcePlan } from "../../plan/keys.ts";
import type { Plan } from "../../plan/plan.ts";
import { KeySource } from "./key-source.ts";

/** Preparing a plan waits this long (ms) for its new sources; keys that come later follow by themselves. */
const FIRST_FETCH_MS_MAX = 3000;

export interface KeySourcesOptions {
  readonly random: () => number;
  /** A source has other keys than before. */
  onChange(sets: KeySetMap): void;
  /** One sentence for the log. */
  onWarning(message: string): void;
  onInfo(message: string): void;
}

/** Exactly one of commit() and abandon() must follow. */
export interface PreparedKeys {
  readonly sets: KeySetMap;
  /** The plan is in force: what changed since is said again, what only the old plan used ends. */
  commit(): void;
  abandon(): void;
}

type Authenticators = Pick<Plan, "authenticators">;

export class KeySources {
  readonly #options: KeySourcesOptions;
  readonly #sources = new Map<string, KeySource>();
  readonly #sets = new Map<string, KeySetPlan>();
  readonly #prepared = new Set<Authenticators>();
  #plan: Authenticators = { authenticators: [] };
  #version = 0;

  constructor(options: KeySourcesOptions) {
    this.#options = options;
  }

  /** Starts what a plan needs and waits for its keys, bounded in time. Never rejects. */
  async prepare(plan: Authenticators): Promise<PreparedKeys> {
    this.#prepared.add(plan);
    const fresh: KeySource[] = [];
    for (const source of sourcesOf(plan)) {
      if (this.#sources.has(source.id)) continue;
      const started = this.#start(source);
      this.#sources.set(source.id, started);
      fresh.push(started);
    }
    await withinTime(fresh);
    const sets = this.#setsOf(plan);
    return {
      sets,
      commit: () => {
        this.#prepared.delete(plan);
        this.#plan = plan;
        this.#endUnused();
        const news = [...this.#setsOf(plan)].filter(([id, set]) => set.version !== sets.get(id)?.version);
        if (news.length > 0) this.#options.onChange(new Map(news));
      },
      abandon: () => {
        this.#prepared.delete(plan);
        this.#endUnused();
      },
    };
  }

  /** A token names a key that a source does not have. Never rejects. */
  async check(id: string): Promise<{ readonly ok: boolean; readonly restMs: number }> {
    return (await this.#sources.get(id)?.check()) ?? { ok: false, restMs: 0 };
  }

  /** Of the plan in force. */
  states(): readonly KeySourceStatus[] {
    return [...this.#setsOf(this.#plan).keys()].flatMap((id) => {
      const source = this.#sources.get(id);
      if (source === undefined) return [];
      const users = this.#plan.authenticators.filter((each) => sourcesOf({ authenticators: [each] }).some((used) => used.id === id));
      return [{ ...source.state(), authenticators: users.map((each) => each.name) }];
    });
  }

  stop(): void {
    for (const source of this.#sources.values()) source.stop();
    this.#sources.clear();
  }

  #start(plan: KeySourcePlan): KeySource {
    const { onChange, onWarning, onInfo, random } = this.#options;
    return new KeySource(plan, {
      random,
      onKeys: (_, keys) => {
        const set: KeySetPlan = { version: ++this.#version, keys };
        this.#sets.set(plan.id, set);
        onChange(new Map([[plan.id, set]]));
      },
      onTrouble: (source, reason) => {
        const kept = source.keys === null ? "there are none yet: its tokens are answered with 503" : "those at hand stay in use";
        if (reason === null) onInfo(`the keys at ${plan.url} can be fetched again`);
        else onWarning(`the keys at ${plan.url} cannot be fetched: ${reason}; ${kept}`);
      },
    });
  }

  #setsOf(plan: Authenticators): KeySetMap {
    return new Map(sourcesOf(plan).map(({ id }) => [id, this.#sets.get(id) ?? { version: 0, keys: null }]));
  }

  #endUnused(): void {
    const used = new Set([this.#plan, ...this.#prepared].flatMap(sourcesOf).map((source) => source.id));
    for (const [id, source] of this.#sources) {
      if (used.has(id)) continue;
      source.stop();
      this.#sources.delete(id);
      this.#sets.delete(id);
    }
  }
}

/** Each source once, whoever names it. */
function sourcesOf(plan: Authenticators): readonly KeySourcePlan[] {
  const sources = new Map<string, KeySourcePlan>();
  for (const { kind, config } of plan.authenticators) {
    if (kind !== "jwt") continue;
    for (const { source } of (config as JwtConfig).providers) if (source !== null) sources.set(source.id, source); // by contract what the kind's schema made
  }
  return [...sources.values()];
}

async function withinTime(sources: readonly KeySource[]): Promise<void> {
  if (sources.length === 0) return;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FIRST_FETCH_MS_MAX);
  });
  await Promise.race([Promise.all(sources.map((source) => source.firstAttempt)), late]);
  clearTimeout(timer);
}
