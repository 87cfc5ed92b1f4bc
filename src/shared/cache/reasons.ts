// Owns why responses were not served from the store, the last reason for each URL, for whoever looks into it. Bounded: URLs share places, and the last one stays.
// It informs: nothing is decided by it.
//
// Layout: PLACES of two words of 32 bits: number of the URL, then the reason (1 + index in REASONS, low 8 bits) and the seconds since the table was allocated (upper 24).
// Writers: all workers, plain stores in this order; two that meet may leave one's reason under the other's URL. Reader: the primary.

const PLACES = 2 ** 13;

/** What assess.ts calls a response that it does not let in, and what else keeps a request from the store. */
export const REASONS = [
  "method",
  "status",
  "partial",
  "request-no-store",
  "no-store",
  "private",
  "authorization",
  "set-cookie",
  "vary-star",
  "vary-too-long",
  "no-lifetime",
  "no-validator",
  "too-large",
  "not-stored",
  "no-key",
  "bypass",
  "debug",
  "request",
] as const;
export type Reason = (typeof REASONS)[number];

const INDEXES: ReadonlyMap<string, number> = new Map(REASONS.map((reason, i) => [reason, i + 1]));

export class Reasons {
  readonly #words: Int32Array;

  static allocate(): SharedArrayBuffer {
    const buffer = new SharedArrayBuffer((2 + PLACES * 2) * 4);
    new Float64Array(buffer, 0, 1)[0] = Date.now();
    return buffer;
  }

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer);
    this.#bornMs = new Float64Array(buffer, 0, 1)[0] ?? 0;
  }

  readonly #bornMs: number;

  /** @param url its number (names.ts) @param reason one of {@link REASONS}; others are not kept */
  note(url: number, reason: string): void {
    const index = INDEXES.get(reason);
    if (index === undefined) return;
    const at = this.#at(url);
    this.#words[at] = url | 0;
    this.#words[at + 1] = index | (Math.floor((Date.now() - this.#bornMs) / 1000) << 8);
  }

  /** @returns the last one, and when it was, Date.now() ms; null when none is known */
  of(url: number): { readonly reason: Reason; readonly atMs: number } | null {
    const at = this.#at(url);
    const word = this.#words[at + 1] ?? 0;
    const reason = REASONS[(word & 0xff) - 1];
    if (this.#words[at] !== (url | 0) || reason === undefined) return null;
    return { reason, atMs: this.#bornMs + (word >>> 8) * 1000 };
  }

  #at(url: number): number {
    return 2 + (url & (PLACES - 1)) * 2;
  }
}
