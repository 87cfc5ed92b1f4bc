// Owns the TLS of a listener: which certificate, which rules, which clients' certificates, which protocol; from a connection's first byte to the end of its handshake.
// By node:tls, which also judges certificates. Must never hand on a connection whose client may not be here: certificateOf() is asked for that.
import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import tls, { type SecureContext, type TLSSocket } from "node:tls";
import { OperatorError } from "../../../base/errors.ts";
import { bottomOf } from "../../../base/native-stream.ts";
import type { ListenerPlan, ListenerTlsPlan } from "../../../plan/listener-plan.ts";
import { secureOptions } from "../../../plan/tls-rules.ts";
import type { CertificateTable } from "./certificate-table.ts";
import { lookAtFirstBytes } from "./first-bytes.ts";

/** First byte of a TLS record that is a handshake (RFC 8446 section 5.1). */
const HANDSHAKE = 22;
/** Bytes of the context that sessions are bound to (OpenSSL's SSL_MAX_SID_CTX_LENGTH). */
const CONTEXT_CHARS = 32;
/** Time for a client to take the answer that it has come without TLS, ms. */
const PLAIN_LINGER_MS = 1000;

const PLAIN_BODY = "This port speaks TLS: use https.\n";
const PLAIN_ANSWER = `HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: ${PLAIN_BODY.length}\r\nconnection: close\r\n\r\n${PLAIN_BODY}`;

export interface TlsFrontOptions {
  readonly certificates: CertificateTable;
  /** What ALPN offers, first choice first. */
  readonly protocols: readonly string[];
  readonly handshakeTimeoutMs: number;
  /** 48 bytes, the same in all workers. */
  readonly ticketKeys: Uint8Array;
  /** A handshake is over. @param bottom what was given to begin() */
  readonly opened: (socket: TLSSocket, bottom: Socket) => void;
}

export class TlsFront {
  readonly #server: tls.Server;
  readonly #timeoutMs: number;

  constructor(plan: ListenerPlan, options: TlsFrontOptions) {
    this.#timeoutMs = options.handshakeTimeoutMs;
    this.#server = tls.createServer(serverOptions(plan, options));
    this.#server.on("tlsClientError", (_error, socket) => socket.destroy());
    this.#server.on("secureConnection", (socket) => {
      socket.disableRenegotiation();
      const bottom = bottomOf(socket);
      if (bottom === null) socket.destroy();
      else options.opened(socket, bottom);
    });
  }

  /** @param socket nobody reads it yet */
  begin(socket: Socket): void {
    let plain = false;
    const look = (data: Buffer): number => {
      plain = data[0] !== HANDSHAKE && looksLikeHttp(data);
      return plain ? data.length : 0;
    };
    lookAtFirstBytes(socket, this.#timeoutMs, look, () => {
      if (plain) refusePlain(socket);
      else this.#server.emit("connection", socket);
    });
  }

  /** Sessions of before are not resumed any more: their clients make a whole handshake. */
  useTicketKeys(keys: Uint8Array): void {
    this.#server.setTicketKeys(Buffer.from(keys));
  }
}

/** Every method begins with a letter, and no TLS record does. */
const looksLikeHttp = (data: Buffer): boolean => /^[A-Za-z]/.test(data.toString("latin1", 0, 1));

/** The request behind it is read and dropped: closing on it would reset the connection, and the answer with it. */
function refusePlain(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), PLAIN_LINGER_MS);
  socket.on("close", () => clearTimeout(timer));
  socket.on("error", () => {}); // 'close' follows
  socket.end(PLAIN_ANSWER, "latin1");
  socket.resume();
}

function serverOptions(plan: ListenerPlan, options: TlsFrontOptions): tls.TlsOptions {
  const tlsPlan = plan.tls as ListenerTlsPlan; // a front is made where there is TLS
  const [first] = tlsPlan.certificates;
  if (first === undefined) throw new OperatorError("a TLS listener needs at least one certificate");
  const { clientAuth } = tlsPlan;
  const rules = { ...secureOptions(tlsPlan.rules), honorCipherOrder: true };
  // A server name's context brings its own authorities.
  const authorities = clientAuth === null ? {} : { ca: clientAuth.ca };
  const contexts = tlsPlan.certificates.map(({ cert, key, hosts }, index) =>
    index === 0 && hosts.length === 0 ? undefined : tls.createSecureContext({ cert, key, ...authorities, ...rules }),
  );
  const contextOf = (name: string): SecureContext | undefined => contexts[options.certificates.indexOf(name.toLowerCase())];
  return {
    cert: first.cert,
    key: first.key,
    ...authorities,
    ...rules,
    requestCert: clientAuth !== null,
    rejectUnauthorized: clientAuth?.required ?? false,
    handshakeTimeout: options.handshakeTimeoutMs,
    ALPNProtocols: [...options.protocols],
    ticketKeys: Buffer.from(options.ticketKeys),
    sessionIdContext: sessionContext(plan),
    // Without a match the listener's own, first certificate is used.
    SNICallback: (name, done) => done(null, contextOf(name)),
  };
}

/**
 * A session is resumed only where this is equal: what a client has proven to one listener, or to the authorities of yesterday, is worth nothing elsewhere,
 * although the keys of tickets are the same.
 */
const sessionContext = ({ address, name, tls: plan }: ListenerPlan): string =>
  createHash("sha256")
    .update(JSON.stringify([address, name, plan?.clientAuth ?? null, plan?.rules ?? null]))
    .digest("base64url")
    .slice(0, CONTEXT_CHARS);
