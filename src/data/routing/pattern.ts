// Owns the path pattern language of routes: parsing, and what a pattern means. compile.ts turns patterns into the table.
// Must stay usable at load (primary) and in workers: pure, no exchange.
import { encodeByte } from "../../base/hex.ts";
import { normalisePath, segmentKey } from "./normalise.ts";
import { constraintOf, constraintProblem, matchesPart, mayMeet, type PartSegment, partShape, samplePart } from "./part.ts";

/** Longest pattern, in characters. */
export const PATTERN_LENGTH_MAX = 2048;
/** Most segments in a pattern: bounds the depth of the table. */
export const PATTERN_SEGMENTS_MAX = 64;
/** Name under which the part matched by a trailing `**` is a parameter. */
export const REST_PARAM = "**";

/** One segment: a literal, a parameter with literal text around it or a constraint, or any one non-empty segment (`{name}` captures it, `*` does not). */
export type Segment =
  | PartSegment
  | {
      readonly kind: "literal";
      /** Normal form; '' only as the last segment (a trailing slash). */
      readonly text: string;
      /** What it is compared by: see `segmentKey`. */
      readonly key: string;
    }
  | { readonly kind: "single"; readonly name: string | null };

export interface Pattern {
  /** As written. */
  readonly text: string;
  readonly segments: readonly Segment[];
  /** Ends in `**`: any rest, also none. `/a/**` matches `/a`, `/a/` and `/a/b/c`. */
  readonly rest: boolean;
  /** In pattern order; a trailing `**` is the last one, named `**`. */
  readonly paramNames: readonly string[];
  /** First rule of the order: 0 exact, 1 with parameters, 2 with `**`. */
  readonly tier: 0 | 1 | 2;
  /** Second rule: characters in literal segments, and around parameters. */
  readonly literalLength: number;
}

const PARAM_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;

/** @param text for example `/users/{id}`, `/files/**`, `/a/*\/b`, `/{file}.json`, `/{id:[0-9]+}`. @returns the pattern, or what is wrong with it. */
export function parsePattern(text: string): Pattern | { readonly error: string } {
  if (!text.startsWith("/")) return { error: "a path begins with '/'" };
  if (text.length > PATTERN_LENGTH_MAX) return { error: `a path has at most ${PATTERN_LENGTH_MAX} characters` };
  const parts = splitSegments(text.slice(1));
  if (parts.length > PATTERN_SEGMENTS_MAX) return { error: `a path has at most ${PATTERN_SEGMENTS_MAX} segments` };
  const segments: Segment[] = [];
  const paramNames: string[] = [];
  let rest = false;
  for (const [i, part] of parts.entries()) {
    const last = i === parts.length - 1;
    if (part === "**") {
      if (!last) return { error: "'**' is only possible at the end" };
      rest = true;
      paramNames.push(REST_PARAM);
      continue;
    }
    const segment = parseSegment(part, last);
    if ("error" in segment) return segment;
    segments.push(segment);
    if (segment.kind === "literal" || segment.name === null) continue;
    if (paramNames.includes(segment.name)) return { error: `the parameter {${segment.name}} appears twice` };
    paramNames.push(segment.name);
  }
  const tier = rest ? 2 : segments.some((segment) => segment.kind !== "literal") ? 1 : 0;
  return { text, segments, rest, paramNames, tier, literalLength: segments.reduce((sum, segment) => sum + literalLengthOf(segment), 0) };
}

function literalLengthOf(segment: Segment): number {
  if (segment.kind === "literal") return segment.key.length;
  return segment.kind === "part" ? segment.prefix.length + segment.suffix.length : 0;
}

/** At the slashes that do not stand in a constraint (`{id:[^/]+}`). */
function splitSegments(text: string): readonly string[] {
  if (!text.includes(":") || !text.includes("{")) return text.split("/");
  const parts: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "/") {
      parts.push(text.slice(start, i));
      start = i + 1;
    } else if (text[i] === "{") i = Math.max(i, closingBrace(text, i));
  }
  parts.push(text.slice(start));
  return parts;
}

/** Where the brace at `open` is closed, past those of repetitions, in classes and behind `\`; -1 for nowhere. */
function closingBrace(text: string, open: number): number {
  const [colon, close] = [text.indexOf(":", open), text.indexOf("}", open)];
  if (colon < 0 || colon > close) return close;
  let depth = 0;
  let inClass = false;
  for (let i = open; i < text.length; i++) {
    const char = text[i];
    if (char === "\\") i++;
    else if (inClass) inClass = char !== "]";
    else if (char === "[") inClass = true;
    else if (char === "{") depth++;
    else if (char === "}" && --depth === 0) return i;
  }
  return -1;
}

