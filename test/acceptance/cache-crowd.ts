// Thousands of clients that miss one response at once, part of the acceptance run `npm run acceptance:cache`: one request to the service, whoever leaves; and of
// one that says `private` one each, none of which waits for another's. Needs `ulimit -n` of twice the clients.
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { startSluiceWith } from "../../native-bench/peers/sluice.ts";
import { type Answering, CountingOrigin } from "../support/counting-origin.ts";
import { until } from "../support/until.ts";

const PORTS = { uws: 19_310, net: 19_311, admin: 19_312 };
const ENGINES = ["uws", "net"] as const;
const WITHIN_MS = 60_000;
const LOOK_MS = 20;
/** Connections that are opened at once: a backlog is finite. */
const AT_ONCE = 200;
const BODY = Buffer.alloc(100_000, "0123456789");

interface CrowdOptions {
  readonly directory: string;
  readonly clients: number;
  say(text: string): void;
}

/** Counts what it gets, and keeps nothing of it. */
class Client {
  readonly socket: net.Socket;
  connected = false;
  closed = false;
  #head = "";
  #body = 0;

  /** @param from own address: each may have so many connections to one port */
  constructor(port: number, target: string, from: string) {
    this.socket = net.connect({ port, host: "127.0.0.1", localAddress: from });
    this.socket.on("connect", () => {
      this.connected = true;
      this.socket.write(`GET ${target} HTTP/1.1\r\nhost: a.example\r\n\r\n`);
    });
    this.socket.on("data", (chunk) => this.#read(chunk));
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.closed = true;
    });
  }

  #read(chunk: Buffer): void {
    if (this.#head.endsWith("\r\n\r\n")) this.#body += chunk.length;
    else {
      const text = this.#head + chunk.toString("latin1");
      const end = text.indexOf("\r\n\r\n");
      this.#head = end < 0 ? text : text.slice(0, end + 4);
      if (end >= 0) this.#body = text.length - this.#head.length;
    }
    if (this.isWhole) this.socket.end();
  }

  get bytes(): number {
    return this.#body;
  }

  get isWhole(): boolean {
    const [, length = "-1"] = /\r\ncontent-length: (\d+)/i.exec(this.#head) ?? [];
    return this.#head.startsWith("HTTP/1.1 200") && this.#body === Number(length);
  }
}

/** @returns whether all held */
export async function crowd({ directory, clients, say }: CrowdOptions): Promise<boolean> {
  const waiting: Answering[] = [];
  let isPrompt = false;
  await using origin = await CountingOrigin.start((answering) => {
    if (isPrompt) answerPrivately(answering);
    else waiting.push(answering);
  });
  const gateway = await startSluiceWith(
    directory,
    PORTS.uws,
    `version: 1
workers: 2
admin: { address: 127.0.0.1:${PORTS.admin} }
limits: { connections: ${clients + 100}, connectionsPerAddress: none }
listeners:
  - { address: 127.0.0.1:${PORTS.uws}, engine: uws }
  - { address: 127.0.0.1:${PORTS.net}, engine: net }
defaults: { accessLog: false }
upstreams: { o: { targets: [{ url: "http://127.0.0.1:${origin.port}" }], retry: { attempts: 0 }, timeouts: { attempt: 5m, total: 5m }, pool: { connections: 128, queue: ${clients} } } }
routes: [{ name: r, match: { path: /** }, cache: {}, to: o }]
`,
  );
  let held = true;
  try {
    for (const [index, engine] of ENGINES.entries()) {
      for (const [turn, kind] of (["stored", "private"] as const).entries()) {
        const target = `/${kind}-${engine}`;
        isPrompt = false;
        const all = await arrive({ port: PORTS[engine], target, from: `127.0.0.${10 + index * 2 + turn}`, count: clients });
        await until("the service is asked", () => waiting.length > 0, WITHIN_MS);
        const [first] = waiting.splice(0) as [Answering];
        isPrompt = kind === "private";
        if (kind === "private") answerPrivately(first);
        else await answerByHalves(first, all);
        await until("all have ended", () => all.every(({ closed, isWhole }) => closed || isWhole), WITHIN_MS);
        const whole = all.filter((client) => client.isWhole).length;
        const asked = origin.asked.get(target) ?? 0;
        const isRight = kind === "stored" ? whole === clients - 1 && asked === 1 : whole === clients && asked === clients;
        say(
          `${engine}, ${kind}: ${clients} clients at once, ${asked} requests to the service, ${whole} whole answers${kind === "stored" ? ", and one left at half" : ""}${isRight ? "" : ": FAILED"}`,
        );
        held &&= isRight;
        for (const { socket } of all) socket.destroy();
        await gauge("sluice_worker_connections", (connections) => connections === 0);
      }
    }
  } finally {
    await gateway.stop();
    fs.rmSync(path.join(directory, "sluice.yaml"));
  }
  return held;
}

const answerPrivately = ({ response }: Answering): void =>
  void response.writeHead(200, { "cache-control": "private", "content-length": "2" }).end("me");

/** @param all of whom the first leaves at half */
async function answerByHalves({ response }: Answering, all: readonly Client[]): Promise<void> {
  response.writeHead(200, { "cache-control": "max-age=60", "content-length": BODY.length });
  response.write(BODY.subarray(0, BODY.length / 2));
  await until("all have half of it", () => all.every(({ bytes }) => bytes >= BODY.length / 2), WITHIN_MS);
  all[0]?.socket.destroy();
  response.end(BODY.subarray(BODY.length / 2));
}

interface Arrival {
  readonly port: number;
  readonly target: string;
  readonly from: string;
  readonly count: number;
}

/** @returns clients whose requests have all reached the gateway's workers */
async function arrive({ port, target, from, count }: Arrival): Promise<readonly Client[]> {
  const all: Client[] = [];
  while (all.length < count) {
    for (let i = 0; i < AT_ONCE && all.length < count; i++) all.push(new Client(port, target, from));
    await until("they are connected", () => all.slice(-AT_ONCE).every(({ connected }) => connected), WITHIN_MS);
  }
  await gauge("sluice_worker_in_flight", (requests) => requests >= count);
  return all;
}

/** Waits until a metric of the workers has, in all, what is wanted. */
async function gauge(name: string, isThere: (sum: number) => boolean): Promise<void> {
  const endMs = performance.now() + WITHIN_MS;
  for (;;) {
    const text = await (await fetch(`http://127.0.0.1:${PORTS.admin}/metrics`)).text();
    const sum = [...text.matchAll(new RegExp(`^${name}\\{[^}]*\\} (\\d+)`, "gm"))].reduce((all, [, value]) => all + Number(value), 0);
    if (isThere(sum)) return;
    if (performance.now() > endMs) throw new Error(`not within ${WITHIN_MS} ms: ${name} is ${sum}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
