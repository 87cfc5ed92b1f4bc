import { expect, test } from "vitest";
import { compilePlan } from "../../../../src/control/config/compile/compile.ts";
import { parseConfig } from "../../../../src/control/config/load.ts";
import { describeChanges, describeRestarts, waitingSettings } from "../../../../src/control/plan/plan-diff.ts";
import type { Plan } from "../../../../src/plan/plan.ts";

function plan(yaml: string, version: number): Plan {
  const result = parseConfig({ texts: [{ file: "test.yaml", text: `version: 1\n${yaml}` }] });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  // Slots depend on the version: they must not count as a change.
  return compilePlan(result.config, { version, metricSlot: (name) => name.length + version, breakerSlot: (name) => name.length + version });
}

function check(before: string, after: string, expected: readonly string[]): void {
  expect(describeChanges(plan(before, 1), plan(after, 2))).toEqual(expected);
}

const upstream = (name: string, port: number) => `${name}: { targets: [ { url: "http://127.0.0.1:${port}" } ] }`;
const base = (upstreams: string, routes: string, more = "") =>
  `listeners: [ { address: "127.0.0.1:8080" } ]\nupstreams: { ${upstreams} }\nroutes: [ ${routes} ]\n${more}`;
const route = (name: string, to: string) => `{ name: ${name}, match: { path: /${name} }, to: ${to} }`;

test("what a reload changes", () => {
  const one = base(upstream("b", 1), route("x", "b"));
  check(one, one, []);
  check(one, base(upstream("b", 2), route("x", "b")), ["upstream changed: b"]);
  check(one, base(`${upstream("a", 1)}, ${upstream("b", 1)}`, `${route("x", "b")}, ${route("y", "a")}`), [
    "route added: y",
    "upstream added: a",
  ]);
  const legs = "{ name: x, match: { path: /x }, aggregate: { l: { to: b, path: / } } }";
  check(base(upstream("b", 1), legs), base(`${upstream("a", 1)}, ${upstream("b", 1)}`, `${legs}, ${route("y", "a")}`), [
    "route added: y",
    "upstream added: a",
  ]);
  check(base(upstream("b", 1), legs), base(upstream("b", 1), legs.replace("path: / }", "path: /z }")), ["route changed: x"]);
  check(base(upstream("b", 1), `${route("x", "b")}, ${route("y", "b")}`), one, ["route removed: y"]);
  check(one, base(upstream("b", 1), "{ name: x, match: { path: /z }, to: b }"), ["route changed: x"]);
  check(one, base(upstream("b", 1), route("x", "b"), "limits: { bodyBytes: 1MiB }"), ["route changed: x", "limits changed"]);
  check(one, base(upstream("b", 1), route("x", "b"), "drainTimeout: 1s"), ["drainTimeout changed"]);
  check(one, base(upstream("b", 1), route("x", "b"), "clients: { app: { userAgent: App* } }\nversioning: { from: [path] }"), [
    "clients changed",
    "versioning changed",
  ]);
  const pages = base(upstream("b", 1), `${route("x", "b")}, ${route("y", "b")}`, "errorPages: { 404: { body: one } }");
  check(pages, pages.replace("one", "two"), ["routes changed: x, y", "errorPages changed"]);
  // Indexes of sets move: that is no change.
  const ofRoute = `${route("y", "b").slice(0, -1)}, errorPages: { 500: { body: own } } }`;
  check(
    base(upstream("b", 1), ofRoute),
    base(upstream("b", 1), `{ name: x, match: { path: /x }, to: b, errorPages: { 400: { body: x } } }, ${ofRoute}`),
    ["route added: x"],
  );
  const callers = `${one}consumers: [{ id: acme, roles: [a] }, { id: b }]\nauth: { legacy: { basic: {} } }\ndefaults: { auth: none }\n`;
  check(one, callers, ["authenticator added: legacy", "consumers added: acme, b"]);
  check(callers, callers.replace("[a]", "[b]").replace("basic: {}", "basic: { cacheFor: 2m }"), [
    "authenticator changed: legacy",
    "consumer changed: acme",
  ]);
  check(one, one.replace("8080", "8081"), ["listener added: 127.0.0.1:8081", "listener removed: 127.0.0.1:8080"]);
});

test("long lists are counted", () => {
  const many = Array.from({ length: 12 }, (_, i) => route(`r${String(i).padStart(2, "0")}`, "b")).join(", ");
  const names = "r00, r01, r02, r03, r04, r05, r06, r07, r08, r09";
  check(base(upstream("b", 1), route("x", "b")), base(upstream("b", 1), `${route("x", "b")}, ${many}`), [
    `routes added: ${names} and 2 more`,
  ]);
});

test("what needs a restart", () => {
  expect(waitingSettings({ workers: [1, 1], dns: [{ a: 1 }, { a: 1 }] })).toEqual([]);
  expect(describeRestarts(waitingSettings({ workers: [1, 2], dns: [{ a: 1 }, { a: 1 }] }))).toEqual([
    expect.stringMatching(/^workers changed: .*next start/),
  ]);
});
