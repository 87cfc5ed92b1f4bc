// Owns what a parameter may ask of its segment: literal text around it (`grid-{what}`, `{file}.json`) and a constraint (`{id:[1-9][0-9]*}`). What it
// matches, what it captures, and whether two of them could ever match the same segment. Must take linear time on any segment.
import { compileRegex, type LinearRegex } from "../../base/linear-regex.ts";
import { segmentKey } from "./normalise.ts";

/** A parameter with conditions on its segment. */
export interface PartSegment {
  readonly kind: "part";
  readonly name: string;
  /** What stands before and after the parameter, in the form of `segmentKey`; '' for nothing. */
  readonly prefix: string;
  readonly suffix: string;
  /** A regular expression of base/linear-regex.ts that the whole value matches, percent-decoded; '' for none. */
  readonly constraint: string;
}

const UNRESERVED = "1abcdefghijklmnopqrstuvwxyz023456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_~.";
/** What a sample of a segment is made of, the plainest first. */
const SAMPLE_CHARACTERS = `${UNRESERVED}!$&'()*+,=:@ "<>[]^\`{|};?#%éßЖ中`;
/** Regular expressions that are kept once compiled. */
const COMPILED_MAX = 1024;

const compiled = new Map<string, LinearRegex | { readonly error: string }>();

function regexOf(pattern: string): LinearRegex | { readonly error: string } {
  let regex = compiled.get(pattern);
  if (regex !== undefined) return regex;
  regex = compileRegex(pattern, "whole");
  if (compiled.size >= COMPILED_MAX) compiled.clear();
  compiled.set(pattern, regex);
  return regex;
}

/** @returns why a constraint cannot be used; null when it can */
export function constraintProblem(constraint: string): string | null {
  if (constraint === "") return "nothing stands behind the colon";
  const regex = regexOf(constraint);
  if ("error" in regex) return regex.error;
  return regex.shortestOf(SAMPLE_CHARACTERS) === null ? "no segment of a path matches it" : null;
}

/** null for no constraint. @throws SyntaxError for one that the configuration should have refused */
export function constraintOf({ constraint }: PartSegment): LinearRegex | null {
  if (constraint === "") return null;
  const regex = regexOf(constraint);
  if ("error" in regex) throw new SyntaxError(`${constraint}: ${regex.error}`);
  return regex;
}

/** Of segments with a parameter: the shape of all that match alike. */
export const partShape = ({ prefix, suffix, constraint }: PartSegment): string =>
  `${prefix}{${constraint === "" ? "" : ":"}${constraint}}${suffix}`;

/**
 * Whether `key[start, end)` is a segment of the part. The parameter takes at least one character.
 * @param key in the form of `segmentKey`
 */
export function matchesPart({ prefix, suffix }: PartSegment, regex: LinearRegex | null, key: string, start: number, end: number): boolean {
  const from = start + prefix.length;
  const to = end - suffix.length;
  if (from >= to || !key.startsWith(prefix, start) || !key.startsWith(suffix, to)) return false;
  // A suffix must not begin inside a percent-encoded byte.
  const last = to - 1;
  if (suffix !== "" && (key.charCodeAt(last) === PERCENT || (last > from && key.charCodeAt(last - 1) === PERCENT))) return false;
  if (regex === null) return true;
  const encoded = key.indexOf("%", from);
  return encoded < 0 || encoded >= to ? regex.matches(key, from, to) : regex.matches(decoded(key.slice(from, to)));
}

const PERCENT = 37;

/** As UTF-8; what is none becomes U+FFFD. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    const bytes = text.replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    return Buffer.from(bytes, "latin1").toString("utf8");
  }
}

/** The parameter's value in a segment that matches, spelt as it came. @param segment of a normalised path */
export function partValue({ prefix, suffix }: Pick<PartSegment, "prefix" | "suffix">, segment: string): string {
  if (!segment.includes("%")) return segment.slice(prefix.length, segment.length - suffix.length);
  const keyLength = segmentKey(segment).length;
  return segment.slice(spelt(segment, prefix.length), spelt(segment, keyLength - suffix.length));
}

