// The total order of routes, and ties: each rule of config/REFERENCE.md alone, then the laws of an order over random routes.
import { describe, expect, test } from "vitest";
import { compareMatches, findTies, sortMatches, TIES_MAX, tie } from "../../../../src/data/routing/order.ts";
import type { MatchPlan } from "../../../../src/plan/plan.ts";
import { exact, match, prefix, present, regex, seeded } from "./route-sketch.ts";

// Each list from first to last.
test.each<[string, readonly MatchPlan[]]>([
  [
    "host before everything else",
    [
      match("/**", { hosts: ["a.example"] }),
      match("/x", { hosts: ["*.b.example"] }),
      match("/x", { hosts: ["*.example"] }),
      match("/x", { methods: ["GET"], headers: [exact("a", "1")] }),
    ],
  ],
  ["path before method", [match("/x"), match("/{y}", { methods: ["GET"] }), match("/**", { methods: ["GET"] })]],
  ["method before headers", [match("/x", { methods: ["GET"] }), match("/x", { headers: [exact("a", "1"), exact("b", "1")] })]],
  ["HEAD by name before HEAD by GET", [match("/x", { methods: ["HEAD"] }), match("/x", { methods: ["GET"] })]],
  [
    "headers before query, more before fewer",
    [
      match("/x", { headers: [exact("a", "1"), exact("b", "1")] }),
      match("/x", { headers: [exact("a", "1")], query: [exact("q", "1")] }),
      match("/x", { headers: [exact("a", "1")] }),
      match("/x", { query: [exact("q", "1"), exact("r", "1")] }),
      match("/x", { query: [exact("q", "1")] }),
      match("/x"),
    ],
  ],
  [
    "exact, long prefix, prefix, regex, present",
    [
      match("/x", { headers: [exact("a", "1")] }),
      match("/x", { headers: [prefix("a", "12")] }),
      match("/x", { headers: [prefix("a", "1")] }),
      match("/x", { headers: [regex("a", "1.*")] }),
      match("/x", { headers: [present("a")] }),
    ],
  ],
  [
    "a version behind the method and before headers, by whichever versions",
    [
      match("/x", { methods: ["GET"] }),
      match("/x", { versions: ["1", "2"], headers: [exact("a", "1")] }),
      match("/x", { versions: ["1"] }),
      match("/x", { headers: [exact("a", "1")] }),
    ],
  ],
  ["client type last", [match("/x", { query: [exact("q", "1")] }), match("/x", { client: "mobile" }), match("/x")]],
])("%s", (_, matches) => {
  expect(sortMatches(matches.toReversed()).map((i) => matches.length - 1 - i)).toEqual([...matches.keys()]);
  for (let i = 1; i < matches.length; i++) {
    expect(compareMatches(matches[i - 1]!, matches[i]!), String(i)).toBeLessThan(0); // 0 < i < length
    expect(tie(matches[i - 1]!, matches[i]!), String(i)).toBe(false);
  }
});

describe("tie", () => {
  test.each<[string, MatchPlan, MatchPlan, boolean]>([
    ["the same", match("/x"), match("/x"), true],
    ["parameter names do not count", match("/{a}"), match("/{b}"), true],
    ["'*' is a parameter", match("/{a}"), match("/*"), true],
    ["other paths", match("/x"), match("/y"), false],
    ["encoded differently", match("/@x"), match("/%40x"), true],
    ["one host in common", match("/x", { hosts: ["a", "b"] }), match("/x", { hosts: ["b", "c"] }), true],
    ["no host in common", match("/x", { hosts: ["a"] }), match("/x", { hosts: ["b"] }), false],
    ["host and any host", match("/x", { hosts: ["a"] }), match("/x"), false],
    ["wildcards of different length", match("/x", { hosts: ["*.a.b"] }), match("/x", { hosts: ["*.b"] }), false],
    ["methods in common", match("/x", { methods: ["GET", "PUT"] }), match("/x", { methods: ["PUT"] }), true],
    ["no method in common", match("/x", { methods: ["GET"] }), match("/x", { methods: ["POST"] }), false],
    ["HEAD and GET", match("/x", { methods: ["GET"] }), match("/x", { methods: ["HEAD"] }), false],
    ["method and any", match("/x", { methods: ["GET"] }), match("/x"), false],
    ["values exclude each other", match("/x", { headers: [exact("a", "1")] }), match("/x", { headers: [exact("a", "2")] }), false],
    ["different headers", match("/x", { headers: [exact("a", "1")] }), match("/x", { headers: [exact("b", "1")] }), true],
    ["different query", match("/x", { query: [exact("a", "1")] }), match("/x", { query: [exact("b", "1")] }), true],
    ["prefixes apart", match("/x", { headers: [prefix("a", "12")] }), match("/x", { headers: [prefix("a", "13")] }), false],
    ["regexes may overlap", match("/x", { headers: [regex("a", "1")] }), match("/x", { headers: [regex("a", "2")] }), true],
    [
      "a regex that an exact value disproves",
      match("/x", { headers: [exact("a", "1"), regex("b", "\\d")] }),
      match("/x", { headers: [regex("a", "\\w{2}"), exact("b", "1")] }),
      false,
    ],
    ["versions apart", match("/x", { versions: ["1", "2"] }), match("/x", { versions: ["3"] }), false],
    ["versions in common", match("/x", { versions: ["1", "2"] }), match("/x", { versions: ["2", "3"] }), true],
    ["a version and any", match("/x", { versions: ["1"] }), match("/x"), false],
    ["listeners apart", match("/x", { listeners: ["a"] }), match("/x", { listeners: ["b", "c"] }), false],
    ["a listener in common", match("/x", { listeners: ["a", "b"] }), match("/x", { listeners: ["b", "c"] }), true],
    ["a listener and any", match("/x", { listeners: ["a"] }), match("/x"), false],
    ["schemes apart", match("/x", { scheme: "http" }), match("/x", { scheme: "https" }), false],
    ["the same scheme", match("/x", { scheme: "http" }), match("/x", { scheme: "http" }), true],
    ["client types apart", match("/x", { client: "bot" }), match("/x", { client: "mobile" }), false],
    ["the same client type", match("/x", { client: "bot" }), match("/x", { client: "bot" }), true],
  ])("%s", (_, a, b, expected) => {
    expect(tie(a, b)).toBe(expected);
    expect(tie(b, a)).toBe(expected);
    expect(findTies([a, b])).toEqual(expected ? [{ a: 0, b: 1 }] : []);
  });

  test("a bad path is a named error", () => {
    expect(() => findTies([match("x")])).toThrow(/"x": a path begins/);
  });
});

