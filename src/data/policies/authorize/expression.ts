// Owns `when`: the part of CEL (Common Expression Language) that routes may use, its bounds, and its evaluation. The only importer of the CEL library,
// itself loaded by load-expression.ts when a configuration has an expression. Must never answer anything but yes or no, and no in doubt.
//
// Bounds. Text and tree are limited; regular expressions are of the linear kind; no functions that make lists or longer texts; a macro (all, exists, exists_one) stands in
// no other, and what it walks is a list as it came, of at most LIST_MAX entries: a longer one anywhere in the claims is a no. So an evaluation looks at
// no more than NODES_MAX x LIST_MAX nodes, and NESTED_LOOKUPS_MAX x LIST_MAX x LIST_MAX entries.
import { type ASTNode, Environment, type ParseResult } from "@marcbachmann/cel-js";
import { compileRegex, LinearRegex } from "../../../base/linear-regex.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { Identity } from "../../exchange/identity/identity.ts";
import { decodedPath, singleHeaderValue, singleQueryValue, utf8 } from "../../routing/request/single-value.ts";

const NODES_MAX = 200;
const DEPTH_MAX = 24;
const LITERAL_ENTRIES_MAX = 100;
const LIST_MAX = 300;
/** Nesting of values in the claims. */
const VALUE_DEPTH_MAX = 16;
/** Look-ups in a list (`x in claims.groups`) inside macros: each costs LIST_MAX squared. */
const NESTED_LOOKUPS_MAX = 2;

/** A condition, checked and ready. */
export interface Expression {
  /** It says something about the caller. */
  readonly needsIdentity: boolean;
  /** Path parameters that it names. */
  readonly pathNames: readonly string[];
  /** Never throws. @returns null when it cannot be evaluated */
  holds(x: Exchange, nowMs: number): boolean | null;
}

export interface ExpressionProblem {
  readonly error: string;
  /** Character it stands at, from 1; 0 when it is about the whole. */
  readonly at: number;
}

/** What is known of the caller, as expressions see it. */
class Caller {
  readonly id: string;
  /** '' for none. */
  readonly tier: string;
  readonly authenticator: string;
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
  readonly groups: readonly string[];

  constructor(identity: Identity) {
    this.id = identity.consumer;
    this.tier = identity.tier ?? "";
    this.authenticator = identity.authenticator;
    this.scopes = identity.scopes;
    this.roles = identity.roles;
    this.groups = identity.groups;
  }
}

class Client {
  readonly ip: string;
  constructor(ip: string) {
    this.ip = ip;
  }
}

class RequestFacts {
  readonly path: string;
  readonly time: Date;
  constructor(path: string, time: Date) {
    this.path = path;
    this.time = time;
  }
}

/** The name under which `matches` is evaluated: the library's own is JavaScript's RegExp, which may take exponential time, and cannot be replaced. */
const LINEAR_MATCHES = "matchesLinear";

const LISTS = { scopes: "list<string>", roles: "list<string>", groups: "list<string>" };

const environment = new Environment({
  limits: { maxAstNodes: NODES_MAX, maxDepth: DEPTH_MAX, maxListElements: LITERAL_ENTRIES_MAX, maxMapEntries: 1, maxCallArguments: 3 },
})
  .registerType("Caller", { ctor: Caller, fields: { id: "string", tier: "string", authenticator: "string", ...LISTS } })
  .registerType("Client", { ctor: Client, fields: { ip: "string" } })
  .registerType("Request", { ctor: RequestFacts, fields: { path: "string", time: "google.protobuf.Timestamp" } })
  .registerType("Regex", { ctor: LinearRegex, fields: {} })
  .registerFunction(`string.${LINEAR_MATCHES}(Regex): bool`, (text: string, regex: LinearRegex) => regex.matches(text), { async: false })
  .registerVariable("consumer", "Caller")
  .registerVariable("claims", "map<string, dyn>")
  .registerVariable("path", "map<string, string>")
  .registerVariable("query", "map<string, string>")
  .registerVariable("header", "map<string, string>")
  .registerVariable("host", "string")
  .registerVariable("method", "string")
  .registerVariable("scheme", "string")
  .registerVariable("route", "string")
  .registerVariable("client", "Client")
  .registerVariable("request", "Request");

