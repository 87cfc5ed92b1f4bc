// Owns how much of the store's memory the objects of each route occupy, and how much they may: an account each, counted in both rings by itself.
// Must never let a bounded account occupy more than its bound: whoever would has to make room among its own objects first (rings.ts).
//
// Layout: ACCOUNTS of ACCOUNT_WORDS words (layout.ts): 0 OWNER, the route's opaque word; 1 USED, whether the account is somebody's; 2, 3 units that it may occupy in the
// small and in the main ring, 0 for as many as there are; 4, 5 units that it occupies there; 6, 7 objects that can be found, and their units; 8 objects that had to go.
// Writers: the primary of words 0 to 3 (atomic), the holder of the lock of the others. Readers: all. A record names its account by index, so what is counted stays right
// when an account gets another owner: that one begins with what is left of the last one's objects.
//
// Memory is occupied from when it is given out until a ring's head has come by again, found or not: what is replaced or removed counts until then, as it keeps others
// out. An object counts for as much as there is for one entry of the index at least, so that the bound holds for the index too.
import { ACCOUNT, ACCOUNT_WORDS, ACCOUNTS, HEAD, REC, UNIT_BYTES, WAYS } from "./layout.ts";
import type { Records } from "./records.ts";

/** Accounts of routes that are not bounded; others beyond share the first one. What is left is enough for {@link BOUNDED_MAX} twice: of a plan, and of the one before. */
const UNBOUNDED_MAX = 511;
/** Routes of one plan that have a bound. */
export const BOUNDED_MAX = 256;
/** The account of whoever has none. */
export const NO_ACCOUNT = 0;

/** Whom an account is for. */
export interface AccountHolder {
  /** The opaque word by which objects name their route. */
  readonly owner: number;
  /** Of the memory for objects, above 0; 1 or more for all of it. */
  readonly share: number;
}

export interface AccountCounts {
  readonly objects: number;
  /** Of the objects that can be found, heads and keys included. */
  readonly bytes: number;
  /** Of all that counts against the limit. */
  readonly occupiedBytes: number;
  /** null: no limit but the store's. */
  readonly limitBytes: number | null;
  readonly evicted: number;
}

export class Accounts {
  readonly #records: Records;
  readonly #words: Int32Array;
  readonly #first: number;
  /** Units that an object counts for at least. */
  readonly #unitsMin: number;
  /** Accounts by owner, as of so many changes. */
  readonly #known = new Map<number, number>();
  #changes = 0;

  constructor(records: Records) {
    const { layout, words } = records;
    this.#records = records;
    this.#words = words;
    this.#first = layout.accounts;
    this.#unitsMin = Math.floor((layout.unitsSmall + layout.unitsMain) / (layout.buckets * WAYS));
  }

