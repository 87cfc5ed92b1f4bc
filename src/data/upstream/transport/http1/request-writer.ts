// Owns writing to one connection of the own client: heads, whole bodies, pieces of streamed ones. On plain TCP it writes to the stream below the socket: a third of the
// work, and a write that fails leaves what the other side has sent before it closed to be read. Must never keep what it was lent.
import type net from "node:net";
import {
  isWriting,
  type NativeStream,
  nativeStreamOf,
  reuseRequest,
  type WriteRequest,
  writeRequest,
} from "../../../../base/native-stream.ts";
import type { BodyTarget, RequestHeads } from "./request-head.ts";

/** Up to here, copying a body behind its head is cheaper than having Node write a list. */
const COPIED_BODY_BYTES_MAX = 16 * 1024;

export interface WriterEvents {
  /** What was written is the kernel's: there is room again. */
  drained(): void;
  /** Nothing more can be written: the other side has closed. A response may have come before that. */
  writeFailed(): void;
}

export class RequestWriter implements BodyTarget {
  private readonly socket: net.Socket;
  /** null: TLS, which keeps what it is given until it has encrypted it, or a Node that is not as we know it. */
  private readonly stream: NativeStream | null;
  private readonly events: WriterEvents;
  /** Requests to write that are with Node. */
  private underWay = 0;
  private failed = false;
  private corked: (Buffer | string)[] | null = null;

  constructor(socket: net.Socket, plain: boolean, events: WriterEvents) {
    this.socket = socket;
    this.stream = plain ? nativeStreamOf(socket) : null;
    this.events = events;
    if (this.stream === null) socket.on("drain", () => events.drained());
  }

  /** Sends what was added to the heads. @param body of the one head; null for none */
  send(heads: RequestHeads, body: Buffer | null): void {
    if (this.stream === null) return this.sendByStream(heads, body);
    if (body !== null && body.length > COPIED_BODY_BYTES_MAX) {
      this.put([Buffer.from(heads.bytes()), body]); // a body may take a while
      return;
    }
    if (body !== null) heads.addBody(body);
    this.put(heads.bytes());
    if (this.underWay > 0) heads.keep(); // not all of it is the kernel's yet
  }

  private sendByStream(heads: RequestHeads, body: Buffer | null): void {
    this.socket.cork();
    this.socket.write(Buffer.from(heads.bytes())); // it may wait
    if (body !== null) this.socket.write(body);
    this.socket.uncork();
  }

  /** @param chunk the stream's own @returns false: wait for the drain */
  write(chunk: Buffer | string): boolean {
    if (this.stream === null) return this.socket.write(chunk, "latin1");
    if (this.corked !== null) {
      this.corked.push(chunk);
      return this.underWay === 0;
    }
    this.put(chunk);
    return this.underWay === 0 && !this.failed;
  }

  cork(): void {
    if (this.stream === null) this.socket.cork();
    else this.corked ??= [];
  }

  uncork(): void {
    const { corked } = this;
    this.corked = null;
    if (this.stream === null) this.socket.uncork();
    else if (corked !== null && corked.length > 0)
      this.put(corked.map((each) => (typeof each === "string" ? Buffer.from(each, "latin1") : each)));
  }

  private put(data: Buffer | string | readonly Buffer[]): void {
    const stream = this.stream as NativeStream; // there is one, or nobody comes here
    if (this.failed || this.socket.destroyed) return;
    const request = writeRequest(stream, onWritten, this);
    const error =
      typeof data === "string"
        ? stream.writeLatin1String(request, data)
        : Buffer.isBuffer(data)
          ? stream.writeBuffer(request, data)
          : stream.writev(request, data as readonly Buffer[], true); // neither of the two others
    if (error !== 0) return this.fail();
    if (!isWriting()) return reuseRequest(request);
    request.buffer = data;
    this.underWay++;
  }

  /** @internal */
  written(status: number): void {
    this.underWay--;
    if (this.socket.destroyed) return;
    if (status < 0) this.fail();
    else if (this.underWay === 0) this.events.drained();
  }

  private fail(): void {
    if (this.failed) return;
    this.failed = true;
    this.events.writeFailed();
  }
}

/** `owner` is the writer that made the request. */
function onWritten(this: WriteRequest, status: number): void {
  (this.owner as RequestWriter).written(status);
}
