// Owns reading which media types a client wants, and how much (RFC 9110 section 12.5.1). Pure; looks at each character a fixed number of times, and at no more
// than the bounds below.

/** Characters of one field that are looked at: real ones have some hundred. */
const CHARS_MAX = 2048;
/** Media ranges of one field that are looked at. */
const RANGES_MAX = 64;

/** Behind `q=`, RFC 9110 section 12.4.2. */
const WEIGHT = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/;

/** Parameters but `q` are not looked at. */
interface MediaRange {
  /** `type/subtype`, `type/*` or `*`/`*`, lowercase. */
  readonly range: string;
  /** 0 to 1. */
  readonly weight: number;
}

/** What an Accept field says. Immutable. */
export class MediaRanges {
  /** null: there is no field, and everything is wanted alike. */
  readonly #ranges: readonly MediaRange[] | null;

  /** @param accept the field value (lines joined with ","); undefined for none. What cannot be read of it is passed by. */
  constructor(accept: string | undefined) {
    this.#ranges = accept === undefined ? null : split(accept.slice(0, CHARS_MAX), ",").slice(0, RANGES_MAX).flatMap(readRange);
  }

  /**
   * The weight of the most specific range that a type is in.
   * @param type `type/subtype`, lowercase. @returns 0 to 1; 0 for a type that is not wanted
   */
  weightOf(type: string): number {
    if (this.#ranges === null) return 1;
    const group = `${type.slice(0, type.indexOf("/"))}/*`;
    const named = (wanted: string): number | undefined => this.#ranges?.find(({ range }) => range === wanted)?.weight;
    return named(type) ?? named(group) ?? named("*/*") ?? 0;
  }
}

function readRange(element: string): readonly MediaRange[] {
  const [name = "", ...parameters] = split(element, ";").map((part) => part.trim());
  const range = name === "*" ? "*/*" : name.toLowerCase(); // `*` alone is what old clients send
  const weight = parameters.find((parameter) => /^q=/i.test(parameter))?.slice(2) ?? "1";
  return WEIGHT.test(weight) ? [{ range, weight: Number(weight) }] : [];
}

/** At separators that stand in no quoted string (RFC 9110 section 5.6.4). */
function split(text: string, separator: string): string[] {
  const parts: string[] = [];
  let quoted = false;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '"') quoted = !quoted;
    else if (quoted && c === "\\") i++;
    else if (!quoted && c === separator) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}
