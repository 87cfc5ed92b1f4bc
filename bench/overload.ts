// What is left of a service's answers when more is asked of it than it can do: this gateway with overload control on and off, and HAProxy told the
// service's capacity by hand; then what happens when the service or the load changes, over time.
// Run: node bench/overload.ts [--seconds 8] [--only CASE,CASE] [--workers 1] [--latency fixed|exponential|bimodal] [--gateways on,off,haproxy]
//   [--minutes 10] [--report FILE.html]
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { end, type Gateway, haproxy, installed, limitOf, type Running, sluice, startService } from "./overload/gateways.ts";
import { generate, type Phase, type Sample, type Tenant } from "./overload/generator.ts";
import { type Picture, type Row, reportOf } from "./overload/report.ts";
import type { ServiceState } from "./overload/service.ts";

/** The service: so many at a time, each for so long, the others in order. */
const SERVERS = 8;
const SERVICE_MS = 20;
const CAPACITY = (SERVERS * 1000) / SERVICE_MS;
/** An answer later than this is none to who asked, ms. */
const GOOD_MS = 1000;
/** Does not count. The first half is quiet: what is compiled as it runs is compiled then. */
const WARM_S = 3;
const LOADS = [0.5, 1, 2, 5, 10];
const BIN_MS = 250;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "8" },
    only: { type: "string", default: "" },
    workers: { type: "string", default: "1" },
    latency: { type: "string", default: "fixed" },
    gateways: { type: "string", default: "on,off,haproxy" },
    minutes: { type: "string", default: "0" },
    report: { type: "string", default: "" },
  },
});
const seconds = Number(values.seconds);
const workers = Number(values.workers);
const only = values.only === "" ? null : new Set(values.only.split(","));
const wanted = (name: string): boolean => only === null || only.has(name);
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-overload-"));

const quantile = (samples: readonly Sample[], p: number): number => {
  const list = samples.map(({ ms }) => ms).sort((a, b) => a - b);
  return list[Math.min(list.length - 1, Math.floor(list.length * p))] ?? Number.NaN;
};
const answered = ({ status }: Sample): boolean => status === 200;
const good = (sample: Sample): boolean => answered(sample) && sample.ms <= GOOD_MS;
const whole = (value: number): string => (Number.isFinite(value) ? value.toFixed(0) : "-");

// --- The table ---

interface Load {
  readonly name: string;
  readonly tenants: readonly { readonly name: string; readonly rate: number }[];
}

const TABLE: readonly Load[] = [
  ...LOADS.map((load) => ({ name: `${load}x`, tenants: [{ name: "all", rate: load * CAPACITY }] })),
  {
    name: "A 20x",
    tenants: [
      { name: "A", rate: 10 * CAPACITY },
      { name: "B", rate: 0.25 * CAPACITY },
    ],
  },
];

const phasesOf = (rate: number): Phase[] => [
  { seconds: WARM_S / 2, rate: Math.min(rate, CAPACITY / 2) },
  { seconds: WARM_S / 2, rate },
  { seconds, rate },
];

async function tabled(gateway: Gateway, { name, tenants }: Load, rows: Row[]): Promise<void> {
  const service = await startService(values.latency);
  const { port, child } = await gateway.start(service.port, directory);
  try {
    const samples = await generate(tenants.map((each) => ({ name: each.name, port, phases: phasesOf(each.rate) })));
    for (const tenant of tenants) {
      const own = samples.filter((sample) => sample.tenant === tenant.name && sample.atMs >= WARM_S * 1000);
      const through = own.filter(answered);
      const refused = own.filter(({ status }) => status === 503);
      const rate = (list: readonly Sample[]): string => whole(list.length / seconds);
      const part = (list: readonly Sample[]): string => ((100 * list.length) / own.length).toFixed(2);
      console.log(
        `${name.padEnd(8)} ${tenant.name.padEnd(4)} offered ${rate(own)}/s good ${rate(own.filter(good))}/s, admitted p50 ${whole(quantile(through, 0.5))} p99 ${whole(quantile(through, 0.99))} ms, refused ${part(refused)} % (p50 after ${whole(quantile(refused, 0.5))} ms), no answer ${part(own.filter(({ status }) => status === 0))} %`,
      );
      const label = tenants.length === 1 ? name : `${name}: ${tenant.name}`;
      rows.push({ gateway: gateway.name, name: label, text: `${rate(own.filter(good))}, ${whole(quantile(through, 0.99))} ms` });
    }
  } finally {
    await end(child);
    await end(service.child);
  }
}

// --- Over time ---

interface Change {
  readonly atS: number;
  readonly text: string;
  readonly service?: ServiceState;
}

