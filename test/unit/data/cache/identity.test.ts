// Who may get what: callers, credentials, templates, splits, cookies and what attackers try. Each answer of the played origin says to whom it is.
import { createHash } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import type { HeaderList } from "../../../../src/base/header-list.ts";
import { getHeader } from "../../../../src/base/header-list.ts";
import { workerCache } from "../../../../src/data/cache/worker-cache.ts";
import { dealt, field, fresh, held, NOTHING_HELD, statusOf } from "../../../support/cached-route.ts";
import { type PlayedCall, type PlayedClient, PlayedWorker } from "../../../support/played-worker.ts";
import { seededRandom } from "../../../support/upstreams.ts";

let worker: PlayedWorker;
afterEach(async () => {
  await new Promise(setImmediate); // refusals are written in the next turn
  expect(worker.faults).toEqual([]);
  expect(held(worker)).toEqual(NOTHING_HELD);
  worker.stop();
});

const KEYS = { acme: "key-of-acme-0123456789abcdef", bolt: "key-of-bolt-0123456789abcdef" } as const;

const hashOf = (key: string): string => `sha256:${createHash("sha256").update(key).digest("hex")}`;

const start = (routes: string): Promise<PlayedWorker> =>
  PlayedWorker.start(`version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  a: { targets: [{ url: http://a }], retry: { attempts: 0 } }
  b: { targets: [{ url: http://b }], retry: { attempts: 0 } }
auth:
  keys: { apiKey: { in: header, name: x-api-key } }
  query-keys: { apiKey: { in: query, name: apikey } }
  bearer-keys: { apiKey: { from: [{ header: authorization, scheme: Bearer }] } }
consumers:
  - { id: acme, keys: ["${hashOf(KEYS.acme)}"] }
  - { id: bolt, keys: ["${hashOf(KEYS.bolt)}"] }
identity: { headers: { consumer: x-consumer, authenticator: x-by } }
defaults: { auth: none }
routes:
${routes}
`);

/** All that the origin was told, and nothing that differs by itself. */
function told({ target, request }: PlayedCall): string {
  const said = ["x-consumer", "x-by", "x-tenant", "x-lang", "authorization", "cookie", "x-forwarded-host", "x-forwarded-proto", "host"];
  return JSON.stringify([target, request.path, ...said.map((name) => getHeader(request.headers, name) ?? null)]);
}

/** Answers each call that is open with what it was told. */
function answer(headers: HeaderList = fresh()): void {
  for (const call of worker.calls.splice(0))
    if (!call.cancelled)
      call
        .head(200, [...headers])
        .data(told(call))
        .end();
}

/** Asks and has it answered. */
function ask(path: string, headers: HeaderList = [], query = "", reply: HeaderList = fresh()): PlayedClient {
  const x = worker.ask(path, { headers }, query);
  answer(reply);
  return x;
}

const consumerOf = (x: PlayedClient): unknown => JSON.parse(x.body)[2];
const isHit = (x: PlayedClient): boolean => dealt(x).includes("; hit");

