import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { benchPolicy } from "../../../../bench/micro/policy.ts";
import { POLICIES } from "../../../../src/data/policies/registry.ts";
import { POLICY_SCHEMAS } from "../../../../src/data/policies/schemas.ts";
import { policyRoute } from "../../../support/exchange.ts";
import { limitResources } from "../../../support/limit-route.ts";

const ROOT = new URL("../../../../src/data/policies/", import.meta.url);

test("registry and schemas name the same policies in the same order, one folder each", () => {
  const names = POLICIES.map((each) => each.name);
  expect(POLICY_SCHEMAS.map((each) => each.key)).toEqual(names);
  const folders = readdirSync(ROOT, { withFileTypes: true }).filter((each) => each.isDirectory());
  expect(folders.map((each) => each.name).sort()).toEqual([...names].sort());
});

test("a policy's own name is the registry's", () => {
  const configs: Readonly<Record<string, unknown>> = {
    ip: { deny: ["192.0.2.1"] },
    cors: { origins: ["*"] },
    rateLimit: [{ per: "ip", rate: "1/s" }],
    auth: "none",
    authorize: { ip: ["192.0.2.1"] },
    redirect: { to: "/x" },
    rewrite: { path: "/x" },
  };
  for (const { name, create } of POLICIES) {
    const schema = POLICY_SCHEMAS.find((each) => each.key === name)?.schema;
    expect(create(schema?.().parse(configs[name] ?? {}), policyRoute({ resources: limitResources() })).name).toBe(name);
  }
});

/** Files that a module loads at run time: `import type` and type-only specifiers are gone by then. */
function loads(file: URL, seen = new Set<string>()): ReadonlySet<string> {
  if (seen.has(file.href)) return seen;
  seen.add(file.href);
  for (const [, specifier = ""] of readFileSync(file, "utf8").matchAll(/^import (?!type )[^;]*?from "([^"]+)";$/gms)) {
    if (specifier.startsWith(".")) loads(new URL(specifier, file), seen);
    else seen.add(specifier);
  }
  return seen;
}

test("workers never load zod, and policies never import each other", () => {
  const loaded = [...loads(new URL("registry.ts", ROOT))];
  expect(loaded).not.toContain("zod");
  expect(loaded.filter((each) => each.endsWith("/config.ts"))).toEqual([]);
  for (const folder of POLICIES.map((each) => each.name)) {
    for (const file of readdirSync(new URL(`${folder}/`, ROOT), { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts")) continue;
      const others = POLICIES.map((each) => each.name).filter((each) => each !== folder);
      const text = readFileSync(new URL(`${folder}/${file}`, ROOT), "utf8");
      expect(others.filter((other) => text.includes(`"../${other}/`))).toEqual([]);
    }
  }
});

test("the policy benchmark still does its work", () => {
  const { changed } = benchPolicy(1);
  // Each request: headers nets +1 header up and none down; cors nets +2 (allow-origin, allow-credentials). Two list items a header.
  expect(changed).toBe(2000 * 2 * (1 + 0 + 2));
});
