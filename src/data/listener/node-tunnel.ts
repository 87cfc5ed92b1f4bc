// Carries an upgraded connection on the node engine: raw bytes both ways, with backpressure and an idle limit.
// Must never look into frames: what the two ends negotiated is theirs.
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { isFieldValue, isToken } from "../../base/http.ts";
import { WheelEntry } from "../../base/timer-wheel.ts";
import type { HeaderList, UpgradedUpstream } from "../exchange.ts";
import type { NodeExchange } from "./node-exchange.ts";

/** When one side has ended, the other gets this long (ms) to end too: a WebSocket says goodbye before it ends its connection. */
const HALF_OPEN_MS_MAX = 5000;
/** RFC 6455 section 1.3. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

export interface TunnelEnds {
  readonly x: NodeExchange;
  readonly client: Socket;
  /** What the client sent behind its request. */
  readonly early: readonly Buffer[];
  readonly upstream: UpgradedUpstream;
  readonly idleMs: number;
}

export class Tunnel extends WheelEntry {
  private readonly ends: TunnelEnds;
  private readonly client: Duplex;
  private readonly server: Duplex;
  private lastDataMs = 0;
  private limitMs: number;
  private closedEnds = 0;

  constructor(ends: TunnelEnds) {
    super();
    this.ends = ends;
    this.client = ends.client;
    this.server = ends.upstream.socket;
    this.limitMs = ends.idleMs;
  }

  /** Sends the 101 and carries until both ends are closed; then the exchange is told. */
  open(): void {
    const { x, early, upstream } = this.ends;
    this.watch(this.client, this.server);
    this.watch(this.server, this.client);
    if (this.client.destroyed || this.server.destroyed) return this.cut();
    this.client.write(switchingHead(x, upstream), "latin1");
    if (upstream.head.length > 0) this.send(upstream.head, this.client, this.server);
    for (const chunk of early) this.send(chunk, this.server, this.client);
    this.client.on("data", (chunk: Buffer) => this.send(chunk, this.server, this.client));
    this.server.on("data", (chunk: Buffer) => this.send(chunk, this.client, this.server));
    this.client.resume();
    this.server.resume();
    this.lastDataMs = performance.now();
    this.arm(this.limitMs);
  }

  onDeadline(): void {
    const quietMs = performance.now() - this.lastDataMs;
    if (quietMs < this.limitMs) this.arm(this.limitMs - quietMs);
    else this.cut();
  }

  private send(chunk: Buffer, to: Duplex, from: Duplex): void {
    this.lastDataMs = performance.now();
    if (to === this.client) this.ends.x.bytesOut += chunk.length;
    else this.ends.x.bytesIn += chunk.length;
    if (to.writable && !to.write(chunk)) from.pause();
  }

  private watch(from: Duplex, to: Duplex): void {
    from.on("error", ignore); // 'close' follows
    from.on("drain", () => to.resume());
    from.on("end", () => this.halfEnded(to));
    if (from.destroyed) this.sideClosed(from, to);
    else from.on("close", () => this.sideClosed(from, to));
  }

  private halfEnded(other: Duplex): void {
    if (other.writable) other.end();
    this.limitMs = Math.min(this.limitMs, HALF_OPEN_MS_MAX);
    this.arm(this.limitMs);
  }

  /** An abrupt end on one side becomes an abrupt end on the other. */
  private sideClosed(side: Duplex, other: Duplex): void {
    if (!side.readableEnded) other.destroy();
    if (++this.closedEnds < 2) return;
    const { x } = this.ends;
    x.runtime.services.wheel.disarm(this);
    x.tunnelOver();
  }

  private arm(ms: number): void {
    if (this.closedEnds < 2) this.ends.x.runtime.services.wheel.arm(this, ms);
  }

  private cut(): void {
    this.client.destroy();
    this.server.destroy();
  }
}

const ignore = (): void => {};

function switchingHead(x: NodeExchange, upstream: UpgradedUpstream): string {
  let head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n";
  const { headers } = upstream;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const [name = "", value = ""] = [headers[i], headers[i + 1]];
    if (isToken(name) && isFieldValue(value)) head += `${name}: ${value}\r\n`;
  }
  if (!has(headers, "sec-websocket-accept")) head += `sec-websocket-accept: ${acceptKey(x.header("sec-websocket-key") ?? "")}\r\n`;
  if (upstream.protocol !== "" && !has(headers, "sec-websocket-protocol")) head += `sec-websocket-protocol: ${upstream.protocol}\r\n`;
  return `${head}\r\n`;
}

function has(headers: HeaderList, name: string): boolean {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return true;
  return false;
}

/** RFC 6455 section 4.2.2. */
const acceptKey = (key: string): string =>
  createHash("sha1")
    .update(key + ACCEPT_GUID)
    .digest("base64");
