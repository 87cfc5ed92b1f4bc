// What one unary call costs a client: CPU of this process a call, 64 under way, to nginx (or node:http2) on loopback in a process of its own. Beside the gateway's own
// HTTP/2 client the one of HTTP/1.1 and node:http2's. In turns, medians. `node bench/h2-client-cpu.ts [CALLS] [ROUNDS]`
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import http2 from "node:http2";
import net, { type AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { TimerWheel } from "../src/base/timer-wheel.ts";
import { H2Pool } from "../src/data/upstream/transport/h2/pool.ts";
import { H1Pool } from "../src/data/upstream/transport/http1/pool.ts";
import type { Pool, WireHandler } from "../src/data/upstream/upstream.ts";
import { endpoint, upstreamPlan } from "../test/support/upstreams.ts";

const CALLS = Number(process.argv[2] ?? 100_000);
const ROUNDS = Number(process.argv[3] ?? 5);
const IN_FLIGHT = 64;

/** What a proxied GET has. */
const HEADERS: readonly string[] = [
  ...["host", "users.internal", "user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "accept", "application/json"],
  ...["accept-language", "en-GB,en;q=0.9", "accept-encoding", "gzip, deflate, br", "x-forwarded-for", "203.0.113.7"],
  ...["x-forwarded-proto", "https", "x-forwarded-host", "api.example.com", "x-request-id"],
];

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function startNginx(h1: number, h2: number): ChildProcess {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "h2-client-cpu-"));
  const file = path.join(directory, "nginx.conf");
  const location = `location / { default_type application/json; return 200 "${"x".repeat(256)}"; }`;
  fs.writeFileSync(
    file,
    `daemon off; worker_processes 1; pid ${directory}/pid; error_log stderr crit;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 1000000000; client_body_temp_path ${directory}/b; proxy_temp_path ${directory}/p; fastcgi_temp_path ${directory}/f; uwsgi_temp_path ${directory}/u; scgi_temp_path ${directory}/s;
  server { listen 127.0.0.1:${h1}; ${location} }
  server { listen 127.0.0.1:${h2} http2; http2_max_concurrent_streams 128; ${location} }
}`,
  );
  return spawn("nginx", ["-c", file, "-e", "stderr"], { stdio: ["ignore", "ignore", "inherit"] });
}

async function listens(port: number): Promise<void> {
  for (;;) {
    const up = await new Promise((resolve) => {
      const socket = net.connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
      setTimeout(() => socket.destroy(), 50).unref();
    });
    if (up === true) return;
  }
}

/** Runs CALLS calls, IN_FLIGHT at a time. @param call makes one, and tells when it is over */
function run(call: (id: number, over: () => void) => void, calls: number): Promise<void> {
  return new Promise((resolve) => {
    let begun = 0;
    let ended = 0;
    const next = (): void => {
      if (begun < calls) call(begun++, over);
    };
    const over = (): void => {
      if (++ended === calls) resolve();
      else next();
    };
    for (let i = 0; i < IN_FLIGHT; i++) next();
  });
}

class Handler implements WireHandler {
  readonly over: () => void;
  constructor(over: () => void) {
    this.over = over;
  }
  wireSent(): void {}
  wireHead(status: number): void {
    if (status !== 200) throw new Error(`status ${status}`);
  }
  wireData(): void {}
  wireEnd(): void {
    this.over();
  }
  wireError(error: object): void {
    throw new Error(JSON.stringify(error));
  }
}

const overPool = (pool: Pool) => (id: number, over: () => void) =>
  void pool.dispatch(
    { method: "GET", path: "/v1/users/17", headers: [...HEADERS, `id-${id}`], body: null, contentLength: 0 },
    new Handler(over),
  );

const overNode = (session: http2.ClientHttp2Session) => (id: number, over: () => void) => {
  const headers: Record<string, string> = { ":method": "GET", ":path": "/v1/users/17", ":authority": "users.internal" };
  for (let i = 2; i < HEADERS.length; i += 2) headers[HEADERS[i] as string] = HEADERS[i + 1] ?? `id-${id}`;
  const stream = session.request(headers, { endStream: true });
  stream.on("response", () => {});
  stream.on("data", () => {});
  stream.on("end", over);
};

const [h1, h2, joining] = [await freePort(), await freePort(), await freePort()];
const nginx = startNginx(h1, h2);
const origin = spawn(process.execPath, [path.join(import.meta.dirname, "h2c-origin.ts"), String(joining)], { stdio: "inherit" });
const wheel = new TimerWheel();
const plan = upstreamPlan({
  pool: { client: "http1", connections: 128, pipelining: 1, streams: 100, pingMs: 0, keepAliveMs: 60_000, queue: 1024 },
});
for (const port of [h1, h2, joining]) await listens(port);
const session = http2.connect(`http://127.0.0.1:${h2}`);
const joined = http2.connect(`http://127.0.0.1:${joining}`);
const clients: readonly (readonly [string, (id: number, over: () => void) => void])[] = [
  ["own HTTP/2 to nginx", overPool(new H2Pool(endpoint("a", 0, { port: h2 }), plan, wheel))],
  ["own HTTP/2 to an origin that joins writes", overPool(new H2Pool(endpoint("a", 0, { port: joining }), plan, wheel))],
  ["own HTTP/1.1 to nginx", overPool(new H1Pool(endpoint("a", 0, { port: h1 }), plan, wheel))],
  ["node:http2 to nginx", overNode(session)],
  ["node:http2 to an origin that joins writes", overNode(joined)],
];
const results = new Map<string, number[]>(clients.map(([name]) => [name, []]));
for (let round = 0; round <= ROUNDS; round++) {
  for (const [name, call] of clients) {
    const calls = name.startsWith("node") ? CALLS / 4 : CALLS;
    const before = process.cpuUsage();
    await run(call, calls);
    const { user, system } = process.cpuUsage(before);
    if (round > 0) results.get(name)?.push((user + system) / calls);
  }
}
for (const [name, list] of results) {
  const sorted = list.toSorted((a, b) => a - b);
  console.log(`${name}: ${sorted[sorted.length >> 1]?.toFixed(2)} us CPU a call (${sorted.map((us) => us.toFixed(2)).join(" ")})`);
}
nginx.kill();
origin.kill();
process.exit(0);
