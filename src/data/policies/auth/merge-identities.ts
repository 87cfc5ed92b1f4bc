// Owns what two proven identities of one consumer amount to together (`all`). Must never join two different consumers.
import type { Identity } from "../../exchange/identity/identity.ts";

/** Authenticators remember identities, so the same two meet again and again; both ends are held weakly. */
const merged = new WeakMap<Identity, WeakMap<Identity, Identity>>();

/**
 * Both were proven, so each one's grants hold: scopes, roles and groups are joined. Claims are joined too, but not those on which the two disagree:
 * nobody could say whose was meant. Ids of consumers are one name space over all authenticators.
 * @returns null when they are different consumers
 */
export function mergeIdentities(a: Identity, b: Identity): Identity | null {
  if (a.consumer !== b.consumer) return null;
  const known = merged.get(a)?.get(b);
  if (known !== undefined) return known;
  const identity: Identity = {
    consumer: a.consumer,
    authenticator: `${a.authenticator}+${b.authenticator}`,
    tier: a.tier ?? b.tier,
    scopes: union(a.scopes, b.scopes),
    roles: union(a.roles, b.roles),
    groups: union(a.groups, b.groups),
    partial: a.partial || b.partial,
    claims: a.claims === null || b.claims === null ? (a.claims ?? b.claims) : agreed(a.claims, b.claims),
    expiresMs: Math.min(a.expiresMs, b.expiresMs),
  };
  let withA = merged.get(a);
  if (withA === undefined) merged.set(a, (withA = new WeakMap()));
  withA.set(b, identity);
  return identity;
}

const union = (a: readonly string[], b: readonly string[]): readonly string[] => [...new Set([...a, ...b])];

type Claims = Readonly<Record<string, unknown>>;

function agreed(a: Claims, b: Claims): Claims {
  const claims: Record<string, unknown> = { ...b, ...a };
  for (const [name, value] of Object.entries(a))
    if (Object.hasOwn(b, name) && JSON.stringify(b[name]) !== JSON.stringify(value)) delete claims[name];
  return claims;
}
