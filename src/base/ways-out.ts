// Owns the named ways out: what is refused or held back unless somebody writes its name under `insecure`, what each opens, and what the loader then
// warns of. One table for schemas, checks, the admin listener and the docs. Pure. Must never list what is a choice of a setting of its own.

/** Where `insecure` may stand, as the docs write it. */
export const PLACES = {
  jwt: "auth.NAME.jwt",
  introspection: "auth.NAME.introspection",
  basic: "auth.NAME.basic",
  upstream: "upstreams.NAME",
  route: "routes[]",
  redis: "redis",
} as const;

export type WayOutPlace = keyof typeof PLACES;

interface WayOutEntry {
  /** Where it may be written. */
  readonly places: readonly WayOutPlace[];
  /** What is let through that is refused otherwise, as the reference has it. */
  readonly opens: string;
  /** What the loader warns of. */
  readonly warning: string;
  /** What to do instead. */
  readonly remedy: string;
}

const TABLE = {
  "any-issuer": {
    places: ["jwt"],
    opens: "with `issuer: any`, tokens of whatever `iss`, also without one: whoever has one of the keys may issue them.",
    warning: "tokens are taken whatever issuer they name",
    remedy: "write the `iss` of the tokens as `issuer`",
  },
  "any-tenant": {
    places: ["jwt"],
    opens: "instead of `tenants`, whoever is a tenant of the provider may issue tokens. Everybody can become one.",
    warning: "everybody who becomes a tenant of the provider can issue tokens",
    remedy: "list your tenants under `tenants`",
  },
  "http-jwks": {
    places: ["jwt"],
    opens: "key sets and discovery documents over plain http: whoever can change the answer on its way can sign tokens.",
    warning: "keys are fetched over plain http: whoever can change the answer on its way can sign tokens",
    remedy: "serve them by https, with `keyFetch.ca` for an authority of your own",
  },
  "http-introspection": {
    places: ["introspection"],
    opens:
      "an introspection endpoint over plain http, or one whose certificate is not verified: whoever is on the way reads the client secret and every token, and can say who is calling.",
    warning: "tokens are introspected over a connection that others can read and change: they get the client secret and every token",
    remedy: "serve the endpoint by https, with `ca` for an authority of your own",
  },
  "weak-hashes": {
    places: ["basic"],
    opens: "passwords stored as apr1 (MD5) or `{SHA}` (SHA-1): whoever gets the file finds most of the passwords.",
    warning: "passwords stored as apr1 or {SHA} are taken: whoever gets the file finds most of them",
    remedy: "hash them anew with `sluice password hash`, or `htpasswd -B -C 10`",
  },
  "tls-unverified": {
    places: ["upstream", "redis"],
    opens: "any certificate, whoever signed it and whatever name it has: whoever is on the way can pose as the other side.",
    warning: "the certificate is not verified: whoever is on the way can pose as the other side",
    remedy: "name the authority that signed it as `tls.ca`, and its name as `tls.serverName`",
  },
  "old-tls": {
    places: ["upstream"],
    opens:
      "TLS from 1.0 on unless `tls.minVersion` is written, servers that cannot renegotiate safely (RFC 5746), and keys, signatures and cipher suites of OpenSSL's security level 0: whoever is on the way may be able to read and change what is said.",
    warning: "TLS of before 2008 is spoken where the service knows no better: it can be broken",
    remedy: "renew the service's TLS, or put a proxy of today beside it",
  },
  "method-override": {
    places: ["route"],
    opens:
      "`X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override` go upstream: services take the request for one of another method than the route has matched, and nothing that the gateway decides by method holds.",
    warning: "clients can order another method than the one that the route has matched: nothing that is decided by method holds",
    remedy: "have clients send the method itself, or restrict the route's callers",
  },
} as const satisfies Readonly<Record<string, WayOutEntry>>;

export type WayOut = keyof typeof TABLE;

export const WAYS_OUT: Readonly<Record<WayOut, WayOutEntry>> = TABLE;
export const WAY_OUT_NAMES = Object.keys(TABLE) as readonly WayOut[]; // of the constant above

/** Those that may stand in one place. */
export const waysOutAt = (place: WayOutPlace): readonly WayOut[] => WAY_OUT_NAMES.filter((name) => WAYS_OUT[name].places.includes(place));

/** @returns where one may be written, for messages and docs */
export const placesOf = (name: WayOut): string => WAYS_OUT[name].places.map((place) => PLACES[place]).join(" or ");

export const isWayOut = (text: unknown): text is WayOut => typeof text === "string" && Object.hasOwn(TABLE, text);
