// In-flight limits of targets: a slow one is left for the others before it is ejected, and ejection, breakers and slow start work beside.
import { Agent, get } from "node:http";
import { describe, expect, it, onTestFailed } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { GatedOrigin } from "../../support/gated-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { QueuedService } from "../../support/queued-service.ts";
import { until } from "../../support/until.ts";

async function start(targets: readonly { readonly url: string }[], upstream: string, workers = 1): Promise<Gateway> {
  const gateway = await Gateway.start({
    config: `version: 1
workers: ${workers}
drainTimeout: 100ms
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" }, { address: "127.0.0.1:0", strict: true } ]
upstreams: { u: { targets: [ ${targets.map(({ url }) => `{ url: "${url}" }`).join(", ")} ], timeouts: { attempt: 30s, total: 30s }, ${upstream} } }
routes: [ { name: all, match: {}, to: u } ]
`,
  });
  onTestFailed(() => console.error(gateway.report()));
  return gateway;
}

interface TargetView {
  readonly key: string;
  readonly healthy: boolean;
  readonly reason: string;
  readonly overload: { readonly limit: number; readonly inFlight: number; readonly steered: number } | null;
}

interface UpstreamView {
  readonly overload: { readonly limit: number; readonly inFlight: number; readonly waiting: number };
  readonly targets: readonly TargetView[];
}

async function viewOf(gateway: Gateway): Promise<UpstreamView> {
  const { body } = await gateway.admin("GET", "/upstreams");
  return (body as UpstreamView[])[0] as UpstreamView; // the admin listener's documented form
}

const urlOf = (gateway: Gateway, engine: Engine): string => gateway.urls[ENGINES.indexOf(engine)] ?? "";

/** @returns the status */
function ask(url: string, agent: Agent, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    get(`${url}/x`, { agent, headers }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
      response.once("error", reject);
    }).once("error", reject);
  });
}

/** So many at a time until there were enough of them. @returns how often each status came */
async function closedLoop(url: string, agent: Agent, clients: number, requests: number): Promise<Record<number, number>> {
  const statuses: Record<number, number> = {};
  let left = requests;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (left-- > 0) {
        const status = await ask(url, agent);
        statuses[status] = (statuses[status] ?? 0) + 1;
      }
    }),
  );
  return statuses;
}

/** Each target may have 3 in flight, all together 6. */
const SIX = "mode: on, minimum: 6, maximum: 6";

