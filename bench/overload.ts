// What is left of a service's answers when more is asked of it than it can do: this gateway with overload control on and off, and HAProxy told the
// service's capacity by hand. Open loop: each request has its planned time of arrival, and latency counts from there, so that a generator or a gateway
// that is late hides nothing. Run: node bench/overload.ts [--seconds 8] [--only CASE] [--workers 1]
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

/** The service: so many at a time, each for so long, the others in order. */
const SERVERS = 8;
const SERVICE_MS = 20;
const CAPACITY = (SERVERS * 1000) / SERVICE_MS;
/** An answer later than this is none to who asked, ms. */
const GOOD_MS = 1000;
/** The generator gives up on an answer, ms: as clients do. */
const PATIENCE_MS = 4000;
const WARM_S = 3;
const LOADS = [0.5, 1, 2, 5, 10];
const MAIN = path.join(import.meta.dirname, "..", "dist", "main.js");

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "8" },
    only: { type: "string", default: "" },
    workers: { type: "string", default: "1" },
    latency: { type: "string", default: "fixed" },
  },
});
const seconds = Number(values.seconds);

// --- The service, in a process of its own ---

const SERVICE = `
const http = require("node:http");
let busy = 0;
const line = [];
const took = ${values.latency === "exponential" ? `() => -Math.log(1 - Math.random()) * ${SERVICE_MS}` : values.latency === "bimodal" ? "() => (Math.random() < 0.9 ? 5 : 155)" : `() => ${SERVICE_MS}`};
const serve = () => {
  while (busy < ${SERVERS} && line.length > 0) {
    const res = line.shift();
    busy++;
    setTimeout(() => { busy--; res.end("ok"); serve(); }, took());
  }
};
http.createServer({ keepAliveTimeout: 60000 }, (req, res) => { line.push(res); serve(); }).listen(+process.argv[1], "127.0.0.1", 4096, () => console.log("listening"));
`;

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

async function listening(port: number): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const ok = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nobody listens on ${port}`);
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), 3000).unref();
  });
}

// --- The gateways ---

interface Gateway {
  readonly name: string;
  start(service: number, directory: string): Promise<{ readonly port: number; readonly child: ChildProcess }>;
}

const sluice = (mode: "on" | "off"): Gateway => ({
  name: `Sluice, overload.mode: ${mode}`,
  async start(service, directory) {
    const port = await freePort();
    const admin = await freePort();
    const file = path.join(directory, `sluice-${mode}.yaml`);
    fs.writeFileSync(
      file,
      `version: 1
listeners: [{ address: "127.0.0.1:${port}" }]
admin: { address: "127.0.0.1:${admin}" }
workers: ${values.workers}
upstreams:
  s:
    targets: [{ url: "http://127.0.0.1:${service}" }]
    health: { passive: false }
    pool: { connections: 1024 }
    overload: { mode: ${mode}, fairBy: { header: x-tenant } }
routes:
  - { name: all, match: { path: "/**" }, to: s }
`,
    );
    const child = spawn(process.execPath, [MAIN, "start", "--no-supervisor", "-c", file], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr?.on("data", (data) => (said = `${said}${data}`.slice(0, 4000)));
    try {
      await listening(port);
    } catch (error) {
      child.kill("SIGKILL");
      throw new Error(`the gateway does not start: ${said}`, { cause: error });
    }
    return { port, child };
  },
});

const haproxy: Gateway = {
  name: "HAProxy, maxconn 8, timeout queue 100 ms",
  async start(service, directory) {
    const port = await freePort();
    const file = path.join(directory, "haproxy.cfg");
    fs.writeFileSync(
      file,
      `global
  nbthread ${values.workers}
  no strict-limits
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  timeout queue 100ms
  http-reuse always
frontend in
  bind 127.0.0.1:${port} backlog 8192
  default_backend s
backend s
  server s 127.0.0.1:${service} maxconn ${SERVERS}
