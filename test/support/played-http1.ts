// Owns an HTTP/1.x connection in this thread whose client is played: bytes go in in any pieces, what comes out is text. The parser, admission and the exchange are
// real; what was admitted is recorded here and answered with 200.
import { setImmediate as turn } from "node:timers/promises";
import type { HeaderList } from "../../src/base/header-list.ts";
import type { BodySink, Exchange } from "../../src/data/exchange/exchange.ts";
import { finish } from "../../src/data/exchange/finish.ts";
import { reply } from "../../src/data/exchange/reply.ts";
import type { Runtime } from "../../src/data/exchange/runtime.ts";
import { Http1Connection } from "../../src/data/listener/http1/connection.ts";
import type { ListenerHost } from "../../src/data/listener/listener.ts";
import type { Channel, ChannelReader } from "../../src/data/listener/net/channel.ts";
import type { PathRules } from "../../src/data/routing/path-rules.ts";
import { answerServerOptions, refuseExchange } from "../../src/data/worker/pipeline.ts";

/** What is read of any client lies in one buffer, as in a worker: what is left in it belongs to somebody else. */
const shared = Buffer.alloc(64 * 1024);
const JUNK = 0x58;

export class PlayedChannel implements Channel {
  readonly peer: string;
  readonly secure: boolean;
  readonly certificate = null;
  readonly serverName = "";
  readonly protocol = "http/1.1";
  reader!: ChannelReader;
  /** Everything that was written, bytes as characters. */
  written = "";
  paused = true;
  finSent = false;
  closed = false;
  wasReset = false;
  /** Bytes that the client has not taken; set by tests. */
  pending = 0;
  #owesDrained = false;

  constructor(peer = "203.0.113.7", secure = false) {
    this.peer = peer;
    this.secure = secure;
  }

  write(data: Uint8Array | string): boolean {
    if (this.closed || this.finSent) return true;
    this.written += typeof data === "string" ? data : Buffer.from(data).toString("latin1");
    if (this.pending > 0) this.#owesDrained = true;
    return this.pending === 0;
  }
  cork(): void {}
  uncork(): boolean {
    return this.pending === 0;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  end(): void {
    this.finSent = true;
  }
  destroy(): void {
    this.#close();
  }
  reset(): void {
    this.wasReset = true;
    this.#close();
  }
  #close(): void {
    if (this.closed) return;
    this.closed = true;
    setImmediate(() => this.reader.closed());
  }

  /** The client sends this: a read of the gateway. */
  send(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && !this.closed; at += shared.length) {
      const length = bytes.copy(shared, 0, at);
      this.reader.received(shared, length);
      shared.fill(JUNK);
    }
  }
  drain(): void {
    this.pending = 0;
    if (!this.#owesDrained) return;
    this.#owesDrained = false;
    this.reader.drained();
  }
}

/** A request as it was admitted. */
export interface AdmittedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: HeaderList;
  readonly body: string;
  readonly trailers: HeaderList | null;
}

/** Serves one connection after the other under a runtime that may be exchanged. */
export class PlayedListener implements ListenerHost {
  readonly name = "";
  readonly paths: PathRules | null = null;
  readonly ticketKeys = new Uint8Array(48);
  draining = false;
  runtime: Runtime;
  requests: AdmittedRequest[] = [];
  /** Codes of requests that were refused. */
  refused: string[] = [];
  /** And why. */
  details: string[] = [];
  /** Called with each exchange that was admitted, before it is answered. */
  onAdmitted: (x: Exchange) => void = () => {};

  constructor(runtime: Runtime) {
    this.runtime = runtime;
  }

  open(channel = new PlayedChannel()): PlayedChannel {
    new Http1Connection(channel, this, { nextIsLast: () => false, answersFor: () => true });
    return channel;
  }

  current(): Runtime {
    return this.runtime;
  }

  handle(x: Exchange): void {
    x.runtime.inFlight++;
    x.runtime.services.inFlight++;
    this.onAdmitted(x);
    const record = (body: string): void => {
      const { method, path, query, headers, requestTrailers: trailers } = x;
      this.requests.push({ method, path, query, headers: headers.slice(), body, trailers });
      reply(x, { kind: "response", status: 200, headers: [], body: null });
    };
    if (x.bodyDone && x.contentLength === 0) return record("");
    x.events = { clientAborted: finish, clientDrained() {}, clientCompleted: finish };
    x.readBody(new Collector(x, record, this));
  }

  refuse(x: Exchange, refusal: Parameters<ListenerHost["refuse"]>[1], error?: unknown): void {
    if (error !== undefined) throw error;
    this.refused.push(refusal.code);
    this.details.push(refusal.detail);
    refuseExchange(x, refusal);
  }

  answerServerOptions(x: Exchange): void {
    this.requests.push({ method: x.method, path: "*", query: "", headers: x.headers.slice(), body: "", trailers: null });
    answerServerOptions(x);
  }

  admitsPeer(): boolean {
    return true;
  }

  admitProxied(): () => void {
    return () => {};
  }

  /** What has come of these bytes, in these pieces, on a connection of their own; then the client is gone. */
  async outcome(
    pieces: readonly Buffer[],
    channel = new PlayedChannel(),
  ): Promise<{ requests: AdmittedRequest[]; refused: string[]; statuses: string[] }> {
    this.requests = [];
    this.refused = [];
    this.details = [];
    this.open(channel);
    for (const each of pieces) channel.send(each);
    await turn();
    channel.destroy();
    await turn();
    // Whether 100 is sent depends on whether some of the body has come.
    const statuses = [...channel.written.matchAll(/HTTP\/1\.1 ([2-5]\d\d) /g)].map(([, status]) => status ?? "");
    return { requests: this.requests, refused: this.refused, statuses };
  }
}

class Collector implements BodySink {
  readonly #x: Exchange;
  readonly #done: (body: string) => void;
  readonly #listener: PlayedListener;
  readonly #chunks: Buffer[] = [];

  constructor(x: Exchange, done: (body: string) => void, listener: PlayedListener) {
    this.#x = x;
    this.#done = done;
    this.#listener = listener;
  }

  bodyChunk(chunk: Buffer, last: boolean): void {
    this.#chunks.push(chunk);
    // Only now made text: what was lent and not copied has been overwritten by then.
    if (last) this.#done(Buffer.concat(this.#chunks).toString("latin1"));
  }

  bodyRefused(code: "bad_request", detail: string): void {
    this.#listener.refused.push(code);
    this.#listener.details.push(detail);
    reply(this.#x, { kind: "problem", code, detail });
  }
}
