// Owns the bytes of one response while it arrives, for all who read it: in the store's own memory where its length is known, else in pieces until it is whole.
import type { Reservation } from "./response-cache.ts";

/** A body that grows. */
export interface GrowingBody {
  readonly available: number;
  /** @param chunk lent. @returns false when there is no room for it */
  append(chunk: Buffer): boolean;
  /** See SharedBody. */
  read(from: number, to: number): Buffer;
  /** Nobody reads it any more. */
  release(): void;
}

/** Of known length: where it is to stay. */
export class ReservedBody implements GrowingBody {
  available = 0;
  readonly reservation: Reservation;
  readonly #bytes: Buffer;

  constructor(reservation: Reservation) {
    this.reservation = reservation;
    this.#bytes = reservation.body;
  }

  get length(): number {
    return this.#bytes.length;
  }

  get soFar(): Buffer {
    return this.#bytes.subarray(0, this.available);
  }

  append(chunk: Buffer): boolean {
    if (this.available + chunk.length > this.#bytes.length) return false;
    this.#bytes.set(chunk, this.available);
    this.available += chunk.length;
    return true;
  }

  read(from: number, to: number): Buffer {
    return this.#bytes.subarray(from, Math.min(to, this.available));
  }

  release(): void {
    this.reservation.release();
  }
}

/** Bytes that one worker keeps of responses whose length it does not know yet. */
export class PieceBudget {
  readonly max: number;
  used = 0;

  constructor(max: number) {
    this.max = max;
  }
}

/** Of unknown length. */
export class Pieces implements GrowingBody {
  available = 0;
  readonly #budget: PieceBudget;
  readonly #max: number;
  readonly #pieces: Buffer[] = [];
  /** Where each begins. */
  readonly #starts: number[] = [];
  /** Of the pieces that are gone. */
  #dropped = 0;
  #held = 0;

  /** @param max bytes of the whole */
  constructor(budget: PieceBudget, max: number) {
    this.#budget = budget;
    this.#max = max;
  }

  append(chunk: Buffer): boolean {
    if (this.available + chunk.length > this.#max || this.#budget.used + chunk.length > this.#budget.max) return false;
    this.#push(chunk);
    return true;
  }

  #push(chunk: Buffer): void {
    this.#starts.push(this.available);
    this.#pieces.push(Buffer.from(chunk));
    this.available += chunk.length;
    this.#held += chunk.length;
    this.#budget.used += chunk.length;
  }

  /** Beyond the bounds: what is kept is only what somebody has not read yet. @param readUpTo by all. @returns bytes kept */
  slideOn(chunk: Buffer, readUpTo: number): number {
    this.#push(chunk);
    return this.dropBefore(readUpTo);
  }

  dropBefore(readUpTo: number): number {
    while (this.#pieces.length > 0 && (this.#starts[0] ?? 0) + (this.#pieces[0]?.length ?? 0) <= readUpTo) {
      this.#starts.shift();
      const length = this.#pieces.shift()?.length ?? 0;
      this.#dropped += length;
      this.#held -= length;
      this.#budget.used -= length;
    }
    return this.available - this.#dropped;
  }

  read(from: number, to: number): Buffer {
    const index = this.#indexOf(from);
    const piece = this.#pieces[index] as Buffer; // from is below what is available
    const start = this.#starts[index] ?? 0;
    return piece.subarray(from - start, Math.min(to - start, piece.length));
  }

  /** The last that does not begin behind `from`. */
  #indexOf(from: number): number {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] ?? 0) <= from) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  copyTo(target: Buffer): void {
    for (const [index, piece] of this.#pieces.entries()) target.set(piece, this.#starts[index]);
  }

  release(): void {
    this.#budget.used -= this.#held;
    this.#held = 0;
    this.#pieces.length = this.#starts.length = 0;
  }
}
