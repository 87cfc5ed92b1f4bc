// A response of the gateway whose body is a stream: read as fast as the client takes it, through the route's filters.
// Must never end a response that its stream did not end.
import type { Readable } from "node:stream";
import type { HeaderList } from "../../base/header-list.ts";
import type { ClientEvents, Exchange } from "./exchange.ts";
import { finish } from "./finish.ts";
import type { Reply, ResponseHead } from "./policy.ts";
import { FilterChain, type ResponseSource } from "./response-filter.ts";

type StreamAnswer = Extract<Reply, { readonly kind: "stream" }>;

const CLOSED = new Error("the stream was closed before its end");

export class StreamReply implements ClientEvents, ResponseSource {
  readonly #x: Exchange;
  readonly #body: Readable;
  readonly #trailers: (() => HeaderList | null) | null;
  readonly #chain: FilterChain;
  /** The stream's end, or a failure, has been passed on. */
  #over = false;

  constructor(x: Exchange, { body, trailers }: Pick<StreamAnswer, "body" | "trailers">) {
    this.#x = x;
    this.#body = body;
    this.#trailers = trailers ?? null;
    this.#chain = new FilterChain(x, x.route?.filters ?? [], this);
  }

  /** @param head as it goes out: the response policies have run */
  begin(head: ResponseHead): void {
    const x = this.#x;
    x.events = this;
    x.filters = this.#chain;
    const body = this.#body;
    if (head.hasBody && body.destroyed) return this.failed(body.errored ?? CLOSED);
    body.on("error", (error) => this.failed(error));
    body.on("close", () => this.failed(CLOSED));
    this.#guarded(() => this.#chain.head(head));
    if (!head.hasBody) return this.#guarded(() => this.#end());
    body.on("data", (chunk: Uint8Array | string) => this.#guarded(() => this.#data(chunk)));
    body.on("end", () => this.#guarded(() => this.#end()));
  }

  #data(chunk: Uint8Array | string): void {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk; // as Readable.from() gives it
    if (!this.#chain.data(bytes)) this.#body.pause();
  }

  #end(): void {
    this.#over = true;
    this.#chain.end(this.#trailers?.() ?? null);
    this.#body.destroy();
  }

  #guarded(work: () => void): void {
    if (this.#over) return;
    try {
      work();
    } catch (error) {
      this.#over = false;
      this.failed(error);
    }
  }

  failed(error: unknown): void {
    const x = this.#x;
    if (this.#over) return;
    this.#over = true;
    x.runtime.services.reportFault("the stream of a response failed", error, x.requestId);
    x.errorCode = "internal_error";
    this.#body.destroy();
    x.abort();
    finish(x);
  }

  drained(): void {
    this.#body.resume();
  }

  clientDrained(): void {
    this.#chain.drained();
  }

  clientAborted(x: Exchange): void {
    if (x.errorCode === null) x.errorCode = "client_aborted";
    this.#over = true;
    this.#body.destroy();
    finish(x);
  }

  /** A filter may have ended the response by itself, with the stream still under way. */
  clientCompleted(x: Exchange): void {
    this.#chain.whenEnded(() => {
      this.#over = true;
      this.#body.destroy();
      finish(x);
    });
  }
}