function parseSegment(part: string, last: boolean): Segment | { readonly error: string } {
  if (part === "*") return { kind: "single", name: null };
  if (/[{}]/.test(part)) return parseParameter(part);
  if (part.includes("*"))
    return { error: `'${part}': '*' takes a whole segment (write %2A for the character, {name} for a part of a segment)` };
  if (part === "") return last ? { kind: "literal", text: "", key: "" } : { error: "an empty segment ('//') never matches" };
  if (part === "." || part === "..") return { error: "dot segments never match: paths are normalised first" };
  const normal = normalLiteral(part);
  return normal === null ? { error: neverMatches(part) } : { kind: "literal", text: normal, key: segmentKey(normal) };
}

const neverMatches = (part: string): string =>
  `'${part}' never matches: a request with it is refused as unsafe; where \`paths\` let it through, a {parameter} takes it`;

/** @returns null for what no request may have in its path */
const normalLiteral = (part: string): string | null => normalisePath(`/${encodeNonAscii(part)}`)?.slice(1) ?? null;

/** `{name}`, `{name:constraint}`, with literal text before and after. */
function parseParameter(part: string): Segment | { readonly error: string } {
  if (part.startsWith("{") && part.endsWith("}") && PARAM_NAME.test(part.slice(1, -1))) return { kind: "single", name: part.slice(1, -1) };
  const open = part.indexOf("{");
  const close = open < 0 ? -1 : closingBrace(part, open);
  if (close < 0) return { error: `'${part}': a brace stands alone; a parameter is written {name}` };
  const [before, after] = [part.slice(0, open), part.slice(close + 1)];
  if (/[{}]/.test(before + after))
    return { error: `'${part}': a segment has one parameter; write several segments, or one parameter for all of it` };
  if ((before + after).includes("*")) return { error: `'${part}': '*' takes a whole segment (write %2A for the character)` };
  const [, name = "", colon, constraint = ""] = /^([^:]*)(:)?(.*)$/s.exec(part.slice(open + 1, close)) ?? [];
  if (!PARAM_NAME.test(name))
    return { error: `'${part}' is no parameter: its name needs letters, digits, '_' or '-', and begins with a letter or '_'` };
  const problem = colon === undefined ? null : constraintProblem(constraint);
  if (problem !== null) return { error: `the constraint of {${name}}: ${problem}` };
  const [prefix, suffix] = [literalPart(before), literalPart(after)];
  if (prefix === null || suffix === null) return { error: neverMatches(part) };
  return prefix === "" && suffix === "" && constraint === ""
    ? { kind: "single", name }
    : { kind: "part", name, prefix, suffix, constraint };
}

/** Literal text beside a parameter, in the form of `segmentKey`; null for what no request may have, or what is no UTF-8 by itself. */
function literalPart(text: string): string | null {
  // Dots alone are no dot segment here.
  const normal = /^\.*$/.test(text) ? text : normalLiteral(text);
  if (normal === null) return null;
  try {
    decodeURIComponent(normal);
  } catch {
    return null;
  }
  return segmentKey(normal);
}

/** A segment that is a parameter in other programs: `:id`, `:id?`, `<id>`, `<int:id>`, `[id]`, `$id`. */
const FOREIGN_PARAM =
  /^(?::([A-Za-z_][A-Za-z0-9_-]*)\??|<(?:\w+:)?([A-Za-z_][A-Za-z0-9_-]*)>|\[([A-Za-z_][A-Za-z0-9_-]*)\]|\$([A-Za-z_][A-Za-z0-9_-]*))$/;

/** @returns the pattern with the parameters that other programs write so (`/users/:id`) as ours (`/users/{id}`); null when it has none. For messages only. */
export function meantPattern(text: string): string | null {
  const meant = splitSegments(text)
    .map((part) => {
      const name = FOREIGN_PARAM.exec(part)?.slice(1).find(Boolean);
      return name === undefined ? part : `{${name}}`;
    })
    .join("/");
  return meant === text ? null : meant;
}

/** Lets operators write `/café`: clients send it as UTF-8, percent-encoded. */
function encodeNonAscii(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text)) return text;
  let out = "";
  for (const byte of new TextEncoder().encode(text)) out += byte < 128 ? String.fromCharCode(byte) : encodeByte(byte);
  return out;
}

/**
 * The pattern with parameter names left out: two patterns of equal shapes match the same paths.
 * @returns for example `/users/*`, `/files/**`, `/{}.json`, `/{:[0-9]+}`.
 */
