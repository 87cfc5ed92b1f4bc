// A worker that has more to do than it can itself: what it refuses, in which order, what it answers all the same, and what is said of it.
import { describe, expect, it } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { CountingOrigin } from "../../support/counting-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { SteadyClient } from "../../support/steady-client.ts";

/** Each of its requests takes so much of the worker's CPU, ms. */
const SPIN_MS = 5;
const SPIN = `import { definePolicy } from "sluice/policy"; export default definePolicy({ name: "spin", phase: "origin", create: () => ({ onRequest() { const end = performance.now() + ${SPIN_MS}; while (performance.now() < end); } }) });`;
/** Of a worker in the tests that count; 9 of it are for normal requests. */
const IN_FLIGHT = 10;
/** Its first request has the worker hold so much more than its bound. */
const KEEP = `import { definePolicy } from "sluice/policy";
const kept = []; export default definePolicy({ name: "keep", phase: "origin", create: () => ({ onRequest() { if (kept.length === 0) kept.push(Buffer.alloc(96 * 1024 ** 2)); } }) });`;
const PATIENCE = { timeout: 20_000 };

const listening = `version: 1
workers: 1
drainTimeout: 100ms
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" }, { address: "127.0.0.1:0", engine: net } ]
`;

const urlOf = (gateway: Gateway, engine: Engine): string => gateway.urls[ENGINES.indexOf(engine)] ?? "";
const metricsOf = async (gateway: Gateway): Promise<string> => (await fetch(`${gateway.adminUrl}/metrics`)).text();

/** Answers all but what is asked for at /held. */
const startOrigin = (): Promise<CountingOrigin> =>
  CountingOrigin.start(({ request, response }) => {
    if (request.url !== "/held") response.end(`answer ${origins++}`);
  });
let origins = 0;

/** Fills the worker with requests that do not end until their clients go. */
async function fill(url: string, origin: CountingOrigin, count: number): Promise<AbortController> {
  const before = origin.asked.get("/held") ?? 0;
  const clients = new AbortController();
  for (let i = 0; i < count; i++) fetch(`${url}/held`, { signal: clients.signal }).catch(() => {});
  await expect.poll(() => origin.asked.get("/held"), PATIENCE).toBe(before + count);
  return clients;
}

async function expectRefusal(answer: Response): Promise<void> {
  expect(answer.status).toBe(503);
  expect(await answer.json()).toMatchObject({ code: "overloaded", reason: "instance" });
  const retryAfter = Number(answer.headers.get("retry-after"));
  expect(retryAfter).toBeGreaterThanOrEqual(1);
  expect(retryAfter).toBeLessThanOrEqual(5);
}

type Asking = (path: string) => Promise<Response>;

/** Of a class that is refused, one is let in from time to time. */
async function expectRefused(ask: Asking, path: string): Promise<void> {
  let answer = await ask(path);
  for (let i = 0; i < 100 && answer.status === 200; i++) {
    await answer.text();
    answer = await ask(path);
  }
  await expectRefusal(answer);
}

async function expectServed(ask: Asking, path: string): Promise<void> {
  for (let i = 0; i < 20; i++) {
    const answer = await ask(path);
    expect(`${answer.status} ${await answer.text()}`).toMatch(/^200/);
  }
}

