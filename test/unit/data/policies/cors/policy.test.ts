import { describe, expect, test } from "vitest";
import { compileOrigins } from "../../../../../src/data/policies/cors/origins.ts";
import { ask, buildPolicy, parsePolicy, type RequestSketch, responseHead, TestExchange } from "../../../../support/exchange.ts";

const APP = "https://app.example.com";
const EVIL = "https://evil.example.net";

test("origins", () => {
  const check = (origins: string[], origin: string, expected: boolean) =>
    expect(compileOrigins(origins)(origin), `${origins} ${origin}`).toBe(expected);
  check([APP], APP, true);
  check([APP], `${APP}.evil.net`, false);
  check([APP], "http://app.example.com", false);
  check([APP], `${APP}:8443`, false);
  check([APP], "null", false);
  check(["*"], "null", true);
  check(["https://*.example.com"], APP, true);
  check(["https://*.example.com"], "https://a.b.example.com", true);
  check(["https://*.example.com"], "https://example.com", false);
  check(["https://*.example.com"], "https://.example.com", false);
  check(["https://*.example.com"], "https://evil.net/.example.com", false);
  check(["https://*.example.com"], "https://evil.net:80.example.com", false);
  check(["https://*.example.com"], "https://u@b.example.com", false);
  check(["https://*.example.com"], "https://evilexample.com", false);
  check(["https://*.example.com"], "http://a.example.com", false);
  check(["https://*.example.com:8443"], "https://a.example.com:8443", true);
  check(["https://*.example.com:8443"], "https://a.example.com", false);
});

describe("preflight", () => {
  const preflight = (origin: string, headers: Record<string, string> = {}): RequestSketch => ({
    method: "OPTIONS",
    headers: { origin, "access-control-request-method": "PUT", ...headers },
  });
  /** The whole answer as the pipeline makes it: onRequest, then onResponse. */
  function answer(config: unknown, sketch: RequestSketch, methods: readonly string[] = []) {
    const policy = buildPolicy("cors", config, { methods });
    const x = new TestExchange(sketch);
    const reply = ask(policy, x);
    if (reply?.kind !== "response") return reply;
    const head = responseHead({ status: reply.status, headers: reply.headers, length: 0, hasBody: false, fromUpstream: false });
    policy.onResponse?.(x, head);
    return { status: head.status, body: reply.body, headers: pairs(head.headers) };
  }

  test("allowed origin", () => {
    expect(answer({ origins: [APP], credentials: true, exposeHeaders: ["x-total"] }, preflight(APP), ["GET", "PUT"])).toEqual({
      status: 204,
      body: null,
      headers: {
        vary: "Access-Control-Request-Method, Access-Control-Request-Headers, origin",
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "authorization, content-type, x-requested-with, x-request-id",
        "access-control-max-age": "600",
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
      },
    });
  });

  test("other origins get no permission", () => {
    expect(answer({ origins: [APP] }, preflight(EVIL))).toEqual({
      status: 204,
      body: null,
      headers: { vary: "Access-Control-Request-Method, Access-Control-Request-Headers, origin" },
    });
  });

  test.each([
    ["*", { origins: ["*"] }, {}, "access-control-allow-origin", "*"],
    ["methods of the policy", { origins: [APP], methods: ["DELETE"] }, {}, "access-control-allow-methods", "DELETE"],
    ["methods by default", { origins: [APP] }, {}, "access-control-allow-methods", "GET, HEAD, POST, PUT, PATCH, DELETE"],
    ["maxAge", { origins: [APP], maxAge: "90s" }, {}, "access-control-max-age", "90"],
    [
      "listed headers",
      { origins: [APP], headers: ["X-Api-Key"] },
      { "access-control-request-headers": "x-evil" },
      "access-control-allow-headers",
      "x-api-key",
    ],
    [
      "any header",
      { origins: [APP], headers: ["*"] },
      { "access-control-request-headers": "X-A,x-b" },
      "access-control-allow-headers",
      "x-a, x-b",
    ],
    [
      "any header, malformed",
      { origins: [APP], headers: ["*"] },
      { "access-control-request-headers": "x a" },
      "access-control-allow-headers",
      undefined,
    ],
    [
      "any header, too long",
      { origins: [APP], headers: ["*"] },
      { "access-control-request-headers": "x".repeat(5000) },
      "access-control-allow-headers",
      undefined,
    ],
  ])("%s", (_, config, headers, name, expected) => {
    const got = answer(config, preflight(APP, headers));
    expect(
      got !== undefined && "headers" in got && got.headers !== undefined && !Array.isArray(got.headers) ? got.headers[name] : got,
    ).toBe(expected);
  });

  test("only real preflights are answered", () => {
    const policy = buildPolicy("cors", { origins: [APP] });
    for (const sketch of [
      { method: "OPTIONS", headers: { origin: APP } },
      { method: "OPTIONS", headers: { "access-control-request-method": "PUT" } },
      { method: "GET", headers: { origin: APP, "access-control-request-method": "PUT" } },
    ])
      expect(ask(policy, new TestExchange(sketch))).toBeUndefined();
  });
});