/** Few choices each, so that pairs meet often. */
function randomMatch(random: (below: number) => number): MatchPlan {
  const pick = <T>(...choices: readonly T[]): T => choices[random(choices.length)]!; // random() < length
  const path = pick("/a", "/{p}", "/*", "/**", "/a/{p}", "/{q}/a", "/a/**", "/a/b");
  const values = () =>
    pick(
      [],
      [],
      [],
      [],
      [],
      [exact("k", pick("1", "2"))],
      [prefix("k", "1")],
      [regex("k", "[12]")],
      [present("k")],
      [exact("k", "1"), exact("l", "1")],
    );
  return match(path, {
    hosts: pick([], ["a.x"], ["*.x"], ["a.x", "b.x"]),
    methods: pick([], ["GET"], ["HEAD"], ["GET", "POST"], ["POST"]),
    headers: values(),
    query: values(),
    client: pick(null, null, null, null, "bot" as const, "mobile" as const),
    listeners: pick([], [], [], [], [], [], [], [], ["one"], ["one", "two"]),
    scheme: pick(null, null, null, null, null, null, null, "http" as const),
  });
}

test("findTies finds what comparing every pair finds", () => {
  const random = seeded(3);
  let ties = 0;
  for (let round = 0; round < 70; round++) {
    const matches = Array.from({ length: 60 }, () => randomMatch(random));
    const expected: { a: number; b: number }[] = [];
    for (let a = 0; a < matches.length; a++) {
      for (let b = a + 1; b < matches.length; b++) if (tie(matches[a]!, matches[b]!)) expected.push({ a, b });
    }
    ties += expected.length;
    expect(findTies(matches)).toEqual(expected);
  }
  expect(ties).toBeGreaterThan(50);
});

test("compareMatches is a total order: antisymmetric, transitive, and file order never counts", () => {
  const random = seeded(4);
  const matches = Array.from({ length: 60 }, () => randomMatch(random));
  const wrong: unknown[] = []; // judged once: an expectation for each of 40 000 triples would take longer than the rest
  for (const a of matches) {
    for (const b of matches) {
      if (Math.sign(compareMatches(a, b)) !== 0 - Math.sign(compareMatches(b, a))) wrong.push({ a, b });
      for (const c of matches.slice(0, 10)) {
        if (compareMatches(a, b) <= 0 && compareMatches(b, c) <= 0 && compareMatches(a, c) > 0) wrong.push({ a, b, c });
      }
    }
  }
  expect(wrong).toEqual([]);
  const sorted = sortMatches(matches).map((i) => JSON.stringify(matches[i]));
  const reversed = matches.toReversed();
  expect(sortMatches(reversed).map((i) => JSON.stringify(reversed[i]))).toEqual(sorted);
});

test("ten thousand routes on one path, told apart by a header value, are searched without comparing all pairs", () => {
  const matches = Array.from({ length: 10_000 }, (_, i) => match("/x", { headers: [exact("tenant", String(i))] }));
  expect(findTies(matches)).toEqual([]);
  expect(findTies([...matches, match("/x", { headers: [exact("tenant", "77")] })])).toEqual([{ a: 77, b: 10_000 }]);
});

test("the list of ties is bounded", () => {
  expect(findTies(Array.from({ length: 50 }, () => match("/x")))).toHaveLength(TIES_MAX);
});
