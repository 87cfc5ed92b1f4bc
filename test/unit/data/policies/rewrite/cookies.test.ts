// What becomes of cookies in responses: read as browsers read them, changed where a rule says so, else byte for byte as they came.
import { describe, expect, it } from "vitest";
import { type Answered, mapped, through } from "../../../../support/answered.ts";

const https = { path: "/shop/a", authority: "shop.example.com", scheme: "https" } as const;
const http = { ...https, scheme: "http" } as const;
/** @param cookies as configured */
const shop = (cookies: unknown, more: Partial<Answered> = {}): Answered => ({
  rewrite: { stripPrefix: "/shop", response: { cookies } },
  request: https,
  ...more,
});
const version = (cookies: unknown): Answered =>
  shop(cookies, { rewrite: { stripPrefix: "/shop", addPrefix: "/v2", response: { cookies } } });

const cookie = (setting: Answered, rows: readonly (readonly [from: string, to: string])[]) =>
  it.each(rows)("%s -> %s", (from, to) => expect(mapped(setting, "set-cookie", from)).toBe(to));
const unchanged = (...lines: readonly string[]) => lines.map((each) => [each, each] as const);

describe("path: auto", () => {
  cookie(shop({ path: "auto" }), [
    ["a=b; Path=/", "a=b; Path=/shop"],
    ["a=b;path=/cart", "a=b; Path=/shop/cart"],
    ["a=b; HttpOnly; PATH = /cart/ ; Max-Age=3", "a=b; HttpOnly; Path=/shop/cart/; Max-Age=3"],
    ["a=b; Path=/x; Path=/y", "a=b; Path=/shop/x; Path=/shop/y"],
    ['a="x; Path=/y"', 'a="x; Path=/shop/y"'],
    ["flag; Path=/", "flag; Path=/shop"],
    ["=v; Path=/", "=v; Path=/shop"],
    ...unchanged(
      "a=b",
      "a=b; Path",
      "a=b; Path=",
      "a=b; Path=cart",
      'a=b; Path="/cart"',
      "a=b; Path=/shop/cart",
      "a=b; Path=/shop",
      "",
      ";Path=/",
      "a=b;;",
    ),
  ]);
  cookie(version({ path: "auto" }), [
    ["a=b; Path=/", "a=b; Path=/shop"],
    ["a=b; Path=/v2", "a=b; Path=/shop"],
    ["a=b; Path=/v2/", "a=b; Path=/shop"],
    ["a=b; Path=/v2/cart", "a=b; Path=/shop/cart"],
    ...unchanged("a=b; Path=/v20", "a=b; Path=/other"),
  ]);
  cookie(shop({ path: "auto" }, { rewrite: { addPrefix: "/v2", response: { cookies: { path: "auto" } } } }), [
    ["a=b; Path=/v2", "a=b; Path=/"],
    ["a=b; Path=/v2/cart", "a=b; Path=/cart"],
    ...unchanged("a=b; Path=/"),
  ]);
  it("the prefix that a trusted proxy has removed stands in front", () =>
    expect(mapped(shop({ path: "auto" }, { forwardedPrefix: ["/outer"] }), "set-cookie", "a=b; Path=/")).toBe("a=b; Path=/outer/shop"));
});

describe("path: replacements", () => {
  cookie(shop({ path: [{ from: "/app", to: "/" }, { from: "/app/admin", to: "/shop/admin/" }, "auto"] }), [
    ["a=b; Path=/app", "a=b; Path=/"],
    ["a=b; Path=/app/x", "a=b; Path=/x"],
    ["a=b; Path=/app/admin/x", "a=b; Path=/shop/admin/x"],
    ["a=b; Path=/apple", "a=b; Path=/shop/apple"],
  ]);
  cookie(shop({ path: [{ from: "/", to: "/shop" }] }), [
    ["a=b; Path=/", "a=b; Path=/shop"],
    ["a=b; Path=/x", "a=b; Path=/shop/x"],
  ]);
});

describe("domain", () => {
  const auto = { domain: "auto" };
  cookie(shop(auto), [
    ["a=b; Domain=app.internal; Path=/", "a=b; Path=/"],
    ["a=b; domain = .APP.internal", "a=b"],
    ["a=b; Domain=internal; Secure", "a=b; Secure"],
    ...unchanged(
      "a=b",
      "a=b; Domain=",
      "a=b; Domain",
      "a=b; Domain=example.com",
      "a=b; Domain=.shop.example.com",
      "a=b; Domain=other.example",
      "a=b; Domain=nal",
    ),
  ]);
  it("addresses, which browsers refuse as Domain, are removed when they are the service's", () => {
    expect(mapped(shop(auto, { target: "10.0.0.1:9001" }), "set-cookie", "a=b; Domain=10.0.0.1; Path=/")).toBe("a=b; Path=/");
    expect(mapped(shop(auto, { target: "10.0.0.1:9001" }), "set-cookie", "a=b; Domain=10.0.0.2")).toBe("a=b; Domain=10.0.0.2");
  });
  it("the Host that the service got is its name as well", () =>
    expect(mapped(shop(auto, { host: "cms.example:80" }), "set-cookie", "a=b; Domain=cms.example")).toBe("a=b"));
  it("the client's host is the one that a trusted proxy names", () =>
    expect(mapped(shop(auto, { forwardedHost: "app.internal" }), "set-cookie", "a=b; Domain=app.internal")).toBe(
      "a=b; Domain=app.internal",
    ));
  cookie(shop({ domain: "remove" }), [
    ["a=b; Domain=example.com; Path=/", "a=b; Path=/"],
    ["a=b; Domain=x; Domain=y", "a=b"],
  ]);
  cookie(
    shop({
      domain: [
        { from: ".app.internal", to: "example.com" },
        { from: "old.example", to: "remove" },
      ],
    }),
    [
      ["a=b; Domain=.App.Internal", "a=b; Domain=example.com"],
      ["a=b; Domain=old.example", "a=b"],
      ...unchanged("a=b; Domain=x.app.internal", "a=b; Domain=internal"),
    ],
  );
});

