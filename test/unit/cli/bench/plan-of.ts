// Owns the way from a configuration's text to its plan, for tests of what reads plans.
import { compilePlan } from "../../../../src/control/config/compile/compile.ts";
import { parseConfig } from "../../../../src/control/config/load.ts";
import type { Plan } from "../../../../src/plan/plan.ts";

/** @throws Error with every problem of a configuration that is wrong. */
export function planOf(text: string): Plan {
  const result = parseConfig({ texts: [{ file: "/tmp/test.yaml", text }] });
  if (!result.ok) throw new Error(result.problems.map(({ path, message }) => `${path}: ${message}`).join("; "));
  return compilePlan(result.config, { version: 1, metricSlot: () => 0 });
}
