// What operators do with stored responses, on a real gateway with a listener on each engine: purge in every way, look, count, pass by.
import { execFile } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { CacheOrigin } from "../../support/cache-origin.ts";
import { commandLine, Gateway, LAUNCHER_ENV } from "../../support/gateway.ts";
import { RawClient } from "../../support/raw-client.ts";
import { until } from "../../support/until.ts";

const TOKEN = "debug-token-of-the-test";
let origin: CacheOrigin;
let gateway: Gateway;

const config = (routes: string): string => `version: 1
workers: 2
admin: { address: 127.0.0.1:0 }
cache: { debug: { header: x-cache-debug, token: ${TOKEN} } }
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
log: { file: access.log }
upstreams: { shop: { targets: [{ url: "${origin.url}" }] } }
routes:
${routes}`;

const ROUTES = `  - { name: exact, match: { path: "/exact/**" }, to: shop, cache: {} }
  - { name: some, match: { path: "/some/**" }, to: shop, cache: { key: { query: { only: [id, etag, tag, cc] } } } }
  - { name: stale, match: { path: "/stale/**" }, to: shop, cache: { staleIfError: 1h } }
  - name: passing
    match: { path: "/passing/**" }
    to: shop
    cache: { bypass: { cookies: [session], headers: [x-preview], when: '"x-draft" in header' } }
  - { name: plain, match: { path: "/plain/**" }, to: shop }
`;

