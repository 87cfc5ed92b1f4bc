// Asks a pool and keeps what becomes of it, for tests of transports.
import { PassThrough } from "node:stream";
import type { HeaderList } from "../../src/base/header-list.ts";
import type { Pool, WireCall, WireError, WireHandler, WireHead, WireRequest, WireTrailers } from "../../src/data/upstream/upstream.ts";

export interface WireOutcome {
  readonly status: number;
  readonly head: WireHead | null;
  readonly body: Buffer;
  readonly trailers: WireTrailers | null;
  readonly error: WireError | null;
}

/** One call and what it has been told. */
export class Asked implements WireHandler {
  call: WireCall | null = null;
  sent = 0;
  status = 0;
  head: WireHead | null = null;
  readonly interim: (readonly [status: number, headers: HeaderList])[] = [];
  readonly chunks: Buffer[] = [];
  bytes = 0;
  onHead: (() => void) | null = null;
  onChunk: ((chunk: Buffer) => void) | null = null;
  readonly headCame = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<WireOutcome>();

  /** Resolves at its end or its error; not after cancel(). */
  get over(): Promise<WireOutcome> {
    return this.#over.promise;
  }

  wireSent(): void {
    this.sent++;
  }

  wireInterim(status: number, headers: HeaderList): void {
    this.interim.push([status, headers]);
  }

  wireHead(status: number, head: WireHead): void {
    this.status = status;
    this.head = head;
    this.onHead?.();
    this.headCame.resolve();
  }

  wireData(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.chunks.push(Buffer.from(chunk));
    this.onChunk?.(chunk);
  }

  wireEnd(trailers: WireTrailers | null): void {
    this.#finish(trailers, null);
  }

  wireError(error: WireError): void {
    this.#finish(null, error);
  }

  #finish(trailers: WireTrailers | null, error: WireError | null): void {
    this.headCame.resolve();
    this.#over.resolve({ status: this.status, head: this.head, body: Buffer.concat(this.chunks), trailers, error });
  }
}

export const wireRequest = (part: Partial<WireRequest> = {}): WireRequest => ({
  method: "GET",
  path: "/",
  headers: ["host", "a.example"],
  body: null,
  contentLength: 0,
  ...part,
});

/** @param prepare looks at the call before it is sent */
export function ask(pool: Pool, request: Partial<WireRequest> = {}, prepare?: (asked: Asked) => void): Asked {
  const asked = new Asked();
  prepare?.(asked);
  asked.call = pool.dispatch(wireRequest(request), asked);
  return asked;
}

/** A request body that streams these chunks. */
export function streamed(chunks: readonly Buffer[], contentLength = -1): Pick<WireRequest, "body" | "contentLength"> {
  const body = new PassThrough();
  for (const chunk of chunks) body.write(chunk);
  body.end();
  return { body, contentLength };
}