  #at(account: number): number {
    return this.#first + account * ACCOUNT_WORDS;
  }

  #get(account: number, word: number): number {
    return this.#words[this.#at(account) + word]!; // inside the accounts: they come from here
  }

  /** The account of a route; {@link NO_ACCOUNT} when it has none. */
  of(owner: number): number {
    const changes = Atomics.load(this.#words, HEAD.accountChanges);
    if (changes !== this.#changes || this.#known.size > 2 * ACCOUNTS) this.#known.clear();
    this.#changes = changes;
    const known = this.#known.get(owner);
    if (known !== undefined) return known;
    let account = ACCOUNTS - 1;
    while (account > NO_ACCOUNT && !this.#isOf(account, owner)) account--;
    this.#known.set(owner, account);
    return account;
  }

  #isOf(account: number, owner: number): boolean {
    const at = this.#at(account);
    return Atomics.load(this.#words, at + ACCOUNT.owner) === owner && Atomics.load(this.#words, at + ACCOUNT.used) === 1;
  }

  // --- What is occupied. For the holder of the lock ---

  /** Units that count for an object of this size. */
  cost(units: number): number {
    return Math.max(units, this.#unitsMin);
  }

  /** Units that an account may occupy in a ring. @returns Infinity for as many as there are */
  limit(account: number, isMain: boolean): number {
    const limit = Atomics.load(this.#words, this.#at(account) + (isMain ? ACCOUNT.limitMain : ACCOUNT.limitSmall));
    return limit === 0 ? Number.POSITIVE_INFINITY : limit;
  }

  /** The account itself when it is bounded, else -1. */
  boundOf(account: number): number {
    return Number.isFinite(this.limit(account, true)) ? account : -1;
  }

  occupied(account: number, isMain: boolean): number {
    return this.#get(account, isMain ? ACCOUNT.main : ACCOUNT.small);
  }

  /** @param units of a record in this ring: minus for one whose memory is somebody else's from now on */
  charge(account: number, isMain: boolean, units: number): void {
    const cost = units < 0 ? -this.cost(-units) : this.cost(units);
    this.#words[this.#at(account) + (isMain ? ACCOUNT.main : ACCOUNT.small)]! += cost;
  }

  /** An object can be found from now on, or no longer (-1). */
  found(unit: number, by: 1 | -1): void {
    const at = this.#at(this.#records.get(unit, REC.account));
    this.#words[at + ACCOUNT.objects]! += by;
    this.#words[at + ACCOUNT.unitsLive]! += by * this.#records.get(unit, REC.size);
  }

  /** An object had to go for another. */
  evicted(unit: number): void {
    this.#words[this.#at(this.#records.get(unit, REC.account)) + ACCOUNT.evicted]! += 1;
  }

  /** Nothing is stored any more; who may have how much stays. */
  clear(): void {
    for (let account = 0; account < ACCOUNTS; account++) {
      const at = this.#at(account);
      this.#words.fill(0, at + ACCOUNT.small, at + ACCOUNT.evicted);
    }
  }

  // --- Who has one. For the primary ---

  /**
   * Gives accounts to those who have none; the limits of others stay. Those with a limit always get one, for at most {@link BOUNDED_MAX}.
   * @param kept owners whose accounts are not given to others
   */
  open(holders: readonly AccountHolder[], kept: ReadonlySet<number>): void {
    const isKept = (account: number): boolean => this.#get(account, ACCOUNT.used) === 1 && kept.has(this.#get(account, ACCOUNT.owner));
    const places = Array.from({ length: ACCOUNTS - 1 }, (_, i) => i + 1).filter((account) => !isKept(account));
    const occupied = (account: number): number => this.occupied(account, false) + this.occupied(account, true);
    // What is empty first; else whose objects are fewest.
    places.sort((a, b) => occupied(a) - occupied(b));
    let unbounded = ACCOUNTS - 1 - places.length;
    for (const holder of [...holders].sort((a, b) => a.share - b.share)) {
      if (this.of(holder.owner) !== NO_ACCOUNT || (holder.share >= 1 && unbounded++ >= UNBOUNDED_MAX)) continue;
      const account = places.shift();
      if (account === undefined) return;
      const at = this.#at(account);
      Atomics.store(this.#words, at + ACCOUNT.used, 0);
      Atomics.store(this.#words, at + ACCOUNT.evicted, 0);
      this.#setLimit(account, holder.share);
      Atomics.store(this.#words, at + ACCOUNT.owner, holder.owner);
      Atomics.store(this.#words, at + ACCOUNT.used, 1);
      Atomics.add(this.#words, HEAD.accountChanges, 1);
    }
  }

  /** Who has more than is allowed from now on gives it back as it stores. */
  setLimits(holders: readonly AccountHolder[]): void {
    for (const { owner, share } of holders) {
      const account = this.of(owner);
      if (account !== NO_ACCOUNT) this.#setLimit(account, share);
    }
  }

  #setLimit(account: number, share: number): void {
    const { unitsSmall, unitsMain } = this.#records.layout;
    const at = this.#at(account);
    const part = (units: number): number => (share >= 1 ? 0 : Math.max(1, Math.floor(units * share)));
    Atomics.store(this.#words, at + ACCOUNT.limitSmall, part(unitsSmall));
    Atomics.store(this.#words, at + ACCOUNT.limitMain, part(unitsMain));
  }

  /** @returns null for an owner without an account */
  counts(owner: number): AccountCounts | null {
    const account = this.of(owner);
    if (account === NO_ACCOUNT) return null;
    const limit = this.limit(account, false) + this.limit(account, true);
    return {
      objects: this.#get(account, ACCOUNT.objects),
      bytes: this.#get(account, ACCOUNT.unitsLive) * UNIT_BYTES,
      occupiedBytes: (this.occupied(account, false) + this.occupied(account, true)) * UNIT_BYTES,
      limitBytes: Number.isFinite(limit) ? limit * UNIT_BYTES : null,
      evicted: this.#get(account, ACCOUNT.evicted),
    };
  }
}
