// Owns the outcomes that authenticators have in common, and how a configured consumer becomes an identity.
// Must never put a part of a credential into a detail.
import type { ErrorCode } from "../../../base/errors.ts";
import type { ConsumerPlan } from "../../../plan/plan.ts";
import type { AuthOutcome, BearerError } from "../../exchange/identity/authenticator.ts";
import type { Identity } from "../../exchange/identity/identity.ts";

/** An outcome that is no promise. */
export type Refused = Extract<AuthOutcome, { readonly kind: "refused" }>;

export const ABSENT: AuthOutcome = { kind: "absent" };

/** @param error only where RFC 6750 (Bearer) applies */
export const refused = (detail: string, error: BearerError | null = null): Refused => ({ kind: "refused", error, detail });

export const unavailable = (code: ErrorCode, detail: string): AuthOutcome => ({ kind: "unavailable", code, detail });

export const proven = (identity: Identity): AuthOutcome => ({ kind: "identity", identity });

/** The identity of a configured consumer: everything but the claims comes from the configuration. */
export function consumerIdentity(
  consumer: ConsumerPlan,
  authenticator: string,
  more: Partial<Pick<Identity, "claims" | "expiresMs">> = {},
): Identity {
  const { id, tier, scopes, roles, groups } = consumer;
  const { claims = null, expiresMs = Number.POSITIVE_INFINITY } = more;
  return { consumer: id, authenticator, tier, scopes, roles, groups, partial: false, claims, expiresMs };
}

/** `Basic realm="legacy"`: the names of authenticators hold nothing that must be escaped (RFC 9110 section 5.6.4). */
export const challengeOf = (scheme: string, name: string): string => `${scheme} realm="${name}"`;
