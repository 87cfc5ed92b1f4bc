// The body of an aggregated answer that begins before all legs have ended: what is there in the declared order, as far as it goes.
// The order is the document's, so that an answer never differs by timing. Bounded by the legs' maxBytes.
import { Readable } from "node:stream";
import { CLOSE, type Layout, type MissingLeg, OPEN } from "./assemble.ts";
import type { LegRun } from "./leg-run.ts";

/** What the stream reads from. */
export interface StreamSource {
  readonly runs: readonly LegRun[];
  /** Of legs that have ended. */
  missing(): readonly MissingLeg[];
  /** Nobody takes the rest. */
  left(): void;
}

export class AnswerStream extends Readable {
  readonly #layout: Layout;
  readonly #source: StreamSource;
  #next = 0;
  #isFirst = true;
  #ended = false;

  constructor(layout: Layout, source: StreamSource) {
    super();
    this.#layout = layout;
    this.#source = source;
    this.push(OPEN);
  }

  /** A leg has ended. */
  advance(): void {
    const { runs } = this.#source;
    if (this.#ended || this.destroyed) return;
    const out: Uint8Array[] = [];
    const parts = runs.map(({ part }) => part);
    for (; runs[this.#next]?.ended === true; this.#next++) {
      const pieces = this.#layout.members(this.#next, parts, this.#isFirst);
      if (pieces.length > 0) this.#isFirst = false;
      out.push(...pieces);
    }
    if (this.#next === runs.length) out.push(...this.#layout.incompleteness(this.#source.missing(), this.#isFirst), CLOSE);
    if (out.length > 0) this.push(Buffer.concat(out));
    if (this.#next < runs.length) return;
    this.#ended = true;
    this.push(null);
  }

  override _read(): void {}

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#ended) this.#source.left();
    done(error);
  }
}
