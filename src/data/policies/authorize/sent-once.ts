// Owns reading what a decision rests on from a request: a header or query parameter that is there twice, or also in a spelling that services may read
// as it, is not there at all. Else the gateway would judge one value and the service act on the other.
import { plainName } from "../../../base/http.ts";
import type { Exchange } from "../../exchange.ts";

/** @param name lowercase. @returns the byte string; undefined unless it is there exactly once */
export function headerSentOnce(x: Exchange, name: string): string | undefined {
  const { headers } = x;
  let found: string | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    const each = headers[i] as string; // i is inside a list of pairs
    if (each !== name && !(x.oddNames && plainName(each) === plainName(name))) continue;
    if (found !== undefined || each !== name) return undefined;
    found = headers[i + 1];
  }
  return found;
}

/** @returns decoded text; undefined unless it is there exactly once and well encoded, also for readers to whom `;` separates as `&` does */
export function querySentOnce(x: Exchange, name: string): string | undefined {
  let found: string | undefined;
  for (const pair of x.query.split("&")) {
    const parts = pair.split(";");
    if (!parts.some((part) => decoded(keyOf(part)) === name)) continue;
    if (found !== undefined || parts.length > 1) return undefined;
    found = decoded(pair.slice(keyOf(pair).length + 1));
    if (found === undefined) return undefined;
  }
  return found;
}

function keyOf(pair: string): string {
  const equals = pair.indexOf("=");
  return equals < 0 ? pair : pair.slice(0, equals);
}

/** @returns undefined when it is not the encoding of a text */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

/** A path parameter as text; undefined when it is not UTF-8. @param text percent-encoded */
export function decodedPath(text: string): string | undefined {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** A header's byte string as text; undefined when it is not UTF-8. */
export function utf8(bytes: string): string | undefined {
  if (!/[^\x00-\x7f]/.test(bytes)) return bytes;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(bytes, "latin1"));
  } catch {
    return undefined;
  }
}
