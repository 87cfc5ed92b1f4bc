// Owns writing a JSON Schema without repetition: what stands in it several times becomes a definition, and references to it. Pure. Must never change what
// the schema accepts.

/** A JSON Schema node. */
type Schema = Readonly<Record<string, unknown>>;

/** Shorter parts are repeated: a reference would say less than they do (characters of JSON). */
const PART_CHARS_MIN = 64;

/** Keywords that hold a schema, a list of them, and schemas by name. */
const ONE: readonly string[] = ["items", "additionalProperties", "not"];
const SEVERAL: readonly string[] = ["anyOf", "allOf", "oneOf"];
const BY_NAME: readonly string[] = ["properties", "patternProperties", "definitions"];

/** @returns a schema that says the same, with `definitions`. As draft 7 reads nothing beside `$ref`, only parts that are equal in every word are shared. */
export function withSharedDefinitions(root: Schema): Schema {
  const sharing = new Sharing(root);
  const { definitions: own = {}, ...rest } = root;
  const written = sharing.inside(rest, "") as Schema; // an object stays one
  const kept = Object.entries(own as Readonly<Record<string, Schema>>).map(([name, each]) => [name, sharing.inside(each, name)]); // by the keyword's meaning
  return { ...written, definitions: { ...Object.fromEntries(kept), ...sharing.definitions } };
}

class Sharing {
  readonly definitions: Record<string, unknown> = {};
  /** JSON of a part -> how often it stands there. */
  readonly #counts = new Map<string, number>();
  readonly #names = new Map<string, string>();
  /** JSON of nodes is needed again and again. */
  readonly #texts = new Map<object, string>();

  constructor(root: Schema) {
    this.#count(root);
  }

  /** What stands in a part that is repeated is counted with its first occurrence only: alone it would have no reason. */
  #count(part: unknown): void {
    if (typeof part !== "object" || part === null) return;
    const text = this.#textOf(part);
    const count = (this.#counts.get(text) ?? 0) + 1;
    this.#counts.set(text, count);
    if (count === 1) for (const [, child] of childrenOf(part as Schema)) this.#count(child);
  }

  /** @param name of the key that it stands under */
  #written(part: unknown, name: string): unknown {
    if (typeof part !== "object" || part === null) return part;
    const text = this.#textOf(part);
    if (text.length < PART_CHARS_MIN || (this.#counts.get(text) ?? 0) < 2) return this.inside(part as Schema, name);
    let definition = this.#names.get(text);
    if (definition === undefined) {
      definition = this.#free(name);
      this.#names.set(text, definition);
      this.definitions[definition] = null; // keeps the name, and the place before what stands in it
      this.definitions[definition] = this.inside(part as Schema, name);
    }
    return { $ref: `#/definitions/${definition}` };
  }

  /** A part itself, with references in it. */
  inside(part: Schema, name: string): unknown {
    const result: Record<string, unknown> = {};
    for (const [keyword, value] of Object.entries(part)) {
      if (ONE.includes(keyword)) result[keyword] = this.#written(value, name);
      else if (SEVERAL.includes(keyword)) result[keyword] = (value as readonly unknown[]).map((each) => this.#written(each, name));
      else if (BY_NAME.includes(keyword))
        result[keyword] = Object.fromEntries(Object.entries(value as object).map(([key, each]) => [key, this.#written(each, key)]));
      else result[keyword] = value;
    }
    return result;
  }

  /** Names come from keys, which are words; patterns of keys are none. */
  #free(name: string): string {
    const stem = /^[A-Za-z][\w-]*$/.test(name) ? name : "part";
    let free = stem;
    for (let i = 2; Object.hasOwn(this.definitions, free); i++) free = `${stem}-${i}`;
    return free;
  }

  #textOf(part: object): string {
    let text = this.#texts.get(part);
    if (text === undefined) {
      text = JSON.stringify(part);
      this.#texts.set(part, text);
    }
    return text;
  }
}

function* childrenOf(schema: Schema): Generator<readonly [keyword: string, child: unknown]> {
  for (const keyword of ONE) if (schema[keyword] !== undefined) yield [keyword, schema[keyword]];
  for (const keyword of SEVERAL) for (const child of (schema[keyword] ?? []) as readonly unknown[]) yield [keyword, child]; // lists by the keywords' meaning
  for (const keyword of BY_NAME) for (const child of Object.values((schema[keyword] ?? {}) as object)) yield [keyword, child];
}
