// Owns the templates of the configuration (`/v2/{id}`, `{header.x-tenant}`): compiled at load, rendered per request.
// Each rendering knows where its text goes and makes client-sent values harmless there.

import { isToken } from "../../base/http.ts";
import { claimAt } from "./claim.ts";
import { REST_PARAM } from "./pattern.ts";
import { singleHeaderValue, singleQueryValue } from "./request/single-value.ts";
import type { RequestView } from "./request-view.ts";
import { asHeader, asPath, asQuery, asText, type Spelling, splitChoice, splitTemplate } from "./template-text.ts";

export interface Variable {
  readonly spelling: Spelling;
  /** @returns '' when the exchange has no such value */
  value(x: RequestView): string;
  /** What stands in for it where it has no value. */
  readonly otherwise?: Variable;
}

/** Text with variables, ready to render. */
export interface Template {
  /** As written. */
  readonly text: string;
  /** The whole output when there are no variables; null when there are. */
  readonly constant: string | null;
  /** As Unicode text: path parameters are percent-decoded, headers read as UTF-8. For bodies; safe nowhere else. */
  render(x: RequestView): string;
  /**
   * As part of a path or URL: values are percent-encoded (`/` in them too), path parameters stay encoded as they came, `**` keeps its slashes.
   * What comes out still needs normalisePath before it goes upstream.
   * @returns null when a value consists of dots only and could become a dot segment, or is to come from the caller's identity and is not there: refuse
   * the request with `bad_path`
   */
  renderPath(x: RequestView): string | null;
  /** As part of a query or fragment: every value, path parameters too, is percent-encoded, so that none can add or end a query parameter. */
  renderQuery(x: RequestView): string;
  /** As a field value, a byte string: Unicode as UTF-8 bytes, path parameters percent-decoded. A value with CR, LF or another control character renders as ''. */
  renderHeader(x: RequestView): string;
}

/**
 * `{name}` or `{path.name}` (`{**}` for the rest) give path parameters; `{query.name}`, `{header.name}`, `{host}`, `{method}`, `{request.id}`, `{request.path}`,
 * `{client.ip}`, `{scheme}` and `{route}` the rest; `{consumer.id}`, `{consumer.tier}` and `{claims.NAME}` (dotted) what is proven of the caller, '' for nobody. `{a ?? b ?? 'text'}` is the first that has a value. A parameter's own name wins over these. `{{` and `}}` stand for braces.
 * @param paramNames those of the route's pattern
 */
export function compileTemplate(text: string, paramNames: readonly string[]): Template | { readonly error: string } {
  const parts = splitTemplate(text, (name) => choiceOf(name, paramNames));
  return "error" in parts ? parts : new CompiledTemplate(text, parts);
}

function choiceOf(text: string, paramNames: readonly string[]): Variable | { readonly error: string } {
  const alternatives = splitChoice(text);
  if ("error" in alternatives) return alternatives;
  let choice: Variable | undefined;
  for (const each of alternatives.toReversed()) {
    const variable = each.literal === undefined ? requestVariable(each.name, paramNames) : literalVariable(each.literal);
    if ("error" in variable) return variable;
    choice = choice === undefined ? variable : { ...variable, otherwise: choice };
  }
  return choice ?? { error: `{${text}} is empty` };
}

/** The last of a choice. */
export const literalVariable = (text: string): Variable => ({ spelling: "text", value: () => text });

/** The variable of a choice that has a value, or the last. */
function chosen(variable: Variable, x: RequestView): Variable {
  let each = variable;
  while (each.otherwise !== undefined && each.value(x) === "") each = each.otherwise;
  return each;
}

function valueIn<T>(x: RequestView, variable: Variable, as: (value: string, spelling: Spelling) => T): T {
  const { value, spelling } = variable.otherwise === undefined ? variable : chosen(variable, x);
  return as(value(x), spelling);
}

