// What exchanges over a channel have in common, whichever protocol is spoken on it: who asks, when a held head goes out, and what of the response has been
// counted. Must never write: how is the protocol's.
import type { X509Certificate } from "node:crypto";
import type { HeaderList } from "../../base/header-list.ts";
import { atTurnEnd, type TurnTask } from "../../base/turn-clock.ts";
import { Exchange, type UpgradedUpstream } from "../exchange/exchange.ts";
import { whenAllIsRead } from "./held-heads.ts";

/** Who is at the other end of a connection. */
export interface Peer {
  /** See Channel. */
  readonly peer: string;
  readonly certificate: X509Certificate | null;
}

export abstract class NetExchange extends Exchange implements TurnTask {
  started = false;
  closed = false;
  override readonly lingers = true;
  private readonly channel: Peer;

  /** Held back until the turn ends, as mostly the body follows at once. */
  protected head: HeaderList | null = null;
  protected headSent = false;
  /** Announced length of the response's body, bytes; -1: not known. */
  protected length = -1;
  /** Bytes of it that were written. */
  protected sent = 0;
  /** Among the {@link whenAllIsRead}. */
  private waitsForRead = false;

  constructor(runtime: Exchange["runtime"], channel: Peer) {
    super(runtime);
    this.channel = channel;
  }

  peerAddress(): string {
    return this.channel.peer;
  }

  override clientCertificate(): X509Certificate | null {
    return this.channel.certificate;
  }

  override clientInfo(): ReturnType<Exchange["clientInfo"]> {
    if (this.client !== null) return this.client;
    const shared = this.sharedHeaders;
    if (shared === null) return super.clientInfo();
    return (this.client = shared.client ??= super.clientInfo());
  }

  start(status: number, headers: HeaderList, length: number): void {
    this.started = true;
    this.status = status;
    this.head = headers;
    this.length = length;
    atTurnEnd(this);
  }

  /** Nothing, or not all, has followed the head at once. First look: what lies in the kernel may still be read. Second: it goes out as it is. @internal */
  turnEnded(): void {
    if (this.headSent || this.closed || !this.started) return;
    if (this.waitsForRead) this.sendHeld();
    else whenAllIsRead(this);
    this.waitsForRead = !this.waitsForRead;
  }

  /** Sends the head, and what is held back of the body. */
  protected abstract sendHeld(): void;

  override get isWithdrawable(): boolean {
    return this.started && !this.headSent && !this.closed;
  }

  override withdraw(): void {
    this.started = false;
    this.head = null;
    this.length = -1;
    this.sent = this.bytesOut = 0;
  }

  override acceptWebSocket(upstream: UpgradedUpstream): void {
    this.started = true;
    this.status = 101;
    this.closed = true; // nothing may be written by way of the response any more
    this.takeWebSocket(upstream);
  }

  protected abstract takeWebSocket(upstream: UpgradedUpstream): void;

  /** The tunnel is over. @internal connection.ts */
  tunnelOver(): void {
    this.events?.clientCompleted(this);
  }

  protected get hasBody(): boolean {
    return this.method !== "HEAD" && this.status !== 204 && this.status !== 304;
  }

  /** @returns false when it would be more than was announced: then the response is cut. */
  protected count(chunk: Uint8Array): boolean {
    this.sent += chunk.length;
    this.bytesOut += chunk.length;
    if (this.length < 0 || this.sent <= this.length) return true;
    this.abort();
    return false;
  }
}