describe.each(ENGINES)("targets of an overloaded upstream on the engine %s", (engine) => {
  it.each(["round-robin", "random"])(
    "one that does not answer has no more than its limit, and the others have the rest (%s)",
    async (balance) => {
      await using a = await GatedOrigin.start();
      await using b = await GatedOrigin.start();
      await using c = await GatedOrigin.start();
      a.status = 0;
      await using gateway = await start([a, b, c], `balance: ${balance}, overload: { ${SIX}, queue: { wait: 30s } }`);
      const agent = new Agent({ keepAlive: true });
      const url = urlOf(gateway, engine);
      const all: Promise<number>[] = [];
      // One after the other, so that the others always have room, until it has three.
      while (a.waiting < 3) {
        let isAnswered = false;
        const before = a.requests;
        const answer = ask(url, agent);
        all.push(answer.finally(() => (isAnswered = true)));
        await until("it is answered, or with the one that does not answer", () => isAnswered || a.requests > before);
      }
      for (let i = 0; i < 40; i++) expect(await ask(url, agent)).toBe(200);
      expect(a.requests).toBe(3);
      const view = await viewOf(gateway);
      const stuck = view.targets.find(({ key }) => key === a.url);
      expect(stuck?.overload).toMatchObject({ limit: 3, inFlight: 3 });
      expect(stuck?.healthy).toBe(true);
      expect(stuck?.overload?.steered).toBeGreaterThan(0);
      expect(view.overload).toMatchObject({ limit: 6, inFlight: 3, waiting: 0 });
      const { body: metrics } = await gateway.admin("GET", "/metrics");
      expect(String(metrics)).toContain(`sluice_overload_target_limit{upstream="u",target="${a.url}"} 3`);
      a.status = 200;
      a.release(200);
      expect(await Promise.all(all)).toEqual(all.map(() => 200));
      await expect.poll(() => viewOf(gateway)).toMatchObject({ overload: { inFlight: 0 } });
      agent.destroy();
    },
  );

  it("who finds all targets at their limits waits in line, and goes to the first that has room", async () => {
    await using a = await GatedOrigin.start();
    await using b = await GatedOrigin.start();
    for (const each of [a, b]) each.status = 0;
    await using gateway = await start([a, b], "balance: round-robin, overload: { mode: on, minimum: 2, maximum: 2, queue: { wait: 30s } }");
    const agent = new Agent({ keepAlive: true });
    const url = urlOf(gateway, engine);
    const all = Array.from({ length: 4 }, () => ask(url, agent));
    await expect.poll(() => viewOf(gateway)).toMatchObject({ overload: { limit: 2, inFlight: 2, waiting: 2 } });
    while (a.requests + b.requests < 4) {
      const before = a.requests + b.requests;
      const next = a.waiting > 0 ? a : b;
      next.release(200, 1);
      await expect.poll(() => a.requests + b.requests, { timeout: 10_000 }).toBe(before + 1);
    }
    for (const each of [a, b]) each.release(200);
    expect(await Promise.all(all)).toEqual([200, 200, 200, 200]);
    agent.destroy();
  });

  it("one of three that slows by ten has nobody refused, and gets less from then on", { timeout: 60_000 }, async () => {
    await using a = await QueuedService.start(8, 50);
    await using b = await QueuedService.start(8, 50);
    await using c = await QueuedService.start(8, 50);
    await using gateway = await start(
      [a, b, c],
      "balance: round-robin, pool: { connections: 100 }, overload: { mode: on, maximum: 90, queue: { wait: 10s } }",
    );
    const agent = new Agent({ keepAlive: true });
    const url = urlOf(gateway, engine);
    expect(await closedLoop(url, agent, 60, 300)).toEqual({ 200: 300 });
    expect(Math.abs(a.answered - c.answered)).toBeLessThan(50);
    c.ms = 500;
    const before = [a, b, c].map(({ answered }) => answered);
    expect(await closedLoop(url, agent, 60, 600)).toEqual({ 200: 600 });
    const [ofA = 0, ofB = 0, ofC = 0] = [a, b, c].map(({ answered }, i) => answered - (before[i] ?? 0));
    expect(ofC).toBeGreaterThan(0);
    expect(ofC).toBeLessThan(Math.min(ofA, ofB));
    const view = await viewOf(gateway);
    expect(view.targets.find(({ key }) => key === c.url)?.overload?.steered).toBeGreaterThan(0);
    expect(view.targets.map(({ healthy }) => healthy)).toEqual([true, true, true]);
    agent.destroy();
  });

  it("one that fails is ejected all the same, and what was in flight to it comes back", async () => {
    await using a = await GatedOrigin.start();
    await using b = await GatedOrigin.start();
    const settings = `balance: round-robin, slowStart: 100ms, health: { passive: { consecutiveFailures: 3, ejectFor: 1h, maxEjected: 50% } },
      breaker: { scope: target, minimumRequests: 1000 }, overload: { mode: on }`;
    await using gateway = await start([a, b], settings);
    const agent = new Agent({ keepAlive: true });
    const url = urlOf(gateway, engine);
    a.status = 503;
    const reasonOf = async (key: string): Promise<string> => (await viewOf(gateway)).targets.find((each) => each.key === key)?.reason ?? "";
    while ((await reasonOf(a.url)) !== "ejected") await ask(url, agent);
    for (let i = 0; i < 20; i++) expect(await ask(url, agent)).toBe(200);
    const nothing = { overload: { inFlight: 0 } };
    await expect.poll(() => viewOf(gateway)).toMatchObject({ ...nothing, targets: [nothing, nothing] });
    agent.destroy();
  });
});

it("what a killed worker had in flight to targets comes back", async () => {
  await using a = await GatedOrigin.start();
  await using b = await GatedOrigin.start();
  for (const each of [a, b]) each.status = 0;
  await using gateway = await start(
    [a, b],
    "balance: round-robin, overload: { mode: on, minimum: 6, maximum: 6, queue: { wait: 30s } }",
    2,
  );
  const agent = new Agent({ keepAlive: false });
  const all = Array.from({ length: 6 }, () => ask(urlOf(gateway, "uws"), agent).catch(() => 0));
  await expect.poll(() => a.waiting + b.waiting, { timeout: 10_000 }).toBe(6);
  expect(await viewOf(gateway)).toMatchObject({ targets: [{ overload: { inFlight: 3 } }, { overload: { inFlight: 3 } }] });
  for (const worker of [0, 1]) await gateway.admin("POST", `/debug/crash?worker=${worker}`);
  expect(await Promise.all(all)).toEqual(all.map(() => 0));
  await expect
    .poll(() => viewOf(gateway), { timeout: 20_000 })
    .toMatchObject({ overload: { inFlight: 0, waiting: 0 }, targets: [{ overload: { inFlight: 0 } }, { overload: { inFlight: 0 } }] });
  agent.destroy();
});
