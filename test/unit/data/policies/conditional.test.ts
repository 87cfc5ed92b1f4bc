// Changes of headers and queries that have conditions: what is done where one holds, and that one which does not, or of which nobody can say, opens nothing.
import { describe, expect, it } from "vitest";
import type { Identity } from "../../../../src/data/exchange/identity/identity.ts";
import { compileConditions, isDone, isUndecided } from "../../../../src/data/policies/conditional.ts";
import { CHANGES_MAX } from "../../../../src/data/policies/config-changes.ts";
import { identityOf } from "../../../support/authenticator.ts";
import { buildPolicy, parsePolicy, type RequestSketch, responseHead, TestExchange } from "../../../support/exchange.ts";

type Sketch = RequestSketch & { readonly identity?: Identity };

const exchange = ({ identity, ...sketch }: Sketch): TestExchange => {
  const x = new TestExchange(sketch);
  x.identity = identity ?? null;
  return x;
};

const shown = (headers: readonly string[]): string =>
  headers.flatMap((each, i) => (i % 2 === 0 ? [`${each}: ${headers[i + 1]}`] : [])).join(" | ");

/** What goes upstream of the client's headers, as `upstreamHeaders` copies them, and of `own` ones of the gateway. */
function up(request: unknown, sketch: Sketch, own: readonly string[] = []): string {
  const policy = buildPolicy("headers", { request }, { paramNames: Object.keys(sketch.params ?? {}) });
  const x = exchange(sketch);
  const copied = x.headers.flatMap((name, i) =>
    i % 2 === 0 && (policy.copies === undefined || policy.copies(name)) ? [name, x.headers[i + 1] ?? ""] : [],
  );
  const upstream = { method: "GET", path: "/", headers: [...own, ...copied] };
  policy.onUpstreamRequest?.(x, upstream);
  return shown(upstream.headers);
}

function down(
  response: unknown,
  { status = 200, fields = {}, ...sketch }: Sketch & { status?: number; fields?: Record<string, string> } = {},
): string {
  const head = responseHead({ status, fields });
  buildPolicy("headers", { response }).onResponse?.(exchange(sketch), head);
  return shown(head.headers);
}

function query(config: unknown, sent: string, sketch: Sketch = {}, path = sent === "" ? "/p" : `/p?${sent}`): string {
  const x = exchange({ ...sketch, query: sent });
  x.upstreamPath = path;
  const request = { method: "GET", path, headers: [] };
  buildPolicy("query", config, { paramNames: Object.keys(sketch.params ?? {}) }).onUpstreamRequest?.(x, request);
  return request.path.replace("/p", "");
}

const ANN = identityOf("ann", { roles: ["staff"], claims: { level: 3 } });

