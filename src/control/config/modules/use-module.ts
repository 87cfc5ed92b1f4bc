// Owns trying out a policy module as a worker will use it: import, its own schema over its configuration, one `create` for each route. For the thread of
// module-task.ts: code of the user's own runs here.
import * as z from "zod";
import { frozen } from "../../../base/frozen.ts";
import { importModule } from "../../../modules/load-imports.ts";
import { hooksOf, type PolicyModule, policyOf } from "../../../modules/policy-module.ts";
import { MODULE_SCHEME } from "../../../plan/module-plan.ts";
import { parseAt } from "../schema/parse.ts";
import type { Located } from "../source/located.ts";
import type { FromModuleThread, ModuleFault, ModulePlace, RouteFacts, ToModuleThread } from "./module-messages.ts";

type Use = Extract<ToModuleThread, { kind: "use" }>;

export async function useModule({ url, files, config, routes }: Use): Promise<FromModuleThread> {
  const policy = policyOf(await importModule(url, files));
  if (typeof policy === "string") return fault(policy);
  const read = readConfig(policy, config);
  if ("kind" in read) return read;
  const upstreams = policy.upstreams?.(read.value) ?? [];
  if (!Array.isArray(upstreams) || !upstreams.every((each) => typeof each === "string"))
    return fault("its `upstreams` has to give a list of names");
  const hooks = new Set<string>();
  for (const route of routes) {
    const made = hooksOf(policy.create(read.value, routeOf(route)));
    if (typeof made === "string") return fault(made);
    for (const hook of made) hooks.add(hook);
  }
  return { kind: "use", name: policy.name, phase: policy.phase, hooks: [...hooks], upstreams, with: read.value };
}

const fault = (message: string): FromModuleThread => ({ kind: "fault", fault: { message, place: null } });

const NOTHING: Located = { kind: "map", at: { file: "", line: 0, column: 0 }, entries: new Map() };

/** As the worker will see it: plain data, frozen. */
function readConfig({ schema: make }: PolicyModule, config: Located | null): { readonly value: unknown } | FromModuleThread {
  if (make === undefined) {
    if (config === null || (config.kind === "map" && config.entries.size === 0)) return { value: undefined };
    return fault("it takes no configuration, as it has no `schema`: take `with` away");
  }
  const schema = make(z);
  if (!(schema instanceof z.core.$ZodType)) return fault("its `schema` has to give a schema made of the `z` that it gets");
  const parsed = parseAt(schema as z.ZodType, config ?? NOTHING, []); // of zod, and so of zod/v4 as a whole
  if ("problems" in parsed) return { kind: "problems", problems: parsed.problems };
  const odd = oddPart(parsed.value, "its configuration");
  if (odd !== null) return fault(`its \`schema\` has to give plain data (JSON), and ${odd}: make such things in \`create\``);
  return { value: frozen(structuredClone(parsed.value)) };
}

/** @returns what of a value JSON would lose; null for nothing */
function oddPart(value: unknown, name: string): string | null {
  if (value === null || value === undefined || typeof value === "string" || typeof value === "boolean") return null;
  if (typeof value === "number") return Number.isFinite(value) ? null : `${name} is ${value}`;
  if (Array.isArray(value)) return firstOdd(value.map((each, i) => [`${name}[${i}]`, each]));
  if (typeof value !== "object") return `${name} is a ${typeof value}`;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) return `${name} is a ${value.constructor?.name ?? "special object"}`;
  return firstOdd(Object.entries(value).map(([key, each]) => [`${name}.${key}`, each]));
}

const firstOdd = (parts: readonly (readonly [string, unknown])[]): string | null =>
  parts.reduce<string | null>((found, [name, value]) => found ?? oddPart(value, name), null);

/** What a route is to a policy here: its slots hold nothing, as there is no request. */
const routeOf = (facts: RouteFacts): object => ({ ...facts, slot: () => ({ get: () => undefined, set: () => {} }) });

/** What a module has thrown, at the first place of it that its stack names. */
export function faultOf(error: unknown): ModuleFault {
  if (!(error instanceof Error))
    return { message: `it threw ${typeof error === "string" ? error : `what is no error (${typeof error})`}`, place: null };
  const what = error.name === "Error" ? error.message : `${error.name}: ${error.message}`;
  return { message: `it threw: ${what.slice(0, 500)}`, place: placeInFrames(error.stack ?? "") };
}

function placeInFrames(stack: string): ModulePlace | null {
  const found = new RegExp(`${MODULE_SCHEME}[\\w-]+(/[^\\s:)]*):(\\d+)(?::(\\d+))?`).exec(stack);
  if (found === null) return null;
  return { path: decodeURIComponent(found[1] ?? ""), line: Number(found[2]), column: Number(found[3] ?? 1) };
}