const FUNCTIONS: ReadonlySet<string> = new Set(["has", "size", "int", "double", "string", "bool", "timestamp", "duration"]);
/** Parts of a time, in UTC: a time zone as argument costs 0.2 ms, and `time` knows zones. */
const CLOCK: ReadonlySet<string> = new Set([
  "getFullYear",
  "getMonth",
  "getDate",
  "getDayOfWeek",
  "getDayOfYear",
  "getHours",
  "getMinutes",
]);
const METHODS: ReadonlySet<string> = new Set(["contains", "startsWith", "endsWith", "matches", "size", ...CLOCK]);
/** What costs little enough to be done for each entry of a list. */
const IN_MACROS: ReadonlySet<string> = new Set(["has", "int", "double", "bool", "contains", "startsWith", "endsWith"]);
const MACROS: ReadonlySet<string> = new Set(["all", "exists", "exists_one"]);
/** Of which only named entries are looked up, so that nothing else need be read. */
const KEYED = ["path", "query", "header"] as const;
type Keyed = (typeof KEYED)[number];

/** Checks a condition and makes it ready. Never throws. */
export function compileExpression(text: string): Expression | ExpressionProblem {
  try {
    const parsed = environment.parse(text);
    const uses = new Uses();
    uses.look(parsed.ast, null);
    const { valid, type = "", error } = parsed.check();
    if (!valid) return problemOf(error);
    if (type !== "bool" && type !== "dyn") return { error: `it is no condition: it gives ${type}, not true or false`, at: 0 };
    return new CompiledExpression(parsed, uses);
  } catch (error) {
    return error instanceof Unwanted ? { error: error.message, at: error.at } : problemOf(error);
  }
}

/** The library's errors carry a range and a summary; their message draws a picture, which fits no log line. */
function problemOf(error: unknown): ExpressionProblem {
  const range =
    typeof error === "object" && error !== null && "range" in error ? (error.range as { readonly start?: number } | undefined) : undefined;
  const summary = typeof error === "object" && error !== null && "summary" in error ? String(error.summary) : String(error);
  return { error: summary, at: range?.start === undefined ? 0 : range.start + 1 };
}

class Unwanted extends Error {
  readonly at: number;
  constructor(message: string, node: ASTNode) {
    super(message);
    this.at = node.start + 1;
  }
}

/** Walks a tree: refuses what has no bound, and finds what must be read of a request. */
class Uses {
  readonly keys: Readonly<Record<Keyed, Set<string>>> = { path: new Set(), query: new Set(), header: new Set() };
  readonly names = new Set<string>();
  #nestedLookups = 0;

