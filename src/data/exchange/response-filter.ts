// The chain of filters that a response's head and body pass on their way to the client, behind the response policies.
// Must never cost a response without filters anything, and never leave a filter without its end: one of end() and abort(), once.
import type { HeaderList } from "../../base/header-list.ts";
import type { Exchange } from "./exchange.ts";
import type { ResponseHead } from "./policy.ts";
import type { PolicyRoute } from "./route-context.ts";

/** Takes a response: a filter, or the client at the end of the chain. */
export interface ResponseStage {
  /** First, and once. Whoever does not call the next stage's head() here holds the head back, and everything behind it. */
  head(head: ResponseHead): void;
  /** @param chunk lent for the call. @returns false: no more until {@link ResponseSource.drained} */
  data(chunk: Uint8Array): boolean;
  /** The response is complete. @param trailers null for none */
  end(trailers: HeaderList | null): void;
  /** It will never be: the client went away, or the source broke off. Free everything; nothing may follow. */
  abort(): void;
}

/** Where a stage's response comes from. */
export interface ResponseSource {
  /** There is room again, after data() returned false. */
  drained(): void;
  /** The response cannot be completed, by a fault of the stage. */
  failed(error: unknown): void;
}

/**
 * One filter of one response. Between head and end it may change and hold back what it likes; a filter that changes the length of the body sets
 * `head.length` to -1 before it passes the head on, and drops what stops being true of it. Synchronous throws end the response as failed() does.
 */
export interface ResponseFilter extends ResponseStage {
  /** Before anything else. @param next where the output goes @param source whom to tell that there is room, or that it failed */
  attach(next: ResponseStage, source: ResponseSource): void;
  /** The next stage has room again. */
  drained(): void;
  /** The exchange is over: the last call, behind end() or abort(). For a filter that still works on its output when it has had its end. */
  close?(): void;
}

/** Decides for one response, when its head gets there. @returns null: this response passes by. The head may be changed here, too (HEAD requests have no body to filter) */
export type OpenFilter = (x: Exchange, head: ResponseHead) => ResponseFilter | null;

/** A filter as it is registered. */
export interface FilterEntry {
  /** The route key that users write. */
  readonly name: string;
  /** Builds it for a route, in the worker; must not throw for a configuration that the primary accepted. */
  readonly create: (config: unknown, route: PolicyRoute) => OpenFilter;
}

/** A filter that changes nothing: what to build on. */
export abstract class PassingFilter implements ResponseFilter {
  protected next!: ResponseStage;
  protected source!: ResponseSource;

  attach(next: ResponseStage, source: ResponseSource): void {
    this.next = next;
    this.source = source;
  }

  head(head: ResponseHead): void {
    this.next.head(head);
  }

  data(chunk: Uint8Array): boolean {
    return this.next.data(chunk);
  }

  end(trailers: HeaderList | null): void {
    this.next.end(trailers);
  }

  abort(): void {}

  drained(): void {
    this.source.drained();
  }
}

/** A filter in its place: sees to it that it ends once. */
class Link implements ResponseStage, ResponseSource {
  readonly #filter: ResponseFilter;
  readonly #chain: FilterChain;
  #over = false;

  constructor(filter: ResponseFilter, chain: FilterChain) {
    this.#filter = filter;
    this.#chain = chain;
  }

  head(head: ResponseHead): void {
    this.#filter.head(head);
  }

  data(chunk: Uint8Array): boolean {
    return this.#over || this.#filter.data(chunk);
  }

  end(trailers: HeaderList | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#filter.end(trailers);
  }

  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#filter.abort();
  }

  close(): void {
    try {
      this.abort();
    } finally {
      this.#filter.close?.();
    }
  }

  drained(): void {
    this.#filter.drained();
  }

  failed(error: unknown): void {
    this.#chain.failed(error);
  }
}

/**
 * What a filter knows of the rest of the chain: it is decided when the head comes by. A filter may come here in its own time, with nobody behind it to
 * catch what is thrown, and after the response was given up, when the exchange may have been answered anew.
 */
class NextStage implements ResponseStage {
  readonly #chain: FilterChain;
  readonly #from: number;
  #stage: ResponseStage | null = null;

  constructor(chain: FilterChain, from: number) {
    this.#chain = chain;
    this.#from = from;
  }

