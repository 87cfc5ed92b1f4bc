// The pattern language: what is accepted, what is refused with which words, what a pattern matches, which of two comes first.
import { describe, expect, test } from "vitest";
import { comparePatterns, type Pattern, parsePattern, patternMatches, patternShape } from "../../../../src/data/routing/pattern.ts";

function pattern(text: string): Pattern {
  const parsed = parsePattern(text);
  if ("error" in parsed) throw new Error(`${text}: ${parsed.error}`);
  return parsed;
}

test.each<[string, string, readonly string[]]>([
  ["/", "/", []],
  ["/users/{id}", "/users/*", ["id"]],
  ["/users/*/x", "/users/*/x", []],
  ["/files/**", "/files/**", ["**"]],
  ["/**", "/**", ["**"]],
  ["/{a}/{b-c}/{_d}/**", "/*/*/*/**", ["a", "b-c", "_d", "**"]],
  ["/users/", "/users/", []],
  ["/caf%c3%a9", "/caf%C3%A9", []],
  ["/café", "/caf%C3%A9", []],
  ["/%75sers", "/users", []],
  ["/users/@me", "/users/@me", []],
  ["/users/%40me", "/users/@me", []],
  ["/a/%2A", "/a/%2A", []],
  ["/grid-{what}", "/grid-{}", ["what"]],
  ["/{file}.json", "/{}.json", ["file"]],
  ["/{id:[1-9][0-9]*}", "/{:[1-9][0-9]*}", ["id"]],
  ["/{kind:users|orders}/{id}", "/{:users|orders}/*", ["kind", "id"]],
  ["/r-{id:[0-9]{1,3}}.pdf/x", "/r-{:[0-9]{1,3}}.pdf/x", ["id"]],
  ["/{id:[^/{}]+}/x", "/{:[^/{}]+}/x", ["id"]],
  ["/{id:a\\}b}", "/{:a\\}b}", ["id"]],
  ["/.{dots}", "/.{}", ["dots"]],
  ["/%40{name}", "/@{}", ["name"]],
  ["/é{x}", "/%C3%A9{}", ["x"]],
])("parsePattern(%j) has shape %j and parameters %j", (text, shape, names) => {
  expect(patternShape(pattern(text))).toBe(shape);
  expect(pattern(text).paramNames).toEqual(names);
});

test.each<[string, RegExp]>([
  ["", /begins with '\/'/],
  ["users", /begins with '\/'/],
  ["/**/x", /only possible at the end/],
  ["/a**", /whole segment/],
  ["/a*", /whole segment/],
  ["/*.json", /whole segment/],
  ["/*{id}", /whole segment/],
  ["/{a}-{b}", /one parameter/],
  ["/{}", /no parameter/],
  ["/{1a}", /no parameter/],
  ["/{a b}", /no parameter/],
  ["/{a", /a brace stands alone/],
  ["/a}", /a brace stands alone/],
  ["/}{a}", /one parameter/],
  ["/{a:}", /the constraint of {a}: nothing stands behind the colon/],
  ["/{a:(b}", /the constraint of {a}: this group is not closed/],
  ["/{a:(?=b)}", /the constraint of {a}: look-around/],
  ["/{a:b*}", /accepted/],
  ["/{a:[0-9]{1000}[a-z]{1000}}", /the constraint of {a}: it needs more than 1000 states/],
  ["/{a:b/c}", /the constraint of {a}: no segment of a path matches it/],
  ["/{a:()}", /the constraint of {a}: no segment of a path matches it/],
  ["/{a}%2f", /never matches/],
  ["/%A9{a}", /never matches/],
  ["/{a}/{a}", /twice/],
  ["/a//b", /empty segment/],
  ["//", /empty segment/],
  ["/a/../b", /dot segments/],
  ["/a/.", /dot segments/],
  ["/a/%2e%2e/b", /dot segments|never matches/],
  ["/a/..;x", /never matches/],
  ["/a%2fb", /never matches/],
  ["/a?b", /never matches/],
  ["/a%", /never matches/],
  ["/a b", /never matches/],
  [`/${"a".repeat(2048)}`, /at most 2048/],
  ["/a".repeat(65), /at most 64/],
])("parsePattern(%j) is refused", (text, message) => {
  const parsed = parsePattern(text);
  expect("error" in parsed ? parsed.error : "accepted").toMatch(message);
});

