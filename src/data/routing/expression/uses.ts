// Owns which part of CEL a condition may use: a walk over its tree refuses what has no bound, and finds what must be read of a request or response.
// Must never evaluate anything.
import type { ASTNode } from "@marcbachmann/cel-js";
import { compileRegex } from "../../../base/linear-regex.ts";
import type { Sees } from "./expression-view.ts";

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
const RESPONSE = "response";
const RESPONSE_HEADER = "response.header";
/** Of which only named entries are looked up, so that nothing else need be read. */
export const KEYED = ["path", "query", "header", RESPONSE_HEADER] as const;
export type Keyed = (typeof KEYED)[number];

/** The name under which `matches` is evaluated: the library's own is JavaScript's RegExp, which may take exponential time, and cannot be replaced. */
export const LINEAR_MATCHES = "matchesLinear";
/** Look-ups in a list (`x in claims.groups`) inside macros: each costs LIST_MAX squared. */
const NESTED_LOOKUPS_MAX = 2;

/** What a condition may not have, and where. */
export class Unwanted extends Error {
  readonly at: number;
  constructor(message: string, node: ASTNode) {
    super(message);
    this.at = node.start + 1;
  }
}

/** Walks a tree: refuses what has no bound, and finds what must be read of a request and response. */
export class Uses {
  readonly keys: Readonly<Record<Keyed, Set<string>>> = {
    path: new Set(),
    query: new Set(),
    header: new Set(),
    [RESPONSE_HEADER]: new Set(),
  };
  /** Variables; `response` with what is read of it behind a dot. */
  readonly names = new Set<string>();
  readonly #sees: Sees;
  #nestedLookups = 0;

  constructor(sees: Sees) {
    this.#sees = sees;
  }

  /** @throws Unwanted */

  look(node: ASTNode, macro: string | null): void {
    switch (node.op) {
      case "value":
        return;
      case "id":
        if (isKeyed(node.args)) throw new Unwanted(`name the entry: ${node.args}["..."]`, node);
        if (node.args === RESPONSE) throw this.#ofResponse(node);
        this.names.add(node.args);
        return;
      case ".":
        if (this.#entry(node.args[0], node.args[1]) || this.#response(node)) return;
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

  /** Whether this is an entry of path, query, header or response.header by its literal name; then it is noted. */
  #entry(map: ASTNode, key: string | ASTNode): boolean {
    const keyed = keyedOf(map);
    if (keyed === null) return false;
    const name = typeof key === "string" ? key : key.op === "value" && typeof key.args === "string" ? key.args : null;
    if (name === null) throw new Unwanted(`name the entry by a text: ${keyed}["..."]`, map);
    if (keyed !== "path" && keyed !== "query" && name !== name.toLowerCase())
      throw new Unwanted(`write the header's name in lower case: ${name.toLowerCase()}`, map);
    if (keyed === RESPONSE_HEADER && this.#sees !== RESPONSE) throw this.#ofResponse(map);
    this.keys[keyed].add(name);
    return true;
  }

  /** Whether this is something of the response; then it is noted. */
  #response(node: Extract<ASTNode, { op: "." }>): boolean {
    const [of, name] = node.args;
    if (of.op !== "id" || of.args !== RESPONSE) return false;
    if (this.#sees !== RESPONSE || name !== "status") throw this.#ofResponse(node);
    this.names.add(`${RESPONSE}.${name}`);
    return true;
  }

  #ofResponse(node: ASTNode): Unwanted {
    return new Unwanted(
      this.#sees === RESPONSE
        ? `name what is read of the response: ${RESPONSE}.status or ${RESPONSE_HEADER}["..."]`
        : "there is no response yet when this is decided: only conditions on changes of responses may read one",
      node,
    );
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

/** Which of the maps a node is; null for none. */
function keyedOf(node: ASTNode): Keyed | null {
  if (node.op === "id") return isKeyed(node.args) ? node.args : null;
  return node.op === "." && node.args[0].op === "id" && node.args[0].args === RESPONSE && node.args[1] === "header"
    ? RESPONSE_HEADER
    : null;
}

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
