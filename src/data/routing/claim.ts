// Owns finding a claim by the name that configurations use for it. Pure; must never see what an object inherits.

/**
 * The claim of a dotted name. A claim whose own name has dots (`https://example.com/tenant`) is found by it: the whole rest wins over its first part.
 * @returns undefined when there is none
 */
export function claimAt(claims: unknown, name: string): unknown {
  let value = claims;
  let rest = name;
  for (;;) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const object = value as Readonly<Record<string, unknown>>; // neither null nor a list
    if (Object.hasOwn(object, rest)) return object[rest];
    const dot = rest.indexOf(".");
    if (dot < 0) return undefined;
    const first = rest.slice(0, dot);
    if (!Object.hasOwn(object, first)) return undefined;
    value = object[first];
    rest = rest.slice(dot + 1);
  }
}
