// Owns the question whether a client that was let in by its certificate would be let in today: for connections that are older than a change of
// `tls.clientCa`. Must never say yes to a certificate that no authority of today vouches for.
import { X509Certificate } from "node:crypto";

/** Certificates between a client's and its root, beyond any real chain. */
const CHAIN_MAX = 10;

const BLOCK = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;

/** @throws Error for a block that is no certificate */
export const authoritiesOf = (pem: string): readonly X509Certificate[] =>
  (pem.match(BLOCK) ?? []).map((block) => new X509Certificate(block));

/**
 * As OpenSSL builds a path (RFC 5280 section 6.1): from the certificate, over what the client sent along and the authorities, to an authority that signed
 * itself. That the certificate is in order was checked when the connection began.
 */
export function isVouchedFor(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  return reaches(certificate, [...sentWith(certificate), ...authorities], new Set(authorities.map((each) => each.fingerprint256)));
}

/** What the client sent along, as far as it is linked. */
function sentWith(certificate: X509Certificate): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  for (let each = certificate.issuerCertificate; each !== undefined && chain.length < CHAIN_MAX; each = each.issuerCertificate)
    chain.push(each);
  return chain;
}

function reaches(from: X509Certificate, issuers: readonly X509Certificate[], roots: ReadonlySet<string>): boolean {
  let open = [from];
  for (let depth = 0; depth < CHAIN_MAX && open.length > 0; depth++) {
    const issuing = issuers.filter((issuer) => open.some((each) => isIssuedBy(each, issuer)));
    if (issuing.some((each) => roots.has(each.fingerprint256) && isIssuedBy(each, each))) return true;
    open = issuing;
  }
  return false;
}

const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  issuer.ca && Date.now() <= Date.parse(issuer.validTo) && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
