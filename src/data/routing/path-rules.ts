// Owns what a listener lets through beyond the strict normal form of paths, and how that is told to the route.
// The form is still computed once and stays the only one. Must never change what the strict form takes, but for folding of case.
import type { PathSpelling, PathsPlan } from "../../plan/paths.ts";
import {
  decodeUnreserved,
  hasDoubleEncoding,
  hasMatrixParameter,
  hasOverlongUtf8,
  normalisePath,
  removeDotSegments,
  type Separators,
} from "./normalise.ts";

/** A bit for each spelling that routes permit or refuse: the spelling stands in the path. */
export const SPELLINGS: Readonly<Record<PathSpelling, number>> = {
  encodedSlashes: 1,
  doubleEncodings: 2,
  emptySegments: 4,
  backslashes: 8,
  matrixParameters: 16,
};
/** What is looked for while a path is loosened; may stand in the form itself. */
const KEPT = 15;
/** Shift of the bits for what was there and was decoded: a route permits it or not, but the form has none of it. */
const DECODED = 8;

const HOW: Readonly<Record<PathSpelling, string>> = {
  encodedSlashes: "an encoded slash (%2F)",
  doubleEncodings: "a double encoding (%25 and two hexadecimal digits)",
  emptySegments: "an empty segment (//)",
  backslashes: "a backslash",
  matrixParameters: "a matrix parameter (;)",
};
const NAMES = Object.keys(HOW) as readonly PathSpelling[]; // of the record right above

/** Bits of what a route refuses, kept or decoded. */
export const refusedBits = (refused: readonly PathSpelling[]): number =>
  refused.reduce((bits, name) => bits | SPELLINGS[name] | (SPELLINGS[name] << DECODED), 0);

/**
 * What a route has against a path, for client and log.
 * @param spellings those of {@link PathRules} that the route refuses; not 0
 */
export function refusedSpelling(spellings: number): string {
  const name = NAMES.find((each) => (spellings & refusedBits([each])) !== 0);
  return `the path has ${name === undefined ? "a spelling" : HOW[name]}, which this route does not allow`;
}

/** Paths of one listener. */
export class PathRules {
  /** Of the path that was normalised last: bits of {@link SPELLINGS}, and those of what was decoded. */
  spellings = 0;
  readonly #plan: PathsPlan;
  readonly #separators: Separators;

  constructor(plan: PathsPlan) {
    this.#plan = plan;
    const become = <T extends string>(action: "refuse" | "keep" | "decode", kept: T): "" | T | "/" =>
      action === "refuse" ? "" : action === "keep" ? kept : "/";
    this.#separators = { slash: become(plan.encodedSlashes, "%2F"), backslash: become(plan.backslashes, "%5C") };
  }

  /** As normalisePath, by this listener's rules. What that accepts costs no more here. */
  normalise(raw: string): string | null {
    this.spellings = 0;
    const path = normalisePath(raw) ?? this.#loosened(raw);
    if (path === null) return null;
    if (hasMatrixParameter(path)) {
      if (this.#plan.matrixParameters === "refuse") return null;
      this.spellings |= SPELLINGS.matrixParameters;
    }
    return this.#plan.case === "fold" ? foldCase(path) : path;
  }

  #loosened(raw: string): string | null {
    if (!raw.startsWith("/")) return null;
    let text = this.#decode(raw);
    if (text !== null && hasDoubleEncoding(text)) text = this.#doublyEncoded(text);
    if (text === null || hasOverlongUtf8(text)) return null;
    const path = removeDotSegments(text, this.#plan.emptySegments);
    // At the start an empty segment would be read as an authority.
    if (path === null || path.startsWith("//")) return null;
    if (path.includes("//")) this.spellings |= SPELLINGS.emptySegments;
    return (this.spellings & KEPT) !== 0 && hidesDots(path) ? null : path;
  }

  #decode(text: string): string | null {
    if (/%2f/i.test(text)) this.#note("encodedSlashes");
    if (/\\|%5c/i.test(text)) this.#note("backslashes");
    return decodeUnreserved(text, this.#separators);
  }

  /** Decoded once; what is still encoded twice then is refused. */
  #doublyEncoded(text: string): string | null {
    const action = this.#plan.doubleEncodings;
    if (action === "refuse") return null;
    this.#note("doubleEncodings");
    if (action === "keep") return text;
    const decoded = this.#decode(text.replace(/%25(?=[0-9A-Fa-f]{2})/g, "%"));
    return decoded === null || hasDoubleEncoding(decoded) ? null : decoded;
  }

  #note(name: "encodedSlashes" | "backslashes" | "doubleEncodings"): void {
    this.spellings |= this.#plan[name] === "decode" ? SPELLINGS[name] << DECODED : SPELLINGS[name];
  }
}

/** Rules by the bits of what they keep: a listener's, without what it decodes, merges or folds. */
const KEEPING: (PathRules | undefined)[] = [];

/**
 * The normal form of a path that the gateway itself has made of a request's: spellings that the request's own path kept may stand in it, no others.
 * @param spellings of the request's path
 */
export function normaliseMade(path: string, spellings: number): string | null {
  const kept = spellings & KEPT;
  const strict = normalisePath(path);
  if (strict !== null || kept === 0) return strict;
  const keep = (name: PathSpelling): "keep" | "refuse" => ((kept & SPELLINGS[name]) === 0 ? "refuse" : "keep");
  const rules = (KEEPING[kept] ??= new PathRules({
    encodedSlashes: keep("encodedSlashes"),
    doubleEncodings: keep("doubleEncodings"),
    emptySegments: keep("emptySegments"),
    backslashes: keep("backslashes"),
    matrixParameters: "keep",
    case: "keep",
  }));
  return rules.normalise(path);
}

/** ASCII only; percent-encoded bytes stay as they are. @param path in normal form */
const foldCase = (path: string): string => path.replace(/(?<!%[0-9A-F]?)[A-Z]+/g, (letters) => letters.toLowerCase());

/** A slash to some reader, one or two dots, and their end. Each `%` begins one attempt, which ends with its digits: linear. */
const HIDDEN_DOTS = /(?:\/|%(?:25)*(?:2F|5C))(?:\.|%(?:25)+2E){1,2}(?:\/|;|%(?:25)*(?:2F|5C|3B)|$)/i;
/** As in hasOverlongUtf8, behind further encodings. */
const HIDDEN_OVERLONG = /%(?:25)*(?:C[01]|E0%(?:25)*[89]|F0%(?:25)*8)/i;

/** Dot segments, or overlong UTF-8, that show only to a reader who decodes further or takes `%2F` or `\` for a slash: `..%2F`, `%252E%252E`. No honest client sends them. */
const hidesDots = (path: string): boolean => HIDDEN_DOTS.test(path) || HIDDEN_OVERLONG.test(path);
