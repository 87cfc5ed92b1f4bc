// Owns how the cookies of a service reach the client beside the upstream's: line by line, and past no shared cache.
import { type HeaderList, removeHeader } from "../../../base/header-list.ts";

/** @param values of Set-Cookie @param wanted names, or all */
export function addCookies(headers: HeaderList, values: readonly string[], wanted: "all" | readonly string[]): void {
  let added = false;
  for (const value of values) {
    if (wanted !== "all" && !wanted.includes(nameOf(value))) continue;
    headers.push("set-cookie", value); // never joined (RFC 9110 section 5.3)
    added = true;
  }
  if (added) makePrivate(headers);
}

/** RFC 6265 section 4.1.1. */
const nameOf = (cookie: string): string => cookie.slice(0, Math.max(0, cookie.indexOf("="))).trim();

/** What lets shared caches keep a response (RFC 9111 section 5.2.2). */
const FOR_SHARED: ReadonlySet<string> = new Set(["public", "s-maxage", "proxy-revalidate"]);

/** No shared cache may keep the response; what browsers may do stays. */
export function makePrivate(headers: HeaderList): void {
  const lines: string[] = [];
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === "cache-control") lines.push(withoutShared(headers[i + 1] as string)); // i is inside a list of pairs
  const [first = "", ...others] = lines;
  removeHeader(headers, "cache-control");
  headers.push("cache-control", first === "" ? "private" : `private, ${first}`);
  for (const each of others) if (each !== "") headers.push("cache-control", each);
}

function withoutShared(value: string): string {
  const kept = value.split(",").filter((each) => {
    const directive = (each.split("=", 1)[0] ?? "").trim().toLowerCase();
    return directive !== "" && directive !== "private" && !FOR_SHARED.has(directive);
  });
  return kept.map((each) => each.trim()).join(", ");
}
