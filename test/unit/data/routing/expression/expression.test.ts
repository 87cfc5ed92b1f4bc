// The part of CEL that routes may use: what is refused at load and where, what holds, and that doubt is never a yes.
import { describe, expect, it } from "vitest";
import type { Identity } from "../../../../../src/data/exchange/identity/identity.ts";
import { compileExpression } from "../../../../../src/data/routing/expression/expression.ts";
import type { Expression, ResponseView, Sees } from "../../../../../src/data/routing/expression/expression-view.ts";
import { compileExpression as compileOnce } from "../../../../../src/data/routing/expression/load-expression.ts";
import { identityOf } from "../../../../support/authenticator.ts";
import { type RequestSketch, TestExchange } from "../../../../support/exchange.ts";

function compiled(text: string, sees: Sees = "request"): Expression {
  const expression = compileExpression(text, sees);
  if ("error" in expression) throw new Error(`${text}: ${expression.error}`);
  return expression;
}

const ANN = identityOf("ann", {
  authenticator: "corp",
  tier: "gold",
  scopes: ["orders:read"],
  roles: ["user", "admin"],
  groups: [],
  claims: {
    tenant: "t1",
    level: 3,
    ratio: 2.5,
    staff: true,
    nothing: null,
    orgs: ["a", "b"],
    address: { city: "Ulm" },
    "https://ns.example/x": "y",
  },
});
/** Wednesday, 14:30 UTC. */
const NOW_MS = Date.UTC(2026, 2, 4, 14, 30);
const SKETCH: RequestSketch = {
  method: "PUT",
  path: "/t/t1",
  query: "dry=1&twice=a&twice=b&semi=1;dry2=2&bad=%ff",
  authority: "api.example.com",
  headers: { "x-tenant": "t1", "x-twice": ["a", "a"], "x-caf": "caf\xc3\xa9", "x-bad": "\xff" },
  ip: "10.0.0.1",
  scheme: "https",
  params: { tenant: "t1", enc: "a%2Fb", odd: "%ff" },
};

function holds(text: string, identity: Identity | null = ANN, sketch = SKETCH): boolean | null {
  const x = new TestExchange(sketch);
  x.identity = identity;
  return compiled(text).holds(x, NOW_MS);
}

it.each<[string, boolean | null]>([
  ["true", true],
  ["1 == 2", false],
  ['consumer.id == "ann" && consumer.tier == "gold" && consumer.authenticator == "corp"', true],
  ['"admin" in consumer.roles', true],
  ['"admin" in consumer.groups', false],
  ["claims.tenant == path.tenant", true],
  ['claims["https://ns.example/x"] == "y"', true],
  ['claims.address.city == "Ulm"', true],
  ["claims.level == 3 && claims.level >= 3 && claims.ratio > 2.4", true],
  ['claims.level == "3"', false],
  ["claims.staff", true],
  ["claims.orgs.exists(o, o == path.tenant)", false],
  ['claims.orgs.all(o, o in ["a", "b", "c"])', true],
  ['claims.orgs.exists_one(o, o.startsWith("a"))', true],
  ["claims.orgs.exists(o, o in consumer.roles)", false],
  ['method == "PUT" && host == "api.example.com" && scheme == "https" && client.ip == "10.0.0.1" && route == "test"', true],
  ['request.path.startsWith("/t/")', true],
  ["request.time.getHours() == 14 && request.time.getDayOfWeek() == 3", true],
  ['request.time < timestamp("2026-03-05T00:00:00Z")', true],
  ['header["x-tenant"] == claims.tenant', true],
  ['"x-tenant" in header && !("x-other" in header)', true],
  ['header["x-caf"] == "café"', true],
  ['query.dry == "1"', true],
  ["has(query.dry) && !has(query.wet)", true],
  ['path.enc == "a/b"', true],
  ["size(consumer.roles) == 2 ? true : false", true],

  ['claims.tenant.matches("^t[0-9]+$")', true],
  ['claims.tenant.matches("^x")', false],
  ['header["x-caf"].matches("^caf\\u00e9$")', true],
  ['claims.orgs.exists(o, o.matches("^(b|c)$"))', true],
  ['claims.orgs.all(o, o.matches("^b$"))', false],
  ['request.path.matches("^/t/[^/]+$") && client.ip.matches("^10\\\\.")', true],

  // In doubt it does not hold.
  ['claims.level.matches("3")', null],
  ['!claims.missing.matches("x")', null],
  ["claims.missing == 1", null],
  ["claims.missing != 1", null],
  ["!claims.missing", null],
  ["!(claims.missing == 1)", null],
  ["claims.tenant", null],
  ["claims.nothing", null],
  ["!claims.tenant", null],
  ["claims.level < claims.tenant", null],
  ["claims.constructor == 1", null],
  ['claims.toString == ""', null],
  ['header["x-other"] == ""', null],
  ['header["x-other"] != "a"', null],
  // A value that is there twice, or is no text, is not there.
  ['header["x-twice"] == "a"', null],
  ['header["x-bad"] == "a"', null],
  ['query.twice == "a"', null],
  ['query.dry2 == "2"', null],
  ['query.bad == "a"', null],
  ['path.odd == "a"', null],
])("%s: %s", (text, expected) => expect(holds(text)).toBe(expected));

