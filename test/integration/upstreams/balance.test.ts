// Who gets how much, as the services see it: two workers, real connections.
import { readFileSync } from "node:fs";
import { Agent, get, type RequestOptions } from "node:http";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { Gateway } from "../../support/gateway.ts";
import { Service, stopAll } from "../../support/service.ts";

let services: Service[];
let gateway: Gateway;
const agent = new Agent({ keepAlive: true, maxSockets: 16 });

beforeAll(async () => {
  services = await Service.startAll(["a", "b", "c", "d"]);
  const urls = (weights: readonly number[]): string =>
    weights.map((weight, i) => `{ url: "${services[i]?.url}", weight: ${weight} }`).join(", ");
  const upstreams: Record<string, string> = {
    equal: `targets: [ ${urls([1, 1, 1, 1])} ], balance: round-robin`,
    weighted: `targets: [ ${urls([5, 3, 2, 0])} ], balance: round-robin`,
    random: `targets: [ ${urls([6, 3, 1])} ], balance: random`,
    idle: `targets: [ ${urls([3, 1])} ], balance: least-request`,
    least: `targets: [ ${urls([1, 1, 1, 1])} ], balance: least-request`,
    header: `targets: [ ${urls([1, 1, 1, 1])} ], balance: hash, hashOn: { header: x-session }`,
    bounded: `targets: [ ${urls([1, 1, 1, 1])} ], balance: hash, hashOn: { header: x-session }, hashBalanceFactor: 125`,
    cookie: `targets: [ ${urls([1, 1, 1, 1])} ], balance: hash, hashOn: { cookie: sid }`,
    query: `targets: [ ${urls([1, 1, 1, 1])} ], balance: hash, hashOn: { query: id }`,
    path: `targets: [ ${urls([1, 1, 1, 1])} ], balance: hash, hashOn: path`,
    ip: `targets: [ ${urls([1, 1, 1, 1])} ], balance: hash, hashOn: ip`,
  };
  gateway = await Gateway.start({
    config: `version: 1
workers: 2
admin: { address: "127.0.0.1:0" }
listeners: [ { address: "127.0.0.1:0" } ]
trustedProxies: [ 127.0.0.1 ]
upstreams:
${Object.entries(upstreams)
  .map(([name, text]) => `  ${name}: { ${text} }`)
  .join("\n")}
routes:
${Object.keys(upstreams)
  .map((name) => `  - { name: ${name}, match: { path: "/${name}/**" }, to: ${name} }`)
  .join("\n")}
`,
  });
});
afterAll(async () => {
  agent.destroy();
  await gateway[Symbol.asyncDispose]();
  await stopAll(services);
});

/** @returns the name of the service that answered */
function ask(target: string, options: RequestOptions = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    get(gateway.url + target, { agent, ...options }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.once("end", () => resolve(response.statusCode === 200 ? text : `status ${response.statusCode}`));
      response.once("error", reject);
    }).once("error", reject);
  });
}

/** Asks so often, some at a time. @returns how often each service answered, in their order */
async function spread(target: string, times: number): Promise<number[]> {
  onTestFailed(() => console.error(gateway.report()));
  const counts = new Map<string, number>();
  let left = times;
  const loop = async (): Promise<void> => {
    while (left-- > 0) {
      const name = await ask(target);
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 8 }, loop));
  const all = services.map(({ name }) => counts.get(name) ?? 0);
  expect(all.reduce((a, b) => a + b, 0)).toBe(times);
  return all;
}

describe("shares", () => {
  it("round-robin: equal, to within one a worker", async () => {
    for (const count of await spread("/equal/x", 400)) expect(Math.abs(count - 100)).toBeLessThanOrEqual(2);
  });

  it("round-robin by weight: each worker keeps them exactly; weight 0 gets nothing", async () => {
    const counts = await spread("/weighted/x", 600);
    for (const [i, share] of [300, 180, 120, 0].entries())
      expect(Math.abs((counts[i] ?? 0) - share)).toBeLessThanOrEqual(share === 0 ? 0 : 6);
  });

  it("random by weight", async () => {
    const [a = 0, b = 0, c = 0] = await spread("/random/x", 600);
    // Five standard deviations about 360, 180 and 60.
    expect(Math.abs(a - 360)).toBeLessThan(60);
    expect(Math.abs(b - 180)).toBeLessThan(57);
    expect(Math.abs(c - 60)).toBeLessThan(37);
  });

  it("least-request: by weight while nobody is busy", async () => {
    onTestFailed(() => console.error(gateway.report()));
    let a = 0;
    for (let i = 0; i < 400; i++) if ((await ask("/idle/x")) === "a") a++;
    expect(Math.abs(a - 300)).toBeLessThan(44);
  });

  it("least-request: a slow service gets little, though nobody failed", async () => {
    const [slow] = services;
    if (slow === undefined) throw new Error("not started");
    slow.delayMs = 200;
    const [a = 0, ...others] = await spread("/least/x", 400);
    slow.delayMs = 0;
    // An equal share were 100. Each time it is taken it is busy for 200 ms, while the others answer at once.
    expect(a).toBeLessThan(50);
    expect(Math.min(...others)).toBeGreaterThan(70);
  });
});

