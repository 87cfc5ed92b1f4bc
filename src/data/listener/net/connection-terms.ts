// Owns how long and for whom a connection serves: limits.requestsPerConnection and limits.connectionAge, each up to a tenth earlier, so that clients that came
// together do not come back together; and for which hosts. Judges only at the beginning of a request: whoever closes an idle connection may cross a request on its way.
import { nowMs } from "../../../base/turn-clock.ts";
import type { ListenerHost } from "../listener.ts";
import type { CertificateTable } from "./certificate-table.ts";
import type { ConnectionTerms } from "./channel.ts";

/** The share of a limit by which it may be reached early. */
const JITTER = 0.1;

export class KeptTerms implements ConnectionTerms {
  readonly #host: Pick<ListenerHost, "current">;
  readonly #begunMs = nowMs();
  /** Of each limit, what counts for this connection. */
  readonly #share: number;
  readonly #certificates: CertificateTable | null;
  readonly #serverName: string;
  #requests = 0;

  /** @param tls.certificates null where all hosts are answered for. @param tls.serverName as the client named it. @param random from 0 up to 1 */
  constructor(
    host: Pick<ListenerHost, "current">,
    tls: { readonly certificates: CertificateTable | null; readonly serverName: string },
    random: () => number = Math.random,
  ) {
    this.#host = host;
    this.#certificates = tls.certificates;
    this.#serverName = tls.serverName;
    this.#share = 1 - JITTER * random();
  }

  /** The limits are those in force. */
  nextIsLast(): boolean {
    const { requestsPerConnection: most, connectionAgeMs: age } = this.#host.current().limits;
    this.#requests++;
    if (most !== null && this.#requests >= Math.ceil(most * this.#share)) return true;
    return age !== null && nowMs() - this.#begunMs >= age * this.#share;
  }

  answersFor(host: string): boolean {
    return this.#certificates === null || host === "" || this.#certificates.isSame(host, this.#serverName);
  }
}
