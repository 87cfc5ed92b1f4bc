// Owns the life of one key source in the primary: fetched at once, refreshed in time, asked again when tokens name an unknown key,
// kept while the provider is down. Must never fetch twice at the same time, and never give up a key because a fetch failed.

import { sameIssuer } from "../../data/credentials/issuer-pattern.ts";
import { keysOfJwks } from "../../data/credentials/key-material.ts";
import { keyUrlProblem } from "../../data/credentials/key-url.ts";
import type { KeySourceStatus } from "../../observe/instance-state.ts";
import type { KeySourcePlan, VerificationKeyPlan } from "../../plan/keys.ts";
import { fetchJson } from "./fetch-json.ts";

/** First wait (ms) after a failure; it doubles. */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 30_000;
/** Refreshed after this part of the keys' lifetime, and up to as much again earlier: instances must not ask all at once. */
const REFRESH_FRACTION = 0.9;
const JITTER_FRACTION = 0.1;
/** A discovery document is asked for again after this time (ms), or when the key set it names cannot be had. */
const DISCOVERY_MS = 86_400_000;

export interface KeySourceDeps {
  /** 0..1 */
  readonly random: () => number;
  /** Other keys than before. @param keys null: too old to be used any longer */
  onKeys(source: KeySource, keys: readonly VerificationKeyPlan[] | null): void;
  /** Once for each trouble, and null once it is over. */
  onTrouble(source: KeySource, reason: string | null): void;
}

/** For operators. */
export type KeySourceState = Omit<KeySourceStatus, "authenticators">;

export class KeySource {
  readonly plan: KeySourcePlan;
  readonly #deps: KeySourceDeps;
  readonly #stop = new AbortController();
  #keys: readonly VerificationKeyPlan[] | null = null;
  #fetching: Promise<boolean> | null = null;
  #check: Promise<boolean> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #fetchedMs: number | null = null;
  #checkedMs = Number.NEGATIVE_INFINITY;
  #lastCheckOk = true;
  #retryMs = RETRY_MS_MIN;
  #trouble: string | null = null;
  #discovered: { readonly jwksUri: string; readonly atMs: number } | null = null;
  readonly #fetches = { ok: 0, failed: 0 };
  /** Resolves when the first fetch is over, however it ended. */
  readonly firstAttempt: Promise<unknown>;

  constructor(plan: KeySourcePlan, deps: KeySourceDeps) {
    this.plan = plan;
    this.#deps = deps;
    this.firstAttempt = this.#fetch();
  }

  get keys(): readonly VerificationKeyPlan[] | null {
    return this.#keys;
  }

