// The interface between whoever accepts connections (net/) and the protocols that are spoken on them (http1/, http2/). No logic.
import type { X509Certificate } from "node:crypto";
import type { ListenerHost } from "../listener.ts";

export type ProtocolName = "http/1.1" | "h2";

/**
 * The bytes of one client connection, plain or TLS, whichever protocol is spoken on them. It begins paused: whoever serves it sets `reader` and calls resume().
 * Every method may be called at any time, after the end too, and calls nobody back before it returns.
 */
export interface Channel {
  /** Canonical address of the client: of the TCP peer, or what a believed PROXY header named; '' on a Unix socket. */
  readonly peer: string;
  /** TLS. */
  readonly secure: boolean;
  /** The client's, verified; null for none. */
  readonly certificate: X509Certificate | null;
  /** Server name that the client named in its TLS handshake (SNI), in lower case; '' for none. */
  readonly serverName: string;
  /** By ALPN; "http/1.1" where there is none. */
  readonly protocol: ProtocolName;
  /** May be exchanged at any time, in a callback too: what comes next goes to the new one. */
  reader: ChannelReader;
  /**
   * Text goes out as latin1. Bytes are lent: what the kernel has not taken when this returns has been copied.
   * @param kept the bytes need no copy: they stay as they are until drained() or closed() has come, if this returns false
   * @returns false when something waits: reader.drained() comes when nothing does any more
   */
  write(data: Uint8Array | string, kept?: boolean): boolean;
  /** What is written until uncork() goes out in one system call and, on TLS, as few records. What is lent must stay as it is until then: to be used within one callback. May be nested. */
  cork(): void;
  /** @returns as write() does, for all of it */
  uncork(): boolean;
  /** Stop reading. What was read or decrypted already may still come: on plain connections nothing, on TLS up to 64 KiB. */
  pause(): void;
  resume(): void;
  /** Bytes that were given to write() and that the kernel has not taken; on TLS those encrypted already count as encrypted. Falls while a client reads, so that its progress can be watched. */
  readonly pending: number;
  /** FIN (on TLS behind a close_notify) after what waits. The other side may still send: it is read until ended() or destroy(). */
  end(): void;
  /** Close at once. What waits is lost; what the kernel has is delivered, unless something unread lies in it (then the client sees a reset). */
  destroy(): void;
  /** Close with RST, so that a client notices that a body is not complete. On a Unix socket as destroy(). */
  reset(): void;
  /** Closed, or being closed: nothing is read or written any more. */
  readonly closed: boolean;
}

/**
 * Who reads a channel. Nothing here is called before the call that caused it has returned, but closed(), which may come from destroy() and reset() on the next turn only.
 * Each call is one turn of the turn clock (base/turn-clock.ts). Must not throw.
 */
export interface ChannelReader {
  /** @param buffer lent: its first `length` bytes are valid inside the call only, and the next read of any client overwrites them. length > 0 */
  received(buffer: Buffer, length: number): void;
  /** FIN (or close_notify) came: nothing more will be read; writing may go on. When end() was called too, closed() follows by itself. */
  ended(): void;
  /** Nothing that was written waits any more, after write() or uncork() had returned false. */
  drained(): void;
  /** Once; nothing comes after it. */
  closed(): void;
}

/** What a protocol offers to its listener. Every call is idempotent. */
export interface ServedConnection extends ChannelReader {
  /** Its client may not use it any longer (mTLS: its authority is gone): what is under way is finished, nothing else is taken, WebSockets are closed with 1008. */
  withdraw(): void;
  /** `host.draining` is true from now on. HTTP/2 says GOAWAY; HTTP/1 need not do anything: closing an idle connection may cross a request on its way. */
  drain(): void;
  /** Say goodbye (1001) on open WebSockets. */
  endWebSocket(): void;
}

/** What the listener knows of a connection beside its bytes. */
export interface ConnectionTerms {
  /** To be called once for each request, when it begins. @returns true when it must be the last one: its answer says `Connection: close`, or GOAWAY is sent (limits.requestsPerConnection, limits.connectionAge) */
  nextIsLast(): boolean;
  /**
   * Whether requests for this host may be answered on this connection: else 421 (RFC 9110 section 15.5.20), as its certificate, or the rules for clients' certificates, are not those of the host.
   * @param host of the admitted authority: lower case, no port
   */
  answersFor(host: string): boolean;
}

/** Begins to serve a channel. It sets `channel.reader` and calls `channel.resume()`. */
export type ServeChannel = (channel: Channel, host: ListenerHost, terms: ConnectionTerms) => ServedConnection;

/** null: not spoken. */
export type Protocols = Readonly<Record<ProtocolName, ServeChannel | null>>;
