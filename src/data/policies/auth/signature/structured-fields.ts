// Owns reading the structured fields (RFC 9651) that message signatures are written in: dictionaries of inner lists of texts, and of bytes.
// Stricter than the RFC where two readers may differ: a key given twice is refused. Must never throw.

/** Members, keys and parameters of one field: more is no signature. */
const MEMBERS_MAX = 8;
const ITEMS_MAX = 32;
const PARAMETERS_MAX = 16;

export type Parameter = string | number;

/** An inner list of texts with its parameters, in their order. */
export interface SignatureInput {
  readonly components: readonly string[];
  readonly parameters: ReadonlyMap<string, Parameter>;
}

/** @returns label -> covered components; null when it is not exactly that. Components with parameters are not supported, and refused. */
export const parseSignatureInputs = (text: string): ReadonlyMap<string, SignatureInput> | null =>
  new Reader(text).dictionary((r) => r.innerList());

/** @returns key -> bytes; null when it is not exactly that. */
export const parseByteSequences = (text: string): ReadonlyMap<string, Buffer> | null => new Reader(text).dictionary((r) => r.bytes());

/** RFC 9651 section 4.1: the one way to write an inner list. */
export function serialiseInput({ components, parameters }: SignatureInput): string {
  let text = `(${components.map(quote).join(" ")})`;
  for (const [key, value] of parameters) text += `;${key}=${typeof value === "number" ? value : quote(value)}`;
  return text;
}

const quote = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;

/** Every method leaves the position behind what it read; null or false when that is something else. */
class Reader {
  private readonly text: string;
  private at = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** RFC 9651 section 4.2.2. */
  dictionary<T>(member: (reader: Reader) => T | null): ReadonlyMap<string, T> | null {
    const members = new Map<string, T>();
    this.match(/ */y);
    do {
      const key = this.match(KEY);
      if (key === null || this.match(/=/y) === null) return null;
      const value = member(this);
      if (value === null || members.has(key) || members.size === MEMBERS_MAX) return null;
      members.set(key, value);
    } while (this.match(/[ \t]*,[ \t]*/y) !== null);
    this.match(/ */y);
    return this.at === this.text.length ? members : null;
  }

  /** Section 4.2.1.2. */
  innerList(): SignatureInput | null {
    if (this.match(/\( */y) === null) return null;
    const components: string[] = [];
    while (this.match(/\)/y) === null) {
      const text = this.string();
      // Between items stands a blank, and an item's parameters would stand here.
      if (text === null || components.length === ITEMS_MAX || this.match(/ +|(?=\))/y) === null) return null;
      components.push(text);
    }
    const parameters = this.parameters();
    return parameters === null ? null : { components, parameters };
  }

  private parameters(): ReadonlyMap<string, Parameter> | null {
    const parameters = new Map<string, Parameter>();
    while (this.match(/; */y) !== null) {
      const key = this.match(KEY);
      if (key === null || this.match(/=/y) === null || parameters.has(key) || parameters.size === PARAMETERS_MAX) return null;
      const number = this.match(/-?\d{1,15}(?![\d.])/y);
      const value = number === null ? this.string() : Number(number);
      if (value === null) return null;
      parameters.set(key, value);
    }
    return parameters;
  }

  /** Section 4.2.5. */
  private string(): string | null {
    const quoted = this.match(/"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/y);
    return quoted === null ? null : quoted.slice(1, -1).replace(/\\(["\\])/g, "$1");
  }

  /** Section 4.2.7. One sequence of bytes has one spelling here. */
  bytes(): Buffer | null {
    const wrapped = this.match(/:[A-Za-z0-9+/]*={0,2}:/y);
    if (wrapped === null) return null;
    const written = wrapped.slice(1, -1);
    const bytes = Buffer.from(written, "base64");
    return bytes.toString("base64") === written ? bytes : null;
  }

  private match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) return null;
    this.at += found.length;
    return found;
  }
}

/** Section 4.2.3.3. */
const KEY = /[a-z*][a-z0-9_.*-]*/y;