/** Characters of a segment as it came that stand for the first ones of its key. */
function spelt(segment: string, keyLength: number): number {
  let at = 0;
  for (let i = 0; i < keyLength; i++)
    at += segment.charCodeAt(at) === PERCENT && segmentKey(segment.slice(at, at + 3)).length === 1 ? 3 : 1;
  return at;
}

/** A segment that matches, percent-encoded. @param anything for a parameter without a constraint */
export function samplePart(part: PartSegment, anything: string): string {
  const value = constraintOf(part)?.shortestOf(SAMPLE_CHARACTERS) ?? anything;
  return `${part.prefix}${encodeURIComponent(value)}${part.suffix}`;
}

/** Whether some segment could match both. Never false when one does. */
export function mayMeet(a: PartSegment, b: PartSegment): boolean {
  if (!areCompatible(a.prefix, b.prefix, "start") || !areCompatible(a.suffix, b.suffix, "end")) return false;
  if (a.constraint === "" && b.constraint === "") return true;
  const [left, right] = [beyondCommon(a, b), beyondCommon(b, a)].map((text) => (text === null ? null : regexOf(text)));
  if (left == null || right == null || "error" in left || "error" in right) return true; // too large to tell, or too intricate
  // Longer than the literal text alone, as each parameter takes a character at least.
  return meets(left, right, Math.max(literalCount(a, b), literalCount(b, a)));
}

const areCompatible = (a: string, b: string, at: "start" | "end"): boolean =>
  at === "start" ? a.startsWith(b) || b.startsWith(a) : a.endsWith(b) || b.endsWith(a);

/** Anchors, perhaps: in front of other text they would mean something else. */
const ANCHOR = /(?:^|[^\\[])[\^$]|\\[Az]/;

/** What a part matches, without the literal text that both begin and end with, as the constraint reads it; null when that cannot be put into one pattern. */
function beyondCommon(part: PartSegment, other: PartSegment): string | null {
  const [prefix, suffix] = [prefixBeyond(part, other), suffixBeyond(part, other)];
  const { constraint } = part;
  if (constraint !== "" && prefix === "" && suffix === "") return constraint;
  const flag = constraint.startsWith("(?i)") ? "(?i)" : ""; // for the literal text too: that matches more, never less
  const value = constraint === "" ? "[\\s\\S]+" : constraint.slice(flag.length);
  return ANCHOR.test(value) ? null : `${flag}${quoted(prefix)}(?:${value})${quoted(suffix)}`;
}

/** Code points of the literal text that {@link beyondCommon} leaves. */
const literalCount = (part: PartSegment, other: PartSegment): number =>
  [...decoded(prefixBeyond(part, other)), ...decoded(suffixBeyond(part, other))].length;

const prefixBeyond = (part: PartSegment, other: PartSegment): string =>
  part.prefix.slice(Math.min(part.prefix.length, other.prefix.length));

const suffixBeyond = (part: PartSegment, other: PartSegment): string =>
  part.suffix.slice(0, part.suffix.length - Math.min(part.suffix.length, other.suffix.length));

const quoted = (key: string): string => decoded(key).replace(/[^A-Za-z0-9 _\u0080-\u{10ffff}-]/gu, (char) => `\\${char}`);

/** Comparisons of automata that are remembered. */
const MEETINGS_MAX = 4096;
const meetings = new Map<string, boolean>();

function meets(a: LinearRegex, b: LinearRegex, length: number): boolean {
  const key = JSON.stringify([a.pattern, b.pattern, length]);
  let known = meetings.get(key);
  if (known !== undefined) return known;
  known = a.sharesText(b, length);
  if (meetings.size >= MEETINGS_MAX) meetings.clear();
  meetings.set(key, known);
  return known;
}
