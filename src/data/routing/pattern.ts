// Owns the path pattern language of routes: parsing, and what a pattern means. compile.ts turns patterns into the table.
// Must stay usable at load (primary) and in workers: pure, no exchange.
import { encodeByte } from "../../base/hex.ts";
import { normalisePath, segmentKey } from "./normalise.ts";

/** Longest pattern, in characters. */
export const PATTERN_LENGTH_MAX = 2048;
/** Most segments in a pattern: bounds the depth of the table. */
export const PATTERN_SEGMENTS_MAX = 64;
/** Name under which the part matched by a trailing `**` is a parameter. */
export const REST_PARAM = "**";

/** One segment: a literal, or any one non-empty segment (`{name}` captures it, `*` does not). */
export type Segment =
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
  /** Second rule: characters in literal segments. */
  readonly literalLength: number;
}

const PARAM_NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;

/** @param text for example `/users/{id}`, `/files/**`, `/a/*\/b`. @returns the pattern, or what is wrong with it. */
export function parsePattern(text: string): Pattern | { readonly error: string } {
  if (!text.startsWith("/")) return { error: "a path begins with '/'" };
  if (text.length > PATTERN_LENGTH_MAX) return { error: `a path has at most ${PATTERN_LENGTH_MAX} characters` };
  const parts = text.slice(1).split("/");
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
    if (segment.kind !== "single" || segment.name === null) continue;
    if (paramNames.includes(segment.name)) return { error: `the parameter {${segment.name}} appears twice` };
    paramNames.push(segment.name);
  }
  const singles = segments.filter((segment) => segment.kind === "single").length;
  const literalLength = segments.reduce((sum, segment) => sum + (segment.kind === "literal" ? segment.key.length : 0), 0);
  return { text, segments, rest, paramNames, tier: rest ? 2 : singles > 0 ? 1 : 0, literalLength };
}

function parseSegment(part: string, last: boolean): Segment | { readonly error: string } {
  if (part === "*") return { kind: "single", name: null };
  if (part.startsWith("{") && part.endsWith("}")) {
    const name = part.slice(1, -1);
    return PARAM_NAME.test(name)
      ? { kind: "single", name }
      : { error: `'${part}' is no parameter: its name needs letters, digits, '_' or '-', and begins with a letter or '_'` };
  }
  if (/[{}]/.test(part)) return { error: `'${part}': a {parameter} takes a whole segment` };
  if (part.includes("*")) return { error: `'${part}': '*' takes a whole segment (write %2A for the character)` };
  if (part === "") return last ? { kind: "literal", text: "", key: "" } : { error: "an empty segment ('//') never matches" };
  if (part === "." || part === "..") return { error: "dot segments never match: paths are normalised first" };
  const literal = normalisePath(`/${encodeNonAscii(part)}`);
  if (literal === null)
    return {
      error: `'${part}' never matches: a request with it is refused as unsafe; where \`paths\` let it through, a {parameter} takes it`,
    };
  const normal = literal.slice(1);
  return { kind: "literal", text: normal, key: segmentKey(normal) };
}

/** A segment that is a parameter in other programs: `:id`, `:id?`, `<id>`, `<int:id>`, `[id]`, `$id`, `{id:[0-9]+}`. */
const FOREIGN_PARAM =
  /^(?::([A-Za-z_][A-Za-z0-9_-]*)\??|<(?:\w+:)?([A-Za-z_][A-Za-z0-9_-]*)>|\[([A-Za-z_][A-Za-z0-9_-]*)\]|\$([A-Za-z_][A-Za-z0-9_-]*)|\{([A-Za-z_][A-Za-z0-9_-]*):.*\})$/;

/** @returns the pattern with the parameters that other programs write so (`/users/:id`) as ours (`/users/{id}`); null when it has none. For messages only. */
export function meantPattern(text: string): string | null {
  const meant = text
    .split("/")
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
 * The pattern with parameter names left out: two patterns match the same paths exactly when their shapes are equal.
 * @returns for example `/users/*`, `/files/**`.
 */
export function patternShape(pattern: Pattern): string {
  const parts = pattern.segments.map((segment) => (segment.kind === "literal" ? segment.key : "*"));
  if (pattern.rest) parts.push("**");
  // A literal '*' has the key '*' too (written %2A): tell it apart from the wildcard.
  return `/${parts.map((part, i) => (part === "*" && pattern.segments[i]?.kind === "literal" ? "%2A" : part)).join("/")}`;
}

/**
 * Order of patterns that can match the same path: exact before parameters before `**`; then more literal characters; then, from the left,
 * literal before parameter; then more segments. Ends in text order, so that it is total. `*` and `{param}` weigh the same.
 * @returns 0 exactly when the shapes are equal
 */
export function comparePatterns(a: Pattern, b: Pattern): number {
  const byWeight = a.tier - b.tier || b.literalLength - a.literalLength;
  if (byWeight !== 0) return byWeight;
  const common = Math.min(a.segments.length, b.segments.length);
  for (let i = 0; i < common; i++) {
    const byKind = Number(a.segments[i]?.kind !== "literal") - Number(b.segments[i]?.kind !== "literal");
    if (byKind !== 0) return byKind;
  }
  return b.segments.length - a.segments.length || compareText(patternShape(a), patternShape(b));
}

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
    return segment.kind === "literal" ? segmentKey(part) === segment.key : part !== "";
  });
}
