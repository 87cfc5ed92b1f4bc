// Request bodies without limit (`bodyBytes: none`): what it becomes, what is warned about, and what can't hold such a body.
import { describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import type { Config } from "../../../../../src/control/config/schema/schema.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { BASE, check, good, withRoutes } from "../../../../support/config-text.ts";

const bounds = (text: string) =>
  compilePlan(good([text]).config as Config, { version: 1, metricSlot: () => 0 }).routes.map(({ settings }) => settings.bodyBytes);
const WARNING =
  "none: request bodies of any size go to the service, which has to bound them itself; write the largest size that it takes, if there is one";

describe("bodyBytes: none", () => {
  it("is no bound, for the instance or for a route", () => {
    const text = `${withRoutes("- { name: a, match: { path: /a }, to: users, limits: { bodyBytes: none } }\n- { name: b, match: { path: /b }, to: users }")}`;
    expect(bounds(text)).toEqual([Number.POSITIVE_INFINITY, 10 * 1024 ** 2]);
    const all = `${text.replace("bodyBytes: none", "bodyBytes: 1KiB")}\nlimits: { bodyBytes: none }\n`;
    expect(bounds(all)).toEqual([1024, Number.POSITIVE_INFINITY]);
  });
  it("is warned about where it is written", () => {
    const warnings = (text: string) => good([text]).warnings.map(formatProblem);
    expect(warnings(`${BASE}limits: { bodyBytes: none }`)).toEqual([`c.yaml:6:22: limits.bodyBytes: ${WARNING}`]);
    expect(warnings(withRoutes("- { name: a, to: users, limits: { bodyBytes: none } }"))).toEqual([
      `c.yaml:6:46: routes[0].limits.bodyBytes: ${WARNING}`,
    ]);
  });
  const omits = "forwardAuth: { url: http://127.0.0.1:9, body: { over: ‸omit } }";
  const refusal =
    "routes[0].forwardAuth.body.over: `over: omit` collects a body of unknown length whole before it leaves it out, and nothing bounds the route's bodies (`limits.bodyBytes: none`); write `over: refuse`, or give the route `limits: { bodyBytes: SIZE }`";
  check(
    "can't be held by forwardAuth: of the route",
    withRoutes(`- { name: a, to: users, limits: { bodyBytes: none }, ${omits} }`),
    refusal,
  );
  check(
    "can't be held by forwardAuth: of the instance",
    `${withRoutes(`- { name: a, to: users, ${omits} }`)}\nlimits: { bodyBytes: none }`,
    refusal,
  );
  it("goes with a forwardAuth that refuses longer bodies, and with one on a route that has a bound", () => {
    expect(bounds(withRoutes(`- { name: a, to: users, limits: { bodyBytes: none }, ${omits.replace("‸omit", "refuse")} }`))).toHaveLength(
      1,
    );
    const bound = `- { name: a, to: users, limits: { bodyBytes: 1MiB }, ${omits.replace("‸", "")} }`;
    expect(bounds(`${withRoutes(bound)}\nlimits: { bodyBytes: none }`)).toEqual([1024 ** 2]);
  });
});
