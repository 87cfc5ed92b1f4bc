// Steps of a route's policies, phase by phase, whatever the hooks are called.
import { expect, test } from "vitest";
import type { Policy } from "../../../../src/data/exchange/policy.ts";
import { POLICIES } from "../../../../src/data/policies/registry.ts";
import { requestSteps } from "../../../../src/data/worker/request-steps.ts";
import { TestExchange } from "../../../support/exchange.ts";

/** Runs all steps of policies that note which of their hooks is run. */
function run(policies: readonly (Policy | ((note: (text: string) => void) => Policy))[]): readonly string[] {
  const notes: string[] = [];
  const made = policies.map((policy) => (typeof policy === "function" ? policy((text) => notes.push(text)) : policy));
  const x = new TestExchange();
  for (const step of requestSteps(made) ?? []) step.onRequest?.(x);
  return notes;
}

const noting =
  (name: string, ...hooks: readonly ("onEdge" | "onRequest" | "onIdentified")[]) =>
  (note: (text: string) => void): Policy => ({
    name,
    ...Object.fromEntries(hooks.map((hook) => [hook, () => void note(`${name}.${hook}`)])),
  });

test("hooks run phase by phase, and within a phase in the registry's order", () => {
  const all = POLICIES.map(({ name }) => noting(name, "onEdge", "onRequest", "onIdentified"));
  const inPhase = (phase: string): readonly string[] =>
    POLICIES.filter((each) => each.phase === phase).map(({ name }) => `${name}.onRequest`);
  const notes = run(all);
  const edge = POLICIES.flatMap(({ name, phase }) => (phase === "edge" ? [`${name}.onEdge`, `${name}.onRequest`] : [`${name}.onEdge`]));
  expect(notes).toEqual([...edge, ...inPhase("identify"), ...POLICIES.map(({ name }) => `${name}.onIdentified`), ...inPhase("origin")]);
});

test("what is bound to the caller runs between who that is and what is asked of whom, without any policy in the last phase", () => {
  expect(run([noting("rateLimit", "onRequest", "onIdentified"), noting("auth", "onRequest"), noting("authorize", "onRequest")])).toEqual([
    "rateLimit.onRequest",
    "auth.onRequest",
    "authorize.onRequest",
    "rateLimit.onIdentified",
  ]);
});

test("a route without steps has none", () => {
  expect(requestSteps([])).toBeNull();
  expect(requestSteps([{ name: "compress" }, { name: "headers" }])).toBeNull();
});