  state(): KeySourceState {
    return {
      url: this.plan.url,
      state: this.#keys === null ? "missing" : this.#trouble === null ? "fresh" : "stale",
      keys: this.#keys?.length ?? 0,
      ageMs: this.#fetchedMs === null ? null : Math.round(performance.now() - this.#fetchedMs),
      fetches: { ...this.#fetches },
      trouble: this.#trouble,
    };
  }

  /**
   * A token names a key that is not here: looks again, at most once in a cooldown, whoever asks.
   * @returns whether the provider answered, now or the last time, and how long it will not be asked again. Never rejects.
   */
  async check(): Promise<{ readonly ok: boolean; readonly restMs: number }> {
    if (this.#check === null && this.#restMs() > 0) return { ok: this.#lastCheckOk, restMs: this.#restMs() };
    this.#check ??= this.#look();
    const ok = await this.#check;
    return { ok, restMs: this.#restMs() };
  }

  stop(): void {
    this.#stop.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #restMs(): number {
    return Math.max(0, this.#checkedMs + this.plan.cooldownMs - performance.now());
  }

  async #look(): Promise<boolean> {
    this.#checkedMs = performance.now();
    // A fetch under way may have begun before the key was made.
    await this.#fetching;
    this.#lastCheckOk = await this.#fetch();
    this.#check = null;
    return this.#lastCheckOk;
  }

  #fetch(): Promise<boolean> {
    this.#fetching ??= this.#fetchOnce().finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #fetchOnce(): Promise<boolean> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    try {
      const { keys, lifetimeMs } = await this.#keySet();
      this.#fetches.ok++;
      this.#succeeded(keys, lifetimeMs);
      return true;
    } catch (error) {
      if (this.#stop.signal.aborted) return false;
      this.#fetches.failed++;
      this.#failed(error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  #succeeded(keys: readonly VerificationKeyPlan[], lifetimeMs: number | null): void {
    const { refreshMinMs, refreshMaxMs } = this.plan;
    this.#fetchedMs = performance.now();
    this.#retryMs = RETRY_MS_MIN;
    this.#say(null);
    const before = this.#keys;
    this.#keys = keys;
    if (before === null || idsOf(before) !== idsOf(keys)) this.#deps.onKeys(this, keys);
    const goodMs = Math.min(Math.max(lifetimeMs ?? refreshMaxMs, refreshMinMs), refreshMaxMs);
    this.#later(goodMs * (REFRESH_FRACTION - JITTER_FRACTION * this.#deps.random()));
  }

  #failed(reason: string): void {
    const waitMs = this.#retryMs * (0.5 + this.#deps.random() / 2);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
    if (this.#keys !== null && performance.now() - (this.#fetchedMs ?? 0) > this.plan.staleForMs) {
      this.#keys = null;
      this.#deps.onKeys(this, null);
    }
    this.#say(reason);
    this.#later(waitMs);
  }

  #say(trouble: string | null): void {
    const changed = (trouble === null) !== (this.#trouble === null);
    this.#trouble = trouble;
    if (changed) this.#deps.onTrouble(this, trouble);
  }

  #later(delayMs: number): void {
    if (this.#stop.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#fetch(), delayMs);
    this.#timer.unref();
  }

  async #keySet(): Promise<{ readonly keys: readonly VerificationKeyPlan[]; readonly lifetimeMs: number | null }> {
    const url = this.plan.kind === "jwks" ? this.plan.url : await this.#jwksUri();
    try {
      const { value, lifetimeMs } = await this.#get(url);
      const list = keysOfJwks(value, false);
      if ("problem" in list) throw new Error(`the answer ${list.problem}`);
      // One key of a kind that is not known must not take the others along; none at all is no key set.
      if (list.keys.length === 0)
        throw new Error(`no usable key in the answer${list.skipped[0] === undefined ? "" : `: ${list.skipped[0]}`}`);
      return { keys: list.keys, lifetimeMs };
    } catch (error) {
      this.#discovered = null;
      throw error;
    }
  }

  /** OpenID Connect Discovery 1.0 section 4.3: the document must be the issuer's own. */
  async #jwksUri(): Promise<string> {
    const known = this.#discovered;
    if (known !== null && performance.now() - known.atMs < DISCOVERY_MS) return known.jwksUri;
    const { value } = await this.#get(this.plan.url);
    const document = typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {}; // an object that JSON.parse made
    if (!sameIssuer(document["issuer"], this.plan.issuer)) throw new Error("the discovery document is another issuer's");
    const jwksUri = document["jwks_uri"];
    if (typeof jwksUri !== "string") throw new Error("the discovery document has no jwks_uri");
    const problem = keyUrlProblem(jwksUri, this.plan.allowHttp);
    if (problem !== null) throw new Error(`the discovery document's jwks_uri: ${problem}`);
    this.#discovered = { jwksUri, atMs: performance.now() };
    return jwksUri;
  }

  #get(url: string) {
    return fetchJson(url, { timeoutMs: this.plan.timeoutMs, ca: this.plan.ca, signal: this.#stop.signal });
  }
}

const idsOf = (keys: readonly VerificationKeyPlan[]): string =>
  keys
    .map((key) => key.id)
    .sort()
    .join();
