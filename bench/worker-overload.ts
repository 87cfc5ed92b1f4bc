// What is left of a worker's answers when more is asked of it than its CPU can do, with the gateway's own overload control on and off; and what a refusal
// costs beside a served request. Open loop: each request falls due by the clock, and who has no answer within a second is gone.
// Run: npm run build && node bench/worker-overload.ts [--seconds 8] [--only spin|refusal]
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { OpenLoop, type OpenLoopResult } from "../src/cli/bench/open-loop.ts";
import { cpuMicros, processTree } from "../src/cli/bench/process-cost.ts";

/** What a request costs a worker in the user's policy, ms. */
const SPIN_MS = 1;
/** An answer later than this is none. */
const PATIENCE_MS = 1000;
const CONNECTIONS = 2000;
const WARM_S = 2;
const LOADS = [0.5, 1, 2, 3];
/** Requests a second at which costs are compared: what a worker serves easily. */
const EASY = 3000;
const ROOT = path.join(import.meta.dirname, "..");

const { values } = parseArgs({ options: { seconds: { type: "string", default: "8" }, only: { type: "string", default: "" } } });
const seconds = Number(values.seconds);

/** Whatever goes wrong, none of them is left behind. */
const children = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
});

const SERVICE = `require("node:http").createServer({ keepAliveTimeout: 60000 }, (req, res) => {
  if (req.url !== "/hang") res.end("ok");
}).listen(+process.argv[1], "127.0.0.1", 4096);`;

const POLICY = `import { definePolicy } from "sluice/policy";
export default definePolicy({ name: "spin", phase: "origin", create: () => ({ onRequest() { const end = performance.now() + ${SPIN_MS}; while (performance.now() < end); } }) });`;

interface Running {
  readonly port: number;
  readonly pid: number;
  end(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listening(port: number): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const ok = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, "127.0.0.1", () => resolve(socket.destroy() !== null));
      socket.on("error", () => resolve(false));
    });
    if (ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nobody listens on ${port}`);
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), 3000).unref();
  });

/** A gateway of one worker, and the service behind it. */
async function start(overload: string, policies: string): Promise<Running> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-worker-"));
  const [port, servicePort] = [await freePort(), await freePort()];
  const service = spawn(process.execPath, ["-e", SERVICE, String(servicePort)], { stdio: "ignore" });
  children.add(service);
  fs.writeFileSync(path.join(directory, "spin.js"), POLICY);
  fs.writeFileSync(
    path.join(directory, "sluice.yaml"),
    `version: 1
listeners: [{ address: "127.0.0.1:${port}" }]
admin: false
workers: 1
overload: ${overload}
log: { file: /dev/null }
upstreams: { s: { targets: [{ url: "http://127.0.0.1:${servicePort}" }], overload: { mode: off }, timeouts: { attempt: 10m, total: 10m }, pool: { connections: 1024, queue: 4096 } } }
routes:
  - { name: held, match: { path: /hang }, priority: critical, to: s }
  - { name: all, match: {}, to: s${policies} }
`,
  );
  await listening(servicePort);
  const gateway = spawn(
    process.execPath,
    [path.join(ROOT, "dist/main.js"), "start", "--no-supervisor", "-c", path.join(directory, "sluice.yaml")],
    {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, SLUICE_RUN_DIR: path.join(directory, "run") },
    },
  );
  children.add(gateway);
  let said = "";
  gateway.stderr?.on("data", (data) => (said = `${said}${data}`.slice(0, 4000)));
  await listening(port).catch((error: unknown) => {
    throw new Error(`the gateway does not start: ${said}`, { cause: error });
  });
  return {
    port,
    pid: gateway.pid ?? -1,
    async end() {
      await Promise.all([ended(gateway), ended(service)]);
      fs.rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function load(port: number, rate: number, durationS: number): Promise<OpenLoopResult> {
  const shots = [{ bytes: Buffer.from("GET / HTTP/1.1\r\nHost: s\r\n\r\n"), method: "GET" }];
  const target = { host: "127.0.0.1", port, tls: false };
  const loop = new OpenLoop({
    target,
    shots,
    connections: Math.min(CONNECTIONS, Math.max(64, Math.ceil(rate))),
    rate,
    durationMs: durationS * 1000,
    timeoutMs: PATIENCE_MS,
  });
  return loop.run();
}

function shown({ shots: [shot], due, seconds: took, late }: OpenLoopResult): string {
  const good = shot?.statuses.get(200) ?? 0;
  const refused = shot?.statuses.get(503) ?? 0;
  const p99 = Math.round((shot?.latency.percentile(99) ?? 0) / 1000);
  return `good ${Math.round(good / took)}/s, refused ${Math.round(refused / took)}/s, no answer in time ${Math.round((due - good - refused) / took)}/s, p99 of all ${p99} ms (generator late p99 ${Math.round(late.percentile(99) / 1000)} ms)`;
}

async function spin(): Promise<void> {
  const capacity = Math.floor(1000 / (SPIN_MS + 0.05));
  console.log(
    `\n## One worker; a policy of the user's own takes ${SPIN_MS} ms: some ${capacity} requests a second; good: 200 within ${PATIENCE_MS} ms`,
  );
  for (const mode of ["on", "off"])
    for (const each of LOADS) {
      const gateway = await start(`{ mode: ${mode} }`, ", policies: [{ module: ./spin.js }]");
      try {
        await load(gateway.port, capacity / 2, WARM_S);
        await load(gateway.port, each * capacity, WARM_S);
        console.log(`mode: ${mode.padEnd(4)} ${each} times  ${shown(await load(gateway.port, each * capacity, seconds))}`);
      } finally {
        await gateway.end();
      }
    }
}

/** What a request costs in CPU when it is served, and when the worker has as many as it may. */
async function refusal(): Promise<void> {
  const gateway = await start("{ mode: on, inFlight: 1000, loopDelay: none }", "");
  const refusing = await start("{ mode: on, inFlight: 1, loopDelay: none }", "");
  try {
    const held = net.connect(refusing.port, "127.0.0.1");
    held.write("GET /hang HTTP/1.1\r\nHost: s\r\n\r\n");
    held.on("error", () => {});
    const costs = [];
    for (const each of [gateway, refusing]) {
      await load(each.port, EASY, WARM_S);
      const pids = processTree(each.pid);
      const before = cpuMicros(pids);
      const result = await load(each.port, EASY, seconds);
      costs.push((cpuMicros(pids) - before) / result.answered);
      console.log(`${each === gateway ? "served " : "refused"} ${costs.at(-1)?.toFixed(1)} µs of CPU a request; ${shown(result)}`);
    }
    held.destroy();
    console.log(`a refusal costs ${((costs[1] ?? 0) / (costs[0] ?? 1)).toFixed(2)} of a served request`);
  } finally {
    await Promise.all([gateway.end(), refusing.end()]);
  }
}

if (values.only !== "refusal") await spin();
if (values.only !== "spin") await refusal();
process.exit(0);
