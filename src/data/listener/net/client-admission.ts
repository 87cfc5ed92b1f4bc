// Owns which clients a listener lets in by their certificates, when they come and when another plan is in force. Must never let in whom nobody vouches for.
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { ClientAuthPlan } from "../../../plan/listener-plan.ts";
import { authoritiesOf, isVouchedFor } from "../client-authority.ts";

/**
 * The client's certificate; null for none, false when the connection must not be served. Said here again although the handshake has looked: with
 * `optional` it lets bad certificates through, and a resumed session without any counts as verified.
 */
export function certificateOf(socket: TLSSocket, clientAuth: ClientAuthPlan | null): X509Certificate | null | false {
  if (clientAuth === null) return null;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return clientAuth.required ? false : null;
  return socket.authorized ? certificate : false;
}

export class ClientAdmission {
  readonly #authorities: readonly X509Certificate[];
  /** Nobody may come without a certificate. */
  readonly #required: boolean;

  /** Without authorities that can be read nobody is vouched for. */
  constructor(clientAuth: ClientAuthPlan | null) {
    let authorities: readonly X509Certificate[] | null = [];
    try {
      if (clientAuth !== null) authorities = authoritiesOf(clientAuth.ca);
    } catch {
      authorities = null;
    }
    this.#authorities = authorities ?? [];
    this.#required = authorities === null || (clientAuth?.required ?? false);
  }

  admits(certificate: X509Certificate | null): boolean {
    return certificate === null ? !this.#required : isVouchedFor(certificate, this.#authorities);
  }
}