describe("of requests", () => {
  const STAFF = [{ when: '"staff" in consumer.roles', set: { "x-admin": "1" } }];

  it("a map is done where its condition holds", () => {
    expect(up({ when: 'method == "GET"', set: { "x-a": "1" } }, {})).toBe("x-a: 1");
    expect(up({ when: 'method == "PUT"', set: { "x-a": "1" } }, {})).toBe("");
    expect(up(STAFF, { identity: ANN })).toBe("x-admin: 1");
  });

  it("what a client sends under a name that is set on a condition never goes upstream, in no spelling", () => {
    const forged = { headers: { "x-admin": ["1", "2"], x_admin: "3", "x.admin": "4", "x-other": "5" } };
    expect(up(STAFF, forged)).toBe("x-other: 5");
    expect(up(STAFF, { ...forged, identity: identityOf("ben") })).toBe("x-other: 5");
    expect(up(STAFF, { ...forged, identity: ANN })).toBe("x-other: 5 | x-admin: 1");
  });

  it("what the gateway itself sends under such a name stays where the condition does not hold", () => {
    const own = ["x-request-id", "7"];
    expect(up({ when: 'method == "PUT"', set: { "x-request-id": "9" } }, {}, own)).toBe("x-request-id: 7");
    expect(up({ when: 'method == "GET"', set: { "x-request-id": "9" } }, {}, own)).toBe("x-request-id: 9");
  });

  it("what says what a body is stays the client's where the condition does not hold", () => {
    expect(up({ when: 'method == "PUT"', set: { "content-type": "a/b" } }, { headers: { "content-type": "c/d" } })).toBe(
      "content-type: c/d",
    );
  });

  it("a client's own may be taken over by a map without condition", () => {
    const list = [{ when: "has(query.raw)", set: { accept: "a/raw" } }, { setIfAbsent: { accept: "{header.accept}" } }];
    expect(up(list, { headers: { accept: "a/b" } })).toBe("accept: a/b");
    expect(up(list, { headers: { accept: "a/b" }, query: "raw" })).toBe("accept: a/raw");
  });

  it("maps are done in order, and what is removed by one may be set by the next", () => {
    const list = [
      { set: { "x-a": "1", "x-b": "1" } },
      { when: "true", set: { "x-a": "2" }, remove: ["x-b"] },
      { when: "false", set: { "x-a": "3" } },
      { setIfAbsent: { "x-b": "4", "x-a": "5" }, add: { "x-c": "6" } },
    ];
    expect(up(list, {})).toBe("x-a: 2 | x-b: 4 | x-c: 6");
  });

  it("of a condition that cannot be evaluated nothing is set, and what it removes goes all the same", () => {
    const list = [
      { when: "claims.level < 2", remove: ["x-secret"], set: { "x-a": "1" }, add: { "x-b": "1" }, setIfAbsent: { "x-c": "1" } },
    ];
    const headers = { "x-secret": "s", x_secret: "t", "x-d": "1" };
    expect(up(list, { headers, identity: ANN })).toBe("x-secret: s | x_secret: t | x-d: 1");
    expect(up(list, { headers, identity: identityOf("ben") })).toBe("x-d: 1");
    expect(up(list, { headers })).toBe("x-d: 1");
  });

  it("several lists of what goes upstream must each have a name", () => {
    const list = [{ allow: ["x-a", "x-b"] }, { allow: ["x-b", "x-c"] }, { when: "true", set: { "x-b": "9" } }];
    expect(up(list.slice(0, 2), { headers: { "x-a": "1", "x-b": "2", "x-c": "3" } })).toBe("x-b: 2");
    expect(up(list, { headers: { "x-a": "1", "x-b": "2", "x-c": "3" } })).toBe("x-b: 9");
  });

  it("a condition sees what the client sent, whatever was changed before", () => {
    expect(up([{ remove: ["x-a"] }, { when: 'header["x-a"] == "1"', set: { "x-b": "{header.x-a}" } }], { headers: { "x-a": "1" } })).toBe(
      "x-b: 1",
    );
  });

  it("one map without condition is no list: nothing is looked at", () => {
    const policy = buildPolicy("headers", { request: [{ remove: ["x-a"] }] });
    expect(policy.copies).toBeUndefined();
    expect(policy.onResponse).toBeUndefined();
  });
});

describe("of responses", () => {
  it("a map is done by status and headers of the response", () => {
    const list = [
      { when: "response.status >= 500", set: { "cache-control": "no-store" } },
      { when: 'response.status == 200 && !("cache-control" in response.header)', set: { "cache-control": "max-age=60" } },
    ];
    expect(down(list, { status: 503, fields: { "cache-control": "max-age=9" } })).toBe("cache-control: no-store");
    expect(down(list)).toBe("cache-control: max-age=60");
    expect(down(list, { fields: { "cache-control": "private" } })).toBe("cache-control: private");
    expect(down(list, { status: 404 })).toBe("");
  });

  it("a condition sees the response before the first change", () => {
    expect(down([{ set: { "x-a": "1" } }, { when: '"x-a" in response.header', set: { "x-b": "1" } }])).toBe("x-a: 1");
  });

  it("the service's own stays where a condition does not hold, and what is removed goes where nobody can say", () => {
    const list = [{ when: 'response.header["x-public"] == "0"', remove: ["x-internal"], set: { "x-a": "gateway" } }];
    const fields = { "x-internal": "1", "x-a": "service" };
    expect(down(list, { fields: { ...fields, "x-public": "1" } })).toBe("x-internal: 1 | x-a: service | x-public: 1");
    expect(down(list, { fields: { ...fields, "x-public": "0" } })).toBe("x-a: gateway | x-public: 0");
    expect(down(list, { fields })).toBe("x-a: service");
  });

  it("headers for TLS have the condition of their map", () => {
    const response = { when: "response.status < 300", onTls: { "strict-transport-security": "max-age=1" } };
    expect(down(response, { scheme: "https" })).toBe("strict-transport-security: max-age=1");
    expect(down(response, { scheme: "http" })).toBe("");
    expect(down(response, { scheme: "https", status: 400 })).toBe("");
  });

  it("an answer to nobody has no caller", () => {
    expect(down({ when: 'consumer.id != "x"', set: { "x-a": "1" } }, { status: 401 })).toBe("");
    expect(down({ when: 'consumer.id != "x"', set: { "x-a": "1" } }, { identity: ANN })).toBe("x-a: 1");
  });
});

