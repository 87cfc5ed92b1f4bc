// Owns reading what a policy module exports. Shared by the check of a configuration and by workers. Must never call anything of it.
import type { ModulePhase } from "../plan/module-plan.ts";

/** What `definePolicy` was given, as far as it could be looked at. The types of what it is called with are those of `sluice/policy`. */
export interface PolicyModule {
  readonly name: string;
  readonly phase: ModulePhase;
  readonly schema?: (z: unknown) => unknown;
  readonly upstreams?: (config: unknown) => unknown;
  readonly create: (config: unknown, route: unknown) => unknown;
}

/** Hooks of a policy, in the order in which they come. */
export const HOOKS = ["onRequest", "onUpstreamRequest", "onUpstreamFailure", "onResponse", "responseBody", "onFinish", "cacheKey"] as const;
export type HookName = (typeof HOOKS)[number];

const PHASES: readonly string[] = ["edge", "identify", "identified", "origin"] satisfies readonly ModulePhase[];
const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;
const KEYS: readonly string[] = ["name", "phase", "schema", "upstreams", "create"];

/** @param namespace of the module. @returns its policy, or one sentence that says why it is none */
export function policyOf(namespace: unknown): PolicyModule | string {
  const value: unknown = isObject(namespace) ? namespace["default"] : undefined;
  if (value === undefined) return "it has no default export: export default definePolicy({ ... }), from sluice/policy";
  if (!isObject(value) || value[MARK] !== 1) return "its default export was not made by definePolicy, from sluice/policy";
  const { name, phase, schema, upstreams, create } = value;
  if (typeof name !== "string" || !NAME.test(name)) return "its name has to be 1 to 64 letters, digits, '.', '_' and '-'";
  if (typeof phase !== "string" || !PHASES.includes(phase)) return `its phase has to be one of ${PHASES.join(", ")}`;
  if (typeof create !== "function") return "it has no function `create`";
  for (const [key, each] of Object.entries({ schema, upstreams }))
    if (each !== undefined && typeof each !== "function") return `its \`${key}\` has to be a function`;
  const unknown = Object.keys(value).find((key) => !KEYS.includes(key));
  if (unknown !== undefined) return `definePolicy knows no \`${unknown}\`: ${KEYS.join(", ")}`;
  return value as unknown as PolicyModule; // looked at above
}

/** @param made by `create`. @returns the names of its hooks, or why it has none */
export function hooksOf(made: unknown): readonly HookName[] | string {
  if (!isObject(made)) return "`create` has to give an object with hooks";
  if (typeof made["then"] === "function") return "`create` must not give a promise: wait in onRequest";
  const unknown = Object.keys(made).find((key) => !HOOKS.some((hook) => hook === key));
  if (unknown !== undefined) return `there is no hook \`${unknown}\`: ${HOOKS.join(", ")}`;
  for (const hook of HOOKS) {
    const value = made[hook];
    if (hook === "responseBody" ? value !== undefined && !isBodyChange(value) : value !== undefined && typeof value !== "function")
      return hook === "responseBody"
        ? `\`responseBody\` has to be { maxBytes, change }, maxBytes at most ${BODY_BYTES_MAX}`
        : `\`${hook}\` has to be a function`;
  }
  return HOOKS.filter((hook) => made[hook] !== undefined);
}

/** Longest body that a policy may have held for it. */
export const BODY_BYTES_MAX = 16 * 1024 ** 2;

function isBodyChange(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { maxBytes, change, applies } = value;
  const isBound = Number.isInteger(maxBytes) && Number(maxBytes) > 0 && Number(maxBytes) <= BODY_BYTES_MAX;
  return isBound && typeof change === "function" && (applies === undefined || typeof applies === "function");
}

/** As policy/index.js sets it. */
const MARK = Symbol.for("sluice.policy");

const isObject = (value: unknown): value is Record<PropertyKey, unknown> => typeof value === "object" && value !== null;
