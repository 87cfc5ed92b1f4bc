// Owns headers that operators set, add and remove, towards the upstream and towards the client. A condition that does not hold must never let through what
// the change would have replaced, nor one that cannot be evaluated what it would have removed.

import type { HeaderList } from "../../../base/header-list.ts";
import { getHeader, removeHeader, removeHeaders, setHeader } from "../../../base/header-list.ts";
import { cgiEquivalent, isAmbiguousFieldName, parseAuthority } from "../../../base/http.ts";
import { matchNames } from "../../../base/name-patterns.ts";
import { isProtected } from "../../../base/protected-headers.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Policy, PolicyFactory, ResponseHead } from "../../exchange/policy.ts";
import { compiled } from "../../exchange/templates.ts";
import type { Sees } from "../../routing/expression/expression-view.ts";
import { compileConditions, isDone, isUndecided } from "../conditional.ts";
import { type Conditional, changesIn, setOnCondition } from "../config-changes.ts";
import type { HeadersConfig } from "./config.ts";

type RequestSide = Exclude<HeadersConfig["request"], readonly unknown[]>;
/** Of requests or responses. */
type Side = Pick<RequestSide, "set" | "setIfAbsent" | "add" | "remove">;
type Value = (x: Exchange) => string;
/** @param head of a response */
type Change = (x: Exchange, headers: HeaderList, head?: ResponseHead) => undefined;

const NO_CHANGES: Side = { set: {}, setIfAbsent: {}, add: {}, remove: [] };

/** What a request is: without these a service would take its body for something else, or it would go round for ever. */
const KEPT: readonly string[] = ["content-type", "content-encoding", "max-forwards"];

/** Order on each side: allow, remove, set, setIfAbsent, add; map by map. A side without changes costs nothing. */
export const createHeaders: PolicyFactory = (config, route): Policy => {
  const headers = config as HeadersConfig; // parsed by headersSchema in the primary
  const request = changesIn(headers.request).map(({ change }) => change);
  const response = changesIn(headers.response).map(({ change }) => change);
  const copies = copiesOf(request);
  const policy: Policy = { name: "headers", ...(copies === null ? {} : { copies }) };
  const up = inOrder(request, (side) => changes(side, route.paramNames, true), { sees: "request", where: `route ${route.name}: headers` });
  if (up !== null) policy.onUpstreamRequest = (x, upstreamRequest) => up(x, upstreamRequest.headers);
  const down = inOrder(response, (side) => responseChanges(side, route.paramNames), {
    sees: "response",
    where: `route ${route.name}: headers`,
  });
  if (down === null) return policy;
  policy.onResponse = (x, head) => down(x, head.headers, head);
  if (response.every((side) => isConstant(side, route.paramNames)))
    policy.headDependsOn = response.some(({ onTls }) => onTls !== undefined) ? (x) => x.scheme : () => "";
  return policy;
};

/** @returns which of the client's headers go upstream; null for all */
function copiesOf(sides: readonly RequestSide[]): ((name: string) => boolean) | null {
  const allowed = sides.flatMap(({ allow }) => (allow === undefined ? [] : [matchNames([...KEPT, ...allow])]));
  const withheld = new Set([...setOnCondition(sides)].filter((name) => !KEPT.includes(name)));
  const [only] = allowed;
  if (withheld.size === 0 && allowed.length < 2) return only ?? null;
  const plain = new Set([...withheld].map(cgiEquivalent));
  const isWithheld = (name: string): boolean => withheld.has(name) || (isAmbiguousFieldName(name) && plain.has(cgiEquivalent(name)));
  return (name) => !isWithheld(name) && allowed.every((has) => has(name));
}

