// `paths` of listeners and routes: what is written, what it compiles to, and what is said when the two do not meet.
import { describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { SPELLINGS } from "../../../../../src/data/routing/path-rules.ts";
import { good, problemsOf } from "../../../../support/config-text.ts";

const text = (listeners: string, route = "", path = "/**"): string => `version: 1
listeners: [${listeners}]
upstreams: { a: { targets: [{ url: http://10.0.0.1 }] } }
routes: [{ name: r, match: { path: ${path} }, to: a${route} }]
`;
const on = (paths: string): string => `{ address: 127.0.0.1:0, paths: ${paths} }`;
const PLAIN = "{ address: 127.0.0.1:0 }";
const plan = (config: string) => compilePlan(good([config]).config, { version: 1, metricSlot: () => 0 });
const warnings = (config: string): readonly string[] => good([config]).warnings.map(formatProblem);

const { encodedSlashes, doubleEncodings, emptySegments, backslashes, matrixParameters } = SPELLINGS;
const both = (bits: number): number => bits | (bits << 8);
const STRICT = both(encodedSlashes | doubleEncodings | emptySegments | backslashes | matrixParameters);

it("listeners are strict by default, and pay nothing for defaults that are written out", () => {
  for (const listener of [PLAIN, on("{}"), on("{ encodedSlashes: refuse, emptySegments: refuse, matrixParameters: refuse, case: keep }")])
    expect(plan(text(listener)).listeners[0]?.paths).toBeNull();
  expect(plan(text(on("{ emptySegments: merge }"))).listeners[0]?.paths).toEqual({
    encodedSlashes: "refuse",
    doubleEncodings: "refuse",
    emptySegments: "merge",
    backslashes: "refuse",
    matrixParameters: "refuse",
    case: "keep",
  });
});

it("routes refuse what the strict form refuses, until they allow it", () => {
  const refused = (route: string): number | undefined => plan(text(PLAIN, route)).routes[0]?.settings.refusedSpellings;
  expect(refused("")).toBe(STRICT);
  expect(refused(", paths: {}")).toBe(STRICT);
  expect(refused(", paths: { encodedSlashes: allow }")).toBe(STRICT & ~both(encodedSlashes));
  expect(refused(", paths: { matrixParameters: allow }")).toBe(STRICT & ~both(matrixParameters));
  const all = "{ encodedSlashes: allow, doubleEncodings: allow, emptySegments: allow, backslashes: allow, matrixParameters: allow }";
  expect(refused(`, paths: ${all}`)).toBe(0);
});

it("defaults permit for every route, and a route may take that back", () => {
  const config = `${text(on("{ encodedSlashes: keep }"), ", paths: { encodedSlashes: refuse }")}defaults: { paths: { encodedSlashes: allow, matrixParameters: allow } }\n`;
  expect(plan(config).routes[0]?.settings.refusedSpellings).toBe(STRICT & ~both(matrixParameters));
});

it("a path of a route with a matrix parameter that is refused before it could match is warned about", () => {
  const never =
    "routes[0].match.path: paths with `;` are refused: this never matches; write `paths: { matrixParameters: keep }` in a listener and `paths: { matrixParameters: allow }` in the route";
  for (const path of ["/a;v=1", "/a%3Bb/{id}"]) expect(warnings(text(PLAIN, "", path))).toEqual([expect.stringContaining(never)]);
});

describe("what makes no sense is refused", () => {
  it.each([
    ["merging where nothing merges", text(on("{ encodedSlashes: merge }")), "listeners[0].paths.encodedSlashes"],
    ["decoding an empty segment", text(on("{ emptySegments: decode }")), "listeners[0].paths.emptySegments"],
    ["merging on a route", text(PLAIN, ", paths: { emptySegments: merge }"), "routes[0].paths.emptySegments"],
    ["decoding on a route", text(PLAIN, ", paths: { encodedSlashes: decode }"), "routes[0].paths.encodedSlashes"],
    ["folding on a route", text(PLAIN, ", paths: { case: fold }"), "routes[0].paths.case"],
  ])("%s", (_, config, path) => {
    expect(problemsOf(config)).toEqual([expect.stringContaining(path)]);
  });
});

it("upper case in a path that no listener leaves in upper case is an error, and a warning where one does", () => {
  const never =
    "c.yaml:4:36: routes[0].match.path: every listener folds paths to lower case: this never matches there; write the path in lower case";
  expect(problemsOf(text(on("{ case: fold }"), "", "/Users/{Id}"))).toEqual([never]);
  expect(warnings(text(`${PLAIN}, ${on("{ case: fold }")}`, "", "/Users"))).toEqual([
    "c.yaml:4:36: routes[0].match.path: listeners[1] folds paths to lower case: this never matches there; write the path in lower case",
  ]);
  for (const path of ["/users/{Id}", "/caf%C3%A9", "/**"]) expect(warnings(text(on("{ case: fold }"), "", path))).toEqual([]);
});

it("a listener and routes that do not meet are warned about", () => {
  expect(warnings(text(on("{ encodedSlashes: keep }")))).toEqual([
    "c.yaml:2:62: listeners[0].paths.encodedSlashes: no route allows it: such paths are still refused; write `paths: { encodedSlashes: allow }` in the routes that are to take them",
  ]);
  expect(warnings(text(PLAIN, ", paths: { backslashes: allow }"))).toEqual([
    "c.yaml:4:72: routes[0].paths.backslashes: no listener lets such paths through; write `paths: { backslashes: keep }` in a listener",
  ]);
  expect(warnings(text(on("{ matrixParameters: keep }")))).toEqual([
    expect.stringContaining("listeners[0].paths.matrixParameters: no route"),
  ]);
  for (const quiet of [
    text(on("{ matrixParameters: keep }"), ", paths: { matrixParameters: allow }", "/a;v=1"),
    text(on("{ encodedSlashes: decode }"), ", paths: { encodedSlashes: allow }"),
    text(on("{ emptySegments: merge, case: fold, matrixParameters: refuse }")),
    text(PLAIN, ", paths: { matrixParameters: refuse }"),
  ])
    expect(warnings(quiet)).toEqual([]);
});