beforeAll(async () => {
  origin = await CacheOrigin.start();
  gateway = await Gateway.start({ config: config(ROUTES) });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

const baseOf = (engine: Engine): string => gateway.urls[ENGINES.indexOf(engine)] ?? "";

async function get(engine: Engine, target: string, headers: Record<string, string> = {}) {
  const response = await fetch(baseOf(engine) + target, { headers });
  return { body: await response.text(), status: response.status, cache: response.headers.get("cache-status") ?? "" };
}

/** Asks until a response is there that the store has: a fill ends a moment after its client has everything. */
async function stored(engine: Engine, target: string, headers: Record<string, string> = {}): Promise<string> {
  let hit = "";
  let asking = false;
  await until(`${target} is stored`, () => {
    if (!asking && hit === "") {
      asking = true;
      void get(engine, target, headers).then(({ body, cache }) => {
        if (cache.includes("; hit")) hit = body;
        asking = false;
      });
    }
    return hit !== "";
  });
  return hit;
}

const purge = async (query: Record<string, string>) => {
  const { status, body } = await gateway.admin("POST", `/cache/purge?${new URLSearchParams(query)}`);
  return { status, body: body as Record<string, unknown> };
};

describe.each(ENGINES)("on %s", (engine) => {
  const at = (name: string): string => `${name}/${engine}`;

  test("by URL: all variants, on all workers, and nothing else", async () => {
    const url = `${at("/exact")}/a?vary=accept-language`;
    const first = await stored(engine, url, { "accept-language": "de" });
    await stored(engine, url, { "accept-language": "fr" });
    const other = await stored(engine, `${at("/exact")}/a/b`);
    const answer = await purge({ url: baseOf(engine) + url });
    expect(answer).toMatchObject({ status: 200, body: { urls: [baseOf(engine) + url], removed: null, fleet: null, soft: false } });
    for (const language of ["de", "fr"]) {
      const again = await get(engine, url, { "accept-language": language });
      expect(again.cache).toContain("fwd=");
      expect(again.body).not.toBe(first);
    }
    expect(await get(engine, `${at("/exact")}/a/b`)).toMatchObject({ body: other, cache: expect.stringContaining("; hit") });
  });

  test("by URL, whichever of its query the route counts", async () => {
    const kept = await stored(engine, `${at("/some")}/p?id=1&utm=x`);
    expect((await get(engine, `${at("/some")}/p?utm=y&id=1`)).body).toBe(kept);
    await purge({ url: `${baseOf(engine)}${at("/some")}/p?utm=z&id=1` });
    expect((await get(engine, `${at("/some")}/p?id=1`)).cache).toContain("fwd=");
  });

  test("by tag: each response that carries it, exactly", async () => {
    await stored(engine, `${at("/exact")}/t1?tag=red-${engine},blue`);
    const long = await stored(engine, `${at("/exact")}/t2?tag=red-${engine}-dark`);
    expect(await purge({ tag: `red-${engine}` })).toMatchObject({ status: 200, body: { tags: [`red-${engine}`] } });
    expect((await get(engine, `${at("/exact")}/t1?tag=red-${engine},blue`)).cache).toContain("fwd=");
    expect(await get(engine, `${at("/exact")}/t2?tag=red-${engine}-dark`)).toMatchObject({ body: long });
  });

  test("by prefix: what begins so, and the answer says how many there were", async () => {
    for (const name of ["one", "two", "three"]) await stored(engine, `${at("/exact")}/dir/${name}`);
    const outside = await stored(engine, `${at("/exact")}/dirt`);
    expect(await purge({ prefix: `${baseOf(engine)}${at("/exact")}/dir/*` })).toMatchObject({ status: 200, body: { removed: 3 } });
    for (const name of ["one", "two", "three"]) expect((await get(engine, `${at("/exact")}/dir/${name}`)).cache).toContain("fwd=");
    expect(await get(engine, `${at("/exact")}/dirt`)).toMatchObject({ body: outside, cache: expect.stringContaining("; hit") });
  });

  test("a hard purge leaves nothing that stands in for an error; after a soft one the stale response does", async () => {
    const soft = `${at("/stale")}/soft`;
    const softByPrefix = `${at("/stale")}/under/soft`;
    const hard = `${at("/stale")}/hard`;
    const kept = await stored(engine, soft);
    const keptByPrefix = await stored(engine, softByPrefix);
    await stored(engine, hard);
    await purge({ url: baseOf(engine) + soft, soft: "true" });
    expect(await purge({ prefix: `${baseOf(engine)}${at("/stale")}/under/`, soft: "true" })).toMatchObject({
      body: { removed: 1, soft: true },
    });
    await purge({ url: baseOf(engine) + hard });
    origin.failing = 503;
    try {
      expect(await get(engine, soft)).toMatchObject({ status: 200, body: kept });
      expect(await get(engine, softByPrefix)).toMatchObject({ status: 200, body: keptByPrefix });
      expect(await get(engine, hard)).toMatchObject({ status: 503 });
    } finally {
      origin.failing = 0;
    }
    // The origin is back: what was purged softly is asked for, and not served as fresh.
    expect((await get(engine, soft)).body).not.toBe(kept);
  });

  test("what is stored under a URL is shown, and why something is not", async () => {
    const target = `${at("/exact")}/look?vary=accept-language`;
    const body = await stored(engine, target, { "accept-language": "de" });
    const url = baseOf(engine) + target;
    const look = (await gateway.admin("GET", `/cache?${new URLSearchParams({ url })}`)).body as Record<string, unknown>;
    expect(look).toMatchObject({
      url,
      more: false,
      lastNotStored: null,
      stored: [{ url, route: "exact", status: 200, lifetimeSeconds: 600, stale: false, bodyBytes: body.length, vary: ["accept-language"] }],
    });
    await get(engine, `${at("/exact")}/secret?cc=private`);
    const secret = `${baseOf(engine)}${at("/exact")}/secret?cc=private`;
    expect((await gateway.admin("GET", `/cache?${new URLSearchParams({ url: secret })}`)).body).toMatchObject({
      stored: [],
      lastNotStored: { reason: "private" },
    });
    expect((await gateway.admin("GET", "/cache")).body).toMatchObject({
      objects: expect.any(Number),
      routes: expect.arrayContaining([
        expect.objectContaining({ route: "exact", responses: expect.any(Number), bytes: expect.any(Number) }),
      ]),
    });
  });

  test("requests pass by as configured, and with the token, which no upstream sees", async () => {
    const target = `${at("/passing")}/x`;
    const body = await stored(engine, target);
    for (const headers of [{ cookie: "a=1; session=7" }, { "x-preview": "1" }]) {
      const passed = await get(engine, target, headers);
      expect(passed.body).not.toBe(body);
      expect(passed.cache).toContain("fwd=bypass");
    }
    expect((await get(engine, target, { "x-draft": "1" })).cache).toContain("fwd=bypass");
    expect((await get(engine, target, { cookie: "sessions=7" })).body).toBe(body);
    const exact = `${at("/exact")}/debug`;
    const kept = await stored(engine, exact);
    expect((await get(engine, exact, { "x-cache-debug": `${TOKEN}x` })).body).toBe(kept);
    expect((await get(engine, exact, { "x-cache-debug": "" })).body).toBe(kept);
    const debugged = await get(engine, exact, { "x-cache-debug": TOKEN });
    expect(debugged.body).not.toBe(kept);
    expect(debugged.cache).toContain("detail=debug");
    expect((await get(engine, exact)).body).toBe(kept);
    await get(engine, `${at("/plain")}/y`, { "x-cache-debug": TOKEN });
    expect(origin.requests.filter(({ headers }) => "x-cache-debug" in headers)).toEqual([]);
  });

  test("a client's conditions never go upstream, whether its connection repeats a header section or not", async () => {
    const target = `${at("/exact")}/conditions?etag="v1"&cc=max-age=0`;
    const url = `GET ${target} HTTP/1.1\r\nHost: a\r\nIf-None-Match: "mine"\r\nX-Other: 1\r\n\r\n`;
    await using client = await RawClient.connect(Number(new URL(baseOf(engine)).port));
    for (let i = 0; i < 4; i++) {
      client.send(url);
      expect((await client.response()).status).toBe(200);
    }
    const seen = origin.requests
      .filter((request) => request.target === target)
      .map(({ headers }) => [headers["if-none-match"], headers["x-other"]]);
    expect(seen.length).toBeGreaterThanOrEqual(2);
    expect(seen[0]).toEqual([undefined, "1"]);
    for (const each of seen.slice(1))
      expect([
        [undefined, "1"],
        ['"v1"', "1"],
      ]).toContainEqual(each);
    expect(seen).toContainEqual(['"v1"', "1"]);
  });

  test("metrics and access log say what the cache did", async () => {
    const target = `${at("/exact")}/counted?etag="v1"&cc=max-age=0`;
    await get(engine, target);
    const revalidated = await get(engine, target);
    expect(revalidated.cache).toContain("fwd-status=304");
    const id = `id-${engine}`;
    await stored(engine, `${at("/exact")}/logged`);
    await get(engine, `${at("/exact")}/logged`, { "x-request-id": id });
    await get(engine, `${at("/plain")}/logged`, { "x-request-id": `${id}-plain` });
    const file = path.join(gateway.directory, "access.log");
    const lines = () =>
      fs
        .readFileSync(file, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    await until("both are logged", () => lines().filter(({ path }) => String(path).endsWith(`${engine}/logged`)).length >= 3);
    const logged = lines().filter(({ path }) => String(path).endsWith(`${engine}/logged`));
    expect(logged.filter(({ route }) => route === "exact").map(({ cache }) => cache)).toEqual(expect.arrayContaining(["miss", "hit"]));
    expect(logged.find(({ route }) => route === "plain")).not.toHaveProperty("cache");
    const { body } = await gateway.admin("GET", "/metrics");
    for (const outcome of ["hit", "miss", "revalidated", "bypass"])
      expect(String(body)).toMatch(new RegExp(`^sluice_cache_requests_total\\{route="exact",outcome="${outcome}"\\} [1-9]`, "m"));
    expect(String(body)).toMatch(/^sluice_cache_objects [1-9]/m);
    expect(String(body)).not.toMatch(/sluice_cache_requests_total\{route="plain"/);
  });
});

describe("orders that are not understood purge nothing", () => {
  test.each([
    ["", "nothing is named"],
    ["url=/catalog", "expected a host"],
    ["url=https://a.example/x%23y", "a fragment"],
    ["url=https://a.example/x?a=1&b=2", "there is no such parameter"],
    ["tag=", "no tag"],
    ["everything=yes", "expected true or false"],
  ])("%s", async (query, detail) => {
    const kept = await stored("uws", "/exact/kept");
    const { status, body } = await gateway.admin("POST", `/cache/purge?${query}`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: "bad_parameter", detail: expect.stringContaining(detail), remedy: expect.any(String) });
    expect((await get("uws", "/exact/kept")).body).toBe(kept);
  });

  test("nor does GET", async () => {
    expect(await gateway.admin("GET", "/cache/purge?everything=true")).toMatchObject({ status: 405 });
  });
});

test("the commands purge and show, and say what was done", async () => {
  const run = promisify(execFile);
  const [program = "", ...before] = commandLine();
  const sluice = (...args: readonly string[]) =>
    run(program, [...before, "cache", ...args, "--admin", gateway.adminUrl], { env: { ...process.env, ...LAUNCHER_ENV } });
  const target = "/exact/by-command";
  await stored("uws", target);
  const url = baseOf("uws") + target;
  expect((await sluice("show", "--url", url)).stdout).toMatch(/: 1 stored\n {2}200, \d+ bytes, fresh, age \d+ of 600 s, route exact\n/);
  expect((await sluice("purge", "--url", url)).stdout).toBe(`purged: url ${url}\n`);
  expect((await sluice("show", "--url", url)).stdout).toContain("nothing is stored");
  expect((await get("uws", target)).cache).toContain("fwd=");
  expect((await sluice("purge", "--everything")).stdout).toMatch(/^purged: everything\n\d+ responses? removed\n$/);
  expect((await sluice("show")).stdout).toMatch(/^\d+ objects, \d+ of \d+ bytes/);
  await expect(sluice("purge")).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining("what is to go") });
  await expect(sluice("purge", "--url", "/relative")).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining("expected a host"),
  });
});

test("a purge by URL counts under rules that a reload took away and brought back", async () => {
  await using own = await Gateway.start({ config: config(ROUTES) });
  const ask = async () => {
    const response = await fetch(`${own.url}/some/r?id=1&utm=2`);
    return { body: await response.text(), isHit: response.headers.get("cache-status")?.includes("; hit") === true };
  };
  let last = await ask();
  const look = { asking: false };
  await until("it is stored", () => {
    if (!look.asking && !last.isHit) {
      look.asking = true;
      void ask().then((result) => {
        last = result;
        look.asking = false;
      });
    }
    return last.isHit;
  });
  own.writeConfig(config(ROUTES.replace("only: [id, etag, tag, cc]", "except: [other]")));
  await own.admin("POST", "/reload");
  await own.admin("POST", `/cache/purge?${new URLSearchParams({ url: `${own.url}/some/r?id=1&utm=3` })}`);
  own.writeConfig(config(ROUTES));
  await own.admin("POST", "/reload");
  expect((await ask()).body).not.toBe(last.body);
});
