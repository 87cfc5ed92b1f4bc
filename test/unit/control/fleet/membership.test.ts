import { expect, it } from "vitest";
import { MEMBER_TTL_MS, Membership, memberTtlMs } from "../../../../src/control/fleet/membership.ts";

it("grows at once, shrinks only after a whole time to live", () => {
  const members = new Membership(1, MEMBER_TTL_MS);
  expect([members.counted(8, 0), members.size]).toEqual([true, 8]);
  expect([members.counted(3, 1000), members.size]).toEqual([false, 8]);
  expect([members.counted(3, 1000 + MEMBER_TTL_MS - 1), members.size]).toEqual([false, 8]);
  expect([members.counted(3, 1000 + MEMBER_TTL_MS), members.size]).toEqual([true, 3]);
});

it("an outage begins the time anew: who comes back first counts alone", () => {
  const members = new Membership(8, MEMBER_TTL_MS);
  members.counted(7, 0);
  members.lost();
  expect([members.counted(1, MEMBER_TTL_MS * 2), members.size]).toEqual([false, 8]);
  expect([members.counted(8, MEMBER_TTL_MS * 2 + 500), members.size]).toEqual([false, 8]);
  expect([members.counted(7, MEMBER_TTL_MS * 3), members.size]).toEqual([false, 8]);
});

it("is at least this instance", () => {
  const members = new Membership(2, MEMBER_TTL_MS);
  members.counted(0, 0);
  members.counted(0, MEMBER_TTL_MS);
  expect(members.size).toBe(1);
});

it("an instance that speaks rarely lives as long as it takes to miss several rounds", () => {
  expect([10, 100, 1000, 10_000].map(memberTtlMs)).toEqual([MEMBER_TTL_MS, MEMBER_TTL_MS, MEMBER_TTL_MS, 30_000]);
  const members = new Membership(2, memberTtlMs(10_000));
  members.counted(1, 0);
  expect([members.counted(1, 29_999), members.counted(1, 30_000), members.size]).toEqual([false, true, 1]);
});
