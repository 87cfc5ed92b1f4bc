// One attempt to open a WebSocket at one endpoint: connect, send the handshake, read the answer, a refusal's body included.
// Must never decide what becomes of the exchange: that is the owner's part.
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { ErrorCode } from "../../../base/errors.ts";
import type { HeaderList } from "../../../base/header-list.ts";
import { type ConnectCallback, ConnectError, isTlsFault } from "../transport/connector.ts";

/** Largest response head accepted from an upstream, bytes. */
const RESPONSE_HEAD_BYTES_MAX = 64 * 1024;
/** Largest body of a refusal that is kept. */
export const REFUSAL_BYTES_MAX = 256 * 1024;

/** A 101 as received. */
export interface DialAnswer {
  /** Flat, as received. */
  readonly rawHeaders: readonly string[];
  readonly socket: Duplex;
  /** What came right behind the head. */
  readonly head: Buffer;
}

/** Any other answer. */
export interface DialRefusal {
  readonly status: number;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

export interface DialFailure {
  readonly code: ErrorCode;
  /** By which name `retry.on` knows it; '' for none. */
  readonly condition: "" | "connect-failure" | "reset";
  readonly reason: string;
}

/** Hears one of dialAnswered, dialRefused and dialFailed, once, always asynchronously; nothing after cancel(). Must not throw. */
export interface DialOwner {
  /** The handshake is on its way. */
  dialSent(): void;
  /** The answer's head, or more of a refusal's body. */
  dialProgress(): void;
  /** @returns whether it takes the socket; else it is destroyed */
  dialAnswered(answer: DialAnswer): boolean;
  dialRefused(refusal: DialRefusal): void;
  dialFailed(failure: DialFailure): void;
}

export class WebSocketDial {
  private readonly owner: DialOwner;
  private request: ClientRequest | null = null;
  private over = false;

  constructor(owner: DialOwner) {
    this.owner = owner;
  }

  /** @param headers names lowercase, values as byte strings; the whole handshake among them */
  start(connect: (callback: ConnectCallback) => void, path: string, headers: HeaderList): void {
    connect((error, socket) => {
      if (this.over) return void socket?.destroy();
      if (socket === null) return this.fail(connectFailure(error));
      this.owner.dialSent();
      this.shake(socket, path, headers);
    });
  }

  cancel(): void {
    this.over = true;
    this.request?.destroy();
  }

  /** node:http reads the answer: its parser knows every framing a refusal may have. */
  private shake(socket: Duplex, path: string, headers: HeaderList): void {
    let request: ClientRequest;
    try {
      const createConnection = () => socket;
      request = http.request({ createConnection, path, headers, maxHeaderSize: RESPONSE_HEAD_BYTES_MAX, insecureHTTPParser: false });
    } catch (error) {
      socket.destroy();
      // Nothing was sent: a header or the path has a character that must not be there.
      const reason = `refused by the client: ${error instanceof Error ? error.message : String(error)}`;
      return this.fail({ code: "upstream_invalid", condition: "", reason });
    }
    this.request = request;
    request.on("upgrade", (response, upgraded, head) => this.answered(response, upgraded, head));
    request.on("response", (response) => this.refused(response));
    request.on("error", (error) => this.fail(shakeFailure(error)));
    request.end();
  }

  private answered({ rawHeaders }: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", ignore); // 'close' follows; whoever takes the socket hears that
    if (this.over) return void socket.destroy();
    this.over = true;
    this.request = null; // to destroy it would destroy the socket, which is no longer its own
    this.owner.dialProgress();
    if (!this.owner.dialAnswered({ rawHeaders, socket, head })) socket.destroy();
  }

  private refused(response: IncomingMessage): void {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const status = response.statusCode ?? 0;
    response.on("error", ignore); // 'close' follows
    if (!this.over) this.owner.dialProgress();
    response.on("data", (chunk: Buffer) => {
      if (this.over) return;
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes <= REFUSAL_BYTES_MAX) return this.owner.dialProgress();
      this.fail({ code: "upstream_upgrade_refused", condition: "", reason: `status ${status} with more than ${REFUSAL_BYTES_MAX} bytes` });
      this.request?.destroy();
    });
    response.on("close", () => {
      if (this.over) return;
      if (!response.complete)
        return this.fail({ code: "upstream_reset", condition: "reset", reason: `broke off a refusal, status ${status}` });
      this.over = true;
      this.owner.dialRefused({ status, rawHeaders: response.rawHeaders, body: Buffer.concat(chunks) });
    });
  }

  private fail(failure: DialFailure): void {
    if (this.over) return;
    this.over = true;
    this.owner.dialFailed(failure);
  }
}

const ignore = (): void => {};

function connectFailure(error: Error | null): DialFailure {
  const stage = error instanceof ConnectError ? error.stage : "tcp";
  const code = stage === "timeout" ? "connect_timeout" : stage === "tls" ? "upstream_tls" : "connect_failed";
  return { code, condition: "connect-failure", reason: error?.message ?? "" };
}

function shakeFailure(error: NodeJS.ErrnoException): DialFailure {
  const reason = `${error.code ?? "error"}: ${error.message}`;
  if (isTlsFault(error)) return { code: "upstream_tls", condition: "connect-failure", reason };
  if (error.code?.startsWith("HPE_") === true) return { code: "upstream_invalid", condition: "", reason };
  return { code: "upstream_reset", condition: "reset", reason };
}
