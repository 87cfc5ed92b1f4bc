// Owns the comparison of an Origin header with configured origins. Pure.

/** Host part that a leading `*.` may stand for: one or more labels. */
const LABELS = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;

/**
 * @param origins as corsSchema accepts them: exact, `scheme://*.suffix`, or `*`
 * @returns whether an Origin header's value is among them (byte for byte: browsers send the serialised form, RFC 6454 section 6.2)
 */
export function compileOrigins(origins: readonly string[]): (origin: string) => boolean {
  if (origins.includes("*")) return () => true;
  const exact = new Set(origins.filter((each) => !each.includes("*")));
  const wildcards = origins
    .filter((each) => each.includes("*"))
    .map((each) => ({ before: each.slice(0, each.indexOf("*")), after: each.slice(each.indexOf("*") + 1) }));
  if (wildcards.length === 0) return (origin) => exact.has(origin);
  return (origin) =>
    exact.has(origin) ||
    wildcards.some(
      ({ before, after }) =>
        origin.length > before.length + after.length &&
        origin.startsWith(before) &&
        origin.endsWith(after) &&
        LABELS.test(origin.slice(before.length, origin.length - after.length)),
    );
}
