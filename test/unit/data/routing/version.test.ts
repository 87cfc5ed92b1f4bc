// Which route takes a request that names a version, by tables of cases and, case by random case, against a plain reading of the rules.
import { describe, expect, it, test } from "vitest";
import type { Exchange } from "../../../../src/data/exchange/exchange.ts";
import { compileRouter } from "../../../../src/data/routing/compile.ts";
import { compareBelowHost } from "../../../../src/data/routing/order.ts";
import { parsePattern, patternMatches } from "../../../../src/data/routing/pattern.ts";
import { MATCH_METHOD, MATCH_NONE, MATCH_VERSION } from "../../../../src/data/routing/router.ts";
import { pathVariants, versionedPath, versionInPath } from "../../../../src/data/routing/versioned-paths.ts";
import type { MatchPlan } from "../../../../src/plan/plan.ts";
import type { VersioningPlan } from "../../../../src/plan/routing-terms.ts";
import { ReadExchange, type Sketch } from "../../../support/read-exchange.ts";
import { exact, match, seeded } from "./route-sketch.ts";

const ALL: VersioningPlan = {
  path: "/v",
  header: "api-version",
  query: "api-version",
  accept: { parameter: "version", vendor: "acme" },
  default: null,
};

const USERS = [
  match("/users/**", { versions: ["1"] }),
  match("/users/**", { versions: ["2", "beta"] }),
  match("/users/health"),
  match("/**"),
  match("/orders", { versions: ["2"] }),
  match("/teams", { versions: ["1"] }),
  match("/teams"),
];
const NAMES = ["users-1", "users-2", "health", "site", "orders-2", "teams-1", "teams"];

/** The route's name, or the code and detail of the refusal. */
function outcome(sketch: Sketch, versioning: VersioningPlan = ALL, matches: readonly MatchPlan[] = USERS): string {
  const router = compileRouter(
    matches.map((each) => ({ match: each })),
    { clients: [], versioning },
  );
  const x = new ReadExchange(sketch);
  const id = router.match(x);
  if (id === MATCH_VERSION) {
    const { code, detail } = router.versionRefusal(x);
    return `${code}: ${detail}`;
  }
  if (id === MATCH_METHOD) return "405";
  return id === MATCH_NONE ? "404" : (NAMES[id] ?? String(id));
}

const header = (version: string): string[] => ["api-version", version];
const accept = (...values: string[]): string[] => values.flatMap((value) => ["accept", value]);

describe("a version is named", () => {
  it.each<[string, Sketch, string]>([
    ["by the path", { path: "/v1/users/7" }, "users-1"],
    ["by the path, alone", { path: "/v2/users" }, "users-2"],
    ["by a word in the path that a route has", { path: "/vbeta/users" }, "users-2"],
    ["by a header", { path: "/users/7", headers: header("2") }, "users-2"],
    ["by a header in any case", { path: "/users/7", headers: header("BETA") }, "users-2"],
    ["by the query", { path: "/users/7", query: "a=1&api-version=1" }, "users-1"],
    ["by the query, encoded", { path: "/users/7", query: "api%2Dversion=%31" }, "users-1"],
    ["by a vendor's media type", { path: "/users/7", headers: accept("application/vnd.acme.v2+json") }, "users-2"],
    ["by a media type's parameter", { path: "/users/7", headers: accept('application/json;version="1"') }, "users-1"],
    [
      "by the best accepted that is there",
      { path: "/users/7", headers: accept("application/json;version=9, */*;version=1;q=0.1") },
      "users-1",
    ],
    ["by the weight, not the order", { path: "/users", headers: accept("a/b;version=1;q=0.5, a/b;version=2;q=0.8") }, "users-2"],
    ["by several Accept fields together", { path: "/users", headers: accept("a/b;version=9", "a/b;version=2;q=0.5") }, "users-2"],
    ["in two places alike", { path: "/v2/users", headers: [...header("2"), ...accept("application/vnd.acme.v2+json")] }, "users-2"],
    [
      "in one place, where Accept takes any",
      { path: "/users", headers: [...header("2"), ...accept("a/b;version=1, */*;q=0.1")] },
      "users-2",
    ],
    ["beside media types without one", { path: "/users", headers: [...header("1"), ...accept("application/json, */*")] }, "users-1"],
  ])("%s", (_, sketch, expected) => {
    expect(outcome(sketch)).toBe(expected);
  });
});

