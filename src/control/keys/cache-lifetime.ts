// Owns how long an answer of a provider says it is good (RFC 9111 section 4.2), as far as a private cache of one document needs it. Pure.

/** RFC 9111 section 1.2.2: larger values count as this one. Seconds. */
const DELTA_MAX = 2 ** 31;

/** @returns ms; 0 for no-store and the like; null when the answer does not say */
export function cacheLifetimeMs(headers: Readonly<Record<string, string | string[] | undefined>>): number | null {
  const directives = directivesOf(String(headers["cache-control"] ?? ""));
  if (directives.has("no-store") || directives.has("no-cache")) return 0;
  const seconds = deltaSeconds(directives.get("max-age"));
  if (seconds === null) return null;
  const age = deltaSeconds(typeof headers["age"] === "string" ? headers["age"] : undefined) ?? 0;
  return Math.max(0, seconds - age) * 1000;
}

function directivesOf(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of text.split(",")) {
    const [name = "", value = ""] = part.trim().split("=", 2);
    const key = name.toLowerCase();
    // The first one counts when a directive is repeated.
    if (key !== "" && !found.has(key)) found.set(key, value.replace(/^"(.*)"$/, "$1"));
  }
  return found;
}

function deltaSeconds(text: string | undefined): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Math.min(Number(text), DELTA_MAX) : null;
}
