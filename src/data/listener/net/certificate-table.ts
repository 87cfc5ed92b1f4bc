// Owns which of a listener's certificates belongs to a host name: for the name in a handshake (SNI), and for the host of a request on that connection.
import type { CertificatePlan } from "../../../plan/listener-plan.ts";

export class CertificateTable {
  readonly #byName = new Map<string, number>();

  constructor(certificates: readonly CertificatePlan[]) {
    for (const [index, { hosts }] of certificates.entries())
      for (const host of hosts) if (!this.#byName.has(host.toLowerCase())) this.#byName.set(host.toLowerCase(), index);
  }

  /**
   * Exact names win; `*.example.com` covers one label (RFC 9525 section 6.3).
   * @param name in lower case
   * @returns its index; 0, the default certificate, where none names it
   */
  indexOf(name: string): number {
    return this.#byName.get(name) ?? this.#byName.get(`*${name.slice(Math.max(0, name.indexOf(".")))}`) ?? 0;
  }

  /** Whether a connection that was begun for one name shows the certificate of another: a request for it there has not come where it belongs. */
  isSame(name: string, other: string): boolean {
    return name === other || this.#byName.size === 0 || this.indexOf(name) === this.indexOf(other);
  }
}
