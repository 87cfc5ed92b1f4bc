// The compiled table against tables of cases and, case by random case, against the reference router.
import { describe, expect, test } from "vitest";
import { benchMatch } from "../../../../bench/micro/match.ts";
import { compileRouter } from "../../../../src/data/routing/compile.ts";
import { compareMatches } from "../../../../src/data/routing/order.ts";
import { MATCH_METHOD, MATCH_NONE, type Router } from "../../../../src/data/routing/router.ts";
import type { MatchPlan } from "../../../../src/plan/plan.ts";
import { ReadExchange, type Sketch } from "../../../support/read-exchange.ts";
import { exact, match, prefix, present, referenceMatch, referenceParams, regex, seeded } from "./route-sketch.ts";

const routerOf = (matches: readonly MatchPlan[]): Router => compileRouter(matches.map((each) => ({ match: each })));

/** Which path pattern answers; null for 404, the Allow list for 405. */
function answer(matches: readonly MatchPlan[], sketch: Sketch): string | readonly string[] | null {
  const router = routerOf(matches);
  const x = new ReadExchange(sketch);
  const id = router.match(x);
  if (id === MATCH_METHOD) return router.allowedMethods(x);
  return id === MATCH_NONE ? null : matches[id]!.paths[0]!; // >= 0 is an index of matches
}

describe("paths", () => {
  const routes = [
    "/",
    "/users",
    "/users/me",
    "/users/@me",
    "/users/{id}",
    "/users/{id}/orders/{order}",
    "/users/**",
    "/files/*/raw",
    "/files/**",
    "/a/{x}",
    "/{x}/b",
  ];
  test.each<[string, string | null, readonly string[]]>([
    ["/", "/", []],
    ["/users", "/users", []],
    ["/users/", "/users/**", [""]],
    ["/users/me", "/users/me", []],
    ["/users/@me", "/users/@me", []],
    ["/users/%40me", "/users/@me", []],
    ["/users/42", "/users/{id}", ["42"]],
    ["/users/a%20b", "/users/{id}", ["a%20b"]],
    ["/users/42/", "/users/**", ["42/"]],
    ["/users/42/orders/7", "/users/{id}/orders/{order}", ["42", "7"]],
    ["/users/me/orders/7", "/users/{id}/orders/{order}", ["me", "7"]],
    ["/users/42/orders", "/users/**", ["42/orders"]],
    ["/files/a/raw", "/files/*/raw", []],
    ["/files/a/b/raw", "/files/**", ["a/b/raw"]],
    ["/files", "/files/**", [""]],
    ["/a/b", "/a/{x}", ["b"]],
    ["/c/b", "/{x}/b", ["c"]],
    ["/c/d", null, []],
    ["/Users", null, []],
  ])("%j goes to %j with %j", (path, expected, params) => {
    const matches = routes.map((route) => match(route));
    const router = routerOf(matches);
    const x = new ReadExchange({ path });
    const id = router.match(x);
    expect(id === MATCH_NONE ? null : routes[id]).toBe(expected);
    expect(x.params).toEqual(params);
  });
});

describe("hosts", () => {
  const matches = [
    match("/exact", { hosts: ["api.example.com"] }),
    match("/**", { hosts: ["*.example.com"] }),
    match("/deep", { hosts: ["*.eu.example.com"] }),
    match("/any"),
    match("/both", { hosts: ["one.test", "*.two.test"] }),
  ];
  test.each<[string, string, string | null]>([
    ["api.example.com", "/exact", "/exact"],
    ["api.example.com", "/other", "/**"],
    ["api.example.com", "/any", "/**"],
    ["www.example.com", "/exact", "/**"],
    ["a.b.example.com", "/x", "/**"],
    ["x.eu.example.com", "/deep", "/deep"],
    ["x.eu.example.com", "/else", "/**"],
    ["eu.example.com", "/deep", "/**"],
    ["example.com", "/x", null],
    [".example.com", "/x", null],
    ["badexample.com", "/x", null],
    ["example.com", "/any", "/any"],
    ["", "/any", "/any"],
    ["[::1]", "/any", "/any"],
    ["one.test", "/both", "/both"],
    ["x.two.test", "/both", "/both"],
    ["two.test", "/both", null],
  ])("%s%s goes to %j", (host, path, expected) => {
    expect(answer(matches, { host, path })).toBe(expected);
  });

  test("within a host, the path decides, whatever other hosts the routes have", () => {
    const mixed = [match("/**", { hosts: ["api.test", "*.y.test"] }), match("/users", { hosts: ["*.y.test"] })];
    expect(answer(mixed, { host: "a.y.test", path: "/users" })).toBe("/users");
    expect(answer(mixed, { host: "api.test", path: "/users" })).toBe("/**");
  });
});

