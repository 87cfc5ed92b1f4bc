// What conditions need is loaded by the first of them, and by no configuration without.
import { execFileSync } from "node:child_process";
import path from "node:path";
import { expect, it } from "vitest";
import { withRoutes } from "../../../../support/config-text.ts";

const SRC = path.resolve(import.meta.dirname, "../../../../../src");

/** Reads a configuration and builds its policies in a process of its own. @returns whether the configuration is right, and how often the source of conditions was loaded */
function loadedBy(text: string): unknown {
  const code = `
    import { createRequire } from "node:module";
    const { parseConfig } = await import(${JSON.stringify(`${SRC}/control/config/load.ts`)});
    const { POLICIES } = await import(${JSON.stringify(`${SRC}/data/policies/registry.ts`)});
    const result = parseConfig({ texts: [{ file: "c.yaml", text: ${JSON.stringify(text)} }] });
    const route = { name: "a", paramNames: [] };
    for (const { name, config } of result.config.routes[0].policies) POLICIES.find((each) => each.name === name).create(config, route);
    const found = Object.keys(createRequire(import.meta.url).cache).filter((file) => file.endsWith("/expression/expression.ts"));
    console.log(JSON.stringify([result.ok, found.length]));`;
  return JSON.parse(execFileSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8", cwd: SRC }));
}

const route = (change: string): string =>
  withRoutes(`- { name: a, match: {}, to: users, headers: { request: [${change}] }, query: [${change.replaceAll("x-a", "a")}] }\n`);

it("no configuration without conditions loads what they need, in the primary or a worker", () => {
  expect(loadedBy(route("{ set: { x-a: b } }, { remove: [x-b] }"))).toEqual([true, 0]);
  expect(loadedBy(route('{ set: { x-a: b } }, { when: "true", remove: [x-b] }'))).toEqual([true, 1]);
});
