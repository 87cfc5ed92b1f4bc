// Owns what waits to be written to Redis: in turn, bounded in bytes and in commands under way. Must never make anybody wait, and never grow: what finds no room is dropped.
import type { RecordStore } from "../../../store/redis-client.ts";

/** Commands that Redis has not answered yet. */
const UNDER_WAY_MAX = 32;

/** Something to be done, about one key. @property bytes that it holds while it waits */
export interface TierWrite {
  readonly key: string;
  readonly bytes: number;
  /** null: the record goes. */
  readonly record: { readonly ttlMs: number; encode(): Promise<Buffer | null> } | null;
}

export interface WriteQueueOptions {
  readonly store: RecordStore;
  /** Redis is left alone: what waits is dropped. */
  readonly isLeftAlone: () => boolean;
  written(bytes: number): void;
  dropped(): void;
  failed(error: unknown): void;
  /** Bytes that wait. */
  waiting(bytes: number): void;
}

export class WriteQueue {
  readonly #options: WriteQueueOptions;
  readonly #queue: TierWrite[] = [];
  #bytes = 0;
  #underWay = 0;
  #running = false;
  #wake: (() => void) | null = null;

  constructor(options: WriteQueueOptions) {
    this.#options = options;
  }

  /** @returns whether there is room for so many bytes more @param most of all that waits */
  hasRoom(bytes: number, most: number): boolean {
    return this.#bytes + bytes <= most;
  }

  add(write: TierWrite): void {
    this.#queue.push(write);
    this.#account(write.bytes);
    if (!this.#running) void this.#run();
  }

  /** One after the other, so that what is written under one key stays in its order. Never rejects. */
  async #run(): Promise<void> {
    this.#running = true;
    for (let write = this.#queue.shift(); write !== undefined; write = this.#queue.shift()) {
      if (this.#underWay >= UNDER_WAY_MAX) await new Promise<void>((resolve) => void (this.#wake = resolve));
      await this.#one(write);
    }
    this.#running = false;
  }

  async #one(write: TierWrite): Promise<void> {
    const { store, isLeftAlone, dropped, failed, written } = this.#options;
    const { key, record, bytes } = write;
    try {
      const value = isLeftAlone() || record === null ? null : await record.encode();
      if (isLeftAlone() || (record !== null && value === null)) {
        dropped();
        return this.#account(-bytes);
      }
      const done = value === null || record === null ? store.remove(key) : store.write(key, value, record.ttlMs);
      this.#underWay++;
      void done.then(() => written(value?.length ?? 0), failed).then(() => this.#answered(bytes));
    } catch (error) {
      failed(error);
      this.#account(-bytes);
    }
  }

  #answered(bytes: number): void {
    this.#underWay--;
    this.#account(-bytes);
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  #account(bytes: number): void {
    this.#bytes += bytes;
    this.#options.waiting(this.#bytes);
  }
}