describe("methods", () => {
  const matches = [
    match("/users/{id}", { methods: ["GET", "PUT"] }),
    match("/users/me", { methods: ["DELETE"] }),
    match("/users/**", { methods: ["OPTIONS"] }),
    match("/any"),
    match("/users/{id}", { methods: ["PATCH"], hosts: ["api.example.com"] }),
    match("/picky", { methods: ["GET"], headers: [present("x-key")] }),
  ];
  test.each<[string, string, string, string | readonly string[] | null]>([
    ["GET", "a", "/users/1", "/users/{id}"],
    ["HEAD", "a", "/users/1", "/users/{id}"],
    ["GET", "a", "/users/me", "/users/{id}"],
    ["DELETE", "a", "/users/me", "/users/me"],
    ["OPTIONS", "a", "/users/me", "/users/**"],
    ["POST", "a", "/users/me", ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"]],
    ["POST", "a", "/users/1", ["GET", "HEAD", "OPTIONS", "PUT"]],
    ["POST", "api.example.com", "/users/1", ["GET", "HEAD", "OPTIONS", "PATCH", "PUT"]],
    ["get", "a", "/users/1", ["GET", "HEAD", "OPTIONS", "PUT"]],
    ["POST", "a", "/nothing", null],
    ["BREW", "a", "/any", "/any"],
    // the method is not what is wrong: 404
    ["GET", "a", "/picky", null],
    // the method is wrong, whatever the headers
    ["POST", "a", "/picky", ["GET", "HEAD"]],
  ])("%s http://%s%s gives %j", (method, host, path, expected) => {
    expect(answer(matches, { method, host, path })).toEqual(expected);
  });

  test("a route for HEAD by name wins over GET's", () => {
    const both = [match("/x", { methods: ["GET"] }), match("/x", { methods: ["HEAD"], query: [present("q")] })];
    const router = routerOf(both);
    expect(router.match(new ReadExchange({ method: "HEAD", path: "/x", query: "q" }))).toBe(1);
    expect(router.match(new ReadExchange({ method: "HEAD", path: "/x" }))).toBe(0);
  });
});

describe("listener and scheme", () => {
  const matches = [
    match("/a", { listeners: ["internal"], methods: ["DELETE"] }),
    match("/a", { scheme: "https" }),
    match("/a/**"),
    match("/b", { listeners: ["public", "internal"], methods: ["GET"] }),
    match("/b", { listeners: ["public"], scheme: "http", methods: ["GET"] }),
  ];
  const router = routerOf(matches);
  test.each<[Sketch, number]>([
    [{ path: "/a" }, 2],
    [{ path: "/a", secure: true }, 1],
    [{ path: "/a", method: "DELETE", listener: "internal", secure: true }, 0],
    [{ path: "/a", method: "DELETE", listener: "public" }, 2],
    [{ path: "/b", listener: "public" }, 4],
    [{ path: "/b", listener: "public", secure: true }, 3],
    [{ path: "/b", listener: "internal" }, 3],
    [{ path: "/b" }, MATCH_NONE],
  ])("%j takes route %i", (sketch, expected) => {
    expect(router.match(new ReadExchange(sketch))).toBe(expected);
  });

  test("a route of another listener is not told of, neither by its methods nor as the one that came nearest", () => {
    const elsewhere = new ReadExchange({ path: "/b", method: "POST", listener: "other" });
    expect([router.match(elsewhere), router.nearest(elsewhere)]).toEqual([MATCH_NONE, -1]);
    const here = new ReadExchange({ path: "/b", method: "POST", listener: "internal" });
    expect([router.match(here), router.allowedMethods(here)]).toEqual([MATCH_METHOD, ["GET", "HEAD"]]);
  });
});

describe("headers, query, client", () => {
  const routes = [
    match("/x", { headers: [exact("x-api-version", "2"), present("x-beta")] }),
    match("/x", { headers: [exact("x-api-version", "2")] }),
    match("/x", { headers: [prefix("x-api-version", "3.")] }),
    match("/x", { headers: [regex("x-api-version", "[4-9]")] }),
    match("/x", { query: [exact("beta", "a b")] }),
    match("/x", { query: [present("flag")] }),
    match("/x", { client: "mobile" }),
    match("/x", { client: "bot" }),
    match("/x"),
  ];
  test.each<[number, Sketch]>([
    [8, {}],
    [1, { headers: ["x-api-version", "2"] }],
    [0, { headers: ["x-api-version", "2", "x-beta", ""] }],
    [8, { headers: ["x-api-version", "20"] }],
    [2, { headers: ["x-api-version", "3.1"] }],
    [3, { headers: ["x-api-version", "4"] }],
    [8, { headers: ["x-api-version", "44"] }],
    // repeated: every line must hold
    [8, { headers: ["x-api-version", "2", "x-api-version", "3"] }],
    [1, { headers: ["x-api-version", "2", "x-api-version", "2"] }],
    [4, { query: "beta=a+b" }],
    // in another spelling that services may read as the same name
    [8, { headers: ["x-api-version", "2", "x_api_version", "3"] }],
    [8, { headers: ["x_api_version", "2"] }],
    [1, { headers: ["x-api-version", "2", "x_api_version", "2"] }],
    // for readers to whom `;` separates
    [8, { query: "x=1;beta=c&beta=a+b" }],
    [8, { query: "beta=a+b&x;beta" }],
    [4, { query: "x=1;y=2&beta=a+b" }],
    [5, { query: "flag=1;2" }],
    [8, { query: "a;flag" }],
    [4, { query: "c&beta=a%20b" }],
    [4, { query: "b%65ta=%61%20b" }],
    [8, { query: "beta=a" }],
    [8, { query: "beta=a+b&beta=c" }],
    [8, { query: "alphabeta=a+b&xbeta=1&bet=a" }],
    [5, { query: "flag" }],
    [5, { query: "flag=" }],
    [5, { query: "&&flag=%zz" }],
    [8, { query: "flags=1" }],
    [6, { headers: ["sec-ch-ua-mobile", "?1"] }],
    [6, { headers: ["user-agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"] }],
    [8, { headers: ["user-agent", "Mozilla/5.0 (Linux; Android 15) Mobile", "sec-ch-ua-mobile", "?0"] }],
    [7, { headers: ["user-agent", "Mozilla/5.0 (compatible; Googlebot/2.1)", "sec-ch-ua-mobile", "?1"] }],
    [8, { headers: ["user-agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0"] }],
  ])("route %i takes %j", (expected, sketch) => {
    expect(routerOf(routes).match(new ReadExchange({ path: "/x", ...sketch }))).toBe(expected);
  });
});

test("params are shared when there are none, and nothing of an exchange is kept", () => {
  const router = routerOf([match("/a"), match("/b"), match("/c/{x}")]);
  const [a, b] = [new ReadExchange({ path: "/a" }), new ReadExchange({ path: "/b" })];
  router.match(a);
  router.match(b);
  expect(a.params).toBe(b.params);
  expect(a.params).toEqual([]);
});

test("an empty table knows nothing", () => {
  expect(routerOf([]).match(new ReadExchange())).toBe(MATCH_NONE);
});

test("a configuration that should have been refused is a named error", () => {
  expect(() => routerOf([match("x")])).toThrow(/"x": a path begins/);
});

/** Few words, so that requests meet routes often. */
const WORDS = ["a", "b", "users", "%40me", "a%20b"];
const HOSTS = ["", "x.test", "a.x.test", "b.a.x.test", "y.test", "z"];

function randomRoute(random: (below: number) => number): MatchPlan {
  const pick = <T>(choices: readonly T[]): T => choices[random(choices.length)]!; // random() < length
  const segments = Array.from({ length: random(4) }, (_, i) => pick([...WORDS, "@me", `{p${i}}`, `{p${i}}`, "*"]));
  if (random(4) === 0) segments.push("**");
  else if (random(8) === 0) segments.push("");
  const values = () => pick([[], [], [], [exact("k", pick(["1", "2"]))], [prefix("k", "1")], [present("k")], [regex("l", "[12]")]]);
  return match(`/${segments.join("/")}`, {
    hosts: pick([[], [], ["x.test"], ["*.x.test"], ["*.a.x.test", "y.test"], ["*.test"]]),
    methods: pick([[], [], ["GET"], ["POST", "PUT"], ["HEAD"]]),
    headers: values(),
    query: values(),
    client: pick([null, null, null, "mobile" as const]),
    listeners: pick([[], [], [], ["one"], ["one", "two"]]),
    scheme: pick([null, null, null, null, "http" as const, "https" as const]),
  });
}

function randomRequest(random: (below: number) => number): Sketch {
  const pick = <T>(choices: readonly T[]): T => choices[random(choices.length)]!; // random() < length
  const path = `/${Array.from({ length: random(5) }, () => pick([...WORDS, "@me", "zz"])).join("/")}`;
  return {
    method: pick(["GET", "GET", "POST", "HEAD", "DELETE"]),
    listener: pick(["", "one", "two"]),
    secure: pick([false, true]),
    host: pick(HOSTS),
    path: path !== "/" && random(6) === 0 ? `${path}/` : path,
    query: pick(["", "k=1", "k=2&l=2", "k=12", "l=%31", "k=1&k=2"]),
    headers: pick([[], ["k", "1"], ["k", "2", "l", "1"], ["k", "1", "k", "2"], ["sec-ch-ua-mobile", "?1"]]).slice(),
  };
}

test("agrees with the reference on thousands of random tables and requests", () => {
  const random = seeded(1);
  const outcomes = { found: 0, none: 0, method: 0, params: 0 };
  for (let table = 0; table < 250; table++) {
    const matches = Array.from({ length: 1 + random(40) }, () => randomRoute(random));
    const router = routerOf(matches);
    for (let i = 0; i < 60; i++) {
      const x = new ReadExchange(randomRequest(random));
      const expected = referenceMatch(matches, x);
      const result = router.match(x);
      const say = () =>
        JSON.stringify(
          { request: [x.method, x.host, x.path, x.query, x.headers], got: matches[result], wanted: matches[expected.result] },
          null,
          1,
        );
      if (result !== expected.result) expect.fail(say()); // said only when it is wrong: that takes longer than the match
      if (result >= 0) {
        outcomes.found++;
        const params = referenceParams(matches[result]!.paths[0] ?? "", x.path); // result is an index
        if (params.length > 0) outcomes.params++;
        expect(x.params, say()).toEqual(params);
      } else if (result === MATCH_METHOD) {
        outcomes.method++;
        expect(router.allowedMethods(x), say()).toEqual(expected.allowed);
      } else outcomes.none++;
    }
  }
  for (const [outcome, count] of Object.entries(outcomes)) expect(count, outcome).toBeGreaterThan(300);
});

describe("the route that came nearest", () => {
  const matches = [
    match("/users/{id}", { methods: ["PUT"] }),
    match("/users/**", { methods: ["GET"], headers: [exact("x-stage", "beta")] }),
    match("/users/{id}", { hosts: ["a.test"], methods: ["DELETE"] }),
  ];
  test.each<[string, Sketch, number]>([
    ["accepts the method and lacks a condition, before one that does not accept it", { path: "/users/1", method: "GET" }, 1],
    ["is the first in order when none accepts the method", { path: "/users/1", method: "PATCH" }, 0],
    ["is the most specific host's when none accepts the method", { path: "/users/1", method: "PATCH", host: "a.test" }, 2],
    ["is none when no route has the path", { path: "/orders", method: "GET" }, -1],
  ])("%s", (_name, sketch, expected) => {
    const router = routerOf(matches);
    const x = new ReadExchange(sketch);
    expect([router.match(x) < 0, router.nearest(x)]).toEqual([true, expected]);
  });
});

test("the order in which routes stand never counts", () => {
  const random = seeded(2);
  for (let table = 0; table < 50; table++) {
    const matches = Array.from({ length: 30 }, () => randomRoute(random));
    const reversed = matches.toReversed();
    const [forwards, backwards] = [routerOf(matches), routerOf(reversed)];
    for (let i = 0; i < 40; i++) {
      const x = new ReadExchange(randomRequest(random));
      const a = matches[forwards.match(x)];
      const b = reversed[backwards.match(x)];
      // Routes that say the same may stand in for each other; the loader refuses them as ties.
      const alike = a === b || (a !== undefined && b !== undefined && compareMatches(a, b) === 0);
      if (!alike) expect.fail(JSON.stringify({ a, b }));
    }
  }
});

test("the benchmark finds the right routes in both tables", () => {
  const cost = benchMatch(2);
  expect(cost.wrong).toBe(0);
  expect(Object.values(cost).every(Number.isFinite)).toBe(true);
});
