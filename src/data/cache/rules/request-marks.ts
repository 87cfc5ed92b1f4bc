// Finds in one pass which of the fields that the store looks at a request has: most have none of them. Pure.
import type { HeaderList } from "../../../base/header-list.ts";

/** Bits. */
export const MARK = {
  /** Cache-Control, or Pragma in its place. */
  directives: 1,
  /** Conditions that are the origin's to judge: {@link import("./conditions.ts").needsOrigin}. */
  origin: 2,
  /** Conditions and ranges that are answered from what is stored. */
  own: 4,
} as const;

export function requestMarks(request: HeaderList): number {
  let marks = 0;
  for (let i = 0; i < request.length; i += 2) marks |= markOf(request[i] as string); // pairs
  return marks;
}

/** By length first: few names have one of these. */
function markOf(name: string): number {
  switch (name.length) {
    case 5:
      return name === "range" ? MARK.own : 0;
    case 6:
      return name === "pragma" ? MARK.directives : 0;
    case 8:
      return name === "if-match" ? MARK.origin : name === "if-range" ? MARK.own : 0;
    case 13:
      return name === "cache-control" ? MARK.directives : name === "if-none-match" ? MARK.own : 0;
    case 17:
      return name === "if-modified-since" ? MARK.own : 0;
    case 19:
      return name === "if-unmodified-since" ? MARK.origin : 0;
    default:
      return 0;
  }
}
