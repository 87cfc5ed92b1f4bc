import { expect, test } from "vitest";
import { allowedCpusOf, formatCpuList, parseCpuList } from "../../../src/base/cpu-list.ts";

test.each([
  ["0", [0]],
  ["0-3,8", [0, 1, 2, 3, 8]],
  ["8,0-1, 1-2", [0, 1, 2, 8]],
  ["5-5", [5]],
  ["8191", [8191]],
  ["", null],
  [",", null],
  ["1,", null],
  ["3-1", null],
  ["-1", null],
  ["1-", null],
  ["0x1", null],
  ["1.5", null],
  ["a", null],
  ["8192", null],
  ["0-99999", null],
])("%j", (text, expected) => expect(parseCpuList(text)).toEqual(expected));

test.each([
  [[], ""],
  [[3], "3"],
  [[0, 1], "0-1"],
  [[8, 3, 2, 1, 1, 10], "1-3,8,10"],
])("%j in its shortest form", (cpus, expected) => expect(formatCpuList(cpus)).toBe(expected));

test("a form that was parsed is written as it was", () => {
  for (const text of ["0", "0-1", "0-3,8", "1,3,5-7"]) expect(formatCpuList(parseCpuList(text) ?? [])).toBe(text);
});

test("what /proc/PID/status says", () => {
  expect(allowedCpusOf("Name:\tnode\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1,4\nMems_allowed_list:\t0\n")).toEqual([0, 1, 4]);
  expect(allowedCpusOf("Name:\tnode\n")).toBe(null);
});
