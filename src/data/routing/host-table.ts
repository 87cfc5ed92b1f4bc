// Owns the lookup of a request's host among the hosts of all routes: exact names, wildcard suffixes, any.
// Suffixes are hashed in place from the right, so that a lookup allocates nothing.
import { HASH_SEED, hashStep } from "./edge-table.ts";

/** Most labels in a name (RFC 1035: 253 characters, each label at least one and a dot). */
const LABELS_MAX = 127;

interface Suffix<T> {
  /** With leading dot: `.example.com`. */
  readonly text: string;
  readonly value: T;
}

const NO_SUFFIXES: readonly never[] = [];

/** What belongs to a host, from the most specific to the least. */
export class HostTable<T> {
  readonly #exact = new Map<string, T>();
  /** By hash of the suffix read from the right. */
  readonly #suffixes = new Map<number, Suffix<T>[]>();
  readonly #found: T[] = [];
  /** For hosts that nothing more specific matches; null when there are none. */
  readonly any: T | null;

  /** @param hosts keys: '' for any host, `*.suffix`, or an exact name; all lowercase. */
  constructor(hosts: ReadonlyMap<string, T>) {
    this.any = hosts.get("") ?? null;
    for (const [host, value] of hosts) {
      if (host.startsWith("*.")) this.#addSuffix({ text: host.slice(1), value });
      else if (host !== "") this.#exact.set(host, value);
    }
  }

  #addSuffix(suffix: Suffix<T>): void {
    const hash = hashFromRight(suffix.text);
    const list = this.#suffixes.get(hash);
    if (list === undefined) this.#suffixes.set(hash, [suffix]);
    else list.push(suffix);
  }

  exact(host: string): T | null {
    return this.#exact.size === 0 ? null : (this.#exact.get(host) ?? null);
  }

  /** Finds the wildcards that match the host. @returns how many; {@link wildcard} gives them, shortest suffix first, until the next call. */
  countWildcards(host: string): number {
    if (this.#suffixes.size === 0) return 0;
    if (this.#found.length > 0) this.#found.length = 0; // a call into V8's runtime, also where there is nothing to do
    let hash = HASH_SEED;
    let labels = 0;
    // Down to 1, not 0: at least one character stands for the `*`.
    for (let i = host.length - 1; i >= 1 && labels < LABELS_MAX; i--) {
      const c = host.charCodeAt(i);
      hash = hashStep(hash, c);
      if (c !== 46) continue;
      labels++;
      for (const suffix of this.#suffixes.get(hash) ?? NO_SUFFIXES) {
        if (suffix.text.length === host.length - i && host.endsWith(suffix.text)) this.#found.push(suffix.value);
      }
    }
    return this.#found.length;
  }

  wildcard(index: number): T {
    return this.#found[index]!; // callers stay below countWildcards()
  }
}

function hashFromRight(text: string): number {
  let hash = HASH_SEED;
  for (let i = text.length - 1; i >= 0; i--) hash = hashStep(hash, text.charCodeAt(i));
  return hash;
}
