// Owns issuers of providers with many tenants: `https://login.example/{tid}/v2.0`, where the part in braces must equal the claim `tid` of the same token.
// Must never make a URL of what a token holds, and never take a tenant that is not one word. Pure.

/** How many tenants a provider may list. */
export const TENANTS_MAX = 1000;
/** No dot, slash or colon: it can end no host, segment or prefix. */
export const TENANT = /^[A-Za-z0-9-]{1,64}$/;

/** A name in braces: that of a claim. */
const PLACEHOLDER = /\{([A-Za-z0-9_]{1,64})\}/;

export interface IssuerPattern {
  /** The claim that must equal what stands between head and tail. */
  readonly claim: string;
  readonly head: string;
  readonly tail: string;
  /** null: any (written `insecure: [any-tenant]`). */
  readonly tenants: readonly string[] | null;
}

export const hasBraces = (text: string): boolean => text.includes("{") || text.includes("}");

/** @returns the parts around the one name in braces; null when there is none, or more, or other braces */
export function splitPlaceholder(text: string): Omit<IssuerPattern, "tenants"> | null {
  const found = PLACEHOLDER.exec(text);
  if (found === null) return null;
  const head = text.slice(0, found.index);
  const tail = text.slice(found.index + found[0].length);
  return hasBraces(head) || hasBraces(tail) ? null : { claim: found[1] ?? "", head, tail };
}

/** Whether this `iss`, with the claims beside it, is one of the issuers. */
export function matchesIssuer(
  { claim, head, tail, tenants }: IssuerPattern,
  iss: string,
  claims: Readonly<Record<string, unknown>>,
): boolean {
  if (iss.length <= head.length + tail.length || !iss.startsWith(head) || !iss.endsWith(tail)) return false;
  const tenant = iss.slice(head.length, iss.length - tail.length);
  return TENANT.test(tenant) && Object.hasOwn(claims, claim) && claims[claim] === tenant && (tenants === null || tenants.includes(tenant));
}

/** Whether there may be an `iss` that is an issuer of both. */
export function mayOverlap(a: IssuerPattern, b: IssuerPattern): boolean {
  const heads = a.head.startsWith(b.head) || b.head.startsWith(a.head);
  return heads && (a.tail.endsWith(b.tail) || b.tail.endsWith(a.tail));
}

/** Providers with many tenants put a name of their own into their discovery document: `{tenantid}`. */
export const sameIssuer = (documented: unknown, issuer: string): boolean =>
  documented === issuer || (typeof documented === "string" && hasBraces(issuer) && withoutName(documented) === withoutName(issuer));

const withoutName = (text: string): string => text.replace(PLACEHOLDER, "{}");
