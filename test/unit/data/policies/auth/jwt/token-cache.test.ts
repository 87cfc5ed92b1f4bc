import { expect, test } from "vitest";
import { benchJwtCache } from "../../../../../../bench/micro/jwt-cache.ts";
import { TokenCache } from "../../../../../../src/data/policies/auth/jwt/token-cache.ts";

test("remembers, forgets, and replaces", () => {
  const cache = new TokenCache<number>({ entries: 10, bytes: 1e6 }, 1);
  expect(cache.get("a")).toBeUndefined();
  cache.set("a", 1);
  cache.set("a", 2);
  expect(cache.get("a")).toBe(2);
  cache.delete("a");
  expect(cache.get("a")).toBeUndefined();
});

test("never holds more entries than its bound, and keeps what is asked for", () => {
  const cache = new TokenCache<number>({ entries: 100, bytes: 1e9 }, 1);
  cache.set("kept", -1);
  for (let i = 0; i < 10_000; i++) {
    cache.set(`k${i}`, i);
    expect(cache.get("kept")).toBe(-1);
    expect(cache.size).toBeLessThanOrEqual(100);
  }
  expect(cache.get("k9999")).toBe(9999);
  expect(cache.get("k9000")).toBeUndefined();
});

test("is bounded in bytes as well, and refuses what is larger than all of it", () => {
  const cache = new TokenCache<number>({ entries: 1e6, bytes: 100_000 }, 4);
  for (let i = 100; i < 1100; i++) cache.set(`${i}`.padEnd(8, "y").padStart(1000, "x"), i);
  // (4 * 1000 + 400) bytes each
  expect(cache.size).toBeLessThanOrEqual(23);
  expect(cache.size).toBeGreaterThan(10);
  const before = cache.size;
  cache.set("x".repeat(20_000), 1);
  expect(cache.size).toBe(before);
});

test("keys that end alike are not taken for each other", () => {
  const cache = new TokenCache<number>({ entries: 100, bytes: 1e6 }, 1);
  const tail = "x".repeat(64);
  cache.set(`a${tail}`, 1);
  expect(cache.get(`b${tail}`)).toBeUndefined();
  expect(cache.get(tail)).toBeUndefined();
  cache.delete(`b${tail}`);
  expect(cache.get(`a${tail}`)).toBe(1);
  cache.set(`b${tail}`, 2);
  expect([cache.get(`a${tail}`), cache.get(`b${tail}`)]).toEqual([undefined, 2]);
  cache.set("short", 3);
  expect(cache.get("short")).toBe(3);
});

test("the benchmark of the cache still does its work", async () => {
  const { hits } = await benchJwtCache(2);
  expect(hits).toBe(2 * 2000);
});