describe("actual responses", () => {
  function answer(config: unknown, origin: string | undefined, fields: Record<string, string>, fromUpstream = true) {
    const policy = buildPolicy("cors", config);
    const x = new TestExchange({ headers: origin === undefined ? {} : { origin } });
    expect(ask(policy, x)).toBeUndefined();
    const head = responseHead({ fields, fromUpstream });
    policy.onResponse?.(x, head);
    return pairs(head.headers);
  }
  const UPSTREAM = { "access-control-allow-origin": "*", "access-control-expose-headers": "x-secret", vary: "Accept", etag: '"1"' };

  test.each([
    ["allowed", { origins: [APP] }, APP, { vary: "Accept, origin", etag: '"1"', "access-control-allow-origin": APP }],
    ["denied: the upstream's permission is taken away", { origins: [APP] }, EVIL, { vary: "Accept, origin", etag: '"1"' }],
    ["no origin: caches must still tell apart", { origins: [APP] }, undefined, { vary: "Accept, origin", etag: '"1"' }],
    ["everyone", { origins: ["*"] }, EVIL, { vary: "Accept", etag: '"1"', "access-control-allow-origin": "*" }],
    ["everyone, no origin", { origins: ["*"] }, undefined, { vary: "Accept", etag: '"1"', "access-control-allow-origin": "*" }],
    [
      "expose and credentials",
      { origins: [APP], exposeHeaders: ["X-Total", "etag"], credentials: true },
      APP,
      {
        vary: "Accept, origin",
        etag: '"1"',
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "x-total, etag",
      },
    ],
  ])("%s", (_, config, origin, expected) => {
    expect(answer(config, origin, UPSTREAM)).toEqual(expected);
  });

  test("the gateway's own errors are readable too, and Vary is not repeated", () => {
    expect(answer({ origins: [APP] }, APP, { vary: "Accept, Origin" }, false)).toEqual({
      vary: "Accept, Origin",
      "access-control-allow-origin": APP,
    });
    expect(answer({ origins: [APP] }, APP, { vary: "*" }, false)).toEqual({ vary: "*", "access-control-allow-origin": APP });
  });
});

test("two origins are nobody's: no preflight, no permission, no WebSocket", () => {
  const policy = buildPolicy("cors", { origins: [APP] });
  for (const origin of [
    [APP, EVIL],
    [EVIL, APP],
    [APP, APP],
  ]) {
    const asked = { origin, "access-control-request-method": "PUT" };
    expect(ask(policy, new TestExchange({ method: "OPTIONS", headers: asked }))).toBeUndefined();
    expect(ask(policy, new TestExchange({ webSocket: true, headers: { origin } }))).toMatchObject({ code: "origin_denied" });
    const head = responseHead();
    policy.onResponse?.(new TestExchange({ headers: { origin } }), head);
    expect(head.headers).not.toContain("access-control-allow-origin");
  }
});

test("no more than so many names of headers are echoed to a preflight", () => {
  const policy = buildPolicy("cors", { origins: ["*"], headers: ["*"] });
  const allowed = (count: number): unknown => {
    const headers = { origin: APP, "access-control-request-method": "PUT", "access-control-request-headers": `${"a,".repeat(count - 1)}a` };
    const reply = ask(policy, new TestExchange({ method: "OPTIONS", headers }));
    return reply?.kind === "response" && reply.headers.includes("access-control-allow-headers");
  };
  expect([allowed(1), allowed(128), allowed(129), allowed(2000)]).toEqual([true, true, false, false]);
});

test("WebSockets of other origins are refused", () => {
  const check = (config: unknown, headers: Record<string, string>, expected: string | undefined) => {
    const reply = ask(buildPolicy("cors", config), new TestExchange({ webSocket: true, headers }));
    expect(reply?.kind === "problem" ? reply.code : reply).toBe(expected);
  };
  check({ origins: [APP] }, { origin: EVIL }, "origin_denied");
  check({ origins: [APP] }, { origin: APP }, undefined);
  check({ origins: [APP] }, {}, undefined);
  check({ origins: ["*"] }, { origin: EVIL }, undefined);
});

test("configurations that can't be meant are refused, with the reason", () => {
  const check = (config: unknown, expected: RegExp) => {
    const parsed = parsePolicy("cors", config);
    expect("problems" in parsed ? parsed.problems.join() : "accepted").toMatch(expected);
  };
  check({ origins: ["*"], credentials: true }, /^credentials: .*every site/);
  check({ origins: [] }, /at least one/);
  check({ origins: ["https://App.example.com"] }, /write https:\/\/app\.example\.com/);
  check({ origins: ["https://app.example.com:443"] }, /write https:\/\/app\.example\.com$/);
  check({ origins: ["https://app.example.com/"] }, /without a path/);
  check({ origins: ["app.example.com"] }, /without a path/);
  check({ origins: ["https://a*.example.com"] }, /without a path/);
  check({ origins: ["https://*"] }, /without a path/);
  check({ origins: ["null"] }, /sandboxed/);
  check({ origins: [APP], headers: ["a b"] }, /header/);
});

function pairs(headers: readonly string[]): Record<string, string> {
  const out: Record<string, string> = {};
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] ?? "";
    if (name in out) throw new Error(`${name} twice`);
    out[name] = headers[i + 1] ?? "";
  }
  return out;
}
