import { expect, test } from "vitest";
import { stripped } from "../../../../../src/data/policies/rewrite/prefix.ts";
import { ask, buildPolicy, parsePolicy, type RequestSketch, TestExchange } from "../../../../support/exchange.ts";

/** @param expected the path and query that go upstream, or the problem's code */
function check(config: unknown, sketch: RequestSketch, expected: string): void {
  const paramNames = Object.keys(sketch.params ?? {});
  const x = new TestExchange(sketch);
  const reply = ask(buildPolicy("rewrite", config, { paramNames }), x);
  const got = reply === undefined ? x.upstreamPath : reply.kind === "problem" ? reply.code : reply.kind;
  expect(got, JSON.stringify({ config, sketch })).toBe(expected);
}

test("path", () => {
  check({ path: "/v2/users/{path.id}" }, { path: "/users/7", params: { id: "7" } }, "/v2/users/7");
  check({ path: "/v2/users/{path.id}" }, { query: "a=1&a=2", params: { id: "7" } }, "/v2/users/7?a=1&a=2");
  check({ path: "/v2/{path.id}" }, { params: { id: "a%20b%C3%A9" } }, "/v2/a%20b%C3%A9");
  check({ path: "/v2/{path.rest}" }, { params: { rest: "a/b/c" } }, "/v2/a/b/c");
  check({ path: "/v2/{path.rest}" }, { params: { rest: "" } }, "/v2/");
  check({ path: "/s?tenant={path.t}" }, { query: "q=1", params: { t: "acme" } }, "/s?tenant=acme&q=1");
  check({ path: "/s?tenant={path.t}" }, { query: "", params: { t: "acme" } }, "/s?tenant=acme");
});

test("no value leaves its place", () => {
  check({ path: "/s?tenant={path.t}" }, { params: { t: "a&admin=1" } }, "/s?tenant=a%26admin%3D1");
  check({ path: "/v2/{query.p}" }, { query: "p=x%3Fy" }, "/v2/x%3Fy?p=x%3Fy");
  check({ path: "/v2/{query.p}" }, { query: "p=../../admin" }, "bad_path");
  check({ path: "/v2/{query.p}" }, { query: "p=a/b" }, "bad_path");
  check({ path: "/v2/{query.p}/x" }, { query: "p=.." }, "bad_path");
  check({ path: "/v2/{query.p}/x" }, { query: "p=" }, "bad_path");
  check({ path: "/v2/{path.id}/x" }, { params: { id: ".." } }, "bad_path");
  check({ path: "/v2/.{query.p}" }, { query: "p=" }, "bad_path");
  check({ path: "/v2/{header.x-p}" }, { headers: { "x-p": "a\\b" } }, "bad_path");
  check({ path: "/v2/{header.x-p}" }, { headers: { "x-p": "%2e%2e" } }, "bad_path");
});

test("prefixes", () => {
  check({ stripPrefix: "/api" }, { path: "/api/users", query: "a" }, "/users?a");
  check({ stripPrefix: "/api/" }, { path: "/api/users" }, "/users");
  check({ stripPrefix: "/api" }, { path: "/api" }, "/");
  check({ stripPrefix: "/api" }, { path: "/api/" }, "/");
  check({ stripPrefix: "/api" }, { path: "/apiary" }, "/apiary");
  check({ addPrefix: "/v2" }, { path: "/users" }, "/v2/users");
  check({ addPrefix: "/v2" }, { path: "/" }, "/v2/");
  check({ stripPrefix: "/api/v1", addPrefix: "/v2" }, { path: "/api/v1/users" }, "/v2/users");
  check({ stripPrefix: "/graphql", addPrefix: "/rpc/graphql" }, { path: "/graphql", query: "a" }, "/rpc/graphql?a");
  check({ stripPrefix: "/graphql", addPrefix: "/rpc/graphql" }, { path: "/graphql/" }, "/rpc/graphql/");
  check({ stripPrefix: "/@me", addPrefix: "/v2" }, { path: "/%40me" }, "/v2");
  check({ addPrefix: "/v2" }, { path: "/" }, "/v2/");
});

test("a prefix is found as the router finds it", () => {
  expect(stripped("/%40me/x", "/@me")).toBe("/x");
  expect(stripped("/a/%40me", "/a/@me")).toBe("");
  expect(stripped("/%40you/x", "/@me")).toBe("/%40you/x");
  expect(stripped("/%40", "/@/me")).toBe("/%40");
  expect(stripped("/@me/a%20b", "/@me")).toBe("/a%20b");
});

test("regular expressions", () => {
  const shop = { regex: "^/shop/([^/]+)/(.*)$", to: "/$1/shop/$2" };
  check(shop, { path: "/shop/de/a/b", query: "q" }, "/de/shop/a/b?q");
  check(shop, { path: "/other" }, "/other");
  check({ regex: "^/x(.*)$", to: "/$1" }, { path: "/x/etc" }, "bad_path");
  check({ regex: "^/x/(.*)$", to: "/a/$1" }, { path: "/x/.hidden" }, "/a/.hidden");
  check({ regex: "^/x-(.*)$", to: "/a/.$1" }, { path: "/x-./b" }, "bad_path");
});

test("configurations that can't be meant are refused", () => {
  for (const config of [
    {},
    { path: "x" },
    { path: "//x" },
    { path: "/x#y" },
    { path: "/x", addPrefix: "/y" },
    { stripPrefix: "/a/../b" },
    { stripPrefix: "/a?b" },
    { addPrefix: "a" },
    { regex: "^/a" },
    { to: "/a" },
    { regex: "^(a+)+$", to: "/" },
    { regex: "^/(.*)$", to: "/$2" },
  ])
    expect(parsePolicy("rewrite", config), JSON.stringify(config)).toHaveProperty("problems");
});
