// What a connection is bounded by, and what it tells whoever owns it. Types only.
import type { Http2Stream } from "./stream.ts";

/** Bounds of one connection. */
export interface Http2Bounds {
  /** Of a decoded field section: names, values and 32 bytes a field. */
  readonly headerBytesMax: number;
  /** What a peer may send on one stream before any of it is taken. At least 65,535. */
  readonly streamWindowBytes: number;
  /** The same of the whole connection: given back as it comes, while no more than `heldBytesMax` are held. At least 65,535. */
  readonly connectionWindowBytes: number;
  /** Content held for readers that are paused; beyond it, the connection's window is not given back. */
  readonly heldBytesMax: number;
  /** Streams that the peer may have open, until Http2Connection.release(); more are refused. 0 for a client. */
  readonly peerStreamsMax: number;
  /** Streams that the peer resets, or makes us reset: at once, and for ever a second. */
  readonly resetsBurst: number;
  readonly resetsPerSecond: number;
  /** Frames that carry nothing for a stream (PING, SETTINGS, PRIORITY, WINDOW_UPDATE beyond ten for each DATA frame sent, empty DATA, unknown ones): the same. */
  readonly controlFramesBurst: number;
  readonly controlFramesPerSecond: number;
  /** WebSockets may be asked for (RFC 8441). */
  readonly extendedConnect: boolean;
}

/** Whoever owns a connection. */
export interface Http2Host {
  /**
   * Of a server: a request has come. Its stream's onHead() is called next; that section may be `tooLarge`, for a 431. Whoever answers without waiting for the
   * body calls ignoreRest().
   * @returns its stream, with release() called once its handler has ended; null: it is refused (REFUSED_STREAM)
   */
  opened(): Http2Stream | null;
  /** The peer's SETTINGS have come: its limits are known. */
  settled(): void;
  /** A stream is over on both sides, or reset: there is room for another one. It may still have something for a paused reader. */
  streamOver(stream: Http2Stream): void;
  /** The peer's GOAWAY. Streams beyond `lastId` have been told. */
  goneAway(lastId: number, code: number, reason: string): void;
  /** The peer has answered a ping(). */
  ponged(): void;
  /** The peer broke a rule of the connection, and it is over: GOAWAY has been sent, the wire ended; streams are told after this. */
  failed(code: number, reason: string): void;
}
