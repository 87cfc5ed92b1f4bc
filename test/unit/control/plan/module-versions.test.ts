import { expect, test } from "vitest";
import { MODULE_VERSIONS_MAX, ModuleVersions } from "../../../../src/control/plan/module-versions.ts";
import type { Plan } from "../../../../src/plan/plan.ts";

/** All that is looked at. */
const plan = (...urls: readonly string[]): Plan => ({ routes: [{ modules: urls.map((url) => ({ url })) }] }) as unknown as Plan;

test("a version counts once, however often it is in force again", () => {
  const versions = new ModuleVersions();
  for (let i = 0; i < 3 * MODULE_VERSIONS_MAX; i++) expect(versions.count(plan("a", "b"))).toBeNull();
});

test("each hundred versions are worth one word, also when a plan brings several", () => {
  const versions = new ModuleVersions();
  const said: (number | null)[] = [];
  for (let i = 0; i < MODULE_VERSIONS_MAX; i++) said.push(versions.count(plan(`a${i}`, `b${i}`, "same")));
  expect(said.filter((each) => each !== null)).toEqual([101, 201]);
});