describe("an unknown version is never answered by another", () => {
  it.each<[string, Sketch, string]>([
    ["in a path: 404", { path: "/v9/users" }, 'route_not_found: version "9" is not served here; there is 1, 2, beta'],
    ["in a path, that others have: 404", { path: "/v1/orders" }, 'route_not_found: version "1" is not served here; there is 2'],
    ["in a path where nothing has versions: it is a path", { path: "/v9/index.html" }, "site"],
    ["what is no version in a path: it is a path", { path: "/video/users" }, "site"],
    ["in a header: 400", { path: "/users", headers: header("9") }, 'version_unknown: version "9" is not served here; there is 1, 2, beta'],
    [
      "in the query: 400",
      { path: "/users", query: "api-version=3" },
      'version_unknown: version "3" is not served here; there is 1, 2, beta',
    ],
    ["empty: 400", { path: "/users", headers: header("") }, 'version_unknown: version "" is not served here; there is 1, 2, beta'],
    [
      "in media types: 406",
      { path: "/users", headers: accept("application/vnd.acme.v9+json") },
      "version_not_acceptable: no accepted version is served here; there is 1, 2, beta",
    ],
    [
      "that other routes have: 400",
      { path: "/orders", headers: header("1") },
      'version_unknown: version "1" is not served here; there is 2',
    ],
    [
      "not by a route without one on the same path",
      { path: "/teams", headers: header("2") },
      'version_unknown: version "2" is not served here; there is 1',
    ],
    ["but by a more specific route without one", { path: "/users/health", headers: header("9") }, "health"],
    ["on paths that have no versions it means nothing", { path: "/index.html", query: "api-version=9" }, "site"],
    [
      "long ones are shown cut",
      { path: "/orders", headers: header("x".repeat(99)) },
      `version_unknown: version "${"x".repeat(40)}" is not served here; there is 2`,
    ],
  ])("%s", (_, sketch, expected) => {
    expect(outcome(sketch)).toBe(expected);
  });

  it("a path that is no route's stays unknown, whatever the method", () => {
    const matches = [match("/orders", { versions: ["2"], methods: ["GET"] })];
    expect(outcome({ path: "/video/orders", method: "PUT" }, ALL, matches)).toBe("404");
    expect(outcome({ path: "/v2/orders", method: "PUT" }, ALL, matches)).toBe("405");
    expect(outcome({ path: "/v9/orders", method: "PUT" }, ALL, matches)).toBe("405");
  });

  it("in a path that a parameter would take: 404", () => {
    const matches = [match("/{tenant}/users", { versions: ["1"] }), match("/{any}/users")];
    expect(outcome({ path: "/acme/users" }, { ...ALL, default: "1" }, matches)).toBe("users-1");
    expect(outcome({ path: "/v9/users" }, { ...ALL, default: "1" }, matches)).toBe(
      'route_not_found: version "9" is not served here; there is 1',
    );
    expect(outcome({ path: "/videos/users" }, { ...ALL, default: "1" }, matches)).toBe("users-1");
  });
});

describe("nobody chooses between versions that contradict each other", () => {
  it.each<[string, Sketch, string]>([
    ["path and header", { path: "/v1/users", headers: header("2") }, 'the path names version "1", the header "2"'],
    ["header and query", { path: "/users", headers: header("2"), query: "api-version=1" }, 'the header names version "2", the query "1"'],
    [
      "path and media type",
      { path: "/v1/users", headers: accept("application/vnd.acme.v2+json") },
      'the path names version "1", which accept does not take',
    ],
    [
      "a header and one of weight 0",
      { path: "/users", headers: [...header("1"), ...accept("a/b;version=1;q=0, */*")] },
      'the header names version "1", which accept does not take',
    ],
    ["a header twice", { path: "/users", headers: [...header("2"), ...header("2")] }, "the header api-version is there twice"],
    [
      "a header and its look-alike",
      { path: "/users", headers: [...header("2"), "api_version", "1"] },
      "the header api-version is there twice",
    ],
    ["a parameter twice", { path: "/users", query: "api-version=1&api-version=1" }, "the query parameter api-version is there twice"],
    ["a parameter that `;` divides", { path: "/users", query: "a=1;api-version=1" }, "the query parameter api-version is there twice"],
    ["media types that cannot be read", { path: "/users", headers: accept('a/b;version="1') }, "the versions in accept cannot be read"],
  ])("%s", (_, sketch, detail) => {
    expect(outcome(sketch)).toBe(`version_ambiguous: ${detail}`);
  });
});

