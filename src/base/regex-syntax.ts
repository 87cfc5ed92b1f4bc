// Owns the syntax of the gateway's regular expressions: RE2's, without what needs backtracking or Unicode tables. Text in, tree or problem out.
// Must never build an automaton (linear-regex.ts) and never see traffic.

/** Longest pattern, in UTF-16 units. */
const PATTERN_CHARS_MAX = 1024;
const DEPTH_MAX = 50;
/** As in RE2. */
const REPEATS_MAX = 1000;
const CODE_POINT_MAX = 0x10ffff;

/** Sorted, disjoint, inclusive ranges of code points: `[low, high, low, high, ...]`. */
export type Ranges = readonly number[];

export type RegexNode =
  | { readonly kind: "chars"; readonly ranges: Ranges }
  | { readonly kind: "sequence"; readonly parts: readonly RegexNode[] }
  | { readonly kind: "choice"; readonly parts: readonly RegexNode[] }
  /** `max` is Infinity for no bound. */
  | { readonly kind: "repeat"; readonly part: RegexNode; readonly min: number; readonly max: number }
  | { readonly kind: "start" }
  | { readonly kind: "end" };

/** Why a pattern is refused. */
export interface RegexProblem {
  readonly error: string;
  /** Character of the pattern it is about, from 1; 0 for the whole. */
  readonly at: number;
}

/** Thrown inside the parser and the builder of automata; never leaves {@link parseRegex} or compileRegex. */
export class RegexRefused extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

const DIGIT: Ranges = [48, 57];
const WORD: Ranges = [48, 57, 65, 90, 95, 95, 97, 122];
/** RE2's `\s`: tab, newline, form feed, carriage return, space. */
const SPACE: Ranges = [9, 10, 12, 13, 32, 32];
const NEWLINE: Ranges = [10, 10];
const CLASSES: Readonly<Record<string, Ranges>> = { d: DIGIT, w: WORD, s: SPACE, D: invert(DIGIT), W: invert(WORD), S: invert(SPACE) };
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 };

/** @throws RegexRefused */
export function parseRegex(pattern: string): RegexNode {
  if (pattern.length > PATTERN_CHARS_MAX) throw new RegexRefused(`a pattern has at most ${PATTERN_CHARS_MAX} characters`, 0);
  return new RegexParser(pattern).parse();
}

class RegexParser {
  readonly #text: string;
  #at = 0;
  #foldsCase = false;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): RegexNode {
    if (this.#text.startsWith("(?i)")) {
      this.#foldsCase = true;
      this.#at = 4;
    }
    const node = this.#choice(0);
    if (this.#at < this.#text.length) throw this.#refused("`)` closes no group: write \\)");
    return node;
  }

