// Owns the templates of aggregated requests: those of template.ts, and beside them what other legs have answered and the item of a list that is asked for.
// A value that is not there, or that could leave its place, gives null: nobody is asked for something else instead. Templates elsewhere pay nothing for it.
import { type JsonPath, jsonAt, parseJsonPath, scalarText } from "../../base/exact-json.ts";
import { isToken } from "../../base/http.ts";
import type { RequestView } from "./request-view.ts";
import { literalVariable, requestVariable, type Variable } from "./template.ts";
import { asHeader, asPath, asQuery, asText, splitChoice, splitTemplate } from "./template-text.ts";

/** What legs have answered, by their place in the declared order. */
export interface LegAnswers {
  /** The whole JSON of an answer; a list of them for a leg with `forEach`. */
  json(leg: number): unknown;
  /** First value of a header, a byte string; undefined for none. @param name lowercase */
  header(leg: number, name: string): string | undefined;
}

/** Names that a template of a leg may use. */
export interface LegNames {
  readonly params: readonly string[];
  /** All legs, in the declared order. */
  readonly legs: readonly string[];
  /** Those that ask for each item of a list: they have many heads, so that none of their headers can be meant. */
  readonly lists: ReadonlySet<string>;
  /** The leg itself asks for each item. */
  readonly hasItem: boolean;
}

type OneVariable =
  | { readonly kind: "request"; readonly name: string; readonly variable: Variable }
  | { readonly kind: "json"; readonly name: string; readonly leg: number; readonly path: JsonPath }
  | { readonly kind: "header"; readonly name: string; readonly leg: number; readonly header: string }
  | { readonly kind: "item"; readonly name: string; readonly path: JsonPath };
/** @property of the first of them that has a value counts, or the last; two or more */
type Choice = { readonly kind: "choice"; readonly name: string; readonly of: readonly [OneVariable, ...OneVariable[]] };
type LegVariable = OneVariable | Choice;

type Parts = readonly (string | LegVariable)[];
type Failure = { readonly error: string };

/** What is rendered: the client's request, what legs have answered, the item. */
export interface LegContext {
  readonly x: RequestView;
  readonly answers: LegAnswers;
  readonly item: unknown;
}

/**
 * `{legs.NAME.json.PATH}`, `{legs.NAME.header.NAME}`, `{item}` and `{item.PATH}`, and the variables of compileTemplate. PATH is dotted, or a JSON Pointer.
 * `{a ?? b ?? 'text'}` is the first that is there and not empty; a leg that has failed gives nothing.
 */
export function compileLegTemplate(text: string, names: LegNames): LegTemplate | Failure {
  const parts = splitTemplate(text, (between) => legChoice(between, names));
  return "error" in parts ? parts : new LegTemplate(parts);
}

/** One variable and nothing else, the braces may be left out: the list of `forEach`. */
export function compileLegValue(text: string, names: LegNames): LegTemplate | Failure {
  const template = compileLegTemplate(text.startsWith("{") ? text : `{${text}}`, names);
  if ("error" in template) return template;
  return template.isJson ? template : { error: "expected the list of another leg, such as {legs.orders.json.items}" };
}

function legChoice(text: string, names: LegNames): LegVariable | Failure {
  const alternatives = splitChoice(text);
  if ("error" in alternatives) return alternatives;
  const of: OneVariable[] = [];
  for (const { name, literal } of alternatives) {
    const one: OneVariable | Failure =
      literal === undefined ? legVariable(name, names) : { kind: "request", name, variable: literalVariable(literal) };
    if ("error" in one) return one;
    of.push(one);
  }
  const [first, ...others] = of;
  if (first === undefined) return { error: `{${text}} is empty` };
  return others.length === 0 ? first : { kind: "choice", name: text, of: [first, ...others] };
}

