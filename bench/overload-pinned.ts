// Who is answered beside a greedy caller, with two workers: the greedy one on both, all others on one of them. Open loop over HTTP/2: each request has its
// planned time of arrival, and latency counts from there. Run: npm run -s build && node bench/overload-pinned.ts [--seconds 10] [--only CASE]
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { startSluiceWith } from "../native-bench/peers/sluice.ts";
import { H2Crowd } from "../test/support/h2-crowd.ts";
import { type Field, request } from "../test/support/raw-h2-client.ts";

const SERVERS = 8;
const SERVICE_MS = 20;
const CAPACITY = (SERVERS * 1000) / SERVICE_MS;
const WARM_S = 4;
const CONNECTIONS = 16;
const PORTS = { gateway: 19_360, service: 19_361 };
const ROOT = path.join(import.meta.dirname, "..");

const { values } = parseArgs({ options: { seconds: { type: "string", default: "10" }, only: { type: "string", default: "" } } });
const seconds = Number(values.seconds);

interface Caller {
  readonly name: string;
  /** Requests a second. */
  readonly rate: number;
  readonly fields: readonly Field[];
}

interface Outcome {
  offered: number;
  answered: number;
  refused: number;
  readonly ms: number[];
}

const tenant = (name: string, rate: number): Caller => ({ name, rate, fields: [["x-tenant", name]] });
const address = (n: number, rate: number): Caller => ({
  name: n === 0 ? "A" : `${n}`,
  rate,
  fields: [["x-forwarded-for", `198.51.100.${n}`]],
});
const many = <T>(count: number, of: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => of(i + 1));

interface Case {
  readonly name: string;
  readonly fairBy: string;
  readonly callers: readonly Caller[];
}

/** The first one is the greedy one, where there is one. */
const CASES: readonly Case[] = [
  { name: "B alone", fairBy: "{ header: x-tenant }", callers: [tenant("A", 0), tenant("B", CAPACITY / 4)] },
  { name: "A 20x", fairBy: "{ header: x-tenant }", callers: [tenant("A", 10 * CAPACITY), tenant("B", CAPACITY / 4)] },
  {
    name: "100 tenants",
    fairBy: "{ header: x-tenant }",
    callers: [tenant("A", 10 * CAPACITY), ...many(99, (i) => tenant(`t${i}`, CAPACITY / 200))],
  },
  { name: "by address", fairBy: "consumer", callers: [address(0, 10 * CAPACITY), ...many(99, (i) => address(i, CAPACITY / 200))] },
];

/** Poisson arrivals, planned before anything is sent. */
async function generate(crowd: H2Crowd, { callers }: Case): Promise<readonly Outcome[]> {
  const workers = await crowd.byWorker(request("/here"));
  if (workers.length !== 2) throw new Error(`${workers.length} workers have connections: run it again`);
  const both = workers.flat();
  const [one = []] = workers;
  const outcomes = callers.map((): Outcome => ({ offered: 0, answered: 0, refused: 0, ms: [] }));
  const plan: { readonly atMs: number; readonly caller: number }[] = [];
  callers.forEach(({ rate }, caller) => {
    const rateAt = (ms: number): number => (ms < WARM_S * 500 ? Math.min(rate, CAPACITY / 2) : rate); // quiet at first: what is compiled is compiled then
    if (rate > 0)
      for (let at = 0; at < (seconds + WARM_S) * 1000; at += (-Math.log(1 - Math.random()) * 1000) / rateAt(at))
        plan.push({ atMs: at, caller });
  });
  plan.sort((a, b) => a.atMs - b.atMs);
  let open = 0;
  const startMs = performance.now() + 50;
  const send = ({ atMs, caller }: { readonly atMs: number; readonly caller: number }): void => {
    const outcome = outcomes[caller] as Outcome;
    const counts = atMs >= WARM_S * 1000;
    const connections = caller === 0 ? both : one;
    if (counts) outcome.offered++;
    open++;
    crowd.ask(connections[crowd.sent % connections.length] ?? 0, request("/x", "GET", ...(callers[caller]?.fields ?? [])), (status) => {
      open--;
      if (!counts) return;
      if (status === 200) {
        outcome.answered++;
        outcome.ms.push(performance.now() - startMs - atMs);
      } else outcome.refused++;
    });
  };
  let next = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now() - startMs;
      for (let planned = plan[next]; planned !== undefined && planned.atMs <= now; planned = plan[++next]) send(planned);
      if (next < plan.length || open > 0) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  return outcomes;
}

