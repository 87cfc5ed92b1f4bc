// Owns telling the fleet of purges and following those of others, through a bounded log in Redis (store/purge-scripts.ts). Primary only.
// Must never lose an order silently: what cannot be told is kept and told later, and an instance that may have missed one purges everything.
import type { PurgesState } from "../../observe/instance-state.ts";
import type { Log } from "../../observe/log.ts";
import { PURGE_APPEND, PURGE_READ, PURGES_MAX } from "../../store/purge-scripts.ts";
import { type ScriptStore, StoreError } from "../../store/redis-client.ts";
import { EVERYTHING, type FleetTold, type PurgeOrder, readOrder, writeOrder } from "../cache/purge-order.ts";
import type { TierLog } from "../cache/tier-log.ts";

/** Orders that wait for Redis: with more, everything is purged everywhere instead. */
export const PENDING_MAX = 256;
/** Orders in one answer. */
const PAGE = 256;
/** Orders before its time that an instance reads: not quite all that are kept, since some are added meanwhile. */
const HISTORY = PURGES_MAX - 2 * PAGE;

export interface PurgeExchangeOptions {
  readonly store: ScriptStore;
  /** Of the log: see purge-scripts.ts. */
  readonly key: string;
  readonly instance: string;
  readonly log: Log;
  /** Does here what another instance has ordered. Rejects when it is not done. */
  readonly apply: (order: PurgeOrder) => Promise<unknown>;
  readonly now: () => number;
  /** What is to know each order of the log, own ones too, in its turn; null when nobody does. */
  readonly tier: Pick<TierLog, "begin" | "note" | "reached"> | null;
}

/** An order of this instance. @property settled called once the log has it, as far as it is read here */
interface Pending {
  readonly text: string;
  settled(): void;
}

export class PurgeExchange {
  readonly #options: PurgeExchangeOptions;
  /** Orders of this instance that Redis has not confirmed, oldest first. */
  readonly #pending: Pending[] = [];
  /** Those that it has confirmed, but that were not read there yet, by their number in the era of the log that was known then. */
  readonly #confirmed: (Pending & { readonly sequence: number })[] = [];
  #sending: Promise<void> = Promise.resolve();
  #next: Promise<void> | null = null;
  /** How far the log was read; '' before the first answer. */
  #era = "";
  #sequence = 0;
  /** Orders up to this number are noted, not followed: they were before this instance began, or are followed by purging everything. */
  #notedOnly = 0;
  #reading: Promise<void> | null = null;
  #readAgain = false;
  #heardMs = Number.NEGATIVE_INFINITY;
  #applied = 0;
  #missed = 0;
  #trouble: string | null = "not connected yet";

  constructor(options: PurgeExchangeOptions) {
    this.#options = options;
  }

