// Owns a whole stored response while one client reads it.
import type { Follower, SharedBody } from "./follower.ts";
import type { CachedResponse } from "./response-cache.ts";

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

  progressed(): void {}

  left(_follower: Follower): void {
    this.#stored.release();
  }
}
