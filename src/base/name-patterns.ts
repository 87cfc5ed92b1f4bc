// Owns lists of names in which a trailing `*` stands for any rest, as routes write them for headers and query parameters. Pure.

/** @param patterns names, or prefixes with a trailing `*`. @returns whether a name is among them, compared exactly */
export function matchNames(patterns: readonly string[]): (name: string) => boolean {
  const exact = new Set(patterns.filter((each) => !each.endsWith("*")));
  const prefixes = patterns.filter((each) => each.endsWith("*")).map((each) => each.slice(0, -1));
  if (prefixes.length === 0) return (name) => exact.has(name);
  return (name) => {
    if (exact.has(name)) return true;
    for (const prefix of prefixes) if (name.startsWith(prefix)) return true;
    return false;
  };
}
