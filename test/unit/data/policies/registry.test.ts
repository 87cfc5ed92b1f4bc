import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { benchPolicy } from "../../../../bench/micro/policy.ts";
import { POLICIES } from "../../../../src/data/policies/registry.ts";
import { POLICY_SCHEMAS } from "../../../../src/data/policies/schemas.ts";
import { policyRoute } from "../../../support/exchange.ts";
import { limitResources } from "../../../support/limit-route.ts";

const ROOT = new URL("../../../../src/data/", import.meta.url);

test("registry and schemas name the same policies in the same order, one folder each", () => {
  const names = POLICIES.map((each) => each.name);
  expect(POLICY_SCHEMAS.map((each) => each.key)).toEqual(names);
  const folders = ["policies", "filters", "handlers"].flatMap((room) => readdirSync(new URL(`${room}/`, ROOT)));
  expect(names.filter((name) => !folders.includes(name))).toEqual([]);
  const own = readdirSync(new URL("policies/", ROOT), { withFileTypes: true }).filter((each) => each.isDirectory());
  expect(own.map((each) => each.name).filter((name) => !names.includes(name))).toEqual(["module"]); // runs those of the user's own
});

test("a policy's own name is the registry's", () => {
  const configs: Readonly<Record<string, unknown>> = {
    ip: { deny: ["192.0.2.1"] },
    cors: { origins: ["*"] },
    rateLimit: [{ per: "ip", rate: "1/s" }],
    auth: "none",
    authorize: { ip: ["192.0.2.1"] },
    redirect: { https: true },
    rewrite: { path: "/x" },
    query: { allow: [] },
    deprecation: { since: "2026-03-01" },
    forwardAuth: { to: "users" },
  };
  for (const { name, create } of POLICIES) {
    const schema = POLICY_SCHEMAS.find((each) => each.key === name)?.schema;
    expect(create(schema?.().parse(configs[name] ?? {}), policyRoute({ resources: limitResources() })).name).toBe(name);
  }
});

test("the policy benchmark still does its work", () => {
  const { changed } = benchPolicy(1);
  // Each request: headers nets +1 header up and none down; cors nets +2 (allow-origin, allow-credentials). Two list items a header.
  expect(changed).toBe(2000 * 2 * (1 + 0 + 2));
});