  #refused(message: string, at = this.#at): RegexRefused {
    return new RegexRefused(message, at + 1);
  }

  #takes(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #choice(depth: number): RegexNode {
    if (depth > DEPTH_MAX) throw this.#refused(`groups are nested more than ${DEPTH_MAX} deep`);
    const parts = [this.#sequence(depth)];
    while (this.#takes("|")) parts.push(this.#sequence(depth));
    return parts.length === 1 ? (parts[0] as RegexNode) : { kind: "choice", parts };
  }

  #sequence(depth: number): RegexNode {
    const parts: RegexNode[] = [];
    while (this.#at < this.#text.length && !"|)".includes(this.#text[this.#at] as string)) parts.push(this.#repeated(depth));
    return parts.length === 1 ? (parts[0] as RegexNode) : { kind: "sequence", parts };
  }

  #repeated(depth: number): RegexNode {
    const inGroup = this.#text[this.#at] === "(";
    const part = this.#single(depth);
    const bounds = this.#quantifier();
    if (bounds === null) return part;
    if (!inGroup && (part.kind === "start" || part.kind === "end")) throw this.#refused("an anchor cannot be repeated", this.#at - 1);
    this.#takes("?"); // lazy or greedy: the same question, the same answer
    if (this.#quantifier() !== null) throw this.#refused("a repetition cannot be repeated: put it into a group", this.#at - 1);
    return { kind: "repeat", part, ...bounds };
  }

  #quantifier(): { readonly min: number; readonly max: number } | null {
    if (this.#takes("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#takes("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#takes("?")) return { min: 0, max: 1 };
    if (this.#text[this.#at] !== "{") return null;
    const [whole = "", least = "", comma, most] = /^\{(\d{1,4})(,(\d{1,4})?)?\}/.exec(this.#text.slice(this.#at)) ?? [];
    if (whole === "") throw this.#refused("`{` begins no repetition such as {2} or {2,5}: write \\{");
    const min = Number(least);
    const max = comma === undefined ? min : most === undefined ? Number.POSITIVE_INFINITY : Number(most);
    if (min > REPEATS_MAX || (max !== Number.POSITIVE_INFINITY && max > REPEATS_MAX))
      throw this.#refused(`a repetition counts to at most ${REPEATS_MAX}`);
    if (max < min) throw this.#refused(`the bounds of ${whole} are the wrong way round`);
    this.#at += whole.length;
    return { min, max };
  }

  #single(depth: number): RegexNode {
    const char = this.#text[this.#at] as string; // the caller has looked
    switch (char) {
      case "(":
        return this.#group(depth);
      case "[":
        return this.#chars(this.#class());
      case ".":
        this.#at++;
        return { kind: "chars", ranges: invert(NEWLINE) };
      case "^":
        this.#at++;
        return { kind: "start" };
      case "$":
        this.#at++;
        return { kind: "end" };
      case "*":
      case "+":
      case "?":
        throw this.#refused(`\`${char}\` repeats nothing: write \\${char}`);
      case "{":
      case "}":
      case "]":
        throw this.#refused(`write \\${char}`);
      case "\\":
        return this.#escape();
      default:
        return this.#chars(single(this.#codePoint()));
    }
  }

  #chars(ranges: Ranges): RegexNode {
    return { kind: "chars", ranges: this.#foldsCase ? foldAscii(ranges) : ranges };
  }

  #group(depth: number): RegexNode {
    const opened = this.#at;
    this.#at++;
    if (this.#text[this.#at] === "?") {
      const [head = ""] = /^\?(?::|P?<[A-Za-z_]\w*>)/.exec(this.#text.slice(this.#at)) ?? [];
      if (head === "") throw this.#refused(whyNoGroup(this.#text.slice(this.#at)), opened);
      this.#at += head.length;
    }
    const node = this.#choice(depth + 1);
    if (!this.#takes(")")) throw this.#refused("this group is not closed", opened);
    return node;
  }

  #escape(): RegexNode {
    if (this.#takes("\\A")) return { kind: "start" };
    if (this.#takes("\\z")) return { kind: "end" };
    const escaped = this.#escaped();
    return this.#chars(typeof escaped === "number" ? single(escaped) : escaped);
  }

  /** After `\`: a code point, or a class. */
  #escaped(): number | Ranges {
    const began = this.#at;
    this.#at++;
    const char = this.#text[this.#at];
    if (char === undefined) throw this.#refused("a pattern cannot end with `\\`: write \\\\", began);
    const named = Object.hasOwn(CLASSES, char) ? CLASSES[char] : Object.hasOwn(CONTROLS, char) ? CONTROLS[char] : undefined;
    if (named !== undefined) {
      this.#at++;
      return named;
    }
    if (char === "x") return this.#hex(began);
    if (/[A-Za-z0-9]/.test(char)) throw this.#refused(whyNoEscape(char), began);
    return this.#codePoint();
  }

  #hex(began: number): number {
    const [whole = "", two, braced] = /^x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})/.exec(this.#text.slice(this.#at)) ?? [];
    const code = Number.parseInt(two ?? braced ?? "", 16);
    if (!(code <= CODE_POINT_MAX)) throw this.#refused("expected \\xHH or \\x{H...} with a code point in hexadecimal", began);
    this.#at += whole.length;
    return code;
  }

  #codePoint(): number {
    const code = this.#text.codePointAt(this.#at) as number; // the caller has looked
    this.#at += code > 0xffff ? 2 : 1;
    return code;
  }

  #class(): Ranges {
    const opened = this.#at;
    this.#at++;
    const inverted = this.#takes("^");
    const found: number[] = [];
    for (;;) {
      const char = this.#text[this.#at];
      if (char === undefined) throw this.#refused("this class is not closed: write ] at its end", opened);
      if (char === "]") break;
      if (this.#text.startsWith("[:", this.#at)) throw this.#refused("named classes such as [:alpha:] are not known: write a-zA-Z");
      if (char === "[") throw this.#refused("write \\[");
      this.#member(found);
    }
    this.#at++;
    if (found.length === 0) throw this.#refused("a class has at least one character", opened);
    const ranges = normalised(found);
    return inverted ? invert(this.#foldsCase ? foldAscii(ranges) : ranges) : ranges;
  }

  #member(found: number[]): void {
    const began = this.#at;
    const low = this.#text[this.#at] === "\\" ? this.#escaped() : this.#codePoint();
    const isRange = this.#text[this.#at] === "-" && this.#at + 1 < this.#text.length && this.#text[this.#at + 1] !== "]";
    if (!isRange) return void found.push(...(typeof low === "number" ? single(low) : low));
    this.#at++;
    const high = this.#text[this.#at] === "\\" ? this.#escaped() : this.#codePoint();
    if (typeof low !== "number" || typeof high !== "number")
      throw this.#refused("a class such as \\d is no end of a range: write \\-", began);
    if (high < low) throw this.#refused("the ends of this range are the wrong way round", began);
    found.push(low, high);
  }
}

