// Owns a client over a bare TCP socket: sends exactly the bytes it is given and reads responses with a strict parser of its own.
// Must never repair anything: what it can't parse is an error.
import net from "node:net";
import { type RawHead, readHead, readMessageBody, valuesOf } from "./raw-message.ts";
import { until } from "./until.ts";

const WITHIN_MS = 8000;

export interface RawResponse extends RawHead {
  readonly status: number;
  readonly body: Buffer;
  readonly trailers: readonly (readonly [string, string])[];
}

export class RawClient implements AsyncDisposable {
  readonly socket: net.Socket;
  /** Everything received and not yet read as a response. */
  pending: Buffer = Buffer.alloc(0);
  /** Everything ever received. */
  bytes = 0;
  /** The other side ended or reset the connection. */
  closed = false;
  /** The connection was reset, not ended. */
  reset = false;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.bytes += chunk.length;
      this.pending = Buffer.concat([this.pending, chunk]);
    });
    socket.on("end", () => {
      this.closed = true;
    });
    socket.on("error", () => {
      this.reset = true;
    });
    socket.on("close", () => {
      this.closed = true;
    });
  }

  /** @param where a port on loopback, or the path of a Unix socket */
  static async connect(where: number | string): Promise<RawClient> {
    const options = typeof where === "number" ? { host: "127.0.0.1", port: where } : { path: where };
    const socket = net.connect({ ...options, allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new RawClient(socket);
  }

  /** Strings are bytes, one a character. */
  send(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** Reads the next response, interim (1xx) ones included. @param toHead the request was HEAD: there is no body */
  async response(toHead = false): Promise<RawResponse> {
    let found: RawResponse | null = null;
    await until(
      `a response; so far ${JSON.stringify(this.pending.toString("latin1").slice(0, 400))}`,
      () => {
        found = this.#take(toHead);
        return found !== null || this.closed;
      },
      WITHIN_MS,
    );
    found ??= this.#take(toHead);
    if (found === null)
      throw new Error(`the connection ended without a response: ${JSON.stringify(this.pending.toString("latin1").slice(0, 400))}`);
    return found;
  }

  /** The next head, leaving the body in `pending`. */
  async head(): Promise<RawHead & { readonly status: number }> {
    let head: RawHead | null = null;
    await until("a response head", () => (head = readHead(this.pending)) !== null || this.closed, WITHIN_MS);
    if (head === null) throw new Error("the connection ended without a response head");
    const { startLine, fields, size } = head as RawHead; // assigned in the closure above
    this.pending = this.pending.subarray(size);
    return { startLine, fields, size, status: statusOf(startLine) };
  }

  /** Waits until this text has arrived. */
  async receives(text: string): Promise<void> {
    await until(`${JSON.stringify(text)} arrives`, () => this.pending.includes(Buffer.from(text, "latin1")), WITHIN_MS);
  }

  /** Waits until the other side has closed the connection. */
  async closes(withinMs = WITHIN_MS): Promise<void> {
    await until("the gateway closes the connection", () => this.closed, withinMs);
  }

  /** Ends it by RST: a FIN alone may be half a close, of somebody who still reads. */
  cut(): void {
    this.socket.resetAndDestroy();
  }

  /** Closes without further ado. */
  destroy(): void {
    this.socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
  }

  #take(toHead: boolean): RawResponse | null {
    const head = readHead(this.pending);
    if (head === null) return null;
    const status = statusOf(head.startLine);
    const bodyless = toHead || status < 200 || status === 204 || status === 304;
    const body = bodyless
      ? { body: Buffer.alloc(0), size: 0, trailers: [] }
      : readMessageBody(head, this.pending.subarray(head.size), this.closed);
    if (body === null) return null;
    this.pending = this.pending.subarray(head.size + body.size);
    return { ...head, status, body: body.body, trailers: body.trailers };
  }
}

function statusOf(startLine: string): number {
  const match = /^HTTP\/1\.1 (\d{3}) [\x20-\x7e]*$/.exec(startLine);
  if (match === null) throw new Error(`not a status line: ${JSON.stringify(startLine)}`);
  return Number(match[1]);
}

/** The only value of a field; undefined for none. @param name lowercase. @throws Error when there are several */
export function field(head: RawHead, name: string): string | undefined {
  const values = valuesOf(head, name);
  if (values.length > 1) throw new Error(`${values.length} fields ${name}: ${values.join(" | ")}`);
  return values[0];
}