  look(node: ASTNode, macro: string | null): void {
    switch (node.op) {
      case "value":
        return;
      case "id":
        if (isKeyed(node.args)) throw new Unwanted(`name the entry: ${node.args}["..."]`, node);
        this.names.add(node.args);
        return;
      case ".":
        if (this.#entry(node.args[0], node.args[1])) return;
        return this.look(node.args[0], macro);
      case "[]":
        if (this.#entry(node.args[0], node.args[1])) return;
        break;
      case "in":
        if (this.#entry(node.args[1], node.args[0])) return;
        if (macro !== null && node.args[1].op !== "list" && ++this.#nestedLookups > NESTED_LOOKUPS_MAX)
          throw new Unwanted(`more than ${NESTED_LOOKUPS_MAX} look-ups inside macros: their cost would be too high`, node);
        break;
      case "+":
        if (macro !== null) throw new Unwanted("`+` cannot stand inside a macro: its cost would have no bound", node);
        break;
      case "call":
        return this.#call(node, macro);
      case "rcall":
        return this.#method(node, macro);
      case "map":
        throw new Unwanted("maps cannot be written here", node);
      case ".?":
      case "[?]":
        throw new Unwanted(`\`${node.op}\` cannot be used here: use has()`, node);
      default:
        break;
    }
    for (const child of childrenOf(node.args)) this.look(child, macro);
  }

  /** Whether this is an entry of path, query or header by its literal name; then it is noted. */
  #entry(map: ASTNode, key: string | ASTNode): boolean {
    if (map.op !== "id" || !isKeyed(map.args)) return false;
    const name = typeof key === "string" ? key : key.op === "value" && typeof key.args === "string" ? key.args : null;
    if (name === null) throw new Unwanted(`name the entry by a text: ${map.args}["..."]`, map);
    if (map.args === "header" && name !== name.toLowerCase())
      throw new Unwanted(`write the header's name in lower case: ${name.toLowerCase()}`, map);
    this.keys[map.args].add(name);
    return true;
  }

  #call(node: Extract<ASTNode, { op: "call" }>, macro: string | null): void {
    const [name, args] = node.args;
    if (!FUNCTIONS.has(name)) throw new Unwanted(`${name}() cannot be used here (functions: ${[...FUNCTIONS].join(", ")})`, node);
    if (macro !== null) refuseCostly(name, node);
    for (const arg of args) this.look(arg, macro);
  }

  #method(node: Extract<ASTNode, { op: "rcall" }>, macro: string | null): void {
    const [name, receiver, args] = node.args;
    if (MACROS.has(name)) {
      if (macro !== null) throw new Unwanted(`.${name}() cannot stand inside another macro: its cost would have no bound`, node);
      if (!isAsItCame(receiver)) throw new Unwanted(`.${name}() walks lists as they come, not computed ones`, node);
    } else if (!METHODS.has(name))
      throw new Unwanted(`.${name}() cannot be used here (methods: ${[...METHODS, ...MACROS].join(", ")})`, node);
    else if (name === "matches") this.#matches(node, macro);
    else if (macro !== null) refuseCostly(name, node);
    if (CLOCK.has(name) && args.length > 0) throw new Unwanted(`.${name}() takes no time zone here: use \`authorize.time\``, node);
    this.look(receiver, macro);
    const inner = MACROS.has(name) && args[0]?.op === "id" ? args[0].args : macro;
    for (const arg of args) this.look(arg, inner);
  }

  /** Puts the compiled pattern in place of its text. Inside a macro only the entry itself is looked through: together they are no longer than the list. */
  #matches(node: Extract<ASTNode, { op: "rcall" }>, macro: string | null): void {
    const [, receiver, [pattern, ...more]] = node.args;
    if (pattern?.op !== "value" || typeof pattern.args !== "string" || more.length > 0)
      throw new Unwanted('.matches() takes one pattern, written out: .matches("^team-")', node);
    if (macro !== null && rootOf(receiver) !== macro)
      throw new Unwanted(`inside a macro .matches() can only look through \`${macro}\`: its cost would be too high`, node);
    const regex = compileRegex(pattern.args, "search");
    if ("error" in regex)
      throw new Unwanted(
        `the pattern ${JSON.stringify(pattern.args)}${regex.at > 0 ? `, character ${regex.at}` : ""}: ${regex.error}`,
        pattern,
      );
    node.args[0] = LINEAR_MATCHES;
    Object.assign(pattern, { args: regex }); // the type says read-only for constants of the language; this one is of the registered type Regex
  }
}

function refuseCostly(name: string, node: ASTNode): void {
  if (!IN_MACROS.has(name)) throw new Unwanted(`${name}() cannot stand inside a macro: it would be done for each entry`, node);
}

const isKeyed = (name: string): name is Keyed => KEYED.some((each) => each === name);