describe.each(ENGINES)("a worker with as many requests as it may have, on the engine %s", (engine) => {
  const start = (origin: CountingOrigin, mode = "on"): Promise<Gateway> =>
    Gateway.start({
      config: `${listening}
overload: { mode: ${mode}, loopDelay: none, inFlight: ${IN_FLIGHT} }
auth: { keys: { apiKey: { in: header, name: x-api-key } } }
tiers: { gold: { priority: critical }, free: { priority: low } }
consumers:
  - { id: gold, tier: gold, keys: ["sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"] }
  - { id: free, tier: free, keys: ["sha256:0b14d501a594442a01c6859541bcb3e8164d183d32937b851835442f69d5c94e"] }
upstreams:
  u: { targets: [ { url: "http://127.0.0.1:${origin.port}" } ], timeouts: { attempt: 60s, total: 60s } }
routes:
  - { name: held, match: { path: /held }, to: u, auth: none, priority: critical }
  - { name: high, match: { path: /high }, to: u, auth: none, priority: high }
  - { name: normal, match: { path: /normal }, to: u, auth: none, mirror: { upstream: u, percent: 100 } }
  - { name: low, match: { path: /low }, to: u, auth: none, priority: low }
  - { name: keyed, match: { path: /keyed }, to: u, auth: keys }
  - { name: cached, match: { path: "/cached/**" }, to: u, auth: none, cache: { ttl: 1h } }
  - { name: stale, match: { path: "/stale/**" }, to: u, auth: none, cache: { ttl: 1ms, staleIfError: 1h } }
  - { name: own, match: { path: /own }, auth: none, respond: { body: "here" } }
`,
    });

  it("refuses mirror copies first, then low, normal and high priority, and critical ones at the bound alone", async () => {
    await using origin = await startOrigin();
    await using gateway = await start(origin);
    const url = urlOf(gateway, engine);
    const ask: Asking = (path) => fetch(`${url}${path}`);
    await fill(url, origin, 8);
    await expectServed(ask, "/normal");
    await expect.poll(() => metricsOf(gateway), PATIENCE).toMatch(/sluice_worker_spared_total\{worker="0",kind="background"\} [1-9]/);
    await expectRefused(ask, "/low");
    await fill(url, origin, 1);
    await expectRefused(ask, "/normal");
    await expectRefused(ask, "/high");
    const last = await fill(url, origin, 1);
    await expectRefusal(await ask("/held"));
    await expect
      .poll(() => metricsOf(gateway), PATIENCE)
      .toMatch(/sluice_overload_shed_total\{reason="instance",priority="critical"\} 1\n/);
    await expect
      .poll(() => gateway.lines().filter(({ path, status }) => path === "/held" && status === 503), PATIENCE)
      .toMatchObject([
        {
          code: "overloaded",
          reason: "instance",
          waitMs: 0,
          priority: "critical",
          tier: null,
          detail: expect.stringMatching(/^instance: /),
        },
      ]);
    await expectRefusal(await ask("/high"));
    const ready = await gateway.admin("GET", "/readyz");
    expect(ready.status).toBe(200);
    expect(JSON.stringify(ready.body)).toContain("more to do than can be done in worker 0: requests are refused");
    last.abort();
    await expect.poll(async () => (await ask("/high")).status, PATIENCE).toBe(200);
  });

  it("serves what costs it no more than a refusal: fixed answers, and what is stored, stale too", async () => {
    await using origin = await startOrigin();
    await using gateway = await start(origin);
    const url = urlOf(gateway, engine);
    const ask: Asking = (path) => fetch(`${url}${path}`);
    const stored = await (await ask("/cached/a")).text();
    const stale = await (await ask("/stale/a")).text();
    await fill(url, origin, IN_FLIGHT);
    expect(await (await ask("/own")).text()).toBe("here");
    expect(await (await ask("/cached/a")).text()).toBe(stored);
    expect(await (await ask("/stale/a")).text()).toBe(stale);
    await expectRefusal(await ask("/cached/b"));
    await expectRefusal(await ask("/stale/b"));
    await expectRefusal(await fetch(`${url}/cached/a`, { method: "POST", body: "x" }));
  });

  it("knows the priority of a caller's tier once it knows the caller", async () => {
    await using origin = await startOrigin();
    await using gateway = await start(origin);
    const url = urlOf(gateway, engine);
    const askAs =
      (key: string): Asking =>
      (path) =>
        fetch(`${url}${path}`, { headers: { "x-api-key": key } });
    await fill(url, origin, 9);
    await expectServed(askAs("password"), "/keyed");
    await expectRefused(askAs("password1"), "/keyed");
    await expect
      .poll(() => metricsOf(gateway), PATIENCE)
      .toMatch(/sluice_overload_shed_total\{reason="instance",priority="low",tier="free"\} [1-9]/);
    expect((await askAs("wrong")("/keyed")).status).toBe(401);
    await fill(url, origin, 1);
    await expectRefusal(await askAs("password")("/keyed"));
    await expectRefusal(await askAs("wrong")("/keyed")); // before anything is verified
  });

  it("refuses nothing in the shadow, and counts what came", async () => {
    await using origin = await startOrigin();
    await using gateway = await start(origin, "shadow");
    const url = urlOf(gateway, engine);
    await fill(url, origin, 2 * IN_FLIGHT);
    await expectServed((path) => fetch(`${url}${path}`), "/low");
    await expect.poll(() => metricsOf(gateway), PATIENCE).toMatch(/sluice_worker_shadowed_total\{worker="0"\} [1-9]/);
    expect(JSON.stringify((await gateway.admin("GET", "/readyz")).body)).toContain("nothing is refused for it (overload.mode: shadow)");
  });
});

