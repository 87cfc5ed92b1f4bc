// Holds many connections that made one request each and then stay silent. Run: node idle-clients.ts PORT COUNT
// Prints one line of JSON when all are there, and holds them until its standard input ends.
import net from "node:net";

const [port, count] = [Number(process.argv[2]), Number(process.argv[3])];
/** Under way at once: less than any server's accept queue. */
const CONNECTING_MAX = 128;
const REQUEST = `GET /bytes/256 HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;

const held = new Set<net.Socket>();
let failed = 0;
let reason = "";

/** @returns when it has an answer, or has failed. */
function connect(): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(REQUEST));
    socket.on("data", () => {
      held.add(socket);
      resolve();
    });
    socket.on("error", (error) => {
      reason = error.message;
    });
    socket.on("close", () => {
      if (!held.delete(socket)) failed++;
      resolve();
    });
  });
}

async function connectSome(share: number): Promise<void> {
  for (let i = 0; i < share; i++) await connect();
}

await Promise.all(Array.from({ length: CONNECTING_MAX }, (_, i) => connectSome(Math.floor((count + i) / CONNECTING_MAX))));
console.log(JSON.stringify({ held: held.size, failed, reason }));
process.stdin.resume().on("end", () => process.exit(0));
