// An origin that speaks h2c over the gateway's own HTTP/2 connection and answers each request with 256 bytes, those of a turn in one write. `node bench/h2c-origin.ts PORT`
// nginx 1.22 writes twice for each answer, so that behind it a client that shares connections gets answers one by one.
import net from "node:net";
import { Http2Connection, type Http2Host } from "../src/base/http2/connection.ts";
import { Http2Stream } from "../src/base/http2/stream.ts";
import { BOUNDS, HOST, SocketWire } from "../test/support/http2-core.ts";

const BODY = Buffer.alloc(256, "x");
const STATUS_200 = 8; // in the static table

class Answered extends Http2Stream {
  readonly connection: Http2Connection;

  constructor(connection: Http2Connection) {
    super();
    this.connection = connection;
  }

  override onHead(): void {}

  override onData(): void {}

  override onEnd(): void {
    const { connection } = this;
    const head = connection.head();
    head.indexed(STATUS_200);
    head.field("content-type", "text/plain");
    head.field("content-length", "256");
    connection.respond(this, false);
    this.writeLast(BODY, false);
    connection.release();
  }

  override onReset(): void {
    this.connection.release();
  }

  override onDrained(): void {}
}

net
  .createServer((socket) => {
    const wire = new SocketWire(socket);
    const host: Http2Host = { ...HOST, opened: () => new Answered(connection) };
    const bounds = { ...BOUNDS, peerStreamsMax: 1000, controlFramesBurst: 1e9, resetsBurst: 1e9 };
    const connection = new Http2Connection(host, wire, { isServer: true, bounds });
    wire.connection = connection;
    connection.start(performance.now());
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
