// A channel on the stream below a socket: what is read lands in the one buffer of the thread, what is written goes to the kernel within the call. The socket stays
// the owner of the stream: it opens, ends and closes. Must never keep what it was lent: what the kernel has not taken at once is copied before it is written.
import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import {
  bytesRead,
  END_OF_STREAM,
  isWriting,
  type NativeStream,
  reuseRequest,
  type WriteRequest,
  writeRequest,
} from "../../../base/native-stream.ts";
import { beginTurn, endTurn } from "../../../base/turn-clock.ts";
import type { Channel, ChannelReader, ProtocolName } from "./channel.ts";
import type { ClientFacts } from "./client-facts.ts";
import { deafReader } from "./deaf-reader.ts";
import { readBuffer } from "./read-buffer.ts";
import { retire, SCRATCH_BYTES_MAX, scratchFor } from "./scratch.ts";

/** Up to here, bytes are written as text: Node keeps a copy of what the kernel does not take of it (its own buffer for that, `StreamBase::WriteString`, has this size). */
const TEXT_BYTES_MAX = 16 * 1024;

type Chunk = Uint8Array | string;

export interface NativeStreams {
  /** Of the socket that carries HTTP. */
  readonly stream: NativeStream;
  /** Of the socket that was accepted. */
  readonly kernel: NativeStream;
  readonly bottom: Socket;
}

export class NativeChannel implements Channel {
  readonly peer: string;
  readonly secure: boolean;
  readonly certificate: X509Certificate | null;
  readonly serverName: string;
  readonly protocol: ProtocolName;
  reader: ChannelReader = deafReader;
  closed = false;
  readonly #socket: Socket;
  /** What was accepted: below TLS, if there is any. */
  readonly #bottom: Socket;
  readonly #stream: NativeStream;
  /** What the kernel is written by. */
  readonly #kernel: NativeStream;
  /** One request to write is with Node: on TLS nothing else may be written until it is back. */
  #writing = false;
  /** Written meanwhile, or while corked: lent only while corked. */
  #chunks: Chunk[] = [];
  #chunkBytes = 0;
  #corks = 0;
  /** Some of what was written while corked is lent. */
  #lent = false;
  #owesDrained = false;
  #ending = false;
  #endReceived = false;
  /** What the socket itself has read before. */
  #early: Buffer | null;

