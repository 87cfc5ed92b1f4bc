// Owns the list of settings for which docs/tuning.md gives numbers: each as settings of one gateway that differ in nothing else.
// The first setting is what the others are compared with.
import type { BodyBytes } from "../../native-bench/peers/origin.ts";
import { allowedCpus } from "../../src/control/config/check/workers.ts";

/** One way to set a knob. */
export interface Setting {
  readonly name: string;
  /** `workers`; 1 unless given. */
  readonly workers?: string;
  /** Members of the listener, of the upstream's pool, and of the route, as YAML flow. */
  readonly listener?: string;
  readonly pool?: string;
  readonly route?: string;
  /** Top-level lines. */
  readonly top?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Knob {
  readonly name: string;
  readonly connections: number;
  /** Of the origin. */
  readonly bytes: BodyBytes;
  readonly headers?: Readonly<Record<string, string>>;
  readonly settings: readonly [Setting, Setting, ...Setting[]];
}

const ALLOWED = allowedCpus() ?? [0];
const threads = (size: number): Setting => ({
  name: `UV_THREADPOOL_SIZE=${size}`,
  route: "compress: {}",
  environment: { UV_THREADPOOL_SIZE: String(size) },
});
const semiSpace = (mebibytes: number): Setting => ({
  name: `--max-semi-space-size=${mebibytes}`,
  environment: { NODE_OPTIONS: `--max-semi-space-size=${mebibytes}` },
});
const pool = (connections: number): Setting => ({ name: `pool.connections: ${connections}`, pool: `connections: ${connections}` });
const GZIP = { "Accept-Encoding": "gzip" };

export const KNOBS: readonly Knob[] = [
  { name: "workers", connections: 64, bytes: 256, settings: [{ name: "workers: 1" }, { name: "workers: 2", workers: "2" }] },
  {
    name: "cpus",
    connections: 64,
    bytes: 256,
    settings: [
      { name: "workers: 2", workers: "2" },
      { name: "workers: { count: 2, cpus: auto }", workers: "{ count: 2, cpus: auto }" },
    ],
  },
  {
    name: "cpus-1",
    connections: 64,
    bytes: 256,
    settings: [{ name: "workers: 1" }, { name: `workers: { cpus: [${ALLOWED[0]}] }`, workers: `{ cpus: [${ALLOWED[0]}] }` }],
  },
  {
    name: "engine",
    connections: 64,
    bytes: 256,
    settings: [{ name: "engine uws" }, { name: "engine net", listener: "engine: net" }],
  },
  {
    name: "client",
    connections: 64,
    bytes: 256,
    settings: [{ name: "pool.client: http1" }, { name: "pool.client: undici", pool: "client: undici" }],
  },
  {
    name: "pipelining",
    connections: 64,
    bytes: 256,
    settings: [1, 4, 16].map((n): Setting => ({ name: `pool.pipelining: ${n}`, pool: `pipelining: ${n}` })) as [Setting, Setting, Setting], // of three
  },
  { name: "pool", connections: 128, bytes: 256, settings: [pool(128), pool(32), pool(8), pool(2)] },
  {
    name: "access-log",
    connections: 64,
    bytes: 256,
    settings: [{ name: "accessLog: true" }, { name: "accessLog: false", route: "accessLog: false" }],
  },
  {
    name: "compress",
    connections: 32,
    bytes: 16384,
    headers: GZIP,
    settings: [
      { name: "no compress" },
      { name: "gzip level 5 (default)", route: "compress: {}" },
      { name: "gzip level 1", route: "compress: { level: { gzip: 1 } }" },
    ],
  },
  { name: "thread-pool", connections: 32, bytes: 65536, headers: GZIP, settings: [threads(4), threads(1), threads(2), threads(16)] },
  { name: "young-generation", connections: 64, bytes: 256, settings: [{ name: "V8's own" }, semiSpace(1), semiSpace(8), semiSpace(64)] },
  {
    name: "large-pages",
    connections: 64,
    bytes: 256,
    settings: [{ name: "pages of 4 KiB" }, { name: "--use-largepages=on", environment: { NODE_OPTIONS: "--use-largepages=on" } }],
  },
];

/** The whole configuration. The access log is on only where the knob is about it. */
export function configuration(knob: Knob, setting: Setting, ports: { readonly own: number; readonly origin: number }): string {
  const { workers = "1", listener, pool: own, route, top = "" } = setting;
  const also = (members: string | undefined): string => (members === undefined ? "" : `, ${members}`);
  return `version: 1
workers: ${workers}
listeners: [{ address: 127.0.0.1:${ports.own}${also(listener)} }]
admin: { address: 127.0.0.1:0 }
defaults: { accessLog: ${knob.name === "access-log"} }
upstreams: { origin: { targets: [{ url: "http://127.0.0.1:${ports.origin}" }]${own === undefined ? "" : `, pool: { ${own} }`} } }
routes: [{ name: all, match: { path: /** }, to: origin${also(route)} }]
${top}
`;
}
