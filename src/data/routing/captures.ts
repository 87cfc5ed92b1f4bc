// Owns what the parameters of a route's path take of a request's path. Must allocate nothing but the list of values.
import { partValue } from "./part.ts";
import { type Pattern, REST_PARAM } from "./pattern.ts";

/** Where a parameter's value stands. */
export interface Capture {
  /** Index of the segment; of the rest: of its first. */
  readonly segment: number;
  /** Place among the route's parameters. */
  readonly index: number;
  readonly kind: "segment" | "part" | "rest";
  /** Literal text of a part. */
  readonly prefix: string;
  readonly suffix: string;
}

/** One for all patterns that capture nothing. */
const NO_CAPTURES: readonly Capture[] = [];

/** By segment. @param names of the route's parameters, all of them in the pattern */
export function capturesOf(pattern: Pattern, names: readonly string[]): readonly Capture[] {
  if (names.length === 0) return NO_CAPTURES;
  const found: Capture[] = pattern.segments.flatMap((each, segment): Capture[] => {
    const index = each.kind === "literal" || each.name === null ? -1 : names.indexOf(each.name);
    if (index < 0) return [];
    const { prefix = "", suffix = "" } = each.kind === "part" ? each : {};
    return [{ segment, index, kind: each.kind === "part" ? "part" : "segment", prefix, suffix }];
  });
  const rest = pattern.rest ? names.indexOf(REST_PARAM) : -1;
  return rest < 0 ? found : [...found, { segment: pattern.segments.length, index: rest, kind: "rest", prefix: "", suffix: "" }];
}

/** Values in the order of the route's parameters; the rest without its leading slash ('' for nothing). @param captures at least one */
export function captureParams(path: string, captures: readonly Capture[]): readonly string[] {
  const params: string[] = [];
  let start = 1;
  let segment = 0;
  for (let i = 0; i < captures.length; i++) {
    const capture = captures[i]!; // i is below length
    for (; segment < capture.segment; segment++) start = segmentEnd(path, start) + 1;
    if (capture.kind === "rest") params[capture.index] = path.slice(start);
    else {
      const value = path.slice(start, segmentEnd(path, start));
      params[capture.index] = capture.kind === "part" ? partValue(capture, value) : value;
    }
  }
  return params;
}

function segmentEnd(path: string, start: number): number {
  const end = path.indexOf("/", start);
  return end < 0 ? path.length : end;
}
