// A call whose whole response is collected, within a bound: for whoever needs all of it before going on.
// Must never hold more than `maxBytes`; a response that is longer is none.
import type { HeaderList } from "../../base/header-list.ts";
import type { CallFailure, CallRequest, ResponseSink } from "./call-request.ts";
import type { Upstream, WireHead } from "./upstream.ts";
import { UpstreamCall } from "./upstream-call.ts";

/** What came of it. */
export type Collected =
  | {
      readonly kind: "response";
      readonly status: number;
      /** End-to-end headers, flat, names lowercase. */
      readonly headers: HeaderList;
      readonly body: Buffer;
      readonly trailers: HeaderList | null;
    }
  | { readonly kind: "failed"; readonly failure: CallFailure }
  /** The body is longer than `maxBytes`: the call was cancelled, and nothing is held against the target. */
  | { readonly kind: "too-large"; readonly status: number; readonly headers: HeaderList };

const EMPTY = Buffer.alloc(0);

export class CollectedCall implements ResponseSink {
  readonly #call: UpstreamCall;
  readonly #maxBytes: number;
  readonly #isHead: boolean;
  #done: ((outcome: Collected) => void) | null = null;
  #status = 0;
  #headers: HeaderList = [];
  #chunks: Buffer[] = [];
  #bytes = 0;

  /** @param maxBytes largest body */
  constructor(upstream: Upstream, request: CallRequest, maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#isHead = request.method === "HEAD";
    this.#call = new UpstreamCall(upstream, request, this);
  }

  /** @param done called once, unless cancel() comes first; may be called before this returns */
  start(done: (outcome: Collected) => void): void {
    this.#done = done;
    this.#call.start();
  }

  /** Nobody wants the response any longer: done is not called, and nothing is held against the target. Idempotent. */
  cancel(): void {
    this.#done = null;
    this.#chunks = [];
    this.#call.cancel();
  }

  // --- ResponseSink ---

  onHead(status: number, { headers, length }: WireHead): void {
    this.#status = status;
    this.#headers = headers;
    if (length > this.#maxBytes && this.#hasBody) this.#tooLarge();
  }

  get #hasBody(): boolean {
    return !this.#isHead && this.#status !== 204 && this.#status !== 304;
  }

  onData(chunk: Buffer): boolean {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#maxBytes) this.#tooLarge();
    else this.#chunks.push(Buffer.from(chunk)); // it is lent
    return true;
  }

  onEnd(trailers: HeaderList | null): void {
    const [first = EMPTY] = this.#chunks;
    const body = this.#chunks.length > 1 ? Buffer.concat(this.#chunks) : first;
    this.#tell({ kind: "response", status: this.#status, headers: this.#headers, body, trailers });
  }

  onFailure(failure: CallFailure): void {
    this.#tell({ kind: "failed", failure });
  }

  /** Nobody has seen anything of it yet. */
  takeBack(): boolean {
    this.#chunks = [];
    this.#bytes = 0;
    return true;
  }

  #tooLarge(): void {
    this.#call.cancel();
    this.#tell({ kind: "too-large", status: this.#status, headers: this.#headers });
  }

  #tell(outcome: Collected): void {
    const done = this.#done;
    this.#done = null;
    this.#chunks = [];
    done?.(outcome);
  }
}