  head(head: ResponseHead): void {
    if (this.#chain.closed) return;
    try {
      if (this.#stage !== null) throw new Error("a response filter passed a second head on");
      if (head.storedForms !== undefined) head.storedForms = undefined; // the body is the filter's now
      this.#stage = this.#chain.open(this.#from, head);
      this.#stage.head(head);
    } catch (error) {
      this.#chain.failed(error);
    }
  }

  data(chunk: Uint8Array): boolean {
    if (this.#chain.closed) return true;
    try {
      return this.#known().data(chunk);
    } catch (error) {
      this.#chain.failed(error);
      return true;
    }
  }

  end(trailers: HeaderList | null): void {
    if (this.#chain.closed) return;
    try {
      this.#known().end(trailers);
    } catch (error) {
      this.#chain.failed(error);
    }
  }

  abort(): void {
    this.#stage?.abort();
  }

  #known(): ResponseStage {
    if (this.#stage === null) throw new Error("a response filter passed a body on before its head");
    return this.#stage;
  }
}

/** The filters of one response, and the client behind them. */
export class FilterChain implements ResponseStage, ResponseSource {
  readonly #x: Exchange;
  readonly #filters: readonly OpenFilter[];
  readonly #source: ResponseSource;
  readonly #links: Link[] = [];
  #first: ResponseStage | null = null;
  #over = false;
  #closed = false;
  /** The client has been given the end. */
  #ended = false;
  #onEnded: (() => void) | null = null;

  /** @param source told of room and of failures; it then ends the exchange */
  constructor(x: Exchange, filters: readonly OpenFilter[], source: ResponseSource) {
    this.#x = x;
    this.#filters = filters;
    this.#source = source;
  }

  /** No filter has taken the response: from here on it may go to the client itself. */
  get isEmpty(): boolean {
    return this.#links.length === 0 && this.#first !== null;
  }

  /** Nothing of this response may reach the client any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** @internal The stage that the head comes to next. */
  open(from: number, head: ResponseHead): ResponseStage {
    for (let i = from; i < this.#filters.length; i++) {
      const filter = this.#filters[i]?.(this.#x, head) ?? null;
      if (filter === null) continue;
      const before = this.#links.at(-1) ?? this.#source;
      const link = new Link(filter, this);
      this.#links.push(link);
      filter.attach(new NextStage(this, i + 1), before);
      return link;
    }
    return new ClientStage(this.#x, this);
  }

  /** @internal The end has come through to the client. */
  clientEnded(): void {
    this.#ended = true;
    this.#onEnded?.();
  }

  /** A client that knows the length has everything before the end has come through the chain. @param then called when it has, perhaps at once */
  whenEnded(then: () => void): void {
    if (this.#ended) then();
    else this.#onEnded = then;
  }

  head(head: ResponseHead): void {
    this.#first = this.open(0, head);
    this.#first.head(head);
  }

  data(chunk: Uint8Array): boolean {
    return this.#over || this.#first === null || this.#first.data(chunk);
  }

  end(trailers: HeaderList | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#first?.end(trailers);
  }

  abort(): void {
    this.close();
  }

  /** The response is over: every filter that has not had its end learns that it never will. Idempotent, never throws. */
  close(): void {
    if (this.#closed) return;
    this.#over = this.#closed = true;
    for (const link of this.#links) {
      try {
        link.close();
      } catch (error) {
        this.#x.runtime.services.reportFault("closing a response filter failed", error, this.#x.requestId);
      }
    }
  }

  /** The client has room again. */
  drained(): void {
    (this.#links.at(-1) ?? this.#source).drained();
  }

  failed(error: unknown): void {
    this.#source.failed(error);
  }
}

/** The end of every chain. */
class ClientStage implements ResponseStage {
  readonly #x: Exchange;
  readonly #chain: FilterChain;

  constructor(x: Exchange, chain: FilterChain) {
    this.#x = x;
    this.#chain = chain;
  }

  head(head: ResponseHead): void {
    this.#x.status = head.status;
    this.#x.start(head.status, head.headers, head.length);
  }

  data(chunk: Uint8Array): boolean {
    return this.#x.write(chunk);
  }

  end(trailers: HeaderList | null): void {
    if (trailers !== null) this.#x.responseTrailers = trailers;
    this.#x.end();
    this.#chain.clientEnded();
  }

  abort(): void {}
}
