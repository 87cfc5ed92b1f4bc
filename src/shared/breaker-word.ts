// Owns how a circuit breaker's state fits one 32-bit word, so that every change of it is one compare-and-swap. Pure.
// Must never hold what does not have to change in the same step.

/** What a breaker does with requests. Numbers stand in shared memory and in the metrics: never renumber them. */
export const PHASE = {
  /** All pass, outcomes are counted. */
  closed: 0,
  /** None passes. */
  open: 1,
  /** As many as the round has trials pass; their outcomes decide. */
  halfOpen: 2,
  /** A growing share passes, outcomes are counted. */
  recovering: 3,
  /** None passes until an operator says otherwise. */
  forcedOpen: 4,
  /** All pass until an operator says otherwise; outcomes are counted and change nothing. */
  forcedClosed: 5,
} as const;
export type Phase = (typeof PHASE)[keyof typeof PHASE];

/** By number. */
export const PHASE_NAMES = ["closed", "open", "half-open", "recovering", "forced open", "forced closed"] as const;

/*
 * Bits, lowest first:
 *   0..6    SUCCEEDED  trials of the round that went well
 *   7..13   TAKEN      trials of the round that were given out and not given back, SUCCEEDED among them
 *   14..16  PHASE
 *   17..31  EPOCH      moves with every change that makes earlier requests' outcomes irrelevant; wraps after 32768
 */
const COUNT_MASK = 0x7f;
const TAKEN_SHIFT = 7;
const PHASE_SHIFT = 14;
const PHASE_MASK = 0x7;
const EPOCH_SHIFT = 17;
const EPOCH_MASK = 0x7fff;

/** Most trials of a round: what the word has room for, and some. */
export const TRIALS_MAX = 100;
/** One more or less of TAKEN, SUCCEEDED in a word. */
export const ONE_TAKEN = 1 << TAKEN_SHIFT;
export const ONE_SUCCEEDED = 1;

export const phaseOf = (word: number): Phase => ((word >>> PHASE_SHIFT) & PHASE_MASK) as Phase; // only makeWord writes it
export const epochOf = (word: number): number => (word >>> EPOCH_SHIFT) & EPOCH_MASK;
export const takenOf = (word: number): number => (word >>> TAKEN_SHIFT) & COUNT_MASK;
export const succeededOf = (word: number): number => word & COUNT_MASK;

/** The word of the next epoch in this phase; `succeeded` trials are carried over (renewing a round). */
export const nextWord = (word: number, phase: Phase, succeeded = 0): number =>
  (((epochOf(word) + 1) & EPOCH_MASK) << EPOCH_SHIFT) | (phase << PHASE_SHIFT) | (succeeded << TAKEN_SHIFT) | succeeded | 0;

/** The same epoch in another phase: requests under way stay relevant. */
export const inPhase = (word: number, phase: Phase): number => (epochOf(word) << EPOCH_SHIFT) | (phase << PHASE_SHIFT) | 0;

/*
 * A ticket is what a request holds while a breaker has let it pass: the epoch it passed in, and whether it is a trial.
 */

/** No breaker looked. */
export const NO_TICKET = -1;
/** It may not pass. */
export const REFUSED = -2;

export const ticketOf = (word: number): number => epochOf(word) << 1;
export const isTrial = (ticket: number): boolean => ticket > 0 && (ticket & 1) === 1;
/** The ticket of a trial in this epoch. */
export const trialOf = (word: number): number => (epochOf(word) << 1) | 1;
/** Whether the request passed in this word's epoch. */
export const isCurrent = (ticket: number, word: number): boolean => ticket >> 1 === epochOf(word);
