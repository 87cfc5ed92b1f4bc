import { expect, test } from "vitest";
import { addVary, appendHeaders, getHeader, getList, removeHeader, removeHeaders, setHeader } from "../../../src/base/header-list.ts";

/** Applies a change to `a: 1, b: 2, ...` and reads the list back. */
function check(change: (headers: string[]) => void, before: string[], after: string[]): void {
  const headers = [...before];
  change(headers);
  expect(headers).toEqual(after);
}

test("reading", () => {
  const headers = ["a", "1", "b", "2", "a", "3", "1", "x"];
  expect([getHeader(headers, "a"), getHeader(headers, "1"), getHeader(headers, "c")]).toEqual(["1", "x", undefined]);
  expect([getList(headers, "a"), getList(headers, "b"), getList(headers, "c")]).toEqual(["1, 3", "2", undefined]);
});

test("changing", () => {
  check((h) => setHeader(h, "a", "9"), ["x", "a", "a", "1", "b", "2", "a", "3", "a", "4"], ["x", "a", "a", "9", "b", "2"]);
  check((h) => setHeader(h, "c", "9"), ["a", "c"], ["a", "c", "c", "9"]);
  check((h) => removeHeader(h, "a"), ["a", "1", "a", "2", "b", "a"], ["b", "a"]);
  check((h) => removeHeaders(h, (name) => name < "c"), ["a", "1", "d", "2", "b", "3", "e", "4"], ["d", "2", "e", "4"]);
  check((h) => removeHeaders(h, () => true), ["a", "1"], []);
});

test("Vary", () => {
  check((h) => addVary(h, "origin"), [], ["vary", "origin"]);
  check((h) => addVary(h, "origin"), ["vary", ""], ["vary", "origin"]);
  check((h) => addVary(h, "origin"), ["vary", "Accept"], ["vary", "Accept, origin"]);
  check((h) => addVary(h, "origin"), ["vary", "Accept, ORIGIN"], ["vary", "Accept, ORIGIN"]);
  check((h) => addVary(h, "origin"), ["vary", "a", "vary", "b,origin"], ["vary", "a", "vary", "b,origin"]);
  check((h) => addVary(h, "origin"), ["vary", "*"], ["vary", "*"]);
  check((h) => addVary(h, "origin"), ["vary", "x-origin"], ["vary", "x-origin, origin"]);
});

test("headers are added beside others, but for names in a Vary that is there", () => {
  check((h) => appendHeaders(h, ["a", "1", "vary", "x-b, accept"]), ["a", "0"], ["a", "0", "a", "1", "vary", "x-b, accept"]);
  check((h) => appendHeaders(h, ["vary", "x-b, accept"]), ["vary", "Accept", "a", "0"], ["vary", "Accept, x-b", "a", "0"]);
  check((h) => appendHeaders(h, ["vary", "x-b"]), ["vary", "*"], ["vary", "*"]);
});