describe("of queries", () => {
  it("a map is done where its condition holds, and the client's own never passes for what it sets", () => {
    const config = { when: '"staff" in consumer.roles', set: { admin: "1" } };
    expect(query(config, "a=1&admin=9&%61dmin=8", { identity: ANN })).toBe("?a=1&admin=1");
    expect(query(config, "a=1&admin=9&%61dmin=8", { identity: identityOf("ben") })).toBe("?a=1");
    expect(query(config, "a=1;admin=9")).toBe("?a=1%3Badmin=9");
  });

  it("what a rewrite has added under such a name stays where the condition does not hold", () => {
    expect(query({ when: 'method == "PUT"', set: { own: "1" } }, "a=1&own=2", {}, "/p?own=7&a=1&own=2")).toBe("?own=7&a=1");
  });

  it("maps are done in order", () => {
    const list = [
      { allow: ["q", "f_*"], set: { page: "1" } },
      { when: "has(query.q)", set: { page: "2" }, remove: ["f_x"] },
      { when: "!has(query.q)", setIfAbsent: { q: "*", page: "3" } },
    ];
    expect(query(list, "q=a&f_x=1&f_y=2&x=3;y")).toBe("?q=a&f_y=2&page=2");
    expect(query(list, "f_x=1&page=9")).toBe("?f_x=1&page=1&q=*".replace("*", "%2A"));
  });

  it("of a condition that cannot be evaluated nothing is set, and what it removes goes all the same", () => {
    const config = [{ when: "claims.level < 2", remove: ["secret"], set: { a: "1" } }];
    expect(query(config, "secret=1&b=2", { identity: ANN })).toBe("?secret=1&b=2");
    expect(query(config, "secret=1&b=2", { identity: identityOf("ben") })).toBe("?b=2");
  });

  it("a semicolon separates nothing upstream, and what is set has it encoded once", () => {
    expect(query([{ set: { b: "1;2" } }, { when: "true", set: { c: "3" } }], "a=1;b=2")).toBe("?a=1%3Bb=2&b=1%3B2&c=3");
  });
});

it("each of the most maps that a list may have is decided by itself", () => {
  const x = new TestExchange({ headers: { "x-a": "1" } });
  for (let i = 0; i < CHANGES_MAX; i++) {
    const changes = Array.from({ length: CHANGES_MAX }, (_, j) =>
      i === j ? {} : { when: j % 2 === 0 ? "false" : 'header["x-none"] == "1"' },
    );
    const decision = compileConditions(changes, "request", "test")(x);
    for (let j = 0; j < CHANGES_MAX; j++)
      expect([j, isDone(decision, j), isUndecided(decision, j)]).toEqual([j, i === j, i !== j && j % 2 === 1]);
  }
});

it("a worker refuses a plan with a condition that it cannot compile", () => {
  expect(() => compileConditions([{ when: "nope" }], "request", "route a: headers")).toThrow("route a: headers: Unknown variable: nope");
});

describe("what can't be meant is refused", () => {
  const SOMETHING = { set: { "x-a": "1" } };
  it.each<[string, unknown, RegExp]>([
    ["headers", { request: { when: "true", allow: ["x-a"] } }, /^request\.allow: `allow` has no condition/],
    ["headers", { request: [{ when: "true" }] }, /^request\.0\.when: changes nothing/],
    ["headers", { request: [SOMETHING, {}] }, /^request\.1: changes nothing/],
    ["headers", { response: { when: "true" } }, /^response\.when: changes nothing/],
    ["headers", { request: [] }, /^request: /],
    ["headers", { request: Array(CHANGES_MAX + 1).fill(SOMETHING) }, /^request: /],
    ["headers", { request: [{ when: "", ...SOMETHING }] }, /^request\.0\.when: /],
    ["headers", { request: [{ when: true, ...SOMETHING }] }, /^request\.0\.when: /],
    [
      "headers",
      { request: [{ set: { "x-a": "1" }, setIfAbsent: { "X-A": "2" } }] },
      /^request\.0\.setIfAbsent\.x-a: x-a is under `set` too/,
    ],
    ["headers", { response: [{ allow: ["x-a"] }] }, /allow|unrecognized|unknown/i],
    ["query", { when: "true", allow: ["a"] }, /^allow: `allow` has no condition/],
    ["query", { when: "true" }, /changes nothing/],
    ["query", [{ set: { a: "1" } }, {}], /^1: changes nothing/],
    ["query", [], /^: /],
    ["query", Array(CHANGES_MAX + 1).fill({ set: { a: "1" } }), /^: /],
  ])("%s: %j", (key, config, expected) => {
    const parsed = parsePolicy(key, config);
    expect("problems" in parsed ? parsed.problems.join() : "accepted").toMatch(expected);
  });
});
