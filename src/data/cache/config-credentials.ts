// Owns the request headers that prove something: what they hold must not stand in a key.

/** Lowercase. */
export const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set(["authorization", "proxy-authorization", "cookie"]);