  constructor(socket: Socket, streams: NativeStreams, facts: ClientFacts) {
    this.#socket = socket;
    this.#bottom = streams.bottom;
    this.#stream = streams.stream;
    this.#kernel = streams.kernel;
    this.peer = facts.peer;
    this.secure = facts.secure;
    this.certificate = facts.certificate;
    this.serverName = facts.serverName;
    this.protocol = facts.protocol;
    socket.on("error", () => this.destroy()); // 'close' follows
    socket.on("finish", () => this.#finishIfOver());
    socket.on("end", () => this.#turn(() => this.#ended())); // before this channel was there
    socket.on("close", () => this.#gone());
    const { stream } = streams;
    stream.reading = false;
    stream.readStop();
    this.#early = socket.readableLength > 0 ? (socket.read() as Buffer | null) : null; // no encoding, no object mode
    stream.owner = this;
    stream.onread = onRead;
    stream.useUserBuffer(readBuffer);
  }

  write(data: Chunk, kept = false): boolean {
    if (this.closed || this.#ending || data.length === 0) return !this.#owesDrained;
    if (this.#corks > 0) {
      this.#chunks.push(data);
      this.#chunkBytes += data.length;
      if (!kept && typeof data !== "string") this.#lent = true;
      return !this.#owesDrained;
    }
    if (this.#writing) {
      this.#chunks.push(typeof data === "string" || kept ? data : Buffer.from(data));
      this.#chunkBytes += data.length;
      this.#owesDrained = true;
      return false;
    }
    this.#send(data, kept);
    return this.#settled();
  }

  cork(): void {
    this.#corks++;
  }

  uncork(): boolean {
    if (this.#corks === 0 || --this.#corks > 0 || this.#chunks.length === 0) return !this.#owesDrained;
    const lent = this.#lent;
    this.#lent = false;
    if (this.#writing) {
      for (let i = 0; lent && i < this.#chunks.length; i++) {
        const chunk = this.#chunks[i];
        if (typeof chunk === "object") this.#chunks[i] = Buffer.from(chunk);
      }
      this.#owesDrained = true;
      return false;
    }
    this.#sendChunks(!lent);
    const settled = this.#settled();
    if (this.#ending && !this.#writing) this.#socket.end();
    return settled;
  }

  pause(): void {
    if (this.closed || !this.#stream.reading) return;
    this.#stream.reading = false;
    this.#stream.readStop();
  }

  resume(): void {
    if (this.closed || this.#stream.reading || this.#endReceived) return;
    this.#stream.reading = true;
    if (this.#early !== null) process.nextTick(() => this.#deliverEarly());
    else if (this.#stream.readStart() !== 0) this.destroy();
  }

  get pending(): number {
    return this.closed ? 0 : this.#chunkBytes + this.#kernel.writeQueueSize;
  }

  end(): void {
    if (this.closed || this.#ending) return;
    this.#ending = true;
    if (!this.#writing && this.#chunks.length === 0) this.#socket.end();
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

  /** @internal */
  read(): void {
    const bytes = bytesRead();
    if (bytes === 0 || this.closed) return;
    beginTurn();
    try {
      if (bytes > 0) this.reader.received(readBuffer, bytes);
      else if (bytes === END_OF_STREAM) this.#ended();
      else this.destroy(); // the peer has reset it
    } finally {
      endTurn();
    }
  }

  #deliverEarly(): void {
    const early = this.#early;
    if (early === null || this.closed || !this.#stream.reading) return;
    this.#early = null;
    this.#turn(() => this.reader.received(early, early.length));
    if (this.closed || !this.#stream.reading) return;
    if (this.#stream.readStart() !== 0) this.destroy();
    this.#socket.read(0); // its end may have come already
  }

  #turn(run: () => void): void {
    beginTurn();
    try {
      run();
    } finally {
      endTurn();
    }
  }

  #ended(): void {
    if (this.#endReceived || this.closed) return;
    this.#endReceived = true;
    this.#stream.reading = false;
    this.reader.ended();
    this.#finishIfOver();
  }

  /** Both sides have said that they are done. */
  #finishIfOver(): void {
    if (this.#endReceived && this.#socket.writableFinished) this.destroy();
  }

  /** @returns whether the kernel has everything. What TLS still has to hear from Node about is no backlog. */
  #settled(): boolean {
    if (!this.#writing || (this.secure && this.pending === 0)) return true;
    this.#owesDrained = true;
    return false;
  }

  #send(data: Chunk, kept: boolean): void {
    const request = writeRequest(this.#stream, onWritten, this);
    if (typeof data === "string") this.#sent(request, this.#stream.writeLatin1String(request, data), null);
    // TLS has encrypted or copied it when it returns.
    else if (kept || this.secure) this.#sent(request, this.#stream.writeBuffer(request, data), data);
    else if (data.length <= TEXT_BYTES_MAX) this.#sent(request, this.#stream.writeLatin1String(request, latin1(data)), null);
    else this.#sendCopy(request, [data], data.length);
  }

  /** Of lent chunks, in one piece. */
  #sendCopy(request: WriteRequest, chunks: readonly Chunk[], bytes: number): void {
    const isScratch = bytes <= SCRATCH_BYTES_MAX;
    const own = isScratch ? scratchFor(bytes) : Buffer.allocUnsafeSlow(bytes);
    let at = 0;
    for (const each of chunks) {
      if (typeof each === "string") own.write(each, at, "latin1");
      else own.set(each, at);
      at += each.length;
    }
    const data = own.length === bytes ? own : own.subarray(0, bytes);
    this.#sent(request, this.#stream.writeBuffer(request, data), data);
    if (isScratch && this.#writing) retire(own);
  }

  /** @param own no chunk is lent */
  #sendChunks(own: boolean): void {
    const chunks = this.#chunks;
    const bytes = this.#chunkBytes;
    this.#chunks = [];
    this.#chunkBytes = 0;
    const [first = ""] = chunks;
    if (chunks.length === 1) return this.#send(first, own);
    const request = writeRequest(this.#stream, onWritten, this);
    if (own && chunks.every((each) => typeof each === "object"))
      return this.#sent(request, this.#stream.writev(request, chunks, true), chunks);
    // One copy of all is cheaper than a list for Node up to here, and owns itself.
    if (bytes <= TEXT_BYTES_MAX) {
      let text = "";
      for (const each of chunks) text += typeof each === "string" ? each : latin1(each);
      return this.#sent(request, this.#stream.writeLatin1String(request, text), null);
    }
    if (!own && !this.secure) return this.#sendCopy(request, chunks, bytes);
    const list: unknown[] = [];
    for (const each of chunks) list.push(each, typeof each === "string" ? "latin1" : "buffer");
    this.#sent(request, this.#stream.writev(request, list, false), list);
  }

  #sent(request: WriteRequest, error: number, data: unknown): void {
    if (error !== 0) return this.destroy();
    if (!isWriting()) return reuseRequest(request);
    request.buffer = data;
    this.#writing = true;
  }

  /** @internal */
  written(status: number): void {
    this.#writing = false;
    if (this.closed) return;
    if (status < 0) return this.destroy();
    beginTurn();
    try {
      if (this.#chunks.length > 0 && this.#corks === 0) this.#sendChunks(true);
      if (this.#writing || this.#chunks.length > 0) return;
      if (this.#ending) this.#socket.end();
      else if (this.#owesDrained) {
        this.#owesDrained = false;
        this.reader.drained();
      }
    } finally {
      endTurn();
    }
  }

  #gone(): void {
    this.closed = true;
    this.#chunks = [];
    this.#chunkBytes = 0;
    this.#turn(() => this.reader.closed());
  }
}

/** `owner` is the channel that set it. */
function onRead(this: NativeStream): void {
  (this.owner as NativeChannel).read();
}

function onWritten(this: WriteRequest, status: number): void {
  (this.owner as NativeChannel).written(status);
}

const latin1 = (data: Uint8Array): string =>
  (Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength)).toString("latin1");
