// `match.paths`, parts and constraints of segments: what is accepted, what is refused with which words and where, and the bounds on their cost.
import { describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { good, problemsOf } from "../../../../support/config-text.ts";

const config = (...routes: readonly string[]): string => `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://10.0.0.1 }] } }
routes:
${routes.map((route) => `  - { ${route} }\n`).join("")}`;
const route = (name: string, match: string, rest = "to: a"): string => `name: ${name}, match: { ${match} }, ${rest}`;
const problems = (...routes: readonly string[]): readonly string[] => problemsOf(config(...routes));
const plan = (...routes: readonly string[]) => compilePlan(good([config(...routes)]).config, { version: 1, metricSlot: () => 0 });

describe("several paths of a route", () => {
  it("stay one route, which is listed under its most specific path", () => {
    const { routes } = plan(route("rest", "path: /**"), route("both", "paths: ['/z/**', /a/b]"), route("one", "path: '/a/{x}'"));
    expect(routes.map(({ name, match }) => `${name} ${match.paths.join(" ")}`)).toEqual(["both /z/** /a/b", "one /a/{x}", "rest /**"]);
  });

  it.each<[string, string, string]>([
    [
      "beside path",
      "path: /a, paths: [/b]",
      "c.yaml:5:42: routes[0].match.paths: path and paths exclude each other; write all of them under `paths`",
    ],
    ["none", "paths: []", "c.yaml:5:32: routes[0].match.paths: expected at least 1 entry"],
    ["one that is no pattern", "paths: [/a, b]", "c.yaml:5:37: routes[0].match.paths[1]: a path begins with '/'; did you mean `/b`?"],
    [
      "one twice",
      "paths: [/a, /a]",
      "c.yaml:5:37: routes[0].match.paths[1]: matches the same paths as /a, and neither is more specific; keep one of them",
    ],
    [
      "two that overlap",
      "paths: ['/{x:[0-9]+}', '/{y:[0-9a-f]+}']",
      "c.yaml:5:48: routes[0].match.paths[1]: matches the same paths as /{x:[0-9]+}, and neither is more specific; keep one of them",
    ],
  ])("are refused with %s", (_, match, message) => {
    expect(problems(route("r", match))).toEqual([message]);
  });

  it("tie with another route by any one of them, which is said once", () => {
    expect(problems(route("r", "paths: [/a, '/b/{x}', '/c/{x}']"), route("s", "paths: ['/c/{y}', '/b/{y}']"))).toEqual([
      "c.yaml:6:23: routes[1].match: matches the same requests as r (c.yaml:5), and neither is more specific; give one of them a longer path or a further condition",
    ]);
  });

  it("give policies the parameters that all of them have", () => {
    const rewritten = (paths: string) => problems(route("r", `paths: ${paths}`, "rewrite: { path: '/v2/{id}' }, to: a"));
    expect(rewritten("['/a/{id}', '/b/{x}/{id}']")).toEqual([]);
    const [problem] = rewritten("['/a/{id}', '/b/{x}']");
    expect(problem).toMatch(
      /^c.yaml:5:\d+: routes\[0\].rewrite.path: \{id\} is unknown .*; a parameter must stand in each of the route's paths$/,
    );
  });

  it("warn at the path that is meant otherwise", () => {
    expect(good([config(route("r", "paths: [/a, '/b/:id']"))]).warnings.map(formatProblem)).toEqual([
      "c.yaml:5:37: routes[0].match.paths[1]: `:id` is no parameter here: it matches only itself; did you mean `/b/{id}`?",
    ]);
  });
});

describe("parts and constraints", () => {
  it.each<[string, string, string]>([
    [
      "two parameters in a segment",
      "/{a}-{b}",
      "'{a}-{b}': a segment has one parameter; write several segments, or one parameter for all of it",
    ],
    ["an expression that needs backtracking", "/{a:(?=x)}", "the constraint of {a}: look-around needs backtracking: it is not known here"],
    [
      "an expression of too many states",
      "/{a:.*x.{12}}",
      "the constraint of {a}: it needs more than 1000 states: anchor it with ^, or make its counted repetitions smaller",
    ],
    ["an expression that no segment matches", "/{a:b/c}", "the constraint of {a}: no segment of a path matches it"],
  ])("refuse %s", (_, path, message) => {
    expect(problems(route("r", `path: '${path}'`))).toEqual([`c.yaml:5:31: routes[0].match.path: ${message}`]);
  });

  const TIE =
    "matches the same requests as r (c.yaml:5), and neither is more specific; give one of them a longer path or a further condition";
  it.each<[string, string, boolean]>([
    ["/{x:[0-9]+}", "/{y:[a-z]+}", false],
    ["/{x:[0-9]+}", "/{y:[0-9]+}", true],
    ["/{x:[0-9]+}", "/{y:[0-9a-z]{3}}", true],
    ["/{x:users|orders}", "/{x:teams|users}", true],
    ["/{x:users|orders}", "/{x:teams|groups}", false],
    ["/grid-{x}", "/list-{x}", false],
    ["/{x}.json", "/{x}.yaml", false],
    ["/{x}.json", "/abcd-{x}", true],
    ["/{x:[a-z]+}.json", "/abcd-{x:[0-9]+}", false],
    ["/grid-{x:[0-9]}", "/grid-{x}", false],
  ])("of %s and %s: a tie is %j", (a, b, expected) => {
    expect(problems(route("r", `path: '${a}'`), route("s", `path: '${b}'`))).toEqual(
      expected ? [`c.yaml:6:23: routes[1].match: ${TIE}`] : [],
    );
  });

  it("fewer at one place than their look-up is bounded by", () => {
    const alike = (count: number) => Array.from({ length: count }, (_, i) => route(`r${i}`, `path: '/{x:a{${i + 1}}}'`));
    expect(problems(...alike(32))).toEqual([]);
    expect(problems(...alike(33))).toEqual([
      "c.yaml:14:32: routes[9].match.path: at this place paths have more than 32 constraints; join them with `|`, or put literal text beside the parameters",
    ]);
    const longer = (count: number) => Array.from({ length: count }, (_, i) => route(`r${i}`, `path: '/${"a".repeat(i + 1)}-{x}'`));
    expect(problems(...longer(64))).toEqual([]);
    expect(problems(...longer(65))).toEqual([
      "c.yaml:69:33: routes[64].match.path: at this place paths have literal texts of more than 64 different lengths beside a parameter; make them equally long, or put them into segments of their own",
    ]);
  });

  it("overlap no more than one request may be looked for at", () => {
    const bits = (depth: number) =>
      Array.from({ length: 2 ** depth }, (_, i) =>
        route(
          `r${i}`,
          `path: '/${i
            .toString(2)
            .padStart(depth, "0")
            .replaceAll("0", "{zN}/")
            .replaceAll("1", "{oN:.+}/")
            .split("/")
            .map((part, n) => part.replace("N", String(n)))
            .join("/")}end'`,
        ),
      );
    expect(problems(...bits(5))).toEqual([]);
    expect(problems(...bits(9))).toEqual([
      expect.stringMatching(
        /^c.yaml:\d+:\d+: routes\[1\].match.path: the paths overlap so much that one request could be looked for at \d+ places \(at most 1000\); use fewer/,
      ),
    ]);
  });
});
