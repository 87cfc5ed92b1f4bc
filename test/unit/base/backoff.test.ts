// Owns tests of waiting before a retry.
import { expect, test } from "vitest";
import { backoffMs, parseRetryAfterMs, RETRY_AFTER_MS_MAX } from "../../../src/base/backoff.ts";
import { seededRandom } from "../../support/upstreams.ts";

const ALMOST_ONE = 1 - 2 ** -53;

test.each([
  { retry: 0, low: 0, high: 25 },
  { retry: 1, low: 0, high: 50 },
  { retry: 3, low: 0, high: 200 },
  { retry: 4, low: 0, high: 250 },
  { retry: 1000, low: 0, high: 250 },
])("retry $retry waits between $low and $high ms", ({ retry, low, high }) => {
  expect(backoffMs(retry, 25, 250, () => 0)).toBe(low);
  expect(backoffMs(retry, 25, 250, () => ALMOST_ONE)).toBe(high);
});

test("full jitter: the whole range, evenly", () => {
  const random = seededRandom(3);
  const waits = Array.from({ length: 5000 }, () => backoffMs(2, 25, 250, random));
  expect(Math.min(...waits)).toBe(0);
  expect(Math.max(...waits)).toBe(100);
  expect(waits.reduce((a, b) => a + b, 0) / waits.length).toBeCloseTo(50, -1);
});

const NOW_MS = Date.UTC(1994, 10, 6, 8, 49, 7);

test.each([
  ["0", 0],
  ["120", 120_000],
  [" 5 ", 5000],
  ["99999999999999999999", RETRY_AFTER_MS_MAX],
  ["Sun, 06 Nov 1994 08:49:37 GMT", 30_000],
  ["Sunday, 06-Nov-94 08:49:37 GMT", 30_000],
  ["Sun Nov  6 08:49:37 1994", 30_000],
  ["Sun, 06 Nov 1994 08:49:00 GMT", 0],
  ["Wed, 01 Jan 2020 00:00:00 GMT", RETRY_AFTER_MS_MAX],
  ["Sunday, 06-Nov-60 08:49:37 GMT", 0],
  ["Sun, 06 Nov 1994 08:48:60 GMT", 0],
  ["", null],
  ["-1", null],
  ["1.5", null],
  ["1e3", null],
  ["soon", null],
  ["2020-01-01", null],
  ["Sun, 31 Feb 1994 08:49:37 GMT", null],
  ["Sun, 06 Foo 1994 08:49:37 GMT", null],
  ["Sun, 06 Nov 1994 24:00:00 GMT", null],
  ["Sun, 06 Nov 1994 08:49:37 CET", null],
])("Retry-After: %j is %j ms", (value, expected) => {
  expect(parseRetryAfterMs(value, NOW_MS)).toBe(expected);
});
