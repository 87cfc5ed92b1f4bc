// Owns the workers that follow one answer which this one fetches: each is told what it needs to know, once. Must never be waited for.
import type { PeerHead, PeerNews, PeerSink } from "./peers.ts";

export class PeerAudience {
  /** Whether it has been told the head. */
  readonly #sinks = new Map<PeerSink, boolean>();

  get size(): number {
    return this.#sinks.size;
  }

  /** @param head null while there is none, or its length is not known. @param body what has come of it */
  join(sink: PeerSink, head: PeerHead | null, body: Buffer): void {
    this.#sinks.set(sink, head !== null);
    if (head === null) return;
    sink.tell({ kind: "head", head });
    if (body.length > 0) sink.tell({ kind: "data", bytes: owned(body) });
  }

  leave(sink: PeerSink): void {
    this.#sinks.delete(sink);
  }

  begin(head: PeerHead): void {
    for (const sink of this.#sinks.keys()) {
      this.#sinks.set(sink, true);
      sink.tell({ kind: "head", head });
    }
  }

  data(chunk: Buffer): void {
    for (const [sink, begun] of this.#sinks) if (begun) sink.tell({ kind: "data", bytes: owned(chunk) });
  }

  /** Nothing more comes. @param begun told to those who have the head @param others to those who wait */
  finish(begun: PeerNews, others: PeerNews = begun): void {
    for (const [sink, has] of this.#sinks) sink.tell(has ? begun : others);
    this.#sinks.clear();
  }
}

/** What is sent goes with all the memory that it lies in, or lies in the store's own. */
const owned = (bytes: Buffer): Uint8Array => Uint8Array.from(bytes);