interface Story {
  readonly name: string;
  readonly words: string;
  readonly changes: readonly Change[];
  /** When each instance starts, s. */
  readonly instances?: readonly number[];
  /** Of each instance; from its start on. */
  readonly loads: readonly { readonly name: string; readonly path?: string; readonly phases: readonly Phase[] }[];
}

const USUAL: ServiceState = { servers: SERVERS, ms: SERVICE_MS };
const STORIES: readonly Story[] = [
  {
    name: "halves",
    words: "350 a second; for ten seconds the service has 4 servers instead of 8.",
    changes: [
      { atS: 10, text: "4 servers", service: { ...USUAL, servers: 4 } },
      { atS: 20, text: "8 servers", service: USUAL },
    ],
    loads: [{ name: "all", phases: [{ seconds: 30, rate: 350 }] }],
  },
  {
    name: "doubles",
    words: "1600 a second; then the service has 16 servers instead of 8.",
    changes: [{ atS: 10, text: "16 servers", service: { ...USUAL, servers: 16 } }],
    loads: [{ name: "all", phases: [{ seconds: 20, rate: 1600 }] }],
  },
  {
    name: "latency",
    words:
      "300 a second, after an overload that has made a limit; then each request takes 40 ms instead of 20, on 16 servers: the capacity is the same.",
    changes: [
      { atS: 5, text: "300/s" },
      { atS: 10, text: "40 ms", service: { servers: 2 * SERVERS, ms: 2 * SERVICE_MS } },
    ],
    loads: [
      {
        name: "all",
        phases: [
          { seconds: 5, rate: 800 },
          { seconds: 15, rate: 300 },
        ],
      },
    ],
  },
  {
    name: "spike",
    words: "280 a second; ten seconds of 4000.",
    changes: [
      { atS: 10, text: "4000/s" },
      { atS: 20, text: "280/s" },
    ],
    loads: [
      {
        name: "all",
        phases: [
          { seconds: 10, rate: 280 },
          { seconds: 10, rate: 4000 },
          { seconds: 10, rate: 280 },
        ],
      },
    ],
  },
  {
    name: "mixed",
    words: "200 a second beside a slow route, long polls and event streams of the same upstream: nothing should be refused.",
    changes: [],
    loads: [
      { name: "fast", phases: [{ seconds: 20, rate: 200 }] },
      { name: "slow", path: "/slow/200", phases: [{ seconds: 20, rate: 20 }] },
      { name: "poll", path: "/poll/3000", phases: [{ seconds: 20, rate: 10 }] },
      { name: "stream", path: "/stream/2000", phases: [{ seconds: 20, rate: 10 }] },
    ],
  },
  {
    name: "storm",
    words: "200 long polls in the first second after the start, beside 100 requests a second: none is known to be long yet.",
    changes: [],
    loads: [
      { name: "poll", path: "/poll/3000", phases: [{ seconds: 1, rate: 200 }] },
      { name: "fast", phases: [{ seconds: 8, rate: 100 }] },
    ],
  },
  ...[2, 4].map((count) => ({
    name: `instances-${count}`,
    words: `${count} instances, each of which is asked for twice what the service can do, and which start one after the other.`,
    changes: Array.from({ length: count - 1 }, (_, i) => ({ atS: 5 * (i + 1), text: `${i + 2} instances` })),
    instances: Array.from({ length: count }, (_, i) => 5 * i),
    loads: [{ name: "all", phases: [{ seconds: 5 * count + 35, rate: 2 * CAPACITY }] }],
  })),
  ...(Number(values.minutes) > 0
    ? [
        {
          name: "low",
          words: "0.7 times the capacity.",
          changes: [],
          loads: [{ name: "all", phases: [{ seconds: 60 * Number(values.minutes), rate: 0.7 * CAPACITY }] }],
        },
      ]
    : []),
];

/** What was seen between two moments, s. */
function stretch(samples: readonly Sample[], fromS: number, toS: number): string {
  const part = samples.filter(({ atMs, ms }) => atMs + ms >= fromS * 1000 && atMs + ms < toS * 1000);
  const through = part.filter(answered);
  return `${fromS}-${toS} s: good ${whole(part.filter(good).length / (toS - fromS))}/s p99 ${whole(quantile(through, 0.99))} ms refused ${part.filter(({ status }) => status === 503).length}`;
}

function binned(samples: readonly Sample[], count: number, value: (bin: readonly Sample[]) => number): number[] {
  const bins: Sample[][] = Array.from({ length: count }, () => []);
  for (const sample of samples) bins[Math.floor((sample.atMs + sample.ms) / BIN_MS)]?.push(sample);
  return bins.map(value);
}