describe("a request that names none", () => {
  it("has the default", () => {
    const versioning = { ...ALL, default: "1" };
    expect(outcome({ path: "/users" }, versioning)).toBe("users-1");
    expect(outcome({ path: "/users", headers: accept("*/*") }, versioning)).toBe("users-1");
    expect(outcome({ path: "/users", headers: accept("application/json, text/*;q=0.3") }, versioning)).toBe("users-1");
    expect(outcome({ path: "/users", headers: accept("a/b;version=9, */*;q=0.1") }, versioning)).toBe("users-1");
    expect(outcome({ path: "/teams" }, versioning)).toBe("teams-1");
  });
  it("does not have a default that Accept excludes", () => {
    expect(outcome({ path: "/users", headers: accept("a/b;version=1;q=0, */*") }, { ...ALL, default: "1" })).toMatch(
      /^version_not_acceptable/,
    );
  });
  it("takes routes without a version where the default is not served, and is 404 without those", () => {
    expect(outcome({ path: "/orders" }, { ...ALL, default: "1" })).toBe("site");
    expect(outcome({ path: "/orders" }, { ...ALL, default: "1" }, [match("/orders", { versions: ["2"] })])).toBe(
      'route_not_found: version "1" is not served here; there is 2',
    );
  });
  it("takes routes without a version where there is no default", () => {
    expect(outcome({ path: "/users" })).toBe("site");
    expect(outcome({ path: "/teams" })).toBe("teams");
  });
  it("is told where to name one when there is no such route", () => {
    const matches = [match("/a", { versions: ["1", "2"] })];
    expect(outcome({ path: "/a" }, ALL, matches)).toBe(
      "version_missing: name one by the header api-version or the query parameter api-version or a media type in accept; there is 1, 2",
    );
    const byPath: VersioningPlan = { path: "/v", header: null, query: null, accept: null, default: null };
    expect(outcome({ path: "/a" }, byPath, matches)).toBe("route_not_found: the path names no version; there is 1, 2");
    expect(outcome({ path: "/v2/a" }, byPath, matches)).toBe("users-1"); // index 0
  });
});

describe("besides", () => {
  it("what is no place for versions is not read", () => {
    const only: VersioningPlan = { path: null, header: "api-version", query: null, accept: null, default: null };
    expect(outcome({ path: "/users", query: "api-version=1", headers: [...header("2"), ...accept("a/b;version=9")] }, only)).toBe(
      "users-2",
    );
    expect(outcome({ path: "/v1/users", headers: header("2") }, only)).toBe("site");
  });
  it("methods and other conditions count before the version", () => {
    const matches = [
      match("/a", { versions: ["1"], methods: ["GET"] }),
      match("/a", { versions: ["1"], headers: [exact("x", "1")] }),
      match("/a", { versions: ["1"] }),
    ];
    expect(outcome({ path: "/a", headers: [...header("1"), "x", "1"] }, ALL, matches)).toBe("users-1");
    expect(outcome({ path: "/a", method: "PUT", headers: [...header("1"), "x", "1"] }, ALL, matches)).toBe("users-2");
    expect(outcome({ path: "/a", method: "PUT", headers: header("9") }, ALL, matches)).toMatch(/^version_unknown/);
    expect(outcome({ path: "/a", method: "PUT", headers: header("1") }, ALL, [matches[0] as MatchPlan])).toBe("405");
  });
  it("parameters of the path are those of the path as it came", () => {
    const router = compileRouter([{ match: match("/users/{id}/**", { versions: ["1"] }) }], { clients: [], versioning: ALL });
    const x = new ReadExchange({ path: "/v1/users/7/a/b" });
    expect([router.match(x), x.params]).toEqual([0, ["7", "a/b"]]);
  });
  it("responses vary by header and Accept where a version was demanded", () => {
    const router = compileRouter(
      USERS.map((each) => ({ match: each })),
      { clients: [], versioning: ALL },
    );
    const vary = (path: string) => [router.match(new ReadExchange({ path })), router.vary];
    expect(vary("/v1/users")).toEqual([0, "api-version, accept"]);
    expect(vary("/teams")).toEqual([6, "api-version, accept"]);
    expect(vary("/users/health")).toEqual([2, ""]);
  });
});

