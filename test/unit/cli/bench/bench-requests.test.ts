// Which requests a bench sends: guesses that take the route they are made for, and those an operator names.
import { describe, expect, it } from "vitest";
import { benchRequests, samplePath } from "../../../../src/cli/bench/bench-requests.ts";
import { requestBytes } from "../../../../src/cli/bench/load.ts";
import { planOf } from "./plan-of.ts";

const plan = planOf(`version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { u: { targets: [{ url: "http://127.0.0.1:9001" }] } }
routes:
  - { name: all, match: { path: /** }, to: u }
  - { name: user, match: { hosts: [api.example.com], path: "/users/{id}" }, to: u }
  - { name: wild, match: { hosts: ["*.example.org"], path: "/a/*/b/**" }, to: u }
  - { name: canary, match: { path: /canary, headers: { x-v: "2", x-p: { present: true } }, query: { q: { prefix: "a b" } }, client: mobile }, to: u }
  - { name: pattern, match: { path: /pattern, headers: { x-v: { regex: "^v[0-9]+$" } } }, to: u }
  - { name: order, match: { path: /orders, methods: [POST] }, to: u }
  - { name: head, match: { path: /head, methods: [HEAD, PUT] }, to: u }
  - { name: one, match: { path: /shadow/1 }, to: u }
  - { name: shadowed, match: { path: "/shadow/{n}" }, to: u }
`);
const none = { urls: [], headers: [], body: "" };

describe("guessed requests", () => {
  const { requests, skipped } = benchRequests(plan, none);
  it.each<[string, string]>([
    ["all", "GET /x"],
    ["user", "GET api.example.com/users/1"],
    ["wild", "GET sluice-bench.example.org/a/x/b/x"],
    ["canary", "GET /canary?q=a%20b"],
    ["head", "HEAD /head"],
    ["one", "GET /shadow/1"],
  ])("%s: %s", (route, words) => {
    const found = requests.find((each) => each.route === route);
    expect(`${found?.method} ${found?.authority}${found?.path}${found?.query === "" ? "" : `?${found?.query}`}`).toBe(
      words === "GET /x" ? "GET /" : words,
    );
  });
  it("carry what the route asks for", () => {
    expect(requests.find(({ route }) => route === "canary")?.headers).toEqual(["x-v", "2", "x-p", "1", "user-agent", "sluice-bench Mobi"]);
  });
  it("leave out, with the reason, what cannot be guessed or might change something", () => {
    expect(Object.fromEntries(skipped.map(({ route, reason }) => [route, reason]))).toEqual({
      pattern: expect.stringContaining("matches a pattern"),
      order: expect.stringContaining("only POST, which may change something"),
      shadowed: expect.stringContaining("GET /shadow/1 goes to one"),
    });
  });
  it("are as many routes as there are, each once", () => {
    expect(requests.length + skipped.length).toBe(plan.routes.length);
  });
  it("keep an operator's Host", () => {
    const { requests: own } = benchRequests(plan, { ...none, headers: ["host", "api.example.com"] });
    expect(own.map(({ route }) => route)).toContain("user");
    expect(own.map(({ route }) => route)).not.toContain("wild");
  });
});

describe("guessed requests of client types and versions", () => {
  const guesses = (versioning: string) =>
    benchRequests(
      planOf(`version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { u: { targets: [{ url: "http://127.0.0.1:9001" }] } }
clients:
  app: { headers: { x-client: { prefix: "acme/" } } }
  tv: { userAgent: [{ regex: "Web0S.*" }, "*SmartTV*"] }
  odd: { userAgent: { regex: "Odd/.*" } }
  hidden: { userAgent: "*smarttv 2*" }
versioning: ${versioning}
routes:
  - { name: app, match: { path: /a, client: app }, to: u }
  - { name: tv, match: { path: /a, client: tv }, to: u }
  - { name: odd, match: { path: /a, client: odd }, to: u }
  - { name: hidden, match: { path: /a, client: hidden }, to: u }
  - { name: any, match: { path: /a }, to: u }
  - { name: one, match: { path: "/b/{id}", version: "1" }, to: u }
  - { name: two, match: { path: "/b/{id}", version: ["2", "3"] }, to: u }
`),
      none,
    );
  const { requests, skipped } = guesses("{ from: [header, path, query] }");
  const shown = (all: typeof requests, route: string) => {
    const found = all.find((each) => each.route === route);
    return `${found?.path}?${found?.query} ${found?.headers.join(" ")}`;
  };

  it("are of the client type", () => {
    expect(shown(requests, "app")).toBe("/a? x-client acme/");
    expect(shown(requests, "tv")).toBe("/a? user-agent smarttv");
    expect(shown(requests, "any")).toBe("/a? ");
    expect(Object.fromEntries(skipped.map(({ route, reason }) => [route, reason]))).toEqual({
      odd: expect.stringContaining("its client type asks for a value that matches a pattern"),
      hidden: "GET /a goes to tv; name a request with --url",
    });
  });

  it.each([
    ["{ from: [header, path] }", "/b/1? api-version 2"],
    ["{ from: [query, path, accept], query: v }", "/b/1?v=2 "],
    ["{ from: [accept, path] }", "/b/1? accept */*;version=2"],
    ["{ from: [path] }", "/v2/b/1? "],
  ])("name the version: %s", (versioning, expected) => {
    expect(shown(guesses(versioning).requests, "two")).toBe(expected);
  });
});