describe("flags", () => {
  cookie(shop({ secure: "auto", httpOnly: true, sameSite: "lax" }), [
    ["a=b", "a=b; Secure; HttpOnly; SameSite=Lax"],
    ["a=b; secure;HTTPONLY; samesite=STRICT", "a=b; secure;HTTPONLY; SameSite=Lax"],
    ["a=b; SameSite=None; Secure; SameSite", "a=b; Secure; HttpOnly; SameSite=Lax"],
  ]);
  cookie(shop({ secure: "auto" }, { request: http }), unchanged("a=b", "a=b; Secure"));
  cookie(shop({ secure: true }, { request: http }), [["a=b", "a=b; Secure"]]);
  cookie(shop({ sameSite: { ifAbsent: "strict" } }), [
    ["a=b", "a=b; SameSite=Strict"],
    ["a=b; SameSite", "a=b; SameSite=Strict"],
    ["a=b; SameSite=bogus", "a=b; SameSite=Strict"],
    ...unchanged("a=b; samesite=lax", "a=b; SameSite=None; Secure"),
  ]);
  it("SameSite=None is given to no cookie without Secure, which browsers refuse", () => {
    const none = { sameSite: "none", secure: "auto" };
    expect(mapped(shop(none), "set-cookie", "a=b")).toBe("a=b; Secure; SameSite=None");
    expect(mapped(shop(none, { request: http }), "set-cookie", "a=b")).toBe("a=b");
    expect(mapped(shop(none, { request: http }), "set-cookie", "a=b; Secure")).toBe("a=b; Secure; SameSite=None");
  });
});

describe("names that promise something (RFC 6265bis section 4.1.3)", () => {
  const all = { path: [{ from: "/", to: "/x" }], domain: "remove", secure: true, httpOnly: true, sameSite: "strict" };
  cookie(shop(all), [
    ["__Host-a=b; Secure; Path=/", "__Host-a=b; Secure; Path=/; HttpOnly; SameSite=Strict"],
    ["__hOST-a=b; Path=/; Domain=x", "__hOST-a=b; Path=/; Domain=x; Secure; HttpOnly; SameSite=Strict"],
    ["__Secure-a=b; Path=/; Domain=x", "__Secure-a=b; Path=/x; Secure; HttpOnly; SameSite=Strict"],
  ]);
});

describe("rules by name", () => {
  const rules = [
    { httpOnly: true },
    { names: ["app_*"], secure: true },
    { names: ["app_session*", "sid"], sameSite: "strict" },
    { names: ["app_xsrf", "XSRF-TOKEN"] },
  ];
  cookie(shop(rules), [
    ["other=1", "other=1; HttpOnly"],
    ["app_x=1", "app_x=1; Secure"],
    ["app_session_2=1", "app_session_2=1; SameSite=Strict"],
    [" sid =1", " sid =1; SameSite=Strict"],
    ["SID=1", "SID=1; HttpOnly"],
    ...unchanged("app_xsrf=1; Path=/", "XSRF-TOKEN=1"),
  ]);
});

describe("lines", () => {
  it("each of several is changed by itself, in its place", () => {
    const fields = { "x-a": "1", "set-cookie": ["a=1; Path=/", "b=2", "c=3; Path=/c"], "x-b": "2" };
    expect(through(shop("auto"), fields).received).toEqual([
      "x-a", "1", "set-cookie", "a=1; Path=/shop", "set-cookie", "b=2", "set-cookie", "c=3; Path=/shop/c", "x-b", "2",
    ]); // biome-ignore format: pairs
  });
  it("what browsers refuse as a whole stays as it came", () =>
    expect(mapped(shop({ secure: true }), "set-cookie", "a=\x01; Path=/")).toBe("a=\x01; Path=/"));
  it("no path can end the attribute that it stands in", () => {
    const strange = shop(
      { path: "auto" },
      { rewrite: { stripPrefix: "/a;b", response: { cookies: { path: "auto" } } }, request: { path: "/a;b/c" } },
    );
    expect(mapped(strange, "set-cookie", "a=b; Path=/")).toBe("a=b; Path=/");
  });
  it("cookies stay as they are where only `location` is asked for, and addresses where only `cookies` is", () => {
    const fields = { "set-cookie": "a=b; Path=/", location: "/x" };
    expect(through(shop("auto"), fields).received).toEqual(["set-cookie", "a=b; Path=/shop", "location", "/x"]);
    const located = shop("auto", { rewrite: { stripPrefix: "/shop", response: { location: "auto" } } });
    expect(through(located, fields).received).toEqual(["set-cookie", "a=b; Path=/", "location", "/shop/x"]);
  });
  it("without `response` nothing is changed", () => {
    const fields = { "set-cookie": "a=b; Path=/; Domain=app.internal", location: "http://app.internal:9001/x" };
    expect(through(shop("auto", { rewrite: { stripPrefix: "/shop" } }), fields).received).toEqual(Object.entries(fields).flat());
  });
});
