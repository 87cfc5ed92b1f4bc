import { expect, test } from "vitest";
import { isLoopback } from "../../../../src/control/admin/guard.ts";

test.each([
  ["127.0.0.1", true],
  ["127.255.0.9", true],
  ["::1", true],
  ["::ffff:127.0.0.1", true],
  ["::ffff:10.0.0.1", false],
  ["10.0.0.1", false],
  ["0.0.0.0", false],
  ["::", false],
  ["fe80::1", false],
  ["127.evil.test", false],
  ["", false],
])("isLoopback(%j) is %s", (address, expected) => {
  expect(isLoopback(address)).toBe(expected);
});
