// Owns what the configuration may say of a provider with many tenants: a name in braces in its issuer, and what must then stand beside it. For the primary only.
// Must never take everybody's tokens without the operator having written so.
import { territoryOf } from "../../../credentials/id-space.ts";
import { hasBraces, type IssuerPattern, splitPlaceholder } from "../../../credentials/issuer-pattern.ts";

/** What the schema read. */
interface Written {
  readonly issuer?: string | undefined;
  readonly tenants?: readonly string[] | undefined;
  readonly insecure?: readonly string[] | undefined;
  readonly discovery?: true | string | undefined;
  readonly consumerPrefix: string;
}

type Complain = (key: keyof Written, message: string, remedy: string) => void;

/** @returns null for an issuer that stands for itself, and when it complained */
export function issuerPattern({ issuer, tenants, insecure, discovery, consumerPrefix }: Written, complain: Complain): IssuerPattern | null {
  if (issuer === undefined) return null;
  const split = splitPlaceholder(issuer);
  if (split === null) {
    if (hasBraces(issuer))
      complain("issuer", "has other braces than those of one name", "write one, such as https://login.example.com/{tid}/v2.0");
    if (tenants !== undefined)
      complain("tenants", "the issuer has no name in braces for them", "write `{tid}` into the issuer, or remove `tenants`");
    if (insecure !== undefined) complain("insecure", "the issuer has no name in braces", "remove it");
    if (hasBraces(consumerPrefix)) complain("consumerPrefix", "the issuer has no name in braces", "remove the braces");
    return null;
  }
  if (tenants === undefined && insecure === undefined)
    complain("tenants", "everybody can become a tenant of such a provider", "list your tenants, or write `insecure: [any-tenant]`");
  if (tenants !== undefined && insecure !== undefined) complain("insecure", "stands beside `tenants`", "keep one of them");
  if (discovery === true)
    complain(
      "discovery",
      "no one document belongs to this issuer, and no claim is put into a URL",
      "name the document's URL, or give `jwks`",
    );
  if (hasBraces(consumerPrefix)) checkTenantPrefix(consumerPrefix, split.claim, complain);
  return { ...split, tenants: tenants ?? null };
}

/** What stands around the tenant keeps its ids apart from other issuers' (before it) and other tenants' (behind it). */
function checkTenantPrefix(prefix: string, claim: string, complain: Complain): void {
  const split = splitPlaceholder(prefix);
  if (split?.claim !== claim) complain("consumerPrefix", `the name in its braces is not the issuer's`, `write {${claim}}`);
  else if (territoryOf(prefix) === "" || split.tail === "" || /^[A-Za-z0-9-]/.test(split.tail))
    complain(
      "consumerPrefix",
      "the tenant's name could run into others",
      `write a text before it and a mark behind it, such as corp:{${claim}}:`,
    );
}
