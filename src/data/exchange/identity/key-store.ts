// Owns the keys that the primary fetched, as this worker knows them: by source, always the newest, with what was withdrawn marked.
// Must never fetch anything itself, and never wait for the primary without a bound.
import type { KeySetMap, KeySetPlan, VerificationKeyPlan } from "../../../plan/keys.ts";

/** Keys tried for one token that does not say which. */
const CANDIDATES_MAX = 4;
/** How long (ms) a token with an unknown key waits for the primary to look again. */
const ANSWER_MS_MAX = 3000;
/** Tokens that wait for that at once, for each source; more are turned away. */
const WAITING_MAX = 1000;

/** A key in use. Whoever holds one must look whether it was withdrawn. */
export interface LiveKey {
  readonly plan: VerificationKeyPlan;
  withdrawn: boolean;
}

/** What became of the question for an unknown key. checked: the provider has answered now or just before. */
export type KeysAnswer = "checked" | "unavailable" | "overloaded";

/** The keys of one source, or fixed ones. */
export class LiveKeySet {
  /** Moves with every change. */
  version = 0;
  readonly #byKid = new Map<string, LiveKey[]>();
  readonly #nameless: LiveKey[] = [];
  #all: ReadonlyMap<string, LiveKey> = new Map();
  #known = false;
  readonly #ask: (() => Promise<KeysAnswer>) | null;

  /** @param ask the primary to look for new keys; null for fixed ones */
  constructor(ask: (() => Promise<KeysAnswer>) | null) {
    this.#ask = ask;
  }

  static fixed(keys: readonly VerificationKeyPlan[]): LiveKeySet {
    const set = new LiveKeySet(null);
    set.update({ version: 1, keys });
    return set;
  }

  /** false until there are keys: nothing can be told about any token. */
  get known(): boolean {
    return this.#known;
  }

  get canAsk(): boolean {
    return this.#ask !== null;
  }

  /** Asks the primary to look for new keys; by then they are here. Never rejects, bounded in time. */
  async ask(): Promise<KeysAnswer> {
    return this.#ask === null ? "checked" : await this.#ask();
  }

  /** The keys a token may have been signed with: those it names, else those without a name; all, if it names none. */
  candidates(kid: string | null, alg: string): readonly LiveKey[] {
    const named = kid === null ? [...this.#all.values()] : (this.#byKid.get(kid) ?? this.#nameless);
    const fitting = named.filter((key) => key.plan.algorithms.includes(alg));
    return fitting.length > CANDIDATES_MAX ? fitting.slice(0, CANDIDATES_MAX) : fitting;
  }

  /** Whether a key of this name exists, whatever it is for. */
  names(kid: string): boolean {
    return this.#byKid.has(kid);
  }

  /** Older sets than the one in use are ignored: a plan may bring an older picture than a message that overtook it. */
  update({ version, keys }: KeySetPlan): void {
    if (version <= this.version) return;
    this.version = version;
    this.#known = keys !== null;
    const before = this.#all;
    const now = new Map((keys ?? []).map((plan) => [plan.id, before.get(plan.id) ?? { plan, withdrawn: false }]));
    for (const [id, key] of before) if (!now.has(id)) key.withdrawn = true;
    this.#all = now;
    this.#byKid.clear();
    this.#nameless.length = 0;
    for (const key of now.values()) {
      const { kid } = key.plan;
      if (kid === null) this.#nameless.push(key);
      else if (this.#byKid.has(kid)) this.#byKid.get(kid)?.push(key);
      else this.#byKid.set(kid, [key]);
    }
  }
}

interface Source {
  readonly set: LiveKeySet;
  /** The question on its way, shared by all who wait. */
  asked: Promise<KeysAnswer> | null;
  answer: (answer: KeysAnswer) => void;
  waiting: number;
  /** Until then (performance.now(), ms) the last answer stands. */
  restsUntilMs: number;
  lastAnswer: KeysAnswer;
}

/** All sources of this worker. */
export class KeyStore {
  readonly #sources = new Map<string, Source>();
  readonly #ask: (source: string) => void;

  /** @param ask sends the question to the primary, who answers with {@link answered} */
  constructor(ask: (source: string) => void) {
    this.#ask = ask;
  }

  /** The keys of a source, now and after every change. */
  source(id: string): LiveKeySet {
    return this.#source(id).set;
  }

  update(sets: KeySetMap): void {
    for (const [id, set] of sets) this.#source(id).set.update(set);
  }

  /** The primary has looked: new keys, if any, came before this. @param restMs it will not look again before */
  answered(id: string, ok: boolean, restMs: number): void {
    const source = this.#sources.get(id);
    if (source === undefined) return;
    source.lastAnswer = ok ? "checked" : "unavailable";
    source.restsUntilMs = performance.now() + restMs;
    source.answer(source.lastAnswer);
  }

  /** Forgets sources that no plan uses. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const id of this.#sources.keys()) if (!ids.has(id)) this.#sources.delete(id);
  }

  #source(id: string): Source {
    const known = this.#sources.get(id);
    if (known !== undefined) return known;
    const source: Source = {
      set: new LiveKeySet(() => this.#wait(id, source)),
      asked: null,
      answer: () => {},
      waiting: 0,
      restsUntilMs: 0,
      lastAnswer: "checked",
    };
    this.#sources.set(id, source);
    return source;
  }

  #wait(id: string, source: Source): Promise<KeysAnswer> {
    if (source.asked === null && performance.now() < source.restsUntilMs) return Promise.resolve(source.lastAnswer);
    if (source.waiting >= WAITING_MAX) return Promise.resolve("overloaded");
    source.asked ??= this.#question(id, source);
    source.waiting++;
    return source.asked;
  }

  #question(id: string, source: Source): Promise<KeysAnswer> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => source.answer("unavailable"), ANSWER_MS_MAX);
      source.answer = (answer) => {
        clearTimeout(timer);
        source.asked = null;
        source.waiting = 0;
        source.answer = () => {};
        resolve(answer);
      };
      this.#ask(id);
    });
  }
}
