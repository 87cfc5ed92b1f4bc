// The request's side of an exchange on the uws engine: who asks, and the body as it comes. Must never touch a dead `res`, nor write to it.
import type { HttpResponse, us_socket_context_t } from "uWebSockets.js";
import { PeerGone } from "../../../base/policy-failure.ts";
import { BODY_NONE, type BodySink, Exchange } from "../../exchange/exchange.ts";
import { canonicalIp } from "./peer-address.ts";

/** Body bytes held before the pipeline asks for them; beyond it the client is paused. */
const EARLY_BODY_BYTES_MAX = 64 * 1024;
const EMPTY = Buffer.alloc(0);

/** How a request came. */
export interface Arrival {
  readonly byTcp: boolean;
  /** Of one that asks for an upgrade: the route to its WebSocket behaviour. */
  readonly upgradeContext: us_socket_context_t | null;
}

export abstract class UwsRequest extends Exchange {
  closed = false;
  protected readonly res: HttpResponse;
  /** By TCP: its client has an address. */
  private readonly byTcp: boolean;
  private peer: string | null = null;
  /** The engine's own callback for the request is running: what is written is corked. @internal engine.ts */
  inTurn = false;
  /** Set for a request that asks for an upgrade: the route to its WebSocket behaviour. */
  readonly upgradeContext: us_socket_context_t | null;
  private sink: BodySink | null = null;
  /** Before anybody reads the body. */
  protected early: Buffer[] | null = null;
  private earlyBytes = 0;
  private paused = false;
  private keepingAlive = false;

  constructor(runtime: Exchange["runtime"], res: HttpResponse, { byTcp, upgradeContext }: Arrival) {
    super(runtime);
    this.res = res;
    this.byTcp = byTcp;
    this.upgradeContext = upgradeContext;
  }

  /**
   * uWebSockets.js looks it up anew each time, which takes a fifth of a small response: who needs none must not cause it.
   * @throws PeerGone for a peer that has reset its connection: it has no address any more, and nobody may take it for one on a Unix socket, or for one that no list names
   */
  peerAddress(): string {
    if (this.peer === null) {
      const address = this.closed || !this.byTcp ? "" : canonicalIp(this.res.getRemoteAddress());
      if (address === "" && this.byTcp && !this.closed) throw new PeerGone();
      this.peer = address;
    }
    return this.peer;
  }

  /** Reads the address while it can be known. @returns false when it is no longer @internal engine.ts */
  settlePeer(): boolean {
    if (this.peer === null && !this.closed && this.byTcp) this.peer = canonicalIp(this.res.getRemoteAddress());
    return this.peer !== "" || !this.byTcp;
  }

  /** Must be called in the request handler: later the body would be lost. */
  attachBody(): void {
    if (this.bodyKind === BODY_NONE) return;
    this.res.onData((chunk, last) => this.bodyArrived(chunk, last));
  }

  readBody(sink: BodySink): void {
    this.sink = sink;
    const early = this.early;
    this.early = null;
    if (early === null) {
      if (this.bodyDone) sink.bodyChunk(EMPTY, true);
      else this.keepAlive();
      return;
    }
    if (this.earlyBytes > EARLY_BODY_BYTES_MAX) this.resumeBody(); // before the sink can say otherwise
    for (let i = 0; i < early.length; i++) sink.bodyChunk(early[i] as Buffer, this.bodyDone && i === early.length - 1);
  }

  redirectBody(sink: BodySink): void {
    if (this.sink === null) return this.readBody(sink);
    this.sink = sink;
    this.resumeBody();
  }

  /** uWebSockets.js reads on to the end of a burst, however long: what a peer on this machine sends faster than it is taken is held, up to limits.bodyBytes and limits.bufferedBodyBytes. */
  pauseBody(): void {
    if (this.paused || this.closed || this.bodyDone) return;
    this.paused = true;
    this.res.pause();
  }

  resumeBody(): void {
    if (!this.paused || this.closed) return;
    this.paused = false;
    this.res.resume();
  }

  /**
   * uWebSockets.js has one short timer for head and body and so would cut off a body that is slow, or that we slow down. A pause stops
   * it, a resume starts the longer idle timer instead. What is too slow is for the pipeline's deadlines to say.
   */
  private keepAlive(): void {
    if (this.keepingAlive) return;
    this.keepingAlive = true;
    // Later: behind its own callback it sets the timer itself, also of a paused request, and most bodies are complete by then.
    setImmediate(() => {
      this.keepingAlive = false;
      if (this.bodyDone || this.closed) return;
      this.res.pause(); // stops the timer
      if (!this.paused) this.res.resume();
    });
  }

  private bodyArrived(chunk: ArrayBuffer, last: boolean): void {
    if (this.bodyDone || this.closed) return; // data after an early end
    this.bodyDone = last;
    this.bytesIn += chunk.byteLength;
    const copy = Buffer.from(chunk.slice(0)); // the chunk is detached when this returns
    if (last) this.resumeBody(); // a pause would outlive the request and hang the next one
    if (this.sink !== null) this.sink.bodyChunk(copy, last);
    else {
      (this.early ??= []).push(copy);
      this.earlyBytes += copy.length;
      if (this.earlyBytes > EARLY_BODY_BYTES_MAX) this.pauseBody();
    }
    if (!last) this.keepAlive();
  }
}
