// Owns what a client certificate is called: its names and its fingerprint, each in one spelling. Pure.
// Must never take a part of a name for the name: what has a character that names do not have is no name.
import type { X509Certificate } from "node:crypto";
import { callerName } from "../../base/caller-name.ts";

/** RFC 5280 section 4.2.1.6, as far as clients are named so. */
export interface AlternativeNames {
  readonly dns: readonly string[];
  readonly email: readonly string[];
  readonly uri: readonly string[];
}

const DNS = /^[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$/;
const EMAIL = /^[\x21-\x3f\x41-\x7e]+@[\x21-\x3f\x41-\x7e]+$/;
const URI = /^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]+$/;

/** @returns null when there are names in it that cannot be told apart from their text. */
export function alternativeNames(certificate: X509Certificate): AlternativeNames | null {
  const names = { dns: [] as string[], email: [] as string[], uri: [] as string[] };
  const { subjectAltName } = certificate;
  if (subjectAltName === undefined) return names;
  // OpenSSL's text; node quotes every value that holds a comma, a quote or the like.
  if (subjectAltName.includes('"')) return null;
  for (const entry of subjectAltName.split(", ")) {
    const colon = entry.indexOf(":");
    const value = entry.slice(colon + 1);
    switch (entry.slice(0, colon)) {
      case "DNS":
        names.dns.push(value.toLowerCase());
        break;
      case "email":
        names.email.push(value);
        break;
      case "URI":
        names.uri.push(value);
        break;
    }
  }
  // A wildcard names many hosts and no caller.
  names.dns = names.dns.filter((name) => !name.startsWith("*."));
  return names.dns.every((name) => DNS.test(name)) &&
    names.email.every((name) => EMAIL.test(name)) &&
    names.uri.every((name) => URI.test(name))
    ? names
    : null;
}

/** @returns the one common name of the subject; null when there is none, or several. */
export function commonName(certificate: X509Certificate): string | null {
  // node's types know one value an attribute; several come as a list.
  const name: unknown = certificate.toLegacyObject().subject.CN;
  return callerName(name);
}

/** `sha256:` and the lowercase hexadecimal SHA-256 of the whole certificate. */
export const fingerprintOf = (certificate: X509Certificate): string =>
  `sha256:${certificate.fingerprint256.replaceAll(":", "").toLowerCase()}`;

/** SPIFFE ID, sections 2.1 to 2.3: a trust domain, and segments that are neither empty nor dots; no query, fragment, port or user. */
const SPIFFE = /^spiffe:\/\/[a-z0-9._-]{1,255}(\/(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)*$/;
const SPIFFE_BYTES_MAX = 2048;

/** @returns the SPIFFE ID of an X.509-SVID (sections 2 and 5.2: exactly one URI, and no authority's certificate); null when it is none. */
export function spiffeId(certificate: X509Certificate): string | null {
  const [id, ...more] = alternativeNames(certificate)?.uri ?? [];
  if (id === undefined || more.length > 0 || certificate.ca) return null;
  return isSpiffeId(id) ? id : null;
}

export const isSpiffeId = (text: string): boolean => text.length <= SPIFFE_BYTES_MAX && SPIFFE.test(text);

/** @returns the one spelling of a name as an operator may write it: fingerprints lowercase without colons, host names lowercase. */
export function certificateName(written: string): string {
  const fingerprint = /^sha-?256:([0-9A-Fa-f:]+)$/i.exec(written)?.[1]?.replaceAll(":", "").toLowerCase();
  if (fingerprint !== undefined && fingerprint.length === 64) return `sha256:${fingerprint}`;
  return /^[A-Za-z0-9._-]+$/.test(written) ? written.toLowerCase() : written;
}
