import { expect, it } from "vitest";
import { HASH_KEY_BYTES, limitHashKey } from "../../../../src/control/fleet/hash-key.ts";

const hex = (redis: Parameters<typeof limitHashKey>[0]) => Buffer.from(limitHashKey(redis)).toString("hex");

it("is the same for the same secret, and another for another", () => {
  const keys = [
    hex({ secret: "one secret of many", password: "password" }),
    hex({ secret: "another of them", password: "password" }),
    hex({ secret: null, password: "password" }),
    hex({ secret: null, password: null }),
  ];
  expect(new Set(keys).size).toBe(4);
  expect(hex({ secret: "one secret of many", password: null })).toBe(keys[0]);
  expect(keys[0]).toHaveLength(HASH_KEY_BYTES * 2);
});

it("is never the same twice without a fleet", () => expect(hex(null)).not.toBe(hex(null)));