describe("callers", () => {
  it("have answers of their own: two consumers, and one that comes by two authenticators", async () => {
    worker = await start("  - { name: r, match: { path: /** }, auth: { any: [keys, bearer-keys] }, cache: {}, to: a }");
    const callers: HeaderList[] = [
      ["x-api-key", KEYS.acme],
      ["x-api-key", KEYS.bolt],
      ["authorization", `Bearer ${KEYS.acme}`],
      ["authorization", `Bearer ${KEYS.bolt}`],
    ];
    const first = callers.map((headers) => ask("/x", headers));
    expect(first.map((x) => [JSON.parse(x.body)[2], JSON.parse(x.body)[3]])).toEqual([
      ["acme", "keys"],
      ["bolt", "keys"],
      ["acme", "bearer-keys"],
      ["bolt", "bearer-keys"],
    ]);
    const second = callers.map((headers) => ask("/x", headers));
    expect(second.map(isHit)).toEqual([true, true, true, true]);
    expect(second.map(({ body }) => body)).toEqual(first.map(({ body }) => body));
    expect(statusOf(ask("/x"))).toBe(401);
  });

  it("who are nobody on a route with optional auth are neither served from the store nor fill it", async () => {
    worker = await start("  - { name: r, match: { path: /** }, auth: { optional: keys }, cache: {}, to: a }");
    ask("/x", ["x-api-key", KEYS.acme]);
    const x = ask("/x");
    expect([consumerOf(x), dealt(x)]).toEqual([null, "sluice; fwd=bypass; detail=no-key"]);
    expect(isHit(ask("/x"))).toBe(false);
    expect(isHit(ask("/x", ["x-api-key", KEYS.acme]))).toBe(true);
  });

  it("share answers where the route says so, and then Authorization forbids it (RFC 9111 section 3.5)", async () => {
    worker = await start("  - { name: r, match: { path: /** }, auth: { any: [keys, bearer-keys] }, cache: { perConsumer: false }, to: a }");
    ask("/x", ["x-api-key", KEYS.acme]);
    expect([isHit(ask("/x", ["x-api-key", KEYS.bolt])), isHit(ask("/y", ["authorization", `Bearer ${KEYS.acme}`]))]).toEqual([true, false]);
    expect(isHit(ask("/y", ["authorization", `Bearer ${KEYS.acme}`]))).toBe(false);
  });

  it("whose own Authorization passes unproven beside the credential that names them are told apart by nothing: it is not stored (RFC 9111 section 3.5)", async () => {
    worker = await start("  - { name: r, match: { path: /** }, auth: keys, cache: {}, to: a }");
    const alice = ask("/x", ["x-api-key", KEYS.acme, "authorization", "Basic YWxpY2U6"]);
    const bob = ask("/x", ["x-api-key", KEYS.acme, "authorization", "Basic Ym9iOg=="]);
    expect([JSON.parse(alice.body)[6], JSON.parse(bob.body)[6]]).toEqual(["Basic YWxpY2U6", "Basic Ym9iOg=="]);
    expect([isHit(alice), isHit(bob)]).toEqual([false, false]);
  });

  it("whose proven Authorization is forwarded have answers of their own", async () => {
    worker = await start("  - { name: r, match: { path: /** }, auth: { any: [bearer-keys], forwardCredentials: true }, cache: {}, to: a }");
    for (const name of ["acme", "bolt"] as const) ask("/x", ["authorization", `Bearer ${KEYS[name]}`]);
    for (const name of ["acme", "bolt"] as const) {
      const x = ask("/x", ["authorization", `Bearer ${KEYS[name]}`]);
      expect([consumerOf(x), isHit(x)]).toEqual([name, true]);
    }
  });

  it("prove themselves in the query without the origin learning how", async () => {
    worker = await start("  - { name: r, match: { path: /** }, auth: query-keys, cache: {}, to: a }");
    const x = ask("/x", [], `a=1&apikey=${KEYS.acme}`);
    expect([JSON.parse(x.body)[1], consumerOf(x)]).toEqual(["/x?a=1", "acme"]);
  });

  it("wait for answers of their own, when all ask at once", async () => {
    worker = await start("  - { name: r, match: { path: /** }, auth: keys, cache: {}, to: a }");
    const clients = (["acme", "bolt", "acme", "bolt"] as const).map((name) => worker.ask("/x", { headers: ["x-api-key", KEYS[name]] }));
    expect(worker.calls).toHaveLength(2);
    answer();
    expect(clients.map(consumerOf)).toEqual(["acme", "bolt", "acme", "bolt"]);
  });
});

describe("what the gateway makes of a request", () => {
  it("by templates and queries of its own is part of the key, and reaches the origin", async () => {
    worker = await start(`  - name: r
    match: { path: "/{tenant}/**" }
    auth: keys
    headers: { request: { set: { x-tenant: "{consumer.id}-{header.x-who}" } } }
    query: { set: { v: "{header.x-version}" } }
    cache: {}
    to: a`);
    const seen = ["1", "2"].map((version) => ask("/t/x", ["x-api-key", KEYS.acme, "x-who", "ann", "x-version", version]).body);
    expect(seen.map((body) => JSON.parse(body)[1])).toEqual(["/t/x?v=1", "/t/x?v=2"]);
    const other = ask("/t/x", ["x-api-key", KEYS.acme, "x-who", "bob", "x-version", "1"]);
    expect([JSON.parse(other.body)[4], isHit(other)]).toEqual(["acme-bob", false]);
    expect(isHit(ask("/t/x", ["x-api-key", KEYS.acme, "x-who", "ann", "x-version", "2"]))).toBe(true);
  });

  it("by a sticky split is told apart", async () => {
    worker = await start(
      "  - { name: r, match: { path: /** }, cache: {}, weighted: [{ upstream: a, weight: 1 }, { upstream: b, weight: 1 }], stickyBy: { header: x-user } }",
    );
    const users = Array.from({ length: 20 }, (_, i) => `u${i}`);
    const targets = users.map((user) => JSON.parse(ask("/x", ["x-user", user]).body)[0]);
    expect(new Set(targets).size).toBe(2);
    expect(users.map((user) => JSON.parse(ask("/x", ["x-user", user]).body)[0])).toEqual(targets);
  });

  it("of what a trusted proxy says of host and prefix, is told apart: services make addresses of it", async () => {
    worker = await PlayedWorker.start(`version: 1
trustedProxies: [203.0.113.7]
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }], retry: { attempts: 0 } } }
routes: [{ name: r, match: { path: /** }, cache: {}, to: a }]
`);
    const claims: readonly HeaderList[] = [
      [],
      ["x-forwarded-host", "one.example"],
      ["x-forwarded-host", "two.example"],
      ["x-forwarded-prefix", "/outer"],
      ["x-forwarded-port", "8443"],
    ];
    for (const headers of claims) expect([headers, isHit(ask("/x", headers))]).toEqual([headers, false]);
    for (const headers of claims) expect([headers, isHit(ask("/x", headers))]).toEqual([headers, true]);
    expect(isHit(ask("/x", ["x-forwarded-host", "api.example.com", "x-forwarded-for", "198.51.100.1"]))).toBe(true);
  });

  it("leaves what does not count of the query out of key and request, whatever its order", async () => {
    worker = await start("  - { name: r, match: { path: /** }, cache: { key: { query: { except: [utm, fbclid] } } }, to: a }");
    expect(JSON.parse(ask("/x", [], "b=2&utm=evil&a=1").body)[1]).toBe("/x?a=1&b=2");
    for (const query of ["a=1&b=2", "b=2&a=1&fbclid=9", "%75tm=1&a=1&b=2", "a=1&b=2&utm"])
      expect([query, isHit(ask("/x", [], query))]).toEqual([query, true]);
    for (const query of ["a=1", "a=1&b=3", "a=1&b=2&c", "a=1&b=2&UTM=1"])
      expect([query, isHit(ask("/x", [], query))]).toEqual([query, false]);
  });
});

