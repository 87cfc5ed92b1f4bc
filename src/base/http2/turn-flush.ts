// Owns the end of a turn of the event loop for the connections of a thread: what they have to write goes out then, once for each.

/** Has something to write. Must not throw. */
export interface Flushable {
  flush(): void;
}

let waiting: Flushable[] = [];

/** Has `flush` called when the callbacks of this turn are over. Once for each call of it. */
export function flushAfterTurn(connection: Flushable): void {
  if (waiting.push(connection) === 1) setImmediate(flushAll);
}

function flushAll(): void {
  const connections = waiting;
  waiting = [];
  for (const connection of connections) connection.flush();
}
