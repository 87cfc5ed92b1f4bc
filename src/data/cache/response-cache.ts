// Owns what this worker reads from and puts into the shared store: which object answers a request, by key and variant, and that a purged one never does.
// Must never decide whether a response may be stored or served (rules/): it knows no request but its variant.
import type { HeaderList } from "../../base/header-list.ts";
import { urlNumber } from "../../shared/cache/names.ts";
import type { Stamps } from "../../shared/cache/stamps.ts";
import type { ObjectWriter, ResponseStore, StoredObject } from "../../shared/cache/store.ts";
import type { LyingBody } from "../exchange/prepared-response.ts";
import { decodeHead, encodeHead, factsOf, freshnessFrom, type PurgeStamps, type StoredHead, stampsFrom } from "./entry.ts";
import { ReadyHits } from "./ready-hits.ts";
import type { Storable } from "./rules/assess.ts";
import type { Freshness } from "./rules/freshness.ts";
import { variantKey } from "./rules/variant.ts";

/** Objects of which this worker keeps what it has read and made ready, and the bytes of that. */
const KEPT_MAX = 4096;
const KEPT_BYTES_MAX = 16 * 1024 * 1024;
/** Between a key and its variant, and between either and another form of the body: no key ends with one. */
const VARIANT = "\n~";
const FORM = "\n^";

/** A request, as the store knows it. */
export interface CacheKey {
  /** Byte string. Begins with the URL as clients write it. */
  readonly text: string;
  /** What purges of this URL are counted by. */
  readonly stamp: number;
}

/** A stored response that belongs to a request. Its body is valid until {@link release}. */
export interface CachedResponse extends LyingBody {
  readonly head: StoredHead;
  readonly freshness: Freshness;
  /** It was purged softly: no longer fresh, whatever its lifetime says. */
  readonly isVoid: boolean;
  /** How it is served as a hit; null for one that is not as it is stored. */
  readonly ready: ReadyHits | null;
  /** See ObjectView.sequence. */
  readonly sequence: number;
  /** Where it lies; null for what is given out otherwise. */
  readonly object: StoredObject | null;
}

/** What this worker keeps of a stored object: that is never changed, only replaced by another, so that it holds as long as the object is found. */
interface KeptObject {
  readonly head: StoredHead;
  readonly freshness: Freshness;
  readonly stamps: PurgeStamps;
  readonly ready: ReadyHits;
}

class FoundResponse implements CachedResponse {
  readonly head: StoredHead;
  readonly freshness: Freshness;
  readonly isVoid: boolean;
  readonly length: number;
  readonly ready: ReadyHits;
  readonly sequence: number;
  readonly object: StoredObject;

  constructor(object: StoredObject, { head, freshness, ready }: KeptObject, isVoid: boolean) {
    this.object = object;
    this.head = head;
    this.freshness = freshness;
    this.isVoid = isVoid;
    this.length = object.bodyBytes;
    this.ready = ready;
    this.sequence = object.sequence;
  }

  get body(): Buffer {
    return this.object.body;
  }

  release(): void {
    this.object.release();
  }
}

/** Where another form of a stored body is kept. */
export interface FormPlace {
  readonly key: string;
  readonly owner: number;
  /** Of the body that it is made of. */
  readonly bodyNumber: number;
  /** Begun before it was. */
  readonly walks: number;
}

export class ResponseCache {
  readonly #store: ResponseStore;
  readonly #stamps: Stamps;
  /** By the number of the object. */
  readonly #kept = new Map<number, KeptObject>();
  #keptBytes = 0;

  constructor(store: ResponseStore, stamps: Stamps) {
    this.#store = store;
    this.#stamps = stamps;
  }

  /** @param request of which the fields that Vary names are looked at. @returns null for a miss; else must be released, once */
  find(key: CacheKey, request: HeaderList): CachedResponse | null {
    const object = this.#store.find(key.text);
    if (object === null) return null;
    const kept = this.#keptOf(object);
    if (kept.head.status !== 0) return this.#checked(object, kept);
    object.release();
    const variant = this.#store.find(variantText(key, kept.head.vary, request));
    return variant === null ? null : this.#checked(variant, this.#keptOf(variant));
  }

