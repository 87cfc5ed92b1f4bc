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
  ["/{id}.json", /whole segment/],
  ["/a{id}", /whole segment/],
  ["/{}", /no parameter/],
  ["/{1a}", /no parameter/],
  ["/{a b}", /no parameter/],
  ["/{a", /whole segment/],
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
