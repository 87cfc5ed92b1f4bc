// Owns when a connection has served enough: limits.requestsPerConnection and limits.connectionAge, each up to a tenth earlier, so that clients that came
// together do not come back together. Judges only at the beginning of a request: whoever closes an idle connection may cross a request on its way.
import { nowMs } from "../../../base/turn-clock.ts";
import type { ListenerHost } from "../listener.ts";

/** The share of a limit by which it may be reached early. */
const JITTER = 0.1;

export class ConnectionLife {
  readonly #host: ListenerHost;
  readonly #begunMs = nowMs();
  /** Of each limit, what counts for this connection. */
  readonly #share: number;
  #requests = 0;

  /** @param random from 0 up to 1 */
  constructor(host: ListenerHost, random: () => number = Math.random) {
    this.#host = host;
    this.#share = 1 - JITTER * random();
  }

  /** See {@link ConnectionTerms.nextIsLast}. The limits are those in force. */
  nextIsLast(): boolean {
    const { requestsPerConnection: most, connectionAgeMs: age } = this.#host.current().limits;
    this.#requests++;
    if (most !== null && this.#requests >= Math.ceil(most * this.#share)) return true;
    return age !== null && nowMs() - this.#begunMs >= age * this.#share;
  }
}