function legVariable(name: string, names: LegNames): OneVariable | Failure {
  if (name === "item" || name.startsWith("item.") || name.startsWith("item/")) {
    if (names.hasItem) return itemVariable(name);
    if (name !== "item" || !names.params.includes(name)) return { error: `{${name}}: only a leg with \`forEach\` has items` };
  }
  if (name.startsWith("legs.")) return ofLeg(name, names);
  const variable = requestVariable(name, names.params);
  return "error" in variable ? variable : { kind: "request", name, variable };
}

function itemVariable(name: string): OneVariable | Failure {
  const path = parseJsonPath(name[4] === "/" ? name.slice(4) : name.slice(5));
  return "error" in path ? { error: `{${name}}: ${path.error}` } : { kind: "item", name, path };
}

function ofLeg(name: string, { legs, lists }: LegNames): OneVariable | Failure {
  const [, legName = "", what, dotted, rest = ""] = /^legs\.([^./]+)\.(json|header)(?:([./])(.+))?$/s.exec(name) ?? [];
  if (what === undefined) return { error: `{${name}}: expected {legs.NAME.json.PATH} or {legs.NAME.header.NAME}` };
  const leg = legs.indexOf(legName);
  if (leg < 0) return { error: `{${name}}: there is no leg ${legName} (legs: ${legs.join(", ")})` };
  if (what === "header") {
    const header = rest.toLowerCase();
    if (!isToken(header)) return { error: `{${name}}: '${rest}' is no header name` };
    return lists.has(legName)
      ? { error: `{${name}}: ${legName} asks for each item of a list, so that it has many answers' headers` }
      : { kind: "header", name, leg, header };
  }
  const path = parseJsonPath(dotted === "/" ? `/${rest}` : rest);
  return "error" in path ? { error: `{${name}}: ${path.error}` } : { kind: "json", name, leg, path };
}

export class LegTemplate {
  /** The whole output when there are no variables; null when there are. */
  readonly constant: string | null;
  /** Legs that must have ended, each once. */
  readonly legs: readonly number[];
  /** Those of them that must have answered: nothing stands in for what is wanted of them. */
  readonly sources: readonly number[];
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
    const constant = parts.every((part) => typeof part === "string");
    this.constant = constant ? parts.join("") : null;
    this.legs = [...new Set(parts.flatMap(legsOf))];
    this.sources = [...new Set(parts.flatMap((part) => (typeof part !== "string" && part.kind === "choice" ? [] : legsOf(part))))];
  }

  /** Nothing in it comes from a service. */
  get isOfRequest(): boolean {
    return this.#parts.every((part) => typeof part === "string" || alternativesOf(part).every(({ kind }) => kind === "request"));
  }

  /** It is one value of another leg's JSON, or a choice of such, and nothing else. */
  get isJson(): boolean {
    const [only] = this.#parts;
    return this.#parts.length === 1 && typeof only === "object" && alternativesOf(only).every(({ kind }) => kind === "json");
  }

  /** The JSON value, for a template that is one variable and nothing else (a request's values are text); a text else. @returns undefined when there is nothing */
  renderJson(context: LegContext): unknown {
    const [only] = this.#parts;
    if (this.#parts.length === 1 && typeof only === "object") {
      const one = only.kind === "choice" ? chosen(only, (each) => isValue(jsonValue(each, context))) : only;
      return jsonValue(one, context);
    }
    return this.#render(context, TEXT) ?? undefined;
  }

  /** As part of a path: see Template.renderPath; it still needs normalising. @returns null when a value is not there or could become a dot segment */
  renderPath(context: LegContext): string | null {
    return this.#render(context, PATH);
  }

  /** As part of a query: see Template.renderQuery. @returns null when a value of a leg is not there */
  renderQuery(context: LegContext): string | null {
    return this.#render(context, QUERY);
  }

  /** As a field value: see Template.renderHeader. @returns null when a value of a leg is not there, or has CR, LF or another control character */
  renderHeader(context: LegContext): string | null {
    return this.#render(context, HEADER);
  }

  /** After a rendering gave null: whose value it was, and which. */
  fault(context: LegContext): { readonly client: boolean; readonly detail: string } {
    for (const part of this.#parts) {
      if (typeof part === "string") continue;
      const one = part.kind === "choice" ? chosen(part, (each) => isValue(textValue(each, context))) : part;
      if (one.kind === "request") {
        if (asPath(one.variable.value(context.x), one.variable.spelling) === null)
          return { client: true, detail: `{${part.name}} has no value that may stand in a path` };
      } else if (legValue(one, context) === null) return { client: false, detail: `{${part.name}} has no value` };
    }
    return { client: false, detail: "a value of another leg may not stand here" };
  }

  #render(context: LegContext, { literal, request, leg }: Place): string | null {
    let out = "";
    for (const part of this.#parts) {
      let spelt: string | null;
      if (typeof part === "string") spelt = literal(part, "text");
      else {
        const one = part.kind === "choice" ? chosen(part, (each) => isValue(textValue(each, context))) : part;
        if (one.kind === "request") spelt = request(one.variable.value(context.x), one.variable.spelling);
        else {
          const value = legValue(one, context);
          spelt = value === null ? null : leg(value, one.kind === "header" ? "bytes" : "text");
        }
      }
      if (spelt === null) return null;
      out += spelt;
    }
    return out;
  }
}