function whyNoGroup(text: string): string {
  if (/^\?<?[=!]/.test(text)) return "look-around needs backtracking: it is not known here";
  if (/^\?[a-zA-Z]/.test(text)) return "flags are not known here, but for (?i) at the beginning of the pattern";
  return "expected ( or (?: or (?<name>";
}

function whyNoEscape(char: string): string {
  if (/[1-9]/.test(char) || char === "k") return "back references need backtracking: they are not known here";
  if (char === "b" || char === "B") return "word boundaries are not known here: write the characters, such as (^|[^\\w])";
  if (char === "p" || char === "P") return "Unicode properties are not known here: write a range, such as [\\x{c0}-\\x{24f}]";
  return `\\${char} is not known here`;
}

const single = (code: number): Ranges => [code, code];

/** Sorts ranges and joins those that touch. */
function normalised(ranges: Ranges): number[] {
  const pairs: (readonly [number, number])[] = [];
  for (let i = 0; i < ranges.length; i += 2) pairs.push([ranges[i] as number, ranges[i + 1] as number]); // pairs
  pairs.sort((a, b) => a[0] - b[0]);
  const joined: number[] = [];
  for (const [low, high] of pairs) {
    const last = joined.length - 1;
    if (last > 0 && low <= (joined[last] as number) + 1) joined[last] = Math.max(joined[last] as number, high);
    else joined.push(low, high);
  }
  return joined;
}

function invert(ranges: Ranges): Ranges {
  const rest: number[] = [];
  let next = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    if ((ranges[i] as number) > next) rest.push(next, (ranges[i] as number) - 1);
    next = (ranges[i + 1] as number) + 1;
  }
  if (next <= CODE_POINT_MAX) rest.push(next, CODE_POINT_MAX);
  return rest;
}

/** Adds the other case of each ASCII letter; other letters stay as they are. */
function foldAscii(ranges: Ranges): Ranges {
  const found = [...ranges];
  for (let i = 0; i < ranges.length; i += 2) {
    const low = ranges[i] as number;
    const high = ranges[i + 1] as number;
    if (low <= 90 && high >= 65) found.push(Math.max(low, 65) + 32, Math.min(high, 90) + 32);
    if (low <= 122 && high >= 97) found.push(Math.max(low, 97) - 32, Math.min(high, 122) - 32);
  }
  return normalised(found);
}
