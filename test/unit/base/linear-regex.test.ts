// The gateway's own regular expressions: what they match, held against JavaScript's engine, and what is refused at load.
import { describe, expect, it } from "vitest";
import { compileRegex, type LinearRegex, type RegexMode } from "../../../src/base/linear-regex.ts";
import { seededRandom } from "../../support/upstreams.ts";

function compiled(pattern: string, mode: RegexMode = "search"): LinearRegex {
  const regex = compileRegex(pattern, mode);
  if ("error" in regex) throw new Error(`${pattern}: ${regex.error}`);
  return regex;
}

describe("a search", () => {
  it.each<[string, string, boolean]>([
    ["^/v[12]/", "/v2/users", true],
    ["^/v[12]/", "/v3/users", false],
    ["@example\\.com$", "ann@example.com", true],
    ["@example\\.com$", "ann@example.com.evil", false],
    ["team-(red|blue)", "my-team-blue-2", true],
    ["^(?:a|ab)c$", "abc", true],
    ["^[^/]+$", "a/b", false],
    ["\\d{3}-\\d{4}", "call 555-0123 now", true],
    ["^\\d{3,}$", "12", false],
    ["(?i)^Bearer ", "BEARER x", true],
    ["(?i)[^a]", "A", false],
    ["^\\x{1f600}.$", "😀😀", true],
    ["^caf\\xe9$", "café", true],
    ["^(?P<year>\\d{4})$", "2026", true],
    ["^[\\w-]+$", "a-b_c9", true],
    ["a.c", "a\nc", false],
    ["^$", "", true],
    ["^$", "a", false],
    ["", "anything", true],
    ["$^", "", true],
    ["\\A/x\\z", "/x", true],
    ["a|b^|c", "xxc", true],
  ])("of %j in %j", (pattern, text, expected) => expect(compiled(pattern).matches(text)).toBe(expected));
});

it("a whole match leaves no character over", () => {
  expect(compiled("[1-9][0-9]*", "whole").matches("120")).toBe(true);
  expect(compiled("[1-9][0-9]*", "whole").matches("120x")).toBe(false);
  expect(compiled("users|orders", "whole").matches("orders")).toBe(true);
  expect(compiled("users|orders", "whole").matches("users|orders")).toBe(false);
  expect(compiled("^a*$", "whole").matches("")).toBe(true);
});

const ATOMS = ["a", "b", "/", "0", ".", "[ab]", "[^a]", "[a-b0]", "\\d", "\\w", "\\W", "^", "$", "é", "\\x62", "\\/"];
const QUANTIFIERS = ["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?", "{0}"];

function randomPattern(roll: (below: number) => number, depth = 0): string {
  const parts = Array.from({ length: 1 + roll(4) }, () => {
    const atom = ATOMS[roll(ATOMS.length)] as string;
    if (atom === "^" || atom === "$") return atom;
    const part = depth < 2 && roll(3) === 0 ? `(?:${randomPattern(roll, depth + 1)})` : atom;
    return roll(2) === 0 ? part : part + (QUANTIFIERS[roll(QUANTIFIERS.length)] as string);
  });
  const text = parts.join("");
  return roll(4) === 0 ? `${text}|${randomPattern(roll, depth + 1)}` : text;
}

it("answers as JavaScript's own engine does, for 2,000 random patterns and 20 texts each", () => {
  const random = seededRandom(20261129);
  const roll = (below: number): number => Math.floor(random() * below);
  const alphabet = ["a", "b", "/", "0", "é", "\n", "😀"];
  let tooLarge = 0;
  const wrong: string[][] = [];
  for (let i = 0; i < 2000; i++) {
    const pattern = randomPattern(roll);
    const search = compileRegex(pattern, "search");
    const whole = compileRegex(pattern, "whole");
    if ("error" in search || "error" in whole) {
      expect("error" in search ? search.error : "error" in whole ? whole.error : "").toContain("more than 1000 states");
      tooLarge++;
      continue;
    }
    const oracle = new RegExp(pattern, "u");
    const wholeOracle = new RegExp(`^(?:${pattern})$`, "u");
    for (let k = 0; k < 20; k++) {
      const text = Array.from({ length: roll(7) }, () => alphabet[roll(alphabet.length)] as string).join("");
      // An assertion for each of 40,000 would take most of the time.
      if (search.matches(text) !== oracle.test(text) || whole.matches(text) !== wholeOracle.test(text)) wrong.push([pattern, text]);
    }
  }
  expect(wrong).toEqual([]);
  expect(tooLarge).toBeLessThan(20);
});

describe("refused at load, with a place and a remedy", () => {
  it.each<[string, number, string]>([
    ["a(?=b)", 2, "look-around"],
    ["a(?<!b)", 2, "look-around"],
    ["(a)\\1", 4, "back references"],
    ["\\bword", 1, "word boundaries"],
    ["\\pL", 1, "Unicode properties"],
    ["\\q", 1, "\\q is not known"],
    ["(?m)a", 1, "flags"],
    ["(a", 1, "not closed"],
    ["a)", 2, "closes no group"],
    ["[a", 1, "not closed"],
    ["[]", 1, "at least one character"],
    ["[z-a]", 2, "wrong way round"],
    ["[\\d-z]", 2, "no end of a range"],
    ["[[:alpha:]]", 2, "write a-zA-Z"],
    ["*a", 1, "repeats nothing"],
    ["a**", 3, "cannot be repeated"],
    ["^*", 2, "anchor cannot be repeated"],
    ["a{", 2, "write \\{"],
    ["a{3,2}", 2, "wrong way round"],
    ["a{1001}", 2, "at most 1000"],
    ["a\\", 2, "cannot end with"],
    ["\\x{110000}", 1, "code point"],
    ["a".repeat(1025), 0, "at most 1024 characters"],
    [`${"(".repeat(60)}a${")".repeat(60)}`, 52, "nested"],
    ["a.{30}b", 0, "more than 1000 states"],
    ["(?:a|b)*a(?:a|b){12}$", 0, "more than 1000 states"],
    ["(?:(?:a{100}){100}){100}", 0, "more than 1000 states"],
    ["(?:(?:(?:a?){100}){100}){100}", 0, "more than 1000 states"],
  ])("%s", (pattern, at, message) => {
    const regex = compileRegex(pattern, "search");
    if (!("error" in regex)) throw new Error("accepted");
    expect(regex.error).toContain(message);
    expect(regex.at).toBe(at);
  });
});

it("patterns that take other engines exponential time take one look-up a character", () => {
  const text = `${"a".repeat(100_000)}!`;
  for (const pattern of ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "^(.*a){9}$"]) expect(compiled(pattern).matches(text)).toBe(false);
});
