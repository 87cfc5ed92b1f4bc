// Owns an upstream that breaks every rule by the dice: resets, cuts, floods, early answers, answers nobody asked for.
import net, { type AddressInfo, type Socket } from "node:net";
import { accept, frame } from "../../support/raw-web-socket.ts";
import { bytes, type Dice, markOf, pieces } from "./dice.ts";

/** A fault's pauses, ms: shorter and longer than what the gateway waits for by the test's configuration. */
const PAUSE_MS_MAX = 30;
const KEY = /sec-websocket-key: (\S+)/i;

/** What is answered, whole; the dice then cut, delay or break it. `head` is what has come of the request. */
type Answer = (dice: Dice, head: string) => string;

const sized = (status: string, body: string): string => `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

function chunked(body: string, trailer = ""): string {
  let out = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n";
  for (let at = 0; at < body.length; at += 700) {
    const part = body.slice(at, at + 700);
    out += `${part.length.toString(16)}\r\n${part}\r\n`;
  }
  return `${out}0\r\n${trailer}\r\n`;
}

/** Answers to this request and to no other: they name who asked, so that a client can tell when it gets another one's. */
const HONEST: readonly Answer[] = [
  (_dice, head) => sized("200 OK", askerOf(head)),
  (dice, head) => sized("200 OK", askerOf(head) + bytes(dice, 200_000) + askerOf(head)),
  (dice, head) => chunked(askerOf(head) + bytes(dice, 50_000) + askerOf(head)),
  (dice, head) => chunked(askerOf(head) + bytes(dice, 5_000), "X-Trailer: 1\r\nConnection: x-trailer\r\n"),
];

const askerOf = (head: string): string => markOf(/^\w+ \S*\?asker=(\d+) /.exec(head)?.[1] ?? "");

const HOSTILE: readonly Answer[] = [
  () => sized("503 Busy", "busy"),
  () => "HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n", // the rest never comes
  () => "HTTP/1.1 500 Oh\r\n\r\nuntil the end",
  () => "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
  () => "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
  () => `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${sized("200 OK", "late")}`,
  (dice) => `${"HTTP/1.1 100 Continue\r\n\r\n".repeat(1 + dice.below(20))}${sized("200 OK", "ok")}`,
  () => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nwhat",
  () => `${sized("200 OK", "one")}${sized("200 OK", "two")}${sized("404 No", "three")}`,
  () => `HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
  () => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
  () => "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
  () => "HTTP/1.1 999 Far\r\nContent-Length: 0\r\n\r\n",
  () => "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
  () => "HTTP/1.1 200 OK\r\nX-Bad: a\x01b\x7fc\r\nContent-Length: 2\r\n\r\nok",
  () => "HTTP/1.1 200 OK\r\nX-Folded: a\r\n b: c\r\nContent-Length: 2\r\n\r\nok",
  () => "HTTP/1.1 200 OK\r\nBad Name: a\r\nContent-Length: 2\r\n\r\nok",
  () => `HTTP/1.1 200 OK\r\nX-Long: ${"a".repeat(70_000)}\r\n\r\n`,
  () => "HTTP/1.1 200 OK\r\nConnection: close, content-type\r\nContent-Type: text/html\r\n\r\nuntil the end",
  () => "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n",
  () => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  () => "SSH-2.0-nonsense\r\n",
  () => "",
  (_dice, head) => {
    const key = KEY.exec(head)?.[1] ?? "";
    return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept(key)}\r\n\r\n`;
  },
];

export class HostileUpstream implements AsyncDisposable {
  readonly port: number;
  /** Answers honestly from now on. */
  tame = false;
  readonly #server: net.Server;
  readonly #sockets = new Set<Socket>();
  readonly #dice: Dice;

  private constructor(server: net.Server, dice: Dice) {
    this.#server = server;
    this.#dice = dice;
    this.port = (server.address() as AddressInfo).port; // a TCP server that listens has one
    server.on("connection", (socket) => this.#serve(socket));
  }

  static async start(dice: Dice): Promise<HostileUpstream> {
    const server = net.createServer({ noDelay: true, allowHalfOpen: dice.chance(0.5) });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new HostileUpstream(server, dice);
  }

  #serve(socket: Socket): void {
    const dice = this.#dice;
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    if (!this.tame && dice.chance(0.03)) return void socket.resetAndDestroy();
    let head = "";
    // Once it has said more or less than it was asked for, what it says next may reach anybody: it names nobody any more.
    const spoilt = { yet: false };
    socket.on("data", (chunk: Buffer) => {
      if (!this.tame && dice.chance(0.02)) return void socket.resetAndDestroy();
      head += chunk.toString("latin1");
      // Sometimes it answers before the request is whole.
      if (!head.includes("\r\n\r\n") && !(!this.tame && dice.chance(0.05))) return;
      const request = head;
      head = "";
      if (this.tame) return void socket.write(sized("200 OK", "ok"));
      if (!request.includes("\r\n\r\n")) spoilt.yet = true;
      this.#answer(socket, request, spoilt);
    });
  }

  #answer(socket: Socket, request: string, spoilt: { yet: boolean }): void {
    const dice = this.#dice;
    const upgrades = KEY.test(request);
    const honest = !upgrades && !spoilt.yet && dice.chance(0.3);
    spoilt.yet ||= !honest;
    const answer = upgrades && dice.chance(0.7) ? HOSTILE.at(-1) : dice.pick(honest ? HONEST : HOSTILE);
    const whole = Buffer.from(answer?.(dice, request) ?? "", "latin1");
    const cutAt = dice.chance(0.25) ? dice.below(whole.length + 1) : whole.length;
    const steps = pieces(dice, whole.subarray(0, cutAt));
    const frames = upgrades ? Array.from({ length: dice.below(8) }, () => this.#frame()) : [];
    const next = (): void => {
      if (socket.destroyed) return;
      const step = steps.shift() ?? frames.shift();
      if (step === undefined) return this.#leave(socket, cutAt < whole.length);
      socket.write(step);
      if (dice.chance(0.5)) setImmediate(next);
      else setTimeout(next, dice.below(PAUSE_MS_MAX));
    };
    next();
  }

  /** Data, control, fragments, and things no server may send. */
  #frame(): Buffer {
    const dice = this.#dice;
    return frame(dice.pick([0x81, 0x82, 0x88, 0x89, 0x8a, 0x01, 0x80, 0xc1, 0x83]), bytes(dice, 3000), dice.chance(0.1));
  }

  #leave(socket: Socket, cut: boolean): void {
    const leaving = this.#dice.below(cut ? 4 : 20);
    if (leaving === 0) socket.resetAndDestroy();
    else if (leaving === 1) socket.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