describe("attackers", () => {
  const open = (cache: string): Promise<PlayedWorker> => start(`  - { name: r, match: { path: /** }, cache: ${cache}, to: a }`);

  it.each([
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-host",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "forwarded",
    "x-original-host",
    "x_forwarded_host",
  ])("do not reach the origin through the unkeyed field %s", async (name) => {
    worker = await open("{}");
    const x = worker.ask("/x", { headers: [name, "evil.example"] });
    expect(worker.last.request.headers.filter((text) => text.includes("evil"))).toEqual([]);
    answer();
    expect(isHit(ask("/x"))).toBe(true);
    expect(x.body).not.toContain("evil");
  });

  it.each([
    ["/profile/x.css", []],
    ["/profile;.css", []],
    ["/profile%2fx.css", []],
    ["/profile/x.css", ["cookie", "sid=victim"]],
  ])("do not make an answer public by a name that looks static: %s (deception)", async (path, headers) => {
    worker = await open("{ ttl: 60s }");
    ask(path, ["cookie", "sid=victim"], "", []);
    expect(isHit(ask(path, [...headers]))).toBe(false);
  });

  it("do not have another path or host answered by theirs", async () => {
    worker = await open("{}");
    ask("/a");
    for (const path of ["/a/", "/A", "//a", "/a;x", "/a%2f", "/b/%2e%2e/a%00"]) expect([path, isHit(ask(path))]).toEqual([path, false]);
  });

  it("do not fill the store with copies of one host: its case and the scheme's own port say nothing, another port does", async () => {
    worker = await open("{}");
    const at = (host: string): PlayedClient => {
      const x = worker.ask("/a", {}, "", host);
      answer();
      return x;
    };
    at("shop.example");
    expect(["SHOP.example", "shop.example:80", "shop.example:8080", "shop.example.org"].map((host) => isHit(at(host)))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it("do not poison by a GET with a body, which passes by", async () => {
    worker = await open("{}");
    const x = worker.ask("/x", { chunked: true });
    x.send("q=evil", true);
    answer();
    expect(dealt(x)).toContain("fwd=bypass");
    expect(isHit(ask("/x"))).toBe(false);
  });

  it("do not fill memory with keys that are too long: such requests pass by", async () => {
    worker = await open("{}");
    const x = ask("/x", [], "a".repeat(8160));
    expect(dealt(x)).toBe("sluice; fwd=bypass; detail=no-key");
  });

  it("do not choose between two readings of one cookie", async () => {
    worker = await open("{ cookies: ignore, key: { cookies: [lang] } }");
    const by = (cookie: string): PlayedClient => ask("/x", ["cookie", cookie]);
    by("lang=evil; lang=en");
    for (const cookie of ["lang=en", "lang=en; lang=evil", "x=1,lang=en", 'x="; lang=en; y="', "Lang=en"])
      expect([cookie, isHit(by(cookie))]).toEqual([cookie, false]);
    expect(isHit(by("other=1; lang=en"))).toBe(true);
  });

  it("do not take a cookie's visitor for another by what the route alone grants, while what the origin says counts", async () => {
    worker = await open("{ ttl: 60s }");
    ask("/x", ["cookie", "sid=1"], "", []);
    expect(isHit(ask("/x", ["cookie", "sid=2"], "", []))).toBe(false);
    ask("/y", ["cookie", "sid=1"], "", fresh());
    expect(isHit(ask("/y", ["cookie", "sid=2"]))).toBe(true);
  });

  it("do not keep others from the store by credentials of their own, nor take away what is stored", async () => {
    worker = await open("{}");
    ask("/x");
    ask("/x", ["authorization", "Basic x", "cache-control", "no-cache"]);
    expect(isHit(ask("/x"))).toBe(true);
  });

  it("do not empty a URL by an unsafe request that the route refuses", async () => {
    worker = await start(
      "  - { name: get, match: { path: /**, methods: [GET] }, cache: {}, to: a }\n  - { name: post, match: { path: /**, methods: [POST] }, auth: keys, to: b }",
    );
    ask("/x");
    expect(statusOf(worker.ask("/x", { method: "POST" }))).toBe(401);
    expect(isHit(ask("/x"))).toBe(true);
    worker.ask("/x", { method: "POST", headers: ["x-api-key", KEYS.acme] });
    answer([]);
    expect(isHit(ask("/x"))).toBe(false);
  });

  it("get no cookie that the origin set for another", async () => {
    worker = await open("{}");
    const x = ask("/x", [], "", fresh("set-cookie", "sid=1"));
    expect(field(x, "set-cookie")).toBe("sid=1");
    const y = ask("/x");
    expect([isHit(y), field(y, "set-cookie")]).toEqual([false, null]);
  });
});

it("nobody ever gets another's answer, over random requests, purges and clients that leave", async () => {
  worker = await start(`  - name: own
    match: { path: /own/** }
    auth: { any: [keys, bearer-keys] }
    headers: { request: { set: { x-tenant: "{consumer.id}:{header.x-who}" } } }
    cache: { key: { headers: [x-lang] } }
    to: a
  - { name: maybe, match: { path: /maybe/** }, auth: { optional: keys }, cache: {}, to: a }
  - { name: open, match: { path: /open/** }, cache: { key: { headers: [x-lang] } }, to: a }`);
  const random = seededRandom(7);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const credentials: HeaderList[] = [
    ["x-api-key", KEYS.acme],
    ["x-api-key", KEYS.bolt],
    ["authorization", `Bearer ${KEYS.acme}`],
    ["authorization", `Bearer ${KEYS.bolt}`],
  ];
  const consumers = ["acme", "bolt", "acme", "bolt"];
  const open: { readonly x: PlayedClient; readonly wanted: readonly unknown[] }[] = [];
  let hits = 0;
  for (let step = 0; step < 6000; step++) {
    const dice = random();
    const path = `/${pick(["own", "maybe", "open"])}/${Math.floor(random() * 12)}`;
    if (dice < 0.6) {
      const who = Math.floor(random() * 4);
      const lang = pick(["en", "de"]);
      const isOpen = path.startsWith("/open");
      const isNobody = isOpen || (path.startsWith("/maybe") && (who > 1 || random() < 0.3));
      const person = pick(["ann", "bob"]);
      const x = worker.ask(path, { headers: [...(isNobody ? [] : (credentials[who] ?? [])), "x-lang", lang, "x-who", person] });
      const consumer = isNobody ? null : consumers[who];
      // What the origin is told of x-lang is part of the key on two of the routes, and on the third it varies by it.
      open.push({
        x,
        wanted: [
          path,
          consumer,
          isNobody ? null : who > 1 ? "bearer-keys" : "keys",
          path.startsWith("/own") ? `${consumer}:${person}` : null,
          lang,
        ],
      });
    } else if (dice < 0.93) {
      const call = worker.calls.splice(Math.floor(random() * worker.calls.length), 1)[0];
      if (call !== undefined && !call.cancelled) {
        const control = random() < 0.97 ? pick(["max-age=60", "max-age=60, public", "max-age=0"]) : pick(["private", "no-store"]);
        call.head(200, ["cache-control", control, "vary", "x-lang", "etag", '"e"']).data(told(call)).end();
      }
    } else if (dice < 0.96) open[Math.floor(random() * open.length)]?.x.leave();
    else workerCache(worker.services).cache.invalidate(`http://api.example.com${path}`);
    for (let i = open.length - 1; i >= 0; i--) {
      const one = open[i];
      if (one === undefined || !one.x.finished) continue;
      open.splice(i, 1);
      if (!one.x.ended) continue;
      const [, sentPath, consumer, by, tenant, lang] = JSON.parse(one.x.body);
      expect([sentPath, consumer, by, tenant, lang]).toEqual(one.wanted);
      if (isHit(one.x)) hits++;
    }
  }
  for (const call of worker.calls.splice(0)) if (!call.cancelled) call.fail();
  for (const { x } of open) x.leave();
  for (const call of worker.calls.splice(0)) if (!call.cancelled) call.fail();
  expect(hits).toBeGreaterThan(200);
});
