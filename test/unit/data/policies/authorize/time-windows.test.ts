import { expect, it } from "vitest";
import { authorizeSchema } from "../../../../../src/data/policies/authorize/config.ts";
import { compileWindows } from "../../../../../src/data/policies/authorize/time-windows.ts";

function inside(time: unknown, moment: string): boolean {
  const windows = authorizeSchema().parse({ time }).time ?? [];
  return compileWindows(windows)(Date.parse(moment));
}

const OFFICE = [{ days: ["mon", "tue", "wed", "thu", "fri"], from: "08:00", to: "18:00", timezone: "Europe/Berlin" }];
const NIGHT = [{ days: ["fri"], from: "22:00", to: "06:00" }];

// 2026-03-04 is a Wednesday; Berlin is UTC+1 until 2026-03-29, then UTC+2.
it.each<[unknown, string, boolean]>([
  [OFFICE, "2026-03-04T07:00:00Z", true],
  [OFFICE, "2026-03-04T06:59:59.999Z", false],
  [OFFICE, "2026-03-04T16:59:59.999Z", true],
  [OFFICE, "2026-03-04T17:00:00Z", false],
  [OFFICE, "2026-03-07T10:00:00Z", false],
  [OFFICE, "2026-03-30T06:00:00Z", true],
  [OFFICE, "2026-03-30T16:00:00Z", false],
  [NIGHT, "2026-03-06T21:59:00Z", false],
  [NIGHT, "2026-03-06T22:00:00Z", true],
  [NIGHT, "2026-03-07T05:59:00Z", true],
  [NIGHT, "2026-03-07T06:00:00Z", false],
  [NIGHT, "2026-03-07T23:00:00Z", false],
  [NIGHT, "2026-03-06T03:00:00Z", false],
  [[{ days: ["sun"], from: "23:00", to: "01:00" }], "2026-03-09T00:30:00Z", true],
  [[{ days: ["mon"], from: "23:00", to: "01:00" }], "2026-03-09T00:30:00Z", false],
  [[{ days: ["wed"] }], "2026-03-04T00:00:00Z", true],
  [[{ days: ["wed"] }], "2026-03-04T23:59:59Z", true],
  [[{ days: ["wed"] }], "2026-03-05T00:00:00Z", false],
  [[{ from: "12:00" }], "2026-03-05T23:59:00Z", true],
  [[{ to: "12:00" }], "2026-03-05T12:00:00Z", false],
  [[{ days: ["mon"] }, { days: ["tue"] }], "2026-03-03T10:00:00Z", true],
  [[{ timezone: "Asia/Kathmandu", from: "05:45", to: "05:46" }], "2026-03-03T00:00:30Z", true],
])("%j at %s: %s", (time, moment, expected) => expect(inside(time, moment)).toBe(expected));

it("keeps an answer for its minute only", () => {
  const check = compileWindows(authorizeSchema().parse({ time: [{ from: "08:00", to: "08:01" }] }).time ?? []);
  const at = Date.parse("2026-03-04T08:00:00Z");
  expect([check(at - 1), check(at), check(at + 59_999), check(at + 60_000), check(at)]).toEqual([false, true, true, false, true]);
});

it.each([
  { time: [] },
  { time: [{ from: "8:00" }] },
  { time: [{ from: "24:30" }] },
  { time: [{ from: "08:00", to: "08:00" }] },
  { time: [{ days: [] }] },
  { time: [{ days: ["monday"] }] },
  { time: [{ timezone: "Mars/Olympus" }] },
])("%j is refused", (written) => expect(authorizeSchema().safeParse(written).success).toBe(false));
