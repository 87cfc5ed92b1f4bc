import { describe, expect, test } from "vitest";
import type { Route } from "../../../../../src/data/exchange/runtime.ts";
import { ask, buildAnswer, parsePolicy, type RequestSketch, TestExchange } from "../../../../support/exchange.ts";

function check(config: unknown, sketch: RequestSketch, expected: string | undefined): void {
  const paramNames = Object.keys(sketch.params ?? {});
  const reply = ask(buildAnswer("redirect", config, { paramNames }), new TestExchange(sketch));
  const got = reply === undefined ? undefined : reply.kind === "problem" ? reply.code : `${reply.status} ${reply.headers.join(" ")}`;
  expect(got, JSON.stringify({ config, sketch })).toBe(expected);
}

test("to a configured place", () => {
  check({ to: "/new" }, { path: "/old" }, "308 location /new");
  check({ to: "/new", status: 302 }, { path: "/old", query: "a=1&b=%20" }, "302 location /new?a=1&b=%20");
  check({ to: "/new?x=1" }, { query: "a=1" }, "308 location /new?x=1&a=1");
  check({ to: "/new#part" }, { query: "a=1" }, "308 location /new?a=1#part");
  check({ to: "/new", keepQuery: false }, { query: "a=1" }, "308 location /new");
  check({ to: "https://www.example.com/u/{path.id}" }, { params: { id: "42" } }, "308 location https://www.example.com/u/42");
  check({ to: "https://www.example.com" }, { query: "a=1" }, "308 location https://www.example.com?a=1");
  check({ to: "https://www.example.com{request.path}" }, { path: "/a/b" }, "308 location https://www.example.com/a/b");
  check({ to: "https://{host}:8443/x" }, { authority: "API.example.com:80" }, "308 location https://api.example.com:8443/x");
  check({ to: "https://{host}/x" }, { authority: "" }, "bad_request");
});

describe("no caller can choose where others are sent", () => {
  test("values stay in their place", () => {
    check({ to: "/{rest}" }, { params: { rest: "/evil.example" } }, "308 location /evil.example");
    check({ to: "/{rest}" }, { params: { rest: "//evil.example" } }, "308 location /evil.example");
    check({ to: "/{query.next}" }, { query: "next=//evil.example" }, "308 location /%2F%2Fevil.example?next=//evil.example");
    check({ to: "/{query.next}", keepQuery: false }, { query: "next=%0d%0aset-cookie:a" }, "308 location /%0D%0Aset-cookie%3Aa");
    check({ to: "/{header.x-next}" }, { headers: { "x-next": "\\evil.example" } }, "308 location /%5Cevil.example");
    check({ to: "/{query.next}", keepQuery: false }, { query: "next=.." }, "bad_path");
    check({ to: "/s?q={path.id}" }, { params: { id: "1&admin=1" } }, "308 location /s?q=1%26admin%3D1");
  });

  test("a parameter called host does not become the host", () => {
    check({ to: "https://{host}/" }, { authority: "good.example", params: { host: "evil.example" } }, "308 location https://good.example/");
  });

  test.each([
    "//evil.example/",
    "https://{path.tenant}.example.com/",
    "https://{header.host}/",
    "https://user@evil.example/",
    "javascript:alert(1)",
    "{request.path}",
    "new",
    "/a\\b",
    "/a b",
    "https://a.example\r\nx: y",
    "https://www.example.com{path.id}",
  ])("%j is refused at load", (to) => {
    expect(parsePolicy("redirect", { to })).toHaveProperty("problems");
  });
});

test("https", () => {
  check({ https: true }, { scheme: "http", path: "/a", query: "b=1" }, "308 location https://api.example.com/a?b=1");
  check(
    { https: true, httpsPort: 8443, status: 301 },
    { scheme: "http", authority: "api.example.com:8080" },
    "301 location https://api.example.com:8443/",
  );
  check({ https: true, keepQuery: false }, { query: "b=1" }, "308 location https://api.example.com/?b=1");
  check({ https: true }, { scheme: "http", authority: "" }, "bad_request");
  check({ https: true }, { scheme: "https", path: "/a" }, undefined);
  check({ https: true, to: "/b" }, { scheme: "http", path: "/a" }, "308 location https://api.example.com/a");
  check({ https: true, to: "/b" }, { scheme: "https", path: "/a" }, "308 location /b");
});

test("a credential in the query is not copied", () => {
  for (const [config, expected] of [
    [{ to: "https://www.example.com/new" }, "https://www.example.com/new?a=1"],
    [{ https: true }, "https://api.example.com/?a=1"],
  ] as const) {
    const x = new TestExchange({ scheme: "http", query: "a=1&key=s3cret" });
    x.route = { hideQuery: (query: string) => query.replace("&key=s3cret", "") } as Route; // as the auth policy gives it
    expect(ask(buildAnswer("redirect", config), x)).toMatchObject({ headers: ["location", expected] });
  }
});

test("https as told by a trusted proxy, on a plain listener", () => {
  const policy = buildAnswer("redirect", { https: true });
  const x = new TestExchange({ scheme: "https" });
  x.secure = false;
  expect(ask(policy, x)).toBeUndefined();
});

test("configurations that can't be meant are refused", () => {
  for (const config of [
    {},
    { https: false },
    { to: "/x", status: 200 },
    { to: "" },
    { https: true, httpsPort: 0 },
    { to: "/x", permanent: true },
  ])
    expect(parsePolicy("redirect", config), JSON.stringify(config)).toHaveProperty("problems");
});
