import { expect, test } from "vitest";
import { parseQuota } from "../../../src/base/units.ts";

test.each([
  ["10000/day", { count: 10_000, periodMs: 86_400_000, month: false }],
  ["5/hour", { count: 5, periodMs: 3_600_000, month: false }],
  ["7/month", { count: 7, periodMs: 2_592_000_000, month: true }],
  ["0/month", null],
  ["7/year", null],
  ["-7/month", null],
  ["7.5/month", null],
])("%s", (text, expected) => expect(parseQuota(text)).toEqual(expected));
