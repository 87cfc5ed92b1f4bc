// Owns headers that operators set, add and remove, towards the upstream and towards the client.

import type { HeaderList } from "../../../base/header-list.ts";
import { getHeader, removeHeader, removeHeaders, setHeader } from "../../../base/header-list.ts";
import { cgiEquivalent, isAmbiguousFieldName, parseAuthority } from "../../../base/http.ts";
import { matchNames } from "../../../base/name-patterns.ts";
import { isProtected } from "../../../base/protected-headers.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Policy, PolicyFactory } from "../../exchange/policy.ts";
import { compiled } from "../../exchange/templates.ts";
import type { HeadersConfig } from "./config.ts";

/** Of requests or responses. */
type Side = Pick<HeadersConfig["response"], "set" | "setIfAbsent" | "add" | "remove">;
type Value = (x: Exchange) => string;

/** What a request is: without these a service would take its body for something else, or it would go round for ever. */
const KEPT: readonly string[] = ["content-type", "content-encoding", "max-forwards"];

/** Order on each side: allow, remove, set, setIfAbsent, add. A side without changes costs nothing. */
export const createHeaders: PolicyFactory = (config, route): Policy => {
  const { request, response } = config as HeadersConfig; // parsed by headersSchema in the primary
  const copies = request.allow === undefined ? {} : { copies: matchNames([...KEPT, ...request.allow]) };
  const policy: Policy = { name: "headers", ...copies };
  const up = changes(request, route.paramNames, true);
  const down = changes(response, route.paramNames, false);
  if (up !== null) policy.onUpstreamRequest = (x, upstreamRequest) => up(x, upstreamRequest.headers);
  const secure = changes({ set: response.onTls, setIfAbsent: {}, add: {}, remove: [] }, route.paramNames, false);
  if (down !== null || secure !== null)
    policy.onResponse = (x, head): undefined => {
      down?.(x, head.headers);
      if (secure !== null && x.clientInfo().scheme === "https") secure(x, head.headers);
    };
  return policy;
};

/** @returns null when there is nothing to do */
function changes(side: Side, paramNames: readonly string[], fromClient: boolean): ((x: Exchange, headers: HeaderList) => undefined) | null {
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
