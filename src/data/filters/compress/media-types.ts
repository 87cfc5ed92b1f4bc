// Owns the question whether a media type is worth compressing. Pure but for a bounded memory of answers.

/** Distinct Content-Type values whose answer is remembered, per route and worker; beyond it answers are computed each time. */
const REMEMBERED_MAX = 128;

/** Never compressed, whatever the configuration says: its events must arrive at once, and compression would hold them. */
const EVENT_STREAM = "text/event-stream";

/**
 * @param patterns lowercase: `type/subtype`, `type/*`, or a structured suffix `*+json` (RFC 6839)
 * @returns whether a Content-Type value (parameters allowed, any case) is covered
 */
export function compileMediaTypes(patterns: readonly string[]): (contentType: string) => boolean {
  const exact = new Set(patterns.filter((each) => !each.includes("*")));
  const prefixes = patterns.filter((each) => each.endsWith("/*")).map((each) => each.slice(0, -1));
  const suffixes = patterns.filter((each) => each.startsWith("*+")).map((each) => each.slice(1));
  const remembered = new Map<string, boolean>();
  const judge = (contentType: string): boolean => {
    const semicolon = contentType.indexOf(";");
    const type = (semicolon < 0 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
    if (type === EVENT_STREAM) return false;
    return exact.has(type) || prefixes.some((each) => type.startsWith(each)) || suffixes.some((each) => type.endsWith(each));
  };
  return (contentType) => {
    const known = remembered.get(contentType);
    if (known !== undefined) return known;
    const answer = judge(contentType);
    if (remembered.size < REMEMBERED_MAX) remembered.set(contentType, answer);
    return answer;
  };
}
