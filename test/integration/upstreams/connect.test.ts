// A route's `connect`: how long its own requests wait for a connection, although connections belong to the upstream and are shared.
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Authority } from "../../support/authority.ts";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { FullBacklog } from "../../support/full-backlog.ts";
import { OK } from "../../support/raw-upstream.ts";
import { TlsOrigin } from "../../support/tls-origin.ts";
import { until } from "../../support/until.ts";
import { WebSocketClient } from "../../support/web-socket-origin.ts";

/** Accepts, and lets nothing through to the service behind it until it is opened: what connects there waits in its TLS handshake. */
class Gate implements AsyncDisposable {
  readonly port: number;
  readonly held: net.Socket[] = [];
  readonly #server: net.Server;
  readonly #behind: number;
  #open = false;

  private constructor(server: net.Server, behind: number) {
    this.#server = server;
    this.#behind = behind;
    this.port = (server.address() as net.AddressInfo).port; // a TCP server that listens has one
    server.on("connection", (socket) => {
      socket.on("error", () => {});
      this.held.push(socket);
      if (this.#open) this.#pass(socket);
    });
  }

  static async start(behind: number): Promise<Gate> {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Gate(server, behind);
  }

  open(): void {
    this.#open = true;
    for (const socket of this.held) this.#pass(socket);
  }

  #pass(socket: net.Socket): void {
    const through = net.connect(this.#behind, "127.0.0.1").on("error", () => socket.destroy());
    socket.pipe(through).pipe(socket);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.held) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Nothing but a route's own `connect` can end the wait within a test. */
const LONG = "timeouts: { connect: 1h, attempt: 1h, total: 0 }";
const CLIENTS = ["http1", "undici"] as const;

let rig: BothEngines;
let backlog: FullBacklog;
let secure: TlsOrigin;
let folder: string;
/** By engine and client: each is opened once. */
const gates = new Map<string, Gate>();

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-connect-"));
  const authority = new Authority(folder);
  secure = await TlsOrigin.start(authority.issue("server", ["127.0.0.1"]));
  backlog = await FullBacklog.start();
  const names = ENGINES.flatMap((engine) => [...CLIENTS, "ws"].map((client) => `${engine}-${client}`));
  for (const name of names) gates.set(name, await Gate.start(secure.port));
  const kept = "health: { passive: false }, retry: { attempts: 0 }";
  const clientOf = (name: string) => (name.endsWith("undici") ? "undici" : "http1");
  rig = await BothEngines.start(
    (port) => `upstreams:
  origin: { targets: [ { url: "http://127.0.0.1:${port}" } ] }
${CLIENTS.map(
  (client) => `  hung-${client}: { targets: [ { url: "http://127.0.0.1:${backlog.port}" } ], ${LONG}, ${kept}, pool: { client: ${client} } }
  one-${client}: { targets: [ { url: "http://127.0.0.1:${port}" } ], ${LONG}, ${kept}, pool: { client: ${client}, connections: 1 } }
  either-${client}: { targets: [ { url: "http://127.0.0.1:${backlog.port}" }, { url: "http://127.0.0.1:${port}" } ], balance: round-robin, ${LONG}, pool: { client: ${client} }, health: { passive: false }, retry: { attempts: 1, budget: 100% } }
`,
).join("")}
${names.map((name) => `  gated-${name}: { targets: [ { url: "https://127.0.0.1:${gates.get(name)?.port}" } ], tls: { ca: ${authority.ca} }, timeouts: { connect: 100ms, attempt: 1h, total: 0 }, ${kept}, pool: { client: ${clientOf(name)} } }\n`).join("")}
routes:
  - { name: canaries, match: { hosts: [canary.example] }, to: origin }
${CLIENTS.map(
  (client) => `  - { name: hung-${client}, match: { path: "/hung-${client}/**" }, to: hung-${client}, timeouts: { connect: 100ms } }
  - { name: one-${client}, match: { path: "/one-${client}/**" }, to: one-${client} }
  - { name: short-${client}, match: { path: "/short-${client}/**" }, to: one-${client}, timeouts: { connect: 100ms } }
  - { name: either-${client}, match: { path: "/either-${client}/**" }, to: either-${client}, timeouts: { connect: 100ms } }
`,
).join("")}
${names.map((name) => `  - { name: usual-${name}, match: { path: "/usual-${name}/**" }, to: gated-${name} }\n  - { name: patient-${name}, match: { path: "/patient-${name}/**" }, to: gated-${name}, timeouts: { connect: 1h } }\n`).join("")}
`,
  );
});
afterAll(async () => {
  for (const each of [rig, ...gates.values(), secure, backlog]) await each[Symbol.asyncDispose]();
  fs.rmSync(folder, { recursive: true });
});

let runs = 0;
const fresh = (name: string): string => `/${name}/${++runs}`;

describe.each(ENGINES)("%s", (engine) => {
  const get = async (target: string): Promise<{ status: number; code: string | undefined }> => {
    await using client = await rig.connect(engine);
    client.send(`GET ${target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n`);
    const { status, body } = await client.response();
    return { status, code: /"code":"(\w+)"/.exec(body.toString())?.[1] };
  };

  describe.each(CLIENTS)("%s", (client) => {
    it("a shorter connect ends the wait of the route's requests: connect_timeout", async () => {
      rig.report();
      expect(await get(fresh(`hung-${client}`))).toMatchObject({ code: "connect_timeout" });
    });

    it("a shorter connect that passes is a failure to connect: another target is tried", async () => {
      rig.report();
      for (let i = 0; i < 4; i++) expect(await get(fresh(`either-${client}`))).toMatchObject({ status: 200 });
    });

    it("a longer connect waits on for what the upstream's own gives up: the connection goes on being made, for all who want it", async () => {
      rig.report();
      const name = `${engine}-${client}`;
      const gate = gates.get(name) as Gate; // made above
      const patient = get(fresh(`patient-${name}`));
      await until("it connects", () => gate.held.length > 0);
      expect(await get(fresh(`usual-${name}`))).toMatchObject({ code: "connect_timeout" });
      gate.open();
      expect(await patient).toMatchObject({ status: 200 });
      expect(await get(fresh(`usual-${name}`))).toMatchObject({ status: 200 });
    });

    it("connect is no bound of the wait for connections that are in use", async () => {
      rig.report();
      const held = fresh(`one-${client}`);
      let release = (): void => {};
      rig.upstream.on(held, (connection) => {
        release = () => connection.write(OK);
      });
      const first = get(held);
      await rig.upstream.received(held);
      const second = get(fresh(`short-${client}`));
      // Longer than its connect: as long as that of another request, which begins later and waits for nothing else.
      expect(await get(fresh(`hung-${client}`))).toMatchObject({ code: "connect_timeout" });
      release();
      expect(await first).toMatchObject({ status: 200 });
      expect(await second).toMatchObject({ status: 200 });
    });
  });

  it("a WebSocket waits for its connection as long as its route's connect", async () => {
    rig.report();
    const name = `${engine}-ws`;
    const gate = gates.get(name) as Gate; // made above
    const url = `ws://127.0.0.1:${rig.port(engine)}`;
    await using patient = new WebSocketClient(url + fresh(`patient-${name}`));
    await until("it connects", () => gate.held.length > 0);
    await using usual = new WebSocketClient(url + fresh(`usual-${name}`));
    await until("the other one gives up", () => usual.refusal !== null);
    expect(usual.refusal?.body).toContain("connect_timeout");
    gate.open();
    await until("it is open", () => Object.keys(patient.headers).length > 0);
  });
});
