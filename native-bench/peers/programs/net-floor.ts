// The lowest floor for gateways on Node's own sockets: node:net both ways, each side reading into one buffer that all its sockets share.
// It believes that every request is a GET, every answer has a Content-Length, and every head is well formed, however long; nothing that a
// gateway must do is done: no admission, no routing, no limit or deadline, no backpressure, no order of pipelined answers, no health.
// What lies in a shared buffer is valid only inside its callback. Here every chunk becomes a string at once, which is a copy, so nothing of
// one client can reach another. A proxy that hands on bytes must own a copy of what a write has not taken when it returns: this program
// hides that cost.
// Run: node net-floor.ts PORT ORIGIN-PORT
import net from "node:net";

const [port, originPort] = [Number(process.argv[2]), Number(process.argv[3])];
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "host"]);
const READ_BYTES = 64 * 1024;
const HEAD_END = "\r\n\r\n";
const LENGTH = "content-length:";
const BACKLOG = 8192;
let requests = 0;

/** The part of libuv's handle that is used here; Node's types leave it out. */
interface Handle {
  reading: boolean;
  readStart(): number;
}
interface Internals {
  _handle: Handle | null;
}

const fromOrigin = Buffer.allocUnsafeSlow(READ_BYTES);
const fromClients = Buffer.allocUnsafeSlow(READ_BYTES);

/** The fields that are forwarded, names in lower case, each with its line end. */
function forwarded(fields: readonly string[]): string {
  let text = "";
  for (const field of fields) {
    const colon = field.indexOf(":");
    const name = field.slice(0, colon).toLowerCase();
    if (!HOP_BY_HOP.has(name)) text += `${name}: ${field.slice(colon + 2)}\r\n`;
  }
  return text;
}

/** A connection to the origin, with at most one request under way. */
class Upstream {
  private client: Client | null = null;
  private read = "";
  private readonly socket: net.Socket;

  constructor() {
    const callback = (bytes: number): boolean => {
      this.received(bytes);
      return true;
    };
    this.socket = net.connect({ port: originPort, host: "127.0.0.1", noDelay: true, onread: { buffer: fromOrigin, callback } });
    this.socket.on("error", () => this.socket.destroy());
    this.socket.on("close", () => this.closed());
  }

  ask(client: Client, request: string): void {
    this.client = client;
    this.socket.write(request, "latin1");
  }

  private received(bytes: number): void {
    this.read += fromOrigin.toString("latin1", 0, bytes);
    const headEnd = this.read.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const [status = "", ...fields] = this.read.slice(0, headEnd).split("\r\n");
    const length = fields.find((field) => field.toLowerCase().startsWith(LENGTH));
    const body = this.read.slice(headEnd + HEAD_END.length);
    if (body.length < Number(length?.slice(LENGTH.length) ?? 0)) return;
    this.read = "";
    const { client } = this;
    this.client = null;
    idle.push(this);
    client?.answer(`${status}\r\n${forwarded(fields)}\r\n${body}`);
  }

  /** Whoever still waits learns it by the end of the connection. */
  private closed(): void {
    this.client?.close();
    const at = idle.indexOf(this);
    if (at >= 0) idle.splice(at, 1);
  }
}

const idle: Upstream[] = [];

class Client {
  private rest = "";
  private readonly socket: net.Socket;
  private readonly address: string;

  /** @param accepted by a server with `pauseOnConnect`: nothing of it was read. Its handle moves to a socket that reads into the shared buffer. */
  constructor(accepted: net.Socket) {
    this.address = accepted.remoteAddress ?? "";
    const internals = accepted as unknown as Internals; // not in Node's types
    const handle = internals._handle;
    internals._handle = null;
    const callback = (bytes: number): boolean => {
      this.received(bytes);
      return true;
    };
    const options = { handle, onread: { buffer: fromClients, callback } };
    this.socket = new net.Socket(options as unknown as net.SocketConstructorOpts); // its `handle` is another kind in Node's types
    this.socket.setNoDelay(true);
    this.socket.on("error", () => this.socket.destroy());
    this.socket.on("end", () => this.socket.end());
    this.socket.resume();
    // A handle that comes with the socket is not read by resume() in every release.
    if (handle !== null && !handle.reading) {
      handle.reading = true;
      handle.readStart();
    }
  }

  answer(text: string): void {
    this.socket.write(text, "latin1");
  }

  close(): void {
    this.socket.destroy();
  }

  private received(bytes: number): void {
    let text = this.rest + fromClients.toString("latin1", 0, bytes);
    for (let headEnd = text.indexOf(HEAD_END); headEnd >= 0; headEnd = text.indexOf(HEAD_END)) {
      const [line = "", ...fields] = text.slice(0, headEnd).split("\r\n");
      text = text.slice(headEnd + HEAD_END.length);
      const own = `host: 127.0.0.1:${originPort}\r\nx-request-id: ${++requests}\r\nx-forwarded-for: ${this.address}\r\n`;
      (idle.pop() ?? new Upstream()).ask(this, `${line}\r\n${own}${forwarded(fields)}\r\n`);
    }
    this.rest = text;
  }
}

net
  .createServer({ noDelay: true, pauseOnConnect: true }, (accepted) => void new Client(accepted))
  .listen({ port, host: "127.0.0.1", backlog: BACKLOG });
