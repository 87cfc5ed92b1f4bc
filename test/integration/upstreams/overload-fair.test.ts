// Fairness over workers: callers on one worker, the greedy one on all of them. bench/overload-pinned.ts measures it in open loop.
import { expect, it, onTestFailed } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { H2Crowd } from "../../support/h2-crowd.ts";
import { QueuedService } from "../../support/queued-service.ts";
import { type Field, request } from "../../support/raw-h2-client.ts";

const SERVERS = 8;
const SERVICE_MS = 20;
/** Of the greedy caller, at once: some times what the service can have and the limit lets through. */
const GREEDY = 120;
/** Part of the modest callers' requests that must be answered: on a machine that does much else, some wait too long. */
const ANSWERED = 0.95;

/** How a caller shows itself. */
type Mark = (caller: string) => Field;

const byTenant: Mark = (caller) => ["x-tenant", caller];
const byAddress: Mark = (caller) => ["x-forwarded-for", `198.51.100.${caller}`];

async function start(service: QueuedService, fairBy: string): Promise<Gateway> {
  const gateway = await Gateway.start({
    config: `version: 1
workers: 2
drainTimeout: 100ms
admin: { address: "127.0.0.1:0" }
trustedProxies: [ 127.0.0.1 ]
limits: { streamsPerConnection: 1000 }
listeners: [ { address: "127.0.0.1:0", h2c: true } ]
upstreams: { u: { targets: [ { url: "${service.url}" } ], pool: { connections: 200 }, overload: { mode: on, maximum: 40, ${fairBy} queue: { wait: 2s } } } }
routes:
  - { name: here, match: { path: /here }, respond: { status: 204 } }
  - { name: all, match: {}, to: u }
`,
  });
  onTestFailed(() => console.error(gateway.report()));
  return gateway;
}

/** Connections to both workers, those of each apart. */
async function connect(gateway: Gateway): Promise<{ readonly crowd: H2Crowd; readonly workers: readonly (readonly number[])[] }> {
  for (;;) {
    const crowd = await H2Crowd.open(Number(new URL(gateway.url).port), 12);
    const workers = await crowd.byWorker(request("/here"));
    if (workers.length === 2) return { crowd, workers };
    await crowd[Symbol.asyncDispose]();
  }
}

it.each<[string, number, string, Mark]>([
  ["the only other caller", 1, "fairBy: { header: x-tenant },", byTenant],
  ["99 other callers", 99, "fairBy: { header: x-tenant },", byTenant],
  ["20 other callers that only have an address", 20, "", byAddress],
])("a greedy caller on all workers leaves their share to %s on one of them", { timeout: 60_000 }, async (_, others, fairBy, mark) => {
  await using service = await QueuedService.start(SERVERS, SERVICE_MS);
  await using gateway = await start(service, fairBy);
  const { crowd, workers } = await connect(gateway);
  await using _crowd = crowd;
  const [one = [], two = []] = workers;
  const both = [...one, ...two];
  const ask = (connections: readonly number[], n: number, caller: string) =>
    new Promise<number>((resolve) => crowd.ask(connections[n % connections.length] ?? 0, request("/x", "GET", mark(caller)), resolve));

  let stopped = false;
  let refused = 0;
  const greedy = Array.from({ length: GREEDY }, async (_each, n) => {
    while (!stopped) if ((await ask(both, n, "0")) === 503) refused++;
  });
  await expect.poll(() => refused, { timeout: 20_000 }).toBeGreaterThan(0);
  // Half of what would be their share: each waits for its answer before it asks again.
  const statuses: number[] = [];
  const modest = Array.from({ length: Math.min(4, others) }, async (_each, n) => {
    for (let caller = n; caller < 200; caller += 4) statuses.push(await ask(two, n, `${1 + (caller % others)}`));
  });
  await Promise.all(modest);
  const refusedMeanwhile = refused;
  stopped = true;
  await Promise.all(greedy);
  expect(refusedMeanwhile).toBeGreaterThan(0);
  const answered = statuses.filter((status) => status === 200).length;
  expect(answered).toBeGreaterThanOrEqual(ANSWERED * statuses.length);
  const { body } = await gateway.admin("GET", "/upstreams");
  expect(body).toMatchObject([{ overload: { inFlight: 0, waiting: 0 } }]);
});
