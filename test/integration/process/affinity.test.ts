// Workers on the CPUs that the configuration names: what the kernel says of each thread, also of those that come later.
import fs from "node:fs";
import { expect, test } from "vitest";
import { allowedCpusOf, formatCpuList } from "../../../src/base/cpu-list.ts";
import { Gateway } from "../../support/gateway.ts";
import { Origin } from "../../support/origin.ts";
import { until } from "../../support/until.ts";

const ALLOWED = allowedCpusOf(fs.readFileSync("/proc/self/status", "utf8")) ?? [];
const [FIRST, LAST] = [ALLOWED[0] ?? 0, ALLOWED.at(-1) ?? 0];
const EVERYWHERE = formatCpuList(ALLOWED);

const config = (upstream: string, workers: string, more = "") => `version: 1
workers: ${workers}
listeners: [ { address: "127.0.0.1:0" } ]
admin: { address: "127.0.0.1:0" }
upstreams: { origin: { targets: [ { url: "${upstream}" } ] } }
routes: [ { name: all, match: { path: /** }, to: origin${more === "" ? "" : ", auth: corp"} } ]
${more}`;

interface WorkerView {
  readonly index: number;
  readonly state: string;
  readonly cpu: number | null;
}
const workers = async (gateway: Gateway) => (await gateway.admin("GET", "/workers")).body as WorkerView[]; // the admin listener's documented form

/** Cpus_allowed_list of a thread; null when it is gone. */
function affinity(pid: number, thread: string | number): string | null {
  try {
    return /^Cpus_allowed_list:\t(.*)$/m.exec(fs.readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8"))?.[1] ?? null;
  } catch {
    return null;
  }
}

const PINNED = "a worker is pinned";

/** With one CPU there is nothing to pin to. */
const onTwoCpus = test.runIf(ALLOWED.length > 1);

/** Threads of the primary, but for those. */
const otherThreads = (gateway: Gateway, but: readonly unknown[]): readonly string[] =>
  fs.readdirSync(`/proc/${gateway.primaryPid}/task`).filter((thread) => !but.includes(Number(thread)));

onTwoCpus("each worker runs on its CPU and everything else everywhere; so does a replacement", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url, `{ count: 2, cpus: [${LAST}, ${FIRST}] }`) });
  await gateway.said(PINNED, 2);
  const pid = gateway.primaryPid;
  const pinned = gateway.lines(PINNED);
  expect(pinned).toMatchObject([
    { worker: 0, cpu: LAST },
    { worker: 1, cpu: FIRST },
  ]);
  for (const { thread, cpu } of pinned) expect(affinity(pid, Number(thread))).toBe(String(cpu));
  for (const thread of otherThreads(
    gateway,
    pinned.map((line) => line["thread"]),
  ))
    expect([EVERYWHERE, null]).toContain(affinity(pid, thread));
  expect(await workers(gateway)).toMatchObject([{ cpu: LAST }, { cpu: FIRST }]);

  await gateway.admin("POST", "/debug/crash?worker=1");
  await gateway.said("a worker was replaced");
  const line = await gateway.said(PINNED, 3);
  expect(line).toMatchObject({ worker: 1, cpu: FIRST });
  expect(line["thread"]).not.toBe(pinned[1]?.["thread"]);
  expect(affinity(pid, Number(line["thread"]))).toBe(String(FIRST));
  expect((await workers(gateway)).map((each) => each.cpu)).toEqual([LAST, FIRST]);
  expect(await (await fetch(`${gateway.url}/x`)).text()).toBe("one");
  expect(await gateway.admin("GET", "/readyz")).toMatchObject({ body: { concerns: [] } });
});

onTwoCpus("a thread that a pinned worker starts does not stay on its CPU", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url, `{ count: 2, cpus: [${FIRST}] }`) });
  await gateway.said(PINNED, 2);
  const own = gateway.lines(PINNED).map((line) => line["thread"]);
  const before = otherThreads(gateway, own).length;
  // Tokens are verified in a thread beside each worker, which starts with the plan that first asks for it.
  const auth = `auth: { corp: { jwt: { issuer: "https://id", audience: api, algorithms: [HS256], secret: "${"s".repeat(40)}" } } }`;
  gateway.writeConfig(config(origin.url, `{ count: 2, cpus: [${FIRST}] }`, auth));
  await gateway.said("reloaded");
  expect(otherThreads(gateway, own).length).toBeGreaterThanOrEqual(before + 2);
  const astray = () => otherThreads(gateway, own).filter((thread) => ![EVERYWHERE, null].includes(affinity(gateway.primaryPid, thread)));
  await until("only workers are pinned", () => astray().length === 0, 15_000);
  for (const thread of own) expect(affinity(gateway.primaryPid, Number(thread))).toBe(String(FIRST));
});

onTwoCpus("`auto` takes the CPUs that this process may use, a worker for each", async () => {
  await using origin = await Origin.start("one");
  await using gateway = await Gateway.start({ config: config(origin.url, "{ cpus: auto }") });
  await gateway.said(PINNED, ALLOWED.length);
  expect((await workers(gateway)).map((each) => each.cpu)).toEqual(ALLOWED);
});

test("without taskset it serves all the same, and says why workers are not pinned", async () => {
  await using origin = await Origin.start("one");
  const nowhere = fs.mkdtempSync("/tmp/sluice-empty-");
  await using gateway = await Gateway.start({ config: config(origin.url, `{ count: 1, cpus: [${FIRST}] }`), env: { PATH: nowhere } });
  const reason = `worker 0 is not pinned to CPU ${FIRST}: taskset is not there (Debian: util-linux)`;
  const alone = ALLOWED.length === 1; // then it is where it belongs without being moved
  if (!alone) {
    expect(await gateway.said("a worker cannot be pinned: the kernel chooses its CPU")).toMatchObject({ level: "warn", reason });
    expect(await gateway.admin("GET", "/readyz")).toMatchObject({ status: 200, body: { concerns: [reason] } });
    expect(await workers(gateway)).toMatchObject([{ cpu: null, state: "serving" }]);
  }
  expect(await (await fetch(`${gateway.url}/x`)).text()).toBe("one");
  fs.rmdirSync(nowhere);
});

test("a CPU that this process may not use is refused at the start", async () => {
  await using gateway = Gateway.spawn({ config: config("http://127.0.0.1:1", "{ cpus: [8191] }") });
  expect((await gateway.exited).code).toBe(1);
  expect(gateway.output).toContain(`workers.cpus: this process may not run on CPU 8191; it may run on ${EVERYWHERE}`);
});
