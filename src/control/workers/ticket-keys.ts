// Owns the keys of TLS sessions (tickets, RFC 5077 and RFC 8446 section 4.6.1): one set for all workers, in memory only, exchanged from time to time, so that
// who steals them reads little of what is recorded. Must never be logged or shown.
import { randomBytes } from "node:crypto";

/** What Node's tls takes: a name, a key to authenticate and one to encrypt, 16 bytes each. */
const TICKET_KEY_BYTES = 48;

/** How long one set is used, ms. Sessions live five minutes (Node's own): only those of the last minutes make a whole handshake after an exchange. */
export const TICKET_KEYS_EVERY_MS = 3_600_000;

export class TicketKeys {
  #current: Uint8Array = randomBytes(TICKET_KEY_BYTES);
  readonly #timer: NodeJS.Timeout;

  /** @param tell called with each new set */
  constructor(tell: (keys: Uint8Array) => void) {
    this.#timer = setInterval(() => {
      this.#current = randomBytes(TICKET_KEY_BYTES);
      tell(this.#current);
    }, TICKET_KEYS_EVERY_MS);
    this.#timer.unref();
  }

  get current(): Uint8Array {
    return this.#current;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