test.each<[string, readonly string[], readonly string[]]>([
  ["/", ["/"], ["/a"]],
  ["/**", ["/", "/a", "/a/b/"], []],
  ["/a", ["/a"], ["/", "/a/", "/a/b", "/A"]],
  ["/a/", ["/a/"], ["/a", "/a/b"]],
  ["/a/{x}", ["/a/b"], ["/a", "/a/", "/a/b/", "/a/b/c"]],
  ["/a/*", ["/a/b"], ["/a", "/a/", "/a/b/c"]],
  ["/a/**", ["/a", "/a/", "/a/b", "/a/b/c/"], ["/", "/ab", "/b/a"]],
  ["/a/{x}/**", ["/a/b", "/a/b/", "/a/b/c"], ["/a", "/a/"]],
  ["/users/@me", ["/users/@me", "/users/%40me"], ["/users/me"]],
  ["/a%2Cb", ["/a,b", "/a%2Cb"], ["/a"]],
  ["/grid-{x}", ["/grid-a", "/grid-a%20b"], ["/grid-", "/grid", "/agrid-a", "/grid-a/b"]],
  ["/{x}.json", ["/a.json", "/.json.json"], ["/.json", "/a.jso", "/a.json/"]],
  ["/{x:[0-9]+}", ["/1", "/123"], ["/", "/a", "/1a", "/1%20"]],
  ["/{x:^[0-9]+$}", ["/1"], ["/a"]],
  ["/{x:b*}", ["/b", "/bb"], ["/", "/a"]],
  ["/{x:a|bc}", ["/a", "/bc"], ["/ac", "/abc", "/b"]],
  ["/v{x:[0-9]+}/**", ["/v1", "/v12/a/b"], ["/v", "/va"]],
  ["/{x:.{2}}", ["/ab", "/%C3%A9%20", "/%40a"], ["/%C3%A9", "/abc"]],
  ["/@{x}@", ["/@a@", "/%40a%40", "/@%40@"], ["/@@", "/a@"]],
  ["/{x}20", ["/a20", "/%C3%A920"], ["/a%20", "/a%C20"]],
])("%j matches %j and not %j", (text, yes, no) => {
  for (const path of yes) expect(patternMatches(pattern(text), path), path).toBe(true);
  for (const path of no) expect(patternMatches(pattern(text), path), path).toBe(false);
});

describe("comparePatterns", () => {
  // Each line in order: the reference's rule, most specific first.
  test.each<[readonly string[]]>([
    [["/users/me", "/users/{id}", "/users/**"]],
    [["/users/me/x", "/users/me/{y}", "/{a}/me/x/**"]],
    [["/a/{x}", "/{x}/a"]],
    [["/users/{id}/x", "/u/{id}/x", "/users/**", "/u/**", "/**"]],
    [["/a/{x}/{y}/**", "/a/{x}/**", "/a/**"]],
    [["/{a}/{b}", "/**"]],
    [["/a", "/a/**"]],
    [["/{x}", "/a/**"]],
    [["/a-1", "/a-{x:[0-9]}", "/a-{x}", "/{x:[a-z]-[0-9]}", "/{x}", "/**"]],
    [["/report.json", "/{x:[a-z]+}.json", "/{x}.json", "/{x:[a-z.]+}", "/{x}"]],
    [["/a/{x:1}/{y}", "/a/{x}/{y:1}", "/a/{x}/{y}"]],
    [["/ab{x}/{y}", "/{x}/a", "/{x:a}/{y}"]],
  ])("%j is in order", (texts) => {
    const patterns = texts.map(pattern);
    for (let i = 0; i < patterns.length; i++) {
      for (let j = 0; j < patterns.length; j++) {
        const order = Math.sign(comparePatterns(patterns[i]!, patterns[j]!)); // i, j < length
        expect(order, `${texts[i]} ? ${texts[j]}`).toBe(Math.sign(i - j));
      }
    }
  });

  test("parameters and '*' weigh the same", () => {
    expect(comparePatterns(pattern("/a/{x}"), pattern("/a/*"))).toBe(0);
    expect(comparePatterns(pattern("/a/{x}/**"), pattern("/a/{y}/**"))).toBe(0);
  });
});
