// Owns what a client certificate is called: its names and its fingerprint, each in one spelling. Pure.

/** @returns the one spelling of a name as an operator may write it: fingerprints lowercase without colons, host names lowercase. */
export function certificateName(written: string): string {
  const fingerprint = /^sha-?256:([0-9A-Fa-f:]+)$/i.exec(written)?.[1]?.replaceAll(":", "").toLowerCase();
  if (fingerprint !== undefined && fingerprint.length === 64) return `sha256:${fingerprint}`;
  return /^[A-Za-z0-9._-]+$/.test(written) ? written.toLowerCase() : written;
}