/** What a name between braces stands for, of the request itself. */
export function requestVariable(name: string, paramNames: readonly string[]): Variable | { readonly error: string } {
  const bare = paramNames.indexOf(name);
  if (bare >= 0) return parameter(bare);
  if (name.startsWith("path.")) {
    const index = paramNames.indexOf(name.slice("path.".length));
    return index >= 0 ? parameter(index) : { error: `{${name}}: the route's path has no such parameter${known(paramNames)}` };
  }
  if (name.startsWith("query.") && name.length > 6) {
    const key = name.slice(6);
    return { spelling: "text", value: (x) => singleQueryValue(x, key) ?? "" };
  }
  if (name.startsWith("header.")) {
    const key = name.slice(7).toLowerCase();
    return isToken(key)
      ? { spelling: "bytes", value: (x) => singleHeaderValue(x, key) ?? "" }
      : { error: `{${name}}: '${key}' is no header name` };
  }
  if (name.startsWith("claims.") && name.length > 7) {
    const claim = name.slice(7);
    return { spelling: "identity", value: (x) => claimText(claimAt(x.identity?.claims, claim)) };
  }
  const builtIn = Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name] : undefined;
  return builtIn ?? { error: `{${name}} is unknown${known(paramNames)}; write '{{' for a brace` };
}

/** Lists and maps have no one text: ''. */
const claimText = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";

/** The value by index: routes hold params in pattern order. */
const parameter = (index: number): Variable => ({ spelling: "path", value: (x) => x.params[index] ?? "" });

function known(paramNames: readonly string[]): string {
  const names = [
    ...paramNames.map((name) => (name === REST_PARAM ? "**" : name)),
    "query.NAME",
    "header.NAME",
    "claims.NAME",
    ...Object.keys(BUILT_IN),
  ];
  return ` (known: ${names.join(", ")})`;
}

const BUILT_IN: Readonly<Record<string, Variable>> = {
  host: { spelling: "safe", value: (x) => x.host },
  method: { spelling: "safe", value: (x) => x.method },
  scheme: { spelling: "safe", value: (x) => x.clientInfo().scheme },
  route: { spelling: "safe", value: (x) => x.route?.name ?? "" },
  "request.id": { spelling: "text", value: (x) => x.requestId },
  "request.path": { spelling: "path", value: (x) => x.path },
  "consumer.id": { spelling: "identity", value: (x) => x.identity?.consumer ?? "" },
  "consumer.tier": { spelling: "identity", value: (x) => x.identity?.tier ?? "" },
  "client.ip": { spelling: "safe", value: (x) => x.clientInfo().ip },
};

/** What templates know besides path parameters and `query.`, `header.` and `claims.` with a name behind. */
export const TEMPLATE_VARIABLES: readonly string[] = Object.keys(BUILT_IN);

class CompiledTemplate implements Template {
  readonly text: string;
  readonly constant: string | null;
  readonly #parts: readonly (string | Variable)[];

  constructor(text: string, parts: readonly (string | Variable)[]) {
    this.text = text;
    this.#parts = parts;
    const constant = parts.every((part) => typeof part === "string") ? parts.join("") : null;
    this.constant = constant;
  }

  render(x: RequestView): string {
    if (this.constant !== null) return this.constant;
    let out = "";
    for (const part of this.#parts) out += typeof part === "string" ? part : valueIn(x, part, asText);
    return out;
  }

  renderPath(x: RequestView): string | null {
    if (this.constant !== null) return this.constant;
    let out = "";
    for (const part of this.#parts) {
      if (typeof part === "string") out += part;
      else {
        const value = valueIn(x, part, asPath);
        if (value === null) return null;
        out += value;
      }
    }
    return out;
  }

  renderQuery(x: RequestView): string {
    if (this.constant !== null) return this.constant;
    let out = "";
    for (const part of this.#parts) out += typeof part === "string" ? part : valueIn(x, part, asQuery);
    return out;
  }

  renderHeader(x: RequestView): string {
    if (this.constant !== null) return asHeader(this.constant, "text");
    let out = "";
    for (const part of this.#parts) out += typeof part === "string" ? asHeader(part, "text") : valueIn(x, part, asHeader);
    return out;
  }
}
