// What a route that stores responses may not be, and what its author is warned of.
import { describe, expect, test } from "vitest";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { BASE, check, good, problemsOf, withRoutes } from "../../../../support/config-text.ts";

const warningsOf = (text: string) => good([text]).warnings.map(formatProblem);
const PUBLIC = "auth: none";

describe("what is refused", () => {
  check(
    "a route that answers by itself",
    withRoutes("  - { name: a, match: {}, respond: { status: 200 }, cache: ‸{} }\n"),
    "routes[0].cache: the route answers by itself (`respond`): no response comes that could be stored; remove `cache`, or send its requests to an upstream by `to`",
  );
  check(
    "a route whose requests may order another method by a header",
    withRoutes("  - { name: a, match: {}, to: users, insecure: [method-override], cache: ‸{} }\n"),
    "routes[0].cache: a request's header may order another method (`insecure: [method-override]`), so what it is answered would be stored for everybody's GET; remove `method-override` from `insecure`, or give these requests a route without `cache`",
  );
  check(
    "a bypass that names nothing",
    withRoutes("  - { name: a, match: {}, to: users, cache: { bypass: ‸{} } }\n"),
    "routes[0].cache.bypass: expected headers, cookies or when",
  );
  check(
    "a bypass on a condition that is none",
    withRoutes("  - { name: a, match: {}, to: users, cache: { bypass: { when: ‸request.qery } } }\n"),
    "routes[0].cache.bypass.when: at character 9: No such key: qery",
  );
  check(
    "a share in which nothing could be kept",
    withRoutes("  - { name: a, match: {}, to: users, cache: { maxShare: ‸0% } }\n"),
    "routes[0].cache.maxShare: expected a percentage from 1% to 100%",
  );
  test("more routes with a share than have accounts for it", () => {
    const routes = Array.from(
      { length: 257 },
      (_, i) => `  - { name: r${i}, match: { path: /${i} }, to: users, cache: { maxShare: 10% } }\n`,
    );
    expect(problemsOf(withRoutes(routes.join("")))).toEqual([expect.stringContaining("more than 256 routes have a share of their own")]);
    expect(problemsOf(withRoutes(routes.slice(1).join("")))).toEqual([]);
  });
  check(
    "a token that is easily guessed",
    `${BASE}cache: { debug: { token: ‸short } }\n`,
    "cache.debug.token: expected at least 16 characters",
  );
  check(
    "a token in a header of credentials",
    `${BASE}cache: { debug: { header: ‸Authorization, token: 0123456789abcdef } }\n`,
    "cache.debug.header: this header carries what callers prove who they are with",
  );
});

describe("sharing with a fleet", () => {
  const shared = (more: string): string =>
    `${withRoutes("  - { name: a, match: { path: /a }, to: users, cache: { redis: true } }\n")}${more}`;

  check(
    "without a Redis",
    withRoutes("  - { name: a, match: {}, to: users, cache: { redis: ‸true } }\n"),
    "routes[0].cache.redis: there is no `redis` section; say under `redis` where it is, or remove `redis: true`",
  );
  check(
    "bodies that its queue has no room for",
    `${BASE}cache: { redis: { maxObject: ‸1MiB, queue: 1MiB } }\n`,
    "cache.redis.maxObject: maxObject is more than half of queue; raise queue, or lower maxObject",
  );
  check(
    "bodies that no record holds",
    `${BASE}cache: { redis: { maxObject: ‸65MiB, queue: 1GiB } }\n`,
    "cache.redis.maxObject: maxObject is more than 64MiB; lower it: larger bodies are left to the origin",
  );

  test("without a secret, whoever can write to Redis can write responses: that is warned of", () => {
    const warning = expect.stringMatching(/stored responses are signed with a value that anybody can know/);
    expect(warningsOf(shared("redis: { url: redis://10.0.0.7 }\n"))).toContainEqual(warning);
    expect(warningsOf(shared("redis: { url: redis://10.0.0.7, secret: 0123456789abcdef }\n"))).not.toContainEqual(warning);
    expect(warningsOf(shared("redis: { url: 'redis://:password@10.0.0.7' }\n"))).not.toContainEqual(warning);
    expect(warningsOf(`${BASE}redis: { url: redis://10.0.0.7 }\n`)).not.toContainEqual(warning);
  });

  test("bodies that the store does not take are not written to Redis either", () => {
    const { tier, maxObjectBytes } = good([`${BASE}cache: { maxObject: 10KiB, redis: { timeout: 20ms } }\n`]).config.cache;
    expect([maxObjectBytes, tier]).toEqual([10_240, { timeoutMs: 20, maxObjectBytes: 10_240, queueBytes: 16 * 1024 ** 2 }]);
  });
});

test("a cache in the defaults leaves routes alone that answer by themselves", () => {
  const text = `${BASE.replace("routes:", "defaults: { cache: {} }\nroutes:").replace("to: users }]", "to: users }, { name: own, match: { path: /own }, respond: { status: 204 } }]")}`;
  expect(problemsOf(text)).toEqual([]);
});

