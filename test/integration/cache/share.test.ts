// One route's share of the store, on a real gateway with a listener on each engine: whoever floods it keeps others' responses where they are, and a reload keeps all.
import { afterAll, beforeAll, expect, test } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { CountingOrigin } from "../../support/counting-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { parsePrometheus } from "../../support/prometheus-parser.ts";

const BODY = "b".repeat(16_000);
const AT_ONCE = 16;
const TIMEOUT_MS = 60_000;
let origin: CountingOrigin;
let gateway: Gateway;

const config = (share: string): string => `version: 1
workers: 2
admin: { address: 127.0.0.1:0 }
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
cache: { memory: 8MiB, maxObject: 64KiB }
upstreams: { o: { targets: [{ url: "http://127.0.0.1:${origin.port}" }] } }
routes:
  - { name: flood, match: { path: "/flood/**" }, to: o, cache: { maxShare: ${share} } }
  - { name: shop, match: { path: "/shop/**" }, to: o, cache: {} }
`;

beforeAll(async () => {
  origin = await CountingOrigin.start(({ response }) => void response.writeHead(200, { "cache-control": "max-age=600" }).end(BODY));
  gateway = await Gateway.start({ config: config("20%") });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

/** @returns how many of them came from the store */
async function ask(engine: Engine, targets: readonly string[]): Promise<number> {
  let hits = 0;
  const left = [...targets];
  const run = async (): Promise<void> => {
    for (let target = left.pop(); target !== undefined; target = left.pop()) {
      const response = await fetch((gateway.urls[ENGINES.indexOf(engine)] ?? "") + target);
      expect(await response.text()).toBe(BODY);
      if (response.headers.get("cache-status")?.includes("; hit") === true) hits++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, run));
  return hits;
}

interface RouteSummary {
  readonly route: string;
  readonly responses: number;
  readonly bytes: number;
  readonly limitBytes: number | null;
  readonly occupiedBytes: number;
  readonly evicted: number;
}

async function summary(route: string): Promise<RouteSummary> {
  const { body } = await gateway.admin("GET", "/cache");
  const { routes } = body as { routes: readonly RouteSummary[] };
  return routes.find((each) => each.route === route) ?? expect.fail(`no ${route} in ${JSON.stringify(body)}`);
}

test.each(ENGINES)(
  "a flood of one route leaves what others have stored, and keeps within its share: %s",
  { timeout: TIMEOUT_MS },
  async (engine) => {
    const shop = Array.from({ length: 100 }, (_, i) => `/shop/${engine}/${i}`);
    for (let round = 0; round < 3; round++) await ask(engine, shop);
    const flood = Array.from({ length: 1500 }, (_, i) => `/flood/${engine}/${i}`);
    for (let at = 0; at < flood.length; at += 50) {
      await ask(engine, flood.slice(at, at + 50));
      if (at % 100 === 0) await ask(engine, flood.slice(at, at + 50)); // read again, so that they would stay
    }
    expect(await ask(engine, shop)).toBeGreaterThanOrEqual(95);
    const { occupiedBytes, limitBytes, evicted } = await summary("flood");
    expect(limitBytes).toBeGreaterThan(1_000_000);
    expect(limitBytes).toBeLessThan(0.2 * 8 * 1024 * 1024);
    expect(occupiedBytes).toBeLessThanOrEqual(limitBytes ?? 0);
    expect(evicted).toBeGreaterThan(1000);
    expect(await summary("shop")).toMatchObject({ limitBytes: null });
  },
);

test("metrics show by route what is stored, what is occupied, the limit and what had to go", async () => {
  const { body } = await gateway.admin("GET", "/metrics");
  const families = parsePrometheus(String(body));
  const value = (name: string, route: string): number | undefined =>
    families.get(`sluice_cache_route_${name}`)?.samples.find(({ labels }) => labels.route === route)?.value;
  const { bytes, limitBytes, occupiedBytes, evicted } = await summary("flood");
  expect(["bytes", "limit_bytes", "occupied_bytes", "evicted_total"].map((name) => value(name, "flood"))).toEqual([
    bytes,
    limitBytes,
    occupiedBytes,
    evicted,
  ]);
  expect(value("objects", "shop")).toBeGreaterThanOrEqual(95);
  expect(value("limit_bytes", "shop")).toBeUndefined();
});

test("a reload that changes a share keeps what the route has stored", async () => {
  const paths = ["/flood/kept/1", "/flood/kept/2"];
  await ask("net", paths);
  expect(await ask("net", paths)).toBe(2);
  const before = await summary("flood");
  gateway.writeConfig(config("50%"));
  await gateway.said("reloaded");
  const after = await summary("flood");
  expect(after.limitBytes).toBeGreaterThan(2 * (before.limitBytes ?? 0));
  expect(after.bytes).toBe(before.bytes);
  expect(await ask("net", paths)).toBe(2);
});