/** A reading that did not come in its bin was the one before it. */
function carried(readings: number[]): void {
  for (let i = 1; i < readings.length; i++) if (Number.isNaN(readings[i])) readings[i] = readings[i - 1] ?? Number.NaN;
}

async function told({ name, words, changes, instances = [0], loads }: Story): Promise<Picture> {
  const service = await startService(values.latency);
  const gateway = sluice("on", workers);
  const running: (Running & { readonly admin: number | null })[] = [];
  for (const _ of instances) running.push(await gateway.start(service.port, directory));
  const lengthS = Math.max(...loads.map(({ phases }) => phases.reduce((sum, each) => sum + each.seconds, 0)));
  const count = Math.ceil((lengthS * 1000) / BIN_MS);
  const limits: number[][] = running.map(() => Array<number>(count).fill(Number.NaN));
  const tenants: Tenant[] = running.flatMap(({ port }, i) =>
    loads.map((load) => ({
      ...load,
      name: running.length === 1 ? load.name : `${i + 1}`,
      port,
      phases: [
        { seconds: instances[i] ?? 0, rate: 0 },
        ...load.phases.map((each) => ({ ...each, seconds: each.seconds - (instances[i] ?? 0) })),
      ],
    })),
  );
  const timers = changes.map(({ atS, service: state }) => setTimeout(() => state !== undefined && service.child.send(state), atS * 1000));
  const startMs = performance.now();
  const sampler = setInterval(() => {
    const bin = Math.floor((performance.now() - startMs) / BIN_MS);
    for (const [i, { admin }] of running.entries())
      if (admin !== null) void limitOf(admin).then((limit) => bin < count && ((limits[i] as number[])[bin] = limit));
  }, BIN_MS);
  try {
    const samples = await generate(tenants);
    const moments = [0, ...changes.flatMap(({ atS }) => [atS, atS + 2]), lengthS];
    console.log(`\n${name}: ${words}`);
    for (const [i, from] of moments.slice(0, -1).entries()) console.log(`  ${stretch(samples, from, moments[i + 1] ?? lengthS)}`);
    const names = [...new Set(tenants.map((each) => each.name))];
    if (names.length > 1)
      for (const each of names)
        console.log(
          `  ${each}: ${stretch(
            samples.filter(({ tenant }) => tenant === each),
            running.length > 1 ? lengthS - 10 : 0,
            lengthS,
          )}`,
        );
    const of = (value: (bin: readonly Sample[]) => number) =>
      names.map((each) => ({
        name: each,
        values: binned(
          samples.filter(({ tenant }) => tenant === each),
          count,
          value,
        ),
      }));
    limits.forEach(carried);
    return {
      title: name,
      words,
      binMs: BIN_MS,
      marks: changes,
      charts: [
        { title: "Limit, requests in flight", lines: limits.map((each, i) => ({ name: `instance ${i + 1}`, values: each })) },
        { title: "Good answers a second", lines: of((bin) => (bin.filter(good).length * 1000) / BIN_MS) },
        { title: "p99 of answers, ms", lines: of((bin) => quantile(bin.filter(answered), 0.99)) },
        { title: "Refused a second", lines: of((bin) => (bin.filter(({ status }) => status === 503).length * 1000) / BIN_MS) },
      ],
    };
  } finally {
    clearInterval(sampler);
    for (const timer of timers) clearTimeout(timer);
    for (const { child } of running) await end(child);
    await end(service.child);
  }
}

async function main(): Promise<void> {
  const rows: Row[] = [];
  const pictures: Picture[] = [];
  const title = `A service of ${SERVERS} at a time, ${SERVICE_MS} ms (${values.latency}): ${CAPACITY}/s; workers: ${workers}`;
  const loads = TABLE.filter(({ name }) => wanted(name));
  const gateways = { on: sluice("on", workers), off: sluice("off", workers), haproxy: haproxy(SERVERS, workers) };
  for (const [key, gateway] of Object.entries(gateways)) {
    if (loads.length === 0 || !values.gateways.split(",").includes(key)) continue;
    if (key === "haproxy" && !installed("haproxy")) {
      console.log(`${gateway.name}: not installed`);
      continue;
    }
    console.log(`\n## ${gateway.name}. ${title}`);
    for (const load of loads) await tabled(gateway, load, rows);
  }
  for (const story of STORIES) if (wanted(story.name)) pictures.push(await told(story));
  if (values.report !== "") fs.writeFileSync(values.report, reportOf(title, rows, pictures));
  fs.rmSync(directory, { recursive: true, force: true });
}

await main();
process.exit(0);
