// Owns the checks of which policy sets there are against which routes use.
import type { Draft } from "../schema/sections.ts";
import { type Located, nodeAt } from "../source/located.ts";
import { suggest } from "../source/problem.ts";
import type { Findings } from "./references.ts";

export function checkPolicySets({ complete }: Draft, findings: Findings): void {
  const names = findings.namesIn("policySets");
  const used = new Set<string>();
  const routes = nodeAt(findings.root, ["routes"]);
  for (const [i, route] of routes?.kind === "list" ? routes.items.entries() : []) checkUse(route, i);
  if (complete === null) return;
  for (const name of names)
    if (!used.has(name)) findings.warn(["policySets", name], "no route uses this set", "remove it, or add it to a route's `use`");

  function checkUse(route: Located, index: number): void {
    const use = nodeAt(route, ["use"]);
    const here = new Set<string>();
    for (const [i, item] of use?.kind === "list" ? use.items.entries() : []) {
      if (item.kind !== "scalar" || typeof item.value !== "string") continue;
      const name = item.value;
      const path = ["routes", index, "use", i];
      if (here.has(name)) findings.report(path, `the set ${name} is listed twice`, "list it once, where it is to count");
      else if (!names.includes(name)) findings.report(path, `there is no policy set named ${name}`, suggest(name, names, "policy sets"));
      here.add(name);
      used.add(name);
    }
  }
}
