// Finding parameters and cookies by name: against plain splitting, over random texts; and that their work grows with the text, not with its square.
import { describe, expect, test } from "vitest";
import { cgiEquivalent } from "../../../../../src/base/http.ts";
import { CookieWalk } from "../../../../../src/data/routing/request/cookie-walk.ts";
import { decodeQuery, QueryWalk } from "../../../../../src/data/routing/request/query-walk.ts";
import {
  isLookAlike,
  readSingle,
  singleHeaderValue,
  singleQueryValue,
  TWICE,
} from "../../../../../src/data/routing/request/single-value.ts";
import { ReadExchange } from "../../../../support/read-exchange.ts";
import { seeded } from "../route-sketch.ts";

interface Found {
  readonly value: string;
  readonly divided: boolean;
  readonly part: boolean;
  readonly whole: string;
}

function found(query: string, name: string): Found[] {
  const walk = new QueryWalk().begin(query, name);
  const list: Found[] = [];
  while (walk.next()) list.push({ value: walk.value(), divided: walk.divided, part: walk.part, whole: query.slice(walk.start, walk.end) });
  return list;
}

/** By splitting, as the words of the class say it. */
function reference(query: string, name: string): Found[] {
  if (query === "") return [];
  const read = (pair: string): { name: string; value: string } => {
    const equals = pair.indexOf("=");
    return { name: decodeQuery(equals < 0 ? pair : pair.slice(0, equals)), value: equals < 0 ? "" : pair.slice(equals + 1) };
  };
  return query.split("&").flatMap((whole) => {
    const divided = whole.includes(";");
    const list = [{ pair: whole, part: false }, ...(divided ? whole.split(";").map((pair) => ({ pair, part: true })) : [])];
    return list.flatMap(({ pair, part }) => {
      const one = read(pair);
      return one.name === name ? [{ value: one.value, divided, part, whole }] : [];
    });
  });
}

const PIECES = ["a", "b", "ab", "=", "&", ";", "%61", "%62", "%", "%6", "%c3%a4", "+", "%20", "c", "&&", "a=1", "b=2"];

test("parameters are found as plain splitting finds them", () => {
  const random = seeded(7);
  let hits = 0;
  for (let i = 0; i < 30_000; i++) {
    const query = Array.from({ length: random(9) }, () => PIECES[random(PIECES.length)]).join("");
    for (const name of ["a", "ab", "a b", "\u00e4", "%"]) {
      const expected = reference(query, name);
      hits += expected.length;
      const got = found(query, name);
      if (JSON.stringify(got) !== JSON.stringify(expected)) expect({ query, name, got }).toEqual({ query, name, got: expected });
    }
  }
  expect(hits).toBeGreaterThan(5000);
});

test("cookies are found as plain splitting finds them", () => {
  const random = seeded(8);
  const pieces = ["sid", "=", ";", " ", "a", "sid=1", '"', "\t", "\xa0", "; sid=2", "xsid=3"];
  let hits = 0;
  for (let i = 0; i < 20_000; i++) {
    const line = Array.from({ length: random(9) }, () => pieces[random(pieces.length)]).join("");
    const walk = new CookieWalk().begin(line, "sid");
    const got: string[] = [];
    while (walk.next()) got.push(walk.value());
    const expected = line.split(";").flatMap((pair) => {
      const equals = pair.indexOf("=");
      return equals >= 0 && pair.slice(0, equals).trim() === "sid" ? [pair.slice(equals + 1).trim()] : [];
    });
    hits += expected.length;
    if (got.join("|") !== expected.join("|")) expect({ line, got }).toEqual({ line, got: expected });
  }
  expect(hits).toBeGreaterThan(3000);
});

test("names look alike when their plain names are equal", () => {
  const random = seeded(9);
  const chars = ["a", "b", "1", "-", "_", ".", "~"];
  const name = (): string => Array.from({ length: 1 + random(3) }, () => chars[random(chars.length)]).join("");
  for (let i = 0; i < 20_000; i++) {
    const [one, other] = [name(), name()];
    if (isLookAlike(one, other) !== (cgiEquivalent(one) === cgiEquivalent(other))) expect.fail(`${one} ${other}`);
  }
  expect([cgiEquivalent("x_a.b~1"), cgiEquivalent(`x_${"a_".repeat(300)}`)]).toEqual(["x-a-b-1", `x-${"a-".repeat(300)}`]);
});

describe("what is sent once", () => {
  test.each<[string[], string | undefined | typeof TWICE]>([
    [[], undefined],
    [["x-a", "1"], "1"],
    [["x-b", "1"], undefined],
    [["x-a", "1", "x-a", "1"], TWICE],
    [["x_a", "1"], TWICE],
    [["x-a", "1", "x.a", "2"], TWICE],
    [["x-a", "1", "x_b", "2"], "1"],
  ])("%j", (headers, expected) => {
    const x = new ReadExchange({ headers });
    expect(readSingle(x, "x-a")).toBe(expected);
    expect(singleHeaderValue(x, "x-a")).toBe(expected === TWICE ? undefined : expected);
  });

  test.each<[string, string | undefined]>([
    ["", undefined],
    ["a=1", "1"],
    ["b=1&a=x%20y+z", "x y z"],
    ["a=1&a=1", undefined],
    ["a=1&%61=1", undefined],
    ["a=%zz", undefined],
    ["a=1;2", undefined],
    ["b=1;a=2&a=1", undefined],
    ["b=1;c=2&a=1", "1"],
    ["a", ""],
  ])("%s", (query, expected) => {
    expect(singleQueryValue(new ReadExchange({ query }), "a")).toBe(expected);
  });
});