  /** Whether it is still what is stored for a request: not purged, not pushed out, none in its place. */
  isInForce({ sequence }: CachedResponse, key: CacheKey, request: HeaderList): boolean {
    const now = this.find(key, request);
    now?.release();
    return now?.sequence === sequence;
  }

  /** The key of the variant that a request selects by these fields. */
  nameOf(key: CacheKey, vary: readonly string[], request: HeaderList): string {
    return vary.length === 0 ? key.text : variantText(key, vary, request);
  }

  /** What is stored for a request is no longer true. */
  forget(key: CacheKey, request: HeaderList): void {
    this.#store.remove(this.variantOf(key, request));
  }

  /** The key of the variant that a request selects, where it is known that there are several; else the key itself. */
  variantOf(key: CacheKey, request: HeaderList): string {
    const object = this.#store.find(key.text);
    if (object === null) return key.text;
    const { vary, status } = this.#keptOf(object).head;
    object.release();
    return status === 0 ? variantText(key, vary, request) : key.text;
  }

  #checked(object: StoredObject, kept: KeptObject): CachedResponse | null {
    const { hard, soft } = kept.stamps;
    const names = kept.head.stamps;
    if (this.#stamps.hard(names) !== hard) {
      object.release();
      return null;
    }
    return new FoundResponse(object, kept, object.mark !== 0 || this.#stamps.soft(names) !== soft);
  }

  #keptOf(object: StoredObject): KeptObject {
    const { sequence } = object;
    let kept = this.#kept.get(sequence);
    if (kept === undefined) {
      const fact = (index: number): number => object.fact(index);
      kept = {
        head: decodeHead(object.head.toString("latin1")),
        freshness: freshnessFrom(fact),
        stamps: stampsFrom(fact),
        ready: new ReadyHits((bytes) => this.#count(bytes)),
      };
      this.#count(object.head.length);
      this.#kept.set(sequence, kept);
    }
    return kept;
  }

  /** More is about to be kept. @param bytes of it */
  #count(bytes: number): void {
    this.#keptBytes += bytes;
    if (this.#kept.size < KEPT_MAX && this.#keptBytes <= KEPT_BYTES_MAX) return;
    this.#kept.clear();
    this.#keptBytes = bytes;
  }

  /** What was made of exactly this body. @returns null when it is not there; else must be released, once */
  findForm({ key, bodyNumber }: StoredObject, form: string): StoredObject | null {
    const found = this.#store.find(key + FORM + form);
    if (found === null || found.fact(0) === bodyNumber) return found;
    found.release();
    return null;
  }