describe("a version in the path", () => {
  it.each<[string, string, string | null]>([
    ["/users", "/v", "/v2/users"],
    ["/", "/v", "/v2"],
    ["/**", "/v", "/v2/**"],
    ["/{a}/b", "/v", "/v2/{a}/b"],
    ["/api/users", "/api/v", "/api/v2/users"],
    ["/api", "/api/v", "/api/v2"],
    ["/apis/users", "/api/v", null],
    ["/**", "/api/v", null],
    ["/users", "/", "/2/users"],
  ])("of %j behind %j makes it %j", (path, before, expected) => {
    expect(versionedPath(path, before, "2")).toBe(expected);
  });
  it.each<[string, string, string | null]>([
    ["/v2/users", "/v", "2"],
    ["/v2", "/v", "2"],
    ["/v2.1/x", "/v", "2.1"],
    ["/v2026-01-31/x", "/v", "2026-01-31"],
    ["/vbeta/x", "/v", "beta"],
    ["/videos/x", "/v", null],
    ["/v2x/x", "/v", null],
    ["/v/x", "/v", null],
    ["/V2/x", "/v", null],
    ["/api/v3/x", "/api/v", "3"],
    ["/v3/x", "/api/v", null],
  ])("is in %j, behind %j: %j", (path, before, expected) => {
    expect(versionInPath(path, before, new Set(["beta"]))).toBe(expected);
  });
});

/** The rules as REFERENCE.md and compile.ts tell them, one route after the other. Named by a header alone. */
function plainReading(matches: readonly MatchPlan[], versioning: VersioningPlan, x: Exchange): number {
  const named = versioning.path === null ? null : versionInPath(x.path, versioning.path, new Set(["1", "2"]));
  const stated = named ?? x.headers[1];
  const contradicts = stated !== undefined && x.headers[1] !== undefined && stated !== x.headers[1];
  const version = stated ?? versioning.default ?? "";
  let refused = false;
  let blocked = false;
  for (const tier of [(hosts: readonly string[]) => hosts.includes(x.host), (hosts: readonly string[]) => hosts.length === 0]) {
    const reached = pathVariants(matches, versioning)
      .filter(({ match: { hosts, paths } }) => {
        const pattern = parsePattern(paths[0] ?? "");
        return tier(hosts) && !("error" in pattern) && patternMatches(pattern, x.path);
      })
      .sort((a, b) => compareBelowHost(a.match, b.match));
    for (const { route, refuses, match: each } of reached) {
      if (each.versions.length === 0) {
        if (!blocked) return route;
      } else if (refuses) {
        refused ||= named !== null;
        blocked ||= named !== null;
      } else if (!contradicts && each.versions.includes(version)) return route;
      else {
        refused = true;
        blocked ||= stated !== undefined;
      }
    }
  }
  return refused ? MATCH_VERSION : MATCH_NONE;
}

test("the compiled table finds what a plain reading finds", () => {
  const pick = seeded(20261129);
  const one = <T>(of: readonly T[]): T => of[pick(of.length)] as T; // below length
  let refusals = 0;
  for (let round = 0; round < 400; round++) {
    const versioning: VersioningPlan = {
      path: one(["/v", null]),
      header: "api-version",
      query: null,
      accept: null,
      default: one([null, "1", "2"]),
    };
    const made = Array.from({ length: 1 + pick(8) }, () =>
      match(one(["/a", "/a/b", "/a/**", "/{x}/b", "/**", "/*/**", "/v1/a", "/a/{y}"]), {
        hosts: one([[], ["api.example.com"], []]),
        versions: one([[], [], ["1"], ["2"], ["1", "2"]]),
      }),
    );
    const router = compileRouter(
      made.map((each) => ({ match: each })),
      { clients: [], versioning },
    );
    for (let n = 0; n < 20; n++) {
      const path = `${one(["", "", "/v1", "/v2", "/v9"])}${one(["/a", "/a/b", "/c/b", "/a/b/c", "/d"])}`;
      const x = new ReadExchange({
        path,
        host: one(["api.example.com", "other.example"]),
        headers: one([[], header("1"), header("2"), header("9")]),
      });
      const expected = plainReading(made, versioning, x);
      const got = router.match(x);
      const same = got === expected || (got >= 0 && expected >= 0 && compareBelowHost(made[got]!, made[expected]!) === 0); // both are indexes
      expect(same, JSON.stringify({ made, versioning, path, headers: x.headers, host: x.host, got, expected })).toBe(true);
      if (got === MATCH_VERSION) refusals++;
    }
  }
  expect(refusals).toBeGreaterThan(100);
});
