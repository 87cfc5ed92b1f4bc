// `tls.clientCa` changes under open connections: whom the new authorities do not vouch for is let go, and nobody else.
import { once } from "node:events";
import fs from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import http2 from "node:http2";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import tls from "node:tls";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { Authority, type IssuedCertificate } from "../../support/authority.ts";
import { Gateway } from "../../support/gateway.ts";
import { codeOf, frames } from "../../support/raw-web-socket.ts";
import { until } from "../../support/until.ts";
import { WebSocketOrigin } from "../../support/web-socket-origin.ts";

let folder: string;
let clientCa: string;
let gateway: Gateway;
let sockets: WebSocketOrigin;
let service: Server;
/** Answers that the service holds back. */
const held: ServerResponse[] = [];
const authorities: Record<string, Authority> = {};
const clients: Record<string, IssuedCertificate> = {};

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-authority-"));
  clientCa = path.join(folder, "clients.pem");
  for (const name of ["old", "new"]) {
    const authority = new Authority(folder, name);
    authorities[name] = authority;
    clients[name] = authority.issue(`${name}-client`, [`${name}.test`]);
  }
  const own = new Authority(folder, "server").issue("own", ["own.test"]);
  trust("old", "new");
  sockets = await WebSocketOrigin.start();
  service = createServer((request, response) => void (request.url === "/hold" ? held.push(response) : response.end("served")));
  await new Promise<void>((resolve) => service.listen(0, "127.0.0.1", resolve));
  const { port } = service.address() as AddressInfo; // a TCP server that listens has one
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
listeners: [{ address: "127.0.0.1:0", tls: { certificates: [{ cert: ${own.cert}, key: ${own.key} }], clientCa: ${clientCa} } }]
admin: { address: "127.0.0.1:0" }
auth: { mesh: { mtls: { consumerFrom: san } } }
upstreams: { service: { targets: [{ url: "http://127.0.0.1:${port}" }] }, sockets: { targets: [{ url: "http://127.0.0.1:${sockets.port}" }] } }
defaults: { auth: mesh }
routes:
  - { name: service, match: {}, to: service }
  - { name: sockets, match: { path: /socket }, to: sockets }
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await sockets[Symbol.asyncDispose]();
  service.closeAllConnections();
  await new Promise((resolve) => service.close(resolve));
  fs.rmSync(folder, { recursive: true });
});

/** In one step, so that no reload sees half of it. */
function trust(...names: readonly string[]): void {
  fs.writeFileSync(`${clientCa}.new`, names.map((name) => fs.readFileSync(authorities[name]?.ca ?? "", "utf8")).join(""));
  fs.renameSync(`${clientCa}.new`, clientCa);
}

const identity = (client: string) => ({
  cert: fs.readFileSync(clients[client]?.cert ?? ""),
  key: fs.readFileSync(clients[client]?.key ?? ""),
  rejectUnauthorized: false,
});

class Connection {
  readonly socket: tls.TLSSocket;
  text = "";
  closed = false;

  constructor(client: string) {
    this.socket = tls.connect({ host: "127.0.0.1", port: gateway.port, ...identity(client) });
    this.socket.setEncoding("latin1").on("data", (chunk: string) => {
      this.text += chunk;
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closed = true;
    });
  }

  get(target: string): void {
    this.socket.write(`GET ${target} HTTP/1.1\r\nHost: own.test\r\n\r\n`);
  }

  /** Waits for the answer of the service. */
  async served(times: number): Promise<void> {
    await until(`answer ${times}`, () => this.text.split("served").length > times || this.closed);
    expect(this.text.split("served").length - 1).toBe(times);
  }
}

it("a withdrawn authority ends the connections that it vouched for, once what is under way is answered", async () => {
  const [idle, busy, other] = [new Connection("old"), new Connection("old"), new Connection("new")];
  for (const each of [idle, busy, other]) {
    each.get("/");
    await each.served(1);
  }
  busy.get("/hold");
  await until("the service has the request", () => held.length === 1);
  const webSocket = new WebSocket(`${gateway.url.replace("http", "ws")}/socket`, identity("old"));
  await once(webSocket, "open");
  const goodbye = once(webSocket, "close");

  trust("new");
  expect(await gateway.admin("POST", "/reload")).toMatchObject({ status: 200 });

  await until("the idle connection is closed", () => idle.closed);
  expect((await goodbye).map(String)).toEqual(["1008", "the client certificate is not accepted any more"]);
  other.get("/");
  await other.served(2);
  expect(busy.closed).toBe(false);
  held[0]?.end("served");
  await until("the busy connection is closed", () => busy.closed);
  await busy.served(2);

  const [late, again] = [new Connection("old"), new Connection("new")];
  for (const each of [late, again]) each.get("/");
  await until("a new one of the old authority is refused", () => late.closed);
  expect(late.text).toBe("");
  await again.served(1);
  again.socket.destroy();
});

it("a withdrawn authority ends HTTP/2 connections by GOAWAY, once what is under way is answered, and their WebSockets with 1008", async () => {
  trust("old", "new");
  expect(await gateway.admin("POST", "/reload")).toMatchObject({ status: 200 });
  const session = http2.connect(gateway.url, identity("old"));
  const codes: number[] = [];
  session.on("goaway", (code) => codes.push(code));
  await once(session, "remoteSettings");
  const heldBefore = held.length;
  const busy = session.request({ ":path": "/hold", ":authority": "own.test" });
  let text = "";
  busy.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
  await until("the service has the request", () => held.length > heldBefore);
  const webSocket = session.request(
    { ":method": "CONNECT", ":protocol": "websocket", ":path": "/socket", ":authority": "own.test", "sec-websocket-version": "13" },
    { endStream: false },
  );
  let received = Buffer.alloc(0);
  webSocket.on("data", (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
  webSocket.on("end", () => webSocket.end());
  await once(webSocket, "response");

  trust("new");
  expect(await gateway.admin("POST", "/reload")).toMatchObject({ status: 200 });

  await until("the client is told to go", () => codes.length > 0);
  expect(codes[0]).toBe(http2.constants.NGHTTP2_NO_ERROR);
  await until("the WebSocket is told why", () => frames(received).length > 0);
  expect(codeOf(frames(received)[0])).toBe(1008);
  expect(session.destroyed).toBe(false);
  held.at(-1)?.end("served");
  await once(session, "close");
  expect(text).toBe("served");

  const late = http2.connect(gateway.url, identity("old"));
  late.on("error", () => {});
  await once(late, "close");
});