/** A variable, something in it, or a list written out. */
function isAsItCame(node: ASTNode): boolean {
  if (node.op === "." || node.op === "[]") return isAsItCame(node.args[0]);
  return node.op === "id" || node.op === "list";
}

/** The variable in which a value stands; null when it is computed. */
function rootOf(node: ASTNode): string | null {
  if (node.op === "." || node.op === "[]") return rootOf(node.args[0]);
  return node.op === "id" ? node.args : null;
}

function childrenOf(args: unknown): readonly ASTNode[] {
  if (Array.isArray(args)) return args.flatMap(childrenOf);
  // By the library's types, what has an operator is a node.
  return typeof args === "object" && args !== null && "op" in args ? [args as ASTNode] : [];
}

type Facts = Record<string, unknown>;
/** Puts one variable's value where the expression finds it. */
type Fact = (facts: Facts, x: Exchange, nowMs: number) => void;

const SIMPLE: Readonly<Record<string, (x: Exchange, nowMs: number) => unknown>> = {
  host: (x) => x.host,
  method: (x) => x.method,
  route: (x) => x.route?.name ?? "",
  scheme: (x) => x.clientInfo().scheme,
  client: (x) => new Client(x.clientInfo().ip),
  request: (x, nowMs) => new RequestFacts(x.path, new Date(nowMs)),
};

const ENTRY: Readonly<Record<Keyed, (x: Exchange, name: string) => string | undefined>> = {
  path: (x, name) => decodedPath(x.param(name) ?? ""),
  query: singleQueryValue,
  header: (x, name) => utf8(singleHeaderValue(x, name) ?? "") || undefined,
};

class CompiledExpression implements Expression {
  readonly needsIdentity: boolean;
  readonly pathNames: readonly string[];
  readonly #run: ParseResult;
  readonly #readsCaller: boolean;
  /** Only what the expression names. */
  readonly #facts: readonly Fact[];

  constructor(run: ParseResult, { names, keys }: Uses) {
    this.#run = run;
    this.#readsCaller = names.has("consumer");
    this.needsIdentity = this.#readsCaller || names.has("claims");
    this.pathNames = [...keys.path];
    this.#facts = [
      ...Object.entries(SIMPLE).flatMap(([name, value]): Fact[] =>
        names.has(name) ? [(facts, x, nowMs) => void (facts[name] = value(x, nowMs))] : [],
      ),
      ...KEYED.flatMap((map) => (keys[map].size === 0 ? [] : [entriesFact(map, [...keys[map]])])),
    ];
  }

  holds(x: Exchange, nowMs: number): boolean | null {
    const facts: Facts = {};
    if (this.needsIdentity) {
      if (x.identity === null || !isBounded(x.identity)) return null;
      if (this.#readsCaller && x.identity.partial) return null; // `!("banned" in consumer.groups)` must not hold because a name was left out
      facts["consumer"] = callerOf(x.identity);
      facts["claims"] = x.identity.claims ?? NO_CLAIMS;
    }
    for (const fact of this.#facts) fact(facts, x, nowMs);
    try {
      const result: unknown = this.#run(facts);
      return typeof result === "boolean" ? result : null;
    } catch {
      return null; // a missing claim or header, types that do not fit: a no
    }
  }
}

const NO_CLAIMS = {};

function entriesFact(map: Keyed, names: readonly string[]): Fact {
  const value = ENTRY[map];
  return (facts, x) => {
    const found: Record<string, string> = {};
    for (const name of names) {
      const each = value(x, name);
      if (each !== undefined) found[name] = each;
    }
    facts[map] = found;
  };
}

/** Identities live in caches, so what is worked out about one is kept with it. */
const callers = new WeakMap<Identity, Caller>();
const bounded = new WeakMap<Identity, boolean>();

function callerOf(identity: Identity): Caller {
  let caller = callers.get(identity);
  if (caller === undefined) callers.set(identity, (caller = new Caller(identity)));
  return caller;
}

function isBounded(identity: Identity): boolean {
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
