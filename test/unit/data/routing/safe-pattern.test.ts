import { expect, test } from "vitest";
import { patternProblem, replacementProblem } from "../../../../src/data/routing/safe-pattern.ts";

test.each([
  "^/shop/([^/]+)/(.*)$",
  "^/a/b$",
  "^/v(\\d+)/(.*)",
  "^/(?:de|fr)/([^/]+)$",
  "^/(?<lang>[a-z]{2})/(.*)$",
  "^/files/([^/]+)/([^/]+)/([^/.]+)\\.json$",
  "^/a{3}/b?/.*\\.html$",
])("accepted: %s", (pattern) => {
  expect(patternProblem(pattern)).toBeNull();
});

test.each([
  ["/a/(.*)", /anchor/],
  ["^(a+)+$", /repeated group/],
  ["^(?:a|b)*$", /repeated group/],
  ["^(a|a){2,}$", /repeated group/],
  ["^.*.*$", /last/],
  ["^/.*a[^/]+/x$", /last/],
  ["^\\w+\\d+x$", /last/],
  ["^[^/]+/?[^/]+x$", /last/],
  ["^([^/]+)(?:/a|b[^/]+)c$", /last/],
  ["^/(a)\\1$", /not allowed/],
  ["^/(?=a)b$", /not allowed/],
  ["^/(?<!a)b$", /not allowed/],
  ["^/a|.*b", /alternatives/],
  [`^/${"a?".repeat(9)}$`, /at most 8/],
  ["^/(", /./],
  [`^/${"a".repeat(300)}`, /256/],
])("refused: %s", (pattern, expected) => {
  expect(patternProblem(pattern)).toMatch(expected);
});

/** A wrong judgement would hang this test until its time limit. */
test("accepted patterns finish on hostile paths", () => {
  const hostile = [`/${"a".repeat(8191)}`, `/${"a/".repeat(4095)}`, `/shop/${"1".repeat(8000)}`, `/files/${"a/b/c.".repeat(1300)}`];
  for (const pattern of [
    "^/shop/([^/]+)/(.*)/x$",
    "^/([^/]+)/([^/]+)/(.*)\\.json$",
    "^/(?:a|a)(?:a|a)(?:a|a)(.*)x$",
    "^/a?a?a?a?a?a?.*x$",
  ]) {
    expect(patternProblem(pattern)).toBeNull();
    for (const path of hostile) for (let i = 0; i < 20; i++) expect(new RegExp(pattern, "u").test(path)).toBe(false);
  }
});

test("replacements", () => {
  expect(replacementProblem("^/a/(.*)$", "/b/$1")).toBeNull();
  expect(replacementProblem("^/a/(?:x)(.*)$", "/b")).toBeNull();
  expect(replacementProblem("^/a/(.*)$", "/b/$2")).toMatch(/has 1/);
  for (const to of ["/$&", "/$`", "/$'", "/$<n>", "/$", "/$$", "/$0"])
    expect(replacementProblem("^/(.*)$", to), to).toMatch(/names no group/);
  for (const to of ["/b c", "/b?c=1", "/b#c", "b", ""]) expect(replacementProblem("^/a$", to), to).toMatch(/visible ASCII/);
});
