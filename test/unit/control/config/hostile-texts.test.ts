// Texts that would cost more than they are worth: nested for ever, wrong a hundred thousand times.
import { expect, it } from "vitest";
import { parseConfig } from "../../../../src/control/config/load.ts";
import { addAll, formatProblem, PROBLEMS_MAX } from "../../../../src/control/config/source/problem.ts";

const problems = (text: string): string[] => {
  const result = parseConfig({ texts: [{ file: "c.yaml", text }] });
  return result.ok ? [] : result.problems.map(formatProblem);
};

const indented = (levels: number): string => `version: 1\n${Array.from({ length: levels }, (_, i) => `${" ".repeat(i)}a:\n`).join("")}`;

it.each([
  ["brackets", `x: ${"[".repeat(100_000)}`, "c.yaml:1:68"],
  ["brackets on lines of their own", "a: [\n".repeat(1_000_000), "c.yaml:65:4"],
  ["brackets that are closed", `x: ${"[".repeat(20_000)}${"]".repeat(20_000)}`, "c.yaml:1:68"],
  ["maps in braces", `x: ${"{a: ".repeat(20_000)}1${"}".repeat(20_000)}`, "c.yaml:1:260"],
  ["lists on one line", `x:\n  ${"- ".repeat(20_000)}1\n`, "c.yaml:2:131"],
  ["keys on one line", `x:\n  ${"? ".repeat(20_000)}1\n`, "c.yaml:2:131"],
])("%s nested without end are one error with its place", (_, text, at) => {
  expect(problems(text)).toEqual([`${at}: nested deeper than 64 levels; make the file simpler`]);
});

it("indentation without end is an error that says so, not what the parser ran out of", () => {
  const [first, ...more] = problems(indented(3000));
  expect(first).toMatch(/^c\.yaml:\d+:\d+: nested deeper than 64 levels; make the file simpler$/);
  expect(more).toEqual([]);
});

it("what only looks like nesting is none: in quotes, in comments, in a text block", () => {
  const brackets = "[{".repeat(100);
  const text = `version: 1\nlisteners: [{ address: 127.0.0.1:0 }]
# ${brackets} ${"- ".repeat(100)}
routes:
  - name: all
    match: {}
    respond:
      json: "${brackets}"
  - name: other
    match: { path: /other }
    respond:
      body: |
        ${brackets}
        ${"- ".repeat(100)}
`;
  expect(problems(text)).toEqual([]);
});

it("of very many mistakes the first are told, and how many more there are", () => {
  for (const [text, count] of [
    [Array.from({ length: 5000 }, (_, i) => `k${i}: 1\n`).join(""), null],
    [`version: 1\n${"routes: []\n".repeat(50_000)}`, 50_000],
    [`version: 1\nroutes:\n${"  - { nope: 1 }\n".repeat(1000)}`, null],
  ] as const) {
    const told = problems(text);
    expect(told).toHaveLength(PROBLEMS_MAX + 1);
    expect(told.at(-1)).toMatch(/: \d+ more problems are not told; mend these first$/);
    if (count !== null) expect(Number(/: (\d+) more/.exec(told.at(-1) ?? "")?.[1])).toBeGreaterThanOrEqual(count - PROBLEMS_MAX - 1);
  }
});

it("lists of any length are put together without running out of stack", () => {
  const into: number[] = [];
  addAll(into, new Array<number>(1_000_000).fill(0));
  expect(into).toHaveLength(1_000_000);
});