it.each(ENGINES)(
  "a worker whose event loop is late refuses some, urgent ones last, and takes everything again afterwards: engine %s",
  async (engine) => {
    await using origin = await startOrigin();
    await using gateway = await Gateway.start({
      config: `${listening}
overload: { mode: on }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${origin.port}" } ] } }
routes:
  - { name: urgent, match: { path: /urgent }, to: u, priority: critical, policies: [{ module: ./spin.js }] }
  - { name: slow, match: {}, to: u, policies: [{ module: ./spin.js }] }
`,
      files: { "spin.js": SPIN },
    });
    const url = urlOf(gateway, engine);
    const crowd = new SteadyClient({ url: `${url}/slow`, connections: 100, keepAlive: true });
    const urgent = new SteadyClient({ url: `${url}/urgent`, connections: 1, keepAlive: true });
    await expect.poll(() => crowd.failures.length, PATIENCE).toBeGreaterThan(100);
    const ready = await gateway.admin("GET", "/readyz");
    expect(ready.status).toBe(200);
    expect(JSON.stringify(ready.body)).toContain("requests are refused, lowest priority first");
    const seen = crowd.ok;
    await expect.poll(() => crowd.ok, PATIENCE).toBeGreaterThan(seen + 20); // and serves others
    await Promise.all([crowd.stop(), urgent.stop()]);
    expect(crowd.failures.filter((failure) => !/^status 503: .*"reason":"instance"/.test(failure))).toEqual([]);
    expect(urgent.ok).toBeGreaterThan(0);
    expect(urgent.failures.length / urgent.ok).toBeLessThan(crowd.failures.length / crowd.ok / 2);
    await expect.poll(async () => (await gateway.admin("GET", "/workers")).body, PATIENCE).toMatchObject([{ refusedPart: 0 }]);
    await expect.poll(async () => (await fetch(`${url}/slow`)).status, PATIENCE).toBe(200);
  },
);

it("a worker that holds more memory than it may lets less in, and urgent requests first", async () => {
  await using origin = await startOrigin();
  await using gateway = await Gateway.start({
    config: `${listening}
overload: { mode: on, loopDelay: none, memory: 96MiB }
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${origin.port}" } ] } }
routes:
  - { name: urgent, match: { path: /urgent }, to: u, priority: critical }
  - { name: keeping, match: {}, to: u, policies: [{ module: ./keep.js }] }
`,
    files: { "keep.js": KEEP },
  });
  const url = urlOf(gateway, "uws");
  expect((await fetch(`${url}/keep`)).status).toBe(200);
  let refusal: Response | null = null;
  await expect
    .poll(async () => {
      const answer = await fetch(`${url}/other`);
      if (answer.status === 503) refusal = answer;
      return answer.status;
    }, PATIENCE)
    .toBe(503);
  await expectRefusal(refusal ?? expect.fail("nothing was refused"));
  await expect
    .poll(() => gateway.lines().find(({ code }) => code === "overloaded")?.["detail"], PATIENCE)
    .toMatch(/^instance: the worker holds \d+ MiB$/);
  expect((await fetch(`${url}/urgent`)).status).toBe(200);
  expect((await gateway.admin("GET", "/readyz")).status).toBe(200);
});