it("a header that services may read from another spelling is not there", () => {
  const x = new TestExchange({ headers: { "x-tenant": "t1", x_tenant: "t2" } });
  const expression = compiled('header["x-tenant"] == "t1"');
  expect(expression.holds(x, NOW_MS)).toBeNull();
});

it("nobody is not somebody without claims", () => {
  expect(compiled("!has(claims.banned)").needsIdentity).toBe(true);
  expect(holds("!has(claims.banned)", null)).toBeNull();
  expect(holds("!has(claims.banned)", identityOf("x"))).toBe(true);
  expect(compiled('method == "GET"').needsIdentity).toBe(false);
});

it("of a caller whose names could not all be read, nothing is said by their absence", () => {
  const partial = identityOf("x", { groups: ["a"], claims: { level: 3 }, partial: true });
  expect(holds('!("banned" in consumer.groups)', partial)).toBeNull();
  expect(holds('"a" in consumer.groups', partial)).toBeNull();
  expect(holds("claims.level == 3", partial)).toBe(true);
  expect(holds('!("banned" in consumer.groups)', identityOf("x", { groups: ["a"] }))).toBe(true);
});

it("longer or deeper values than the bounds are a no, whatever the expression says", () => {
  const list = (n: number) => Array.from({ length: n }, (_, i) => `g${i}`);
  const deep = (n: number): unknown => (n === 0 ? 1 : [deep(n - 1)]);
  expect(holds("has(claims.list)", identityOf("x", { claims: { list: list(300) } }))).toBe(true);
  expect(holds("has(claims.list)", identityOf("x", { claims: { list: list(301) } }))).toBeNull();
  expect(holds("has(claims.list)", identityOf("x", { claims: { list: [[list(301)]] } }))).toBeNull();
  expect(holds('consumer.id == "x"', identityOf("x", { roles: list(301) }))).toBeNull();
  expect(holds("has(claims.d)", identityOf("x", { claims: { d: deep(10) } }))).toBe(true);
  expect(holds("has(claims.d)", identityOf("x", { claims: { d: deep(5000) } }))).toBeNull();
});

it("knows which path parameters it names", () => {
  expect(compiled('path.a == path["b"] || has(path.c) || "d" in path').pathNames).toEqual(["a", "b", "c", "d"]);
});

it("a condition that many routes have is compiled once, and what is kept has a bound", () => {
  const first = compileOnce("true", "request");
  expect(compileOnce("true", "request")).toBe(first);
  expect(compileOnce("true", "response")).not.toBe(first);
  for (let i = 0; i < 2000; i++) compileOnce(`method == "M${i}"`, "request");
  expect(compileOnce("true", "request")).not.toBe(first);
});

describe("of a response", () => {
  const RESPONSE: ResponseView = {
    status: 404,
    headers: ["cache-control", "no-store", "vary", "a", "vary", "b", "x-caf", "caf\xc3\xa9", "x-bad", "\xff", "x-empty", ""],
  };
  const of = (text: string): boolean | null => compiled(text, "response").holds(new TestExchange(SKETCH), NOW_MS, RESPONSE);

  it.each<[string, boolean | null]>([
    ["response.status == 404 && response.status >= 400 && response.status < 500", true],
    ["response.status in [301, 302]", false],
    ['response.header["cache-control"] == "no-store"', true],
    ['"cache-control" in response.header && !("etag" in response.header)', true],
    ["has(response.header.vary) && !has(response.header.etag)", true],
    ['response.header.vary == "a, b"', true],
    ['response.header["cache-control"].contains("no-store") && method == "PUT"', true],
    ['response.header["x-caf"].matches("^caf\\u00e9$")', true],
    ['response.header.etag == "1"', null],
    ['response.header["x-bad"] == "a"', null],
    ['"x-empty" in response.header', false],
    ['response.status == 404 || response.header.etag == "1"', true],
  ])("%s: %s", (text, expected) => expect(of(text)).toBe(expected));

  it("it cannot be evaluated where there is no response", () => {
    expect(compiled("response.status < 500", "response").holds(new TestExchange(SKETCH), NOW_MS)).toBeNull();
    expect(compiled("response.status < 500", "response").needsIdentity).toBe(false);
  });

  it.each<[string, number, string]>([
    ["response == response", 1, 'name what is read of the response: response.status or response.header["..."]'],
    ["response.body == 1", 1, "name what is read of the response"],
    ['response["status"] == 1', 1, "name what is read of the response"],
    ["has(response.header)", 5, "name what is read of the response"],
    ["response.header.exists(h, true)", 1, "name what is read of the response"],
    ['response.header[method] == "a"', 1, 'name the entry by a text: response.header["..."]'],
    ['response.header["ETag"] == "a"', 1, "in lower case: etag"],
    ['response.status == "404"', 1, "no such overload"],
  ])("%s is refused", (text, at, message) => expectProblem(compileExpression(text, "response"), at, message));

  it.each(["response.status == 1", "response.header.etag == '1'", "response == 1", "response.x == 1"])(
    "%s is refused where nothing has answered yet",
    (text) => expectProblem(compileExpression(text, "request"), 0, "there is no response yet when this is decided"),
  );
});

