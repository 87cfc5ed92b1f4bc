// Owns which descriptors are standard output and error of a primary under a supervisor. uWebSockets.js prints lines of its own on 1 and 2, one of them
// for each WebSocket; so these two lead to the supervisor (supervisor/native-output.ts), and the real ones are 4 and 5.
// Must never let a print of native code wait for a reader.
import fs from "node:fs";
import net from "node:net";
import { Writable } from "node:stream";
import tty from "node:tty";

/** Behind the channel to the supervisor. */
const STDOUT_FD = 4;
const STDERR_FD = 5;

/** Puts the handed-on descriptors in place of `process.stdout` and `process.stderr`, each opened when it is first asked for. */
export function useHandedStreams(): void {
  replace("stdout", STDOUT_FD);
  replace("stderr", STDERR_FD);
  // A full pipe that nobody reads would stop the thread that prints. Opening one as a socket makes writes to it give up instead.
  for (const fd of [1, 2]) new net.Socket({ fd, readable: false, writable: true }).on("error", () => {});
}

function replace(name: "stdout" | "stderr", fd: number): void {
  let stream: Writable | undefined;
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => (stream ??= openStream(fd)) });
}

/** As Node itself opens a standard stream. */
function openStream(fd: number): Writable {
  if (tty.isatty(fd)) return new tty.WriteStream(fd);
  const stat = fs.fstatSync(fd);
  if (stat.isFIFO() || stat.isSocket()) return new net.Socket({ fd, readable: false, writable: true });
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      try {
        for (let at = 0; at < chunk.length; ) at += fs.writeSync(fd, chunk, at);
        done();
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
  });
}
