// Owns many HTTP/2 requests on few connections in cleartext, over bare sockets: keeps of each only when it was sent, so that it can have 100,000 of them.
import net from "node:net";
import type { HeaderSection } from "../../src/base/http2/header-section.ts";
import { HpackDecoder } from "../../src/base/http2/hpack-decoder.ts";
import { FRAME, PREFACE } from "../../src/base/http2/protocol.ts";
import type { Field } from "./raw-h2-client.ts";
import { headers, rst, settings, settingsAck, windowUpdate } from "./raw-http2.ts";

const WINDOW = 2 ** 30;
const CANCEL = 8;

/** What has come of all requests. */
export interface CrowdAnswers {
  /** By status; `reset` for streams that were. */
  readonly counts: Record<string, number>;
  /** Milliseconds to each answer, by status. */
  readonly took: Map<number, number[]>;
}

export class H2Crowd implements AsyncDisposable {
  readonly answers: CrowdAnswers = { counts: {}, took: new Map() };
  sent = 0;
  readonly #connections: Connection[] = [];

  /** So many connections, all open. */
  static async open(port: number, connections: number): Promise<H2Crowd> {
    const crowd = new H2Crowd();
    for (let i = 0; i < connections; i++) crowd.#connections.push(await Connection.open(port, crowd.answers));
    return crowd;
  }

  get answered(): number {
    return Object.values(this.answers.counts).reduce((sum, count) => sum + count, 0);
  }

  get closed(): number {
    return this.#connections.filter((each) => each.closed).length;
  }

  /** One request on a connection. @param connection its number @param done called with its status; 0 for a reset */
  ask(connection: number, fields: readonly Field[], done: Done = () => {}): void {
    this.sent++;
    this.#connections[connection]?.ask(fields, done);
  }

  /** Which connections belong to the same worker of a gateway: it gives its requests ids that begin alike. @param fields of a request that is answered at once */
  async byWorker(fields: readonly Field[]): Promise<readonly (readonly number[])[]> {
    const ids = this.#connections.map(
      (_, i) => new Promise<string>((resolve) => this.ask(i, fields, (_status, head) => resolve(idOf(head).split("-")[0] ?? ""))),
    );
    const workers = (await Promise.all(ids)).map((id, connection) => ({ id, connection }));
    return [...Map.groupBy(workers, ({ id }) => id).values()].map((group) => group.map(({ connection }) => connection));
  }

  /** Gives up all that is not answered, without closing anything. */
  cancelAll(): void {
    for (const each of this.#connections) each.cancelAll();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const each of this.#connections) each.destroy();
  }
}

type Done = (status: number, head: HeaderSection | null) => void;

const idOf = (head: HeaderSection | null): string => {
  const { fields = [] } = head ?? {};
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === "x-request-id") return fields[i + 1] ?? "";
  return "";
};

class Connection {
  closed = false;
  readonly #socket: net.Socket;
  readonly #answers: CrowdAnswers;
  readonly #decoder = new HpackDecoder(4096, 1024 * 1024);
  readonly #open = new Map<number, { readonly sinceMs: number; readonly done: Done }>();
  #next = 1;
  #pending: Buffer = Buffer.alloc(0);

  private constructor(socket: net.Socket, answers: CrowdAnswers) {
    this.#socket = socket;
    this.#answers = answers;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => {});
    socket.on("close", () => (this.closed = true));
    socket.write(Buffer.concat([PREFACE, settings(), windowUpdate(0, WINDOW)]));
  }

  static async open(port: number, answers: CrowdAnswers): Promise<Connection> {
    const socket = net.connect({ host: "127.0.0.1", port, noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new Connection(socket, answers);
  }

  ask(fields: readonly Field[], done: Done): void {
    const id = this.#next;
    this.#next += 2;
    this.#open.set(id, { sinceMs: performance.now(), done });
    this.#socket.write(headers(id, fields));
  }

  cancelAll(): void {
    for (const id of this.#open.keys()) this.#socket.write(rst(id, CANCEL));
    this.#open.clear();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    const bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    let at = 0;
    while (bytes.length - at >= 9) {
      const length = bytes.readUIntBE(at, 3);
      if (bytes.length - at < 9 + length) break;
      const id = bytes.readUInt32BE(at + 5);
      this.#frame(bytes[at + 3] ?? 0, bytes[at + 4] ?? 0, id, bytes.subarray(at + 9, at + 9 + length));
      at += 9 + length;
    }
    this.#pending = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    if (type === FRAME.settings && (flags & 1) === 0) this.#socket.write(settingsAck());
    if (type === FRAME.rstStream) this.#over(id, null);
    if (type !== FRAME.headers) return;
    const section = this.#decoder.decode(payload, 0, payload.length);
    if (section === null) throw new Error("a field block cannot be decoded");
    if (section.status >= 200) this.#over(id, section);
  }

  #over(id: number, head: HeaderSection | null): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    this.#open.delete(id);
    const { counts, took } = this.#answers;
    const status = head?.status ?? 0;
    const name = head === null ? "reset" : status;
    counts[name] = (counts[name] ?? 0) + 1;
    const list = took.get(status);
    if (list === undefined) took.set(status, [performance.now() - open.sinceMs]);
    else list.push(performance.now() - open.sinceMs);
    open.done(status, head);
  }
}