  /**
   * Has the others follow an order that was done here. Takes no longer than two commands; never rejects.
   * @param settled called once the log has it, as far as it is read here: whenever that is
   */
  async publish(order: PurgeOrder, settled: () => void = () => {}): Promise<FleetTold> {
    if (this.#pending.length >= PENDING_MAX) {
      this.#options.log.warn("too many purges wait for Redis: everything is purged in the whole fleet when it is back", {
        purges: PENDING_MAX,
      });
      const all = this.#pending.splice(0);
      this.#pending.push({
        text: writeOrder(EVERYTHING),
        settled: () => {
          for (const each of all) each.settled();
          settled();
        },
      });
    } else this.#pending.push({ text: writeOrder(order), settled });
    try {
      await this.#flush();
      return { told: true, trouble: null };
    } catch (error) {
      return { told: false, trouble: messageOf(error) };
    }
  }

  /** Sends what waits. Who comes while something is being sent shares the next turn. */
  #flush(): Promise<void> {
    this.#next ??= this.#sending
      .catch(() => {})
      .then(() => {
        this.#next = null;
        this.#sending = this.#send();
        return this.#sending;
      });
    return this.#next;
  }

  async #send(): Promise<void> {
    const { store, key, instance } = this.#options;
    for (let [first] = this.#pending; first !== undefined; [first] = this.#pending) {
      const sequence = Number(await store.run(PURGE_APPEND, [key], [instance, first.text]));
      if (this.#pending[0] !== first) continue; // it is part of another one now
      this.#pending.shift();
      this.#confirmed.push({ ...first, sequence });
    }
    if (this.#options.tier !== null) this.round(); // its own are to be noted, too
  }

  /** Something may be sent and heard. Returns at once. */
  round(): void {
    if (this.#pending.length > 0) void this.#flush().catch(() => {});
    if (this.#reading !== null) {
      this.#readAgain = true;
      return;
    }
    this.#reading = this.#read()
      .then(
        () => void (this.#trouble = null),
        (error: unknown) => void (this.#trouble = messageOf(error)),
      )
      .finally(() => {
        this.#reading = null;
        if (this.#readAgain) {
          this.#readAgain = false;
          this.round();
        }
      });
  }

  lost(): void {
    this.#trouble = this.#options.store.trouble ?? "the connection was closed";
  }

  /** @throws StoreError when something could not be told */
  async leave(): Promise<void> {
    await this.#reading;
    if (this.#pending.length > 0) await this.#flush();
  }

  state(): PurgesState {
    const { now } = this.#options;
    return {
      pending: this.#pending.length,
      applied: this.#applied,
      missed: this.#missed,
      ageMs: Number.isFinite(this.#heardMs) ? Math.round(now() - this.#heardMs) : null,
      trouble: this.#trouble,
    };
  }

  async #read(): Promise<void> {
    for (let more = true; more; ) more = await this.#page();
  }

  /** @returns whether there is more. The place in the log moves on only when all of the page is done. */
  async #page(): Promise<boolean> {
    const { store, key, instance, now, tier } = this.#options;
    const sentMs = now();
    const { era, sequence, whole, more, entries } = answerOf(
      await store.run(PURGE_READ, [key], [instance, this.#era, this.#sequence, PAGE]),
    );
    if (!whole) return await this.#begin(era, sequence);
    for (const [i, entry] of entries.entries()) await this.#follow(entry, this.#sequence + 1 + i);
    this.#era = era;
    this.#sequence = sequence;
    this.#heardMs = sentMs;
    tier?.reached(sequence);
    this.#settle();
    return more;
  }

  /** What was purged since is not known. With a tier, the log is then read from as far back as there are entries: what lies there is older than this instance. @returns whether there is more */
  async #begin(era: string, sequence: number): Promise<boolean> {
    const { tier, now } = this.#options;
    if (this.#era !== "" || sequence > 0) await this.#catchUp();
    // Entries that should be there and are not will not come.
    const isBroken = era === this.#era && this.#sequence < this.#notedOnly;
    const floor = tier === null || isBroken ? sequence : Math.max(0, sequence - HISTORY);
    // Orders of a log that is gone are part of everything.
    if (era !== this.#era) for (const each of this.#confirmed.splice(0)) each.settled();
    this.#era = era;
    this.#sequence = floor;
    this.#notedOnly = sequence;
    this.#heardMs = now();
    tier?.begin(era, floor);
    if (floor < sequence) return true;
    tier?.reached(sequence);
    this.#settle();
    return false;
  }

  #settle(): void {
    const settled = this.#confirmed.filter(({ sequence }) => sequence <= this.#sequence);
    if (settled.length === 0) return;
    this.#confirmed.splice(0, this.#confirmed.length, ...this.#confirmed.filter(({ sequence }) => sequence > this.#sequence));
    for (const each of settled) each.settled();
  }

  async #follow(entry: string, sequence: number): Promise<void> {
    const { instance, apply, log, tier } = this.#options;
    const space = entry.indexOf(" ");
    const order = readOrder(entry.slice(space + 1));
    if (entry.slice(0, space) !== instance && sequence > this.#notedOnly) {
      if (order === null) log.warn("another instance has purged something that this release does not understand: everything is purged");
      await apply(order ?? EVERYTHING);
      this.#applied++;
    }
    tier?.note(sequence, order ?? EVERYTHING);
  }

  /** Nobody can say what was purged since the log was read last; nor, at first, what was purged while this instance began to store. */
  async #catchUp(): Promise<void> {
    const { apply, log } = this.#options;
    if (this.#era !== "") log.warn("purges of the fleet were missed while Redis was away, or had lost them: everything is purged");
    await apply(EVERYTHING);
    this.#missed++;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

interface Answer {
  readonly era: string;
  readonly sequence: number;
  readonly whole: boolean;
  readonly more: boolean;
  readonly entries: readonly string[];
}

/** @throws StoreError for what the script does not answer */
function answerOf(reply: unknown): Answer {
  const [era, sequence, whole, more, ...entries] = Array.isArray(reply) ? (reply as readonly unknown[]) : [];
  if (typeof era !== "string" || era === "" || !Number.isSafeInteger(sequence) || !entries.every((each) => typeof each === "string"))
    throw new StoreError("refused", "Redis answers something else than was asked");
  return { era, sequence: Number(sequence), whole: whole === 1, more: more === 1, entries };
}
