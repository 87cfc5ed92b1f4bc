// What `overload`, `priority` and `weight` of a configuration become in a plan.
import { expect, it } from "vitest";
import { overload, priority } from "../../../../../src/control/config/schema/overload.ts";
import { NORMAL, PRIORITIES } from "../../../../../src/plan/overload-plan.ts";

const of = (written: unknown) => overload().parse(written);
const problems = (written: unknown) =>
  overload()
    .safeParse(written)
    .error?.issues.map((issue) => issue.path.join(".")) ?? [];

it("without a word of it, what would be refused is counted, and nobody is refused", () => {
  expect(of(undefined)).toMatchObject({
    shadow: true,
    minimum: 1,
    maximum: 1000,
    fairBy: "consumer",
    queue: { length: 1024, waitMs: 250 },
  });
});

it("off is nothing at all, and on is no shadow", () => {
  expect(of({ mode: "off" })).toBeNull();
  expect(of({ mode: "on", queue: { wait: "1s" }, fairBy: { header: "X-Tenant" } })).toMatchObject({
    shadow: false,
    queue: { waitMs: 1000 },
    fairBy: { header: "x-tenant" },
  });
});

it("bounds that leave no room are refused, and so is a priority that is the gateway's own", () => {
  expect(problems({ minimum: 5, maximum: 4 })).toEqual(["minimum"]);
  expect(problems({ maximum: 0 })).toEqual(["maximum"]);
  expect(problems({ fairBy: "nobody" })).toEqual(["fairBy"]);
  expect(priority().safeParse("background").success).toBe(false);
  expect(priority().parse("normal")).toBe(NORMAL);
  expect(PRIORITIES[priority().parse("critical")]).toBe("critical");
});
