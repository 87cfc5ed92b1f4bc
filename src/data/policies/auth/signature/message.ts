// Owns the text that is signed (RFC 9421 section 2.5): from a request and the covered components to the signature base. Pure.
// Must never take a component that is missing, or that services might read another way, for signed.
import { isAmbiguousFieldName, parseAuthority, trimWhitespace } from "../../../../base/http.ts";
import type { Exchange } from "../../../exchange/exchange.ts";
import { hasLookAlike } from "../reading.ts";
import { type SignatureInput, serialiseInput } from "./structured-fields.ts";

const targetOf = (x: Exchange): string => (x.query === "" ? x.path : `${x.path}?${x.query}`);

/** RFC 9421 section 2.2, but for @query-param and what only responses have. */
const DERIVED: Readonly<Record<string, (x: Exchange) => string | null>> = {
  "@method": (x) => x.method,
  "@authority": (x) => authorityOf(x),
  "@scheme": (x) => x.clientInfo().scheme,
  "@path": (x) => x.path,
  "@query": (x) => `?${x.query}`,
  "@request-target": targetOf,
  "@target-uri": (x) => {
    const authority = authorityOf(x);
    return authority === null ? null : `${x.clientInfo().scheme}://${authority}${targetOf(x)}`;
  },
};

export const DERIVED_COMPONENTS: readonly string[] = Object.keys(DERIVED);

/** Section 2.2.3: as in the URI, lowercase and without the scheme's own port. */
function authorityOf(x: Exchange): string | null {
  const parsed = parseAuthority(x.authority);
  if (parsed === null) return null;
  const { host, port } = parsed;
  const usual = x.clientInfo().scheme === "https" ? 443 : 80;
  return port === -1 || port === usual ? host : `${host}:${port}`;
}

/** @returns the value of a component; null when the request has none that can be relied on */
function componentValue(x: Exchange, name: string): string | null {
  if (name.startsWith("@")) return Object.hasOwn(DERIVED, name) ? (DERIVED[name]?.(x) ?? null) : null;
  return fieldValue(x, name);
}

/** Section 2.1: all lines of a field, in order. Bytes beyond ASCII have no place in a signature base. */
export function fieldValue(x: Exchange, name: string): string | null {
  const { headers } = x;
  let value: string | null = null;
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    const line = trimWhitespace(headers[i + 1] as string); // i is inside a list of pairs
    value = value === null ? line : `${value}, ${line}`;
  }
  if (value !== null && /[^\t\x20-\x7e]/.test(value)) return null;
  return x.hasAmbiguousFieldNames && hasLookAlike(headers, name) ? null : value;
}

/** A component's name as it must be written: derived, or a field's in lowercase. */
export const isComponent = (name: string): boolean =>
  name.startsWith("@") ? DERIVED_COMPONENTS.includes(name) : /^[a-z0-9-]+$/.test(name) && !isAmbiguousFieldName(name);

/** @returns the signature base; or the component that cannot be used, in `missing` */
export function signatureBase(x: Exchange, input: SignatureInput): { readonly base: string } | { readonly missing: string } {
  let base = "";
  const seen = new Set<string>();
  for (const name of input.components) {
    const value = isComponent(name) && !seen.has(name) ? componentValue(x, name) : null;
    if (value === null) return { missing: name };
    seen.add(name);
    base += `"${name}": ${value}\n`;
  }
  return { base: `${base}"@signature-params": ${serialiseInput(input)}` };
}
