// The upstream's side of a proxied WebSocket whose frames are read here: messages out of and into its connection, and the
// closing handshake with a bound. Must never decide what the other side is told: that is the owner's part.
import type { Duplex, Writable } from "node:stream";
import { type TimerWheel, WheelEntry } from "../../../base/timer-wheel.ts";
import type { WsFrames } from "./frames.ts";

/** How long the upstream may take to answer a Close frame and end its connection, ms. */
const CLOSING_MS_MAX = 5000;
/** Pieces one message may come in: each costs an object. */
const PIECES_MAX = 16_384;
const LENGTH_MAX = 0x7fff_ffff;

const OPCODE_TEXT = 1;
const OPCODE_BINARY = 2;
const OPCODE_CLOSE = 8;
const OPCODE_PING = 9;
const OPCODE_PONG = 10;

/** RFC 6455 section 7.4.1: in events "no code was given"; never on the wire. */
export const NO_CLOSE_CODE = 1005;
const PROTOCOL_ERROR = 1002;
/** The receiver's errors that have a close code of their own; all others are protocol errors. */
const CLOSE_CODES: ReadonlyMap<string, number> = new Map([
  ["WS_ERR_INVALID_UTF8", 1007],
  ["WS_ERR_TOO_MANY_BUFFERED_PARTS", 1008],
  ["WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH", 1009],
  ["WS_ERR_UNSUPPORTED_MESSAGE_LENGTH", 1009],
]);

/** Told what the upstream does. After linkClosing or linkViolated no further messages come; linkGone is the last call, and comes once. */
export interface LinkOwner {
  /** @param data valid for ever */
  linkMessage(data: Buffer, isBinary: boolean): void;
  linkPing(data: Buffer): void;
  /** The upstream said Close; it is answered here. @param code NO_CLOSE_CODE when it gave none */
  linkClosing(code: number, reason: Buffer): void;
  /** The upstream broke the protocol or a bound; it was told so with this close code. */
  linkViolated(code: number, reason: string): void;
  /** The connection is closed. @param closed whether the upstream had said Close */
  linkGone(closed: boolean): void;
}

/** What a link works with. */
export interface LinkBounds {
  readonly wheel: TimerWheel;
  readonly frames: WsFrames;
  /** Largest message accepted from the upstream. */
  readonly messageBytesMax: number;
}

export class WebSocketLink extends WheelEntry {
  private readonly socket: Duplex;
  private readonly wheel: TimerWheel;
  private readonly owner: LinkOwner;
  private readonly frames: WsFrames;
  private readonly receiver: Writable;
  private closeSent = false;
  private closeReceived = false;
  private violated = false;
  private gone = false;

  constructor(socket: Duplex, owner: LinkOwner, bounds: LinkBounds) {
    super();
    this.socket = socket;
    this.owner = owner;
    this.wheel = bounds.wheel;
    this.frames = bounds.frames;
    const maxPayload = Math.min(bounds.messageBytesMax, LENGTH_MAX);
    this.receiver = new bounds.frames.Receiver({ isServer: false, maxPayload, maxFragments: PIECES_MAX, maxBufferedChunks: PIECES_MAX });
    this.receiver.on("message", (data: Buffer, isBinary: boolean) => this.open && owner.linkMessage(data, isBinary));
    this.receiver.on("ping", (data: Buffer) => this.open && owner.linkPing(data));
    this.receiver.on("conclude", (code: number, reason: Buffer) => this.concluded(code, reason));
    this.receiver.on("error", (error: NodeJS.ErrnoException) => this.violation(error));
  }

  /** Neither side has said Close. */
  get open(): boolean {
    return !this.closeSent && !this.closeReceived && !this.violated && !this.gone;
  }

  /** Bytes not yet taken by the operating system. */
  get bufferedBytes(): number {
    return this.socket.writableLength;
  }

  /** Begin to read. @param head what came right behind the handshake */
  start(head: Buffer): void {
    const { socket } = this;
    socket.on("error", ignore); // 'close' follows
    socket.on("close", () => this.closed());
    if (socket.destroyed) return this.closed();
    if (head.length > 0) this.receiver.write(head);
    socket.on("data", (chunk: Buffer) => this.read(chunk));
    // Without a Close frame first, an end is as abrupt as a reset.
    socket.on("end", () => void (this.closeReceived || socket.destroy()));
    socket.resume();
  }

  /** @param data read only until this returns */
  message(data: Buffer, isBinary: boolean): void {
    if (this.open) this.write(data, isBinary ? OPCODE_BINARY : OPCODE_TEXT);
  }

  ping(data: Buffer): void {
    if (this.open) this.write(data, OPCODE_PING);
  }

  pong(data: Buffer): void {
    if (this.open) this.write(data, OPCODE_PONG);
  }

  pause(): void {
    if (this.open) this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Say Close and wait, within a bound, for the upstream to do the same. Idempotent. @param code NO_CLOSE_CODE to give none @param reason at most 123 bytes */
  close(code: number, reason: Uint8Array): void {
    if (this.closeSent || this.gone) return;
    this.closeSent = true;
    this.write(closePayload(code, reason), OPCODE_CLOSE);
    this.wheel.arm(this, CLOSING_MS_MAX);
    this.socket.resume(); // the answer may stand behind what a pause held back
  }

  /** Cut the connection. */
  destroy(): void {
    this.socket.destroy();
  }

  onDeadline(): void {
    this.socket.destroy();
  }

  /** What follows a Close frame or a violation is read, so that the end is seen, and dropped. */
  private read(chunk: Buffer): void {
    if (!this.closeReceived && !this.violated) this.receiver.write(chunk);
  }

  private concluded(code: number, reason: Buffer): void {
    if (this.closeReceived || this.gone) return;
    const first = this.open;
    this.closeReceived = true;
    this.close(code, reason);
    this.socket.end();
    if (first) this.owner.linkClosing(code, reason);
  }

  private violation(error: NodeJS.ErrnoException): void {
    if (this.violated || this.gone) return;
    const first = this.open;
    this.violated = true;
    const code = CLOSE_CODES.get(error.code ?? "") ?? PROTOCOL_ERROR;
    this.close(code, EMPTY);
    this.socket.end();
    if (first) this.owner.linkViolated(code, error.message);
  }

  private closed(): void {
    if (this.gone) return;
    this.gone = true;
    this.wheel.disarm(this);
    this.owner.linkGone(this.closeReceived);
  }

  private write(data: Buffer, opcode: number): void {
    if (!this.socket.writable) return;
    // readOnly: head and masked payload come as one fresh buffer, `data` stays as it is. Only with the mask 0 it comes as two.
    const [frame, rest] = this.frames.Sender.frame(data, { opcode, fin: true, mask: true, readOnly: true, rsv1: false });
    if (frame !== undefined) this.socket.write(rest === undefined ? frame : Buffer.concat([frame, rest]));
  }
}

const EMPTY = Buffer.alloc(0);
const ignore = (): void => {};

/** RFC 6455 section 5.5.1. */
function closePayload(code: number, reason: Uint8Array): Buffer {
  if (code === NO_CLOSE_CODE) return EMPTY;
  const payload = Buffer.allocUnsafe(2 + reason.length);
  payload.writeUInt16BE(code, 0);
  payload.set(reason, 2);
  return payload;
}
