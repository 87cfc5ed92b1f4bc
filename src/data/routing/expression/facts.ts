// Owns what conditions see of a request, its caller and its response: each value is read when a condition names it, and not before.
import type { HeaderList } from "../../../base/header-list.ts";
import { decodedPath, singleHeaderValue, singleQueryValue, utf8 } from "../request/single-value.ts";
import type { ExpressionCaller, ExpressionView, ResponseView } from "./expression-view.ts";
import { KEYED, type Keyed } from "./uses.ts";

/** Longest list in what is known of a caller: a condition may walk it. */
const LIST_MAX = 300;
/** Nesting of values in the claims. */
const VALUE_DEPTH_MAX = 16;

/** What is known of the caller, as expressions see it. */
export class Caller {
  readonly id: string;
  /** '' for none. */
  readonly tier: string;
  readonly authenticator: string;
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
  readonly groups: readonly string[];

  constructor(identity: ExpressionCaller) {
    this.id = identity.consumer;
    this.tier = identity.tier ?? "";
    this.authenticator = identity.authenticator;
    this.scopes = identity.scopes;
    this.roles = identity.roles;
    this.groups = identity.groups;
  }
}

export class Client {
  readonly ip: string;
  constructor(ip: string) {
    this.ip = ip;
  }
}

export class RequestFacts {
  readonly path: string;
  readonly time: Date;
  constructor(path: string, time: Date) {
    this.path = path;
    this.time = time;
  }
}

export class ResponseFacts {
  /** CEL's whole numbers are of 64 bits. */
  readonly status: bigint;
  readonly header: Readonly<Record<string, string>>;
  constructor(status: bigint, header: Readonly<Record<string, string>>) {
    this.status = status;
    this.header = header;
  }
}

/** Variables by name, as the CEL library takes them. */
export type Facts = Record<string, unknown>;

/** What one evaluation may look at. */
interface Sight {
  readonly x: ExpressionView;
  readonly nowMs: number;
  readonly response: ResponseView | undefined;
}

/** Puts one variable's value where the expression finds it. @throws when it is not there at all */
export type Fact = (facts: Facts, sight: Sight) => void;

const SIMPLE: Readonly<Record<string, (sight: Sight) => unknown>> = {
  host: ({ x }) => x.host,
  method: ({ x }) => x.method,
  route: ({ x }) => x.route?.name ?? "",
  scheme: ({ x }) => x.clientInfo().scheme,
  client: ({ x }) => new Client(x.clientInfo().ip),
  request: ({ x, nowMs }) => new RequestFacts(x.path, new Date(nowMs)),
};

type OfRequest = Exclude<Keyed, "response.header">;

const ENTRY: Readonly<Record<OfRequest, (x: ExpressionView, name: string) => string | undefined>> = {
  path: (x, name) => decodedPath(x.param(name) ?? ""),
  query: singleQueryValue,
  header: (x, name) => utf8(singleHeaderValue(x, name) ?? "") || undefined,
};

/** What must be looked up for an expression that names these. */
export function factsOf(names: ReadonlySet<string>, keys: Readonly<Record<Keyed, ReadonlySet<string>>>): readonly Fact[] {
  const simple = Object.entries(SIMPLE).flatMap(([name, value]): Fact[] =>
    names.has(name) ? [(facts, sight) => void (facts[name] = value(sight))] : [],
  );
  const ofRequest = KEYED.flatMap((map): Fact[] =>
    map === "response.header" || keys[map].size === 0 ? [] : [entriesFact(map, [...keys[map]])],
  );
  const headers = [...keys["response.header"]];
  const ofResponse = headers.length > 0 || names.has("response.status") ? [responseFact(headers)] : [];
  return [...simple, ...ofRequest, ...ofResponse];
}

export const NO_CLAIMS = {};

function entriesFact(map: OfRequest, names: readonly string[]): Fact {
  const value = ENTRY[map];
  return (facts, { x }) => {
    const found: Record<string, string> = {};
    for (const name of names) {
      const each = value(x, name);
      if (each !== undefined) found[name] = each;
    }
    facts[map] = found;
  };
}

function responseFact(names: readonly string[]): Fact {
  return (facts, { response }) => {
    if (response === undefined) throw new Error("there is no response");
    const found: Record<string, string> = {};
    for (const name of names) {
      const each = utf8(joined(response.headers, name) ?? "");
      if (each !== undefined && each !== "") found[name] = each;
    }
    facts["response"] = new ResponseFacts(BigInt(response.status), found);
  };
}

/** RFC 9110 section 5.3: several lines of one name are one list. @returns undefined for none */
function joined(headers: HeaderList, name: string): string | undefined {
  let found: string | undefined;
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i] === name) found = found === undefined ? headers[i + 1] : `${found}, ${headers[i + 1]}`;
  return found;
}

/** Identities live in caches, so what is worked out about one is kept with it. */
const callers = new WeakMap<ExpressionCaller, Caller>();
const bounded = new WeakMap<ExpressionCaller, boolean>();

export function callerOf(identity: ExpressionCaller): Caller {
  let caller = callers.get(identity);
  if (caller === undefined) callers.set(identity, (caller = new Caller(identity)));
  return caller;
}

export function isBounded(identity: ExpressionCaller): boolean {
  let known = bounded.get(identity);
  if (known === undefined)
    bounded.set(
      identity,
      (known = [identity.scopes, identity.roles, identity.groups, identity.claims].every((each) => hasShortLists(each))),
    );
  return known;
}

function hasShortLists(value: unknown, depth = 0): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (depth > VALUE_DEPTH_MAX) return false;
  const inner = Object.values(value);
  return inner.length <= LIST_MAX && inner.every((each) => hasShortLists(each, depth + 1));
}
