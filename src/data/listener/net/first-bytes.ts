// Looks at what a client sends first, and hands the connection on with all of it unread that is not for us. Must never keep a connection that says nothing.
import type { Socket } from "node:net";

/**
 * Calls `look` with all that has come, again whenever more has.
 * @param withinMs time until `look` has decided
 * @param look returns how many bytes of it are taken off; null to wait for more. It may close the socket, and is then not heard
 * @param done the socket has its rest unread, and nobody listens to it
 */
export function lookAtFirstBytes(socket: Socket, withinMs: number, look: (data: Buffer) => number | null, done: () => void): void {
  let data: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), withinMs);
  const over = (): void => {
    clearTimeout(timer);
    socket.off("readable", read);
    socket.off("end", ended);
    socket.off("error", ignore);
    socket.off("close", over);
  };
  const read = (): void => {
    for (;;) {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      data = data.length === 0 ? chunk : Buffer.concat([data, chunk]);
      const taken = look(data);
      if (socket.destroyed) return;
      if (taken === null) continue;
      over();
      if (taken < data.length) socket.unshift(data.subarray(taken));
      return done();
    }
  };
  const ended = (): void => {
    socket.destroy();
  };
  socket.on("readable", read);
  socket.on("end", ended);
  socket.on("error", ignore); // 'close' follows
  socket.on("close", over);
}

const ignore = (): void => {};
