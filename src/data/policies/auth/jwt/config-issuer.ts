// Owns what the configuration may say of a provider with many tenants: a name in braces in its issuer, and what must then stand beside it. For the primary only.
// Must never take everybody's tokens without the operator having written so.
import type { WayOut } from "../../../../base/ways-out.ts";
import { territoryOf } from "../../../credentials/id-space.ts";
import { hasBraces, type IssuerPattern, splitPlaceholder } from "../../../credentials/issuer-pattern.ts";

/** What the schema read. */
interface Written {
  readonly issuer?: string | undefined;
  readonly tenants?: readonly string[] | undefined;
  readonly insecure?: readonly WayOut[] | undefined;
  readonly discovery?: true | string | undefined;
  readonly consumerPrefix: string;
}

/** The word for an issuer that is not looked at. */
export const ANY_ISSUER = "any";

type Complain = (key: keyof Written, message: string, remedy: string) => void;

/** @returns null for an issuer that stands for itself, and when it complained */
export function issuerPattern(written: Written, complain: Complain): IssuerPattern | null {
  const { issuer, tenants, insecure = [], discovery, consumerPrefix } = written;
  if (issuer === undefined) return null;
  checkAnyIssuer(written, complain);
  const anyTenant = insecure.includes("any-tenant");
  const split = splitPlaceholder(issuer);
  if (split === null) {
    if (hasBraces(issuer))
      complain("issuer", "has other braces than those of one name", "write one, such as https://login.example.com/{tid}/v2.0");
    if (tenants !== undefined)
      complain("tenants", "the issuer has no name in braces for them", "write `{tid}` into the issuer, or remove `tenants`");
    if (anyTenant) complain("insecure", "the issuer has no name in braces for any-tenant", "remove it");
    if (hasBraces(consumerPrefix)) complain("consumerPrefix", "the issuer has no name in braces", "remove the braces");
    return null;
  }
  if (tenants === undefined && !anyTenant)
    complain("tenants", "everybody can become a tenant of such a provider", "list your tenants, or write `insecure: [any-tenant]`");
  if (tenants !== undefined && anyTenant) complain("insecure", "any-tenant stands beside `tenants`", "keep one of them");
  if (discovery === true)
    complain(
      "discovery",
      "no one document belongs to this issuer, and no claim is put into a URL",
      "name the document's URL, or give `jwks`",
    );
  if (hasBraces(consumerPrefix)) checkTenantPrefix(consumerPrefix, split.claim, complain);
  return { ...split, tenants: tenants ?? null };
}

function checkAnyIssuer({ issuer, insecure = [], discovery }: Written, complain: Complain): void {
  const named = insecure.includes("any-issuer");
  if (issuer !== ANY_ISSUER) {
    if (named) complain("insecure", "any-issuer stands beside an issuer that is named", `remove it, or write \`issuer: ${ANY_ISSUER}\``);
    return;
  }
  if (!named)
    complain(
      "issuer",
      "whoever has one of the keys could issue tokens for this API, whatever they were made for",
      "write the `iss` of the tokens; to take any, add `insecure: [any-issuer]`",
    );
  if (discovery !== undefined)
    complain("discovery", "a discovery document belongs to one issuer, and none is named", "give `jwks`, `keys` or `secret`");
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
