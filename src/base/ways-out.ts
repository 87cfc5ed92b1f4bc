// Owns the named ways out: what is refused unless somebody writes its name under `insecure`, what each opens, and what the loader then warns of.
// One table for schemas, checks, the admin listener and the docs. Pure. Must never list what has a key of its own.

/** Where `insecure` may stand: the key of an authenticator's kind. */
export type WayOutPlace = "jwt" | "basic";

interface WayOutEntry {
  /** Where it may be written. */
  readonly place: WayOutPlace;
  /** What is let through that is refused otherwise, as the reference has it. */
  readonly opens: string;
  /** What the loader warns of. */
  readonly warning: string;
  /** What to do instead. */
  readonly remedy: string;
}

const TABLE = {
  "any-issuer": {
    place: "jwt",
    opens: "with `issuer: any`, tokens of whatever `iss`, also without one: whoever has one of the keys may issue them.",
    warning: "tokens are taken whatever issuer they name",
    remedy: "write the `iss` of the tokens as `issuer`",
  },
  "any-tenant": {
    place: "jwt",
    opens: "instead of `tenants`, whoever is a tenant of the provider may issue tokens. Everybody can become one.",
    warning: "everybody who becomes a tenant of the provider can issue tokens",
    remedy: "list your tenants under `tenants`",
  },
  "http-jwks": {
    place: "jwt",
    opens: "key sets and discovery documents over plain http: whoever can change the answer on its way can sign tokens.",
    warning: "keys are fetched over plain http: whoever can change the answer on its way can sign tokens",
    remedy: "serve them by https, with `keyFetch.ca` for an authority of your own",
  },
  "weak-hashes": {
    place: "basic",
    opens: "passwords stored as apr1 (MD5) or `{SHA}` (SHA-1): whoever gets the file finds most of the passwords.",
    warning: "passwords stored as apr1 or {SHA} are taken: whoever gets the file finds most of them",
    remedy: "hash them anew with `sluice password hash`, or `htpasswd -B -C 10`",
  },
} as const satisfies Readonly<Record<string, WayOutEntry>>;

export type WayOut = keyof typeof TABLE;

export const WAYS_OUT: Readonly<Record<WayOut, WayOutEntry>> = TABLE;
export const WAY_OUT_NAMES = Object.keys(TABLE) as readonly WayOut[]; // of the constant above

/** Those that may stand in one place. */
export const waysOutAt = (place: WayOutPlace): readonly WayOut[] => WAY_OUT_NAMES.filter((name) => WAYS_OUT[name].place === place);

export const isWayOut = (text: unknown): text is WayOut => typeof text === "string" && Object.hasOwn(TABLE, text);
