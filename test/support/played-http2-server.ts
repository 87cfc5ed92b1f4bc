// An HTTP/2 server that a test plays frame by frame over real sockets: it answers nothing by itself but the preface, with SETTINGS.
import net, { type AddressInfo, type Socket } from "node:net";
import { PREFACE } from "../../src/base/http2/protocol.ts";
import { type RawFrame, readFrames, settings, settingsAck } from "./raw-http2.ts";
import { until } from "./until.ts";

export class PlayedConnection {
  readonly socket: Socket;
  /** What the client has sent so far, its preface left out. */
  readonly frames: RawFrame[] = [];
  closed = false;
  #bytes: Buffer = Buffer.alloc(0);
  #greeted = false;

  constructor(socket: Socket, greeting: Buffer | null) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("close", () => {
      this.closed = true;
    });
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    if (greeting !== null) socket.write(greeting);
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  of(type: number): RawFrame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  async received(type: number, count = 1): Promise<RawFrame[]> {
    await until(`${count} frames of type ${type}`, () => this.of(type).length >= count);
    return this.of(type);
  }

  #read(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (!this.#greeted) {
      if (this.#bytes.length < PREFACE.length) return;
      this.#greeted = true;
      this.#bytes = this.#bytes.subarray(PREFACE.length);
    }
    let whole = 0;
    while (this.#bytes.length >= whole + 9 && this.#bytes.length >= whole + 9 + this.#bytes.readUIntBE(whole, 3))
      whole += 9 + this.#bytes.readUIntBE(whole, 3);
    this.frames.push(...readFrames(this.#bytes.subarray(0, whole)));
    this.#bytes = this.#bytes.subarray(whole);
  }
}

export class PlayedHttp2Server {
  readonly port: number;
  readonly connections: PlayedConnection[] = [];
  readonly #server: net.Server;

  private constructor(server: net.Server, greeting: Buffer | null) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port; // a TCP server that listens has one
    server.on("connection", (socket) => this.connections.push(new PlayedConnection(socket, greeting)));
  }

  /** @param greeting what each connection gets first; null: nothing */
  static async start(greeting: Buffer | null = Buffer.concat([settings(), settingsAck()])): Promise<PlayedHttp2Server> {
    const server = net.createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new PlayedHttp2Server(server, greeting);
  }

  async connection(index = 0): Promise<PlayedConnection> {
    await until(`connection ${index}`, () => this.connections.length > index);
    return this.connections[index] as PlayedConnection; // just seen
  }

  close(): void {
    for (const { socket } of this.connections) socket.destroy();
    this.#server.close();
  }
}
