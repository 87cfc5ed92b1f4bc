// What the request paths of a listener may hold, in a plan. Types only.

/** Spellings of a path that its readers take for different paths. */
export type PathSpelling = "encodedSlashes" | "doubleEncodings" | "emptySegments" | "backslashes" | "matrixParameters";

/** What a listener does with them. */
export interface PathsPlan {
  readonly encodedSlashes: "refuse" | "keep" | "decode";
  readonly doubleEncodings: "refuse" | "keep" | "decode";
  readonly emptySegments: "refuse" | "keep" | "merge";
  readonly backslashes: "refuse" | "keep" | "decode";
  readonly matrixParameters: "refuse" | "keep";
  readonly case: "keep" | "fold";
}
