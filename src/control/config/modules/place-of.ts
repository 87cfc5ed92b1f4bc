// Owns finding a place in a text. Pure.

/** Of the first match, counted from 1. */
export function placeOf(text: string, what: RegExp | string): { readonly line: number; readonly column: number } {
  const index = typeof what === "string" ? text.indexOf(what) : text.search(what);
  const before = text.slice(0, Math.max(0, index));
  return { line: before.split("\n").length, column: before.length - before.lastIndexOf("\n") };
}