describe("hashing", () => {
  const keys = Array.from({ length: 60 }, (_, i) => `key-${i}`);
  const by: Record<string, (key: string) => Promise<string>> = {
    header: (key) => ask("/header/x", { headers: { "x-session": key } }),
    cookie: (key) => ask("/cookie/x", { headers: { cookie: `other=1; sid=${key}; last=2` } }),
    query: (key) => ask(`/query/x?a=b&id=${key}`),
    path: (key) => ask(`/path/${key}`),
    ip: (key) => ask("/ip/x", { headers: { "x-forwarded-for": `10.1.2.${key.slice(4)}` } }),
  };

  it.each(Object.keys(by))("by %s: the same key meets the same service, over all workers; keys spread", async (what) => {
    onTestFailed(() => console.error(gateway.report()));
    const askBy = by[what] ?? ask;
    const owners = new Map<string, string>();
    for (const key of keys) owners.set(key, await askBy(key));
    for (let round = 0; round < 3; round++) for (const key of keys) expect(await askBy(key)).toBe(owners.get(key));
    const counts = services.map(({ name }) => [...owners.values()].filter((owner) => owner === name).length);
    expect(Math.min(...counts)).toBeGreaterThan(3);
  });

  it("spreads what has no key", async () => {
    for (const count of await spread("/header/none", 200)) expect(count).toBeGreaterThan(20);
  });

  it("a user whose requests wait gets the next ones from the same service, on a quiet gateway", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const askAs = (sid: string) => ask("/cookie/x", { headers: { cookie: `sid=${sid}` } });
    for (const sid of ["one", "two", "three"]) {
      const home = await askAs(sid);
      for (const service of services) service.delayMs = 100;
      const answers = await Promise.all(Array.from({ length: 8 }, () => askAs(sid)));
      for (const service of services) service.delayMs = 0;
      expect(new Set(answers)).toEqual(new Set([home]));
    }
  });

  it("with a balance factor bounds what one hot key can do to its service", async () => {
    onTestFailed(() => console.error(gateway.report()));
    for (const service of services) service.delayMs = 200;
    const answers = await Promise.all(Array.from({ length: 16 }, () => ask("/bounded/hot", { headers: { "x-session": "hot" } })));
    for (const service of services) service.delayMs = 0;
    // 16 under way by one worker or two: at most 1.25 times the mean of each worker's, rounded up, at one service.
    const most = Math.max(...services.map(({ name }) => answers.filter((answer) => answer === name).length));
    expect(most).toBeLessThanOrEqual(8);
    expect(new Set(answers).size).toBeGreaterThan(2);
  });

  it("only the keys of a service that goes move, and they come back with it", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const askBy = by["header"] ?? ask;
    const before = new Map<string, string>();
    for (const key of keys) before.set(key, await askBy(key));
    const urls = services.map((service) => `{ url: "${service.url}", weight: 1 }`).join(", ");
    const config = readFileSync(gateway.configFile, "utf8");
    const header = `header: { targets: [ ${urls} ]`;
    expect(config).toContain(header);
    gateway.writeConfig(config.replace(header, `header: { targets: [ ${urls.replace("weight: 1", "weight: 0")} ]`));
    await gateway.said("reloaded", 1);
    for (const key of keys) {
      const now = await askBy(key);
      if (before.get(key) === "a") expect(now).not.toBe("a");
      else expect(now).toBe(before.get(key));
    }
    gateway.writeConfig(config);
    await gateway.said("reloaded", 2);
    for (const key of keys) expect(await askBy(key)).toBe(before.get(key));
  });
});
