// Owns which peers are believed about the hops before them: the blocks of trustedProxies. Pure; what they say is forwarded.ts.
import { CidrSet } from "./ip.ts";

/** Entry of trustedProxies that stands for peers on a Unix socket, which have no address. */
export const TRUST_UNIX = "unix";

export class ClientTrust {
  readonly #trusted: CidrSet;
  readonly #trustUnix: boolean;
  /** Nobody is ever believed. */
  readonly isEmpty: boolean;

  /**
   * @param trustedProxies CIDR blocks, and {@link TRUST_UNIX} for peers on Unix sockets
   * @throws RangeError for a block that the configuration should have refused
   */
  constructor(trustedProxies: readonly string[]) {
    this.#trusted = new CidrSet(trustedProxies.filter((block) => block !== TRUST_UNIX));
    this.#trustUnix = trustedProxies.includes(TRUST_UNIX);
    this.isEmpty = trustedProxies.length === 0;
  }

  /** @param peer canonical; '' for one on a Unix socket */
  trusts(peer: string): boolean {
    return peer === "" ? this.#trustUnix : this.#trusted.contains(peer);
  }
}
