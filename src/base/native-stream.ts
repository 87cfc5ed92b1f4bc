// The one file that knows what is internal to Node: how a socket's handle (libuv's stream, or TLS on top of one) is read into a buffer of ours and written
// without a stream in between, as lib/internal/stream_base_commons.js does. Must never be used where isNativeStreamKnown() is false: stream-channel.ts is the public way.
import { Socket } from "node:net";
import type { TLSSocket } from "node:tls";

/** A request to write, as `WriteWrap` of Node is. Node calls `oncomplete` when what it did not write at once is out, or lost. */
export interface WriteRequest {
  handle: NativeStream;
  /** @param status negative: an error of libuv */
  oncomplete: (this: WriteRequest, status: number) => void;
  /** Kept from the garbage collector until it is written. */
  buffer: unknown;
  owner: object | null;
}

/** Of Node's TCP, Pipe and TLSWrap. Methods return 0, or a negative error of libuv. */
export interface NativeStream {
  /** Called with `this`; how much was read stands in {@link bytesRead}. */
  onread: (this: NativeStream) => void;
  reading: boolean;
  /** Ours: whom it belongs to. */
  owner?: object;
  readonly writeQueueSize: number;
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): number;
  readStop(): number;
  writeBuffer(request: WriteRequest, data: Uint8Array): number;
  writeLatin1String(request: WriteRequest, text: string): number;
  /** @param chunks [data, encoding, data, encoding ...] unless all of it are buffers */
  writev(request: WriteRequest, chunks: readonly unknown[], allBuffers: boolean): number;
}

interface StreamWrap {
  readonly WriteWrap: new () => WriteRequest;
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}

const METHODS = ["useUserBuffer", "readStart", "readStop", "writeBuffer", "writeLatin1String", "writev"] as const;

/** For who suspects it, and for tests: everything goes the public way then. */
const PUBLIC_ONLY = process.env["SLUICE_PUBLIC_SOCKETS"] === "1";

const internals: StreamWrap | null = PUBLIC_ONLY ? null : streamWrap();
const state = internals?.streamBaseState ?? new Int32Array(4);
const readAt = internals?.kReadBytesOrError ?? 0;
const asyncAt = internals?.kLastWriteWasAsync ?? 0;

/** End of the stream: libuv's UV_EOF. */
export const END_OF_STREAM = -4095;

/** @returns the stream below a socket, or null where it is not as this file knows it: then the socket has to be used as everybody may */
export function nativeStreamOf(socket: Socket): NativeStream | null {
  if (internals === null) return null;
  const handle: unknown = Reflect.get(socket, "_handle");
  return isNativeStream(handle) ? handle : null;
}

/** @returns what carries TLS, as it was given to the server; null when Node keeps it elsewhere */
export function bottomOf(socket: TLSSocket): Socket | null {
  const parent: unknown = Reflect.get(socket, "_parent");
  return parent instanceof Socket ? parent : null;
}

/** To be read in `onread`, first. @returns bytes; 0 for nothing; negative for the end or an error */
export const bytesRead = (): number => state[readAt] as number; // one of Node's four words

/** To be asked after a write that returned 0, at once. @returns whether oncomplete will be called: on TLS always, below when the kernel has not taken everything */
export const isWriting = (): boolean => state[asyncAt] !== 0;

/** Of a write that was over when it returned: Node has made nothing of it, and has it no longer. */
let unused: WriteRequest | null = null;

/** What was written with it is with the kernel, and {@link isWriting} was false: the next one may have it. */
export function reuseRequest(request: WriteRequest): void {
  request.owner = null;
  unused = request;
}

export function writeRequest(handle: NativeStream, oncomplete: WriteRequest["oncomplete"], owner: object): WriteRequest {
  const request = unused ?? new (internals as StreamWrap).WriteWrap(); // there is a NativeStream
  unused = null;
  request.handle = handle;
  request.oncomplete = oncomplete;
  request.buffer = null;
  request.owner = owner;
  return request;
}

/** Kinds of handles (TCP, Pipe, TLSWrap) that were looked at: whether they are as we know them. */
const kinds = new Map<object, boolean>();

function isNativeStream(handle: unknown): handle is NativeStream {
  if (typeof handle !== "object" || handle === null) return false;
  const kind = Object.getPrototypeOf(handle) as object; // of an object that a class of Node's has made
  let known = kinds.get(kind);
  if (known === undefined) {
    const words = "onread" in handle && "writeQueueSize" in handle;
    known = words && METHODS.every((name) => typeof Reflect.get(handle, name) === "function");
    kinds.set(kind, known);
  }
  return known;
}

function streamWrap(): StreamWrap | null {
  try {
    const binding: unknown = Reflect.get(process, "binding");
    const found: unknown = typeof binding === "function" ? binding.call(process, "stream_wrap") : null;
    return isStreamWrap(found) ? found : null;
  } catch {
    return null;
  }
}

function isStreamWrap(found: unknown): found is StreamWrap {
  if (typeof found !== "object" || found === null) return false;
  const words: unknown = Reflect.get(found, "streamBaseState");
  const isWord = (name: string): boolean => words instanceof Int32Array && words[Number(Reflect.get(found, name))] !== undefined;
  return typeof Reflect.get(found, "WriteWrap") === "function" && isWord("kReadBytesOrError") && isWord("kLastWriteWasAsync");
}
