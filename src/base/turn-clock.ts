// Owns the clock of a turn: what happens in one callback of a socket happens at one time, which is read once. Outside of turns it is performance.now().
// Must never run ahead, nor outlive its callback: it lags by as long as the callback has run. For what took long in a callback, read performance.now().

/** 0 outside of a turn. */
let turnMs = 0;

/** @returns milliseconds as performance.now(); in a turn, when that began */
export const nowMs = (): number => (turnMs === 0 ? performance.now() : turnMs);

/** A callback begins that ends with {@link endTurn}, however it ends. */
export function beginTurn(): void {
  turnMs = performance.now();
}

export function endTurn(): void {
  turnMs = 0;
}
