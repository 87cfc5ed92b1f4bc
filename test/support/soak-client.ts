// Owns clients that ask a gateway for much at little cost and read every byte of what comes: HTTP/1.1 over a bare socket, requests in line, and HTTP/2 by node:http2.
// Must never repair an answer: what is not whole is null.
import http2 from "node:http2";
import net from "node:net";

export interface SoakAnswer {
  readonly status: number;
  /** Names in lower case; of several values the last. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface SoakRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** How long (ms) the client reads nothing once the answer has begun. */
  readonly restMs?: number;
}

export interface SoakClient {
  /** @returns null when the answer did not come whole */
  ask(request: SoakRequest): Promise<SoakAnswer | null>;
  close(): void;
}

export const SOAK_HOST = "soak.example";
/** An answer that takes longer (ms) has been forgotten by the gateway. */
export const PATIENCE_MS = 30_000;
const NEVER = new Error(`no answer within ${PATIENCE_MS} ms`);

interface Waiting {
  readonly request: SoakRequest;
  readonly done: (answer: SoakAnswer | null) => void;
}

/** One connection at a time; another one when it has ended. */
export class SoakHttp1 implements SoakClient {
  readonly #port: number;
  #socket: net.Socket | null = null;
  readonly #waiting: Waiting[] = [];
  #unread: Buffer = Buffer.alloc(0);
  #rested = false;

  constructor(port: number) {
    this.#port = port;
  }

  ask(request: SoakRequest): Promise<SoakAnswer | null> {
    const socket = this.#open();
    let text = `${request.method} ${request.path} HTTP/1.1\r\nhost: ${SOAK_HOST}\r\n`;
    for (const [name, value] of Object.entries(request.headers)) text += `${name}: ${value}\r\n`;
    if (request.method === "POST") text += "content-length: 0\r\n";
    return new Promise((resolve) => {
      this.#waiting.push({ request, done: resolve });
      socket.write(`${text}\r\n`, "latin1");
    });
  }

  close(): void {
    this.#socket?.destroy();
  }

  #open(): net.Socket {
    if (this.#socket !== null) return this.#socket;
    const socket = net.connect(this.#port, "127.0.0.1");
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setTimeout(PATIENCE_MS, () => {
      if (this.#waiting.length > 0) throw NEVER;
    });
    socket.on("data", (chunk) => this.#read(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#unread = Buffer.alloc(0);
      this.#rested = false;
      for (const { done } of this.#waiting.splice(0)) done(null);
    });
    return socket;
  }

  #read(chunk: Buffer): void {
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined) return;
      if (first.request.restMs !== undefined && !this.#rested) return this.#rest(first.request.restMs);
      const answer = takeAnswer(this.#unread, first.request.method);
      if (answer === null) return;
      this.#unread = this.#unread.subarray(answer.end);
      this.#rested = false;
      this.#waiting.shift();
      first.done(answer);
      if (answer.headers["connection"] === "close") return this.#moveOn();
    }
  }

  /** What is in line behind the last answer of a connection is sent again (RFC 9112 section 9.6). */
  #moveOn(): void {
    this.#socket?.destroy();
    this.#socket = null;
    this.#unread = Buffer.alloc(0);
    for (const { request, done } of this.#waiting.splice(0)) void this.ask(request).then(done);
  }

  #rest(ms: number): void {
    this.#rested = true;
    const socket = this.#socket;
    socket?.pause();
    setTimeout(() => {
      socket?.resume();
      if (this.#socket === socket) this.#read(Buffer.alloc(0));
    }, ms);
  }
}

/** @returns the first answer of what came, and where it ends; null while it is not whole. @throws Error for what is no HTTP/1.1 */
function takeAnswer(bytes: Buffer, method: string): (SoakAnswer & { readonly end: number }) | null {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return null;
  const [line = "", ...fields] = bytes.toString("latin1", 0, headEnd).split("\r\n");
  const match = /^HTTP\/1\.1 (\d{3}) /.exec(`${line} `);
  if (match === null) throw new Error(`no status line: ${JSON.stringify(line.slice(0, 200))}`);
  const status = Number(match[1]);
  const headers: Record<string, string> = {};
  for (const field of fields) {
    const colon = field.indexOf(":");
    headers[field.slice(0, colon).toLowerCase()] = field.slice(colon + 1).trim();
  }
  const start = headEnd + 4;
  if (method === "HEAD" || status === 204 || status === 304) return { status, headers, body: Buffer.alloc(0), end: start };
  if (headers["transfer-encoding"] === "chunked") {
    const chunks = takeChunks(bytes, start);
    return chunks === null ? null : { status, headers, ...chunks };
  }
  const length = Number(headers["content-length"]);
  if (!Number.isInteger(length)) throw new Error(`an answer without length: ${bytes.toString("latin1", 0, headEnd)}`);
  return bytes.length < start + length ? null : { status, headers, body: bytes.subarray(start, start + length), end: start + length };
}

function takeChunks(bytes: Buffer, start: number): { readonly body: Buffer; readonly end: number } | null {
  const parts: Buffer[] = [];
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    if (!(size >= 0)) throw new Error(`no chunk: ${JSON.stringify(bytes.toString("latin1", at, at + 40))}`);
    const end = lineEnd + 2 + size + 2;
    if (bytes.length < end) return null;
    if (size === 0) return { body: Buffer.concat(parts), end };
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = end;
  }
}

/** Streams of one session at a time, with prior knowledge. */
export class SoakHttp2 implements SoakClient {
  readonly #port: number;
  #session: http2.ClientHttp2Session | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  ask({ method, path, headers, restMs }: SoakRequest): Promise<SoakAnswer | null> {
    const session = this.#open();
    return new Promise((resolve, reject) => {
      const stream = session.request({ ":method": method, ":path": path, ":authority": SOAK_HOST, ":scheme": "http", ...headers });
      const parts: Buffer[] = [];
      let head: http2.IncomingHttpHeaders = {};
      const timer = setTimeout(() => reject(NEVER), PATIENCE_MS);
      const over = (answer: SoakAnswer | null): void => {
        clearTimeout(timer);
        resolve(answer);
      };
      stream.on("response", (fields) => {
        head = fields;
        if (restMs === undefined) return;
        stream.pause();
        setTimeout(() => stream.resume(), restMs);
      });
      stream.on("data", (chunk: Buffer) => parts.push(chunk));
      stream.on("end", () => {
        if (head[":status"] === undefined || stream.rstCode !== 0) return over(null);
        const plain = Object.entries(head).map(([name, value]) => [name, String(value)]);
        over({ status: Number(head[":status"]), headers: Object.fromEntries(plain), body: Buffer.concat(parts) });
      });
      stream.on("error", () => over(null));
      stream.on("close", () => over(null));
      stream.end();
    });
  }

  close(): void {
    this.#session?.destroy();
  }

  #open(): http2.ClientHttp2Session {
    if (this.#session !== null && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const session = http2.connect(`http://127.0.0.1:${this.#port}`);
    this.#session = session;
    const forget = (): void => {
      if (this.#session === session) this.#session = null;
    };
    session.on("error", forget);
    session.on("goaway", forget);
    session.on("close", forget);
    return session;
  }
}
