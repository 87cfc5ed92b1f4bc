// Owns a small authoritative DNS responder over UDP on loopback (RFC 1035, RFC 2782), whose zone a test changes as it goes.
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import type { AddressInfo } from "node:net";

/** Records of one name. `ttl` in seconds. */
export interface ZoneEntry {
  readonly a?: readonly string[];
  readonly aaaa?: readonly string[];
  readonly srv?: readonly { readonly priority: number; readonly weight: number; readonly port: number; readonly target: string }[];
  readonly ttl?: number;
}

const TYPES: Readonly<Record<number, "a" | "aaaa" | "srv">> = { 1: "a", 28: "aaaa", 33: "srv" };
const TYPE_NUMBERS = { a: 1, aaaa: 28, srv: 33 } as const;
const NO_ERROR = 0;
const SERVFAIL = 2;
const NXDOMAIN = 3;

export class DnsServer {
  /** Lowercase name -> records; a name that is missing does not exist. */
  readonly zone = new Map<string, ZoneEntry>();
  /** Questions received, e.g. `a users.test`. */
  readonly asked: string[] = [];
  /** What to do with questions: answer, answer SERVFAIL, or say nothing. */
  mode: "answer" | "fail" | "silent" = "answer";
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("message", (message, from) => this.#received(message, from));
  }

  /** Listens on a free port. */
  static async listen(): Promise<DnsServer> {
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => {
      socket.bind(0, "127.0.0.1", resolve);
    });
    return new DnsServer(socket);
  }

  /** For the configuration's `dns.servers`. */
  get address(): string {
    const { port }: AddressInfo = this.#socket.address();
    return `127.0.0.1:${port}`;
  }

  /** How often a question was asked. */
  count(question: string): number {
    return this.asked.filter((entry) => entry === question).length;
  }

  close(): void {
    this.#socket.close();
  }

  #received(message: Buffer, from: RemoteInfo): void {
    const { name, end } = readName(message, 12);
    const type = TYPES[message.readUInt16BE(end)] ?? "a";
    this.asked.push(`${type} ${name}`);
    if (this.mode === "silent") return;
    const entry = this.zone.get(name);
    const records = this.mode === "answer" && entry !== undefined ? recordsOf(entry, type) : [];
    const code = this.mode === "fail" ? SERVFAIL : entry === undefined ? NXDOMAIN : NO_ERROR;
    this.#socket.send(
      reply({ id: message.readUInt16BE(0), question: message.subarray(12, end + 4), code, records }),
      from.port,
      from.address,
    );
  }
}

function reply(of: { id: number; question: Buffer; code: number; records: readonly Buffer[] }): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(of.id, 0);
  // Response, authoritative, recursion desired and available.
  head.writeUInt16BE(0x8580 | of.code, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(of.records.length, 6);
  return Buffer.concat([head, of.question, ...of.records]);
}

function recordsOf(entry: ZoneEntry, type: "a" | "aaaa" | "srv"): Buffer[] {
  const datas = type === "srv" ? (entry.srv ?? []).map(srvData) : (entry[type] ?? []).map(type === "a" ? v4Data : v6Data);
  return datas.map((data) => {
    const head = Buffer.alloc(12);
    // A pointer to the name in the question.
    head.writeUInt16BE(0xc00c, 0);
    head.writeUInt16BE(TYPE_NUMBERS[type], 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt32BE(entry.ttl ?? 60, 6);
    head.writeUInt16BE(data.length, 10);
    return Buffer.concat([head, data]);
  });
}

const v4Data = (address: string): Buffer => Buffer.from(address.split(".").map(Number));

/** Full or `::`-shortened, without embedded IPv4. */
function v6Data(address: string): Buffer {
  const [left = "", right = ""] = address.split("::");
  const words = (text: string): number[] => (text === "" ? [] : text.split(":").map((word) => Number.parseInt(word, 16)));
  const zeros = Array<number>(8 - words(left).length - words(right).length).fill(0);
  return Buffer.from([...words(left), ...zeros, ...words(right)].flatMap((word) => [word >> 8, word & 0xff]));
}

function srvData(record: { priority: number; weight: number; port: number; target: string }): Buffer {
  const head = Buffer.alloc(6);
  head.writeUInt16BE(record.priority, 0);
  head.writeUInt16BE(record.weight, 2);
  head.writeUInt16BE(record.port, 4);
  return Buffer.concat([head, writeName(record.target)]);
}

const writeName = (name: string): Buffer =>
  Buffer.concat([...name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])), Buffer.from([0])]);

function readName(message: Buffer, start: number): { name: string; end: number } {
  const labels: string[] = [];
  let at = start;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
  return { name: labels.join(".").toLowerCase(), end: at + 1 };
}