describe("what is warned of", () => {
  test.each([
    ["methods: [POST]", PUBLIC, "cache: {}", /takes no GET: nothing is ever stored/],
    ["methods: [GET]", "auth: keys", "cache: { perConsumer: false }", /may be served what the service answered to another/],
  ])("%s, %s, %s", (methods, auth, cache, expected) => {
    const text = `${withRoutes(`  - { name: a, match: { path: /a, ${methods} }, to: users, ${auth}, ${cache} }\n`)}auth: { keys: { apiKey: { in: header, name: x-api-key } } }\nconsumers: [{ id: a, keys: ["sha256:${"0".repeat(64)}"] }]\n`;
    expect(warningsOf(text)).toContainEqual(expect.stringMatching(expected));
  });

  test("a share that has no room for the largest response", () => {
    const text = (maxShare: string): string =>
      withRoutes(`  - { name: a, match: { path: /a }, to: users, cache: { maxShare: ${maxShare} } }\n`);
    expect(warningsOf(text("1%"))).toEqual([
      expect.stringMatching(/responses larger than about \S+KiB have no room in it and are not stored/),
    ]);
    expect(warningsOf(text("10%"))).toEqual([]);
  });

  test("not of one that is as it should be", () => {
    expect(warningsOf(withRoutes("  - { name: a, match: { path: /a }, to: users, cache: { perConsumer: false } }\n"))).toEqual([]);
  });
});

describe("URLs that are to be stored ahead", () => {
  const config = (warm: string): string =>
    `${withRoutes("  - { name: a, match: { path: /a }, to: users, auth: none, cache: {} }\n  - { name: b, match: { path: /b }, to: users, auth: none }\n  - { name: c, match: { path: /c }, to: users, auth: keys, cache: {} }\n  - { name: d, match: { path: /d }, to: users, auth: keys, cache: { perConsumer: false } }\n")}auth: { keys: { apiKey: { in: header, name: x-api-key } } }\nconsumers: [{ id: a, keys: ["sha256:${"0".repeat(64)}"] }]\ncache: { warm: ${warm} }\n`;

  test.each([
    ["/nowhere", "no route takes what is to be stored ahead: http://x/nowhere"],
    ["/b", "route `b` stores nothing: http://x/b"],
    ["/c", "route `c` stores for each caller what is his own, and nobody calls here: http://x/c"],
    ["/d", "route `d` asks for a credential, and the warm-up has none: http://x/d"],
  ])("are warned of when they cannot be: %s", (path, expected) => {
    const warnings = warningsOf(config(`{ urls: ["http://x/a", "http://x${path}"] }`)).filter((text) => text.includes("cache.warm"));
    expect(warnings).toEqual([expect.stringContaining(`cache.warm.urls: ${expected}; `)]);
  });

  test("are each asked for in every variant, as they are written", () => {
    const { config: loaded } = good([
      config('{ urls: ["HTTPS://Shop.example:8443/a?b=1&c", "http://x"], variants: [{ Accept-Encoding: br }, {}] }'),
    ]);
    const ua = ["user-agent", "sluice-warm-up"];
    const first = { url: "HTTPS://Shop.example:8443/a?b=1&c", scheme: "https", authority: "Shop.example:8443", path: "/a", query: "b=1&c" };
    expect(loaded.cache.warm?.requests).toEqual([
      { ...first, headers: [...ua, "accept-encoding", "br"] },
      { ...first, headers: ua },
      { url: "http://x", scheme: "http", authority: "x", path: "/", query: "", headers: [...ua, "accept-encoding", "br"] },
      { url: "http://x", scheme: "http", authority: "x", path: "/", query: "", headers: ua },
    ]);
  });

  test.each([
    ['{ urls: ["/a"] }', "cache.warm.urls[0]: expected a URL such as"],
    ['{ urls: ["http://u:p@x/a"] }', "cache.warm.urls[0]: expected a URL such as"],
    ['{ urls: ["http://x/a%5cb"] }', "cache.warm.urls[0]: the gateway refuses this path or query"],
    ['{ urls: "http://x/a\\nnonsense" }', "cache.warm.urls: line 2: expected a URL such as"],
    ["{ urls: [], variants: [{ cookie: a=b }] }", "expected a header by which variants are told apart"],
    ["{ urls: [], variants: [{ range: bytes=0-1 }] }", "expected a header by which variants are told apart"],
    ["{ urls: [], concurrency: 65 }", "cache.warm.concurrency"],
  ])("are refused when they are none: %s", (warm, expected) => {
    expect(problemsOf(config(warm))).toEqual([expect.stringContaining(expected)]);
  });

  test("are at most 10000, and 20000 with their variants", () => {
    const lines = (count: number): string => JSON.stringify(Array.from({ length: count }, (_, i) => `http://x/a?${i}`).join("\n"));
    expect(problemsOf(config(`{ urls: ${lines(10_001)} }`))).toEqual([expect.stringContaining("more than 10000 URLs")]);
    expect(problemsOf(config(`{ urls: ${lines(7000)}, variants: [{}, {}, {}] }`))).toEqual([expect.stringContaining("more than 20000")]);
  });
});

test("the token of cache.debug is read from a file and never shown", async () => {
  const { redactConfig } = await import("../../../../../src/control/config/output/redact.ts");
  const { config } = good([`${BASE}cache: { debug: { token: 0123456789abcdef } }\n`]);
  expect(JSON.stringify(redactConfig(config))).not.toContain("0123456789abcdef");
});
