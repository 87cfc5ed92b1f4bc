// The lowest floor for gateways made of these parts: uWebSockets.js in, one socket of node:net for each request under way out. It believes that
// every request is a GET and every answer has a Content-Length; nothing that a gateway must do is done.
// Run: node uws-net.ts PORT ORIGIN-PORT

import type { HttpRequest, HttpResponse } from "uWebSockets.js";
import net from "node:net";
import { loadUws } from "../../../src/data/listener/uws/load.ts";

const [port, originPort] = [Number(process.argv[2]), Number(process.argv[3])];
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "content-length", "date", "host"]);
const READ_BYTES = 64 * 1024;
const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
const HEAD_END = "\r\n\r\n";
let requests = 0;

class Connection {
  private response: HttpResponse | null = null;
  private read = "";
  private readonly socket: net.Socket;

  constructor() {
    const callback = (bytes: number): boolean => {
      this.received(bytes);
      return true;
    };
    this.socket = net.connect({ port: originPort, host: "127.0.0.1", noDelay: true, onread: { buffer, callback } });
    this.socket.on("error", () => this.socket.destroy());
  }

  ask(response: HttpResponse, request: string): void {
    this.response = response;
    this.socket.write(request, "latin1");
  }

  private received(bytes: number): void {
    this.read += buffer.toString("latin1", 0, bytes);
    const headEnd = this.read.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const [status = "", ...fields] = this.read.slice(0, headEnd).split("\r\n");
    const length = fields.find((field) => field.toLowerCase().startsWith("content-length:"));
    const body = this.read.slice(headEnd + HEAD_END.length);
    if (body.length < Number(length?.slice("content-length:".length) ?? 0)) return;
    this.read = "";
    const { response } = this;
    this.response = null;
    idle.push(this);
    if (response !== null && !gone.delete(response)) answer(response, { status: status.slice("HTTP/1.1 ".length), fields, body });
  }
}

const idle: Connection[] = [];
/** Asked for by clients that are no longer there. */
const gone = new Set<HttpResponse>();

function answer(
  response: HttpResponse,
  read: { readonly status: string; readonly fields: readonly string[]; readonly body: string },
): void {
  response.cork(() => {
    response.writeStatus(read.status);
    for (const field of read.fields) {
      const colon = field.indexOf(":");
      const name = field.slice(0, colon).toLowerCase();
      if (!HOP_BY_HOP.has(name)) response.writeHeader(name, field.slice(colon + 2));
    }
    response.end(Buffer.from(read.body, "latin1"));
  });
}

function forward(response: HttpResponse, request: HttpRequest): void {
  let head = `${request.getMethod().toUpperCase()} ${request.getUrl()} HTTP/1.1\r\nhost: 127.0.0.1:${originPort}\r\nx-request-id: ${++requests}\r\n`;
  request.forEach((name, value) => {
    if (!HOP_BY_HOP.has(name)) head += `${name}: ${value}\r\n`;
  });
  head += `x-forwarded-for: ${new Uint8Array(response.getRemoteAddress()).join(".")}\r\n`;
  response.onAborted(() => void gone.add(response));
  (idle.pop() ?? new Connection()).ask(response, `${head}\r\n`);
}

loadUws()
  .App()
  .any("/*", forward)
  .listen("127.0.0.1", port, (socket) => {
    if (socket === false) throw new Error(`cannot listen on port ${port}`);
  });
