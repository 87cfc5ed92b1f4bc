// The client's end of a WebSocket that is carried by a stream (RFC 8441 section 5): what a socket would say, said by END_STREAM and RST_STREAM.
// Must never look into what is carried.
import type { HeaderList } from "../../../base/header-list.ts";
import { isFieldValue, isToken } from "../../../base/http.ts";
import type { Http2Connection } from "../../../base/http2/connection.ts";
import { ERROR_CODE } from "../../../base/http2/protocol.ts";
import type { UpgradedUpstream } from "../../exchange/exchange.ts";
import { Tunnel, type TunnelClient } from "../tunnel.ts";
import type { Http2Exchange } from "./exchange.ts";
import type { RequestStream, StreamReceiver } from "./request-stream.ts";
import { encodeHead } from "./response-head.ts";

export class WebSocketStream implements TunnelClient, StreamReceiver {
  readonly tunnel: Tunnel;
  private readonly stream: RequestStream;

  /** @param over is called once, when both ends are closed */
  constructor(x: Http2Exchange, upstream: UpgradedUpstream, core: Http2Connection, over: () => void) {
    const { stream } = x;
    this.stream = stream;
    this.tunnel = new Tunnel({
      x,
      client: this,
      upstream,
      idleMs: x.runtime.limits.webSocketIdleTimeoutMs,
      accept: () => {
        encodeHead(core, OK, acceptedHeaders(upstream), -1);
        core.respond(stream, false);
      },
      over,
    });
  }

  /** The stream is paused: what the client has sent already follows. */
  open(): void {
    this.stream.receiver = this;
    this.tunnel.open(null);
    if (!this.stream.closed) this.stream.resume();
  }

  // --- TunnelClient ---

  write(bytes: Uint8Array, kept: boolean): boolean {
    return this.stream.write(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), !kept);
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    if (!this.stream.closed) this.stream.resume();
  }

  end(): void {
    this.stream.end(null);
  }

  /** RFC 8441 section 5: as a TCP connection that is reset. */
  destroy(): void {
    if (this.stream.closed) return;
    this.stream.reset(ERROR_CODE.cancel);
    setImmediate(() => this.tunnel.clientClosed());
  }

  get closed(): boolean {
    return this.stream.closed;
  }

  // --- StreamReceiver ---

  data(chunk: Buffer): void {
    this.tunnel.fromClient(chunk);
  }

  ended(): void {
    this.tunnel.clientEnded();
  }

  wasReset(): void {
    this.tunnel.clientClosed();
  }

  drained(): void {
    this.tunnel.clientDrained();
  }

  /** When it was reset, wasReset() follows, or destroy() goes on. */
  streamOver(): void {
    if (this.stream.localEnded && this.stream.remoteEnded) setImmediate(() => this.tunnel.clientClosed());
  }
}

const OK = 200;

/** The key was ours, so that its answer is nobody's business but ours. */
function acceptedHeaders({ headers, protocol }: UpgradedUpstream): HeaderList {
  const out: HeaderList = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const [name = "", value = ""] = [headers[i], headers[i + 1]];
    if (isToken(name) && isFieldValue(value) && name !== "sec-websocket-accept" && name !== "sec-websocket-protocol") out.push(name, value);
  }
  if (protocol !== "") out.push("sec-websocket-protocol", protocol);
  return out;
}
