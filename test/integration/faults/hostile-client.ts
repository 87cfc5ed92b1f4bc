// Owns a client that sends requests, whole, broken or half, and leaves when the dice say so, also in the middle of a byte stream.
import net, { type Socket } from "node:net";
import { frame, handshake } from "../../support/raw-web-socket.ts";
import { bytes, type Dice, MARKS, pieces } from "./dice.ts";

const PAUSE_MS_MAX = 30;
/** Longest life of one connection, ms. */
const LIFE_MS_MAX = 1500;

const HOST = "Host: a.example\r\n";

type Request = (dice: Dice, path: string) => string;

function chunkedBody(dice: Dice): string {
  let out = "";
  for (let i = dice.below(6); i >= 0; i--) {
    const part = bytes(dice, 40_000);
    if (part !== "") out += `${part.length.toString(16)}\r\n${part}\r\n`;
  }
  return `${out}0\r\n\r\n`;
}

const get: Request = (_dice, path) => `GET ${path} HTTP/1.1\r\n${HOST}Accept-Encoding: gzip\r\n\r\n`;
const REQUESTS: readonly Request[] = [
  get,
  get,
  (_dice, path) => `HEAD ${path} HTTP/1.1\r\n${HOST}\r\n`,
  (dice, path) => `GET ${path} HTTP/1.1\r\n${HOST}\r\n`.repeat(1 + dice.below(20)),
  (dice, path) => {
    const body = bytes(dice, 300_000);
    return `POST ${path} HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n${dice.chance(0.2) ? "Expect: 100-continue\r\n" : ""}\r\n${body}`;
  },
  (dice, path) => `PUT ${path} HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunkedBody(dice)}`,
  (dice, path) => `PUT ${path} HTTP/1.1\r\n${HOST}Content-Length: ${100_000 + dice.below(9_000_000)}\r\n\r\n${bytes(dice, 300_000)}`,
  (_dice, path) => `POST ${path} HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  (_dice, path) => `POST ${path} HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
  (_dice, path) => `POST ${path} HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX-T: 1\r\n\r\n`,
  (_dice, path) => `DELETE ${path} HTTP/1.0\r\n\r\n`,
  (_dice, path) => `OPTIONS ${path} HTTP/1.1\r\n${HOST}Origin: https://x.example\r\nAccess-Control-Request-Method: PUT\r\n\r\n`,
  () => "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x01\x00\x02",
  () => "\x16\x03\x01\x02\x00\x01\x00",
  (dice) => `GET /${"a".repeat(dice.below(40_000))} HTTP/1.1\r\n${HOST}\r\n`,
  (dice) => `GET / HTTP/1.1\r\n${HOST}${"X-A: b\r\n".repeat(dice.below(300))}\r\n`,
];

const PATHS = [
  "/all/a",
  "/all/a",
  "/undici/a",
  "/undici/a",
  "/together/a",
  "/mirrored/a",
  "/small/a",
  "/zipped/a",
  "/narrow/a",
  "/narrow-undici/a",
  "/fixed",
  "/denied",
  "/nowhere/a",
];

let connections = 0;

/** One connection, from its opening to its end. @returns whose marks were in what it received, and its own */
export function hostileConnection(dice: Dice, port: number): Promise<{ readonly asker: string; readonly marks: readonly string[] }> {
  const asker = String(++connections);
  const received: Buffer[] = [];
  return new Promise((resolve) => {
    const socket = net.connect({ host: "127.0.0.1", port, noDelay: true, allowHalfOpen: dice.chance(0.5) });
    const life = setTimeout(() => socket.destroy(), LIFE_MS_MAX);
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(life);
      const text = Buffer.concat(received).toString("latin1");
      resolve({ asker, marks: [...text.matchAll(MARKS)].map(([, whose = ""]) => whose) });
    });
    socket.on("connect", () => converse(dice, socket, asker));
    socket.on("data", (chunk: Buffer) => received.push(chunk));
    socket.pause();
    if (dice.chance(0.9))
      socket.resume(); // the others never read
    else socket.setTimeout(LIFE_MS_MAX >> 1, () => socket.resume());
  });
}

function converse(dice: Dice, socket: Socket, asker: string): void {
  const steps: Buffer[] = [];
  for (let i = 1 + dice.below(3); i > 0; i--) steps.push(...pieces(dice, Buffer.from(request(dice, asker), "latin1")));
  const leaveAfter = dice.chance(0.4) ? dice.below(steps.length + 1) : steps.length + 1;
  let sent = 0;
  const next = (): void => {
    if (socket.destroyed) return;
    const step = steps.shift();
    if (sent++ === leaveAfter) return leave(dice, socket);
    if (step !== undefined) socket.write(step);
    else if (dice.chance(0.3)) return leave(dice, socket);
    else return; // stays until the gateway or its life's end closes it
    if (dice.chance(0.6)) setImmediate(next);
    else setTimeout(next, dice.below(PAUSE_MS_MAX));
  };
  next();
}

function request(dice: Dice, asker: string): string {
  if (dice.chance(0.85)) return dice.pick(REQUESTS)(dice, `${dice.pick(PATHS)}?asker=${asker}`);
  let out = handshake(dice.pick(["/all/ws", "/narrow/ws", "/denied"]));
  for (let i = dice.below(10); i > 0; i--) {
    out += frame(dice.pick([0x81, 0x82, 0x88, 0x89, 0x8a, 0x01, 0x80, 0xc1]), bytes(dice, 30_000), dice.chance(0.95)).toString("latin1");
  }
  return out;
}

function leave(dice: Dice, socket: Socket): void {
  const how = dice.below(3);
  if (how === 0) socket.resetAndDestroy();
  else if (how === 1) socket.destroy();
  else socket.end();
}
