// Owns one client of a response that several may read: from the store, or while it arrives for all of them. Each has its own place in the body and its own
// backpressure. Must never hold up the source, nor keep it longer than its client is there.
import type { HeaderList } from "../../base/header-list.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { ResponseHead } from "../exchange/policy.ts";
import { type RelaySource, ResponseRelay } from "../exchange/response-relay.ts";
import type { Route } from "../exchange/runtime.ts";
import type { StoredForms } from "../exchange/stored-forms.ts";
import { notModifiedHeaders, type Selection, select } from "./rules/conditions.ts";

/** Handed to the client at once. */
const SLICE_BYTES = 256 * 1024;

/** A body, as far as it is there. */
export interface SharedBody {
  /** Bytes that can be read. */
  readonly available: number;
  /** They are all there are. */
  readonly isComplete: boolean;
  /** Of a complete one: what came behind it; null for none. */
  readonly trailers: HeaderList | null;
  /** @returns bytes from `from` on, at least one and none at or behind `to`: valid during the call in which they are passed on */
  read(from: number, to: number): Buffer;
  /** Of a body that is stored: what else is stored of it. */
  forms?(x: Exchange): StoredForms | undefined;
  /** A follower has read on. */
  progressed(): void;
  /** A follower reads no more. Once for each. */
  left(follower: Follower): void;
}

/** A head that clients are given, each with its own copy of the fields. */
export interface SharedHead {
  readonly status: number;
  readonly headers: HeaderList;
  /** Body length in bytes; -1 unknown. */
  readonly length: number;
  /** When it arrived, Date.now() ms. */
  readonly receivedMs: number;
}

export class Follower extends ResponseRelay implements RelaySource {
  readonly #body: SharedBody;
  #at = 0;
  #end = Number.POSITIVE_INFINITY;
  #paused = false;
  #begun = false;
  #over = false;
  #pumping = false;

  constructor(x: Exchange, route: Route, body: SharedBody) {
    super(x, route);
    this.#body = body;
  }

  get exchange(): Exchange {
    return this.x;
  }

  /** Next byte that it wants. */
  get at(): number {
    return this.#at;
  }

  get hasBegun(): boolean {
    return this.#begun;
  }

  protected get origin(): RelaySource {
    return this;
  }

  /** Sends the head that the client's conditions select, and what is there of the body. Never throws. @param extra fields for this client alone */
  begin(head: SharedHead, extra: HeaderList): void {
    if (this.#over) return;
    this.#begun = true;
    const selection = select(this.x.method, this.x.headers, head, head.length);
    try {
      this.#head(head, selection, extra);
    } catch (error) {
      this.failed(error);
    }
    this.pump();
  }

  #head({ status, headers, length }: SharedHead, selection: Selection, extra: HeaderList): void {
    switch (selection.kind) {
      case "not-modified":
        this.#end = 0;
        return this.onHead(304, { ...NEUTRAL, headers: [...notModifiedHeaders(headers), ...extra], length: -1 });
      case "range": {
        const { first, last } = selection;
        this.#at = first;
        this.#end = last + 1;
        const fields = [...headers, ...extra, "content-range", `bytes ${first}-${last}/${length}`];
        return this.onHead(206, { ...NEUTRAL, headers: fields, length: last + 1 - first });
      }
      case "unsatisfiable":
        this.#end = 0;
        return this.onHead(416, { ...NEUTRAL, headers: [...extra, "content-range", `bytes */${length}`], length: 0 });
      case "whole":
        if (this.x.method === "HEAD") this.#end = 0;
        return this.onHead(status, { ...NEUTRAL, headers: [...headers, ...extra], length });
    }
  }

  /** A filter may look for what it makes of this body beside it. */
  protected override openFilters(head: ResponseHead): void {
    if (head.hasBody && this.#end === Number.POSITIVE_INFINITY) head.storedForms = this.#body.forms?.(this.x);
    super.openFilters(head);
  }

  /** Passes on what is there. Never throws. */
  pump(): void {
    if (this.#pumping || !this.#begun) return; // a client that drains at once is gone on with by the loop
    this.#pumping = true;
    try {
      while (!this.#over && !this.#paused && this.#step());
    } catch (error) {
      this.failed(error);
    } finally {
      this.#pumping = false;
    }
  }

  /** @returns whether there may be more to do */
  #step(): boolean {
    const body = this.#body;
    const limit = Math.min(body.available, this.#end);
    if (this.#at < limit) {
      const chunk = body.read(this.#at, Math.min(limit, this.#at + SLICE_BYTES));
      this.#at += chunk.length;
      if (!this.onData(chunk)) this.#paused = true;
      body.progressed();
      return true;
    }
    if (this.#at < this.#end && !body.isComplete) return false;
    const { trailers } = body;
    this.#leave();
    this.onEnd(this.#end === Number.POSITIVE_INFINITY ? trailers : null);
    return false;
  }

  /** What it waits for will not come. */
  fail(failure: Parameters<ResponseRelay["onFailure"]>[0]): void {
    if (this.#over) return;
    this.#leave();
    this.onFailure(failure);
  }

  /** The exchange is answered otherwise: whoever does so takes its events. */
  release(): Exchange {
    this.#leave();
    return this.x;
  }

  #leave(): void {
    if (this.#over) return;
    this.#over = true;
    this.#body.left(this);
  }

  // --- RelaySource ---

  get active(): boolean {
    return !this.#over;
  }

  resume(): void {
    this.#paused = false;
    this.pump();
  }

  cancel(): void {
    this.#leave();
  }

  discard(): void {
    this.#leave();
  }
}

/** A head without anything that belongs to a connection. */
const NEUTRAL = { retryAfter: "", fault: "" };
