// A floor for a cache on Node's own sockets: reads into one shared buffer, splits the head into all of its fields, knows the client's address, and answers 256 bytes
// with as many fields as a cache hit has. It believes that every head is well formed and comes whole; nothing is looked up, checked or counted.
// Run: node net-answer.ts PORT
import net from "node:net";

const port = Number(process.argv[2]);
const BODY = "x".repeat(256);
const HEAD_END = "\r\n\r\n";
const READ_BYTES = 64 * 1024;
const BACKLOG = 8192;
const SECOND_MS = 1000;
let requests = 0;
let date = new Date().toUTCString();
setInterval(() => {
  date = new Date().toUTCString();
}, SECOND_MS);

/** The part of libuv's handle that is used here; Node's types leave it out. */
interface Handle {
  reading: boolean;
  readStart(): number;
}
interface Internals {
  _handle: Handle | null;
}

const shared = Buffer.allocUnsafeSlow(READ_BYTES);
/** What was read last: so that nothing of it is left out as unused. */
export const read = { line: "", fields: [] as string[], address: "" };

/** @param accepted by a server with `pauseOnConnect`: nothing of it was read. Its handle moves to a socket that reads into the shared buffer. */
function serve(accepted: net.Socket): void {
  const address = accepted.remoteAddress ?? "";
  const internals = accepted as unknown as Internals; // not in Node's types
  const handle = internals._handle;
  internals._handle = null;
  const callback = (bytes: number): boolean => {
    let from = 0;
    const text = shared.toString("latin1", 0, bytes);
    for (let end = text.indexOf(HEAD_END); end >= 0; end = text.indexOf(HEAD_END, from)) {
      const [line = "", ...lines] = text.slice(from, end).split("\r\n");
      const fields: string[] = [];
      for (const each of lines) {
        const colon = each.indexOf(":");
        fields.push(each.slice(0, colon).toLowerCase(), each.slice(colon + 2));
      }
      read.line = line;
      read.fields = fields;
      read.address = address;
      socket.write(answer(), "latin1");
      from = end + HEAD_END.length;
    }
    return true;
  };
  const options = { handle, onread: { buffer: shared, callback } };
  const socket = new net.Socket(options as unknown as net.SocketConstructorOpts); // its `handle` is another kind in Node's types
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("end", () => socket.end());
  socket.resume();
  // A handle that comes with the socket is not read by resume() in every release.
  if (handle !== null && !handle.reading) {
    handle.reading = true;
    handle.readStart();
  }
}

const answer = (): string =>
  `HTTP/1.1 200 OK\r\nserver: origin\r\ndate: ${date}\r\ncontent-type: text/plain\r\ncache-control: public, max-age=3600\r\nage: 1\r\ncache-status: floor; hit; ttl=3599\r\nx-request-id: floor-${++requests}\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`;

net.createServer({ noDelay: true, pauseOnConnect: true }, serve).listen({ port, host: "127.0.0.1", backlog: BACKLOG });
