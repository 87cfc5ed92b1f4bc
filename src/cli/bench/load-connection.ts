// Owns one connection of the load generator: sends a request, reads the answer as strictly as the gateway reads its upstreams',
// connects anew when the server closes. One request at a time.
import net from "node:net";
import tls from "node:tls";
import { ResponseParser } from "../../data/upstream/transport/http1/response-parser.ts";

export interface LoadTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

export interface LoadReports {
  /** It can take a request. */
  ready(connection: LoadConnection): void;
  /** The request has its whole answer; `ready` follows. */
  answered(connection: LoadConnection, status: number): void;
  /** The connection is lost. @param reason '' when that is no fault: the server closed it while it was idle */
  lost(connection: LoadConnection, reason: string): void;
}

/** After a connection was refused or broke while nothing was asked of it. */
const RETRY_MS = 100;

export class LoadConnection {
  /** Number of the request under way; -1 for none. */
  request = -1;
  /** When the time of the request began, and when it was sent, performance.now(). */
  countsFromMs = 0;
  sentMs = 0;
  readonly #target: LoadTarget;
  readonly #reports: LoadReports;
  readonly #parser: ResponseParser;
  #socket: net.Socket | null = null;
  #status = 0;
  #complete = false;
  #closed = false;
  /** Told of the first connection's success or failure. */
  #opened: { resolve: () => void; reject: (error: Error) => void } | null = null;

  constructor(target: LoadTarget, reports: LoadReports) {
    this.#target = target;
    this.#reports = reports;
    this.#parser = new ResponseParser({
      head: (status) => {
        this.#status = status;
      },
      body: () => {},
      end: () => {
        this.#complete = true;
      },
    });
  }

  /** @throws Error when the first connection cannot be made */
  open(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#opened = { resolve, reject };
    this.#connect();
    return promise;
  }

  send(shot: { readonly bytes: Buffer; readonly method: string }, request: number, countsFromMs: number): void {
    this.request = request;
    this.countsFromMs = countsFromMs;
    this.sentMs = performance.now();
    this.#complete = false;
    this.#parser.expect(shot.method);
    this.#socket?.write(shot.bytes);
  }

  /** Gives up what is under way; the connection is made anew. */
  fail(reason: string): void {
    this.#lost(reason);
  }

  close(): void {
    this.#closed = true;
    this.#socket?.destroy();
    this.#socket = null;
  }

  #connect(): void {
    const { host, port, tls: secure } = this.#target;
    // The certificate of a gateway on loopback is for its public name: there is nothing to verify it against.
    const socket = secure ? tls.connect({ host, port, rejectUnauthorized: false }) : net.connect({ host, port, noDelay: true });
    this.#socket = socket;
    socket.once(secure ? "secureConnect" : "connect", () => {
      this.#opened?.resolve();
      this.#opened = null;
      if (this.#socket === socket) this.#reports.ready(this);
    });
    socket.on("data", (bytes: Buffer) => {
      if (this.#socket === socket) this.#read(bytes);
    });
    socket.on("error", (error) => {
      if (this.#socket === socket) this.#lost(error.message);
    });
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      // An answer without a length ends with its connection.
      if (this.request >= 0 && this.#parser.eof() === "" && this.#complete) this.#finish();
      else this.#lost(this.request >= 0 ? "the server closed the connection before its answer was complete" : "");
    });
  }

  #read(bytes: Buffer): void {
    const fault = this.#parser.push(bytes);
    if (fault !== "") this.#lost(fault);
    else if (this.#complete && this.request >= 0) this.#finish();
  }

  #finish(): void {
    this.#reports.answered(this, this.#status);
    this.request = -1;
    if (this.#closed) return;
    if (this.#parser.reusable) this.#reports.ready(this);
    else this.#again(0);
  }

  #lost(reason: string): void {
    if (this.#closed) return;
    if (this.#opened !== null) {
      this.#opened.reject(new Error(reason));
      this.#opened = null;
      return this.close();
    }
    const afterMs = this.request < 0 && reason !== "" ? RETRY_MS : 0;
    this.#reports.lost(this, reason);
    this.request = -1;
    this.#again(afterMs);
  }

  #again(afterMs: number): void {
    const old = this.#socket;
    this.#socket = null;
    old?.destroy();
    this.#parser.stop();
    if (afterMs === 0) return this.#connect();
    setTimeout(() => {
      if (!this.#closed) this.#connect();
    }, afterMs);
  }
}
