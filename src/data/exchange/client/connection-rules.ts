// Owns what a request's Connection header may name. What it names does not go upstream (RFC 9110 section 7.6.1), so that it could take away a field
// by which the gateway decides, or one that the gateway itself answers for: those it may not name, all others are gone before anything is decided.
import { cgiEquivalent } from "../../../base/http.ts";
import { isOriginClaim } from "../../../base/origin-claims.ts";
import type { Plan } from "../../../plan/plan.ts";

/** Framing, addressing, credentials, and what the gateway writes itself. */
const FIXED: readonly string[] = [
  "authorization",
  "content-length",
  "cookie",
  "expect",
  "forwarded",
  "host",
  "transfer-encoding",
  "x-real-ip",
  "x-request-id",
];

/** What signatures stand in, and hold bodies to (RFC 9421 section 4, RFC 9530). */
const SIGNATURE_FIELDS: readonly string[] = ["content-digest", "signature", "signature-input"];

export class ConnectionRules {
  readonly #kept: ReadonlySet<string>;

  constructor(plan: Pick<Plan, "identity" | "authenticators" | "routes">) {
    const callers = plan.routes.flatMap(({ policies }) => policies.filter(({ name }) => name === "forwardAuth"));
    const read = [...plan.authenticators.flatMap(fieldsOf), ...[...plan.authenticators, ...callers].flatMap(sentFields)];
    this.#kept = new Set([...FIXED, ...plan.identity.protectedNames, ...read].map(cgiEquivalent));
  }

  /** @param option lowercase, neither close, keep-alive nor upgrade. @returns false: the request is refused */
  mayName(option: string): boolean {
    const plain = cgiEquivalent(option);
    return !this.#kept.has(plain) && !isOriginClaim(plain);
  }
}

/** Header fields that a service receives, which decides by them. */
function sentFields({ config }: { readonly config: unknown }): readonly string[] {
  const { requestHeaders } = config as { readonly requestHeaders?: unknown }; // as whatever calls a service spells it
  return Array.isArray(requestHeaders) ? requestHeaders.filter((each) => typeof each === "string") : [];
}

/** Header fields that an authenticator reads. */
function fieldsOf({ kind, config }: Plan["authenticators"][number]): readonly string[] {
  // As the kinds that read a header, and signatures, spell it.
  const { from = [], components } = config as {
    readonly from?: readonly { readonly in: string; readonly name: string }[];
    readonly components?: unknown;
  };
  const fields: string[] = kind === "signature" ? [...SIGNATURE_FIELDS] : [];
  for (const { in: place, name } of from) if (place === "header") fields.push(name);
  if (Array.isArray(components)) for (const each of components) if (typeof each === "string" && !each.startsWith("@")) fields.push(each);
  return fields;
}
