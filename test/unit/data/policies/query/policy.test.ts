// What of a query goes upstream: what is let through, removed, set; and that no spelling of a parameter gets past that.
import { expect, test } from "vitest";
import { buildPolicy, parsePolicy, type RequestSketch, TestExchange } from "../../../../support/exchange.ts";

/** @param path as the policies before it left the request's; else the client's own query */
function check(
  config: unknown,
  query: string,
  expected: string,
  { path = `/p?${query}`, rewritten = path, ...sketch }: RequestSketch & { readonly rewritten?: string } = {},
): void {
  const x = new TestExchange({ ...sketch, query });
  x.upstreamPath = rewritten;
  const request = { method: "GET", path, headers: [] };
  buildPolicy("query", config, { paramNames: Object.keys(sketch.params ?? {}) }).onUpstreamRequest?.(x, request);
  expect(request.path, JSON.stringify({ config, query })).toBe(expected);
  expect(x.query).toBe(query); // what routes match and logs show
}

test("parameters are let through by name or prefix", () => {
  check({ allow: ["a", "f_*"] }, "a=1&b=2&f_x=3&f_=4&f=5&a=6&a", "/p?a=1&f_x=3&f_=4&a=6&a");
  check({ allow: [] }, "a=1&b", "/p");
  check({ allow: ["a"] }, "", "/p", { path: "/p" });
  check({ allow: ["a b", "é"] }, "a+b=1&a%20b=2&%C3%A9=3&ab=4", "/p?a+b=1&a%20b=2&%C3%A9=3");
});

test("parameters are removed and set, whatever spelling they come in", () => {
  check({ remove: ["role", "utm_*"] }, "a=1&role=x&r%6Fle=y&role&utm_a=1&utm_=2", "/p?a=1");
  check({ set: { role: "user" } }, "role=admin&a=1&r%6fle=admin&%72ole", "/p?a=1&role=user");
  check({ set: { role: "user" } }, "", "/p?role=user", { path: "/p" });
  check({ allow: ["a"], remove: ["a"], set: { a: "1", b: "2" } }, "a=9&b=9&c=9", "/p?a=1&b=2");
});

test("a parameter is added only where there is none of its name", () => {
  check({ setIfAbsent: { page: "1" } }, "a=1", "/p?a=1&page=1");
  check({ setIfAbsent: { page: "1" } }, "p%61ge=7", "/p?p%61ge=7");
  check({ setIfAbsent: { page: "1" } }, "page", "/p?page");
  check({ remove: ["page"], setIfAbsent: { page: "1" } }, "page=9", "/p?page=1");
});

test("a semicolon separates nothing upstream", () => {
  check({ set: { role: "user" } }, "a=1;role=admin", "/p?a=1%3Brole=admin&role=user");
  check({ remove: ["role"] }, "a;role=admin&b=1", "/p?a%3Brole=admin&b=1");
  check({ allow: ["a"] }, "a=1;b=2&c;a=3", "/p?a=1%3Bb=2");
});

test("values cannot end their parameter, and without a value there is none", () => {
  check({ set: { t: "{path.t}" } }, "t=9", "/p?t=a%26x%3D1%20b", { params: { t: "a%26x=1%20b" } });
  check({ set: { "n m": "a b&c;d'e" } }, "", "/p?n%20m=a%20b%26c%3Bd%27e", { path: "/p" });
  check({ set: { t: "{query.u}" }, allow: [] }, "u=1%26x", "/p?t=1%26x");
  check({ set: { t: "{query.u}" } }, "t=9", "/p");
  check({ setIfAbsent: { t: "{query.u ?? 'none'}" } }, "", "/p?t=none", { path: "/p" });
});

test("what a rewrite has added stays, and what is the client's is judged", () => {
  check({ allow: ["a"] }, "a=1&b=2", "/s?own=1&a=1", { path: "/s?own=1&a=1&b=2" });
  check({ allow: [] }, "", "/s?own=1", { path: "/s?own=1" });
  check({ allow: ["a"], set: { own: "2" } }, "a=1", "/s?a=1&own=2", { path: "/s?own=1&a=1" });
  // Credentials were taken out in between.
  check({ allow: ["a"] }, "key=s&a=1&b=2", "/s?own=1&a=1", { path: "/s?own=1&a=1&b=2", rewritten: "/s?own=1&key=s&a=1&b=2" });
  check({ allow: ["a"] }, "key=s", "/s?own=1", { path: "/s?own=1", rewritten: "/s?own=1&key=s" });
  // Where nobody can tell whose it is, it counts as the client's.
  check({ allow: ["a"] }, "a=1&b=2", "/s?a=1", { path: "/s?other=1&a=1&b=2", rewritten: "/s?own=1&a=1&b=2" });
  check({ allow: ["a"] }, "a", "/s", { path: "/s?x=a", rewritten: "/s?x=a" });
});

test("configurations that can't be meant are refused", () => {
  const refused = (config: unknown, expected: RegExp) => {
    const parsed = parsePolicy("query", config);
    expect("problems" in parsed ? parsed.problems.join() : "accepted").toMatch(expected);
  };
  refused({}, /changes nothing/);
  refused({ set: { "a*": "1" } }, /^set\.a\*: /);
  refused({ set: { a: "1" }, setIfAbsent: { a: "2" } }, /^setIfAbsent\.a: a is under `set` too/);
  refused({ alow: [] }, /alow|unrecognized|unknown/i);
  refused({ set: { a: 1 } }, /set\.a/);
});