type Spell = (value: string, spelling: Variable["spelling"]) => string | null;

/** Where a text goes, and what is done there to its parts. */
interface Place {
  readonly literal: Spell;
  readonly request: Spell;
  readonly leg: Spell;
}

const asWritten: Spell = (value) => value;
const TEXT: Place = { literal: asWritten, request: asText, leg: asText };
const PATH: Place = { literal: asWritten, request: asPath, leg: (value, spelling) => (value === "" ? null : asPath(value, spelling)) };
const QUERY: Place = { literal: asWritten, request: asQuery, leg: asQuery };
const HEADER: Place = {
  literal: asHeader,
  request: asHeader,
  leg: (value, spelling) => {
    const bytes = asHeader(value, spelling);
    return bytes === "" && value !== "" ? null : bytes;
  },
};

const alternativesOf = (variable: LegVariable): readonly OneVariable[] => (variable.kind === "choice" ? variable.of : [variable]);

const legsOf = (part: string | LegVariable): readonly number[] =>
  typeof part === "string" ? [] : alternativesOf(part).flatMap((each) => ("leg" in each ? [each.leg] : []));

/** The first of a choice that has a value, or the last. */
function chosen({ of }: Choice, hasValue: (variable: OneVariable) => boolean): OneVariable {
  for (const each of of) if (hasValue(each)) return each;
  return of.at(-1) ?? of[0];
}

/** Anything but nothing and the empty text, which is what a header that was not sent reads as. */
const isValue = (value: unknown): boolean => value !== undefined && value !== null && value !== "";

const textValue = (variable: OneVariable, context: LegContext): string | null =>
  variable.kind === "request" ? variable.variable.value(context.x) : legValue(variable, context);

/** What a variable alone is in JSON. @returns undefined when there is nothing */
function jsonValue(variable: OneVariable, context: LegContext): unknown {
  switch (variable.kind) {
    case "json":
      return jsonAt(context.answers.json(variable.leg), variable.path);
    case "item":
      return jsonAt(context.item, variable.path);
    case "request":
      return asText(variable.variable.value(context.x), variable.variable.spelling);
    case "header": {
      const value = legValue(variable, context);
      return value === null ? undefined : asText(value, "bytes");
    }
  }
}

/** @returns null when the leg gave none that has one text */
function legValue(part: Exclude<OneVariable, { readonly kind: "request" }>, { answers, item }: LegContext): string | null {
  switch (part.kind) {
    case "json":
      return scalarText(jsonAt(answers.json(part.leg), part.path));
    case "header":
      return answers.header(part.leg, part.header) ?? null;
    case "item":
      return scalarText(jsonAt(item, part.path));
  }
}