/** @returns null when there is nothing to do. A map without condition is done without looking at any. */
function inOrder<S extends Side & Conditional>(
  sides: readonly S[],
  compile: (side: Side | S) => Change | null,
  { sees, where }: { readonly sees: Sees; readonly where: string },
): Change | null {
  const [only] = sides;
  if (only !== undefined && sides.length === 1 && only.when === undefined) return compile(only);
  const steps = sides.map((side) => ({ all: compile(side), removal: compile({ ...NO_CHANGES, remove: side.remove }) }));
  if (steps.every(({ all }) => all === null)) return null;
  const decide = compileConditions(sides, sees, where);
  return (x, headers, head): undefined => {
    const decision = decide(x, head);
    for (let i = 0; i < steps.length; i++) {
      if (isDone(decision, i)) steps[i]?.all?.(x, headers);
      else if (isUndecided(decision, i)) steps[i]?.removal?.(x, headers);
    }
  };
}

/** Whether all that it does is the same for each response with the same fields. */
function isConstant(
  { set, setIfAbsent, add, onTls = {}, when }: Side & Conditional & { readonly onTls?: Side["set"] },
  paramNames: readonly string[],
): boolean {
  const texts = [set, setIfAbsent, add, onTls].flatMap((each) => Object.values(each));
  return when === undefined && texts.every((text) => compiled(text, paramNames).constant !== null);
}

function responseChanges(side: Side & { readonly onTls?: Side["set"] }, paramNames: readonly string[]): Change | null {
  const always = changes(side, paramNames, false);
  const secure = side.onTls === undefined ? null : changes({ ...NO_CHANGES, set: side.onTls }, paramNames, false);
  if (secure === null) return always;
  return (x, headers): undefined => {
    always?.(x, headers);
    if (x.clientInfo().scheme === "https") secure(x, headers);
  };
}

/** @returns null when there is nothing to do */
function changes(side: Side, paramNames: readonly string[], fromClient: boolean): Change | null {
  const gone = matcher(side.remove);
  const set = Object.entries(side.set).map(([name, text]) => ({ name, value: valueFor(name, text, paramNames) }));
  const absent = Object.entries(side.setIfAbsent).map(([name, text]) => ({ name, value: valueFor(name, text, paramNames) }));
  const add = Object.entries(side.add).map(([name, text]) => ({ name, value: valueFor(name, text, paramNames) }));
  if (gone === null && set.length === 0 && absent.length === 0 && add.length === 0) return null;
  // Other spellings of a name that is removed or set, see cgiEquivalent: left in, they could pass for the operator's.
  const names = new Set([...set, ...absent].map(({ name }) => cgiEquivalent(name)));
  const isForgery = (name: string): boolean =>
    isAmbiguousFieldName(name) && (names.has(cgiEquivalent(name)) || gone?.(cgiEquivalent(name)) === true);
  return (x, headers) => {
    if (fromClient && x.hasAmbiguousFieldNames) removeHeaders(headers, isForgery);
    if (gone !== null) removeHeaders(headers, gone);
    for (const { name, value } of set) {
      const text = value(x);
      if (text !== "") setHeader(headers, name, text);
      // Without a value the header goes: what the client sent under this name must never pass for the operator's. A Host there must be.
      else if (name !== "host") removeHeader(headers, name);
    }
    for (const { name, value } of absent) {
      if (getHeader(headers, name) !== undefined) continue;
      const text = value(x);
      if (text !== "") headers.push(name, text);
    }
    for (const { name, value } of add) {
      const text = value(x);
      if (text !== "") headers.push(name, text);
    }
  };
}

/** @returns what tells a header to remove from one to keep; null when none is to be removed */
function matcher(patterns: readonly string[]): ((name: string) => boolean) | null {
  if (patterns.length === 0) return null;
  const matches = matchNames(patterns);
  // No pattern is a protected name itself: only a prefix can hold one.
  return patterns.some((each) => each.endsWith("*")) ? (name) => matches(name) && !isProtected(name) : matches;
}

/** @returns the value for an exchange; '' for none, also when what came out is no valid value */
function valueFor(name: string, text: string, paramNames: readonly string[]): Value {
  const template = compiled(text, paramNames);
  if (name === "host")
    return (x) => {
      const host = template.renderHeader(x);
      return parseAuthority(host) === null ? "" : host;
    };
  if (template.constant === null) return (x) => template.renderHeader(x);
  let constant: string | null = null;
  return (x) => (constant ??= template.renderHeader(x));
}
