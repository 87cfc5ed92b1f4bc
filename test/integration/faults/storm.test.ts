// A storm of faults on both sides at once, by seeded dice, on both engines: whatever happens when, every gauge is back at zero afterwards,
// no worker was replaced, nothing was thrown, nobody got another one's answer, and the gateway serves. Another storm: SLUICE_FAULT_SEED=n SLUICE_FAULT_MS=n.
import { expect, it } from "vitest";
import { ENGINES } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";
import { Dice } from "./dice.ts";
import { hostileConnection } from "./hostile-client.ts";
import { HostileUpstream } from "./hostile-upstream.ts";

const SEED = Number(process.env["SLUICE_FAULT_SEED"] ?? 20_250_711);
const STORM_MS = Number(process.env["SLUICE_FAULT_MS"] ?? 8000);
/** Connections at once. */
const CLIENTS = 48;
/** How long what is under way may take to end, ms: every deadline of the configuration below fits in, the engine's steps of 4 s included. */
const SETTLED_WITHIN_MS = 15_000;

const config = (hostile: number, shadow: number): string => `version: 1
workers: 2
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
admin: { address: 127.0.0.1:0 }
limits:
  connections: 1000 # as many as any machine allows: it would be warned about
  headerTimeout: 4s
  bodyTimeout: 1s
  idleTimeout: 4s
  webSocket: { messageBytes: 16KiB, bufferBytes: 16KiB, idleTimeout: 4s }
upstreams:
  u: &u
    targets: [ { url: "http://127.0.0.1:${hostile}" } ]
    pool: { connections: 16, queue: 16 }
    timeouts: { connect: 300ms, response: 300ms, idle: 300ms, total: 1s }
    retry: { attempts: 2, on: [connect-failure, reset, timeout, 503], budget: 100%, backoff: { base: 1ms, max: 10ms } }
    health: { passive: false }
  together: { <<: *u, pool: { connections: 8, pipelining: 8, queue: 16 } }
  narrow: { <<: *u, pool: { connections: 1, queue: 2 } }
  undici: { <<: *u, pool: { client: undici, connections: 8, pipelining: 2, queue: 16 } }
  narrow-undici: { <<: *u, pool: { client: undici, connections: 1, queue: 2 } }
  shadow: { <<: *u, targets: [ { url: "http://127.0.0.1:${shadow}" } ], pool: { connections: 4, queue: 4 } }
routes:
  - { name: all, match: { path: "/all/**" }, to: u }
  - { name: mirrored, match: { path: "/mirrored/**" }, to: u, mirror: { upstream: shadow, percent: 100 } }
  - { name: small, match: { path: "/small/**" }, limits: { bodyBytes: 10KiB }, to: u }
  - { name: zipped, match: { path: "/zipped/**" }, compress: { minBytes: 1 }, cors: { origins: ["https://x.example"] }, to: u }
  - { name: together, match: { path: "/together/**" }, to: together }
  - { name: narrow, match: { path: "/narrow/**" }, to: narrow }
  - { name: undici, match: { path: "/undici/**" }, to: undici }
  - { name: narrow-undici, match: { path: "/narrow-undici/**" }, to: narrow-undici }
  - { name: fixed, match: { path: /fixed }, respond: { body: fixed } }
  - { name: denied, match: { path: /denied }, ip: { deny: [127.0.0.0/8] }, to: u }
`;

interface Worker {
  readonly restarts: number;
  readonly [gauge: string]: unknown;
}
interface Upstream {
  readonly name: string;
  readonly targets: readonly { readonly inFlight: number }[];
}

/** Everything that must be zero when nothing is under way, by name. `poolConnections` are kept on purpose. */
async function gauges(gateway: Gateway): Promise<Record<string, unknown>> {
  const workers = (await gateway.admin("GET", "/workers")).body as Worker[]; // the admin's own shape
  const upstreams = (await gateway.admin("GET", "/upstreams")).body as Upstream[]; // the same
  const found: Record<string, unknown> = {};
  for (const [i, worker] of workers.entries())
    for (const name of ["inFlight", "connections", "webSockets", "poolQueued", "restarts"]) found[`worker ${i} ${name}`] = worker[name];
  for (const { name, targets } of upstreams) for (const { inFlight } of targets) found[`upstream ${name} inFlight`] = inFlight;
  return found;
}

const faultsIn = (gateway: Gateway) => gateway.lines().filter((line) => line.level === "error" || line.level === "warn");

it(`survives storm ${SEED}`, async () => {
  await using hostile = await HostileUpstream.start(new Dice(SEED));
  await using shadow = await HostileUpstream.start(new Dice(SEED + 1));
  await using gateway = await Gateway.start({ config: config(hostile.port, shadow.port) });
  const ports = gateway.urls.map((url) => Number(new URL(url).port));
  expect(ports).toHaveLength(ENGINES.length);

  const endMs = performance.now() + STORM_MS;
  const strays: string[] = [];
  let answered = 0;
  const client = async (index: number): Promise<void> => {
    const dice = new Dice(SEED + 100 + index);
    while (performance.now() < endMs && !gateway.gone) {
      const { asker, marks } = await hostileConnection(dice, dice.pick(ports));
      answered += marks.length;
      strays.push(...marks.filter((mark) => mark !== asker).map((mark) => `${asker} got an answer to ${mark}`));
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, index) => client(index)));

  expect(strays).toEqual([]);
  expect(answered).toBeGreaterThan(0);

  const settledBy = performance.now() + SETTLED_WITHIN_MS;
  let found = await gauges(gateway);
  const unsettled = (): string[] => Object.keys(found).filter((name) => found[name] !== 0);
  while (unsettled().length > 0 && performance.now() < settledBy) found = await gauges(gateway);
  expect(unsettled().map((name) => `${name}: ${found[name]}`)).toEqual([]);
  expect(faultsIn(gateway)).toEqual([]);

  // And it serves, on both engines: no lane, queue or listener was lost.
  hostile.tame = shadow.tame = true;
  for (const path of ["/all/x", "/together/x", "/narrow/x", "/undici/x", "/narrow-undici/x", "/mirrored/x", "/zipped/x"]) {
    for (const port of ports) {
      await using raw = await RawClient.connect(port);
      raw.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n`);
      expect((await raw.response()).body.toString()).toBe("ok");
    }
  }
});
