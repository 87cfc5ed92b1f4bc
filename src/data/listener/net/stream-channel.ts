// A channel over a socket as everybody may use it: `data` events in, write() out. Slower than NativeChannel, and right wherever Node is.
import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { beginTurn, endTurn } from "../../../base/turn-clock.ts";
import type { Channel, ChannelReader, ProtocolName } from "./channel.ts";
import type { ClientFacts } from "./client-facts.ts";
import { deafReader } from "./deaf-reader.ts";

export class StreamChannel implements Channel {
  readonly peer: string;
  readonly secure: boolean;
  readonly certificate: X509Certificate | null;
  readonly serverName: string;
  readonly protocol: ProtocolName;
  reader: ChannelReader = deafReader;
  closed = false;
  readonly #socket: Socket;
  /** What RST is sent on: below TLS, if there is any. */
  readonly #bottom: Socket;
  #owesDrained = false;

  /** @param bottom the socket that was accepted */
  constructor(socket: Socket, bottom: Socket, facts: ClientFacts) {
    this.#socket = socket;
    this.#bottom = bottom;
    this.peer = facts.peer;
    this.secure = facts.secure;
    this.certificate = facts.certificate;
    this.serverName = facts.serverName;
    this.protocol = facts.protocol;
    socket.on("data", (chunk: Buffer) => {
      if (!this.closed) this.#turn(() => this.reader.received(chunk, chunk.length));
    });
    socket.on("end", () => {
      if (!this.closed) this.#turn(() => this.reader.ended());
    });
    socket.on("error", () => this.destroy()); // 'close' follows
    socket.on("close", () => {
      this.closed = true;
      this.#turn(() => this.reader.closed());
    });
    socket.pause();
  }

  write(data: Uint8Array | string, kept = false): boolean {
    if (this.closed || this.#socket.writableEnded || data.length === 0) return this.pending === 0;
    if (typeof data === "string") this.#socket.write(data, "latin1", this.#written);
    else this.#socket.write(kept ? data : Buffer.from(data), this.#written);
    return this.#settled();
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): boolean {
    this.#socket.uncork();
    return this.#settled();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    if (!this.closed) this.#socket.resume();
  }

  get pending(): number {
    return this.closed ? 0 : this.#socket.writableLength;
  }

  end(): void {
    if (!this.closed) this.#socket.end();
  }

  destroy(): void {
    this.closed = true;
    this.#socket.destroy();
  }

  reset(): void {
    this.closed = true;
    if (this.#bottom.remoteAddress === undefined)
      this.#socket.destroy(); // only TCP knows it
    else this.#bottom.resetAndDestroy();
  }

  #settled(): boolean {
    const settled = this.pending === 0;
    if (!settled && this.#socket.writableCorked === 0) this.#owesDrained = true;
    return settled;
  }

  readonly #written = (): void => {
    if (!this.#owesDrained || this.closed || this.pending > 0) return;
    this.#owesDrained = false;
    this.#turn(() => this.reader.drained());
  };

  #turn(run: () => void): void {
    beginTurn();
    try {
      run();
    } finally {
      endTurn();
    }
  }
}