`,
    );
    const child = spawn("haproxy", ["-db", "-f", file], { stdio: ["ignore", "ignore", "inherit"] });
    await listening(port);
    return { port, child };
  },
};

// --- The generator ---

interface Tenant {
  readonly name: string;
  /** Requests a second. */
  readonly rate: number;
}

interface Outcome {
  offered: number;
  good: number;
  refused: number;
  failed: number;
  readonly admitted: number[];
  readonly refusals: number[];
}

/** The most that the generator was late to send, ms: where that is long, it measures itself. */
let lateMs = 0;

/** One connection of the generator: one request at a time. */
class Connection {
  /** Of the request under way; null for none. */
  onAnswer: ((status: number) => void) | null = null;
  readonly #socket: net.Socket;
  #text = "";

  constructor(port: number, free: (connection: Connection) => void) {
    this.#socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.setEncoding("latin1");
    this.#socket.on("data", (text) => {
      this.#text += text;
      const head = this.#text.indexOf("\r\n\r\n");
      if (head < 0) return;
      const length = /\r\ncontent-length: *(\d+)/i.exec(this.#text)?.[1];
      const whole = length === undefined ? this.#text.endsWith("0\r\n\r\n") : this.#text.length >= head + 4 + Number(length);
      if (!whole) return;
      const status = Number(this.#text.slice(9, 12));
      const closes = /\r\nconnection: close/i.test(this.#text) || this.#text.startsWith("HTTP/1.0");
      this.#text = "";
      this.#tell(status);
      if (closes) this.#socket.destroy();
      else free(this);
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => this.#tell(0));
  }

  get usable(): boolean {
    return !this.#socket.destroyed;
  }

  send(tenant: string, onAnswer: (status: number) => void): void {
    this.onAnswer = onAnswer;
    this.#socket.write(`GET / HTTP/1.1\r\nHost: s\r\nX-Tenant: ${tenant}\r\n\r\n`);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #tell(status: number): void {
    const { onAnswer } = this;
    this.onAnswer = null;
    onAnswer?.(status);
  }
}

interface Planned {
  readonly atMs: number;
  readonly tenant: string;
}

/** Poisson arrivals, planned before anything is sent. */
async function generate(port: number, tenants: readonly Tenant[]): Promise<Map<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  const plan: Planned[] = [];
  for (const { name, rate } of tenants) {
    outcomes.set(name, { offered: 0, good: 0, refused: 0, failed: 0, admitted: [], refusals: [] });
    // The first half of the time that does not count is quiet: what is compiled as it runs is compiled then.
    const rateAt = (ms: number): number => (ms < WARM_S * 500 ? Math.min(rate, CAPACITY / 2) : rate);
    for (let at = 0; at < (seconds + WARM_S) * 1000; at += (-Math.log(1 - Math.random()) * 1000) / rateAt(at))
      plan.push({ atMs: at, tenant: name });
  }
  plan.sort((a, b) => a.atMs - b.atMs);
  const idle: Connection[] = [];
  const all = new Set<Connection>();
  /** Oldest first: who gives up when. */
  const patience: { readonly untilMs: number; readonly connection: Connection; readonly done: (status: number) => void }[] = [];
  const startMs = performance.now() + 50;
  lateMs = 0;
  let open = 0;
  let next = 0;
  let given = 0;
  const send = ({ atMs, tenant }: Planned, now: number): void => {
    lateMs = Math.max(lateMs, now - atMs);
    const outcome = outcomes.get(tenant) as Outcome;
    const counts = atMs >= WARM_S * 1000;
    if (counts) outcome.offered++;
    open++;
    let over = false;
    const done = (status: number): void => {
      if (over) return;
      over = true;
      open--;
      if (!counts) return;
      const ms = performance.now() - startMs - atMs;
      if (status === 200) {
        outcome.admitted.push(ms);
        if (ms <= GOOD_MS) outcome.good++;
      } else if (status === 503) {
        outcome.refused++;
        outcome.refusals.push(ms);
      } else outcome.failed++;
    };
    let connection = idle.pop();
    while (connection !== undefined && !connection.usable) connection = idle.pop();
    if (connection === undefined) {
      connection = new Connection(port, (free) => idle.push(free));
      all.add(connection);
    }
    connection.send(tenant, done);
    patience.push({ untilMs: now + PATIENCE_MS, connection, done });
  };
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now() - startMs;
      for (let planned = plan[next]; planned !== undefined && planned.atMs <= now; planned = plan[next]) {
        send(planned, now);
        next++;
      }
      for (let first = patience[given]; first !== undefined && first.untilMs <= now; first = patience[given]) {
        if (first.connection.onAnswer === first.done) first.connection.destroy();
        given++;
      }
      if (next < plan.length || open > 0) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  for (const connection of all) connection.destroy();
  return outcomes;
}

const quantile = (list: readonly number[], p: number): string =>
  list.length === 0 ? "-" : `${Math.round([...list].sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * p))] ?? 0)}`;

const shown = ({ offered, good, refused, failed, admitted, refusals }: Outcome): string =>
  `offered ${(offered / seconds).toFixed(0)}/s good ${(good / seconds).toFixed(0)}/s, admitted p50 ${quantile(admitted, 0.5)} p99 ${quantile(admitted, 0.99)} ms, refused ${((100 * refused) / Math.max(1, offered)).toFixed(2)} % (p50 after ${quantile(refusals, 0.5)} ms), no answer ${((100 * failed) / Math.max(1, offered)).toFixed(2)} %`;

interface Case {
  readonly name: string;
  readonly tenants: readonly Tenant[];
}

const CASES: readonly Case[] = [
  ...LOADS.map((load) => ({ name: `${load}x`, tenants: [{ name: "all", rate: load * CAPACITY }] })),
  {
    name: "A 20x, B",
    tenants: [
      { name: "A", rate: 10 * CAPACITY },
      { name: "B", rate: 0.25 * CAPACITY },
    ],
  },
];

async function main(): Promise<void> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-overload-"));
  for (const gateway of [sluice("on"), sluice("off"), haproxy]) {
    if (gateway === haproxy && spawnable("haproxy") === false) {
      console.log(`${gateway.name}: not installed`);
      continue;
    }
    console.log(`\n## ${gateway.name}; a service of ${SERVERS} at a time, ${SERVICE_MS} ms (${values.latency}): ${CAPACITY}/s`);
    for (const { name, tenants } of CASES) {
      if (values.only !== "" && name !== values.only) continue;
      const servicePort = await freePort();
      const service = spawn(process.execPath, ["-e", SERVICE, String(servicePort)], { stdio: ["ignore", "ignore", "inherit"] });
      await listening(servicePort);
      const { port, child } = await gateway.start(servicePort, directory);
      try {
        for (const [tenant, outcome] of await generate(port, tenants))
          console.log(`${name.padEnd(8)} ${tenant.padEnd(4)} ${shown(outcome)}`);
      } finally {
        await end(child);
        await end(service);
      }
    }
  }
  fs.rmSync(directory, { recursive: true, force: true });
}

const spawnable = (program: string): boolean =>
  [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/sbin"].some((each) => fs.existsSync(path.join(each, program)));

await main();
process.exit(0);
