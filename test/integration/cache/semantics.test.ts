// What a stored response is good for beside hits: an open breaker, a service that has all that it can work on, HEAD and Range; and addresses that are mapped back.
// On a real gateway with a listener on each engine, in front of a real service.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { CacheOrigin } from "../../support/cache-origin.ts";
import { Gateway } from "../../support/gateway.ts";
import { parsePrometheus } from "../../support/prometheus-parser.ts";
import { until, untilAsync } from "../../support/until.ts";

let origin: CacheOrigin;
let gateway: Gateway;

beforeAll(async () => {
  origin = await CacheOrigin.start();
  const target = `targets: [{ url: "${origin.url}" }], retry: { attempts: 0 }`;
  const breaker = "breaker: { scope: upstream, consecutiveFailures: 1, openFor: 1h, fallback: stale }";
  const overload = "overload: { mode: on, minimum: 1, maximum: 1, queue: { length: 0 } }";
  const each = (line: (engine: Engine) => string): string => ENGINES.map(line).join("\n");
  gateway = await Gateway.start({
    config: `version: 1
workers: 1
admin: { address: 127.0.0.1:0 }
listeners:
  - address: 127.0.0.1:0
  - { address: 127.0.0.1:0, engine: net }
upstreams:
  plain: { ${target} }
${each((engine) => `  broken-${engine}: { ${target}, ${breaker} }\n  busy-${engine}: { ${target}, ${overload} }`)}
routes:
  - { name: plain, match: { path: "/plain/**" }, to: plain, cache: {} }
  - { name: shop, match: { path: "/shop/**" }, rewrite: { stripPrefix: /shop, response: auto }, to: plain, cache: {} }
${each(
  (engine) => `  - { name: broken-${engine}, match: { path: "/broken/${engine}/**" }, to: broken-${engine}, cache: {} }
  - { name: busy-${engine}, match: { path: "/busy/${engine}/**" }, to: busy-${engine}, cache: { staleIfOpen: 1h } }`,
)}
`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

const STALE = "cc=max-age%3D0&etag=%22a%22";

describe.each(ENGINES)("on %s", (engine) => {
  async function ask(target: string, { method = "GET", headers = {} }: { method?: string; headers?: Record<string, string> } = {}) {
    const response = await fetch((gateway.urls[ENGINES.indexOf(engine)] ?? "") + target, { method, headers, redirect: "manual" });
    const field = (name: string): string => response.headers.get(name) ?? "";
    return { status: response.status, body: await response.text(), cache: field("cache-status"), field };
  }

  /** Asks until the answer says this of the store: a fill ends a moment after its client has everything. */
  async function asked(target: string, how: string, headers: Record<string, string> = {}) {
    let last = await ask(target, { headers });
    await untilAsync(`${target}: ${how}`, async () => {
      if (!last.cache.includes(how)) last = await ask(target, { headers });
      expect(last.cache).toContain(how);
    });
    return last;
  }

  const sentFor = (path: string) => origin.requests.filter(({ target }) => target.startsWith(path)).map(({ method }) => method);

  test("breaker.fallback: stale answers with what is stored while the breaker is open, and is counted as a fallback", async () => {
    const target = `/broken/${engine}/a?${STALE}`;
    const { body } = await asked(target, "fwd-status=304");
    origin.failing = 500;
    expect((await ask(`/broken/${engine}/fails`)).status).toBe(500);
    origin.failing = 0;
    const before = origin.requests.length;
    const stale = await ask(target);
    expect([stale.status, stale.body, stale.cache]).toEqual([
      200,
      body,
      expect.stringMatching(/fwd=stale; ttl=-?\d+; detail=breaker_open/),
    ]);
    const head = await ask(target, { method: "HEAD" });
    expect([head.status, head.body]).toEqual([200, ""]);
    const nothing = await ask(`/broken/${engine}/b`);
    expect([nothing.status, nothing.body]).toEqual([503, expect.stringContaining("breaker_open")]);
    expect(origin.requests).toHaveLength(before);
    const metrics = parsePrometheus(String((await gateway.admin("GET", "/metrics")).body));
    const counted = (name: string) =>
      metrics.get(name)?.samples.find(({ labels }) => Object.values(labels).includes(`broken-${engine}`))?.value;
    expect([counted("sluice_breaker_fallbacks_total"), counted("sluice_breaker_rejected_total")]).toEqual([2, 1]);
  });

  test("staleIfOpen answers with what is stored instead of 503 overloaded", async () => {
    const target = `/busy/${engine}/a?${STALE}`;
    const { body } = await asked(target, "fwd-status=304");
    const busy = ask(`/busy/${engine}/b?hold=1`);
    await until("the service is busy", () => sentFor(`/busy/${engine}/b`).length === 1);
    const stale = await ask(target);
    expect([stale.status, stale.body, stale.cache]).toEqual([200, body, expect.stringContaining("detail=overloaded")]);
    const nothing = await ask(`/busy/${engine}/c`);
    expect([nothing.status, nothing.body]).toEqual([503, expect.stringContaining("overloaded")]);
    origin.release();
    expect((await busy).status).toBe(200);
  });

  test("addresses are mapped back on misses and hits, and an unsafe request makes void what it names at the client's side", async () => {
    const target = `/shop/${engine}/a?location=/b`;
    for (const answer of [await ask(target), await asked(target, "; hit")]) expect(answer.field("location")).toBe("/shop/b");
    const item = `/shop/${engine}/item`;
    const { body } = await asked(item, "; hit");
    expect((await ask(`/shop/${engine}/order?location=/${engine}/item`, { method: "POST" })).field("location")).toBe(item);
    const after = await ask(item);
    expect([after.body === body, after.cache]).toEqual([false, expect.stringContaining("fwd=uri-miss")]);
  });

  test("HEAD is asked by HEAD, and makes a stored GET fresh by its length, or takes it away", async () => {
    const target = `/plain/${engine}/head?size=10&cc=max-age%3D0,stale-if-error%3D900`;
    expect((await ask(target)).body).toBe("0123456789");
    await untilAsync("it is stored", async () => {
      expect((await ask(target, { headers: { "cache-control": "only-if-cached, max-stale" } })).status).toBe(200);
    });
    origin.control = "max-age=600";
    const head = await ask(target, { method: "HEAD" });
    origin.control = "";
    expect([head.status, head.field("content-length"), head.cache]).toEqual([200, "10", expect.stringContaining("stored")]);
    expect((await ask(target)).cache).toContain("; hit");
    expect(sentFor(`/plain/${engine}/head`)).toEqual(["GET", "HEAD"]);
  });

  test("a range of what is not stored has the whole fetched when it fits, and of larger ones no more than the range", async () => {
    const [small, large] = [`/plain/${engine}/small?size=1000`, `/plain/${engine}/large?size=3000000`];
    const first = await ask(small, { headers: { range: "bytes=5-7" } });
    expect([first.status, first.body, first.field("content-range")]).toEqual([206, "567", "bytes 5-7/1000"]);
    const hit = await asked(small, "; hit", { range: "bytes=5-7" });
    expect([hit.status, hit.body, hit.field("content-range")]).toEqual([206, "567", "bytes 5-7/1000"]);
    for (let i = 0; i < 2; i++) expect((await ask(large, { headers: { range: "bytes=5-7" } })).body).toBe("567");
    expect((await ask(large, { headers: { range: "bytes=0-0,2-2" } })).status).toBe(200);
    expect(sentFor(`/plain/${engine}/large`)).toHaveLength(3);
  });
});

test("what another plan has mapped back is not served under this one", async () => {
  const config = (to: string): string => `version: 1
workers: 1
admin: { address: 127.0.0.1:0 }
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { plain: { targets: [{ url: "${origin.url}" }] } }
routes: [{ name: r, match: { path: /** }, rewrite: { response: { location: [{ from: /b, to: ${to} }] } }, to: plain, cache: {} }]
`;
  await using own = await Gateway.start({ config: config("/one") });
  const ask = async () => {
    const { headers } = await fetch(`${own.urls[0]}/reloaded?location=/b`, { redirect: "manual" });
    return { location: headers.get("location"), isHit: headers.get("cache-status")?.includes("; hit") };
  };
  await untilAsync("it is stored", async () => expect(await ask()).toEqual({ location: "/one", isHit: true }));
  own.writeConfig(config("/two"));
  await own.admin("POST", "/reload");
  const seen: Awaited<ReturnType<typeof ask>>[] = [];
  await untilAsync("it is stored anew", async () => {
    seen.push(await ask());
    expect(seen.at(-1)?.isHit).toBe(true);
  });
  expect(new Set(seen.map(({ location }) => location))).toEqual(new Set(["/two"]));
});
