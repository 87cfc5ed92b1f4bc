// What is asked for ahead of clients, on a real gateway with a listener on each engine: at its start, when the list changes, and on demand.
import { execFile } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { CountingOrigin } from "../../support/counting-origin.ts";
import { commandLine, Gateway, LAUNCHER_ENV } from "../../support/gateway.ts";
import { until } from "../../support/until.ts";

let origin: CountingOrigin;
let gateway: Gateway;

const config = (urls: string): string => `version: 1
workers: 2
admin: { address: 127.0.0.1:0 }
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
cache: { warm: { urls: ${urls}, concurrency: 2, variants: [{ accept-encoding: gzip }, { accept-encoding: br }] } }
auth: { keys: { apiKey: { in: header, name: x-api-key } } }
consumers: [{ id: a, keys: ["sha256:${"0".repeat(64)}"] }]
upstreams: { o: { targets: [{ url: "http://127.0.0.1:${origin.port}" }] } }
routes:
  - { name: shop, match: { path: "/shop/**" }, to: o, auth: none, cache: {} }
  - { name: own, match: { path: "/own/**" }, to: o, auth: keys, cache: {} }
  - { name: plain, match: { path: "/plain" }, to: o, auth: none }
`;

beforeAll(async () => {
  origin = await CountingOrigin.start(({ request, response }) => {
    const coding = String(request.headers["accept-encoding"] ?? "");
    response.writeHead(200, { "cache-control": "max-age=600", vary: "accept-encoding" }).end(`${request.url} ${coding}`);
  });
  const list =
    "# what everybody asks for first\nhttp://shop.example/shop/1\n\nhttp://shop.example/shop/2?b=1\r\nhttp://shop.example/own/1\n";
  gateway = await Gateway.start({ config: config("file:warm.txt"), files: { "warm.txt": list } });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

interface Warm {
  readonly running: boolean;
  readonly cause: string;
  readonly requests: number;
  readonly stored: number;
  readonly present: number;
  readonly failed: number;
  readonly failures: readonly { readonly url: string; readonly reason: string }[];
}

const state = async (): Promise<Warm> => ((await gateway.admin("GET", "/cache")).body as { warm: Warm }).warm;

async function get(engine: Engine, target: string, encoding: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { request } = await import("node:http");
  request(
    (gateway.urls[ENGINES.indexOf(engine)] ?? "") + target,
    { headers: { host: "shop.example", "accept-encoding": encoding }, agent: false },
    (response) => {
      response.resume().on("end", () => resolve(String(response.headers["cache-status"])));
    },
  )
    .on("error", reject)
    .end();
  return promise;
}

test("the list is stored once the instance serves, in every variant, and what cannot be stored is said once with its reason", async () => {
  await gateway.said("warm-up is over");
  expect(await state()).toMatchObject({ running: false, cause: "start", requests: 6, stored: 4, failed: 2 });
  expect((await state()).failures.map(({ url }) => url)).toEqual(["http://shop.example/own/1", "http://shop.example/own/1"]);
  expect((await state()).failures[0]?.reason).toMatch(/^401 /);
  expect(gateway.lines("a URL of cache.warm is not stored")).toHaveLength(2);
  for (const engine of ENGINES) {
    expect(await get(engine, "/shop/1", "gzip")).toContain("; hit");
    expect(await get(engine, "/shop/2?b=1", "br")).toContain("; hit");
  }
  expect(origin.asked.get("/shop/1")).toBe(2); // a variant each
});

test("an order goes through the list again, and what is there is not asked for", async () => {
  const before = [...origin.asked];
  const { status, body } = await gateway.admin("POST", "/cache/warm");
  expect([status, (body as Warm).cause]).toEqual([202, "order"]);
  await gateway.said("warm-up is over", 2);
  expect(await state()).toMatchObject({ cause: "order", present: 4, stored: 0, failed: 2 });
  expect([...origin.asked]).toEqual(before);
  expect((await gateway.admin("POST", "/cache/warm?url=http://a/")).status).toBe(400);
});

test("the command orders it, and shows what came of it", async () => {
  const cli = async (...args: readonly string[]): Promise<string> => {
    const [program = "", ...before] = commandLine();
    const { stdout } = await promisify(execFile)(program, [...before, "cache", ...args, "--admin", gateway.adminUrl], {
      env: { ...process.env, ...LAUNCHER_ENV },
    });
    return stdout;
  };
  expect(await cli("warm")).toContain("of 6 requests");
  await gateway.said("warm-up is over", 3);
  expect(await cli("show")).toContain(
    "warm-up is over: 6 of 6 requests; 0 stored, 4 were there, 2 failed\n  http://shop.example/own/1: 401",
  );
});

test("a list that changes, in its file too, is gone through again, and a reload that does not change it begins nothing", async () => {
  const file = path.join(path.dirname(gateway.configFile), "warm.txt");
  fs.writeFileSync(file, "http://shop.example/shop/3\n");
  await gateway.said("warm-up is over", 4);
  expect(await state()).toMatchObject({ cause: "reload", requests: 2, stored: 2, failed: 0 });
  expect(await get("uws", "/shop/3", "gzip")).toContain("; hit");
  const reloads = gateway.lines("reloaded").length;
  gateway.writeConfig(`${config("file:warm.txt")}  - { name: more, match: { path: "/more" }, to: o, auth: none }\n`);
  await gateway.said("reloaded", reloads + 1);
  expect(gateway.lines("warm-up begins")).toHaveLength(4);
});

test("a worker that dies meanwhile ends nothing", async () => {
  const urls = Array.from({ length: 200 }, (_, i) => `http://shop.example/shop/many/${i}`);
  await using own = await Gateway.start({ config: config(JSON.stringify(urls)), env: { SLUICE_TEST_HOOKS: "1" } });
  await own.said("warm-up begins");
  await own.admin("POST", "/debug/crash?worker=0");
  await own.said("warm-up is over", 1, 30_000);
  const { warm } = (await own.admin("GET", "/cache")).body as { warm: Warm };
  expect(warm.stored + warm.present + warm.failed).toBe(400);
  await until("the worker is replaced", () => own.lines("a worker was replaced").length === 1);
});
