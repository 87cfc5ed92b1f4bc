// Things that die or hang: workers, the primary. Real processes, traffic going on.
import { expect, test } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { SteadyClient } from "../../support/steady-client.ts";
import { until } from "../../support/until.ts";

const config = (upstream: string, more = "") => `
version: 1
workers: 2
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "127.0.0.1:0" }
upstreams: { origin: { targets: [ { url: "${upstream}" } ] } }
routes: [ { name: all, match: { path: /** }, to: origin } ]
${more}`;

interface WorkerView {
  readonly state: string;
  readonly restarts: number;
}

const workers = async (gateway: Gateway) => (await gateway.admin("GET", "/workers")).body as WorkerView[]; // the admin listener's documented form

test("a worker that throws finishes its requests, is replaced, and the others go on", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url) });
  const client = new SteadyClient({ url: `${gateway.url}/x?ms=5`, connections: 8, keepAlive: true });
  await until("traffic flows", () => client.ok > 50);
  for (const worker of [0, 1]) {
    await gateway.admin("POST", `/debug/crash?worker=${worker}`);
    await gateway.said("a worker was replaced", worker + 1);
  }
  const before = client.ok;
  await until("traffic goes on", () => client.ok > before + 50);
  await client.stop();
  expect(client.failures).toEqual([]);
  expect(await workers(gateway)).toMatchObject([
    { state: "serving", restarts: 1 },
    { state: "serving", restarts: 1 },
  ]);
  expect(gateway.lines("a worker failed")).toMatchObject([{ error: expect.stringContaining("crash asked for by a test") }, {}]);
  expect(gateway.lines("the primary died: starting it again")).toEqual([]);
});

test("a primary that is killed is started again on the same port", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url) });
  const first = gateway.primaryPid;
  process.kill(first, "SIGKILL");
  await gateway.said("ready again");
  expect(gateway.primaryPid).not.toBe(first);
  expect(await (await fetch(`${gateway.url}/x`)).text()).toBe("one");
  expect(gateway.stdout.match(/^ready /gm)).toHaveLength(1);
  expect(await gateway.stop()).toBe(0);
});

test("a primary that keeps dying is started again ever later, and says so", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url) });
  for (const again of [1, 2]) {
    process.kill(gateway.primaryPid, "SIGKILL");
    await gateway.said("ready again", again);
  }
  expect(gateway.lines("the primary died: starting it again")).toMatchObject([{ how: "signal SIGKILL", delayMs: 0 }]);
  expect(gateway.lines("the primary keeps dying: waiting before the next start")).toMatchObject([{ delayMs: 200, deaths: 2 }]);
  expect(await (await fetch(`${gateway.url}/x`)).text()).toBe("one");
});

test("a primary that is restarted and finds a broken configuration goes on with the last good one", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url) });
  gateway.writeConfig("nonsense");
  await gateway.said("reload refused: the old configuration stays in force");
  process.kill(gateway.primaryPid, "SIGKILL");
  await gateway.said("ready again");
  expect(gateway.lines("the configuration is broken: going on with the one that was in force")).toHaveLength(1);
  expect(await (await fetch(`${gateway.url}/x`)).text()).toBe("one");
});

test("a blocked worker is reported, and its return too", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url, "watchdog: { timeout: 500ms, replaceAfter: 0 }") });
  await gateway.admin("POST", "/debug/block?worker=1&ms=2000");
  expect(await gateway.said("a worker is blocked: its event loop does not turn")).toMatchObject({ worker: 1 });
  expect(await gateway.admin("GET", "/readyz")).toMatchObject({
    status: 200,
    body: { concerns: [expect.stringContaining("worker 1 is blocked")] },
  });
  await gateway.said("a blocked worker is back");
  expect(await gateway.admin("GET", "/readyz")).toMatchObject({ body: { concerns: [] } });
});

test("a worker that stays blocked makes the instance replace itself, on the same port", async () => {
  await using origin = await Origin.start("one");
  const options = "watchdog: { timeout: 500ms, replaceAfter: 1s }\ndrainTimeout: 2s";
  await using gateway = await Gateway.start({ config: config(origin.url, options) });
  const first = gateway.primaryPid;
  await gateway.admin("POST", "/debug/block?worker=1&ms=60000");
  await gateway.said("ready again", 1, 20_000);
  await gateway.said("the replaced primary is gone", 1, 20_000);
  expect(gateway.primaryPid).not.toBe(first);
  for (let i = 0; i < 20; i++) expect(await (await fetch(`${gateway.url}/x`, { headers: { connection: "close" } })).text()).toBe("one");
  expect(await gateway.stop()).toBe(0);
});

test("an access log that cannot be written is said once in the gateway's log and shown, and nothing waits for it", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url, "log: { file: /dev/full }") });
  for (let i = 0; i < 20; i++) expect(await (await fetch(`${gateway.url}/x`)).text()).toBe("one");
  const message = "the access log cannot be written: lines are dropped";
  expect(await gateway.said(message)).toMatchObject({ level: "error", reason: expect.stringContaining("ENOSPC") });
  expect(await gateway.admin("GET", "/readyz")).toMatchObject({
    status: 200,
    body: { concerns: [expect.stringContaining("the access log cannot be written: ENOSPC")] },
  });
  expect(await gateway.stop()).toBe(0);
  expect(gateway.lines(message)).toHaveLength(1);
});