const quantile = (list: number[], part: number): string =>
  list.length === 0 ? "-" : (list.sort((a, b) => a - b)[Math.min(list.length - 1, Math.floor(list.length * part))] ?? 0).toFixed(0);

function shown(name: string, outcomes: readonly Outcome[]): string {
  const all: Outcome = { offered: 0, answered: 0, refused: 0, ms: [] };
  let worst = 1;
  for (const { offered, answered, refused, ms } of outcomes) {
    all.offered += offered;
    all.answered += answered;
    all.refused += refused;
    all.ms.push(...ms);
    if (offered > 0) worst = Math.min(worst, answered / offered);
  }
  const part = ((100 * all.answered) / Math.max(1, all.offered)).toFixed(2);
  const least = outcomes.length > 1 ? `, the worst ${(100 * worst).toFixed(1)} %` : "";
  return `${name.padEnd(12)} offered ${(all.offered / seconds).toFixed(0)}/s, answered ${(all.answered / seconds).toFixed(0)}/s (${part} %${least}), p50 ${quantile(all.ms, 0.5)} p99 ${quantile(all.ms, 0.99)} ms`;
}

function startService(): ChildProcess {
  const script = `
import http from "node:http";
let busy = 0;
const line = [];
const serve = () => {
  while (busy < ${SERVERS} && line.length > 0) {
    const res = line.shift();
    busy++;
    setTimeout(() => { busy--; res.end("ok"); serve(); }, ${SERVICE_MS});
  }
};
http.createServer({ keepAliveTimeout: 60000 }, (req, res) => { line.push(res); serve(); }).listen(${PORTS.service}, "127.0.0.1", 4096);`;
  return spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "inherit", "inherit"] });
}

const configuration = (fairBy: string): string => `version: 1
workers: 2
admin: false
trustedProxies: [ 127.0.0.1 ]
limits: { streamsPerConnection: 10000 }
listeners: [{ address: "127.0.0.1:${PORTS.gateway}", h2c: true }]
upstreams:
  s:
    targets: [{ url: "http://127.0.0.1:${PORTS.service}" }]
    pool: { connections: 1024 }
    overload: { mode: on, fairBy: ${fairBy} }
routes:
  - { name: here, match: { path: /here }, respond: { status: 204 } }
  - { name: all, match: {}, to: s }
`;

console.log(`A service of ${CAPACITY}/s; two workers, A on both, the others on one; ${seconds} s after ${WARM_S} s`);
for (const each of CASES) {
  if (values.only !== "" && each.name !== values.only) continue;
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-pinned-"));
  const service = startService();
  const gateway = await startSluiceWith(directory, PORTS.gateway, configuration(each.fairBy), { main: path.join(ROOT, "dist/main.js") });
  try {
    await using crowd = await H2Crowd.open(PORTS.gateway, CONNECTIONS);
    const [greedy, ...others] = await generate(crowd, each);
    console.log(`\n## ${each.name}`);
    if (greedy !== undefined && greedy.offered > 0) console.log(shown("A", [greedy]));
    console.log(shown(others.length === 1 ? "B" : "the others", others));
  } finally {
    await gateway.stop();
    service.kill();
    fs.rmSync(directory, { recursive: true, force: true });
  }
}
