import { expect, test } from "vitest";
import { cacheLifetimeMs } from "../../../../src/control/keys/cache-lifetime.ts";

test.each<[string, Record<string, string>, number | null]>([
  ["nothing", {}, null],
  ["max-age", { "cache-control": "public, max-age=600" }, 600_000],
  ["max-age in any case and quotes", { "cache-control": 'Max-Age="60"' }, 60_000],
  ["age counts", { "cache-control": "max-age=600", age: "100" }, 500_000],
  ["older than its max-age", { "cache-control": "max-age=600", age: "900" }, 0],
  ["no-store", { "cache-control": "no-store, max-age=600" }, 0],
  ["no-cache", { "cache-control": "no-cache" }, 0],
  ["a negative max-age", { "cache-control": "max-age=-1" }, null],
  ["a max-age that is no number", { "cache-control": "max-age=1e9" }, null],
  ["a max-age beyond all time", { "cache-control": "max-age=99999999999999999999" }, 2 ** 31 * 1000],
  ["twice: the first counts", { "cache-control": "max-age=1, max-age=600" }, 1000],
])("%s", (_, headers, expected) => expect(cacheLifetimeMs(headers)).toBe(expected));
