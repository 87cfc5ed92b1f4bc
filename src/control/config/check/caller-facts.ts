// Owns what can be known of callers from a configuration alone: which consumers an authenticator can prove, and what of scopes, roles, groups and tiers
// comes from where. Pure.
import type { BasicConfig } from "../../../data/policies/auth/basic/config.ts";
import type { JwtConfig } from "../../../data/policies/auth/jwt/config.ts";
import type { MtlsConfig } from "../../../data/policies/auth/mtls/config.ts";
import type { Config } from "../schema/schema.ts";

export const GRANTS = ["scopes", "roles", "groups", "tiers"] as const;
export type Grant = (typeof GRANTS)[number];

type Authenticator = Config["auth"][number];
type Consumer = Config["consumers"][number];

/** Kinds that find a consumer by a credential of its own: whether it has one. */
const OWN_CREDENTIAL: Readonly<Record<string, (consumer: Consumer) => boolean>> = {
  apiKey: ({ keys }) => keys.length > 0,
  basic: ({ password }) => password !== null,
  signature: ({ signingSecrets }) => signingSecrets.length > 0,
};

/** Users of an htpasswd file, by name; null for other authenticators. */
const listedUsers = ({ kind, config }: Authenticator): ReadonlySet<string> | null => {
  const users = kind === "basic" ? (config as BasicConfig).users : null; // output of its schema
  return users === null ? null : new Set(users.map(({ username }) => username));
};

/** How the providers of an authenticator read claims; none for other kinds. */
interface Reading {
  /** Of each, where it stands in the credential; null: nowhere. */
  readonly claims: Readonly<Record<Exclude<Grant, "tiers"> | "tier", unknown>>;
  readonly onlyKnownConsumers: boolean;
}

function readings({ kind, config }: Authenticator): readonly Reading[] {
  // Each is the output of its kind's schema.
  if (kind === "jwt") return (config as JwtConfig).providers;
  return kind === "introspection" || kind === "forwardAuth" ? [config as Reading] : [];
}

/** What the consumers that one kind can prove have. */
interface Provable {
  readonly ids: ReadonlySet<string>;
  readonly grants: Readonly<Record<Grant, ReadonlySet<string>>>;
}

export class CallerFacts {
  readonly #authenticators: ReadonlyMap<string, Authenticator>;
  readonly #consumers: readonly Consumer[] | null;
  /** By kind where consumers have a credential of their own, by `kind NAME` where a file lists users; else ''. */
  readonly #provable = new Map<string, Provable>();

  /** @param consumers null when nobody can know them all, because another place holds more: then they are taken to have anything */
  constructor(authenticators: readonly Authenticator[], consumers: readonly Consumer[] | null) {
    this.#authenticators = new Map(authenticators.map((each) => [each.name, each]));
    this.#consumers = consumers;
  }

  get names(): readonly string[] {
    return [...this.#authenticators.keys()];
  }

  /** Whether the credential itself says something of this. @param name of an authenticator; unknown ones carry everything, since that is said elsewhere */
  carries(name: string, grant: Grant): boolean {
    const authenticator = this.#authenticators.get(name);
    if (authenticator === undefined) return true;
    return readings(authenticator).some(({ claims }) => claims[grant === "tiers" ? "tier" : grant] !== null);
  }

  hasClaims(name: string): boolean {
    const kind = this.#authenticators.get(name)?.kind;
    return kind === undefined || OWN_CREDENTIAL[kind] === undefined;
  }

  /** Whether it proves configured consumers only. */
  isClosed(name: string): boolean {
    const authenticator = this.#authenticators.get(name);
    if (authenticator === undefined) return false;
    if (authenticator.kind === "mtls") {
      const { consumerFrom, onlyKnownConsumers } = authenticator.config as MtlsConfig; // output of its schema
      return onlyKnownConsumers || consumerFrom === "fingerprint";
    }
    return OWN_CREDENTIAL[authenticator.kind] !== undefined || readings(authenticator).every((each) => each.onlyKnownConsumers);
  }

  exists(id: string): boolean {
    return this.#of("").ids.has(id) || this.names.some((name) => this.#by(name).ids.has(id));
  }

  /** Ids of the consumers that one of these authenticators can prove; null when that is not known. */
  provable(names: readonly string[]): ReadonlySet<string> | null {
    if (this.#consumers === null) return null;
    return new Set(names.flatMap((name) => [...this.#by(name).ids]));
  }

  /** What the configuration gives the consumers that one of these can prove; null when that is not known. */
  granted(names: readonly string[], grant: Grant): ReadonlySet<string> | null {
    if (this.#consumers === null) return null;
    return new Set(names.flatMap((name) => [...this.#by(name).grants[grant]]));
  }

  /** Whether any caller anywhere can have this. */
  isFilled(grant: Grant): boolean {
    return this.#consumers === null || this.names.some((name) => this.carries(name, grant) || this.#by(name).grants[grant].size > 0);
  }

  #by(name: string): Provable {
    const authenticator = this.#authenticators.get(name);
    const kind = authenticator?.kind ?? "";
    const listed = authenticator === undefined ? null : listedUsers(authenticator);
    if (listed !== null) return this.#of(`${kind} ${name}`, listed);
    return this.#of(OWN_CREDENTIAL[kind] === undefined ? "" : kind);
  }

  /** @param listed users that a file names; those whom no consumer knows have nothing */
  #of(kind: string, listed: ReadonlySet<string> | null = null): Provable {
    let found = this.#provable.get(kind);
    if (found !== undefined) return found;
    const isListed = ({ id, username }: Consumer): boolean =>
      listed?.has(id) === true || (username !== null && listed?.has(username) === true);
    const has = listed === null ? (OWN_CREDENTIAL[kind] ?? (() => true)) : isListed;
    const grants = { scopes: new Set<string>(), roles: new Set<string>(), groups: new Set<string>(), tiers: new Set<string>() };
    const ids = new Set<string>(listed);
    for (const consumer of this.#consumers ?? []) {
      if (!has(consumer)) continue;
      if (listed !== null && consumer.username !== null) ids.delete(consumer.username); // it names a consumer of another id
      ids.add(consumer.id);
      for (const grant of ["scopes", "roles", "groups"] as const) for (const each of consumer[grant]) grants[grant].add(each);
      if (consumer.tier !== null) grants.tiers.add(consumer.tier);
    }
    this.#provable.set(kind, (found = { ids, grants }));
    return found;
  }
}
