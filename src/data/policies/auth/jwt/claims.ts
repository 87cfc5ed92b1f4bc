// Owns the rules about a token's registered claims (RFC 7519 section 4.1). Pure; time is handed in.
import { claimAt as claimNamed } from "../../../routing/claim.ts";
import type { ClaimPath } from "./config-claims.ts";
import type { JwtProviderConfig } from "./config-provider.ts";
import type { UnprovenToken } from "./token.ts";

/** The claims are good until then, by the wall clock, ms; Infinity when nothing ends them. */
export interface ClaimsGood {
  readonly untilMs: number;
}

/** @property final whether the same token can never be good later */
export interface ClaimsProblem {
  readonly problem: string;
  readonly final: boolean;
}

const broken = (problem: string): ClaimsProblem => ({ problem, final: true });

/** @param nowMs Date.now() */
export function checkClaims(token: UnprovenToken, provider: JwtProviderConfig, nowMs: number): ClaimsGood | ClaimsProblem {
  const { claims } = token;
  if (provider.typ !== null && (token.typ === null || withoutPrefix(token.typ) !== provider.typ))
    return broken(`the token's \`typ\` is not ${provider.typ}`);
  if (provider.audiences !== null && !isMeantFor(claims["aud"], provider.audiences)) return broken("the token is for another audience");
  for (const path of provider.required) {
    const value = claimAt(claims, path);
    if (value === undefined || value === null || value === "") return broken(`the token lacks the claim ${path.join(".")}`);
  }
  return checkTimes(claims, provider, nowMs);
}

/** Media types know no case, and `application/` may be left out (RFC 7515 section 4.1.9). */
const withoutPrefix = (typ: string): string => typ.toLowerCase().replace(/^application\//, "");

function isMeantFor(aud: unknown, audiences: readonly string[]): boolean {
  if (typeof aud === "string") return audiences.includes(aud);
  return Array.isArray(aud) && aud.every((each) => typeof each === "string") && aud.some((each) => audiences.includes(each));
}

function checkTimes(claims: UnprovenToken["claims"], provider: JwtProviderConfig, nowMs: number): ClaimsGood | ClaimsProblem {
  const { clockSkewMs, maxAgeMs } = provider;
  const [exp, nbf, iat] = [timeMs(claims["exp"]), timeMs(claims["nbf"]), timeMs(claims["iat"])];
  if (exp === null || nbf === null || iat === null)
    return broken("the token's `exp`, `nbf` and `iat` must be numbers of seconds that are not negative");
  if (exp === undefined && provider.requireExp) return broken("the token has no `exp`");
  if (iat === undefined && maxAgeMs !== null) return broken("the token has no `iat`");
  if (exp !== undefined && nowMs >= exp + clockSkewMs) return broken("the token has expired");
  if (nbf !== undefined && nowMs < nbf - clockSkewMs) return { problem: "the token is not good yet (`nbf`)", final: false };
  if (iat !== undefined && nowMs < iat - clockSkewMs) return { problem: "the token was issued in the future (`iat`)", final: false };
  const oldMs = maxAgeMs === null || iat === undefined ? Number.POSITIVE_INFINITY : iat + maxAgeMs + clockSkewMs;
  if (nowMs >= oldMs) return broken("the token is too old (`iat`)");
  return { untilMs: Math.min(oldMs, exp === undefined ? Number.POSITIVE_INFINITY : exp + clockSkewMs) };
}

/**
 * A NumericDate (RFC 7519 section 2): it may have a fraction.
 * @returns ms; undefined when there is none; null when it is no time
 */
function timeMs(value: unknown): number | undefined | null {
  if (value === undefined) return undefined;
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value * 1000 : null;
}

/** @returns undefined where the path leads nowhere; own members only */
export function claimAt(claims: Readonly<Record<string, unknown>>, path: ClaimPath): unknown {
  const [only] = path;
  if (path.length === 1 && only !== undefined) return claimNamed(claims, only);
  let value: unknown = claims;
  for (const part of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, part)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[part]; // an object that has this member
  }
  return value;
}
