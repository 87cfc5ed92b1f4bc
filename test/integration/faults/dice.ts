// Owns the chance in the fault tests: the same seed throws the same dice.
import { seededRandom } from "../../support/upstreams.ts";

export class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  /** @returns 0 to end - 1 */
  below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T; // below() stays inside; the lists are not empty
  }
}

/** Up to `max` printable bytes; short ones are more likely. */
export const bytes = (dice: Dice, max: number): string => "x".repeat(dice.below(dice.chance(0.5) ? 64 : max));

/** Cuts at up to three random places. */
export function pieces(dice: Dice, whole: Buffer): Buffer[] {
  const cuts = Array.from({ length: dice.below(4) }, () => dice.below(whole.length + 1)).sort((a, b) => a - b);
  return [0, ...cuts].map((from, i) => whole.subarray(from, cuts[i] ?? whole.length)).filter((piece) => piece.length > 0);
}

/** Names a client in an answer. */
export const markOf = (asker: string): string => `<${asker}>`;
export const MARKS = /<(\d+)>/g;
