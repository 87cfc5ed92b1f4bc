// Owns where the answer of one question is kept: memory in the store for one of known length, pieces for another, and that only a whole one is entered.
import type { HeaderList } from "../../base/header-list.ts";
import type { LogPlace } from "../../shared/cache/tier-purges.ts";
import type { WireHead } from "../upstream/upstream.ts";
import type { FillContext, FillOrder } from "./fill-context.ts";
import { type GrowingBody, Pieces, ReservedBody } from "./growing-body.ts";
import type { CachedResponse, FillBegin, NewEntry } from "./response-cache.ts";
import type { Storable } from "./rules/assess.ts";

/** What is stored of a head, and where it belongs. */
interface Accepted {
  readonly storable: Storable;
  readonly status: number;
  readonly tags: readonly number[];
  /** Sequence of the stored response of which it is a renewal; null for none. */
  readonly replaces: number | null;
}

export class Intake {
  /** null until an answer has been accepted. */
  bytes: GrowingBody | null = null;
  readonly #order: FillOrder;
  readonly #context: FillContext;
  readonly #begin: FillBegin;
  /** Where the fleet's purges were; null when the response is not shared. */
  readonly #place: LogPlace | null;
  #accepted: Accepted | null = null;

  constructor(order: FillOrder, context: FillContext) {
    this.#order = order;
    this.#context = context;
    this.#begin = context.cache.begin(order.key);
    this.#place = context.tier?.place() ?? null;
  }

  /** @returns false when there is no memory for it: it is not stored */
  accept(storable: Storable, status: number, { headers, length }: WireHead): boolean {
    const { cache, budget, maxObjectBytes } = this.#context;
    this.#accepted = { storable, status, tags: this.#context.tagsOf(headers), replaces: null };
    if (length < 0) this.bytes = new Pieces(budget, maxObjectBytes);
    else if (length <= maxObjectBytes) {
      const reservation = cache.reserve(this.#entry(this.#accepted, length), this.#begin);
      if (reservation !== null) this.bytes = new ReservedBody(reservation);
    }
    return this.bytes !== null;
  }

  #entry({ storable, status, tags, replaces }: Accepted, bodyBytes: number): NewEntry {
    const { key, x } = this.#order;
    const { owner } = this.#context;
    return { key, request: x.headers, storable, status, bodyBytes, tags, owner, replaces };
  }

  /** Nothing was purged since the origin was asked that the answer may be older than. */
  get isCurrent(): boolean {
    return this.#begin.isCurrent(this.#accepted === null || this.#accepted.tags.length > 0);
  }

  /** Whether what is validated may still be given to those who come now. */
  isInForce(stored: CachedResponse): boolean {
    const { key, x } = this.#order;
    return this.#context.cache.isInForce(stored, key, x.headers);
  }

  /** The body is complete. @returns whether it is stored now */
  store(): boolean {
    const { bytes } = this;
    if (this.#accepted === null) return false;
    if (bytes instanceof Pieces) return this.#put(this.#accepted, bytes.available, (body) => bytes.copyTo(body));
    if (!(bytes instanceof ReservedBody) || bytes.available !== bytes.length || !bytes.reservation.commit()) return false;
    this.#share(this.#accepted, bytes.reservation.body);
    return true;
  }

  #share(accepted: Accepted, body: Buffer): void {
    const { tier } = this.#context;
    if (tier !== null) tier.share(this.#entry(accepted, body.length), this.#place, () => Buffer.from(body));
  }

  /**
   * What is stored, with another head. A purge that has come between finding it and asking about it, or whose walk goes on meanwhile, has made it void: a
   * validation brings nothing back. @returns whether it is stored so now
   */
  renew(stored: CachedResponse, storable: Storable, headers: HeaderList): boolean {
    if (!this.isInForce(stored)) return false;
    const tags = this.#context.tagsOf(headers);
    const accepted = { storable, status: stored.head.status, tags, replaces: stored.sequence };
    return this.#put(accepted, stored.length, (body) => void body.set(stored.body));
  }

  #put(accepted: Accepted, length: number, fill: (body: Buffer) => void): boolean {
    const reservation = this.#context.cache.reserve(this.#entry(accepted, length), this.#begin);
    if (reservation === null) return false;
    fill(reservation.body);
    const stored = reservation.commit();
    if (stored) this.#share(accepted, reservation.body);
    reservation.release();
    return stored;
  }

  /** What has come of a body that lies where it is to stay. */
  get soFar(): Buffer {
    return this.bytes instanceof ReservedBody ? this.bytes.soFar : NOTHING;
  }

  get available(): number {
    return this.bytes?.available ?? 0;
  }

  read(from: number, to: number): Buffer {
    return (this.bytes as GrowingBody).read(from, to); // some of it is available
  }

  release(): void {
    this.bytes?.release();
  }
}

const NOTHING = Buffer.alloc(0);