  placeForm({ key, owner, bodyNumber }: StoredObject, form: string): FormPlace {
    return { key: key + FORM + form, owner, bodyNumber, walks: this.#stamps.walks };
  }

  keepForm({ key, owner, bodyNumber, walks }: FormPlace, chunks: readonly Buffer[], bodyBytes: number): void {
    const writer = this.#store.reserve(key, { owner, headBytes: 0, bodyBytes });
    if (writer === null) return;
    let at = 0;
    for (const chunk of chunks) {
      writer.body.set(chunk, at);
      at += chunk.length;
    }
    if (this.#stamps.walks === walks) writer.commit([bodyNumber]); // else nobody would find it, and it would lie about
    writer.release();
  }

  /** To be called before the origin is asked: what is purged from now on is not stored. */
  begin({ stamp }: CacheKey): FillBegin {
    return new FillBegin(this.#stamps, stamp);
  }

  /** Memory for a response of known length. @returns null when there is none: it is relayed without being stored */
  reserve(entry: NewEntry, begin: FillBegin): Reservation | null {
    const { key, request, storable, status, bodyBytes } = entry;
    const stamps = [key.stamp, ...entry.tags];
    const { vary } = storable;
    const text = vary.length === 0 ? key.text : variantText(key, vary, request);
    const head = encodeHead({ status, headers: storable.headers, vary, stamps });
    const writer = this.#store.reserve(text, { owner: entry.owner, headBytes: head.length, bodyBytes });
    if (writer === null) return null;
    writer.head.write(head, "latin1");
    return new Reservation(writer, () => {
      const current = begin.stampsFor(entry.tags);
      if (current === null) return false;
      if (vary.length > 0 && !this.#mark(entry, begin.stampsFor([]) ?? current)) return false;
      if (!writer.commit(factsOf(storable.freshness, current), entry.replaces)) return false;
      if (begin.stampsFor(entry.tags) !== null) return true;
      this.#store.remove(text); // a walk has begun meanwhile, and may have gone by
      return false;
    });
  }

  /** Notes under the key itself by which fields its variants are told apart. */
  #mark({ key, storable: { vary }, owner }: NewEntry, current: PurgeStamps): boolean {
    const head = encodeHead({ status: 0, headers: [], vary, stamps: [key.stamp] });
    const known = this.#store.find(key.text);
    if (known !== null) {
      const isSame = known.head.toString("latin1") === head;
      known.release();
      if (isSame) return true;
    }
    const writer = this.#store.reserve(key.text, { owner, headBytes: head.length, bodyBytes: 0 });
    if (writer === null) return false;
    writer.head.write(head, "latin1");
    const stored = writer.commit([0, 0, 0, 0, 0, 0, current.hard, current.soft]);
    writer.release();
    return stored;
  }

  /** All variants and all callers' responses of a URL are void. */
  invalidate(url: string): void {
    this.#stamps.purgeUrl(urlNumber(url), false);
  }
}

const variantText = (key: CacheKey, vary: readonly string[], request: HeaderList): string => key.text + VARIANT + variantKey(vary, request);

/** A response to be stored. */
export interface NewEntry {
  readonly key: CacheKey;
  readonly request: HeaderList;
  readonly storable: Storable;
  readonly status: number;
  readonly bodyBytes: number;
  /** Numbers of its tags. */
  readonly tags: readonly number[];
  /** An opaque number of the route. */
  readonly owner: number;
  /** Sequence of the one that was validated: only in its place. null for a new one */
  readonly replaces: number | null;
}

/**
 * What was purged of a URL before the origin was asked for it. Which tags a response carries is known only when it is there: one that carries any is not stored
 * when any tag was purged meanwhile.
 */
export class FillBegin {
  readonly #stamps: Stamps;
  readonly #walks: number;
  readonly #tagPurges: number;
  readonly #hard: number;
  readonly #soft: number;
  readonly #url: readonly number[];

  constructor(stamps: Stamps, url: number) {
    this.#stamps = stamps;
    this.#url = [url];
    this.#walks = stamps.walks;
    this.#tagPurges = stamps.tagPurges;
    this.#hard = stamps.hard(this.#url);
    this.#soft = stamps.soft(this.#url);
  }

  /** @param mayHaveTags the response carries some, or that is not known. @returns false when something was purged since: the response may be older than that */
  isCurrent(mayHaveTags: boolean): boolean {
    const stamps = this.#stamps;
    if (stamps.walks !== this.#walks || (mayHaveTags && stamps.tagPurges !== this.#tagPurges)) return false;
    return stamps.hard(this.#url) === this.#hard && stamps.soft(this.#url) === this.#soft;
  }

  /** @param tags numbers. @returns null when something was purged since */
  stampsFor(tags: readonly number[]): PurgeStamps | null {
    if (!this.isCurrent(tags.length > 0)) return null;
    const names = [...this.#url, ...tags];
    return { hard: this.#stamps.hard(names), soft: this.#stamps.soft(names) };
  }
}

/** Memory that a response is written into as it comes; others may read what is there already. */
export class Reservation {
  readonly #writer: ObjectWriter;
  readonly #commit: () => boolean;

  constructor(writer: ObjectWriter, commit: () => boolean) {
    this.#writer = writer;
    this.#commit = commit;
  }

  /** Stays valid until {@link release}, committed or not. */
  get body(): Buffer {
    return this.#writer.body;
  }

  /** @returns whether it is stored now */
  commit(): boolean {
    return this.#commit();
  }

  /** Nobody reads the body any more; what is not committed is gone. Idempotent. */
  release(): void {
    this.#writer.release();
  }
}
