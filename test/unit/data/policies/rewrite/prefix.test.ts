// What services hear of the prefix that was removed, and whose word about further ones counts.
import { describe, expect, it, test } from "vitest";
import { readPrefix } from "../../../../../src/data/policies/rewrite/prefix.ts";
import { through } from "../../../../support/answered.ts";

const told = (rewrite: unknown, path: string, forwardedPrefix: readonly string[] = []): readonly string[] => {
  const { sent } = through({ rewrite, request: { path }, forwardedPrefix }, {});
  return sent.flatMap((name, i) => (i % 2 === 0 && name === "x-forwarded-prefix" ? [sent[i + 1] ?? ""] : []));
};

describe("X-Forwarded-Prefix", () => {
  it("says which prefix was removed", () => {
    expect(told({ stripPrefix: "/shop/" }, "/shop/a")).toEqual(["/shop"]);
    expect(told({ stripPrefix: "/shop/eu", addPrefix: "/v2" }, "/shop/eu")).toEqual(["/shop/eu"]);
    expect(told({ stripPrefix: "/@me" }, "/%40me/a")).toEqual(["/@me"]);
  });
  it("says nothing where nothing was removed", () => {
    expect(told({ stripPrefix: "/shop" }, "/shopping")).toEqual([]);
    expect(told({ addPrefix: "/v2" }, "/a")).toEqual([]);
    expect(told({ path: "/x" }, "/a")).toEqual([]);
    expect(told({ stripPrefix: "/shop", forwardPrefix: false }, "/shop/a")).toEqual([]);
  });
  it("has what trusted proxies have removed in front", () => {
    expect(told({ stripPrefix: "/shop" }, "/shop/a", ["/outer/"])).toEqual(["/outer/shop"]);
    expect(told({ stripPrefix: "/shop" }, "/shop/a", ["/a, /b", "/c"])).toEqual(["/a/b/c/shop"]);
    expect(told({ stripPrefix: "/shop" }, "/other", ["/outer"])).toEqual(["/outer"]);
    expect(told({ stripPrefix: "/shop", forwardPrefix: false }, "/shop/a", ["/outer"])).toEqual([]);
  });
  it("leaves out what a proxy says that is no plain path", () =>
    expect(told({ stripPrefix: "/shop" }, "/shop/a", ["//evil.example"])).toEqual(["/shop"]));
});

test("a prefix is nothing but a path of this host", () => {
  for (const good of ["/a", "/a/b-c_d.e~f", "/a%20b", "/@me"]) expect(readPrefix(good)).toBe(good);
  for (const none of ["", "/", " / , "]) expect(readPrefix(none)).toBe("");
  for (const bad of [
    "a",
    "//a",
    "/a//b",
    "https://evil.example",
    "/a/../b",
    "/a/%2E%2e",
    "/.",
    "/a;Domain=x",
    "/a b",
    "/a?b",
    "/a#b",
    "/\\a",
    "/a, b",
    `/${"a".repeat(1024)}`,
  ])
    expect(readPrefix(bad), bad).toBe("");
});
