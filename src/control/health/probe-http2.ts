// Owns probes by HTTP/2: one request on a connection of its own, in cleartext with prior knowledge, or over TLS where the target chooses it by ALPN.
import type net from "node:net";
import type tls from "node:tls";
import { type Http2Bounds, Http2Connection, type Http2Host } from "../../base/http2/connection.ts";
import type { Http2Wire } from "../../base/http2/frame-writer.ts";
import type { HeaderSection } from "../../base/http2/header-section.ts";
import { ERROR_CODE, errorName } from "../../base/http2/protocol.ts";
import { Http2Stream, type StreamReset } from "../../base/http2/stream.ts";
import { flushAfterTurn } from "../../base/http2/turn-flush.ts";
import { type OpenProbe, type Probe, type ProbeEvents, type ProbeTransport, tlsOptionsOf } from "./probe-transport.ts";

// Not by import: a cold start does without them.
const nodeNet = (): typeof net => process.getBuiltinModule("node:net");
const nodeTls = (): typeof tls => process.getBuiltinModule("node:tls");

const BOUNDS: Http2Bounds = {
  headerBytesMax: 64 * 1024,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 65_535,
  heldBytesMax: 0,
  peerStreamsMax: 0,
  resetsBurst: 100,
  resetsPerSecond: 1,
  controlFramesBurst: 1000,
  controlFramesPerSecond: 10,
  extendedConnect: false,
};

export const probeByHttp2: ProbeTransport = (probe, events) => {
  const { address: host, port, tls: secure } = probe.endpoint;
  const options = { host, port, noDelay: true };
  const socket = secure ? nodeTls().connect({ ...options, ...tlsOptionsOf(probe), ALPNProtocols: ["h2"] }) : nodeNet().connect(options);
  return new Http2Probe(socket, probe, events);
};

class Http2Probe extends Http2Stream implements Http2Host, OpenProbe {
  readonly #socket: net.Socket;
  readonly #probe: Probe;
  readonly #events: ProbeEvents;
  readonly #connection: Http2Connection;

  constructor(socket: net.Socket, probe: Probe, events: ProbeEvents) {
    super();
    this.#socket = socket;
    this.#probe = probe;
    this.#events = events;
    this.#connection = new Http2Connection(this, new ProbeWire(socket, () => this.#connection.flush()), {
      isServer: false,
      bounds: BOUNDS,
    });
    socket.on("error", (error) => events.failed(error));
    socket.on("close", () => events.failed(new Error("the connection was closed")));
    socket.on("data", (chunk: Buffer) => this.#connection.receive(chunk, chunk.length, performance.now()));
    socket.on("drain", () => this.#connection.drained());
    socket.once(probe.endpoint.tls ? "secureConnect" : "connect", () => this.#connected());
  }

  close(): void {
    this.reset(ERROR_CODE.cancel);
    this.#socket.destroy();
  }

  #connected(): void {
    const { endpoint, check, host } = this.#probe;
    this.#events.connected();
    // A probe of a TLS endpoint has a TLSSocket.
    if (endpoint.tls && (this.#socket as tls.TLSSocket).alpnProtocol !== "h2")
      return this.#events.failed(new Error("ALPN did not choose h2"));
    this.#connection.start(performance.now());
    const fields = Object.entries({ "user-agent": "sluice-health", accept: "*/*", ...check.headers });
    const authority = check.headers["host"] ?? host;
    const head = this.#connection.head();
    const sound =
      head.request(check.method, endpoint.tls, { authority, path: check.path }) &&
      fields.every(([name, value]) => name === "host" || head.field(name, value));
    if (sound) this.#connection.open(this, true);
    else this.#events.failed(new Error("the request has a character that cannot be sent"));
  }

  // --- Http2Stream ---

  override onHead({ status }: HeaderSection): void {
    if (this.#probe.check.method === "HEAD" || status === 304) this.lengthExpected = 0; // the length of what another method would get
    if (status >= 200) this.#events.head(status);
  }

  override onData(chunk: Buffer): void {
    this.#events.data(chunk);
  }

  override onEnd(): void {
    this.#events.end();
  }

  override onReset({ reason }: StreamReset): void {
    this.#events.failed(new Error(reason));
  }

  override onDrained(): void {}

  // --- Http2Host ---

  opened(): null {
    return null;
  }

  settled(): void {}

  streamOver(): void {}

  goneAway(): void {}

  ponged(): void {}

  failed(code: number, reason: string): void {
    this.#events.failed(new Error(`${errorName(code)}: ${reason}`));
  }
}

class ProbeWire implements Http2Wire {
  readonly #socket: net.Socket;
  readonly flush: () => void;

  constructor(socket: net.Socket, flush: () => void) {
    this.#socket = socket;
    this.flush = flush;
  }

  get pending(): number {
    return this.#socket.writableLength;
  }

  send(bytes: Buffer): boolean {
    this.#socket.write(bytes);
    return false;
  }

  flushLater(): void {
    flushAfterTurn(this);
  }

  pause(): void {
    this.#socket.destroy(); // a probe is answered, or it is not
  }

  resume(): void {}

  end(): void {
    this.#socket.end();
  }
}
