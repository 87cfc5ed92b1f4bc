// Owns the turn, one callback of a socket: what happens in it happens at one time, which is read once, and what must wait for its end. Outside of turns it is performance.now().
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
  if (taskCount > 0) runTasks();
}

/** What somebody has still to do when the callback is through with its work: when it is known what else has come. */
export interface TurnTask {
  /** Must not throw. */
  turnEnded(): void;
}

const tasks: (TurnTask | null)[] = [];
let taskCount = 0;

/** Calls it once, when the present turn ends; outside of turns, when the event loop gets to it. */
export function atTurnEnd(task: TurnTask): void {
  tasks[taskCount++] = task;
  if (turnMs === 0 && taskCount === 1) setImmediate(runTasks);
}

function runTasks(): void {
  for (let i = 0; i < taskCount; i++) {
    const task = tasks[i];
    tasks[i] = null;
    task?.turnEnded();
  }
  taskCount = 0;
}