function expectProblem(made: ReturnType<typeof compileExpression>, at: number, message: string): void {
  if (!("error" in made)) throw new Error("accepted");
  expect(made.error).toContain(message);
  if (at > 0) expect(made.at).toBe(at);
  expect(made.error).not.toContain("\n");
}

describe("refused at load", () => {
  it.each<[string, string]>([
    ["foo == 1", "known: consumer, claims, path, query"],
    ["1 +", "write a condition in CEL"],
    ["consumer.id == 3", "compare values of one kind"],
    ["1 + 1", "compare it with something"],
  ])("%s, with what to do about it", (text, remedy) =>
    expect(compileExpression(text, "request")).toHaveProperty("remedy", expect.stringContaining(remedy)),
  );

  it.each<[string, number, string]>([
    ["", 1, "Unexpected"],
    ["1 +", 4, "Unexpected token: EOF"],
    ["foo == 1", 1, "Unknown variable: foo"],
    ["consumer.name == 1", 10, "No such key: name"],
    ["consumer.id == 3", 1, "no such overload: string == int"],
    ["1 + 1", 0, "it gives int"],
    ['"a"', 0, "it gives string"],
    ["consumer.roles", 0, "it gives list<string>"],
    ['claims.a.matches("a(?=b)")', 18, 'the pattern "a(?=b)", character 2: look-around'],
    ['claims.a.matches("a.{30}b")', 18, "more than 1000 states"],
    ["claims.a.matches(method)", 1, "takes one pattern, written out"],
    ['claims.a.matches("a", "b")', 1, "takes one pattern, written out"],
    ['claims.a.all(x, header["h"].matches("a"))', 17, "can only look through `x`"],
    ['claims.a.matchesLinear("a")', 1, ".matchesLinear() cannot be used here"],
    ['claims.a.split(",").exists(x, x == "a")', 1, "computed"],
    ["claims.a.map(x, x).size() > 0", 1, ".map() cannot be used here"],
    ["claims.a.filter(x, true).size() > 0", 1, ".filter() cannot be used here"],
    ['cel.bind(a, "x", a == "x")', 1, ".bind() cannot be used here"],
    ['b"{}".json() == {}', 1, "cannot be used here"],
    ["dyn(1) == 1", 1, "dyn() cannot be used here"],
    ["claims.a.all(x, claims.b.all(y, x == y))", 17, "cannot stand inside another macro"],
    ["(claims.a + claims.b).all(x, x == 1)", 2, "computed"],
    ["claims.a.all(x, x + 1 == 2)", 17, "`+` cannot stand inside a macro"],
    ["claims.a.all(x, size(claims.b) == 2)", 17, "size() cannot stand inside a macro"],
    ["claims.a.all(x, x in claims.b || x in claims.c || x in claims.d)", 51, "more than 2 look-ups inside macros"],
    ['request.time.getHours("Europe/Berlin") == 1', 1, "takes no time zone"],
    ['{"a": 1} == claims.a', 1, "maps cannot be written here"],
    ["header.all(h, true)", 1, 'name the entry: header["..."]'],
    ["header[method] == method", 1, 'name the entry by a text: header["..."]'],
    ['header["X-Tenant"] == ""', 1, "in lower case: x-tenant"],
    ["claims.?a.orValue(1) == 1", 0, ""],
    [`${"(".repeat(40)}true${")".repeat(40)}`, 0, ""],
    [Array(100).fill("method == host").join(" && "), 0, ""],
  ])("%s", (text, at, message) => {
    const expression = compileExpression(text, "request");
    expectProblem(expression, at, message);
  });
});
