// Owns which questions to origins are under way for this worker's clients, and which are not worth waiting for. Bounded in number, bytes and time.

import { SipHash } from "../../base/sip-hash.ts";
import type { Leases } from "../../shared/cache/leases.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { Route, WorkerLinks } from "../exchange/runtime.ts";
import { PieceBudget } from "./growing-body.ts";
import { type PeerFollower, type PeerHost, type PeerSink, Peers } from "./peers.ts";

/** Bytes that a worker keeps of responses whose length is not known yet. */
const PIECE_BYTES_MAX = 64 * 1024 * 1024;
/** Validations of a worker at once of which nobody waits for the answer. */
const REFRESHES_MAX = 256;
/** Keys whose answer was not to be stored, and how long (ms) their requests go on by themselves: then one is tried again. */
const UNCACHEABLE_MAX = 10_000;
const UNCACHEABLE_MS = 10_000;
/** The same of an error of the origin's, or for want of room in the store, which pass: who waits for it does not ask for it. */
const UNCACHEABLE_MOMENT_MS = 1000;

/** A question under way, whoever of the workers has asked it. */
export interface RunningFill {
  /** Whether a request that comes now can be served by it. */
  readonly isOpen: boolean;
  /** By which fields its answer is told from other variants; empty while that is not known, or when there is only one. */
  readonly vary: readonly string[];
  /** Whether the answer is one for this request too, as far as is known. Only such a one may join. */
  serves(x: Exchange): boolean;
  join(x: Exchange, route: Route): void;
  /** For another worker; left out by what follows one itself. */
  follow?(sink: PeerSink): () => void;
}

/** Who is to ask. @property release gives it back; once */
export type Turn =
  | { readonly kind: "mine"; readonly release: () => void }
  | { readonly kind: "other"; readonly follow: (follower: PeerFollower) => () => void };

/** Without telling the others. */
export const UNLEASED: Turn = { kind: "mine", release: () => {} };

export class FillTable implements PeerHost {
  readonly pieces = new PieceBudget(PIECE_BYTES_MAX);
  /** Keys of other forms of stored bodies (forms.ts) that are being made: as many as bodies are being changed on their way at most. */
  readonly forms = new Set<string>();
  readonly #fills = new Map<string, RunningFill>();
  /** Until when, performance.now() ms; oldest first. */
  readonly #uncacheable = new Map<string, number>();
  readonly #leases: Leases;
  readonly #hash: SipHash;
  readonly #peers: Peers;

  /** @param hashKey the same in all workers */
  constructor(leases: Leases, hashKey: Uint8Array, links: WorkerLinks) {
    this.#leases = leases;
    this.#hash = new SipHash(hashKey);
    this.#peers = new Peers(links, this);
  }

  get(id: string): RunningFill | undefined {
    return this.#fills.get(id);
  }

  set(id: string, fill: RunningFill): void {
    this.#fills.set(id, fill);
  }

  /** Its answer is there, or will not come. Another that has its id stays. */
  delete(id: string, fill: object): void {
    if (this.#fills.get(id) === fill) this.#fills.delete(id);
  }

  get size(): number {
    return this.#fills.size;
  }

  /** @returns whether this worker asks, or follows another one that does */
  turn(id: string): Turn {
    this.#hash.hash(id);
    const lease = this.#leases.take(this.#hash.high, this.#hash.low);
    if (lease.kind === "mine") return { kind: "mine", release: () => this.#leases.give(lease.slot) };
    if (lease.kind === "full") return UNLEASED;
    return { kind: "other", follow: (follower) => this.#peers.follow(lease.worker, id, follower) };
  }

  /** See {@link PeerHost}. */
  follow(id: string, sink: PeerSink): (() => void) | null {
    const fill = this.#fills.get(id);
    return fill?.isOpen === true ? (fill.follow?.(sink) ?? null) : null;
  }

  mayRefresh(): boolean {
    return this.#fills.size < REFRESHES_MAX;
  }

  isUncacheable(name: string): boolean {
    if (this.#uncacheable.size === 0) return false;
    const key = this.#short(name);
    const until = this.#uncacheable.get(key);
    if (until === undefined) return false;
    if (performance.now() < until) return true;
    this.#uncacheable.delete(key);
    return false;
  }

  /** Two names of one hash cost their requests nothing but that they are not collapsed. */
  #short(name: string): string {
    this.#hash.hash(name);
    return `${this.#hash.high}.${this.#hash.low}`;
  }

  /** @param passes it may well be stored in a moment */
  rememberUncacheable(name: string, passes: boolean): void {
    const key = this.#short(name);
    this.#uncacheable.delete(key);
    if (this.#uncacheable.size >= UNCACHEABLE_MAX) {
      for (const oldest of this.#uncacheable.keys()) {
        this.#uncacheable.delete(oldest);
        break;
      }
    }
    this.#uncacheable.set(key, performance.now() + (passes ? UNCACHEABLE_MOMENT_MS : UNCACHEABLE_MS));
  }
}