export function patternShape(pattern: Pattern): string {
  let shape = shapes.get(pattern);
  if (shape === undefined) {
    shape = shapeOf(pattern, partShape);
    shapes.set(pattern, shape);
  }
  return shape;
}

/** A sort wants them again and again. */
const shapes = new WeakMap<Pattern, string>();

/** Equal for two patterns that nothing but text order parts, unless their segments exclude each other: see {@link mayTie}. */
export const patternWeight = (pattern: Pattern): string =>
  `${pattern.literalLength} ${shapeOf(pattern, (segment) => `{${precedenceOf(segment)}}`)}`;

function shapeOf({ segments, rest }: Pattern, part: (segment: PartSegment) => string): string {
  const parts = segments.map((segment) => {
    // A literal '*' has the key '*' too (written %2A): tell it apart from the wildcard.
    if (segment.kind === "literal") return segment.key === "*" ? "%2A" : segment.key;
    return segment.kind === "part" ? part(segment) : "*";
  });
  if (rest) parts.push("**");
  return `/${parts.join("/")}`;
}

/** The lower, the more specific: a literal, literal text around a constrained or a free parameter, a constrained parameter, a free one. */
function precedenceOf(segment: Segment): number {
  if (segment.kind !== "part") return segment.kind === "literal" ? 0 : 4;
  if (segment.prefix === "" && segment.suffix === "") return 3;
  return segment.constraint === "" ? 2 : 1;
}

/**
 * Order of patterns that can match the same path: exact before parameters before `**`; then more literal characters; then, from the left, literal
 * before a parameter with literal text before a constrained one before a free one; then more segments. Ends in text order, so that it is total.
 * `*` and `{param}` weigh the same.
 * @returns 0 exactly when the shapes are equal
 */
export function comparePatterns(a: Pattern, b: Pattern): number {
  const byWeight = a.tier - b.tier || b.literalLength - a.literalLength;
  if (byWeight !== 0) return byWeight;
  const common = Math.min(a.segments.length, b.segments.length);
  for (let i = 0; i < common; i++) {
    const byKind = precedenceOf(a.segments[i] as Segment) - precedenceOf(b.segments[i] as Segment); // i is below both lengths
    if (byKind !== 0) return byKind;
  }
  return b.segments.length - a.segments.length || compareText(patternShape(a), patternShape(b));
}

/** For patterns of one {@link patternWeight}: whether some path may match both. Never false when one does. */
export const mayTie = (a: Pattern, b: Pattern): boolean =>
  a.segments.every((segment, i) => {
    const other = b.segments[i];
    return segment.kind !== "part" || other?.kind !== "part" || mayMeet(segment, other);
  });

/** Order by code units, the same on every machine (unlike localeCompare). */
export const compareText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/** What a pattern says about one normalised path, by plain reading: the reference that the compiled table is held to. For `explain` and tests. */
export function patternMatches(pattern: Pattern, path: string): boolean {
  const parts = path.slice(1).split("/");
  const { segments, rest } = pattern;
  // `/a/**` also matches `/a`; the root's `/**` matches `/`.
  if (parts.length < segments.length || (!rest && parts.length > segments.length)) return false;
  return segments.every((segment, i) => {
    const part = parts[i] ?? "";
    const key = segmentKey(part);
    if (segment.kind === "part") return matchesPart(segment, constraintOf(segment), key, 0, key.length);
    return segment.kind === "literal" ? key === segment.key : part !== "";
  });
}

/**
 * A path that the pattern matches, in normal form.
 * @param anything what stands for a segment that may be anything. @param rest segments for `**`
 */
export function samplePath(pattern: Pattern, anything: (segment: Segment) => string, rest: readonly string[]): string {
  const parts = pattern.segments.map((segment) => {
    if (segment.kind === "literal") return segment.text;
    return segment.kind === "part" ? samplePart(segment, anything(segment)) : anything(segment);
  });
  return `/${[...parts, ...(pattern.rest ? rest : [])].join("/")}`;
}

/** The parameters that every one of a route's paths has, in the order of the first. @throws RangeError for a path that parsePattern refuses */
export function commonParamNames(paths: readonly string[]): readonly string[] {
  const [first = [], ...others] = paths.map((path) => {
    const pattern = parsePattern(path);
    if ("error" in pattern) throw new RangeError(`path ${JSON.stringify(path)}: ${pattern.error}`);
    return pattern.paramNames;
  });
  return others.length === 0 ? first : first.filter((name) => others.every((names) => names.includes(name)));
}
