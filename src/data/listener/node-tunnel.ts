// Carries an upgraded connection on the node engine: raw bytes both ways, with backpressure and an idle limit.
// Must never look into payloads: what the two ends negotiated is theirs. Frame heads are followed for the message limit and to say goodbye.
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { HeaderList } from "../../base/header-list.ts";
import { isFieldValue, isToken } from "../../base/http.ts";
import { WheelEntry } from "../../base/timer-wheel.ts";
import type { UpgradedUpstream } from "../exchange/exchange.ts";
import { acceptKey } from "../handlers/proxy/websocket/handshake.ts";
import { closeFrame, FrameScanner } from "./frame-scanner.ts";
import type { NodeExchange } from "./node-exchange.ts";

/** When one side has ended, the other gets this long (ms) to end too: a WebSocket says goodbye before it ends its connection. */
const HALF_OPEN_MS_MAX = 5000;

/** Close codes (RFC 6455 section 7.4.1). */
const GOING_AWAY = 1001;
const POLICY_VIOLATION = 1008;
const TOO_BIG = 1009;

export interface TunnelEnds {
  readonly x: NodeExchange;
  readonly client: Socket;
  /** What the client sent behind its request. */
  readonly early: readonly Buffer[];
  readonly upstream: UpgradedUpstream;
  readonly idleMs: number;
}

/** One direction. */
interface Way {
  readonly from: Duplex;
  readonly to: Duplex;
  readonly scanner: FrameScanner;
  /** The close frame that ends this direction as soon as the frame under way is complete. */
  farewell: Buffer | null;
  /** Ended by a farewell: what still comes is dropped. */
  ended: boolean;
}

export class Tunnel extends WheelEntry {
  private readonly ends: TunnelEnds;
  private readonly down: Way;
  private readonly up: Way;
  private lastDataMs = 0;
  private limitMs: number;
  private closedEnds = 0;
  /** One end has left: whether properly or not is known. */
  private left = false;

  constructor(ends: TunnelEnds) {
    super();
    this.ends = ends;
    const { webSocketMessageBytes } = ends.x.runtime.limits;
    const way = (from: Duplex, to: Duplex): Way => ({
      from,
      to,
      scanner: new FrameScanner(webSocketMessageBytes),
      farewell: null,
      ended: false,
    });
    this.down = way(ends.upstream.socket, ends.client);
    this.up = way(ends.client, ends.upstream.socket);
    this.limitMs = ends.idleMs;
  }

  /** Sends the 101 and carries until both ends are closed; then the exchange is told. */
  open(): void {
    const { x, client, early, upstream } = this.ends;
    this.watch(this.down);
    this.watch(this.up);
    if (this.down.from.destroyed || client.destroyed) return this.cut();
    client.write(switchingHead(x, upstream), "latin1");
    if (upstream.head.length > 0) this.carry(upstream.head, this.down);
    for (const chunk of early) this.carry(chunk, this.up);
    for (const each of [this.down, this.up]) {
      each.from.on("data", (chunk: Buffer) => this.carry(chunk, each));
      each.from.resume();
    }
    this.lastDataMs = performance.now();
    this.arm(this.limitMs);
  }

  /** Closes both ways with code 1001. Idempotent. */
  sayGoodbye(): void {
    this.closeBoth(GOING_AWAY, "the gateway is shutting down");
  }

  /** Closes both ways with code 1008: the client's certificate is not accepted any more. Idempotent. */
  withdraw(): void {
    this.closeBoth(POLICY_VIOLATION, "the client certificate is not accepted any more");
  }

  /** Closes both ways, each behind the frame under way. */
  private closeBoth(code: number, reason: string): void {
    if (this.down.farewell !== null) return;
    this.ends.x.errorDetail = `closed with ${code}: ${reason}`;
    this.down.farewell = closeFrame(code, reason, false);
    this.up.farewell = closeFrame(code, reason, true);
    for (const each of [this.down, this.up]) if (each.scanner.atBoundary) this.end(each);
    this.limitMs = Math.min(this.limitMs, HALF_OPEN_MS_MAX);
    this.arm(this.limitMs);
  }

  onDeadline(): void {
    if (this.isOpen && Date.now() >= this.ends.upstream.closeAtMs) return this.closeBoth(POLICY_VIOLATION, "the credential has expired");
    const quietMs = performance.now() - this.lastDataMs;
    if (quietMs < this.limitMs) this.arm(this.limitMs - quietMs);
    else if (this.isOpen) this.closeBoth(GOING_AWAY, "idle for too long");
    else this.cut();
  }

  private carry(chunk: Buffer, each: Way): void {
    if (each.ended) return;
    this.lastDataMs = performance.now();
    const { scanner, from, to } = each;
    const passed = scanner.pass(chunk, each.farewell !== null);
    if (passed.length > 0 && to.writable && !to.write(passed)) from.pause();
    if (scanner.tooBig) this.closeBoth(TOO_BIG, "the message is larger than limits.webSocket.messageBytes");
    if (each.farewell !== null && scanner.atBoundary) this.end(each);
  }

  private end(each: Way): void {
    if (each.ended) return;
    each.ended = true;
    each.from.resume(); // what still comes is dropped, up to its end
    if (each.to.writable) each.to.end(each.scanner.closeSeen ? undefined : each.farewell);
  }

  private watch(each: Way): void {
    const { from, to } = each;
    from.on("error", ignore); // 'close' follows
    to.on("drain", () => from.resume());
    from.on("end", () => this.halfEnded(each));
    if (from.destroyed) this.sideClosed(each);
    else from.on("close", () => this.sideClosed(each));
  }

  private halfEnded(each: Way): void {
    this.leaves(each);
    if (each.to.writable) each.to.end();
    this.limitMs = Math.min(this.limitMs, HALF_OPEN_MS_MAX);
    this.arm(this.limitMs);
  }

  /** An abrupt end on one side becomes an abrupt end on the other. */
  private sideClosed(each: Way): void {
    this.leaves(each);
    if (!each.from.readableEnded) each.to.destroy();
    if (++this.closedEnds < 2) return;
    const { x } = this.ends;
    x.bytesIn = this.up.scanner.payloadBytes;
    x.bytesOut = this.down.scanner.payloadBytes;
    x.runtime.services.wheel.disarm(this);
    x.tunnelOver();
  }

  /** The first to leave without a Close frame broke the connection off, unless we asked it to leave. */
  private leaves(each: Way): void {
    if (this.left) return;
    this.left = true;
    if (!each.scanner.closeSeen && each.farewell === null)
      this.ends.x.errorCode ??= each === this.down ? "upstream_aborted" : "client_aborted";
  }

  /** Neither end has left, nor was told to. */
  private get isOpen(): boolean {
    return this.down.farewell === null && !this.left;
  }

  private arm(ms: number): void {
    if (this.closedEnds === 2) return;
    const { x, upstream } = this.ends;
    x.runtime.services.wheel.arm(this, this.isOpen ? Math.min(ms, upstream.closeAtMs - Date.now()) : ms);
  }

  private cut(): void {
    this.down.from.destroy();
    this.down.to.destroy();
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
