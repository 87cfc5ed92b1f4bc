// Owns a whole stored response while one client reads it.
import type { Exchange } from "../exchange/exchange.ts";
import type { StoredForms } from "../exchange/stored-forms.ts";
import type { Follower, SharedBody } from "./follower.ts";
import { Forms } from "./forms.ts";
import type { CachedResponse } from "./response-cache.ts";
import { workerCache } from "./worker-cache.ts";

export class StoredBody implements SharedBody {
  readonly isComplete = true;
  readonly trailers = null;
  readonly #stored: CachedResponse;
  readonly #bytes: Buffer;

  /** @param stored is its own from here on */
  constructor(stored: CachedResponse) {
    this.#stored = stored;
    this.#bytes = stored.body;
  }

  get available(): number {
    return this.#bytes.length;
  }

  read(from: number, to: number): Buffer {
    return this.#bytes.subarray(from, to);
  }

  forms(x: Exchange): StoredForms | undefined {
    const { object } = this.#stored;
    if (object === null) return undefined;
    const { cache, fills } = workerCache(x.runtime.services);
    const { maxObjectBytes } = x.runtime.plan.cache;
    return new Forms({ cache, budget: fills.pieces, making: fills.forms, maxObjectBytes }, object);
  }

  progressed(): void {}

  left(_follower: Follower): void {
    this.#stored.release();
  }
}