describe("named requests", () => {
  const name = (url: string, more: Partial<typeof none> = {}) => benchRequests(plan, { ...none, ...more, urls: [url] }).requests[0];
  it.each<[string, Record<string, string>]>([
    ["/users/7", { route: "all", method: "GET", path: "/users/7", authority: "" }],
    ["http://api.example.com/users/7?x=1&y=a?b", { route: "user", path: "/users/7", query: "x=1&y=a?b", authority: "api.example.com" }],
    ["https://API.example.com:8443/users/7", { route: "user", authority: "api.example.com:8443" }],
    ["POST /orders", { route: "order", method: "POST" }],
    ["post  /orders", { route: "order", method: "POST" }],
    ["http://other.example.com", { route: "all", path: "/", authority: "other.example.com" }],
    ["/a/../orders", { route: "all", path: "/orders" }],
  ])("%s", (url, expected) => {
    expect(name(url)).toMatchObject(expected);
  });
  it("have a body only where the method takes one", () => {
    expect(name("POST /orders", { body: "{}" })?.body).toBe("{}");
    expect(name("GET /x", { body: "{}" })?.body).toBe("");
  });
  it.each<[string, RegExp]>([
    ["orders", /expected/],
    ["http://", /expected/],
    ["/a%2fb", /the gateway refuses the path/],
    ["/a b", /expected/],
    ["DELETE POST /x", /expected/],
  ])("refuses %s", (url, message) => {
    expect(() => name(url)).toThrow(message);
  });
  it("says when no route takes it", () => {
    const only = planOf(`version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { u: { targets: [{ url: "http://127.0.0.1:9001" }] } }
routes: [{ name: user, match: { hosts: [api.example.com], path: "/users/{id}" }, to: u }]
`);
    expect(() => benchRequests(only, { ...none, urls: ["/users/1"] })).toThrow(
      /no route takes "\/users\/1"; a route with hosts needs a whole URL/,
    );
  });
});

describe("samplePath", () => {
  it.each([
    ["/", "/"],
    ["/**", "/"],
    ["/a/**", "/a/x"],
    ["/a/{id}/*", "/a/1/x"],
    ["/a/", "/a/"],
  ])("%s -> %s", (pattern, path) => {
    expect(samplePath(pattern)).toBe(path);
  });
});

describe("requestBytes", () => {
  const url = new URL("http://127.0.0.1:8080");
  const base = {
    route: "r",
    listener: "",
    scheme: "http" as const,
    method: "GET",
    host: "",
    path: "/a",
    query: "",
    headers: [] as readonly string[],
    authority: "",
    body: "",
  };
  it.each<[string, Partial<typeof base>, string]>([
    ["the target's host", {}, "GET /a HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n\r\n"],
    ["a host of its own", { authority: "api.example.com", query: "x=1" }, "GET /a?x=1 HTTP/1.1\r\nhost: api.example.com\r\n\r\n"],
    ["an operator's host, once", { headers: ["host", "h", "x-a", "1"] }, "GET /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\n\r\n"],
    ["a body's length in bytes", { method: "POST", body: "é" }, "POST /a HTTP/1.1\r\nhost: 127.0.0.1:8080\r\ncontent-length: 2\r\n\r\né"],
    ["no body where one is expected", { method: "PUT" }, "PUT /a HTTP/1.1\r\nhost: 127.0.0.1:8080\r\ncontent-length: 0\r\n\r\n"],
  ])("%s", (_, part, expected) => {
    expect(requestBytes({ ...base, ...part }, url).toString("utf8")).toBe(expected);
  });
});
