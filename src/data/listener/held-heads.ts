// Owns the responses of a thread that were begun and whose body has not come: their heads go out when the event loop comes round. Until then the body may be there
// after all, and leave with its head.
import type { TurnTask } from "../../base/turn-clock.ts";

/** Begun in this turn of the event loop. */
let held: TurnTask[] = [];

/** Calls turnEnded() once, when all that has arrived by now has been read. */
export function whenAllIsRead(task: TurnTask): void {
  if (held.push(task) === 1) setImmediate(release);
}

function release(): void {
  const tasks = held;
  held = [];
  for (const each of tasks) each.turnEnded();
}
