// Owns conditions: the part of CEL (Common Expression Language) that a configuration may use, its bounds, and its evaluation. With uses.ts the only importer
// of the CEL library, and loaded by load-expression.ts when a configuration has a condition. Must never answer anything but yes, no, or that it cannot say.
//
// Bounds. Text and tree are limited; regular expressions are of the linear kind; no functions that make lists or longer texts; a macro (all, exists, exists_one) stands in
// no other, and what it walks is a list as it came, of at most LIST_MAX (facts.ts) entries: a longer one anywhere in the claims cannot be evaluated. So an evaluation looks at
// no more than NODES_MAX x LIST_MAX nodes, and NESTED_LOOKUPS_MAX (uses.ts) x LIST_MAX x LIST_MAX entries.
import { Environment, type ParseResult } from "@marcbachmann/cel-js";
import { LinearRegex } from "../../../base/linear-regex.ts";
import type { Expression, ExpressionProblem, ExpressionView, ResponseView, Sees } from "./expression-view.ts";
import { Caller, Client, callerOf, type Fact, type Facts, factsOf, isBounded, NO_CLAIMS, RequestFacts, ResponseFacts } from "./facts.ts";
import { LINEAR_MATCHES, Unwanted, Uses } from "./uses.ts";

const NODES_MAX = 200;
const DEPTH_MAX = 24;
const LITERAL_ENTRIES_MAX = 100;

const LISTS = { scopes: "list<string>", roles: "list<string>", groups: "list<string>" };

const environment = new Environment({
  limits: { maxAstNodes: NODES_MAX, maxDepth: DEPTH_MAX, maxListElements: LITERAL_ENTRIES_MAX, maxMapEntries: 1, maxCallArguments: 3 },
})
  .registerType("Caller", { ctor: Caller, fields: { id: "string", tier: "string", authenticator: "string", ...LISTS } })
  .registerType("Client", { ctor: Client, fields: { ip: "string" } })
  .registerType("Request", { ctor: RequestFacts, fields: { path: "string", time: "google.protobuf.Timestamp" } })
  .registerType("Response", { ctor: ResponseFacts, fields: { status: "int", header: "map<string, string>" } })
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
  .registerVariable("request", "Request")
  .registerVariable("response", "Response");

/** What a condition may name. */
const VARIABLES = "consumer, claims, path, query, header, host, method, scheme, client.ip, request.path, request.time, route";

/** Checks a condition and makes it ready. Never throws. @param sees what is there when it is looked at */
export function compileExpression(text: string, sees: Sees): Expression | ExpressionProblem {
  try {
    const parsed = environment.parse(text);
    const uses = new Uses(sees);
    uses.look(parsed.ast, null);
    const { valid, type = "", error } = parsed.check();
    if (!valid) return problemOf(error, sees);
    if (type !== "bool" && type !== "dyn")
      return {
        error: `it is no condition: it gives ${type}, not true or false`,
        remedy: "compare it with something, as in `x == 1`",
        at: 0,
      };
    return new CompiledExpression(parsed, uses);
  } catch (error) {
    return error instanceof Unwanted ? { error: error.message, remedy: "", at: error.at } : problemOf(error, sees);
  }
}

/** The library's errors carry a range and a summary; their message draws a picture, which fits no log line. */
function problemOf(error: unknown, sees: Sees): ExpressionProblem {
  const range =
    typeof error === "object" && error !== null && "range" in error ? (error.range as { readonly start?: number } | undefined) : undefined;
  const summary = typeof error === "object" && error !== null && "summary" in error ? String(error.summary) : String(error);
  return { error: summary, remedy: remedyFor(summary, sees), at: range?.start === undefined ? 0 : range.start + 1 };
}

function remedyFor(summary: string, sees: Sees): string {
  if (summary.startsWith("Unknown variable"))
    return `known: ${VARIABLES}${sees === "response" ? ", response.status, response.header" : ""}`;
  if (summary.startsWith("no such overload")) return "compare values of one kind, or convert one: `int(...)`, `string(...)`";
  if (summary.startsWith("Unexpected")) return 'write a condition in CEL, such as `method == "GET" && header["x-tier"] == "gold"`';
  return "";
}

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
    this.#facts = factsOf(names, keys);
  }

  holds(x: ExpressionView, nowMs: number, response?: ResponseView): boolean | null {
    const facts: Facts = {};
    if (this.needsIdentity) {
      if (x.identity === null || !isBounded(x.identity)) return null;
      if (this.#readsCaller && x.identity.partial) return null; // `!("banned" in consumer.groups)` must not hold because a name was left out
      facts["consumer"] = callerOf(x.identity);
      facts["claims"] = x.identity.claims ?? NO_CLAIMS;
    }
    const sight = { x, nowMs, response };
    try {
      for (const fact of this.#facts) fact(facts, sight);
      const result: unknown = this.#run(facts);
      return typeof result === "boolean" ? result : null;
    } catch {
      return null; // a missing claim or header, types that do not fit
    }
  }
}
